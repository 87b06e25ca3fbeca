"""The other torch modules that torch itself lacks; imported when a network is built.

Shapes: N images, C channels, H rows, W columns; all maps are (N, C, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolo_gp.dialect import Dialect
from yolo_gp.layers.activation_modules import NORMALIZATION_EPSILON, Activation

_RELU_WEIGHT_FLOOR = 0.001  # Darknet's, once its weights are prepared for inference


class Connected(nn.Module):
    """Fully connected layer over the flattened input.  (N, C, H, W) -> (N, outputs, 1, 1)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        batch_norm: bool,
        activation: str,
        dialect: Dialect = Dialect.DARKNET,
    ) -> None:
        super().__init__()
        epsilon, momentum = dialect.batch_norm_epsilon, dialect.batch_norm_momentum
        self.linear = nn.Linear(inputs, outputs, bias=not batch_norm)
        self.batch_norm = nn.BatchNorm1d(outputs, epsilon, momentum) if batch_norm else None
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


class ScaledShortcut(nn.Module):
    """activation(alpha x + beta source) over `(channels, step, spread)`, of x elsewhere."""

    def __init__(
        self, overlap: tuple[int, int, int], activation: str, alpha: float, beta: float
    ) -> None:
        super().__init__()
        self.overlap = overlap
        self.alpha = alpha
        self.beta = beta
        self.activation = Activation(activation, owns_input=True)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        channels, step, spread = self.overlap
        target = x.clone()
        met = target[:, :channels, ::spread, ::spread]
        met.mul_(self.alpha).add_(source[:, :channels, ::step, ::step], alpha=self.beta)
        out: Tensor = self.activation(target)
        return out


class WeightedShortcut(nn.Module):
    """activation(w_0 x + sum_i w_i source_i) with learned w, (1 + sources, 1 or C).

    At inference relu-normalised weights are kept above 0.001, as Darknet's prepared ones are.
    "sigmoid" is the YOLOR dialect's: 2 sigmoid(w) / addends.
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
        """All weights 1, as Darknet starts them; 0 for sigmoids, as YOLOR's code does."""
        nn.init.constant_(self.weight, 0.0 if self.normalization == "sigmoid" else 1.0)

    def normalized_weight(self) -> Tensor:
        """The factors that are applied, (1 + sources, 1 or C)."""
        if self.normalization == "none":
            return self.weight
        if self.normalization == "sigmoid":
            return self.weight.sigmoid() * (2 / len(self.weight))
        if self.normalization == "relu":
            floor = 0.0 if self.training else _RELU_WEIGHT_FLOOR
            powers = self.weight.clamp(min=floor)
        else:
            powers = (self.weight - self.weight.amax(0, keepdim=True)).exp()
        return powers / (powers.sum(0, keepdim=True) + NORMALIZATION_EPSILON)

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
        # Not divisor_override=1, which torch's ONNX exporter takes for the window's area.
        return F.avg_pool2d(x, self.stride) * (self.stride**2 * self.scale)


class Crop(nn.Module):
    """The middle of each map, (height, width) = `size`; `adjusts` makes 2 x - 1 of x."""

    def __init__(self, size: tuple[int, int], adjusts: bool) -> None:
        super().__init__()
        self.size = size
        self.adjusts = adjusts

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        x = x[:, :, top : top + height, left : left + width]
        return 2.0 * x - 1.0 if self.adjusts else x


class ZeroChannels(nn.Module):
    """`count` channels of zeros behind those of the input."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, 0, self.count))


class LeadingSigmoid(nn.Module):
    """The sigmoid of the first `count` channels; the others as they are."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x[:, : self.count].sigmoid(), x[:, self.count :]), dim=1)


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
    """What Darknet's `[yolo]` hands to a layer that reads it: the map with sigmoids applied.

    Each slot's entries are x, y, w, h, objectness, classes, and `masks` coefficients, which stay
    as they are. `sigmoid` says that the map arrives without them, `sigmoid_sizes` that w and h
    take one too.
    """

    def __init__(
        self, slots: int, scale_x_y: float, *, masks: int, sigmoid: bool, sigmoid_sizes: bool
    ) -> None:
        super().__init__()
        self.slots = slots
        self.scale_x_y = scale_x_y
        self.masks = masks
        self.sigmoid = sigmoid
        self.sigmoid_sizes = sigmoid_sizes

    def forward(self, x: Tensor, *_prototypes: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.reshape(n, self.slots, c // self.slots, h, w)
        scored = parts.shape[2] - 4 - self.masks
        xy, wh, rest, coefficients = torch.split(parts, [2, 2, scored, self.masks], dim=2)
        if self.sigmoid:
            xy, rest = xy.sigmoid(), rest.sigmoid()
        if self.sigmoid_sizes:
            wh = wh.sigmoid()
        xy = xy * self.scale_x_y - 0.5 * (self.scale_x_y - 1.0)
        return torch.cat((xy, wh, rest, coefficients), dim=2).reshape(n, c, h, w)


class AnchorFreeActivation(nn.Module):
    """What `[anchor_free]` hands to a layer that reads it; see layers/anchor_free.py."""

    def __init__(self, bins: int, branches: int) -> None:
        super().__init__()
        self.bins = bins
        self.branches = branches

    def forward(self, *sources: Tensor) -> Tensor:
        box, classes, *coefficients = sources[: self.branches]
        n, c, h, w = box.shape
        distances = expected_bin(box.reshape(n, c // self.bins, self.bins, h, w), dim=2)
        return torch.cat((distances, classes.sigmoid(), *coefficients), dim=1)


def expected_bin(logits: Tensor, dim: int) -> Tensor:
    """The mean bin number under the softmax of `logits` along `dim`, which disappears."""
    bins = torch.arange(logits.shape[dim], dtype=logits.dtype, device=logits.device)
    return logits.softmax(dim).movedim(dim, -1) @ bins
