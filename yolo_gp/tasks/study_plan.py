"""What a study trains: variants of a network under one budget, each with the same seeds."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from yolo_gp.errors import UsageError
from yolo_gp.tasks.train_model import read_cfg
from yolo_gp.tasks.train_settings import TrainSettings

BudgetUnit = Literal["seconds", "epochs", "iterations"]

_UNITS: Mapping[str, tuple[BudgetUnit, float]] = {
    "s": ("seconds", 1.0),
    "m": ("seconds", 60.0),
    "h": ("seconds", 3600.0),
    "epochs": ("epochs", 1.0),
    "iterations": ("iterations", 1.0),
}
_LONGEST = 1e9


@dataclass(frozen=True, slots=True)
class Budget:
    """How long each network is trained. Time is that of the steps; measuring is not counted."""

    amount: float
    unit: BudgetUnit

    def __str__(self) -> str:
        if self.unit == "seconds":
            return f"{self.amount / 60:g} minutes"
        return f"{self.amount:g} {self.unit}"


def parse_budget(text: str) -> Budget:
    """Read `30m`, `2h`, `90s`, `20epochs` or `3000iterations`.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip())
    if match is not None and match[2] in _UNITS:
        unit, factor = _UNITS[match[2]]
        amount = float(match[1]) * factor
        if 0 < amount <= _LONGEST and (unit == "seconds" or amount == math.floor(amount)):
            return Budget(amount, unit)
    raise UsageError(
        f"--budget {text} is no budget\n"
        "expected: time, such as 90s, 30m or 2h, or 20epochs, or 3000iterations"
    )


@dataclass(frozen=True, slots=True)
class Variant:
    """A network of a study.

    Fields:
        name: its cfg's file name without suffix.
        cfg: as `TrainSettings.cfg`.
        digest: of the cfg's content.
    """

    name: str
    cfg: str
    digest: str


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """All that is trained: each variant with each seed.

    Fields:
        settings: of every run; its cfg, length and seed are set for each.
    """

    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    budget: Budget
    settings: TrainSettings

    @property
    def runs(self) -> tuple[tuple[Variant, int], ...]:
        """Seed by seed, so that a study that is cut short compares what it has."""
        return tuple((variant, seed) for seed in self.seeds for variant in self.variants)

    def settings_of(self, variant: Variant, seed: int) -> TrainSettings:
        """Those of one run, but for its length."""
        return replace(self.settings, cfg=variant.cfg, seed=seed)

    def to_entries(self) -> dict[str, object]:
        """The fields as plain values for JSON."""
        return {
            "variants": [asdict(variant) for variant in self.variants],
            "seeds": list(self.seeds),
            "budget": asdict(self.budget),
            "settings": self.settings.to_entries(),
        }

    @classmethod
    def from_entries(cls, entries: Mapping[str, object]) -> StudyPlan:
        """The inverse of `to_entries`.

        Raises:
            KeyError, TypeError, UsageError: they are none that `to_entries` made.
        """
        variants, seeds = entries["variants"], entries["seeds"]
        budget, settings = entries["budget"], entries["settings"]
        if not (isinstance(variants, list) and isinstance(seeds, list)):
            raise TypeError
        if not (isinstance(budget, dict) and isinstance(settings, dict)):
            raise TypeError
        return cls(
            tuple(Variant(**variant) for variant in variants),
            tuple(map(int, seeds)),
            Budget(**budget),
            TrainSettings.from_entries(settings),
        )


def make_plan(
    cfgs: Sequence[str], seeds: int, budget: Budget, settings: TrainSettings
) -> StudyPlan:
    """The plan for these cfgs, with seeds 0, 1 and so on.

    Raises:
        UsageError: there is no such cfg, two have one name, or no seeds are wanted.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds} is too small\nexpected: at least 1")
    variants = tuple(_variant(replace(settings, cfg=cfg), cfg) for cfg in cfgs)
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two cfgs are called {name}\nexpected: a name of its own for each variant"
            )
    return StudyPlan(variants, tuple(range(seeds)), budget, settings)


def require_unchanged_variants(plan: StudyPlan) -> None:
    """Refuse to go on where a cfg is not what it was.

    Raises:
        UsageError: one has changed, or is gone.
    """
    for variant in plan.variants:
        now = _variant(replace(plan.settings, cfg=variant.cfg), variant.cfg)
        if now.digest != variant.digest:
            raise UsageError(
                f"{variant.cfg} is not what it was when the study began, so it cannot go on\n"
                "help: begin another study"
            )


def _variant(settings: TrainSettings, cfg: str) -> Variant:
    text = read_cfg(settings)
    text.compiled(strict=settings.strict)  # a wrong cfg is known before hours are spent
    return Variant(text.name, cfg, hashlib.sha256(text.content).hexdigest()[:16])
