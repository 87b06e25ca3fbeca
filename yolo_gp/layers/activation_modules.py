"""Darknet's activations as torch functions and as a module (darknet.md 2.16)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMALIZATION_EPSILON = 1e-4


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
    return positive / (positive.sum(1, keepdim=True) + NORMALIZATION_EPSILON)


def _normalize_channels_softmax(x: Tensor) -> Tensor:
    powers = x.exp()
    return powers / (powers.sum(1, keepdim=True) + NORMALIZATION_EPSILON)


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
