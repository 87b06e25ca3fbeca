"""COCO JSON: hand-made files with numbers worked out, and pycocotools' own reading."""

from __future__ import annotations

import contextlib
import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as masks
from pycocotools.coco import COCO

from yolo_gp.data.dataset import Dataset
from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import DataError
from yolo_gp.files import read_names

from .conftest import Write

SIZE = (100, 200)
BOX = [10, 20, 30, 40]
TRIANGLE = [0, 0, 40, 0, 0, 40]


def with_pycocotools(file: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(file))


def decoded(rle: object) -> np.ndarray:
    return masks.decode({"size": rle.size, "counts": rle.counts})  # type: ignore[attr-defined]


def test_a_box_is_left_top_width_height_in_the_file(coco: Write) -> None:
    truth = open_dataset(str(coco({"bbox": BOX, "area": 1000}))).ground_truth(0, SIZE)
    assert truth.boxes_xyxy.tolist() == [[10, 20, 40, 60]]  # 10 + 30, 20 + 40
    assert truth.areas.tolist() == [1000]  # as stated, not 30 * 40
    assert truth.masks is None


def test_an_area_that_is_not_stated_is_the_boxs(coco: Write) -> None:
    truth = open_dataset(str(coco({"bbox": BOX}))).ground_truth(0, SIZE)
    assert truth.areas.tolist() == [1200]


def test_classes_are_numbered_by_category_id(coco: Write) -> None:
    dataset = open_dataset(str(coco({"bbox": BOX, "category_id": 5})))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.category_ids == (3, 5)
    assert dataset.ground_truth(0, SIZE).class_ids.tolist() == [1]


def test_a_sample_has_the_images_id_and_stated_size(coco: Write) -> None:
    file = coco({"bbox": BOX})
    (sample,) = open_dataset(str(file)).samples
    assert (sample.image_id, sample.size) == (7, SIZE)
    assert sample.path == file.parent / "images" / "a.jpg"


def test_a_crowd_is_ignored(coco: Write) -> None:
    truth = open_dataset(str(coco({"bbox": BOX, "iscrowd": 1}, {"bbox": BOX}))).ground_truth(
        0, SIZE
    )
    assert truth.crowd.tolist() == [True, False]
    assert truth.ignored.tolist() == [True, False]


def test_a_polygon_is_drawn_as_pycocotools_draws_it(coco: Write) -> None:
    file = coco({"bbox": [0, 0, 40, 40], "segmentation": [TRIANGLE, [60, 0, 80, 0, 80, 10]]})
    truth = open_dataset(str(file)).ground_truth(0, SIZE)
    assert truth.masks is not None
    expected = with_pycocotools(file).annToMask(with_pycocotools(file).anns[1])
    assert np.array_equal(decoded(truth.masks[0]), expected)
    # The triangle is half of 40 x 40; its 40 diagonal pixels are split: 780 to 820 pixels.
    assert 780 <= decoded(truth.masks[0])[:, :50].sum() <= 820


def test_uncompressed_run_lengths_go_down_the_columns(coco: Write) -> None:
    # 100 rows: 150 pixels of background end in row 49 of column 1; then 30 of the object.
    runs = {"size": [100, 200], "counts": [150, 30, 19820]}
    truth = open_dataset(str(coco({"bbox": BOX, "segmentation": runs}))).ground_truth(0, SIZE)
    assert truth.masks is not None
    mask = decoded(truth.masks[0])
    assert mask[50:80, 1].all()
    assert mask.sum() == 30
    assert truth.areas.tolist() == [30]  # not stated, so the mask's


def test_an_object_without_a_mask_among_others_gets_its_box_as_one(coco: Write) -> None:
    file = coco({"bbox": BOX, "segmentation": [TRIANGLE]}, {"bbox": BOX})
    truth = open_dataset(str(file)).ground_truth(0, SIZE)
    assert truth.masks is not None
    mask = decoded(truth.masks[1])
    assert mask[20:60, 10:40].all()
    assert mask.sum() == 1200


