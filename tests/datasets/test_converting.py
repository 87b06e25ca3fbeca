"""Round trips through other formats: what comes back, and what cannot."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_gp.data.annotations import AnnotatedDataset
from yolo_gp.data.converting import ConvertReport, ConvertSettings, Format, convert
from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import DataError, UsageError

from .conftest import Write

SIZE = (100, 200)
BOX = [10.25, 20.5, 30.125, 40]
SQUARES = [[0, 0, 20, 0, 20, 20, 0, 20], [60, 0, 80, 0, 80, 20, 60, 20]]


def to(
    form: str, spec: Path, out: Path, *, link: bool = False, polygons: bool = False
) -> ConvertReport:
    settings = ConvertSettings(format=Format(form), link=link, polygons=polygons)
    return convert({"val": open_dataset(str(spec))}, out, settings)


def json_of(folder: Path) -> Path:
    return folder / "annotations" / "instances_val.json"


def assert_same_boxes(found: AnnotatedDataset, expected: AnnotatedDataset, error: float) -> None:
    by_name = {s.path.name: n for n, s in enumerate(found.samples)}
    assert len(by_name) == len(expected.samples)
    for index, sample in enumerate(expected.samples):
        assert sample.size is not None
        theirs = expected.ground_truth(index, sample.size)
        ours = found.ground_truth(by_name[sample.path.name], sample.size)
        kept = ~theirs.ignored if len(ours) < len(theirs) else slice(None)
        assert ours.class_ids.tolist() == theirs.class_ids[kept].tolist()
        assert np.abs(ours.boxes_xyxy - theirs.boxes_xyxy[kept]).max(initial=0) <= error
        if not isinstance(kept, np.ndarray):
            assert ours.ignored.tolist() == theirs.ignored.tolist()
            assert ours.crowd.tolist() == theirs.crowd.tolist()


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of coco-mini, two of them with crowds; their JSON."""
    source = shared / "data" / "coco-mini"
    content = json.loads((source / "annotations" / "instances_val.json").read_text())
    crowded = {e["image_id"] for e in content["annotations"] if e["iscrowd"]}
    images = sorted(content["images"], key=lambda image: image["id"] not in crowded)[:12]
    kept = {image["id"] for image in images}
    content["images"] = images
    content["annotations"] = [e for e in content["annotations"] if e["image_id"] in kept]
    folder = tmp_path_factory.mktemp("real")
    for image in images:
        shutil.copy(source / "images" / "val" / image["file_name"], folder)
    file = folder / "real.json"
    file.write_text(json.dumps(content))
    return file


def test_coco_to_yolo_and_back_keeps_boxes(real: Path, tmp_path: Path) -> None:
    report = to("yolo", real, tmp_path / "yolo")
    back = tmp_path / "coco"
    to("coco", tmp_path / "yolo", back)
    # Eight decimals: centre and size are off by .5e-8 sides each, an edge by .75e-8; sides are at
    # most 640 pixels: 4.8e-6. The JSON is rounded to 1e-6, edges are sums of two: 1e-6 more.
    expected, found = open_dataset(str(real)), open_dataset(str(json_of(back)))
    assert_same_boxes(found, expected, 6e-6)
    assert found.class_names == expected.class_names
    assert sorted(s.image_id for s in found.samples) == sorted(s.image_id for s in expected.samples)
    crowds = sum(int(e["iscrowd"]) for e in json.loads(real.read_text())["annotations"])
    assert crowds > 0
    (crowd_text,) = [text for text in report.left_out if text.startswith("crowds")]
    assert report.left_out[crowd_text] == crowds


def test_coco_to_voc_and_back_keeps_boxes_and_crowds(real: Path, tmp_path: Path) -> None:
    to("voc", real, tmp_path / "voc")
    to("coco", tmp_path / "voc", tmp_path / "coco")
    # VOC and the JSON are each rounded to 1e-6: .5e-6 an edge, and an edge of the JSON is a sum
    assert_same_boxes(open_dataset(str(tmp_path / "voc")), open_dataset(str(real)), 0.6e-6)
    assert_same_boxes(open_dataset(str(json_of(tmp_path / "coco"))), open_dataset(str(real)), 2e-6)


def test_coco_to_coco_keeps_masks_areas_and_category_ids(real: Path, tmp_path: Path) -> None:
    to("coco", real, tmp_path / "new")
    found, expected = open_dataset(str(json_of(tmp_path / "new"))), open_dataset(str(real))
    assert_same_boxes(found, expected, 1.1e-6)
    assert found.category_ids == expected.category_ids
    for index, sample in enumerate(expected.samples):
        assert sample.size is not None
        ours, theirs = (d.ground_truth(index, sample.size) for d in (found, expected))
        assert ours.masks == theirs.masks
        assert ours.areas.tolist() == theirs.areas.tolist()


def test_pycocotools_evaluates_what_is_written(real: Path, tmp_path: Path) -> None:
    """The truth as its own results: AP 1, for boxes and masks."""
    to("coco", real, tmp_path / "new")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(json_of(tmp_path / "new")))
        results = [{**e, "score": 1.0} for e in truth.dataset["annotations"] if not e["iscrowd"]]
        for kind in ("bbox", "segm"):
            evaluator = COCOeval(truth, truth.loadRes(results), kind)
            evaluator.evaluate()
            evaluator.accumulate()
            evaluator.summarize()
            assert evaluator.stats[0] == pytest.approx(1)


