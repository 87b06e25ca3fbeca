"""A training batch as one picture: what the network sees, with what it is asked to find."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor

from yolo_gp.files import write_atomically
from yolo_gp.losses.targets import Targets
from yolo_gp.plots.class_names import readable

_MOST = 16  # images on the page
_GAP = 4
_LETTERS = 11
_BACKGROUND = (255, 255, 255)
_MASK_OPACITY = 0.4
_GOLDEN_ANGLE = 137.5  # degrees: neighbours in number are far apart in colour
_FIRST_HUE = 215  # blue, which neither skin nor soil has


def write_batch(path: Path, images: Tensor, targets: Targets, names: Sequence[str]) -> None:
    """Write `batch_picture` to a PNG.

    Raises:
        DataError: the file cannot be written.
    """
    png = io.BytesIO()
    Image.fromarray(batch_picture(images, targets, names)).save(png, format="PNG")
    write_atomically(path, png.getvalue())


def batch_picture(images: Tensor, targets: Targets, names: Sequence[str]) -> NDArray[np.uint8]:
    """The first 16 images of a batch, in rows, with their boxes, classes and masks.

    Args:
        images: (N, C, h, w) in 0..1; of 4 channels the alpha is left out.
        targets: the objects in them.
        names: by class id; classes without one are shown by their number.

    Returns:
        (H, W, 3) uint8.
    """
    shown = images[:_MOST]
    columns = max(1, math.ceil(math.sqrt(len(shown))))
    rows = max(1, math.ceil(len(shown) / columns))
    height, width = images.shape[2:]
    size = columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP
    page = Image.new("RGB", size, _BACKGROUND)
    for number in range(len(shown)):
        row, column = divmod(number, columns)
        tile = _tile(shown[number], targets, number, names)
        page.paste(tile, (column * (width + _GAP), row * (height + _GAP)))
    return np.asarray(page)


def _tile(image: Tensor, targets: Targets, number: int, names: Sequence[str]) -> Image.Image:
    """One image (C, h, w) with its objects."""
    pixels = (image.cpu()[:3] * 255).round().byte().permute(1, 2, 0).numpy()
    rgb = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels.copy()
    height, width = rgb.shape[:2]
    mine = (targets.image.cpu() == number).nonzero().flatten().tolist()
    if targets.masks is not None:
        for index in mine:
            _tint(rgb, targets.masks[index].cpu().numpy(), _color(int(targets.class_ids[index])))
    tile = Image.fromarray(rgb)
    painter = ImageDraw.Draw(tile)
    font = ImageFont.load_default(size=_LETTERS)
    for index in mine:
        class_id = int(targets.class_ids[index])
        x, y, w, h = targets.boxes_cxcywh_norm[index].tolist()
        left, right = round((x - w / 2) * width), round((x + w / 2) * width)
        top, bottom = round((y - h / 2) * height), round((y + h / 2) * height)
        color = _color(class_id)
        # Pillow's rectangles contain their right and bottom edge
        painter.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=color)
        _write(painter, font, (left, top), _name(class_id, names), color)
    return tile


def _write(
    painter: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    corner: tuple[int, int],
    text: str,
    color: tuple[int, int, int],
) -> None:
    """A label on top of a box, or inside where there is no room above."""
    left, top = corner
    place = left, top - _LETTERS - 2 if top > _LETTERS else top
    box = painter.textbbox(place, text, font=font)
    painter.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), fill=color)
    painter.text(place, text, fill=_ink(color), font=font)


def _name(class_id: int, names: Sequence[str]) -> str:
    return readable(names[class_id], class_id) if class_id < len(names) else str(class_id)


def _color(class_id: int) -> tuple[int, int, int]:
    hue = (_FIRST_HUE + class_id * _GOLDEN_ANGLE) % 360
    red, green, blue = ImageColor.getrgb(f"hsv({hue:.1f}, 90%, 95%)")[:3]
    return red, green, blue


def _ink(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black on light colours, white on dark ones, by luma.  Source: ITU-R BT.601."""
    red, green, blue = color
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


def _tint(rgb: NDArray[np.uint8], cells: NDArray[np.bool_], color: tuple[int, int, int]) -> None:
    """Mix a colour into the pixels (h, w, 3) that the cells of a mask cover, in place."""
    rows = np.arange(rgb.shape[0]) * cells.shape[0] // rgb.shape[0]
    columns = np.arange(rgb.shape[1]) * cells.shape[1] // rgb.shape[1]
    inside = cells[rows[:, None], columns]
    mixed = rgb[inside] * (1 - _MASK_OPACITY) + np.array(color) * _MASK_OPACITY
    rgb[inside] = np.rint(mixed).astype(np.uint8)
