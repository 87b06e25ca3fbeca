from collections.abc import Callable
from dataclasses import replace

import pytest

from yolo_gp.errors import ExitCode, UsageError
from yolo_gp.presets import (
    DARKNET_MAP,
    PRESETS,
    VAL_PRESETS,
    Preset,
    find_preset,
    find_val_preset,
)

# Decision 11 and peers.md section 4: confidence, NMS IoU, resize, rectangular, NMS, multi-label,
# boxes at most, clipped.
CONVENTIONS = {
    "darknet": (0.25, 0.45, "plain", False, "head", True, None, False),
    "opencv": (0.2, 0.4, "plain", False, "iou", True, None, False),
    "ultralytics": (0.25, 0.7, "letterbox", True, "iou", False, 300, True),
    "coco": (0.4, 0.5, "letterbox", True, "iou", True, 300, True),
}
# Decision 11 and shared/README.md for val: Darknet's `valid` keeps all boxes and clips them.
VAL_CONVENTIONS = {
    "darknet": (0.001, 0.6, "plain", False, "head", True, None, True),
    "opencv": (0.2, 0.4, "plain", False, "iou", True, None, False),
    "ultralytics": (0.001, 0.7, "letterbox", True, "iou", True, 300, True),
    "coco": (0.001, 0.65, "letterbox", True, "iou", True, 300, True),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_preset_holds_the_published_conventions(name: str) -> None:
    assert find_preset(name).name == find_val_preset(name).name == name
    assert conventions(find_preset(name)) == CONVENTIONS[name]
    assert conventions(find_val_preset(name)) == VAL_CONVENTIONS[name]


def test_darknets_map_has_thresholds_of_its_own() -> None:
    assert conventions(DARKNET_MAP) == (0.005, 0.45, "plain", False, "head", True, None, False)


def test_only_darknets_valid_compares_boxes_in_pixels() -> None:
    # darknet.md 3.3: `test` and `map` compare them relative to the image
    assert [p.name for p in VAL_PRESETS.values() if p.nms_unit == "pixels"] == ["darknet"]
    assert {p.nms_unit for p in (*PRESETS.values(), DARKNET_MAP)} == {"relative"}


def conventions(preset: Preset) -> tuple[object, ...]:
    return (
        preset.confidence,
        preset.iou_threshold,
        preset.resize,
        preset.rectangular,
        preset.nms,
        preset.multi_label,
        preset.max_detections,
        preset.clip_boxes,
    )


def test_these_are_all_the_presets() -> None:
    assert list(PRESETS) == list(VAL_PRESETS) == list(CONVENTIONS)


def test_val_differs_from_detection_in_what_boxes_are_kept_only() -> None:
    for name, preset in PRESETS.items():
        val = VAL_PRESETS[name]
        assert (preset.resize, preset.interpolation, preset.fill, preset.rectangular) == (
            val.resize,
            val.interpolation,
            val.fill,
            val.rectangular,
        )


def test_only_darknet_uses_darknets_resize() -> None:
    assert {name: preset.interpolation for name, preset in PRESETS.items()} == {
        "darknet": "darknet",
        "opencv": "bilinear",
        "ultralytics": "bilinear",
        "coco": "bilinear",
    }


def test_letterboxes_are_filled_with_each_programs_grey() -> None:
    # 114 of 255 in the torch projects, half in Darknet (5.3), black in OpenCV
    assert {name: preset.fill * 255 for name, preset in PRESETS.items()} == {
        "darknet": 127.5,
        "opencv": 0,
        "ultralytics": 114,
        "coco": 114,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": 1.5}, "the confidence threshold is 1.5; it must lie between 0 and 1"),
        ({"confidence": -0.1}, "the confidence threshold is -0.1; it must lie between 0 and 1"),
        (
            {"confidence": float("nan")},
            "the confidence threshold is nan; it must lie between 0 and 1",
        ),
        ({"iou_threshold": 45}, "the IoU threshold is 45; it must lie between 0 and 1"),
        ({"fill": 114}, "the letterbox fill is 114; it must lie between 0 and 1"),
        (
            {"max_detections": 0},
            "the maximum number of detections is 0; it must be at least 1, or None for no limit",
        ),
        (
            {"resize": "leterbox"},
            '"leterbox" is no resize; there are: plain, letterbox; did you mean letterbox?',
        ),
        (
            {"interpolation": "cubic"},
            '"cubic" is no interpolation; there are: darknet, bilinear',
        ),
        ({"nms": "soft"}, '"soft" is no NMS rule; there are: head, iou'),
        (
            {"nms_unit": "pixel"},
            '"pixel" is no NMS unit; there are: relative, pixels; did you mean pixels?',
        ),
    ],
)
def test_a_value_out_of_range_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        replace(PRESETS["darknet"], **changes)  # type: ignore[arg-type]
    assert str(caught.value) == message
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("changes", [{"confidence": 0}, {"confidence": 1}, {"max_detections": 1}])
def test_the_ends_of_a_range_are_allowed(changes: dict[str, int]) -> None:
    varied = replace(PRESETS["coco"], **changes)  # type: ignore[arg-type]
    assert {key: getattr(varied, key) for key in changes} == changes


def test_what_is_not_given_stays_in_a_varied_preset() -> None:
    coco = PRESETS["coco"]
    assert coco.varied() == coco
    varied = coco.varied(confidence=0, iou_threshold=0.1, max_detections=7)
    assert varied == replace(coco, confidence=0, iou_threshold=0.1, max_detections=7)
    with pytest.raises(UsageError, match=r"^the IoU threshold is 2; it must lie between 0 and 1$"):
        coco.varied(iou_threshold=2)


@pytest.mark.parametrize("find", [find_preset, find_val_preset])
def test_an_unknown_preset_suggests_a_close_one(find: Callable[[str], Preset]) -> None:
    with pytest.raises(UsageError) as caught:
        find("Darknt")
    assert str(caught.value) == (
        '"Darknt" is no preset; there are: darknet, opencv, ultralytics, coco; '
        "did you mean darknet?"
    )


def test_an_unknown_preset_like_no_other_lists_the_names() -> None:
    with pytest.raises(UsageError) as caught:
        find_preset("mmdet")
    assert str(caught.value) == (
        '"mmdet" is no preset; there are: darknet, opencv, ultralytics, coco'
    )
