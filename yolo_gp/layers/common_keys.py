"""Keys that every section but [net] takes, and keys that are skipped everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yolo_gp.dialect import Dialect
from yolo_gp.layers.training_keys import SectionTraining, parse_section_training
from yolo_gp.options import Options


@dataclass(frozen=True, slots=True)
class CommonKeys:
    """Keys that every section but [net] takes (darknet.md 2.0).

    Fields:
        name: what other sections call it by, as @name (ours, not Darknet's).
        dont_load: the section takes nothing from a `.weights` file.
        dont_load_scales: scale, mean and variance of its batch norm are not in the file.
        training: how the section learns.
        dialect: the one that the file is read in.
        before_head: the next section is a head that takes the sigmoids itself, whatever its keys
            say, so that what it reads must be linear.
    """

    name: str | None = None
    dont_load: bool = False
    dont_load_scales: bool = False
    training: SectionTraining = field(default_factory=SectionTraining)
    dialect: Dialect = Dialect.DARKNET
    before_head: bool = False

    @classmethod
    def parse(cls, options: Options, *, ours: bool, before_head: bool = False) -> CommonKeys:
        """Sections of our own (`ours`) have no weights of their own, so they take a name only."""
        name = options.name("name")
        if ours:
            return cls(name=name, dialect=options.dialect)
        return cls(
            name=name,
            dialect=options.dialect,
            before_head=before_head,
            dont_load=options.flag("dontload"),
            dont_load_scales=options.flag("dontloadscales"),
            training=parse_section_training(options),
        )


TRAINING_ONLY = "acts in training only"
COMMON_IGNORED: Mapping[str, str] = dict.fromkeys(
    (
        "clip",
        "onlyforward",
        "dont_update",
        "burnin_update",
        "stopbackward",
        "train_only_bn",
        "learning_rate",
    ),
    TRAINING_ONLY,
)
STREAM_KEYS: Mapping[str, str] = dict.fromkeys(
    ("stream", "wait_stream"), "schedules CUDA streams, results are the same"
)


def training_only(*keys: str) -> Mapping[str, str]:
    """`ignored` entries for keys that act in training only."""
    return dict.fromkeys(keys, TRAINING_ONLY)
