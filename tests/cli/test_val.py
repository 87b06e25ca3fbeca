"""`yolo-gp val` as a user runs it, on a network that finds one known box in each image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_gp.weights.darknet import save_weights

from ..tasks.val_sets import CFG, brightness_network, middle
from .conftest import Run

SIZE = (64, 128)
# brightness of each image, and whether an object is where the network finds one; by falling
# confidence 1, 0, 1, 1: the hand count is in tests/tasks/test_val.py
IMAGES = ((0.9, True), (0.7, False), (0.5, True), (0.3, True))
AP = (34 + 67 * 3 / 4) / 101
AREA = (1 / 3 + 2 / 3 * 3 / 4) / 2


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A cfg, its weights, and the images as COCO JSON with category ids 3 and 7."""
    (tmp_path / "net.cfg").write_text(CFG)
    save_weights(tmp_path / "net.weights", *brightness_network())
    (tmp_path / "net.names").write_text("blob\nghost\n")
    (tmp_path / "images").mkdir()
    left, top, right, bottom = middle(SIZE)
    images, annotations = [], []
    for number, (grey, has_object) in enumerate(IMAGES, 1):
        pixels = np.full((*SIZE, 3), round(255 * grey), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        images.append({"id": 10 * number, "file_name": f"{number}.png", "height": 64, "width": 128})
        if has_object:
            box = [left, top, right - left, bottom - top]
            annotations.append(
                {
                    "id": number,
                    "image_id": 10 * number,
                    "category_id": 7,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 3, "name": "ghost"}, {"id": 7, "name": "blob"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "blobs.json").write_text(json.dumps(content))
    return tmp_path


MODEL = ("--cfg", "net.cfg", "--weights", "net.weights", "--names", "net.names")
VAL = ("val", *MODEL, "--data", "blobs.json", "--workers", "0")


def metrics_in(folder: Path) -> dict[str, object]:
    """The figures of a run but for its speed, which differs each time."""
    found = json.loads((folder / "metrics.json").read_text())
    assert isinstance(found, dict)
    found.pop("speed")
    return found


def test_the_report_shows_both_figures_and_explains_the_gap(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp(*VAL)
    assert result.returncode == 0, result.stderr
    text = result.stdout
    assert text.startswith(
        "blobs.json: 4 images, 3 objects of 1 of 2 classes\n"
        "conventions: preset darknet, confidence 0.001, NMS 0.6, input 32x32\n"
    )
    # .8342 by COCO; 64 x 16 pixels are 32 x 32, the end of small and the beginning of medium
    assert re.search(r"^box( +0\.8342){5} +-$", text, re.M)
    assert re.search(r"^mAP +41\.67 % +42\.05 % +41\.71 %$", text, re.M)
    # at .25 stand sigmoid(3.2), (1.6), (0): one of them is wrong, one object is missed
    assert "at confidence 0.25: precision 0.67, recall 0.67, F1 0.67" in text
    assert "of the +41.75 points, +41.67 come from the 1 of 2" in text
    assert re.search(r"^blob +3 +0\.8342 +0\.8342 +83\.33 % +0\.8571$", text, re.M)
    assert "ghost" not in text
    assert re.search(r"^best F1 0\.857 at confidence 0\.16[0-9], at IoU \.5$", text, re.M)
    assert re.search(
        r"^an image takes \d+\.\d ms to prepare \(one worker\), \d+\.\d ms in the network, "
        r"\d+\.\d ms to post-process; \d+\.\d images/s end to end$",
        text,
        re.M,
    )
    assert result.stderr == "results are in runs/val/1\n"


def test_json_holds_the_same_figures(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp(*VAL, "--json", "--save-dir", "out")
    printed = json.loads(result.stdout)
    assert printed["schema_version"] == 1
    assert printed["box"]["ap"] == pytest.approx(AP)
    assert printed["box"]["ap_large"] is None
    assert printed["darknet"]["map_area"] == pytest.approx(AREA)
    assert printed["mask"] is None
    assert printed["classes"][1]["ap"] is None
    assert printed["classes"][0]["objects"] == 3
    assert printed["preset"] == "darknet"
    assert printed["best_f1"] == pytest.approx(6 / 7)
    assert set(printed.pop("speed")) == {"pre_ms", "forward_ms", "post_ms", "images_per_second"}
    assert printed == metrics_in(files / "out")


def scored(annotations: Path, results: Path) -> list[float]:
    """What pycocotools says of a results file."""
    truth = COCO(str(annotations))
    evaluator = COCOeval(truth, truth.loadRes(str(results)), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return [float(value) for value in evaluator.stats]


def test_pycocotools_scores_the_written_detections_the_same(yolo_gp: Run, files: Path) -> None:
    yolo_gp(*VAL, "--save-dir", "out")
    found = json.loads((files / "out/detections.json").read_text())
    assert [(one["image_id"], one["category_id"]) for one in found] == [
        (10, 7),
        (20, 7),
        (30, 7),
        (40, 7),
    ]
    assert found[0]["bbox"] == [32.0, 24.0, 64.0, 16.0]
    box = metrics_in(files / "out")["box"]
    assert isinstance(box, dict)
    stats = scored(files / "blobs.json", files / "out/detections.json")
    assert stats[:4] == [box["ap"], box["ap50"], box["ap75"], box["ap_small"]]


def test_real_detections_are_scored_the_same_to_the_last_digit(
    yolo_gp: Run, shared: Path, tmp_path: Path
) -> None:
    model = shared / "data/models/yolo-fastest-1.1"
    annotations = shared / "data/coco-mini/annotations/instances_val.json"
    result = yolo_gp(
        *("val", "--cfg", f"{model}.cfg", "--weights", f"{model}.weights"),
        *("--data", annotations, "--save-dir", "out", "--workers", "0", "--json"),
    )
    box = json.loads(result.stdout)["box"]
    assert box["ap"] == pytest.approx(0.1797, abs=0.002)
    assert scored(annotations, tmp_path / "out/detections.json") == list(box.values())


def test_plots_are_pictures(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp(*VAL, "--plots", "--save-dir", "out")
    assert result.returncode == 0, result.stderr
    for name in ("curves", "confusion", "misses"):
        with Image.open(files / "out" / f"{name}.png") as picture:
            assert picture.format == "PNG"
            assert picture.width > 200
    yolo_gp(*VAL, "--save-dir", "bare")
    assert not list((files / "bare").glob("*.png"))


def test_plots_leave_out_what_cannot_be_read(yolo_gp: Run, files: Path) -> None:
    (files / "images/4.png").unlink()
    result = yolo_gp(*VAL, "--plots", "--save-dir", "out")
    assert result.returncode == 1, result.stderr
    assert (files / "out/misses.png").exists()


def test_an_unusable_image_is_listed_and_counts_as_missed(yolo_gp: Run, files: Path) -> None:
    (files / "images/4.png").write_bytes(b"")
    result = yolo_gp(*VAL, "--save-dir", "out")
    assert result.returncode == 1
    assert result.stdout.endswith(
        "1 of 4 images could not be used; where their labels can be read, their objects count as "
        "missed:\n  images/4.png: the file is empty\n"
    )
    found = metrics_in(files / "out")
    assert found["unusable"] == [
        {"file": "images/4.png", "reason": "images/4.png: the file is empty"}
    ]
    assert isinstance(found["box"], dict)
    assert found["box"]["ap50"] == pytest.approx((34 + 33 * 2 / 3) / 101)


def test_strict_stops_at_an_image_that_is_not_there(yolo_gp: Run, files: Path) -> None:
    (files / "images/4.png").unlink()
    result = yolo_gp(*VAL, "--strict", "--save-dir", "out")
    assert result.returncode == 5
    assert "there is no image images/4.png" in result.stderr
    assert result.stderr.endswith("help: without --strict the run goes on past them\n")
    assert not (files / "out").exists()


def test_what_is_wrong_with_the_data_is_said_before_the_run(yolo_gp: Run, files: Path) -> None:
    content = json.loads((files / "blobs.json").read_text())
    content["annotations"][0]["bbox"] = [32, 24, 64, 0]
    (files / "blobs.json").write_text(json.dumps(content))
    result = yolo_gp(*VAL)
    assert result.returncode == 0
    assert "blobs.json: problem: annotation 1: the box is 64 wide and 0 high" in result.stderr


def test_of_many_problems_ten_are_said_before_the_run(yolo_gp: Run, files: Path) -> None:
    content = json.loads((files / "blobs.json").read_text())
    wrong = {**content["annotations"][0], "bbox": [1, 1, 0, 5]}
    content["annotations"] += [{**wrong, "id": 100 + n} for n in range(12)]
    (files / "blobs.json").write_text(json.dumps(content))
    lines = yolo_gp(*VAL).stderr.splitlines()
    assert sum("holds no pixel" in line for line in lines) == 10
    assert re.fullmatch(r"\.\.\. and \d+ more, which yolo-gp data check lists", lines[-2])


def test_class_names_that_disagree_are_an_error_with_both_lists(yolo_gp: Run, files: Path) -> None:
    (files / "net.names").write_text("blob\nspectre\n")
    result = yolo_gp(*VAL)
    assert result.returncode == 5
    assert "the classes of blobs.json (2) are not the model's (2)" in result.stderr
    assert "only in the data: ghost\nonly in the model: spectre" in result.stderr


def test_without_names_classes_go_by_number(yolo_gp: Run, files: Path) -> None:
    arguments = [word for word in VAL if word not in ("--names", "net.names")]
    result = yolo_gp(*arguments)
    # the data call class 0 ghost, and it has no object; class 1 is never found
    assert re.search(r"^blob +3 +0\.0000", result.stdout, re.M)


def test_thresholds_given_replace_the_presets(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp(*VAL, "--conf", "0.9", "--iou", "0.3", "--max-det", "5", "--json")
    found = json.loads(result.stdout)
    assert (found["confidence"], found["iou_threshold"], found["max_detections"]) == (0.9, 0.3, 5)
    assert found["box"]["ap50"] == pytest.approx(34 / 101)
    assert found["darknet"]["map_area"] == pytest.approx(AREA)


def test_a_preset_and_a_size_change_what_the_network_sees(yolo_gp: Run, files: Path) -> None:
    found = json.loads(yolo_gp(*VAL, "--preset", "coco", "--json").stdout)
    assert found["preset"] == "coco"
    # letterboxed, the box is a quarter of the square round the image: twice too high, IoU .5
    assert found["box"]["ap75"] == 0
    result = yolo_gp(*VAL, "--preset", "yolo")
    assert result.returncode == 2
    assert result.stderr == (
        'error: "yolo" is no preset; there are: darknet, opencv, ultralytics, coco\n'
    )


def test_an_interrupted_run_goes_on(
    yolo_gp: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = yolo_gp(*VAL, "--batch", "1", "--save-dir", "whole")
    assert expected.returncode == 0
    from yolo_gp.tasks import val

    whole = val.detect_batches

    def interrupted(*arguments):  # type: ignore[no-untyped-def]
        for number, batch in enumerate(whole(*arguments)):
            if number == 2:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(val, "detect_batches", interrupted)
    result = yolo_gp(*VAL, "--batch", "1", "--save-dir", "part")
    assert result.returncode == 1
    assert result.stderr == "interrupted; go on with --resume part\n"
    assert not (files / "part/metrics.json").exists()
    monkeypatch.setattr(val, "detect_batches", whole)
    result = yolo_gp(*VAL, "--batch", "1", "--resume", "part")
    assert result.returncode == 0, result.stderr
    assert metrics_in(files / "part") == metrics_in(files / "whole")
    part, all_at_once = files / "part/detections.json", files / "whole/detections.json"
    assert part.read_bytes() == all_at_once.read_bytes()
    again = yolo_gp(*VAL, "--batch", "1", "--resume", "part")
    assert again.stdout.endswith("ms to post-process; all had been done before\n")
    result = yolo_gp(*VAL, "--batch", "2", "--resume", "part")
    assert result.returncode == 2
    assert "  batch: 1 then, 2 now" in result.stderr


def test_an_occupied_folder_is_refused_before_anything_runs(yolo_gp: Run, files: Path) -> None:
    (files / "out").mkdir()
    (files / "out/precious").touch()
    result = yolo_gp(*VAL, "--save-dir", "out")
    assert result.returncode == 2
    assert result.stderr == "error: out is not empty; name a new folder, or empty it first\n"
    assert [path.name for path in (files / "out").iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--data", "none.json"), "there is no data set none.json", 5),
        (("--resume", "none"), "none holds no val run", 2),
        (("--save-dir", "a", "--resume", "b"), "--save-dir and --resume exclude each other", 2),
        (("--device", "cuda:99"), "device cuda:99 cannot be used", 2),
        (("--dtype", "int8"), "dtype int8 is none of float32, float16, bfloat16", 2),
        (("--conf", "2"), "the confidence threshold is 2.0; it must lie between 0 and 1", 2),
        (("--random-weights",), "weights and random weights exclude each other", 2),
    ],
)
def test_wrong_arguments_are_refused(
    yolo_gp: Run, files: Path, arguments: tuple[str, ...], message: str, code: int
) -> None:
    result = yolo_gp(*VAL, *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr


def test_torchrun_gives_what_one_process_gives(yolo_gp: Run, files: Path) -> None:
    yolo_gp(*VAL, "--batch", "1", "--save-dir", "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    result = subprocess.run(
        [*command, "-m", "yolo_gp", *VAL, "--batch", "1", "--save-dir", "two"],
        capture_output=True,
        text=True,
        cwd=files,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (files / "two").glob("*.journal")) == [
        "rank-0.journal",
        "rank-1.journal",
    ]
    assert result.stdout.count("images/s end to end") == 1  # one report
    assert metrics_in(files / "two") == metrics_in(files / "one")