def test_masks_can_be_left_out(coco: Write) -> None:
    file = coco({"bbox": BOX, "segmentation": [TRIANGLE]})
    truth = open_dataset(str(file), masks=False).ground_truth(0, SIZE)
    assert truth.masks is None
    # An area that is not stated is the mask's all the same, as in evaluations with masks.
    rle = masks.merge(masks.frPyObjects([TRIANGLE], *SIZE))
    assert truth.areas.tolist() == [masks.area(rle)]
    assert truth.areas[0] < 1200  # the box's


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", ["coco-mini", "bccd"])
def test_real_data_reads_as_pycocotools_reads_it(shared: Path, name: str, split: str) -> None:
    file = shared / "data" / name / "annotations" / f"instances_{split}.json"
    dataset, judge = open_dataset(str(file)), with_pycocotools(file)
    assert [s.image_id for s in dataset.samples] == list(judge.imgs)
    for index, sample in enumerate(dataset.samples):
        assert sample.path.is_file()
        assert sample.size is not None
        truth = dataset.ground_truth(index, sample.size)
        entries = judge.imgToAnns[sample.image_id]
        boxes = np.array([e["bbox"] for e in entries]).reshape(-1, 4)
        assert np.array_equal(truth.boxes_xyxy[:, :2], boxes[:, :2])
        assert np.allclose(truth.boxes_xyxy[:, 2:] - truth.boxes_xyxy[:, :2], boxes[:, 2:])
        assert [dataset.category_ids[c] for c in truth.class_ids] == [
            e["category_id"] for e in entries
        ]
        assert truth.areas.tolist() == [e["area"] for e in entries]
        assert truth.crowd.tolist() == [e["iscrowd"] == 1 for e in entries]
        for entry, mask in zip(entries, truth.masks or (), strict=False):
            assert np.array_equal(decoded(mask), judge.annToMask(entry))
        assert (truth.masks is None) == (name == "bccd")


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", ["coco-mini", "bccd"])
def test_the_yolo_labels_of_real_data_say_what_its_json_says(
    shared: Path, name: str, split: str
) -> None:
    folder = shared / "data" / name
    json_data: Dataset = open_dataset(str(folder / "annotations" / f"instances_{split}.json"))
    yolo_data: Dataset = open_dataset(str(folder), split=split)
    assert yolo_data.class_names == read_names(next(folder.glob("*.names")))
    assert yolo_data.class_names == json_data.class_names
    by_name = {s.path.name: n for n, s in enumerate(yolo_data.samples)}
    assert len(by_name) == len(json_data.samples)
    for index, sample in enumerate(json_data.samples):
        assert sample.size is not None
        height, width = sample.size
        expected = json_data.ground_truth(index, sample.size)
        found = yolo_data.ground_truth(by_name[sample.path.name], sample.size)
        kept = ~expected.crowd  # YOLO txt has no crowds
        assert found.class_ids.tolist() == expected.class_ids[kept].tolist()
        # six decimals: centre and size are each off by .5e-6 sides, an edge by .75e-6
        error = np.abs(found.boxes_xyxy - expected.boxes_xyxy[kept]).max(initial=0)
        assert error <= 0.75e-6 * max(height, width) + 1e-9


@pytest.mark.parametrize(
    ("place", "json_place"),
    [
        ("images/a.jpg", "data.json"),
        ("a.jpg", "data.json"),
        ("images/val/a.jpg", "annotations/instances_val.json"),
        ("val2017/a.jpg", "annotations/instances_val2017.json"),
        ("images/a.jpg", "annotations/x.json"),
    ],
)
def test_images_are_found_beside_the_json(
    coco: Write, tmp_path: Path, place: str, json_place: str
) -> None:
    written = coco({"bbox": BOX})
    content = written.read_text()
    image = (tmp_path / "images" / "a.jpg").read_bytes()
    root = tmp_path / "elsewhere"
    (root / json_place).parent.mkdir(parents=True)
    (root / json_place).write_text(content)
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_bytes(image)
    (sample,) = open_dataset(str(root / json_place)).samples
    assert sample.path.samefile(root / place)


def test_images_that_are_nowhere_are_an_error_that_says_where(coco: Write, tmp_path: Path) -> None:
    file = coco({"bbox": BOX})
    (tmp_path / "images" / "a.jpg").rename(tmp_path / "b.jpg")
    with pytest.raises(DataError) as error:
        open_dataset(str(file))
    lines = str(error.value).splitlines()
    assert lines[0] == f"the images of {file} are not found; looked for a.jpg in"
    assert f"  {tmp_path / 'images'}" in lines
    assert f"  {tmp_path}" in lines
    assert lines[-1] == "help: name their folder with --images"


def test_the_image_folder_can_be_named(coco: Write, picture: Write, tmp_path: Path) -> None:
    file = coco({"bbox": BOX})
    picture("other/a.jpg")
    (sample,) = open_dataset(str(file), images=tmp_path / "other").samples
    assert sample.path == tmp_path / "other" / "a.jpg"


