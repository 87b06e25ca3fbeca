"""Presets: the conventions by which different programs run the same detector, as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from yolo_gp.errors import UsageError, did_you_mean

Resize = Literal["plain", "letterbox"]
Interpolation = Literal["darknet", "bilinear"]
NmsChoice = Literal["head", "iou"]


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
        _require_fraction("letterbox fill", self.fill)
        _require_fraction("confidence threshold", self.confidence)
        _require_fraction("IoU threshold", self.iou_threshold)
        if self.max_detections is not None and self.max_detections < 1:
            raise UsageError(
                f"the maximum number of detections is {self.max_detections}; "
                "it must be at least 1, or None for no limit"
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


# Darknet: darknet.md 3.3 and 5.3. OpenCV: its YOLO layer's thresholds (darknet.md 3.3), and the
# black border that is the default of blobFromImageWithParams. Ultralytics and YOLOR: peers.md 4.
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
            multi_label=True,
            max_detections=300,
            clip_boxes=True,
        ),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none; the message lists the names and suggests a close one.
    """
    if name not in PRESETS:
        raise UsageError(_unknown("preset", name, PRESETS))
    return PRESETS[name]
