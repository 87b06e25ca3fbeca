from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from yolo_gp.data.coco import CocoDataset
from yolo_gp.detections import Detections, InstanceMask
from yolo_gp.errors import DataError, UsageError
from yolo_gp.graph import compile_text
from yolo_gp.masks import encode_rle
from yolo_gp.presets import VAL_PRESETS
from yolo_gp.tasks.detector import Detector, DetectorSettings
from yolo_gp.tasks.models import ModelSource
from yolo_gp.tasks.val import ValSettings, val_preset, validate
from yolo_gp.tasks.val_loading import DetectionLoader, InputRule, load_batches
from yolo_gp.tasks.val_results import best_of_each_class

from .val_sets import CFG, MASK_CFG, ListedData, brightness_detector, mask_detector, middle

HERE = middle((64, 128))
ELSEWHERE = (0.0, 0.0, 10.0, 10.0)
THREADED = 2  # workers

# shared/README.md: what Darknet reaches on coco-mini val: AP, AP50 of its `valid` by pycocotools;
# its `map`, area and 101 points.
DARKNET_REACHES = {
    "yolo-fastest-1.1": (0.1797, 0.3670, 0.2915, 0.2928),
    "yolo-fastest-1.1-xl": (0.2404, 0.4296, 0.3356, 0.3368),
    "mobilenetv2-yolov3-nano-coco": (0.1961, 0.3874, 0.3053, 0.3065),
}


@pytest.fixture
def blobs(tmp_path: Path) -> ListedData:
    """Four images by falling brightness, thus confidence; the second has no object.

    Precision after each is 1, 1/2, 2/3, 3/4, recall 1/3, 1/3, 2/3, 1. So precision is 1 up to a
    recall of 1/3, and 3/4 from there.
    """
    data = ListedData(tmp_path)
    for grey, boxes in ((0.9, [HERE]), (0.7, []), (0.5, [HERE]), (0.3, [HERE])):
        data.add(grey, *boxes)
    return data


def test_figures_are_those_of_a_hand_count(blobs: ListedData) -> None:
    found = validate(brightness_detector(), blobs)
    # 34 of the 101 recalls lie up to 1/3
    assert found.box.ap50 == pytest.approx((34 + 67 * 3 / 4) / 101)
    assert found.box.ap == found.box.ap50  # the boxes fit exactly
    # 4 of the 11 recalls; the class nobody shows counts 0 in Darknet, nothing in COCO
    assert found.darknet.map_area == pytest.approx((1 / 3 + 2 / 3 * 3 / 4) / 2)
    assert found.darknet.map_11 == pytest.approx((4 + 7 * 3 / 4) / 11 / 2)
    # all four: F1 2 * 3 / (4 + 3) at confidence sigmoid(8 (.3 - .5)), a grey of 76 or 77 levels
    assert found.curves.pooled.best_f1 == pytest.approx(6 / 7)
    assert found.curves.pooled.best_confidence == pytest.approx(0.168, abs=0.003)
    assert found.images == 4
    assert found.mask is None


def test_progress_counts_every_image_once(blobs: ListedData) -> None:
    done: list[int] = []
    validate(brightness_detector(), blobs, ValSettings(batch_size=3), advance=done.append)
    assert done == [3, 1]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
@pytest.mark.parametrize("workers", [0, THREADED])
def test_batches_and_workers_change_nothing(
    blobs: ListedData, batch_size: int, workers: int
) -> None:
    found = validate(
        brightness_detector(), blobs, ValSettings(batch_size=batch_size, workers=workers)
    )
    assert found.box.ap50 == pytest.approx((34 + 67 * 3 / 4) / 101)
    assert found.problems == ()


