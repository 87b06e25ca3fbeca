"""`yolo-gp detect` from the outside."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolo_gp.tasks.detector import DetectorSettings
from yolo_gp.tasks.models import ModelSource

from .conftest import Run

TINY = """[net]
width=32
height=32
channels=3
[convolutional]
filters=21
size=32
stride=32
activation=linear
[yolo]
classes=2
num=3
anchors=4,4, 8,8, 16,16
"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.cfg"
    path.write_text(TINY)
    return path


def test_without_weights_it_says_what_to_do_and_runs_nothing(
    yolo_gp: Run, tiny: Path, photo: Path
) -> None:
    result = yolo_gp("detect", "--cfg", tiny, photo)
    assert result.returncode == 4
    assert result.stdout == ""
    assert result.stderr == (
        f"error: there are no pretrained weights for {tiny}\n"
        "expected: --weights FILE with weights that were made for this cfg\n"
        "help: `yolo-gp zoo list` names what can be had; --random-weights tries a network out "
        "untrained\n"
    )


def test_offline_the_weights_that_belong_to_a_cfg_are_named_with_their_address(
    yolo_gp: Run, photo: Path
) -> None:
    result = yolo_gp("detect", "--cfg", "elan.cfg", "--offline", photo)
    assert result.returncode == 4
    assert "yolov7.weights: 147898248 bytes" in result.stderr
    assert "github.com/WongKinYiu/yolov7/releases/download/v0.1/yolov7.weights" in result.stderr


def test_with_no_model_named_the_shapes_of_a_scene_are_found(yolo_gp: Run, tmp_path: Path) -> None:
    yolo_gp("make", "shapes", "scenes", "--images", "1", "--val", "20", "--workers", "1")
    result = yolo_gp("detect", "scenes/images/val", "--offline", "--no-save", "--json")
    assert result.returncode == 0
    assert result.stderr == (
        "no model is named: takes elan-nano-shapes; --cfg and --weights name others\n"
        "weights: elan-nano-shapes, which come with yolo-gp and know six shapes (circle, square, "
        "triangle, star, ring, cross) only\n"
    )
    drawn = json.loads((tmp_path / "scenes/annotations/instances_val.json").read_text())
    names = {category["id"]: category["name"] for category in drawn["categories"]}
    wanted = Counter(names[one["category_id"]] for one in drawn["annotations"])
    images = json.loads(result.stdout)["images"]
    found = Counter(one["name"] for image in images for one in image["detections"])
    # Not box by box, as `val` does: it finds about as many of each shape as were drawn.
    assert set(found) <= set(names.values())
    assert (wanted & found).total() >= 0.8 * wanted.total()


def test_no_model_is_the_same_as_naming_the_default(yolo_gp: Run) -> None:
    yolo_gp("make", "shapes", "scene.png")
    unnamed = yolo_gp("detect", "scene.png", "--no-save", "--json")
    named = yolo_gp("detect", "--weights", "elan-nano-shapes", "scene.png", "--no-save", "--json")
    assert unnamed.stdout == named.stdout
    assert "no model is named" not in named.stderr


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, shared: Path, tmp_path: Path) -> Path:
    """A mirror of the pretrained models that are at hand."""
    folder = tmp_path / "mirror"
    for weights in (shared / "data/models").glob("*.weights"):
        for file in (weights, weights.with_suffix(".cfg")):
            place = folder / weights.stem / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file)
    monkeypatch.setenv("YOLO_GP_MIRROR", folder.as_uri())
    return folder


def found_classes(run: Run, photo: Path, *flags: object) -> tuple[set[str], str]:
    result = run("detect", "--json", "--no-save", *flags, photo)
    assert result.returncode == 0, result.stderr
    objects = json.loads(result.stdout)["images"][0]["detections"]
    return {found["name"] for found in objects}, result.stderr


def test_a_models_name_is_enough_to_detect_with_it(
    yolo_gp: Run, mirror: Path, shared: Path
) -> None:
    photo = shared / "data/coco-mini/images/val/000000000139.jpg"
    classes, said = found_classes(yolo_gp, photo, "--cfg", "yolo-fastest-1.1")
    assert {"tvmonitor", "chair"} <= classes  # names come with the model
    assert "weights: those of yolo-fastest-1.1 (same name as yolo-fastest-1.1.cfg)" in said
    assert "licence: YOLO LICENSE version 2" in said
    assert found_classes(yolo_gp, photo, "--weights", "yolo-fastest-1.1", "--offline")[0] == classes


def test_weights_are_found_by_the_network_whatever_the_cfg_is_called(
    yolo_gp: Run, mirror: Path, shared: Path, tmp_path: Path
) -> None:
    photo = shared / "data/coco-mini/images/val/000000000139.jpg"
    renamed = tmp_path / "mine.cfg"
    renamed.write_bytes((shared / "data/models/yolo-fastest-1.1.cfg").read_bytes())
    classes, said = found_classes(yolo_gp, photo, "--cfg", renamed)
    assert "weights: those of yolo-fastest-1.1 (same network as mine.cfg)" in said
    assert "tvmonitor" in classes


