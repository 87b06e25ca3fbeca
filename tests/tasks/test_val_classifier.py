"""Accuracy of a classifier on a few images, counted by hand."""

from __future__ import annotations

import json
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import torch

from yolo_gp.data.class_opening import open_classified
from yolo_gp.data.classified import UNKNOWN, ClassifiedImages
from yolo_gp.data.listing import ImageList
from yolo_gp.errors import DataError
from yolo_gp.metrics.top_k import NEVER, NOTHING, Confusion
from yolo_gp.tasks.classifier import Classifier
from yolo_gp.tasks.ranks import Ranks
from yolo_gp.tasks.val import ValSettings
from yolo_gp.tasks.val_classifier import (
    ImageClasses,
    classifier_facts,
    classifier_work,
    evaluate_classes,
    pack_classes,
    unpack_classes,
    validate_classifier,
)
from yolo_gp.tasks.val_classifier_files import (
    ClassifierConventions,
    classifier_json,
    classifier_report,
    write_predictions,
)
from yolo_gp.tasks.val_files import Speed
from yolo_gp.tasks.val_journal import JournalledImages
from yolo_gp.tasks.val_run import Run, do_all, open_run

from .classifier_sets import NAMES, grey_classifier, grey_network, write_grey

# Class and brightness in sixths; the greys by their distance:
#   black at .2: black .2 away is first.
#   black at 2.2: lead .2, steel .8, coal 1.2, ash 1.8, black 2.2: rank 4, among the first five.
#   black at 6: white, chalk, ash, steel, lead, coal, black: rank 6.
#   ash at 3.8: ash .2 away is first.
#   ash at 1.2: coal .2, lead .8, black 1.2, steel 1.8, ash 2.8: rank 4.
SHOWN = (("black", 0.2), ("black", 2.2), ("black", 6.0), ("ash", 3.8), ("ash", 1.2))


@pytest.fixture
def greys(tmp_path: Path) -> ClassifiedImages:
    for number, (name, sixths) in enumerate(SHOWN):
        write_grey(tmp_path / "greys" / name / f"{number}.png", sixths / 6)
    return open_classified(str(tmp_path / "greys"), names=NAMES, count=7)


def test_top_1_and_top_5_are_the_hand_count(greys: ClassifiedImages) -> None:
    done: list[int] = []
    settings = ValSettings(batch_size=2)
    found = validate_classifier(grey_classifier(), greys, settings, advance=done.append)
    assert found.top_k.top_1 == 2 / 5
    assert found.top_k.top_5 == 4 / 5
    assert found.top_k.class_mean == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert found.top_k.confusions == (
        Confusion(0, 0, 1),
        Confusion(0, 2, 1),
        Confusion(0, 6, 1),
        Confusion(4, 1, 1),
        Confusion(4, 4, 1),
    )
    assert (found.images, found.problems, done) == (5, (), [2, 2, 1])


def test_workers_change_nothing(greys: ClassifiedImages) -> None:
    found = validate_classifier(grey_classifier(), greys, ValSettings(batch_size=2, workers=1))
    assert (found.top_k.top_1, found.top_k.top_5) == (2 / 5, 4 / 5)


def test_an_image_that_cannot_be_read_counts_as_wrong(greys: ClassifiedImages) -> None:
    greys.path(1).write_bytes(b"torn")
    found = validate_classifier(grey_classifier(), greys)
    assert found.top_k.images.sum() == 5
    assert [problem.file for problem in found.problems] == [str(greys.path(1))]
    assert "not an image" in found.problems[0].reason
    assert Confusion(4, NOTHING, 1) in found.top_k.confusions
    with pytest.raises(DataError, match=r"\nhelp: without --strict the run goes on past it$"):
        validate_classifier(grey_classifier(), greys, ValSettings(strict=True))


def test_an_image_of_unknown_class_is_left_out(greys: ClassifiedImages) -> None:
    greys.class_ids[0] = UNKNOWN
    found = validate_classifier(grey_classifier(), greys)
    assert found.top_k.images.sum() == 4
    assert found.problems[0].reason == (
        f"{greys.path(0)}: problem: the class of this image is not known"
    )


@pytest.mark.parametrize("value", [nan, inf])
def test_scores_that_are_no_numbers_are_wrong_and_said(
    greys: ClassifiedImages, value: float
) -> None:
    graph, network = grey_network()
    with torch.no_grad():
        next(network.parameters())[0] = value
    found = validate_classifier(Classifier(graph, network), greys)
    assert found.top_k.top_1 == 0
    assert found.problems[0].reason == (
        f"{greys.path(0)}: the network's output for this image is not finite"
    )


