"""A page of the worst misses: each cut out of its image, with what stands there and what was found.

Boxes are left, top, right, bottom in pixels; sizes are (height, width), but for Pillow's.
"""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from yolo_gp.files import write_atomically
from yolo_gp.metrics.misses import Miss, MissKind
from yolo_gp.metrics.records import EvaluatedImage

_COLUMNS = 4
_PICTURE = (240, 320)  # height and width of a cut-out on the page
_MARGIN = 8
_LINE = 18  # height of a line of text
_CAPTION = 2 * _LINE + 2
_LETTERS = 13  # size of the font
_CONTEXT = 1.6  # a cut-out is so many times as large as what it is about
_SMALLEST = 48  # pixels of the image, the least height of a cut-out

_TRUE, _FOUND = (0, 158, 255), (255, 140, 0)  # blue and orange: told apart by nearly everybody
_THICK, _THIN = 3, 1
_BACKGROUND, _INK = (255, 255, 255), (20, 20, 20)

_Box = tuple[float, float, float, float]
_Color = tuple[int, int, int]


def write_misses(
    path: Path,
    images: Sequence[EvaluatedImage],
    misses: Sequence[Miss],
    names: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8]],
) -> None:
    """Write the misses to one PNG, four a row, in their order.

    A thick blue box is the object that was missed or meant, a thick orange one the detection that
    is wrong; thin blue boxes are the other objects. An image is read once for each of its misses.

    Args:
        path: of the PNG.
        images: what was evaluated, which `misses` number.
        names: by class id.
        read_image: the upright image (H, W, 3), RGB uint8, by image id.

    Raises:
        DataError: the file cannot be written, or `read_image` cannot read an image.
    """
    rows = math.ceil(len(misses) / _COLUMNS)
    step_x, step_y = _PICTURE[1] + _MARGIN, _PICTURE[0] + _CAPTION + _MARGIN
    head = _LINE + 2 * _MARGIN
    size = (_COLUMNS * step_x + _MARGIN, head + max(rows * step_y, _LINE))
    page = Image.new("RGB", size, _BACKGROUND)
    _write_head(ImageDraw.Draw(page), len(misses))
    for position, miss in enumerate(misses):
        row, column = divmod(position, _COLUMNS)
        image = images[miss.image]
        tile = _tile(read_image(image.found.image_id), image, miss, names)
        page.paste(tile, (_MARGIN + column * step_x, head + row * step_y))
    png = io.BytesIO()
    page.save(png, format="PNG")
    write_atomically(path, png.getvalue())


def _write_head(painter: ImageDraw.ImageDraw, count: int) -> None:
    """What the page shows, and what its colours mean."""
    if not count:
        painter.text((_MARGIN, _MARGIN), "nothing was missed", fill=_INK, font=_font())
        return
    x = float(_MARGIN)
    texts = (
        (f"the {count} worst misses", _INK),
        ("blue: ground truth, thick what was missed or meant", _TRUE),
        ("orange: what was found", _FOUND),
    )
    for text, color in texts:
        painter.text((x, _MARGIN), text, fill=color, font=_font())
        x += painter.textlength(text, font=_font()) + 3 * _MARGIN


def _tile(
    pixels: NDArray[np.uint8], image: EvaluatedImage, miss: Miss, names: Sequence[str]
) -> Image.Image:
    """A cut-out with its boxes, over its caption."""
    cut = _cut_out(pixels, image, miss)
    tile = Image.new("RGB", (_PICTURE[1], _PICTURE[0] + _CAPTION), _BACKGROUND)
    tile.paste(cut, ((_PICTURE[1] - cut.width) // 2, (_PICTURE[0] - cut.height) // 2))
    writer = ImageDraw.Draw(tile)
    for number, line in enumerate(caption(image, miss, names)):
        place = (0, _PICTURE[0] + 2 + number * _LINE)
        writer.text(place, line, fill=_INK, font=_font())
    return tile


def _cut_out(pixels: NDArray[np.uint8], image: EvaluatedImage, miss: Miss) -> Image.Image:
    """What a miss is about and something around it, as large as fits, with boxes."""
    truth, found = image.truth, image.found
    wanted = [] if miss.wanted is None else [_box(truth.boxes_xyxy[miss.wanted])]
    proposed = [] if miss.found is None else [_box(found.boxes_xyxy[miss.found])]
    window = _window([*wanted, *proposed], image.size)
    left, top, right, bottom = window
    scale = min(_PICTURE[1] / (right - left), _PICTURE[0] / (bottom - top))
    size = (max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top))))
    cut = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, window)
    painter = ImageDraw.Draw(cut)
    for boxes, color, line in (
        ([_box(box) for box in truth.boxes_xyxy], _TRUE, _THIN),
        (wanted, _TRUE, _THICK),
        (proposed, _FOUND, _THICK),
    ):
        for box in boxes:
            moved = [scale * (edge - window[i % 2]) for i, edge in enumerate(box)]
            _draw_box(painter, moved, color, line)
    return cut