def test_a_converted_file_is_enough_to_detect_with(
    yolo_gp: Run, mirror: Path, shared: Path, tmp_path: Path
) -> None:
    photo = shared / "data/coco-mini/images/val/000000000139.jpg"
    one = tmp_path / "one.safetensors"
    assert yolo_gp("convert", "yolo-fastest-1.1", one).returncode == 0
    classes, _ = found_classes(yolo_gp, photo, "--weights", one)
    assert classes == found_classes(yolo_gp, photo, "--cfg", "yolo-fastest-1.1")[0]


def test_json_is_one_object_with_pixel_boxes(yolo_gp: Run, tiny: Path, photo: Path) -> None:
    result = yolo_gp("detect", "--cfg", tiny, "--random-weights", "--conf", "0.01", "--json", photo)
    assert result.returncode == 0
    found = json.loads(result.stdout)
    assert (found["schema_version"], found["preset"], found["failed"]) == (1, "darknet", [])
    (image,) = found["images"]
    assert (image["file"], image["width"], image["height"]) == (str(photo), 40, 24)
    assert image["detections"]
    first = image["detections"][0]
    assert sorted(first) == ["box_xyxy", "class_id", "confidence", "name"]
    assert first["name"] == str(first["class_id"])
    confidences = [d["confidence"] for d in image["detections"]]
    assert confidences == sorted(confidences, reverse=True)


def test_results_go_to_numbered_folders_that_are_never_reused(
    yolo_gp: Run, tiny: Path, photo: Path, tmp_path: Path
) -> None:
    for number in (1, 2):
        result = yolo_gp("detect", "--cfg", tiny, "--random-weights", photo)
        assert f"results are in runs/detect/{number}\n" in result.stderr
        assert (tmp_path / f"runs/detect/{number}/photo.png").exists()


def test_a_folder_that_is_not_empty_is_refused(
    yolo_gp: Run, tiny: Path, photo: Path, tmp_path: Path
) -> None:
    result = yolo_gp("detect", "--cfg", tiny, "--random-weights", photo, "--save-dir", tmp_path)
    assert result.returncode == 2
    assert "is not empty" in result.stderr


def test_txt_and_crops_are_written_on_request_and_pictures_can_be_left_out(
    yolo_gp: Run, tiny: Path, photo: Path, tmp_path: Path
) -> None:
    arguments = ["--save-txt", "--save-crops", "--no-save", "--save-dir", "out", "--conf", "0.1"]
    assert yolo_gp("detect", "--cfg", tiny, "--random-weights", photo, *arguments).returncode == 0
    lines = (tmp_path / "out/labels/photo.txt").read_text().splitlines()
    assert lines and all(len(line.split()) == 6 for line in lines)
    assert list((tmp_path / "out/crops").rglob("*.jpg")) or list(
        (tmp_path / "out/crops").rglob("*.png")
    )
    assert not list((tmp_path / "out").glob("photo.*"))


