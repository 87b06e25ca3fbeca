"""The numbers a network trains with."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch

from yolo_gp.errors import UsageError
from yolo_gp.tasks.train_settings import TrainDtype


@dataclass(frozen=True, slots=True)
class Precision:
    """What forward passes compute with; weights, gradients and losses are float32 always.

    Fields:
        name: as the settings call it, "auto" resolved.
        scaler: keeps float16 gradients from vanishing; does nothing for other numbers.
    """

    name: TrainDtype
    device_type: str
    scaler: torch.amp.GradScaler

    @property
    def is_scaled(self) -> bool:
        """Whether gradients may overflow now and then, which the scaler sees to."""
        return bool(self.scaler.is_enabled())

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context of a forward pass."""
        if self.name == "float32":
            return contextlib.nullcontext()
        dtype = torch.float16 if self.name == "amp" else torch.bfloat16
        return torch.autocast(self.device_type, dtype)


def precision(name: TrainDtype, device: torch.device) -> Precision:
    """The numbers of that name on a device; "auto" is mixed precision on a GPU.

    Raises:
        UsageError: the device does not have them.
    """
    if name == "auto":
        name = "amp" if device.type == "cuda" else "float32"
    if name == "amp" and device.type == "cpu":
        raise UsageError(
            "--dtype amp needs a GPU: float16 gains nothing on a CPU\n"
            "expected: float32, or bfloat16 if the processor computes with it"
        )
    scaler = torch.amp.GradScaler(device.type, enabled=name == "amp")
    return Precision(name, device.type, scaler)