def spoil(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ("how", "reason"), [("missing", "cannot read {}: no such file"), ("torn", "{}: the image is")]
)
def test_objects_in_an_image_that_cannot_be_read_count_as_missed(
    blobs: ListedData, how: str, reason: str
) -> None:
    spoil(blobs.samples[3].path, how)
    found = validate(brightness_detector(), blobs)
    # recall ends at 2/3: 1 up to 1/3, then 2/3 at 33 more of the 101 recalls, then 0
    assert found.box.ap50 == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert found.darknet.map_area == pytest.approx((1 / 3 + 1 / 3 * 2 / 3) / 2)
    (problem,) = found.problems
    assert problem.file == str(blobs.samples[3].path)
    assert problem.reason.startswith(reason.format(problem.file))


def test_an_image_whose_labels_cannot_be_read_is_left_out(blobs: ListedData) -> None:
    blobs.unreadable = {1}
    found = validate(brightness_detector(), blobs)
    assert found.box.ap == pytest.approx(1)  # the only wrong detection was there
    assert [problem.reason for problem in found.problems] == ["label 1 is torn"]


def test_strict_ends_at_the_first_image_that_cannot_be_read(blobs: ListedData) -> None:
    spoil(blobs.samples[1].path, "missing")
    done: list[int] = []
    with pytest.raises(DataError) as caught:
        validate(
            brightness_detector(),
            blobs,
            ValSettings(batch_size=1, strict=True),
            advance=done.append,
        )
    path = blobs.samples[1].path
    assert str(caught.value) == (
        f"cannot read {path}: no such file or directory\n"
        "help: without --strict the run goes on past it"
    )
    assert done == [1]