def test_an_image_folder_that_does_not_exist_is_refused(coco: Write, tmp_path: Path) -> None:
    file = coco({"bbox": BOX})
    for images in (tmp_path / "none", file):
        with pytest.raises(DataError) as error:
            open_dataset(str(file), images=images)
        assert str(error.value) == (
            f"there is no folder {images}\nexpected: --images with the one that holds the images "
            f"of {file}"
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [', ":1 is no JSON: expecting value"),
        ("[1, 2]", " is no COCO JSON\nexpected: keys images, annotations, categories"),
        ('{"images": [], "annotations": [], "categories": []}', " holds no images"),
        ('{"images": 3, "annotations": [], "categories": []}', "images is no list of objects"),
        (
            '{"images": [{"id": "x", "file_name": "a"}], "annotations": [], "categories": []}',
            ": images[0] has id x, no whole number",
        ),
        (
            '{"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1}]}',
            ": images[0] has no file_name",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": [], "categories": []}',
            " has no categories, so no classes",
        ),
        (
            '{"images": [{"id": 1}, {"id": 1}], "annotations": [], "categories": []}',
            " has two entries with image id 1",
        ),
        (
            '{"images": [{"id": 1, "file_name": "%s"}], "annotations": [],' % ("x" * 1000)
            + ' "categories": [{"id": 1}]}',
            " are not found; looked for",
        ),
        ("[" * 100_000, " is no COCO JSON: it is nested too deeply"),
    ],
)
def test_a_file_that_is_no_coco_json_is_refused(text: Write, content: str, message: str) -> None:
    file = text("broken.json", content)
    with pytest.raises(DataError) as error:
        open_dataset(str(file))
    assert str(file) in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"bbox": None}, "annotation 1: bbox None is not four finite numbers"),
        ({"bbox": [1, 2, 3]}, "annotation 1: bbox [1, 2, 3] is not four finite numbers"),
        ({"bbox": [1, 2, 3, float("nan")]}, "bbox [1, 2, 3, nan] is not four finite numbers"),
        ({"bbox": BOX, "category_id": 4}, "annotation 1: category 4 is out of range"),
        ({"bbox": BOX, "segmentation": [[1, 2, 3, 4]]}, "a polygon has 2 points; it needs 3"),
        ({"bbox": BOX, "segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "7 coordinates, an odd number"),
        ({"bbox": BOX, "segmentation": [["a"]]}, "neither polygons nor run lengths"),
        (
            {"bbox": BOX, "segmentation": [[0, 0, 1e9, 0, 0, 1e9]]},
            "a polygon lies far outside the image",
        ),
        (
            {"bbox": BOX, "segmentation": {"size": [100, 200], "counts": [5, 5]}},
            "the runs cover 10 pixels, but 100x200 are stated",
        ),
        (
            {"bbox": BOX, "segmentation": {"size": [100, 200], "counts": "zz"}},
            "annotation 1: the text",
        ),
        (
            {"bbox": BOX, "segmentation": {"size": [200, 100], "counts": [20000]}},
            "annotation 1: its mask is 200x100, but the image is 100x200",
        ),
    ],
)
def test_an_annotation_that_makes_no_sense_is_named(
    coco: Write, annotation: dict[str, object], message: str
) -> None:
    file = coco(annotation)
    with pytest.raises(DataError) as error:
        open_dataset(str(file)).ground_truth(0, SIZE)
    assert str(error.value).startswith(f"{file}: problem: ")
    assert message in str(error.value)


def test_run_lengths_of_garbage_never_reach_the_decoder(coco: Write) -> None:
    # pycocotools would decode these past the end of its memory
    rng = np.random.default_rng(3)
    for _ in range(50):
        counts = "".join(chr(c) for c in rng.integers(32, 127, 40))
        found = coco({"bbox": BOX, "segmentation": {"size": [100, 200], "counts": counts}})
        with pytest.raises(DataError):
            open_dataset(str(found)).ground_truth(0, SIZE)


def test_annotations_of_one_image_need_not_stand_together(coco: Write, picture: Write) -> None:
    picture("images/b.jpg")
    file = coco(
        {"bbox": [1, 1, 1, 1]},
        {"bbox": [2, 2, 2, 2], "image_id": 8},
        {"bbox": [3, 3, 3, 3]},
        images=[{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
    )
    dataset = open_dataset(str(file))
    assert dataset.ground_truth(0, SIZE).boxes_xyxy[:, 0].tolist() == [1, 3]
    assert dataset.ground_truth(1, SIZE).boxes_xyxy[:, 0].tolist() == [2]
    assert dataset.samples[0].size is None  # the file states none


def test_an_image_without_annotations_has_no_objects(coco: Write) -> None:
    truth = open_dataset(str(coco())).ground_truth(0, SIZE)
    assert len(truth) == 0
    assert truth.boxes_xyxy.shape == (0, 4)


def test_a_large_file_is_kept_as_numbers(coco: Write, tmp_path: Path) -> None:
    # 100 polygons of 1,000 points: 1.6 MB as float64, 6.4 MB as Python's lists of floats
    file = coco(*[{"bbox": BOX, "segmentation": [[0.5] * 2000]} for _ in range(100)])
    tracemalloc.start()
    dataset = open_dataset(str(file))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(dataset.samples) == 1
    assert kept < 2e6
    assert peak < file.stat().st_size + 4 * 1.6e6
    assert json.loads(file.read_bytes())["annotations"]


def test_a_folder_is_opened_by_the_annotations_of_the_split(shared: Path, tmp_path: Path) -> None:
    for part in ("annotations", "images"):
        (tmp_path / part).symlink_to(shared / "data/coco-mini" / part)
    folder = open_dataset(str(tmp_path), split="train")
    file = open_dataset(str(shared / "data/coco-mini/annotations/instances_train.json"))
    assert [sample.image_id for sample in folder.samples] == [s.image_id for s in file.samples]
