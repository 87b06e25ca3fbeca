"""The keys of [convolutional] that say more than a number, and how they hang together."""

from __future__ import annotations

from yolo_gp.dialect import Dialect
from yolo_gp.layers.activations import CONVOLUTION_ACTIVATIONS, parse_activation
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule

_MAX_KERNEL = 1024


def parse_kernel_size(options: Options) -> int:
    """Read `size`."""
    span = options.span_of("size")
    if options.dialect is Dialect.YOLOR and "size" in options and "," in span.text:
        options.integers("size")
        options.error(
            Rule.UNSUPPORTED,
            "size",
            f"[convolutional] size={span.text}: kernels of several sizes in one section (MixConv) "
            "are not supported",
            expected="one size",
        )
        return 1
    return options.integer("size", 1, minimum=1, maximum=_MAX_KERNEL)


def parse_stride(options: Options) -> tuple[int, int]:
    """Read `stride`, `stride_y` and `stride_x`: (y, x)."""
    both = options.integer("stride", 1, minimum=1)
    return (
        options.integer("stride_y", both, minimum=1),
        options.integer("stride_x", both, minimum=1),
    )


def parse_padding(options: Options, kernel_size: int) -> int:
    """Read `pad` and `padding`: pixels on each of the four sides."""
    explicit = options.integer("padding", 0, maximum=_MAX_KERNEL)
    if not options.flag("pad"):
        return explicit
    trusted = options.trusts("size", "padding")
    if trusted and "padding" in options and explicit != kernel_size // 2:
        options.warning(
            Rule.NO_EFFECT,
            "padding",
            f"[{options.kind}] padding={explicit} has no effect beside pad=1, which sets "
            f"size // 2 = {kernel_size // 2}",
            help="remove pad=1 to use the padding given",
        )
    return kernel_size // 2


def parse_groups(options: Options, xnor: bool) -> int:
    """Read `groups`, which xnor makes 1."""
    groups = options.integer("groups", 1, minimum=1, maximum=MAX_CHANNELS)
    if xnor and groups > 1:
        options.warning(
            Rule.NO_EFFECT,
            "groups",
            f"[convolutional] groups={groups} has no effect beside xnor=1",
            help="remove groups or xnor",
        )
    return 1 if xnor else groups


def parse_dilation(options: Options, kernel_size: int, padding: int) -> int:
    """Read `dilation`; where Darknet would compute another map than it declares, an error."""
    dilation = options.integer("dilation", 1, minimum=1, maximum=_MAX_KERNEL)
    if kernel_size == 1:
        return 1  # Darknet forces it
    known = options.trusts("dilation", "size", "padding", "pad")
    if known and dilation > 1 and 2 * padding != kernel_size - 1:
        options.error(
            Rule.EMPTY_OUTPUT,
            "dilation",
            f"[convolutional] dilation={dilation} with size={kernel_size} and padding {padding}: "
            "Darknet's declared map and its arithmetic differ in size",
            expected="an odd size with pad=1, or dilation=1",
        )
    return dilation


def warn_of_coordconv(options: Options) -> None:
    """Read `coordconv`, of which nothing but a warning comes."""
    if options.flag("coordconv"):
        options.warning(
            Rule.COORDCONV,
            "coordconv",
            "[convolutional] coordconv=1 does nothing on Darknet's CPU build and overwrites a few "
            "numbers of the map on its GPU build; it does nothing here",
            help="remove the line",
        )


def parse_convolution_activation(options: Options, common: CommonKeys) -> str:
    """Read `activation`; without one it is Darknet's default, and a warning."""
    if common.before_head:
        return _linear(options)
    if "activation" not in options:
        options.warning(
            Rule.SILENT_DEFAULT,
            "activation",
            "[convolutional] has no activation; Darknet takes logistic, OpenCV linear; "
            "logistic is used here",
            help="write activation=linear or activation=logistic",
        )
    return parse_activation(options, "logistic", computed=CONVOLUTION_ACTIVATIONS)


def _linear(options: Options) -> str:
    """The activation before a head that takes the sigmoids itself."""
    name = parse_activation(options, "linear", computed=CONVOLUTION_ACTIVATIONS)
    if name != "linear" and options.trusts("activation"):
        options.warning(
            Rule.NO_EFFECT,
            "activation",
            f"[convolutional] activation={name} has no effect before a head of the YOLOR dialect, "
            "which takes the sigmoids itself",
            help="write activation=linear",
        )
    return "linear"
