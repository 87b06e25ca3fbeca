"""A new cfg from a template and data: classes, anchors, length, and the files beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolo_gp.data.annotations import AnnotatedDataset
from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import UsageError
from yolo_gp.formatting import canonical_layout
from yolo_gp.graph import compile_text
from yolo_gp.lint.linting import LintSettings, lint_content
from yolo_gp.tasks.starting import NewCfg, NewSettings, new_cfg
from yolo_gp.tasks.starting_files import files_beside, require_absent, write_files
from yolo_gp.tasks.templates import packaged_templates

SIZES = [(20, 10), (30, 30), (40, 60), (50, 40), (100, 50), (90, 90)]  # as many as elan-nano uses


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two pictures of 100 x 200 (height x width) to train on, one for validation, YOLO txt."""
    for split, names in (("train", "ab"), ("val", "c")):
        for n, name in enumerate(names):
            images, labels = tmp_path / f"data/images/{split}", tmp_path / f"data/labels/{split}"
            images.mkdir(parents=True, exist_ok=True)
            labels.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (200, 100), (n, 0, 0)).save(images / f"{name}.png")
            boxes = SIZES[n::2]
            lines = (f"{n} .5 .5 {w / 200} {h / 100}\n" for w, h in boxes)
            (labels / f"{name}.txt").write_text("".join(lines))
    (tmp_path / "data/data.names").write_text("cat\ndog\n")
    return tmp_path / "data"


def make(template: str = "elan-nano", **settings: object) -> NewCfg:
    return new_cfg(NewSettings(template=template, **settings))  # type: ignore[arg-type]


def refusal(**settings: object) -> str:
    with pytest.raises(UsageError) as error:
        make(**settings)  # type: ignore[arg-type]
    return str(error.value)


def values(cfg: NewCfg, key: str) -> list[str]:
    lines = cfg.content.decode().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


@pytest.mark.parametrize("name", [template.name for template in packaged_templates()])
def test_every_template_gives_a_cfg_without_a_finding_in_canonical_layout(name: str) -> None:
    cfg = make(name, classes=3, size=(320, 416))
    assert cfg.graph.warnings == ()
    assert cfg.graph.input_shape.size == (320, 416)
    assert {head.num_classes for _, head in cfg.graph.heads} == {3}
    assert canonical_layout(cfg.content) == cfg.content


# Heads of each form: two and three, with masks, without anchors, and the masks of Darknet's tiny
# networks, where an anchor serves two heads and another none.
@pytest.mark.parametrize("name", ["elan-nano", "elan-tiny", "yolov4-tiny", "elan-af", "yolov3-seg"])
def test_lint_finds_nothing_either(name: str) -> None:
    cfg = make(name, classes=3, size=(320, 416))
    assert lint_content(cfg.content, name, LintSettings()).findings == ()


def test_anchors_are_those_of_the_data_and_so_are_names_and_number_of_classes(data: Path) -> None:
    # 100x200 to 200x400: twice as large. Six sizes for six places: each is an anchor.
    cfg = make(data=str(data), size=(192, 416))
    # width 2.08 times, height 1.92 times; by area
    wanted = sorted(((2.08 * w, 1.92 * h) for w, h in SIZES), key=lambda wh: wh[0] * wh[1])
    text = ", ".join(f"{round(w, 1):g},{round(h, 1):g}" for w, h in wanted)
    assert values(cfg, "anchors") == [text, text]
    assert values(cfg, "mask") == ["0,1,2", "3,4,5"]
    assert "fitted by k-means to the 6 boxes of" in cfg.content.decode().replace("\n# ", " ")
    assert cfg.names == ("cat", "dog")
    assert values(cfg, "classes") == ["2", "2"]
    assert cfg.notes == ()


def test_images_of_the_modern_recipe_are_measured_with_their_letter_box(data: Path) -> None:
    # yolor-v3-seg has masks, which Darknet cannot train; nine places need nine sizes.
    label = data / "labels/train/a.txt"
    label.write_text("".join(f"0 .5 .5 {w / 200} .5\n" for w in range(20, 200, 20)))
    (data / "labels/train/b.txt").write_text("")
    cfg = make("yolor-v3-seg", data=str(data), size=(320, 320))
    assert cfg.recipes == ("modern",)
    # 320 / 200 = 1.6 for both sides: 50 high become 80
    text = ", ".join(f"{1.6 * w:g},80" for w in range(20, 200, 20))
    assert values(cfg, "anchors") == [text] * 3


def test_too_few_boxes_leave_the_templates_anchors_and_say_so(data: Path) -> None:
    (data / "labels/train/b.txt").write_text("")
    cfg = make(data=str(data), size=(320, 320))
    assert cfg.notes == (
        "the data has 3 different box sizes, too few for 6 anchors; they are those of the template",
    )
    assert values(cfg, "anchors") == values(make(classes=2), "anchors")