def test_no_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^blobs holds no images$"):
        validate(brightness_detector(), ListedData(tmp_path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ValSettings(batch_size=0),
            "a batch of 0 images is none; it must be at least 1",
        ),
        (lambda: ValSettings(workers=-1), "there cannot be -1 workers; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message


def test_images_of_all_shapes_in_a_rectangular_batch_are_found_as_alone(tmp_path: Path) -> None:
    data = ListedData(tmp_path)
    for size in ((64, 128), (100, 20), (64, 128), (31, 33)):
        data.add(0.8, middle(size), size=size)
    rule = InputRule(size=(64, 64), channels=3, stride=32, preset=VAL_PRESETS["coco"])
    (batch,) = load_batches(DetectionLoader(data, rule), len(data.samples), 4, [0], 0)
    # 128 wide fits 64, 32 high; 100 high fits 64, 12.8 wide; 33 wide fits 64, 60 high
    assert [(positions, tuple(tensor.shape)) for positions, tensor in batch.inputs] == [
        ((0, 2), (2, 3, 32, 64)),
        ((1,), (1, 3, 64, 32)),
        ((3,), (1, 3, 64, 64)),
    ]
    alone = [
        batch.inputs[0][1] for batch in load_batches(DetectionLoader(data, rule), 4, 1, range(4), 0)
    ]
    assert torch.equal(batch.inputs[0][1], torch.cat((alone[0], alone[2])))
    assert torch.equal(batch.inputs[2][1], alone[3])


def test_only_the_hundred_best_of_each_class_are_kept() -> None:
    # 250 detections by falling confidence, of classes 0, 0, 1, 0, 0, 1 ...
    class_ids = torch.tensor([1 if n % 3 == 2 else 0 for n in range(250)])
    found = Detections(
        torch.arange(1000.0).reshape(250, 4),
        torch.linspace(0.9, 0.1, 250),
        class_ids,
        (100, 100),
        instance_masks=tuple(InstanceMask(torch.ones(1, 1).bool(), n, 0) for n in range(250)),
    )
    kept = best_of_each_class(found)
    rows = [int(row) for row in kept.boxes_xyxy[:, 0] / 4]
    # the hundredth of class 0 is number 148, of class 1 there are 83 in all
    assert rows == [n for n in range(250) if n % 3 == 2 or n <= 148]
    assert kept.class_ids.tolist() == class_ids[rows].tolist()
    assert kept.confidences.tolist() == found.confidences[rows].tolist()
    assert kept.instance_masks is not None
    assert [mask.top for mask in kept.instance_masks] == rows


@pytest.mark.parametrize(("coefficient", "mask_ap"), [(4.0, 1.0), (-4.0, 0.0)])
def test_masks_go_through_the_same_evaluator(
    tmp_path: Path, coefficient: float, mask_ap: float
) -> None:
    data = ListedData(tmp_path, masks=[])
    left, top, right, bottom = map(int, HERE)
    inside = torch.ones(bottom - top, right - left).bool()
    for _ in range(3):
        data.add(0.5, HERE)
        assert data.masks is not None
        data.masks.append((encode_rle(InstanceMask(inside, top, left), (64, 128)),))
    found = validate(mask_detector(coefficient), data)
    assert found.box.ap == pytest.approx(1)
    assert found.mask is not None
    assert found.mask.ap == pytest.approx(mask_ap)
    assert found.mask.iou_type == "segm"


def test_without_masks_in_the_data_only_boxes_are_compared(tmp_path: Path) -> None:
    data = ListedData(tmp_path)
    data.add(0.5, HERE)
    found = validate(mask_detector(4.0), data)
    assert found.box.ap == pytest.approx(1)
    assert found.mask is None


def test_whether_masks_are_proposed_is_known_beforehand() -> None:
    assert mask_detector(1.0).proposes_masks
    assert not brightness_detector().proposes_masks


OURS = CFG.replace("[yolo]", "name=here\n[yolo]")


@pytest.mark.parametrize(
    ("cfg", "preset"),
    [(CFG, "darknet"), (OURS, "darknet"), (MASK_CFG, "coco")],
    ids=["Darknet's", "named", "masks"],
)
def test_the_default_preset_is_darknets_where_darknet_can_run_the_cfg(
    cfg: str, preset: str
) -> None:
    assert val_preset(None, compile_text(cfg, "a.cfg")).name == preset
    assert val_preset("opencv", compile_text(cfg, "a.cfg")).name == "opencv"


def test_a_stage_of_ours_takes_the_coco_preset() -> None:
    body = "[elan]\nhidden=4\nfilters=8\nblocks=2\nconvs=1\nactivation=swish\n[convolutional]"
    graph = compile_text(CFG.replace("[convolutional]", body, 1), "a.cfg")
    assert val_preset(None, graph).name == "coco"
    assert val_preset(None, graph).confidence == 0.001


def test_the_confidence_asked_for_leaves_darknets_own_figure_alone(blobs: ListedData) -> None:
    preset = replace(VAL_PRESETS["darknet"], confidence=0.9)
    found = validate(brightness_detector(preset), blobs)
    # only the first, sigmoid(8 * .4) = .96, is beyond .9
    assert found.box.ap50 == pytest.approx(34 / 101)
    assert found.darknet.map_area == pytest.approx((1 / 3 + 2 / 3 * 3 / 4) / 2)


def test_a_grey_image_goes_into_a_network_of_one_channel(tmp_path: Path) -> None:
    data = ListedData(tmp_path)
    path = data.add(0.5)
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(path)
    rule = InputRule(size=(32, 32), channels=1, stride=32, preset=VAL_PRESETS["darknet"])
    (batch,) = load_batches(DetectionLoader(data, rule), len(data.samples), 4, [0], 0)
    assert batch.inputs[0][1].shape == (1, 1, 32, 32)
    assert batch.images[0].size == (8, 8)


@pytest.mark.parametrize("model", DARKNET_REACHES)
def test_figures_on_real_data_are_darknets(shared: Path, model: str) -> None:
    files = shared / "data/models"
    source = ModelSource(cfg=files / f"{model}.cfg", weights=files / f"{model}.weights")
    settings = DetectorSettings(model=source, preset=VAL_PRESETS["darknet"])
    data = CocoDataset(shared / "data/coco-mini/annotations/instances_val.json", masks=False)
    found = validate(Detector.load(settings), data)
    ap, ap50, area, points = DARKNET_REACHES[model]
    assert found.box.ap == pytest.approx(ap, abs=0.002)
    assert found.box.ap50 == pytest.approx(ap50, abs=0.001)
    assert found.darknet.map_area == pytest.approx(area, abs=0.001)
    assert found.darknet.map_101 == pytest.approx(points, abs=0.001)
