from dataclasses import replace

import pytest

from yolo_gp.errors import ExitCode, UsageError
from yolo_gp.presets import PRESETS, find_preset

# Decision 11 and peers.md section 4: confidence, NMS IoU, resize, rectangular, NMS, multi-label,
# boxes at most, clipped.
CONVENTIONS = {
    "darknet": (0.25, 0.45, "plain", False, "head", True, None, False),
    "opencv": (0.2, 0.4, "plain", False, "iou", True, None, False),
    "ultralytics": (0.25, 0.7, "letterbox", True, "iou", False, 300, True),
    "coco": (0.4, 0.5, "letterbox", True, "iou", True, 300, True),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_preset_holds_the_published_conventions(name: str) -> None:
    preset = find_preset(name)
    assert preset.name == name
    assert CONVENTIONS[name] == (
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
    assert list(PRESETS) == list(CONVENTIONS)


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


def test_an_unknown_preset_suggests_a_close_one() -> None:
    with pytest.raises(UsageError) as caught:
        find_preset("Darknt")
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
