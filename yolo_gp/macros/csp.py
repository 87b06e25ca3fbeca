"""[csp]: one Cross Stage Partial stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.activations import activation_by_name
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.partial_shortcut import parse_ratio, share
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.macros.base import INPUT, Expansion, Macro
from yolo_gp.macros.keys import (
    MAX_BLOCKS,
    SHARED_MEANINGS,
    SharedKeys,
    channels,
    forbid,
    kernel_pair,
)
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape

_ENTRIES = ("own", "shared", "slice")
_BLOCKS = ("dark", "plain", "res", "dense")
_FUSIONS = ("normal", "first", "last", "none")
_WITH_SHORTCUT = ("dark", "res")
_KEYS_OF_BLOCKS = "block width block_out groups kernels growth channels ratio stop_gradient".split()
_GROWTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Csp(Macro):
    """[csp]: splits the channels, sends one part through blocks, joins: (C, H, W) -> (C', H, W).

    entry=own: a 1x1 convolution each for the cross path and the main path. shared: a 1x1
    convolution for both, the cross path a 1x1 convolution of it. slice: leading channels cross,
    trailing ones go through the blocks. Blocks: `dark` 1x1, 3x3, add; `plain` without the add;
    `res` 1x1, 3x3, 1x1 linear, add, activation; `dense` 1x1, 3x3 with `growth` filters, joined to
    their input. fusion says which of the transitions before and after the join exist.

    Source: ELAN paper, Fig. 4 and 5; CSPNet; zoo.md C.4.
    """

    kind: ClassVar[str] = "csp"
    width_keys: ClassVar[tuple[str, ...]] = (
        "filters", "hidden", "cross", "width", "block_out", "transition", "growth", "channels",
    )  # fmt: skip
    depth_key: ClassVar[str] = "repeat"
    training_fields: ClassVar[frozenset[str]] = frozenset({"shared.stop"})
    meanings: ClassVar[Mapping[str, str]] = {
        **SHARED_MEANINGS,
        "filters": "output channels",
        "entry": "`own`: a 1x1 convolution each for cross path and main path; `shared`: one for "
        "both, then one for the cross path; `slice`: the input's leading channels cross, the "
        "trailing ones are the main path",
        "entry_activation": "of the entry's convolutions, for `entry=own`",
        "split": "the main path's share of `filters`; of the input with `entry=slice`, 1/q or "
        "(q-1)/q",
        "hidden": "channels of the main path after the entry",
        "cross": "channels of the cross path after the entry",
        "block": "`dark`: 1x1, 3x3, add; `plain`: without the add; `res`: 1x1, 3x3, 1x1 linear, "
        "add, activation; `dense`: 1x1, 3x3 with `growth` filters, joined to their input",
        "repeat": "number of blocks",
        "width": "inner width of a block; `hidden` by default",
        "block_out": "outer width of a block, not of `dense`; `hidden` by default",
        "groups": "of the 3x3 in `res`",
        "growth": "filters that each `dense` block joins to its input",
        "channels": "makes each add a masked one, as in `[partial_shortcut]`",
        "ratio": "the same as a share",
        "fusion": "transitions before and after the join: `normal` both, `first` after only, "
        "`last` before only, `none`",
        "transition": "channels of the transition before the join; those of the blocks by default",
    }

    span: Span
    common: CommonKeys
    shared: SharedKeys
    filters: int
    filters_span: Span
    split: float
    split_span: Span
    entry: str
    entry_activation: str
    hidden: int | None  # of the main path; None: entry=slice, so the input decides
    cross: int
    block: str
    repeat: int
    width: int | None  # None: hidden
    block_out: int | None  # None: hidden
    groups: int
    kernels: tuple[int, int]
    growth: int
    channels: int | None
    ratio: float
    fusion: str
    transition: int | None  # None: the blocks' output

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Csp:
        shared = SharedKeys.parse(options)
        filters = options.required_integer("filters", minimum=1, maximum=MAX_CHANNELS)
        split = _parse_split(options)
        entry = options.choice("entry", "own", _ENTRIES)
        own_hidden = filters if entry == "shared" else share(split, filters)
        hidden = channels(options, "hidden", own_hidden)
        own_cross = filters if entry == "shared" else max(1, filters - hidden)
        block = options.choice("block", "dark", _BLOCKS)
        fusion = options.choice("fusion", "normal", _FUSIONS)
        spec = cls(
            span=options.span,
            common=common,
            shared=shared,
            filters=filters,
            filters_span=options.span_of("filters"),
            split=split,
            split_span=options.span_of("split"),
            entry=entry,
            entry_activation=activation_by_name(options, "entry_activation", shared.activation),
            hidden=None if entry == "slice" else hidden,
            cross=channels(options, "cross", own_cross),
            block=block,
            repeat=options.integer("repeat", 1, maximum=MAX_BLOCKS),
            width=_optional(options, "width"),
            block_out=_optional(options, "block_out"),
            groups=options.integer("groups", 1, minimum=1, maximum=MAX_CHANNELS),
            kernels=kernel_pair(options),
            growth=channels(options, "growth", _GROWTH),
            channels=_optional(options, "channels"),
            ratio=parse_ratio(options),
            fusion=fusion,
            transition=_optional(options, "transition"),
        )
        spec._check_effects(options)
        return spec

    def _check_effects(self, options: Options) -> None:
        if self.entry == "slice":
            forbid(options, ("hidden", "cross"), "entry=slice")
        if self.entry == "shared":
            forbid(options, ("split",), "entry=shared")
        if self.entry != "own":
            forbid(options, ("entry_activation",), f"entry={self.entry}")
        elif "hidden" in options:
            forbid(options, ("split",), "hidden")
            if "cross" not in options and self.hidden is not None and self.hidden >= self.filters:
                options.error(
                    Rule.OUT_OF_RANGE,
                    "hidden",
                    f"[csp] hidden={self.hidden} leaves none of filters={self.filters} to the "
                    "cross path",
                    expected=f"hidden below {self.filters}, or cross=N for the cross path",
                )
        if self.repeat:
            self._check_block_effects(options)
        else:
            forbid(options, _KEYS_OF_BLOCKS, "repeat=0")
        if self.fusion in ("first", "none"):
            forbid(options, ("transition",), f"fusion={self.fusion}")

    def _check_block_effects(self, options: Options) -> None:
        if self.block != "res":
            forbid(options, ("groups",), f"block={self.block}")
        if self.block not in ("dark", "plain"):
            forbid(options, ("kernels",), f"block={self.block}")
        if self.block == "dense":
            forbid(options, ("block_out",), "block=dense")
        else:
            forbid(options, ("growth",), f"block={self.block}")
        if self.block not in _WITH_SHORTCUT:
            forbid(options, ("channels", "ratio", "stop_gradient"), f"block={self.block}")

    @property
    def depth(self) -> int:
        return self.repeat

    @property
    def takes_ratio(self) -> bool:
        return self.repeat > 0 and self.block in _WITH_SHORTCUT

    def expand(self, source: PartialShape) -> Sequence[Layer] | None:
        if self.entry == "slice" and source.channels is None:
            return None
        stage = self.shared.expansion(self.span)
        cross, cross_channels, hidden = self._enter(stage, source.channels or 0)
        main_channels = self._add_blocks(stage, hidden)
        if self.fusion in ("normal", "last"):
            main_channels = main_channels if self.transition is None else self.transition
            stage.convolution(main_channels)
        stage.route(stage.last, cross)
        if self.fusion in ("normal", "first"):
            stage.convolution(self.filters)
        elif self.filters != main_channels + cross_channels:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.filters_span,
                f"[csp] fusion={self.fusion} ends in a join of {main_channels} + {cross_channels} "
                f"= {main_channels + cross_channels} channels, but filters={self.filters}",
                expected=f"filters={main_channels + cross_channels}, or fusion=first or normal",
            )
        return stage.layers

    def _enter(self, stage: Expansion, in_channels: int) -> tuple[int, int, int]:
        """Adds the entry; the cross path's layer, its channels, and the main path's channels."""
        if self.entry == "slice":
            return self._enter_by_slices(stage, in_channels)
        assert self.hidden is not None
        if self.entry == "own":
            cross = stage.convolution(self.cross, activation=self.entry_activation)
            stage.route(INPUT)
            stage.convolution(self.hidden, activation=self.entry_activation)
            return cross, self.cross, self.hidden
        both = stage.convolution(self.hidden)
        cross = stage.convolution(self.cross)
        stage.route(both)
        return cross, self.cross, self.hidden

    def _enter_by_slices(self, stage: Expansion, in_channels: int) -> tuple[int, int, int]:
        parts = _parts(self.split)
        if parts is None or in_channels % parts[0]:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.split_span,
                f"[csp] entry=slice cannot cut {in_channels} channels of {{0}} at "
                f"split={self.split:g}",
                expected="split of the form 1/q or (q-1)/q with q dividing the channels",
            )
        total, main_parts = parts
        cross = stage.slices(INPUT, total, 0, total - main_parts)
        stage.slices(INPUT, total, total - main_parts, main_parts)
        part = in_channels // total
        return cross, part * (total - main_parts), part * main_parts

    def _add_blocks(self, stage: Expansion, hidden: int) -> int:
        """Adds the blocks; their output's channels."""
        width = hidden if self.width is None else self.width
        out = hidden if self.block_out is None else self.block_out
        current = hidden
        for _ in range(self.repeat):
            start = stage.last
            if self.block == "dense":
                stage.convolution(width)
                stage.convolution(self.growth, 3)
                stage.route(stage.last, start)
                current += self.growth
                continue
            self._add_block(stage, start, width, out)
            current = out
        return current

    def _add_block(self, stage: Expansion, start: int, width: int, out: int) -> None:
        if self.block == "res":
            stage.convolution(width)
            stage.convolution(width, 3, groups=self.groups)
            stage.convolution(out, activation="linear")
            self._add_shortcut(stage, start, self.shared.activation)
            return
        stage.convolution(width, self.kernels[0])
        stage.convolution(out, self.kernels[1])
        if self.block == "dark":
            self._add_shortcut(stage, start, "linear")

    def _add_shortcut(self, stage: Expansion, start: int, activation: str) -> None:
        if self.channels is None and self.ratio == 1.0:
            stage.shortcut(start, activation=activation)
        else:
            stage.partial_shortcut(
                start, channels=self.channels, ratio=self.ratio, activation=activation
            )


def _optional(options: Options, key: str) -> int | None:
    options.note(key, "integer", minimum=1, maximum=MAX_CHANNELS)
    value = channels(options, key, 1)
    return value if key in options else None


def _parse_split(options: Options) -> float:
    split = options.number("split", 0.5)
    if not 0 < split < 1:
        options.error(
            Rule.OUT_OF_RANGE,
            "split",
            f"[csp] split={split:g} is out of range",
            expected="above 0, below 1",
        )
        return 0.5
    return split


def _parts(split: float) -> tuple[int, int] | None:
    """(q, how many of q equal parts are the main path's) for split 1/q or (q-1)/q."""
    for total in range(2, 65):
        for main in (1, total - 1):
            if abs(split - main / total) < 1e-4:
                return total, main
    return None
