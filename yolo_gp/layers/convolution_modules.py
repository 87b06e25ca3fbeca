"""The convolution of the cfg language in torch: plain, folded, binarised, packed for the CPU.

Shapes: N images, C channels, H rows, W columns; all maps are (N, C, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolo_gp.dialect import Dialect
from yolo_gp.layers.activation_modules import Activation
from yolo_gp.layers.parameter_modules import fill_uniformly


class Convolution(nn.Module):
    """Convolution, batch norm or bias, activation, blur.  (N, C, H, W) -> (N, filters, H', W').

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
        blur: nn.Module | None = None,
        dialect: Dialect = Dialect.DARKNET,
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
            nn.BatchNorm2d(out_channels, dialect.batch_norm_epsilon, dialect.batch_norm_momentum)
            if batch_norm
            else None
        )
        self.activation = Activation(activation, owns_input=True)
        self.xnor = xnor
        self.blur = blur

    def forward(self, x: Tensor) -> Tensor:
        x = self._convolve_signs(x) if self.xnor else self.convolution(x)
        if self.batch_norm is not None and not self.xnor:
            x = self.batch_norm(x)
        out: Tensor = self.activation(x)
        return out if self.blur is None else self.blur(out)

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


class Deconvolution(nn.Module):
    """Transposed convolution, batch norm or bias, activation.

    (N, C, H, W) -> (N, filters, (H - 1) stride + kernel - 2 padding, ...).
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        padding: int,
        batch_norm: bool,
        epsilon: float,
        activation: str,
    ) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size, stride, padding, bias=not batch_norm
        )
        self.batch_norm = nn.BatchNorm2d(out_channels, eps=epsilon) if batch_norm else None
        self.activation = Activation(activation, owns_input=True)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        weight, bias = self.convolution.weight, self.convolution.bias
        inputs = weight.shape[0] * weight[0, 0].numel()
        fill_uniformly(weight, 0.0, math.sqrt(2.0 / inputs), generator)
        if bias is not None:
            bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        if self.batch_norm is not None:
            x = self.batch_norm(x)
        out: Tensor = self.activation(x)
        return out


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
    compiles for CPUs. Other input sizes than the one given work too. A fused relu turns NaN into 0.
    """

    def __init__(self, folded: Convolution, input_size: tuple[int, int]) -> None:
        super().__init__()
        assert folded.batch_norm is None, "fold the batch norm first"
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
        self.blur = folded.blur

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
        return out if self.blur is None else self.blur(out)