def _window(boxes: Sequence[_Box], size: tuple[int, int]) -> _Box:
    """The part of an image around some boxes that makes a tile; inside the image."""
    height, width = size
    left, top = (min(max(0.0, min(box[i] for box in boxes)), size[1 - i]) for i in range(2))
    right, bottom = (max(0.0, min(max(box[i + 2] for box in boxes), size[1 - i])) for i in range(2))
    aspect = _PICTURE[1] / _PICTURE[0]
    tall = max(_SMALLEST, _CONTEXT * max(bottom - top, (right - left) / aspect))
    own_height, own_width = min(tall, height), min(tall * aspect, width)
    x = min(max(0.0, (left + right - own_width) / 2), width - own_width)
    y = min(max(0.0, (top + bottom - own_height) / 2), height - own_height)
    return x, y, x + own_width, y + own_height


def _draw_box(
    painter: ImageDraw.ImageDraw, edges: Sequence[float], color: _Color, line: int
) -> None:
    """A frame on a cut-out, with a dark rim so that it shows on every ground."""
    left, top, right, bottom = (round(min(max(edge, -9e3), 9e3)) for edge in edges)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    rim = (left - 1, top - 1, right + 1, bottom + 1)
    painter.rectangle(rim, outline=_INK, width=line + 2)
    painter.rectangle((left, top, right, bottom), outline=color, width=line)


def caption(image: EvaluatedImage, miss: Miss, names: Sequence[str]) -> tuple[str, str]:
    """Two lines about a miss: what went wrong; in which image, and how large it is there."""
    truth, found = image.truth, image.found
    what = proposed = ""
    confidence = 0.0
    if miss.wanted is not None:
        what = _name(int(truth.class_ids[miss.wanted]), names)
        box = _box(truth.boxes_xyxy[miss.wanted])
    if miss.found is not None:
        confidence = float(found.confidences[miss.found])
        proposed = f"{_name(int(found.class_ids[miss.found]), names)} {confidence:.2f}"
    if miss.found is not None and miss.kind != MissKind.MISSED:
        box = _box(found.boxes_xyxy[miss.found])
    first = {
        MissKind.MISSED: f"missed {what}"
        + (f", found only with {confidence:.2f}" if proposed else ""),
        MissKind.WRONG_CLASS: f"{proposed}, but it is {what}",
        MissKind.TWICE: f"{proposed}, found twice",
        MissKind.LOOSE_BOX: f"{proposed}, loose box: IoU {miss.overlap:.2f}",
        MissKind.NOTHING_THERE: f"{proposed}, nothing there",
    }[miss.kind]
    size = f"{box[2] - box[0]:.0f} x {box[3] - box[1]:.0f} pixels"
    return first, f"image {found.image_id}, {size}"


def _box(box_xyxy: NDArray[np.floating]) -> _Box:
    left, top, right, bottom = box_xyxy.tolist()
    return left, top, right, bottom


def _name(class_id: int, names: Sequence[str]) -> str:
    """A class name without accents, or the class number where the font lacks its letters."""
    decomposed = unicodedata.normalize("NFKD", names[class_id])
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return plain if plain.isascii() and plain.isprintable() else f"class {class_id}"


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=_LETTERS)
