"""Families of networks: cfg text for chains of N weight layers joined in one of the known ways.

They are the networks that papers argue about: small, regular, without heads. Every weight layer is
a linear 1x1 convolution; an add is a [partial_shortcut] over the channels both maps have.
Source: ELAN paper, table 1 and Fig. 1, 4 to 6; PRN paper, 4.2; VoVNet paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yolo_gp.errors import UsageError

_STACK = 3  # weight layers of a one-shot-aggregation module, before its transition


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilySettings:
    """One member of a family.

    Fields:
        layers: how many weight layers.
        channels: of each of them; of the widest in the families whose width changes.
        ratio: the share of channels that "prn" adds.
    """

    layers: int
    channels: int = 64
    ratio: float = 0.5

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise UsageError(f"{self.layers} layers make no network\nexpected: at least 1 layer")
        if self.channels < 1:
            raise UsageError(f"{self.channels} channels hold nothing\nexpected: at least 1 channel")
        if not 0 < self.ratio <= 1:
            raise UsageError(f"ratio {self.ratio:g} is no share\nexpected: above 0, at most 1")


class _Writer:
    """Sections of a cfg, numbered as they are written."""

    def __init__(self, title: str) -> None:
        self._lines = [
            f"# {title}",
            "[net]\nwidth=32\nheight=32\nchannels=3",
        ]
        self._count = 0

    def _section(self, kind: str, *options: str) -> int:
        self._lines.append("\n".join((f"\n# {self._count}\n[{kind}]", *options)))
        self._count += 1
        return self._count - 1

    def convolution(self, channels: int) -> int:
        """A weight layer that reads the section before it."""
        return self._section("convolutional", f"filters={channels}", "activation=linear")

    def add(self, *sources: int, ratio: float = 1.0) -> int:
        """Add earlier sections to the one before."""
        masked = () if ratio == 1 else (f"ratio={ratio:g}",)
        return self._section("partial_shortcut", f"from={_numbers(sources)}", *masked)

    def concatenate(self, *sources: int) -> int:
        return self._section("route", f"layers={_numbers(sources)}")

    @property
    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def _numbers(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


def _plain(cfg: _Writer, settings: FamilySettings) -> None:
    for _ in range(settings.layers):
        cfg.convolution(settings.channels)


def _residual(cfg: _Writer, settings: FamilySettings) -> None:
    """One layer, then blocks of two with an identity; a last layer that is left over is a block."""
    joined = cfg.convolution(settings.channels)
    rest = settings.layers - 1
    while rest:
        for _ in range(min(2, rest)):
            cfg.convolution(settings.channels)
        rest -= min(2, rest)
        joined = cfg.add(joined)


def _dense(cfg: _Writer, settings: FamilySettings) -> None:
    """Every layer reads all earlier ones, and the loss reads all of them."""
    _read_earlier(cfg, settings, lambda number: list(range(number)), join=cfg.concatenate)


def _sparse_dense(cfg: _Writer, settings: FamilySettings) -> None:
    """Layer i reads layers i - 1, i - 2, i - 4, i - 8 and so on; the loss reads likewise."""
    _read_earlier(cfg, settings, _powers_back, join=cfg.concatenate)


def _sparse_residual(cfg: _Writer, settings: FamilySettings) -> None:
    """As sparse-dense, but what is read is added up."""

    def join(*sources: int) -> int:
        *others, last = sources
        cfg.concatenate(last)
        return cfg.add(*others)

    _read_earlier(cfg, settings, _powers_back, join=join)


def _powers_back(number: int) -> list[int]:
    """The layers before `number` at distance 1, 2, 4, 8 and so on, ascending."""
    back = (number - (1 << exponent) for exponent in range(number.bit_length()))
    return sorted(place for place in back if place >= 0)


def _read_earlier(
    cfg: _Writer,
    settings: FamilySettings,
    reads: Callable[[int], list[int]],
    join: Callable[..., int],
) -> None:
    """Layers that read several earlier ones, and after the last a join as if one more followed."""
    outputs: list[int] = []
    for number in range(settings.layers + 1):
        sources = [outputs[place] for place in reads(number)]
        if len(sources) > 1:
            join(*sources)
        if number < settings.layers:
            outputs.append(cfg.convolution(settings.channels))


def _prn(cfg: _Writer, settings: FamilySettings) -> None:
    """Every output is added, over the first `ratio` of its channels, to the next."""
    _chain(cfg, [settings.channels] * settings.layers, settings.ratio)


def _prn_shrink(cfg: _Writer, settings: FamilySettings) -> None:
    _chain(cfg, _falling(settings.channels, settings.layers))


def _prn_expand(cfg: _Writer, settings: FamilySettings) -> None:
    _chain(cfg, _falling(settings.channels, settings.layers)[::-1])


def _prn_bottleneck(cfg: _Writer, settings: FamilySettings) -> None:
    """A shrinking half, then an expanding one; nothing is added across the joint."""
    down = _falling(settings.channels, settings.layers - settings.layers // 2)
    _chain(cfg, down)
    _chain(cfg, _falling(settings.channels, settings.layers // 2)[::-1])


def _chain(cfg: _Writer, widths: Sequence[int], ratio: float = 1.0) -> None:
    """Layers of these widths; each output is added, as far as channels meet, to the next."""
    joined: int | None = None
    for width in widths:
        output = cfg.convolution(width)
        joined = output if joined is None else cfg.add(joined, ratio=ratio)


def _falling(channels: int, count: int) -> list[int]:
    """`count` widths from `channels` down in equal steps, each smaller than the one before."""
    if channels < count:
        raise UsageError(
            f"{channels} channels cannot shrink {count - 1} times\n"
            f"expected: --channels of at least {count}"
        )
    step = channels // count
    return [channels - place * step for place in range(count)]


def _osa(cfg: _Writer, settings: FamilySettings) -> None:
    """One layer, then modules: a stack of three, all concatenated, and a transition."""
    modules, left = divmod(settings.layers - 1, _STACK + 1)
    if left or not modules:
        nearest = 1 + max(1, modules) * (_STACK + 1)
        raise UsageError(
            f"osa has 1 + {_STACK + 1} m layers, which {settings.layers} is not\n"
            f"expected: --layers {nearest} or {nearest + _STACK + 1}"
        )
    last = cfg.convolution(settings.channels)
    for _ in range(modules):
        stack = [cfg.convolution(settings.channels) for _ in range(_STACK)]
        cfg.concatenate(last, *stack)
        last = cfg.convolution(settings.channels)


def _elan(cfg: _Writer, settings: FamilySettings) -> None:
    """One layer, a stack whose every output is concatenated, and one transition at the end."""
    if settings.layers < 3:
        raise UsageError(
            f"elan has a first layer, a stack and a transition; {settings.layers} layers are too "
            "few\nexpected: --layers of at least 3"
        )
    outputs = [cfg.convolution(settings.channels) for _ in range(settings.layers - 1)]
    cfg.concatenate(*outputs)
    cfg.convolution(settings.channels)


FAMILIES: dict[str, Callable[[_Writer, FamilySettings], None]] = {
    "plain": _plain,
    "residual": _residual,
    "dense": _dense,
    "sparse-residual": _sparse_residual,
    "sparse-dense": _sparse_dense,
    "prn": _prn,
    "prn-shrink": _prn_shrink,
    "prn-expand": _prn_expand,
    "prn-bottleneck": _prn_bottleneck,
    "osa": _osa,
    "elan": _elan,
}


def family_cfg(family: str, settings: FamilySettings) -> str:
    """The cfg text of a member of a family, one of `FAMILIES`.

    Raises:
        UsageError: the family has no such member.
    """
    cfg = _Writer(f"{family}: {settings.layers} weight layers")
    FAMILIES[family](cfg, settings)
    return cfg.text