def test_epochs_are_counted_in_the_images_of_the_data(data: Path) -> None:
    # 2 images, 64 an update: 320 epochs are 10 updates.
    cfg = make(data=str(data), epochs=320)
    assert values(cfg, "max_batches") == ["10"]
    assert values(cfg, "steps") == ["8,9"]
    assert "# updates in all: 320 epochs of 2 images;" in cfg.content.decode()


def test_names_come_from_their_file_where_one_is_given(data: Path, tmp_path: Path) -> None:
    names = tmp_path / "my.names"
    names.write_text("dog\ncat\n")
    assert make(names=names).names == ("dog", "cat")
    assert make(names=names, data=str(data)).names == ("dog", "cat")


def test_nothing_that_says_how_many_classes_there_are_is_an_error() -> None:
    assert refusal() == (
        "nothing says how many classes there are\n"
        "expected: --classes N, --names FILE, or --data with a list of its classes"
    )


def test_another_number_of_classes_than_the_data_has_is_an_error(
    data: Path, tmp_path: Path
) -> None:
    assert refusal(data=str(data), classes=5) == (
        f"--classes 5, but {data}/images/train has 2\n"
        "expected: --classes 2, or no --classes; or --names with the names of all classes"
    )
    names = tmp_path / "my.names"
    names.write_text("a\nb\nc\n")
    assert refusal(names=names, classes=2) == (
        f"--classes 2, but {names} has 3\nexpected: --classes 3, or no --classes"
    )


def test_settings_out_of_range_are_refused() -> None:
    assert refusal(classes=0) == "--classes 0 is out of range\nexpected: 1 to 65536"
    assert refusal(classes=1, data="x", epochs=0) == (
        "--epochs 0 is out of range\nexpected: above 0"
    )
    assert refusal(classes=1, epochs=1) == (
        "--epochs needs to know how many images there are\nexpected: --data with it"
    )


def paths(dataset: AnnotatedDataset) -> Sequence[str]:
    return [sample.path.name for sample in dataset.samples]


def test_the_files_beside_it_are_a_data_set_that_darknet_reads(data: Path, tmp_path: Path) -> None:
    settings = NewSettings(template="elan-nano", data=str(data))
    out = tmp_path / "new/my.cfg"
    files = files_beside(new_cfg(settings), settings, out, darknet_data=True)
    require_absent(files)
    write_files(files)
    assert {path.name for path in out.parent.iterdir()} == {
        "my.cfg", "my.names", "my.data", "my.train.txt", "my.valid.txt",
    }  # fmt: skip
    assert compile_text(out.read_bytes(), "my.cfg").heads
    for split, wanted in (("train", ["a.png", "b.png"]), ("val", ["c.png"])):
        dataset = open_dataset(str(out.with_suffix(".data")), split=split)
        assert (dataset.class_names, paths(dataset)) == (("cat", "dog"), wanted)
    assert f"backup = {out.parent}\n" in out.with_suffix(".data").read_text()


def test_names_are_written_where_the_data_knows_them_and_no_file_was_given(
    data: Path, tmp_path: Path
) -> None:
    def written(**given: object) -> list[str]:
        settings = NewSettings(template="elan-nano", **given)  # type: ignore[arg-type]
        found = files_beside(new_cfg(settings), settings, tmp_path / "my.cfg", darknet_data=False)
        return [path.name for path in found]

    assert written(data=str(data)) == ["my.cfg", "my.names"]
    assert written(data=str(data), names=data / "data.names") == ["my.cfg"]
    assert written(classes=2) == ["my.cfg"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"classes": 2},
            "--darknet-data lists the images of --data\nexpected: --data with it",
        ),
        (
            {"data": "coco.json"},
            "coco.json has no labels that Darknet reads\nexpected: YOLO txt\n"
            "help: `yolo-gp data convert coco.json OUT --to yolo`",
        ),
        (
            {"data": "data", "names": Path("other.names")},
            "other.names has the classes in another order than data/images/train, whose labels "
            "Darknet would take for others\nexpected: the same order",
        ),
    ],
)
def test_data_that_darknet_would_misread_is_refused(
    given: dict[str, object],
    message: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.names").write_text("dog\ncat\n")
    Path("coco.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "data/images/val/c.png", "height": 100,
                            "width": 200}],
                "annotations": [],
                "categories": [{"id": 1, "name": "cat"}],
            }
        )
    )  # fmt: skip
    settings = NewSettings(template="elan-nano", **given)  # type: ignore[arg-type]
    cfg = new_cfg(settings)
    with pytest.raises(UsageError) as error:
        files_beside(cfg, settings, Path("my.cfg"), darknet_data=True)
    assert str(error.value) == message


def test_a_name_of_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    settings = NewSettings(template="elan-nano", classes=1)
    with pytest.raises(UsageError, match=r"-o my\.names is the name of another kind of file"):
        files_beside(new_cfg(settings), settings, Path("my.names"), darknet_data=False)


def test_boxes_are_counted_once_for_each_image(data: Path) -> None:
    seen: list[int] = []
    new_cfg(NewSettings(template="elan-nano", data=str(data)), advance=seen.append)
    assert np.sum(seen) == 2
