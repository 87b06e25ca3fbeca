"""`yolo-gp val` of a classifier as a user runs it: top-1 and top-5 of a few greys."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from yolo_gp.tasks import val_classifier
from yolo_gp.weights.darknet import save_weights

from ..tasks.classifier_sets import CFG, NAMES, grey_network, write_grey
from ..tasks.test_val_classifier import SHOWN
from .conftest import Run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A cfg, its weights and names, and the images whose ranks that test's comment counts."""
    (tmp_path / "greys.cfg").write_text(CFG)
    save_weights(tmp_path / "greys.weights", *grey_network())
    (tmp_path / "greys.names").write_text("\n".join(NAMES) + "\n")
    for number, (name, sixths) in enumerate(SHOWN):
        write_grey(tmp_path / "set/val" / name / f"{number}.png", sixths / 6)
    return tmp_path


MODEL = ("--cfg", "greys.cfg", "--weights", "greys.weights", "--names", "greys.names")
VAL = ("val", *MODEL, "--workers", "0")


def test_the_report_shows_top_1_and_top_5_of_all_and_of_each_class(
    yolo_gp: Run, files: Path
) -> None:
    result = yolo_gp(*VAL, "--data", "set")
    assert result.returncode == 0, result.stderr
    text = result.stdout
    assert text.startswith(
        "set/val: 5 images of 2 of 7 classes\n"
        "conventions: Darknet's centre crop, input 8x8\n\n"
        "top-1 40.00 %, top-5 80.00 %; mean of the classes' top-1 41.67 %\n"
    )
    assert re.search(r"^black +3 +33\.33 % +66\.67 %$", text, re.M)
    assert re.search(r"^ash +2 +50\.00 % +100\.00 %$", text, re.M)
    assert re.search(r"^most frequent errors\nshown +given +images\nblack +lead +1$", text, re.M)
    assert "images/s end to end\n" in text
    assert result.stderr == "results are in runs/val/1\n"


def test_json_and_predictions_hold_the_same(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp(*VAL, "--data", "set/val", "--json", "--save-dir", "out")
    printed = json.loads(result.stdout)
    assert printed == json.loads((files / "out/metrics.json").read_text())
    assert printed["schema_version"] == 1
    assert (printed["top_1"], printed["top_5"]) == (0.4, 0.8)
    assert printed["classes"][4] == {
        "class_id": 4,
        "name": "ash",
        "images": 2,
        "top_1": 0.5,
        "top_5": 1.0,
    }
    assert {"class_id": 0, "given": 6, "images": 1} in printed["confusion"]
    predictions = json.loads((files / "out/predictions.json").read_text())
    by_file = {one["file"]: one for one in predictions}
    white = by_file["set/val/black/2.png"]
    assert white["class_id"] == 0
    assert [said["class_id"] for said in white["given"]] == [6, 5, 4, 3, 2]


def test_darknets_own_data_file_gives_the_same_figures(yolo_gp: Run, files: Path) -> None:
    images = sorted(str(path.relative_to(files)) for path in files.glob("set/val/*/*.png"))
    (files / "val.txt").write_text("\n".join(images) + "\n")
    (files / "greys.data").write_text(
        "classes=7\nvalid=val.txt\nlabels=greys.names\nnames=shown.names\ntop=5\n"
    )
    (files / "shown.names").write_text("".join(f"grey {n}\n" for n in range(7)))
    command = ("val", *MODEL[:4], "--workers", "0")
    found = json.loads(yolo_gp(*command, "--data", "greys.data", "--json").stdout)
    assert (found["top_1"], found["top_5"]) == (0.4, 0.8)
    assert found["classes"][4]["name"] == "grey 4"
    found = json.loads(yolo_gp(*VAL, "--data", "val.txt", "--json").stdout)
    assert (found["top_1"], found["data"]) == (0.4, "val.txt")


def test_what_cannot_be_used_is_told_and_strict_stops_at_it(yolo_gp: Run, files: Path) -> None:
    write_grey(files / "set/val/loose.png", 0.5)
    (files / "set/val/ash/3.png").write_bytes(b"torn")
    result = yolo_gp(*VAL, "--data", "set")
    assert result.returncode == 1
    assert "top-1 20.00 %" in result.stdout
    assert (
        "1 of 5 images could not be used; those whose class is known count as wrong:\n"
        "  set/val/ash/3.png: not an image in a format that can be read\n"
    ) in result.stdout
    loose = "set/val: problem: images in no class folder, which are left out: 1, such as loose.png"
    assert result.stderr == f"{loose}\nresults are in runs/val/1\n"
    result = yolo_gp(*VAL, "--data", "set", "--strict")
    assert (result.returncode, result.stdout) == (5, "")
    assert result.stderr == f"error: {loose}\nhelp: without --strict the run goes on past them\n"


def test_plots_are_written(yolo_gp: Run, files: Path) -> None:
    yolo_gp(*VAL, "--data", "set", "--plots", "--save-dir", "out")
    with Image.open(files / "out/confusion.png") as picture:
        assert picture.format == "PNG"
    assert {path.name for path in (files / "out").iterdir()} == {
        "confusion.png",
        "metrics.json",
        "predictions.json",
        "rank-0.journal",
        "run.json",
    }


def test_an_interrupted_run_goes_on(
    yolo_gp: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = val_classifier.classify_batches

    def interrupted(*arguments):  # type: ignore[no-untyped-def]
        for number, batch in enumerate(whole(*arguments)):
            if number == 2:
                raise KeyboardInterrupt
            yield batch

    command = (*VAL, "--data", "set", "--batch", "1")
    with monkeypatch.context() as patch:
        patch.setattr(val_classifier, "classify_batches", interrupted)
        result = yolo_gp(*command, "--save-dir", "part")
    assert (result.returncode, result.stderr) == (
        1,
        "interrupted; go on with --resume part\n",
    )
    result = yolo_gp(*command, "--resume", "part", "--json")
    assert (json.loads(result.stdout)["top_1"], result.returncode) == (0.4, 0)
    (files / "set/val/ash/3.png").rename(files / "set/val/black/3.png")
    result = yolo_gp(*command, "--resume", "part")
    assert result.returncode == 2
    assert "part was begun with other settings, so it cannot go on\n  data: 5 images, " in (
        result.stderr
    )


@pytest.mark.parametrize(
    "flag", [("--preset", "coco"), ("--conf", ".2"), ("--iou", ".5"), ("--max-det", "9")]
)
def test_flags_for_boxes_are_refused(yolo_gp: Run, files: Path, flag: tuple[str, str]) -> None:
    result = yolo_gp(*VAL, "--data", "set", *flag)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: {flag[0]} has no effect on a classifier\n"
        "expected: a cfg with a detection head, such as [yolo], or the command without "
        f"{flag[0]}\n"
    )


def test_a_split_that_is_not_there_is_refused_before_a_folder_is_made(
    yolo_gp: Run, files: Path
) -> None:
    result = yolo_gp(*VAL, "--data", "set", "--split", "test")
    assert result.returncode == 5
    assert result.stderr == "error: set has no test\nexpected: one of its parts, val\n"
    assert not (files / "runs").exists()
