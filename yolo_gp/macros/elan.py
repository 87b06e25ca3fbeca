"""[elan]: layer aggregation, the block of ELAN, VoVNet's OSA and GELAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.partial_shortcut import share
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.macros.base import INPUT, Expansion, Macro
from yolo_gp.macros.keys import (
    MAX_BLOCKS,
    MAX_KERNEL,
    SHARED_MEANINGS,
    SharedKeys,
    channels,
    forbid,
    kernel_pair,
)
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape

_ENTRIES = ("pair", "fused", "slice", "none")
_TAPS = ("ends", "all", "last")
_ORDERS = ("new_first", "old_first")
_BLOCKS = ("conv", "dark", "res", "csp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Elan(Macro):
    """[elan]: a stack of convolutions of which several outputs are joined: (C, H, W) -> (C', H, W).

    csp=pair: cross and main are 1x1 convolutions of the input, `hidden` channels each. fused: one
    1x1 convolution of 2 `hidden`, main its second half. slice: halves of the input. none: main is
    the input. Main goes through `blocks` computational blocks, each of `convs` convolutions size x
    size with `block_hidden` filters (or block=dark, res, csp, see zoo.md C.5). `taps` says which
    outputs are joined with cross and main; a 1x1 convolution with `filters` closes, if not 0.

    Source: ELAN paper, Fig. 6 and 7; zoo.md C.5.
    """

    kind: ClassVar[str] = "elan"
    width_keys: ClassVar[tuple[str, ...]] = ("filters", "hidden", "block_hidden")
    depth_key: ClassVar[str] = "blocks"
    training_fields: ClassVar[frozenset[str]] = frozenset({"shared.stop"})
    meanings: ClassVar[Mapping[str, str]] = {
        **SHARED_MEANINGS,
        "hidden": "channels of each entry path",
        "filters": "channels of the closing 1x1 convolution; 0 leaves it out",
        "csp": "`pair`: 1x1 convolutions for cross and main; `fused`: one of twice the width, main "
        "its second half; `slice`: halves of the input; `none`: main is the input (VoVNet)",
        "blocks": "computational blocks in the stack",
        "convs": "convolutions in each, for `block=conv`",
        "block_hidden": "filters of these",
        "size": "their kernel size",
        "taps": "what is joined besides the entry: `ends` of the blocks, `all` convolutions, the "
        "`last` block's input and convolutions, or numbers of convolutions from 1",
        "concat": "`new_first`: newest tap to oldest, main, cross; `old_first`: the reverse",
        "block": "what a computational block is: `conv`, or `dark`, `res`, `csp` as in `[csp]`",
        "repeat": "how often the block inside `csp` stands",
        "expand": "inner width of `dark`, `res`, `csp` as a share of `block_hidden`, above 0, at "
        "most 4",
        "tail": "1: a convolution of `size` follows each `dark`, `res`, `csp` block",
    }

    span: Span
    common: CommonKeys
    shared: SharedKeys
    hidden: int
    filters: int
    blocks: int
    convs: int
    block_hidden: int
    size: int
    entry: str
    taps: str | tuple[int, ...]  # a rule, or numbers of convolutions from 1
    old_first: bool
    block: str
    kernels: tuple[int, int]
    repeat: int
    expand_ratio: float
    tail: bool

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Elan:
        shared = SharedKeys.parse(options)
        hidden = options.required_integer("hidden", minimum=1, maximum=MAX_CHANNELS)
        blocks = options.integer("blocks", 2, minimum=1, maximum=MAX_BLOCKS)
        convs = options.integer("convs", 2, minimum=1, maximum=MAX_BLOCKS)
        block = options.choice("block", "conv", _BLOCKS)
        spec = cls(
            span=options.span,
            common=common,
            shared=shared,
            hidden=hidden,
            filters=options.integer("filters", 0, maximum=MAX_CHANNELS),
            blocks=blocks,
            convs=convs,
            block_hidden=channels(options, "block_hidden", hidden),
            size=options.integer("size", 3, minimum=1, maximum=MAX_KERNEL),
            entry=options.choice("csp", "pair", _ENTRIES),
            taps=_parse_taps(options, blocks * convs if block == "conv" else 0),
            old_first=options.choice("concat", "new_first", _ORDERS) == "old_first",
            block=block,
            kernels=kernel_pair(options),
            repeat=options.integer("repeat", 1, minimum=1, maximum=MAX_BLOCKS),
            expand_ratio=_parse_expand(options),
            tail=options.flag("tail", True),
        )
        spec._check_effects(options)
        return spec

    def _check_effects(self, options: Options) -> None:
        if self.block == "conv":
            forbid(options, ("kernels", "repeat", "expand", "tail", "stop_gradient"), "block=conv")
        else:
            forbid(options, ("convs",), f"block={self.block}")
        if self.block == "res":
            forbid(options, ("kernels",), "block=res")
        if self.block != "conv" and self.taps not in ("ends", "last"):
            forbid(options, ("taps",), f"block={self.block}, whose taps are its ends")
        if self.block != "conv" and not self.tail:
            forbid(options, ("size",), "tail=0")

    @property
    def depth(self) -> int:
        return self.blocks

    def expand(self, source: PartialShape) -> Sequence[Layer] | None:
        if self.entry == "slice" and source.channels is None:
            return None
        stage = self.shared.expansion(self.span)
        main, entry = self._enter(stage, source.channels)
        outputs = [self._add_block(stage) for _ in range(self.blocks)]
        taps = self._tapped(main, outputs)
        newest = list(reversed(taps))
        if self.old_first:
            stage.route(*reversed(entry), *taps)
        else:
            stage.route(*newest, *entry)
        if self.filters:
            stage.convolution(self.filters)
        return stage.layers

    def _enter(self, stage: Expansion, in_channels: int | None) -> tuple[int, list[int]]:
        """Adds the entry; the main path's layer, and the entry's part of the join, main first."""
        last_only = self.taps == "last" and self.blocks > 1
        if self.entry == "pair":
            cross = stage.convolution(self.hidden)
            stage.route(INPUT)
            main = stage.convolution(self.hidden)
            return main, [cross] if last_only else [main, cross]
        if self.entry == "none":
            return INPUT, [] if last_only else [INPUT]
        whole = stage.convolution(2 * self.hidden) if self.entry == "fused" else INPUT
        if self.entry == "slice" and (in_channels or 0) % 2:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.span,
                f"[elan] csp=slice cannot halve the {in_channels} channels of {{0}}",
                expected="an even number of channels",
            )
        leading = [stage.route(whole, groups=2, group_id=0)] if last_only else [whole]
        return stage.route(whole, groups=2, group_id=1), leading

    def _add_block(self, stage: Expansion) -> list[int]:
        """Adds one computational block; its outputs that can be tapped, the last one its end."""
        if self.block == "conv":
            return [stage.convolution(self.block_hidden, self.size) for _ in range(self.convs)]
        if self.block == "csp":
            self._add_csp_kernel(stage)
        else:
            for _ in range(self.repeat):
                self._add_residual_kernel(stage)
        if self.tail:
            stage.convolution(self.block_hidden, self.size)
        return [stage.last]

    @property
    def _inner(self) -> int:
        return share(self.expand_ratio, self.block_hidden)

    def _add_residual_kernel(self, stage: Expansion) -> None:
        start = stage.last
        if self.block == "res":
            stage.convolution(self._inner)
            stage.convolution(self._inner, 3)
            stage.convolution(self.block_hidden, activation="linear")
            stage.shortcut(start, activation=self.shared.activation)
            return
        stage.convolution(self._inner, self.kernels[0])
        stage.convolution(self.block_hidden, self.kernels[1])
        stage.shortcut(start)

    def _add_csp_kernel(self, stage: Expansion) -> None:
        start = stage.last
        cross = stage.convolution(self._inner)
        stage.route(start)
        stage.convolution(self._inner)
        for _ in range(self.repeat):
            inner_start = stage.last
            stage.convolution(self._inner, self.kernels[0])
            stage.convolution(self._inner, self.kernels[1])
            stage.shortcut(inner_start)
        stage.route(stage.last, cross)
        stage.convolution(self.block_hidden)

    def _tapped(self, main: int, outputs: list[list[int]]) -> list[int]:
        """The tapped layers, oldest first."""
        every = [layer for block in outputs for layer in block]
        if self.taps == "ends":
            return [block[-1] for block in outputs]
        if self.taps == "all":
            return every
        if self.taps == "last":
            before = [outputs[-2][-1]] if len(outputs) > 1 else []
            return before + outputs[-1]
        return [every[number - 1] for number in self.taps if isinstance(number, int)]


def _parse_taps(options: Options, convolutions: int) -> str | tuple[int, ...]:
    """`taps`: a rule's name, or numbers of convolutions from 1, counted through the stack."""
    if not options.is_numeric("taps"):
        return options.choice("taps", "ends", _TAPS)
    values = options.integers("taps", minimum=1, maximum=max(1, convolutions)) or []
    numbers = [value for value, _ in values]
    if numbers != sorted(set(numbers)):
        options.error(
            Rule.OUT_OF_RANGE,
            "taps",
            f"[elan] taps={', '.join(map(str, numbers))} does not rise",
            expected="numbers of convolutions, each once, in rising order",
        )
    return tuple(numbers)


def _parse_expand(options: Options) -> float:
    ratio = options.number("expand", 0.5)
    if not 0 < ratio <= 4:
        options.error(
            Rule.OUT_OF_RANGE,
            "expand",
            f"[elan] expand={ratio:g} is out of range",
            expected="above 0, at most 4",
        )
        return 0.5
    return ratio