def test_an_unreadable_image_is_passed_over_named_at_the_end_and_gives_exit_code_1(
    yolo_gp: Run, tiny: Path, photo: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    result = yolo_gp(
        "detect",
        "--cfg",
        tiny,
        "--random-weights",
        "--json",
        "--no-save",
        broken,
        photo,
        "gone.jpg",
    )
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert [image["file"] for image in found["images"]] == [str(photo)]
    assert [failure["file"] for failure in found["failed"]] == [str(broken), "gone.jpg"]
    assert "2 of the inputs failed:" in result.stderr


def test_nothing_readable_at_all_gives_exit_code_5_and_leaves_no_folder(
    yolo_gp: Run, tiny: Path, tmp_path: Path
) -> None:
    result = yolo_gp("detect", "--cfg", tiny, "--random-weights", "gone.jpg")
    assert result.returncode == 5
    assert result.stdout == ""
    assert list((tmp_path / "runs/detect").iterdir()) == []


def test_a_list_of_sources_comes_from_stdin(yolo_gp: Run, tiny: Path, photo: Path) -> None:
    arguments = ["detect", "--cfg", tiny, "--random-weights", "--json", "--no-save", "-"]
    result = yolo_gp(*arguments, stdin=f"{photo}\n\n{photo}\n")
    assert len(json.loads(result.stdout)["images"]) == 2


def test_a_run_and_each_result_say_which_preset_ran(yolo_gp: Run, tiny: Path, photo: Path) -> None:
    import yolo_gp as package

    result = yolo_gp("detect", "--cfg", tiny, "--random-weights", "--preset", "coco", photo)
    assert result.stderr.startswith("conventions: preset coco\n")
    settings = DetectorSettings(model=ModelSource(cfg=tiny, random_weights=True), preset="opencv")
    assert package.Detector.load(settings).detect(photo).preset == "opencv"


def detections(run: Run, cfg: Path, photo: Path, *flags: str) -> list[dict[str, object]]:
    result = run("detect", "--cfg", cfg, "--random-weights", "--json", "--no-save", *flags, photo)
    assert result.returncode == 0, result.stderr
    found: list[dict[str, object]] = json.loads(result.stdout)["images"][0]["detections"]
    return found


def test_classes_keeps_the_classes_named(
    yolo_gp: Run, tiny: Path, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "two.names").write_text("cat\ndog\n")
    everything = detections(yolo_gp, tiny, photo, "--conf", "0.01", "--names", "two.names")
    assert {d["name"] for d in everything} == {"cat", "dog"}
    by_name = detections(
        yolo_gp, tiny, photo, "--conf", "0.01", "--names", "two.names", "--classes", "dog"
    )
    by_id = detections(yolo_gp, tiny, photo, "--conf", "0.01", "--classes", "1")
    assert {d["name"] for d in by_name} == {"dog"}
    assert [d["box_xyxy"] for d in by_name] == [d["box_xyxy"] for d in by_id]


def test_a_class_that_does_not_exist_is_a_usage_error(
    yolo_gp: Run, tiny: Path, photo: Path
) -> None:
    result = yolo_gp("detect", "--cfg", tiny, "--random-weights", "--classes", "0,horse", photo)
    assert result.returncode == 2
    assert "'horse', which is no class of this network" in result.stderr


def test_conf_iou_and_max_det_change_what_is_reported(
    yolo_gp: Run, tiny: Path, photo: Path
) -> None:
    many = detections(yolo_gp, tiny, photo, "--conf", "0.01", "--iou", "1")
    assert len(detections(yolo_gp, tiny, photo, "--conf", "0.9")) < len(many)
    assert len(detections(yolo_gp, tiny, photo, "--conf", "0.01", "--iou", "0")) < len(many)
    assert len(detections(yolo_gp, tiny, photo, "--conf", "0.01", "--max-det", "1")) == 1


def test_preset_size_dtype_and_batch_are_honoured(yolo_gp: Run, tiny: Path, photo: Path) -> None:
    plain = detections(yolo_gp, tiny, photo, "--conf", "0.01")
    assert detections(yolo_gp, tiny, photo, "--conf", "0.01", "--preset", "coco") != plain
    assert len(detections(yolo_gp, tiny, photo, "--conf", "0.01", "--size", "64x96")) > len(plain)
    half = detections(yolo_gp, tiny, photo, "--conf", "0.01", "--dtype", "bfloat16")
    assert half != plain and len(half) > 0
    result = yolo_gp(
        "detect", "--cfg", tiny, "--random-weights", "--json", "--no-save",
        "--batch", "2", "--conf", "0.01", photo, photo, photo,
    )  # fmt: skip
    images = json.loads(result.stdout)["images"]
    assert [image["detections"] for image in images] == [plain] * 3


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--preset", "darkent"], "did you mean darknet?"),
        (["--device", "cuda:99"], "device cuda:99 cannot be used"),
        (["--dtype", "int8"], "dtype int8 is none of float32, float16, bfloat16"),
        (["--conf", "1.5"], "the confidence threshold is 1.5; it must lie between 0 and 1"),
        (["--names", "gone.names"], "cannot read names gone.names"),
    ],
)
def test_a_flag_that_cannot_be_served_says_why(
    yolo_gp: Run, tiny: Path, photo: Path, flags: list[str], text: str
) -> None:
    result = yolo_gp("detect", "--cfg", tiny, "--random-weights", *flags, photo)
    assert result.returncode in (2, 5)
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_names_that_are_not_as_many_as_the_classes_are_refused(
    yolo_gp: Run, tiny: Path, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "three.names").write_text("a\nb\nc\n")
    result = yolo_gp("detect", "--cfg", tiny, "--random-weights", "--names", "three.names", photo)
    assert result.returncode == 5
    assert f"3 class names are given, but {tiny} has classes=2" in result.stderr


def test_a_network_without_a_head_cannot_detect(yolo_gp: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "flat.cfg").write_text(TINY[: TINY.index("[yolo]")])
    result = yolo_gp("detect", "--cfg", "flat.cfg", "--random-weights", photo)
    assert result.returncode == 2
    assert "has no detection head" in result.stderr


def test_a_one_channel_network_takes_colour_photos(
    yolo_gp: Run, tiny: Path, photo: Path, tmp_path: Path
) -> None:
    grey = tmp_path / "grey.cfg"
    grey.write_text(TINY.replace("channels=3", "channels=1"))
    assert detections(yolo_gp, grey, photo, "--conf", "0.01")