@pytest.mark.parametrize(
    "image",
    [
        ImageClasses(3, None, 17, (4, 0, 22_000), (0.5, 0.25, -0.125)),
        ImageClasses(3, "no such file: \u00e4\u6f22.jpg", NEVER, (), ()),
        ImageClasses(3, "", NEVER, (), ()),
    ],
)
def test_a_result_comes_back_from_its_bytes(image: ImageClasses) -> None:
    assert unpack_classes(3, pack_classes(image)) == image


def begin(folder: Path, greys: ClassifiedImages, resume: bool = False) -> Run:
    facts = classifier_facts(grey_classifier(), greys, ValSettings(batch_size=2), "w")
    where = (None, folder) if resume else (folder, None)
    return open_run(*where, facts, Ranks())


class Stop(Exception):
    """Ends a run from inside."""


def test_an_interrupted_run_goes_on_with_the_rest(tmp_path: Path, greys: ClassifiedImages) -> None:
    work = classifier_work(grey_classifier(), greys, ValSettings(batch_size=2))

    def stop(count: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        do_all(work, begin(tmp_path / "run", greys), Ranks(), advance=stop)
    run = begin(tmp_path / "run", greys, resume=True)
    done: list[int] = []
    do_all(work, run, Ranks(), advance=done.append)
    assert done == [2, 1]
    with JournalledImages(run.journals, run.token, unpack_classes) as results:
        found = evaluate_classes(greys, results, 7)
    assert (found.top_k.top_1, found.top_k.top_5) == (2 / 5, 4 / 5)


def test_an_image_moved_to_another_class_is_another_data_set(greys: ClassifiedImages) -> None:
    classifier = grey_classifier()
    before = classifier_facts(classifier, greys, ValSettings(), "w")
    greys.class_ids[0] = 3
    after = classifier_facts(classifier, greys, ValSettings(), "w")
    assert {key for key in before if before[key] != after[key]} == {"data"}


CONVENTIONS = ClassifierConventions("greys", "set", (8, 8))
SPEED = Speed(1.0, 2.0, 3.0, 4.0)


def many_classes(count: int) -> tuple[ClassifiedImages, list[ImageClasses]]:
    """Two images of each class; the first is right, the second only where the id is even."""
    ids = np.repeat(np.arange(count), 2)
    images = ImageList(tuple(f"{n}.png" for n in range(2 * count)))
    names = tuple(f"class {n}" for n in range(count))
    results = []
    for index, class_id in enumerate(ids.tolist()):
        right = index % 2 == 0 or class_id % 2 == 0
        best = class_id if right else (class_id + 1) % count
        results.append(ImageClasses(index, None, 0 if right else 1, (best,), (0.5,)))
    return ClassifiedImages("many", names, images, ids), results


def test_of_many_classes_the_report_shows_those_that_do_worst() -> None:
    data, results = many_classes(120)
    metrics = evaluate_classes(data, results, 120)
    text = classifier_report(metrics, data.class_names, CONVENTIONS, SPEED)
    assert text.startswith("set: 240 images of 120 of 120 classes\n")
    assert "top-1 75.00 %, top-5 100.00 %; mean of the classes' top-1 75.00 %" in text
    rows = [line for line in text.splitlines() if line.startswith("class ") and "%" in line]
    assert len(rows) == 50
    assert all(row.split()[3:5] == ["50.00", "%"] for row in rows)
    assert "\n70 classes that do better are left out; metrics.json has all\n" in text
    figures = json.loads(classifier_json(metrics, data.class_names, CONVENTIONS, SPEED))
    assert len(figures["classes"]) == 120
    assert figures["classes"][1] == {
        "class_id": 1,
        "name": "class 1",
        "images": 2,
        "top_1": 0.5,
        "top_5": 1.0,
    }


def test_five_classes_have_no_top_5() -> None:
    data, results = many_classes(4)
    metrics = evaluate_classes(data, results, 5)
    names = (*data.class_names, "never seen")
    figures = json.loads(classifier_json(metrics, names, CONVENTIONS, SPEED))
    assert (figures["top_1"], figures["top_5"]) == (0.75, None)
    assert figures["classes"][4]["top_1"] is None
    assert figures["classes"][0]["top_5"] is None
    text = classifier_report(metrics, names, CONVENTIONS, SPEED)
    assert "top-5" not in text and "never seen" not in text


def test_predictions_name_each_image_with_what_it_shows_and_what_is_said(tmp_path: Path) -> None:
    data, results = many_classes(3)
    data.class_ids[5] = UNKNOWN
    results[5] = ImageClasses(5, "torn", NEVER, (), ())
    write_predictions(tmp_path / "p.json", data, results)
    found = json.loads((tmp_path / "p.json").read_text())
    assert found[3] == {
        "file": "3.png",
        "class_id": 1,
        "given": [{"class_id": 2, "score": 0.5}],
    }
    assert found[5] == {"file": "5.png", "class_id": None, "given": []}
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"^cannot write .*p\.json: "):
        write_predictions(tmp_path / "file" / "p.json", data, results)
