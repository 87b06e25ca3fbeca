"""Presets: the conventions by which different programs run the same detector, as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from yolo_gp.errors import UsageError, did_you_mean

Resize = Literal["plain", "letterbox"]
Interpolation = Literal["darknet", "bilinear"]
NmsChoice = Literal["head", "iou"]
NmsUnit = Literal["relative", "pixels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How an image becomes network input, and candidates become detections.

    Vary one with `dataclasses.replace`, which validates again.

    Raises:
        UsageError: a value lies outside its range or is no word of its field.
    """

    name: str
    # what outputs call these conventions
    resize: Resize
    # "plain" stretches the image to the network input; "letterbox" keeps its aspect and pads
    interpolation: Interpolation
    # "darknet" aligns the corners, in float; "bilinear" aligns pixel edges, in 8-bit levels
    fill: float
    # grey level of the letterbox's border, 0..1
    rectangular: bool
    # letterbox pads to the next multiple of the network's stride only, not to the full input
    confidence: float
    # 0..1; a class is proposed where its confidence exceeds this
    iou_threshold: float
    # 0..1; a box is suppressed where its overlap with a better one exceeds this
    nms: NmsChoice
    # "head" takes the rule of the network's last head, "iou" plain IoU whatever the head says
    nms_unit: NmsUnit
    # what boxes are compared in: fractions of the image's sides, or its pixels; IoU is the same in
    # both, a distance of centres is not
    multi_label: bool
    # a box is reported for every class above the threshold, not for its best class alone
    max_detections: int | None
    # boxes per image, the most confident first; None keeps all
    clip_boxes: bool
    # boxes end at the image's border

    def __post_init__(self) -> None:
        _require_word("resize", self.resize, get_args(Resize))
        _require_word("interpolation", self.interpolation, get_args(Interpolation))
        _require_word("NMS rule", self.nms, get_args(NmsChoice))
        _require_word("NMS unit", self.nms_unit, get_args(NmsUnit))
        _require_fraction("letterbox fill", self.fill)
        _require_fraction("confidence threshold", self.confidence)
        _require_fraction("IoU threshold", self.iou_threshold)
        if self.max_detections is not None and self.max_detections < 1:
            raise UsageError(
                f"the maximum number of detections is {self.max_detections}; "
                "it must be at least 1, or None for no limit"
            )

    def varied(
        self,
        *,
        confidence: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> Preset:
        """The same conventions but for what is given.

        Raises:
            UsageError: a value lies outside its range.
        """
        return replace(
            self,
            confidence=self.confidence if confidence is None else confidence,
            iou_threshold=self.iou_threshold if iou_threshold is None else iou_threshold,
            max_detections=self.max_detections if max_detections is None else max_detections,
        )


def _require_fraction(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"the {what} is {value}; it must lie between 0 and 1")


def _require_word(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(_unknown(what, value, known))


def _unknown(what: str, value: str, known: Iterable[str]) -> str:
    suggestion = did_you_mean(value, known)
    text = f'"{value}" is no {what}; there are: {", ".join(known)}'
    return f"{text}; {suggestion}" if suggestion else text


# For detection. Darknet: darknet.md 3.3 and 5.3. OpenCV: its YOLO layer's thresholds (darknet.md
# 3.3), and the black border that is the default of blobFromImageWithParams. Ultralytics and YOLOR:
# peers.md 4.
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="darknet",
            resize="plain",
            interpolation="darknet",
            fill=0.5,
            rectangular=False,
            confidence=0.25,
            iou_threshold=0.45,
            nms="head",
            nms_unit="relative",
            multi_label=True,
            max_detections=None,
            clip_boxes=False,
        ),
        Preset(
            name="opencv",
            resize="plain",
            interpolation="bilinear",
            fill=0.0,
            rectangular=False,
            confidence=0.2,
            iou_threshold=0.4,
            nms="iou",
            nms_unit="relative",
            multi_label=True,
            max_detections=None,
            clip_boxes=False,
        ),
        Preset(
            name="ultralytics",
            resize="letterbox",
            interpolation="bilinear",
            fill=114 / 255,
            rectangular=True,
            confidence=0.25,
            iou_threshold=0.7,
            nms="iou",
            nms_unit="relative",
            multi_label=False,
            max_detections=300,
            clip_boxes=True,
        ),
        Preset(
            name="coco",
            resize="letterbox",
            interpolation="bilinear",
            fill=114 / 255,
            rectangular=True,
            confidence=0.4,
            iou_threshold=0.5,
            nms="iou",
            nms_unit="relative",
            multi_label=True,
            max_detections=300,
            clip_boxes=True,
        ),
    )
}


# For val, where every box counts however faint. Darknet's `valid` writes boxes that end at the
# border and compares them in pixels (darknet.md 3.3, 7.3). OpenCV has no val: its thresholds stay.
# Ultralytics' and YOLOR's val: peers.md 4.
VAL_PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        replace(
            PRESETS["darknet"],
            confidence=0.001,
            iou_threshold=0.6,
            nms_unit="pixels",
            clip_boxes=True,
        ),
        PRESETS["opencv"],
        replace(PRESETS["ultralytics"], confidence=0.001, multi_label=True),
        replace(PRESETS["coco"], confidence=0.001, iou_threshold=0.65),
    )
}

# How Darknet's `detector map` chooses among what the network proposes: darknet.md 3.3, 7.3.
DARKNET_MAP = replace(PRESETS["darknet"], confidence=0.005)


def find_preset(name: str) -> Preset:
    """The preset of that name, for detection.

    Raises:
        UsageError: there is none; the message lists the names and suggests a close one.
    """
    return _find(PRESETS, name)


def find_val_preset(name: str) -> Preset:
    """The preset of that name, for val.

    Raises:
        UsageError: there is none; the message lists the names and suggests a close one.
    """
    return _find(VAL_PRESETS, name)


def _find(presets: dict[str, Preset], name: str) -> Preset:
    if name not in presets:
        raise UsageError(_unknown("preset", name, presets))
    return presets[name]
