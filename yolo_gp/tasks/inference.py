"""What running any network takes: a device, numbers to compute with, images, folded layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import fx

from yolo_gp.data.images import decode_image, with_channels
from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import os_reason
from yolo_gp.graph import Graph
from yolo_gp.network import fold_batch_norm, pack_for_cpu, to_channels_last

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

ImageLike = str | Path | Image.Image | NDArray[np.uint8]


def made_ready(
    network: fx.GraphModule, graph: Graph, device: torch.device, dtype: torch.dtype
) -> fx.GraphModule:
    """The network itself, made quick, in place and for inference only.

    Its batch norms are folded, its convolutions laid out and packed for where it computes.
    """
    fold_batch_norm(network, graph)
    network.requires_grad_(False).to(device, dtype)
    to_channels_last(network)
    if device.type == "cpu" and dtype == torch.float32:
        pack_for_cpu(network, graph)
    return network


def find_dtype(name: str) -> torch.dtype:
    """The numbers of that name, to compute with.

    Raises:
        UsageError: they are none that a network computes with.
    """
    if name not in _DTYPES:
        raise UsageError(f"dtype {name} is none of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def find_device(name: str) -> torch.device:
    """The torch device of that name.

    Raises:
        UsageError: no such device on this machine.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"device {name} cannot be used: {reason}\nhelp: use --device cpu"
        ) from error
    return device


def as_array(image: ImageLike, channels: int) -> NDArray[np.uint8]:
    """An image as (H, W, channels) uint8.

    Raises:
        DataError: it cannot be read, or is no 8-bit image.
    """
    if isinstance(image, str | Path):
        try:
            with Path(image).open("rb") as file:
                return decode_image(file, channels)
        except OSError as error:
            raise DataError(f"cannot read {image}: {os_reason(error)}") from error
        except DataError as error:
            raise DataError(f"{image}: {error}") from error
    if isinstance(image, Image.Image):
        return with_channels(np.asarray(image.convert("RGB")), channels)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] not in (3, 4):
        raise DataError(
            f"an image is an array (H, W, 3) or (H, W) of uint8; this one is "
            f"{image.shape} of {image.dtype}"
        )
    return with_channels(image, channels)
