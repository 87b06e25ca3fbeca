"""Counts of a data set against counts by hand; the pictures exist and are pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolo_gp.data.opening import open_dataset
from yolo_gp.data.statistics import (
    DatasetStatistics,
    dataset_statistics,
    statistics_data,
    statistics_text,
)
from yolo_gp.errors import DataError
from yolo_gp.plots.dataset import plot_statistics

from .conftest import Write


@pytest.fixture
def counted(coco: Write, picture: Write) -> DatasetStatistics:
    """Image 7 is 100 x 200 with three objects, image 8 is 100 x 100 without any."""
    picture("images/b.jpg", (100, 100))
    file = coco(
        {"bbox": [0, 0, 20, 10], "area": 1023},  # small; twice as wide as high
        {"bbox": [100, 50, 60, 30], "area": 1024},  # 32^2: medium
        {"bbox": [80, 40, 20, 20], "area": 9217, "category_id": 5, "iscrowd": 1},  # over 96^2
        images=[
            {"id": 7, "file_name": "a.jpg", "height": 100, "width": 200},
            {"id": 8, "file_name": "b.jpg", "height": 100, "width": 100},
        ],
    )
    return dataset_statistics(open_dataset(str(file)))


def test_objects_are_counted_by_class_and_size(counted: DatasetStatistics) -> None:
    assert [(c.name, c.objects, c.images) for c in counted.classes] == [
        ("cat", 2, 1),
        ("dog", 1, 1),
    ]
    assert counted.by_size == {"small": 1, "medium": 1, "large": 1}
    assert counted.ignored == 1
    assert counted.objects_per_image.tolist() == [3, 0]


def test_shapes_and_positions_are_those_of_the_boxes(counted: DatasetStatistics) -> None:
    assert counted.aspect_ratios.tolist() == [2, 2, 1]
    assert counted.boxes_wh_relative.tolist() == [[0.1, 0.1], [0.3, 0.3], [0.1, 0.2]]
    # centres (.05, .05), (.65, .65), (.45, .5) in 32 parts: 1.6, 20.8, 14.4 and 16
    rows, columns = np.nonzero(counted.positions)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(1, 1), (16, 14), (20, 20)]


def test_json_holds_the_counts(counted: DatasetStatistics) -> None:
    found = statistics_data(counted)
    assert (found["images"], found["images_without_objects"], found["objects"]) == (2, 1, 3)
    assert found["image_sizes"] == [
        {"height": 100, "width": 200, "images": 1},
        {"height": 100, "width": 100, "images": 1},
    ]
    assert found["aspect_ratio"] == {
        "min": 1,
        "quartile_1": 1.5,
        "median": 2,
        "quartile_3": 2,
        "max": 2,
        "mean": pytest.approx(5 / 3),
    }


def test_the_table_names_what_it_counts(counted: DatasetStatistics) -> None:
    lines = statistics_text(counted).splitlines()
    assert lines[0].endswith(
        "2 images, 1 without objects; 3 objects, 1 of them crowds or difficult"
    )
    assert lines[1].startswith("small 1 (33.3 %)  medium 1 (33.3 %)  large 1 (33.3 %)")
    assert lines[-2].split() == ["0", "cat", "2", "66.7", "%", "1"]


def test_data_without_objects_has_statistics_too(coco: Write, tmp_path: Path) -> None:
    found = dataset_statistics(open_dataset(str(coco())))
    assert statistics_data(found)["box_width"] is None
    assert "0 objects" in statistics_text(found)
    assert len(plot_statistics(found, tmp_path / "plots")) == 3


def test_an_unreadable_label_stops_the_counting(yolo: Write) -> None:
    with pytest.raises(DataError, match=r"a.txt:1: problem: 2 columns"):
        dataset_statistics(open_dataset(str(yolo("0 1\n"))))


def test_the_pictures_are_written_with_missing_folders(
    counted: DatasetStatistics, tmp_path: Path
) -> None:
    files = plot_statistics(counted, tmp_path / "new" / "plots")
    assert [file.name for file in files] == ["classes.png", "boxes.png", "images.png"]
    for file in files:
        pixels = np.asarray(Image.open(file).convert("RGB"))
        assert pixels.shape[0] > 100
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10  # not blank


def test_a_picture_that_cannot_be_written_is_told(
    counted: DatasetStatistics, text: Write, tmp_path: Path
) -> None:
    text("plots", "a file where a folder should be")
    with pytest.raises(DataError, match=r"cannot write .*classes.png"):
        plot_statistics(counted, tmp_path / "plots")
