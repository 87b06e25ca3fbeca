"""Detections painted over the picture they were found in."""

from __future__ import annotations

import colorsys
import math
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from yolo_gp.detections import Detections, InstanceMask

_GOLDEN_RATIO_CONJUGATE = (math.sqrt(5) - 1) / 2
_SHADES = ((0.95, 1.0), (0.75, 1.0), (1.0, 0.8))  # (saturation, value), in turn
_FIRST_HUE = 0.6  # class 0, a person in most data sets, is blue: skin and soil are not
_LIGHT_LUMA = 140  # of 255; white text on saturated blue or red reads better than black
_MASK_OPACITY = 0.45

_Color = tuple[int, int, int]
_Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom exclusive


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class _Mark:
    """One detection, ready to paint: a rectangle inside the image, its colour and its label."""

    box: _Rectangle
    color: _Color
    class_id: int
    name: str
    confidence: str


@dataclass(frozen=True, slots=True)
class _Tag:
    """A label with its place: the filled rectangle, and where Pillow starts the text."""

    box: _Rectangle
    color: _Color
    text: str
    text_origin: tuple[int, int]


class _Lettering:
    """Sizes of labels in a font, in pixels."""

    def __init__(self, font: _Font) -> None:
        self._font = font
        _, top, _, bottom = (math.ceil(edge) for edge in font.getbbox("Ag|"))
        self._top = top
        self._padding = max(1, (bottom - top) // 6)
        self._missing = bytes(font.getmask("\U0010ffff"))  # the box that stands for no glyph
        self.tag_height = bottom - top + 2 * self._padding

    def can_write(self, text: str) -> bool:
        if text.isascii():
            return text.isprintable()
        return all(c.isprintable() and bytes(self._font.getmask(c)) != self._missing for c in text)

    def labels(self, mark: _Mark) -> tuple[str, str]:
        """The label and its short form; the class number where the font lacks the letters."""
        decomposed = unicodedata.normalize("NFKD", mark.name)
        plain = "".join(c for c in decomposed if not unicodedata.combining(c))
        names = (mark.name, plain, str(mark.class_id))
        name = next(filter(self.can_write, names), names[-1])
        return f"{name} {mark.confidence}", mark.confidence

    def tag_width(self, text: str) -> int:
        return math.ceil(self._font.getbbox(text)[2]) + 2 * self._padding

    def tag(self, box: _Rectangle, mark: _Mark, text: str) -> _Tag:
        origin = (box[0] + self._padding, box[1] + self._padding - self._top)
        return _Tag(box, mark.color, text, origin)


def draw(image: NDArray[np.uint8], detections: Detections) -> NDArray[np.uint8]:
    """Paint masks, boxes and labels over a copy of the picture.

    A mask is a translucent fill with an opaque edge, in the colour of its class, under all boxes.
    A box that reaches beyond the image is drawn up to its edge; one wholly outside is not drawn.
    More confident detections lie on top. A label that cannot fit into the image is shortened to
    its confidence, or left out. The font has plain Latin letters: accents are left out, and a
    class whose name needs other letters is labelled by its number.

    Args:
        image: (H, W, C) uint8; C = 1 grey, 3 RGB, 4 RGBA (alpha is dropped).
        detections: boxes in pixels of this image.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    rgb = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]
    marks = _marks(detections, width, height)
    scale = (width + height) / 2
    line = max(1, round(scale * 0.0035))
    canvas = Image.fromarray(_with_masks(rgb, detections, (line + 1) // 2))
    painter = ImageDraw.Draw(canvas)
    for mark in reversed(marks):
        _draw_box(painter, mark, line)
    font = ImageFont.load_default(size=max(10, round(scale * 0.025)))
    for tag in reversed(_tags(marks, _Lettering(font), (width, height))):
        painter.rectangle(_inclusive(tag.box), fill=tag.color)
        painter.text(tag.text_origin, tag.text, fill=text_color(tag.color), font=font)
    return np.asarray(canvas)


def _with_masks(rgb: NDArray[np.uint8], detections: Detections, edge: int) -> NDArray[np.uint8]:
    """The picture (H, W, 3) with masks painted into a copy, their edges `edge` pixels wide."""
    if detections.instance_masks is None:
        return np.ascontiguousarray(rgb)
    painted = rgb.copy(order="C")
    found = list(zip(detections.instance_masks, detections.class_ids.tolist(), strict=True))[::-1]
    for mask, class_id in found:
        _fill(_region(painted, mask), mask.inside.numpy(), class_color(class_id))
    for mask, class_id in found:  # above all fills, so that every edge can be followed
        inside = mask.inside.numpy()
        _region(painted, mask)[inside & ~_eroded(inside, edge)] = class_color(class_id)
    return painted


def _region(picture: NDArray[np.uint8], mask: InstanceMask) -> NDArray[np.uint8]:
    """The part of a picture that a mask's cut-out covers; the same memory."""
    height, width = mask.inside.shape
    return picture[mask.top : mask.top + height, mask.left : mask.left + width]


def _fill(region: NDArray[np.uint8], inside: NDArray[np.bool_], color: _Color) -> None:
    """Mix a colour into the pixels of a region (h, w, 3), in place."""
    levels = np.arange(256)
    for channel, paint in enumerate(color):
        mixed = np.rint(levels + (paint - levels) * _MASK_OPACITY).astype(np.uint8)
        region[..., channel][inside] = mixed[region[..., channel][inside]]


def _eroded(inside: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """The pixels (h, w) whose neighbours, `steps` times over, are inside too."""
    kept = np.pad(inside, 1)
    for _ in range(steps):
        smaller = kept.copy()
        smaller[1:-1, 1:-1] &= kept[:-2, 1:-1] & kept[2:, 1:-1] & kept[1:-1, :-2] & kept[1:-1, 2:]
        kept = smaller
    return kept[1:-1, 1:-1]


def class_color(class_id: int) -> _Color:
    """The colour of a class, the same in every picture; RGB.

    Hues a golden ratio apart: however many classes there are, neighbours in number are far apart
    in colour.
    """
    hue = (_FIRST_HUE + class_id * _GOLDEN_RATIO_CONJUGATE) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, *_SHADES[class_id % len(_SHADES)])
    return round(red * 255), round(green * 255), round(blue * 255)


def text_color(background: _Color) -> _Color:
    """Black on light colours, white on dark ones, by luma.  Source: ITU-R BT.601."""
    red, green, blue = background
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (0, 0, 0) if luma > _LIGHT_LUMA else (255, 255, 255)


def _marks(detections: Detections, width: int, height: int) -> list[_Mark]:
    """What is to be painted, most confident first."""
    marks = []
    boxes, class_ids = detections.boxes_xyxy.tolist(), detections.class_ids.tolist()
    for box, confidence, class_id in zip(
        boxes, detections.confidences.tolist(), class_ids, strict=True
    ):
        visible = _visible(box, width, height)
        if visible:
            name, color = detections.name(class_id), class_color(class_id)
            marks.append(_Mark(visible, color, class_id, name, f"{confidence:.2f}"))
    return marks


def _visible(box_xyxy: list[float], width: int, height: int) -> _Rectangle | None:
    """The part of a box inside the image, in whole pixels; at least one pixel, or None."""
    left, top, right, bottom = box_xyxy
    if not (left < width and right > 0 and top < height and bottom > 0):  # also for NaN
        return None
    x0, y0 = min(round(max(left, 0)), width - 1), min(round(max(top, 0)), height - 1)
    x1, y1 = round(min(right, width)), round(min(bottom, height))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _draw_box(painter: ImageDraw.ImageDraw, mark: _Mark, line: int) -> None:
    left, top, right, bottom = mark.box
    thickness = min(line, (min(right - left, bottom - top) + 3) // 4)  # leaves the middle open
    painter.rectangle(_inclusive(mark.box), outline=mark.color, width=thickness)


def _inclusive(box: _Rectangle) -> _Rectangle:
    """Pillow's rectangles contain their right and bottom edge."""
    left, top, right, bottom = box
    return left, top, right - 1, bottom - 1


def _tags(marks: list[_Mark], lettering: _Lettering, image_size: tuple[int, int]) -> list[_Tag]:
    """The labels that fit into the image; the most confident choose their place first.

    Args:
        image_size: (width, height).
    """
    width, height = image_size
    tags: list[_Tag] = []
    if 2 * lettering.tag_height > height:
        return tags
    taken = np.empty((len(marks), 4), dtype=np.int64)
    for mark in marks:
        for text in lettering.labels(mark):
            tag_width = lettering.tag_width(text)
            if tag_width <= width:
                places = _places(mark.box, (tag_width, lettering.tag_height), image_size)
                box = _freest(places, taken[: len(tags)])
                taken[len(tags)] = box
                tags.append(lettering.tag(box, mark, text))
                break
    return tags


def _places(
    box: _Rectangle, tag_size: tuple[int, int], image_size: tuple[int, int]
) -> list[_Rectangle]:
    """Where a tag may sit, best first: on top of its box, under it, inside at a corner.

    All are moved into the image. Sizes are (width, height).
    """
    left, top, right, bottom = box
    tag_width, tag_height = tag_size
    width, height = image_size
    corners = [
        (left, top - tag_height),
        (right - tag_width, top - tag_height),
        (left, top),
        (right - tag_width, top),
        (left, bottom),
        (right - tag_width, bottom),
        (left, bottom - tag_height),
        (right - tag_width, bottom - tag_height),
    ]
    places = []
    for x, y in corners:
        x, y = max(0, min(x, width - tag_width)), max(0, min(y, height - tag_height))
        places.append((x, y, x + tag_width, y + tag_height))
    return places


def _freest(places: list[_Rectangle], taken: NDArray[np.int64]) -> _Rectangle:
    """The first place that overlaps none of the `taken` (N, 4) rectangles, or the least."""
    candidates = np.array(places)[:, None]
    low = np.maximum(candidates[..., :2], taken[:, :2])
    high = np.minimum(candidates[..., 2:], taken[:, 2:])
    overlap = np.maximum(high - low, 0).prod(axis=2).sum(axis=1)
    return places[int(overlap.argmin())]
