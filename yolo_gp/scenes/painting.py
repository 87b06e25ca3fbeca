"""A scene: its picture and its objects, both from a seed and a number alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pycocotools import mask as coco

from yolo_gp.data.annotations import ObjectAnnotation, Place
from yolo_gp.detections import Rle
from yolo_gp.scenes.layout import Layout, Piece, lay_out
from yolo_gp.scenes.recipe import (
    BACKGROUND_DEPTHS,
    BACKGROUNDS,
    BLURS,
    CONTRAST_SKEW,
    CONTRASTS,
    FILL_DEPTH,
    FILLS,
    NOISES,
    QUALITIES,
    SATURATIONS,
    SECOND_BACKGROUND,
    SHADOWS,
    SHARP,
)
from yolo_gp.scenes.textures import coloured, texture

_CANDIDATES = 16  # colours that a shape's is chosen from
_LOOKED_AT = 64  # pixels beneath a shape that its colour is compared with, about
_NEAR = 10  # per cent of them may be nearer to it than the contrast
# 256 equally likely values of a normal distribution: a random byte each, where drawing from the
# distribution itself would cost as much as all the rest of a scene
_NORMAL = np.array([NormalDist().inv_cdf((rank + 0.5) / 256) for rank in range(256)])

_Size = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Fields:
    image: (H, W, 3) uint8, RGB.
    objects: their boxes, areas and masks are those of the part that can be seen.
    jpeg_quality: what it is to be stored with, 0 to 100.
    """

    image: NDArray[np.uint8]
    objects: tuple[ObjectAnnotation, ...]
    jpeg_quality: int


def scene(seed: int, index: int, size: tuple[int, int]) -> Scene:
    """Scene number `index` of a seed, in (height, width) pixels; the same whenever it is made."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    layout = lay_out(rng, size)
    canvas = _background(rng, size)
    for piece in layout.pieces:
        _paint(rng, canvas, piece)
    objects = visible_objects(layout, f"scene {index}")
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
    return Scene(_photograph(rng, canvas), objects, quality)


def visible_objects(layout: Layout, label: str) -> tuple[ObjectAnnotation, ...]:
    """The objects of a layout, as far as they show."""
    found = []
    for number, piece in enumerate(layout.pieces):
        if piece.class_id is None:
            continue
        mask = layout.owners == number
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        left, top, right, bottom = map(float, box)
        counts = coco.encode(np.asfortranarray(mask.view(np.uint8)))["counts"].decode("ascii")
        found.append(
            ObjectAnnotation(
                Place(label),
                piece.class_id,
                (left, top, right, bottom),
                rle=Rle((mask.shape[0], mask.shape[1]), counts),
                area=float(np.count_nonzero(mask)),
            )
        )
    return tuple(found)


def _background(rng: np.random.Generator, size: _Size) -> Image.Image:
    canvas = _backdrop(rng, size)
    if rng.random() < SECOND_BACKGROUND:
        patches = texture(rng, size, {"gradient": 1, "noise": 1})
        mask = patches.point([0] * 128 + [255] * 128)
        canvas.paste(_backdrop(rng, size), (0, 0), mask)
    return canvas


def _backdrop(rng: np.random.Generator, size: _Size) -> Image.Image:
    count = int(rng.integers(2, 5))
    lightness, hue = rng.normal(0, 0.9, (count, 1)), rng.normal(0, 0.5, (count, 3))
    stops = _colours(rng, 1) + float(rng.uniform(*BACKGROUND_DEPTHS)) * (lightness + hue)
    return coloured(texture(rng, size, BACKGROUNDS), stops)


def _colours(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """(count, 3): colours from nearly grey to bright."""
    pure = rng.uniform(0, 255, (count, 3))
    grey = pure.mean(axis=1, keepdims=True)
    colours: NDArray[np.float64] = grey + (pure - grey) * rng.uniform(*SATURATIONS, (count, 1))
    return colours


def _paint(rng: np.random.Generator, canvas: Image.Image, piece: Piece) -> None:
    """Paint a piece over what is there, in a colour that differs from it enough."""
    colour, contrast = _colour(rng, _beneath(canvas, piece))
    stray = rng.normal(0, 1, 3)
    stray *= rng.uniform(0, FILL_DEPTH) * contrast / np.linalg.norm(stray)
    height, width = piece.covered.shape
    fill = coloured(
        texture(rng, (height, width), FILLS), np.stack((colour - stray, colour + stray))
    )
    mask = Image.fromarray(piece.covered)
    if rng.random() < SHADOWS:
        _shadow(rng, canvas, piece, mask)
    canvas.paste(fill, (piece.left, piece.top), mask)


def _beneath(canvas: Image.Image, piece: Piece) -> NDArray[np.float64]:
    """(P, 3): the colours of some of the pixels that a piece will cover."""
    (rows, columns), own = piece.inside((canvas.height, canvas.width))
    box = (columns.start, rows.start, columns.stop, rows.stop)
    step = max(1, math.isqrt(int(np.count_nonzero(own)) // _LOOKED_AT))
    pixels = np.asarray(canvas.crop(box))[::step, ::step][own[::step, ::step]]
    return pixels.reshape(-1, 3).astype(np.float64)


def _colour(
    rng: np.random.Generator, beneath: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """A colour, and its distance from all but the nearest of (P, 3) colours beneath.

    Among candidates the one is taken whose distance comes nearest to a random one.
    """
    low, high = CONTRASTS
    wanted = low + (high - low) * rng.random() ** CONTRAST_SKEW
    if not len(beneath):
        return _colours(rng, 1)[0], wanted
    candidates = _colours(rng, _CANDIDATES)
    close = beneath.mean(axis=0) + rng.normal(0, wanted, (_CANDIDATES // 2, 3))
    candidates[: len(close)] = close.clip(0, 255)
    apart = candidates[:, None] - beneath
    distances = np.sqrt(np.einsum("cpk,cpk->cp", apart, apart))
    rank = len(beneath) * _NEAR // 100
    near = np.partition(distances, rank, axis=1)[:, rank]
    best = int(np.abs(near - wanted).argmin())
    return candidates[best], float(near[best])


def _shadow(rng: np.random.Generator, canvas: Image.Image, piece: Piece, mask: Image.Image) -> None:
    """Darken what lies to one side of a piece."""
    reach = max(2, round(0.05 * max(mask.size)))
    down, across = (int(value) for value in rng.integers(-reach, reach + 1, 2))
    soft = Image.new("L", (mask.width + 2 * reach, mask.height + 2 * reach))
    soft.paste(mask.point([value * 2 // 5 for value in range(256)]), (reach, reach))
    soft = soft.filter(ImageFilter.BoxBlur(reach / 2))
    canvas.paste((0, 0, 0), (piece.left - reach + across, piece.top - reach + down), soft)


def _photograph(rng: np.random.Generator, canvas: Image.Image) -> NDArray[np.uint8]:
    """The picture as a cheap camera sees it: out of focus a little, and with noise."""
    blur, sharp, level = rng.uniform(*BLURS), rng.random() < SHARP, rng.uniform(*NOISES)
    if not sharp:
        canvas = canvas.filter(ImageFilter.BoxBlur(blur))
    image = np.asarray(canvas)
    grain = np.rint(level * _NORMAL).astype(np.int16)
    drawn = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    return (image + grain[drawn]).clip(0, 255).astype(np.uint8)
