"""The [csp] or [elan] that replaces a stage's residual blocks, as text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from yolo_gp.errors import UsageError
from yolo_gp.layers.answers import GradientStop
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.partial_shortcut import PartialShortcut, share
from yolo_gp.layers.shortcut import Shortcut
from yolo_gp.nodes import Node
from yolo_gp.transform.settings import TransformSettings
from yolo_gp.transform.stages import Block, Stage
from yolo_gp.transform.widths import MULTIPLE, Factors, scaled

_DARK, _RES = 2, 3  # convolutions in a block of that kind


@dataclass(frozen=True, slots=True)
class _Form:
    """What all blocks of a stage have in common, as far as [csp] can say it.

    Fields:
        kind: `dark` or `res`, as in [csp].
        ratio: None where shortcuts are not masked.
    """

    kind: str
    kernels: tuple[int, ...]
    groups: int
    activation: str
    batch_norm: bool
    ratio: float | None
    stop: GradientStop


def csp_lines(stage: Stage, settings: TransformSettings, factors: Factors) -> list[str]:
    """A [csp] for the stage: same output, same number of blocks, bottlenecks as wide as they were.

    A bottleneck is never wider than the main path: in Darknet-53 that gives CSPDarknet-53's.

    Args:
        factors: on the widths that `csp_widths` lists, which are then multiples of 8.

    Raises:
        UsageError: the blocks are of a form that [csp] does not have.
    """
    form = _common_form(stage)
    defaults = {"fusion": "normal", "block": "dark", "kernels": "1,3", "groups": 1}
    kernels = ",".join(map(str, form.kernels)) if form.kind == "dark" else "1,3"
    values = (settings.fusion, form.kind, kernels, form.groups)
    options: list[tuple[str, object]] = [
        ("filters", stage.out_channels),
        *_csp_paths(stage, settings, form, factors),
        ("repeat", len(stage.blocks)),
        *(
            (key, value)
            for key, value in zip(defaults, values, strict=True)
            if value != defaults[key]
        ),
    ]
    if form.ratio is not None:
        options.append(("ratio", f"{form.ratio:g}"))
    options += _shared_options(form.activation, form.batch_norm)
    if form.stop != "none":
        options.append(("stop_gradient", form.stop))
    return ["[csp]", *(f"{key}={value}" for key, value in options)]


def csp_widths(stage: Stage, settings: TransformSettings) -> tuple[int, ...]:
    """The widths inside that can be changed without changing the output.

    Those of the main path, the cross path and the bottlenecks; without the closing transition the
    cross path's is part of the output, without any the main path's too.

    Raises:
        UsageError: as `csp_lines`.
    """
    _common_form(stage)
    hidden = share(settings.split, stage.out_channels)
    width = min(_bottleneck(stage), hidden)
    match settings.fusion:
        case "none":
            return (width,)
        case "last":
            return (hidden, width)
    return (hidden, max(1, stage.out_channels - hidden), width)


def _csp_paths(
    stage: Stage, settings: TransformSettings, form: _Form, factors: Factors
) -> Iterator[tuple[str, object]]:
    """The options that say how wide the paths are."""
    widths = csp_widths(stage, settings)
    *paths, width = map(scaled, widths, factors)
    width = scaled(widths[-1], factors[-1], math.lcm(MULTIPLE, form.groups))
    hidden = share(settings.split, stage.out_channels)
    if paths and any(factor != 1.0 for factor in factors):
        cross = paths[1] if len(paths) > 1 else max(1, stage.out_channels - hidden)
        yield from (("hidden", paths[0]), ("cross", cross))
        if settings.fusion == "last":
            yield "transition", stage.out_channels - cross
        hidden = paths[0]
    else:
        yield "split", f"{settings.split:g}"
    if width != hidden:
        yield "width", width


def elan_lines(stage: Stage, settings: TransformSettings, factors: Factors) -> list[str]:
    """An [elan] for the stage: same output; what it joins is as wide as that, about.

    Args:
        factors: on the widths that `elan_widths` lists.
    """
    hidden, block_hidden = map(scaled, elan_widths(stage, settings), factors)
    first = _convolution(stage.blocks[0].convolutions[0])
    options: list[tuple[str, object]] = [
        ("filters", stage.out_channels),
        ("hidden", hidden),
        *([] if block_hidden == hidden else [("block_hidden", block_hidden)]),
        ("blocks", _elan_blocks(settings)),
        ("convs", settings.convs),
        *_shared_options(first.activation, first.batch_norm),
    ]
    return ["[elan]", *(f"{key}={value}" for key, value in options)]


def elan_widths(stage: Stage, settings: TransformSettings) -> tuple[int, ...]:
    """The widths of the entry and of the blocks: `filters` over the number of maps joined.

    With two blocks that is a quarter, as in YOLOv7's backbone; multiples of 8.
    """
    joined = _elan_blocks(settings) + 2
    return (scaled(stage.out_channels, 1 / joined),) * 2


def _elan_blocks(settings: TransformSettings) -> int:
    return max(1, math.floor(settings.blocks * settings.depth + 0.5))


def _bottleneck(stage: Stage) -> int:
    return _convolution(stage.blocks[0].convolutions[0]).out_channels


def _shared_options(activation: str, batch_norm: bool) -> list[tuple[str, object]]:
    return [("activation", activation), *([] if batch_norm else [("batch_normalize", 0)])]


# -- the form of blocks --------------------------------------------------------------------------


def _common_form(stage: Stage) -> _Form:
    first, *others = (_form(block) for block in stage.blocks)
    if first is None or None in others:
        problem = "its blocks are of no form that [csp] has"
    elif any(form != first for form in others):
        problem = "its blocks are not all alike"
    else:
        return first
    raise UsageError(
        f"{stage} cannot become [csp]: {problem}\n"
        "expected: two convolutions and a linear [shortcut], or 1x1, 3x3 and linear 1x1 "
        "convolutions and a [shortcut] with the activation of the first\n"
        "help: leave the stage out with --stages"
    )


def _form(block: Block) -> _Form | None:
    """The block as [csp] would say it; None if it cannot."""
    convolutions = [_convolution(node) for node in block.convolutions]
    first, last = convolutions[0], convolutions[-1]
    after, ratio, stop = _shortcut(block.shortcut)
    if any(not _is_simple(c, first) for c in convolutions) or ratio is _UNSHARED:
        return None
    kernels = tuple(c.kernel_size for c in convolutions)
    activations = [c.activation for c in convolutions] + [after]
    inner = first.activation
    groups = [c.groups for c in convolutions]
    if len(kernels) == _DARK and activations == [inner, inner, "linear"] and groups == [1, 1]:
        return _Form("dark", kernels, 1, inner, first.batch_norm, ratio, stop)
    is_res = (
        len(kernels) == _RES
        and kernels == (1, 3, 1)
        and activations == [inner, inner, "linear", inner]
        and groups[0] == groups[2] == 1
        and first.out_channels == convolutions[1].out_channels
    )
    if is_res:
        return _Form("res", kernels, groups[1], inner, last.batch_norm, ratio, stop)
    return None


def _is_simple(convolution: Convolutional, first: Convolutional) -> bool:
    return (
        convolution.stride == (1, 1)
        and convolution.padding == convolution.kernel_size // 2
        and convolution.dilation == 1
        and convolution.batch_norm == first.batch_norm
        and not convolution.xnor
        and convolution.shared is None
        and convolution.blur is None
    )


_UNSHARED = math.inf
"""The ratio of a shortcut that names channels, which [csp] might not have."""


def _shortcut(node: Node) -> tuple[str, float | None, GradientStop]:
    """Activation, ratio and gradient stop of a block's shortcut."""
    layer = node.layer
    if isinstance(layer, PartialShortcut):
        ratio = _UNSHARED if layer.channels else layer.ratio
        return layer.activation, None if ratio == 1.0 else ratio, layer.stop
    assert isinstance(layer, Shortcut)
    return layer.activation, None, layer.stop


def _convolution(node: Node) -> Convolutional:
    assert isinstance(node.layer, Convolutional)
    return node.layer
