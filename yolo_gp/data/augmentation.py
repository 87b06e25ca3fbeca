"""How training images are varied, as plain settings. Loads neither torch nor numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolo_gp.errors import UsageError

_RESIZE = (0.1, 10)  # beyond, a crop has a hundred times the pixels of its image
_DARKNET_SPREAD = 1.4  # what `random=1` means; Darknet src/detector.c


@dataclass(frozen=True, slots=True, kw_only=True)
class DarknetAugmentation:
    """Darknet's sample pipeline, by the keys of [net] and of the last head.

    Source: darknet.md 6.1, 6.4, 6.5.

    Fields:
        jitter: each edge of the crop moves by up to this share of the image's side, 0..1.
        resize: the crop is enlarged or shrunk by up to this factor, .1..10; 1 leaves its size.
        flip: every second image is mirrored.
        saturation, exposure: a factor between 1 and this, inverted every second time; 1 is off.
        hue: the hue moves by up to this share of the circle, 0..1.
        blur: 0 off; 1 blurs the background of two images in three; more blurs the background of
            one in three and the whole of another, with a kernel of about this many pixels.
        gaussian_noise: standard deviation in 8-bit levels, on every second image; Darknet takes
            127 for more.
        mosaic: every second image is put together from four.
        mosaic_bound: boxes of a mosaic end at their quarter; without it they reach into the next.
        mixup: every second image is the mean of two; without effect beside `mosaic`.
        letter_box: the crop gets the network's aspect by a border, not by stretching.
        max_boxes: objects kept of one image.
        random: multi-scale: how much the network input grows and shrinks; 1 stands for 1.4, 0 is
            off.
        resize_step: sizes of multi-scale are multiples of this many pixels.

    Raises:
        UsageError: a value lies outside its range, or mosaic stands beside letter_box.
    """

    jitter: float = 0.2
    resize: float = 1.0
    flip: bool = True
    saturation: float = 1.0
    exposure: float = 1.0
    hue: float = 0.0
    blur: int = 0
    gaussian_noise: int = 0
    mosaic: bool = False
    mosaic_bound: bool = False
    mixup: bool = False
    letter_box: bool = False
    max_boxes: int = 200
    random: float = 0.0
    resize_step: int = 32

    def __post_init__(self) -> None:
        _require("jitter", self.jitter, 0, 1)
        _require("resize", self.resize, *_RESIZE)
        _require_positive("saturation", self.saturation)
        _require_positive("exposure", self.exposure)
        _require("hue", self.hue, 0, 1)
        _require("blur", self.blur, 0)
        _require("gaussian_noise", self.gaussian_noise, 0)
        _require("max_boxes", self.max_boxes, 1)
        _require("random", self.random, 0)
        _require("resize_step", self.resize_step, 1)
        if self.mosaic and self.letter_box:
            raise UsageError(
                "mosaic and letter_box are both on\n"
                "expected: one of them\n"
                "help: Darknet refuses the two together as well"
            )

    @property
    def spread(self) -> float:
        """The largest factor of multi-scale; 1 if it is off."""
        if self.random == 0:
            return 1.0
        return _DARKNET_SPREAD if self.random == 1 else self.random


@dataclass(frozen=True, slots=True, kw_only=True)
class ModernAugmentation:
    """The pipeline of YOLOR and YOLOv5.  Source: recipes.md.

    Fields:
        mosaic: the share of images that are put together from four.
        mixup: the share of mosaics that are mixed with another mosaic.
        copy_paste: the share of objects pasted a second time, mirrored, along their masks; only
            for data with masks.
        hue, saturation, value: factors of the image's colours between 1 - this and 1 + this.
        translate: the picture moves by up to this share of the network input.
        scale: the picture is enlarged by a factor between 1 - this and 1 + this; below 1.
        flip: the share of images that are mirrored.
        close_mosaic: the last so many epochs have no mosaic, no mixup and no copy-paste.
        multi_scale: the network input grows and shrinks by up to this share of its size; below 1.
        fill: the grey around images, 0..1.

    Raises:
        UsageError: a value lies outside its range.
    """

    mosaic: float = 1.0
    mixup: float = 0.1
    copy_paste: float = 0.0
    hue: float = 0.015
    saturation: float = 0.7
    value: float = 0.4
    translate: float = 0.1
    scale: float = 0.9
    flip: float = 0.5
    close_mosaic: int = 10
    multi_scale: float = 0.0
    fill: float = 114 / 255

    def __post_init__(self) -> None:
        for name in ("mosaic", "mixup", "copy_paste", "flip", "hue", "saturation", "value", "fill"):
            _require(name, getattr(self, name), 0, 1)
        _require("translate", self.translate, 0, 0.5)
        _require("scale", self.scale, 0, 0.99)
        _require("multi_scale", self.multi_scale, 0, 0.9)
        _require("close_mosaic", self.close_mosaic, 0)


@dataclass(frozen=True, slots=True)
class NoAugmentation:
    """Each image as it is, stretched to the network input as Darknet does."""


Augmentation = DarknetAugmentation | ModernAugmentation | NoAugmentation


def _require(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Raises: UsageError: the value lies outside low..high, or is no finite number."""
    if math.isfinite(value) and low <= value <= high:
        return
    wanted = f"{low} or more" if high == math.inf else f"{low} to {high}"
    raise UsageError(f"the augmentation's {name} is {value}\nexpected: {wanted}")


def _require_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"the augmentation's {name} is {value}\nexpected: more than 0")
