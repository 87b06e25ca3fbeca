"""The torch modules that torch itself lacks. Imported by the layer files when a network is built.

Shapes: N images, C channels, H rows, W columns; all maps are (N, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BATCH_NORM_EPSILON = 1e-5
_RELU_WEIGHT_FLOOR = 0.001  # Darknet's, once its weights are prepared for inference
_NORMALIZATION_EPSILON = 1e-4


def _ramp(x: Tensor) -> Tensor:
    return F.relu(x) + 0.1 * x


def _plse(x: Tensor) -> Tensor:
    middle = 0.125 * x + 0.5
    return torch.where(x < -4, 0.01 * (x + 4), torch.where(x > 4, 0.01 * (x - 4) + 1, middle))


def _stair(x: Tensor) -> Tensor:
    floor = x.floor()
    half = (x / 2).floor()
    return torch.where(floor % 2 == 0, half, (x - floor) + half)


def _lhtan(x: Tensor) -> Tensor:
    return torch.where(x < 0, 0.001 * x, torch.where(x > 1, 0.001 * (x - 1) + 1, x))


def _hard_mish(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.where(x > -2, x * x / 2 + x, torch.zeros_like(x)))


def _normalize_channels(x: Tensor) -> Tensor:
    positive = F.relu(x)
    return positive / (positive.sum(1, keepdim=True) + _NORMALIZATION_EPSILON)


def _normalize_channels_softmax(x: Tensor) -> Tensor:
    powers = x.exp()
    return powers / (powers.sum(1, keepdim=True) + _NORMALIZATION_EPSILON)


def _normalize_channels_softmax_maxval(x: Tensor) -> Tensor:
    return _normalize_channels_softmax(x - x.amax(1, keepdim=True))


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


def _relie(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.01)


def _gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _selu(x: Tensor) -> Tensor:  # Darknet's rounded constants, not torch's
    return 1.0507 * torch.where(x >= 0, x, 1.6732 * torch.expm1(x))


def _identity(x: Tensor) -> Tensor:
    return x


def _loggy(x: Tensor) -> Tensor:
    return 2.0 * torch.sigmoid(x) - 1.0


ACTIVATION_FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "linear": _identity,
    "logistic": torch.sigmoid,
    "loggy": _loggy,
    "relu": F.relu,
    "relu6": F.relu6,
    "elu": F.elu,
    "selu": _selu,
    "gelu": _gelu,
    "relie": _relie,
    "ramp": _ramp,
    "leaky": _leaky,
    "revleaky": _leaky,
    "tanh": torch.tanh,
    "plse": _plse,
    "stair": _stair,
    "hardtan": F.hardtanh,
    "lhtan": _lhtan,
    "swish": F.silu,
    "mish": F.mish,
    "hard_mish": _hard_mish,
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_channels_softmax,
    "normalize_channels_softmax_maxval": _normalize_channels_softmax_maxval,
}
# Applied to a map that nobody else reads and that autograd does not need: saves one map.
_IN_PLACE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "leaky": lambda x: F.leaky_relu_(x, 0.1),
    "revleaky": lambda x: F.leaky_relu_(x, 0.1),
    "logistic": torch.sigmoid_,
    "swish": lambda x: F.silu(x, inplace=True),
    "mish": lambda x: F.mish(x, inplace=True),
}


class Activation(nn.Module):
    """Darknet's activation of a given name, element by element (darknet.md 2.16).

    Args:
        owns_input: the input is a fresh map of its caller's, and may be overwritten at inference.
    """

    def __init__(self, name: str, *, owns_input: bool = False) -> None:
        super().__init__()
        self.name = name
        self.owns_input = owns_input and name in _IN_PLACE

    def forward(self, x: Tensor) -> Tensor:
        if self.owns_input and not self.training and not x.requires_grad:
            return _IN_PLACE[self.name](x)
        return ACTIVATION_FUNCTIONS[self.name](x)

    def extra_repr(self) -> str:
        return self.name


class Convolution(nn.Module):
    """Convolution, batch norm or bias, activation.  (N, C, H, W) -> (N, filters, H', W').

    `fold_batch_norm` turns it, for good, into a plain convolution with bias. With `xnor` the
    folded weights and the input are replaced by their signs (the weights by sign times the
    filter's mean magnitude), and the padding counts as -1.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: tuple[int, int],
        padding: int,
        dilation: int,
        groups: int,
        batch_norm: bool,
        activation: str,
        xnor: bool,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias=not batch_norm,
        )
        self.batch_norm = (
            nn.BatchNorm2d(out_channels, eps=_BATCH_NORM_EPSILON) if batch_norm else None
        )
        self.activation = Activation(activation, owns_input=True)
        self.xnor = xnor

    def forward(self, x: Tensor) -> Tensor:
        x = self._convolve_signs(x) if self.xnor else self.convolution(x)
        if self.batch_norm is not None and not self.xnor:
            x = self.batch_norm(x)
        out: Tensor = self.activation(x)
        return out

    def _convolve_signs(self, x: Tensor) -> Tensor:
        if self.training:
            raise NotImplementedError("training of xnor convolutions is not supported")
        weight, bias = self.folded_parameters()
        magnitude = weight.abs().mean(dim=(1, 2, 3), keepdim=True)
        weight = torch.where(weight > 0, magnitude, -magnitude)
        plan = self.convolution
        pad_y, pad_x = (int(p) for p in plan.padding)
        signs = torch.where(x > 0, 1.0, -1.0).to(x)
        signs = F.pad(signs, (pad_x, pad_x, pad_y, pad_y), value=-1.0)
        return F.conv2d(signs, weight, bias, plan.stride, 0, plan.dilation, plan.groups)

    def folded_parameters(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the plain convolution that equals this one at inference.

        Worked out in double precision and stored in single, as AlexeyAB's Darknet does.
        """
        plain, norm = self.convolution, self.batch_norm
        if norm is None:
            assert plain.bias is not None
            return plain.weight, plain.bias
        assert norm.running_mean is not None and norm.running_var is not None
        gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = (plain.weight.double() * gain.reshape(-1, 1, 1, 1)).to(plain.weight.dtype)
        bias = (norm.bias.double() - gain * norm.running_mean.double()).to(plain.weight.dtype)
        return weight, bias

    @torch.no_grad()
    def fold_batch_norm(self) -> None:
        """Replace batch norm by a bias. Inference is the same; training is no longer possible."""
        if self.batch_norm is None:
            return
        weight, bias = self.folded_parameters()
        self.convolution.weight.copy_(weight)
        self.convolution.bias = nn.Parameter(bias, requires_grad=False)
        self.batch_norm = None

    def share_parameters_of(self, owner: Convolution) -> None:
        """Use the owner's tensors in place of one's own (Darknet's share_index)."""
        self.convolution.weight = owner.convolution.weight
        self.convolution.bias = owner.convolution.bias
        self.batch_norm = owner.batch_norm


# What oneDNN applies inside a convolution: our name -> its name and parameters.
_FUSED_ACTIVATIONS: Mapping[str, tuple[str, list[float]]] = {
    "linear": ("none", []),
    "relu": ("relu", []),
    "leaky": ("leaky_relu", [0.1]),
    "revleaky": ("leaky_relu", [0.1]),
    "logistic": ("sigmoid", []),
    "tanh": ("tanh", []),
    "swish": ("swish", []),
}


class PackedConvolution(nn.Module):
    """A folded Convolution for inference on the CPU, about a third to a half faster.

    The weights lie in oneDNN's own layout, worked out once, and the activation runs inside the
    convolution while the output is in the cache. torch uses the same two operators when it
    compiles for CPUs. Other input sizes than the one given work too.
    """

    def __init__(self, folded: Convolution, input_size: tuple[int, int]) -> None:
        super().__init__()
        plain = folded.convolution
        self.plan = (
            [int(p) for p in plain.padding],
            list(plain.stride),
            list(plain.dilation),
            plain.groups,
        )
        shape = [1, plain.in_channels, *input_size]
        pack = torch.ops.mkldnn._reorder_convolution_weight
        self.register_buffer("weight", pack(plain.weight, *self.plan, shape), persistent=False)
        self.register_buffer("bias", plain.bias, persistent=False)
        name = folded.activation.name
        self.fused = _FUSED_ACTIVATIONS.get(name, ("none", []))
        self.after = Activation("linear" if name in _FUSED_ACTIVATIONS else name, owns_input=True)

    @staticmethod
    def is_available() -> bool:
        """Whether this build of torch has the operators."""
        built_in: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        return built_in and all(
            hasattr(torch.ops.mkldnn, name)
            for name in ("_reorder_convolution_weight", "_convolution_pointwise")
        )

    def forward(self, x: Tensor) -> Tensor:
        convolve = torch.ops.mkldnn._convolution_pointwise
        name, parameters = self.fused
        out: Tensor = convolve(x, self.weight, self.bias, *self.plan, name, parameters, "")
        if self.after.name != "linear":
            out = self.after(out)
        return out


class Connected(nn.Module):
    """Fully connected layer over the flattened input.  (N, C, H, W) -> (N, outputs, 1, 1)."""

    def __init__(self, inputs: int, outputs: int, batch_norm: bool, activation: str) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=not batch_norm)
        self.batch_norm = nn.BatchNorm1d(outputs, eps=_BATCH_NORM_EPSILON) if batch_norm else None
        self.activation = Activation(activation, owns_input=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x.flatten(1))
        if self.batch_norm is not None:
            x = self.batch_norm(x)
        out: Tensor = self.activation(x[:, :, None, None])
        return out


def _one_sided(padding: int) -> tuple[int, int]:
    """Darknet's split of a total padding: half of it, rounded down, before."""
    return padding // 2, padding - padding // 2


class MaxPool(nn.Module):
    """Largest value of each window; taps outside the map do not count.

    `padding` is the total per axis.  Source: Darknet src/maxpool_layer.c.
    """

    def __init__(self, kernel_size: int, stride: tuple[int, int], padding: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        before, after = _one_sided(padding)
        self.even = before == after and before <= kernel_size // 2
        # Windows that start inside the map and end beyond it are what ceil_mode adds.
        self.ceil = before == 0 and stride == (padding + 1, padding + 1)
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        if self.even and self.stride == (1, 1) and self.kernel_size >= 5:
            # A large window is the maximum over rows of the maximum over columns: k + k taps
            # for k * k.
            size, pad = self.kernel_size, self.before
            x = F.max_pool2d(x, (1, size), 1, (0, pad))
            return F.max_pool2d(x, (size, 1), 1, (pad, 0))
        if self.even:
            return F.max_pool2d(x, self.kernel_size, self.stride, self.before)
        if self.ceil:
            return F.max_pool2d(x, self.kernel_size, self.stride, ceil_mode=True)
        sides = (self.before, self.after, self.before, self.after)
        x = F.pad(x, sides, value=float("-inf"))
        return F.max_pool2d(x, self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, stride={self.stride}, padding={self.before}+{self.after}"


class LocalAvgPool(nn.Module):
    """Mean over each window's pixels inside the map. `padding` is the total per axis."""

    def __init__(self, kernel_size: int, stride: tuple[int, int], padding: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.sides = _one_sided(padding) * 2

    def forward(self, x: Tensor) -> Tensor:
        inside = self._window_sum(torch.ones_like(x[:1, :1]))
        return self._window_sum(x) / inside

    def _window_sum(self, x: Tensor) -> Tensor:
        padded = F.pad(x, self.sides)
        return F.avg_pool2d(padded, self.kernel_size, self.stride, divisor_override=1)


class Concat(nn.Module):
    """Joins the channels of its inputs; one input passes as it is."""

    def forward(self, *maps: Tensor) -> Tensor:
        return maps[0] if len(maps) == 1 else torch.cat(maps, dim=1)


class ConcatSlices(nn.Module):
    """Joins slice number `group_id` of each input's channels; slice i has `widths[i]` channels."""

    def __init__(self, widths: tuple[int, ...], group_id: int) -> None:
        super().__init__()
        self.widths = widths
        self.group_id = group_id

    def forward(self, *maps: Tensor) -> Tensor:
        slices = [
            x.narrow(1, width * self.group_id, width)
            for x, width in zip(maps, self.widths, strict=True)
        ]
        return slices[0] if len(slices) == 1 else torch.cat(slices, dim=1)


def _overlay(x: Tensor, source: Tensor, channels: int, step: int, spread: int) -> Tensor:
    """x plus the source's first `channels` channels, every step-th pixel, put spread apart."""
    addend = source[:, :channels, ::step, ::step]
    if spread == 1 and channels == x.shape[1]:
        return x + addend
    target = x.clone()
    target[:, :channels, ::spread, ::spread] += addend
    return target


class Shortcut(nn.Module):
    """activation(x + sources), each over its `(channels, step, spread)`.  Shape of x."""

    def __init__(self, overlaps: tuple[tuple[int, int, int], ...], activation: str) -> None:
        super().__init__()
        self.overlaps = overlaps
        self.activation = Activation(activation, owns_input=True)

    def forward(self, x: Tensor, *sources: Tensor) -> Tensor:
        for source, overlap in zip(sources, self.overlaps, strict=True):
            x = _overlay(x, source, *overlap)
        out: Tensor = self.activation(x)
        return out


class WeightedShortcut(nn.Module):
    """activation(w_0 x + sum_i w_i source_i) with learned w, (1 + sources, 1 or C).

    At inference relu-normalised weights are kept above 0.001, as Darknet's prepared ones are.
    """

    def __init__(
        self,
        overlaps: tuple[tuple[int, int, int], ...],
        activation: str,
        weights_per_map: int,
        normalization: str,
    ) -> None:
        super().__init__()
        self.overlaps = overlaps
        self.normalization = normalization
        self.weight = nn.Parameter(torch.empty(1 + len(overlaps), weights_per_map))
        self.activation = Activation(activation, owns_input=True)

    def reset_parameters(self) -> None:
        """All weights 1, as Darknet starts them."""
        nn.init.ones_(self.weight)

    def normalized_weight(self) -> Tensor:
        """The factors that are applied, (1 + sources, 1 or C)."""
        if self.normalization == "none":
            return self.weight
        if self.normalization == "relu":
            floor = 0.0 if self.training else _RELU_WEIGHT_FLOOR
            powers = self.weight.clamp(min=floor)
        else:
            powers = (self.weight - self.weight.amax(0, keepdim=True)).exp()
        return powers / (powers.sum(0, keepdim=True) + _NORMALIZATION_EPSILON)

    def forward(self, x: Tensor, *sources: Tensor) -> Tensor:
        weight = self.normalized_weight()[:, :, None, None]
        x = x * weight[0]
        for factor, source, overlap in zip(weight[1:], sources, self.overlaps, strict=True):
            channels = overlap[0]
            x = _overlay(x, source[:, :channels] * factor[:channels], *overlap)
        out: Tensor = self.activation(x)
        return out


class Product(nn.Module):
    """activation(source * x), x broadcast over the source."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.activation = Activation(activation, owns_input=True)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        out: Tensor = self.activation(source * x)
        return out


class NearestUpsample(nn.Module):
    """Repeats each pixel stride x stride times, times `scale`."""

    def __init__(self, stride: int, scale: float) -> None:
        super().__init__()
        self.stride = stride
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=float(self.stride), mode="nearest")
        return x if self.scale == 1.0 else x * self.scale


class BlockSum(nn.Module):
    """Sums each stride x stride block, times `scale`."""

    def __init__(self, stride: int, scale: float) -> None:
        super().__init__()
        self.stride = stride
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.stride, divisor_override=1) * self.scale


class Reorg(nn.Module):
    """Darknet's `[reorg]` shuffle; see layers/reorg.py."""

    def __init__(self, stride: int, reverse: bool) -> None:
        super().__init__()
        self.stride = stride
        self.reverse = reverse

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        s = self.stride
        x = x.contiguous()
        if self.reverse:
            shuffled = x.reshape(n, s, s, c // s**2, h, w).permute(0, 3, 4, 1, 5, 2)
            return shuffled.reshape(n, c // s**2, h * s, w * s)
        shuffled = x.reshape(n, c // s**2, h, s, w, s).permute(0, 3, 5, 1, 2, 4)
        return shuffled.reshape(n, c * s**2, h // s, w // s)


class Softmax(nn.Module):
    """softmax(x / temperature) over all elements, over equal parts, or per pixel."""

    def __init__(self, groups: int, temperature: float, spatial: bool) -> None:
        super().__init__()
        self.groups = groups
        self.temperature = temperature
        self.spatial = spatial

    def forward(self, x: Tensor) -> Tensor:
        if self.spatial:
            return torch.softmax(x / self.temperature, dim=1)
        parts = x.reshape(x.shape[0], self.groups, -1)
        return torch.softmax(parts / self.temperature, dim=2).reshape(x.shape)


class YoloActivation(nn.Module):
    """What Darknet's `[yolo]` hands to a layer that reads it: the map with sigmoids applied."""

    def __init__(self, slots: int, scale_x_y: float, new_coords: bool) -> None:
        super().__init__()
        self.slots = slots
        self.scale_x_y = scale_x_y
        self.new_coords = new_coords

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.reshape(n, self.slots, c // self.slots, h, w)
        xy, wh, rest = parts[:, :, 0:2], parts[:, :, 2:4], parts[:, :, 4:]
        if not self.new_coords:
            xy, rest = xy.sigmoid(), rest.sigmoid()
        xy = xy * self.scale_x_y - 0.5 * (self.scale_x_y - 1.0)
        return torch.cat((xy, wh, rest), dim=2).reshape(n, c, h, w)