def test_voc_marks_survive_coco(picture: Write, text: Write, tmp_path: Path) -> None:
    picture("voc/JPEGImages/a.jpg")
    box = "<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
    objects = [
        f"<object><name>{name}</name><difficult>{hard}</difficult>{box}</object>"
        for name, hard in (("dog", 1), ("a &amp; b", 0))
    ]
    text("voc/Annotations/a.xml", f"<annotation>{''.join(objects)}</annotation>")
    to("coco", tmp_path / "voc", tmp_path / "coco")
    (first, second) = json.loads(json_of(tmp_path / "coco").read_text())["annotations"]
    assert first["bbox"] == [10, 20, 20, 20]
    assert (first["difficult"], first["iscrowd"]) == (1, 0)
    assert "difficult" not in second
    to("voc", json_of(tmp_path / "coco"), tmp_path / "back")
    truth = open_dataset(str(tmp_path / "back")).ground_truth(0, SIZE)
    assert truth.boxes_xyxy.tolist() == [[10, 20, 30, 40]] * 2
    assert truth.ignored.tolist() == [True, False]
    assert not truth.crowd.any()
    assert open_dataset(str(tmp_path / "back")).class_names == ("a & b", "dog")
    xml = (tmp_path / "back" / "Annotations" / "a.xml").read_text()
    assert "<xmin>11</xmin>" in xml  # whole numbers stay whole
    assert (tmp_path / "back" / "ImageSets" / "Main" / "val.txt").read_text() == "a\n"


def test_outlines_survive_yolo_if_asked_for(coco: Write, tmp_path: Path) -> None:
    file = coco({"bbox": [0, 0, 80, 20], "segmentation": SQUARES}, {"bbox": BOX, "category_id": 5})
    to("yolo", file, tmp_path / "yolo", polygons=True)
    rows = (tmp_path / "yolo" / "labels" / "val" / "a.txt").read_text().splitlines()
    assert len(rows[1].split()) == 9  # a box among outlines is an outline of four corners
    before = open_dataset(str(file)).ground_truth(0, SIZE)
    after = open_dataset(str(tmp_path / "yolo")).ground_truth(0, SIZE)
    assert np.abs(after.boxes_xyxy - before.boxes_xyxy).max() < 1e-5
    # two squares joined by a bridge without width: the same pixels but for the bridge's own
    ours, theirs = (
        masks.decode({"size": t.masks[0].size, "counts": t.masks[0].counts})
        for t in (after, before)
        if t.masks
    )
    assert theirs.sum() == 800
    assert np.abs(ours.astype(int) - theirs).sum() <= 40  # one pixel for each of the bridge's 40


def test_without_asking_yolo_gets_boxes_and_says_what_is_left_out(
    coco: Write, tmp_path: Path
) -> None:
    file = coco({"bbox": BOX, "segmentation": SQUARES})
    report = to("yolo", file, tmp_path / "yolo")
    row = (tmp_path / "yolo" / "labels" / "val" / "a.txt").read_text()
    # centre (25.3125, 40.5) of 200 x 100
    assert row == "0 0.12656250 0.40500000 0.15062500 0.40000000\n"
    assert dict(report.left_out) == {"outlines; --polygons writes them in place of boxes": 1}


def test_several_splits_make_one_data_set(picture: Write, text: Write, tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(f"set/images/{split}/same.jpg")
        text(f"set/labels/{split}/same.txt", "1 .5 .5 .1 .1\n")
    text("set/x.names", "cat\ndog\n")
    splits = {s: open_dataset(str(tmp_path / "set"), split=s) for s in ("train", "val")}
    report = convert(splits, tmp_path / "voc", ConvertSettings(format=Format.VOC))
    assert (report.images, report.objects) == (2, 2)
    names = [p.name for p in sorted((tmp_path / "voc" / "JPEGImages").iterdir())]
    assert names == ["same.jpg", "same_2.jpg"]  # two pictures of one name are kept apart
    val = open_dataset(str(tmp_path / "voc"))
    assert [s.path.name for s in val.samples] == ["same_2.jpg"]
    assert val.class_names == ("cat", "dog")


def test_uncounted_classes_become_numbers(yolo: Write, tmp_path: Path) -> None:
    folder = yolo("2 .5 .5 .1 .1\n")
    (folder / "data.names").unlink()
    to("coco", folder, tmp_path / "coco")
    assert open_dataset(str(json_of(tmp_path / "coco"))).class_names == ("0", "1", "2")


def test_images_are_copied_or_linked(coco: Write, tmp_path: Path) -> None:
    file = coco({"bbox": BOX})
    image = tmp_path / "images" / "a.jpg"
    to("yolo", file, tmp_path / "copied")
    to("yolo", file, tmp_path / "linked", link=True)
    copied = tmp_path / "copied" / "images" / "val" / "a.jpg"
    assert copied.read_bytes() == image.read_bytes()
    assert not copied.samefile(image)
    assert (tmp_path / "linked" / "images" / "val" / "a.jpg").samefile(image)


def test_nothing_appears_if_an_image_is_missing(coco: Write, tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}]
    file = coco({"bbox": BOX}, images=images)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"cannot read image .*b.jpg: no such file"):
        to("yolo", file, tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_appears_if_a_label_makes_no_sense(yolo: Write, tmp_path: Path) -> None:
    folder = yolo("0 1\n")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"a.txt:1: problem: 2 columns"):
        to("coco", folder, tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_holds_something_is_refused(coco: Write, text: Write, tmp_path: Path) -> None:
    text("full/x", "")
    with pytest.raises(UsageError, match="full exists already\nexpected: a new folder"):
        to("yolo", coco({"bbox": BOX}), tmp_path / "full")


def test_an_empty_folder_is_taken(coco: Write, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert to("yolo", coco({"bbox": BOX}), tmp_path / "empty").images == 1


def test_polygons_are_for_yolo_only() -> None:
    with pytest.raises(UsageError, match="--polygons has no effect with --to voc"):
        ConvertSettings(format=Format.VOC, polygons=True)
