"""Model cards: what they hold, and what is said of a wrong one."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from yolo_gp.cards import (
    Expected,
    ModelCard,
    PrintedAccuracy,
    PrintedFigure,
    PublishedRow,
    TrainedWeights,
    read_card,
)
from yolo_gp.errors import DataError, ExitCode

CARD = """name = "tiny"
cfg = "tiny.cfg"
description = "one convolution"
classes = 8
input_size = [16, 32]
status = "exact"
recipe = "yolo-gp train --cfg tiny.cfg"
"""
EXPECTED = """[expected]
params = 32
macs = 12288
"""
PUBLISHED = """[[published]]
table = "ELAN paper, table 3"
row = "Tiny"
source = "arXiv 2211.04800"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_card_with_every_key(tmp_path: Path) -> None:
    text = f"""{CARD}weights = "tiny"
note = "see F.2"
{EXPECTED}p_w = 24
p_fused = 32
p_file = 32
d1 = 24576
d2 = 24576
t2 = 24576
{PUBLISHED}position = 2
params = 41.50
params_count = "P_w"
flops = 13
flops_count = "D1"
at = [320, 416]
accuracy = {{ "mask AP" = 41.10, AP = 51 }}
accuracy_data = "COCO val"
note = "another input"
"""
    assert read_card(written(tmp_path, text)) == ModelCard(
        name="tiny",
        cfg="tiny.cfg",
        description="one convolution",
        classes=8,
        input_size=(16, 32),
        status="exact",
        recipe="yolo-gp train --cfg tiny.cfg",
        expected=Expected(32, 12288, 24, 32, 32, 24576, 24576, 24576),
        weights="tiny",
        note="see F.2",
        published=(
            PublishedRow(
                table="ELAN paper, table 3",
                row="Tiny",
                position=2,
                params=PrintedFigure(Decimal("41.50"), 10**6, "P_w"),
                flops=PrintedFigure(Decimal(13), 10**9, "D1"),
                at=(320, 416),
                source="arXiv 2211.04800",
                note="another input",
                accuracy=(
                    PrintedAccuracy("AP", Decimal(51), "COCO val"),
                    PrintedAccuracy("mask AP", Decimal("41.10"), "COCO val"),
                ),
            ),
        ),
    )


def test_a_printed_figure_keeps_its_digits(tmp_path: Path) -> None:
    text = f'{CARD}{EXPECTED}{PUBLISHED}params = 20.50\nparams_count = "P_w"\n'
    (row,) = read_card(written(tmp_path, text)).published
    assert row.params is not None
    assert str(row.params.value) == "20.50"
    assert row.flops is None


TRAINED = """[trained]
file = "tiny.safetensors"
knows = "two things (dot, dash)"
commands = ["yolo-gp make", "yolo-gp train"]
seed = 0
accuracy = { AP50 = 91.5 }
accuracy_data = "unseen scenes"
"""


def test_a_card_says_how_its_weights_were_made(tmp_path: Path) -> None:
    card = read_card(written(tmp_path, CARD + EXPECTED + TRAINED))
    assert card.trained == TrainedWeights(
        file="tiny.safetensors",
        knows="two things (dot, dash)",
        commands=("yolo-gp make", "yolo-gp train"),
        seed=0,
        accuracy=(PrintedAccuracy("AP50", Decimal("91.5"), "unseen scenes"),),
    )


WRONG = {
    CARD.replace('name = "tiny"\n', "") + EXPECTED: (
        "name is missing\nexpected: a text of at least one letter"
    ),
    CARD.replace('"tiny.cfg"\n', "7\n", 1) + EXPECTED: (
        "cfg = 7 will not do\nexpected: a text of at least one letter"
    ),
    CARD.replace('"one convolution"', '" "') + EXPECTED: (
        'description = " " will not do\nexpected: a text of at least one letter'
    ),
    CARD.replace("[16, 32]", "[16]") + EXPECTED: (
        "input_size = [16] will not do\nexpected: [height, width] in pixels"
    ),
    CARD.replace("[16, 32]", "[16, 0]") + EXPECTED: (
        "input_size = [16, 0] will not do\nexpected: [height, width] in pixels"
    ),
    CARD.replace('"exact"', '"perfect"') + EXPECTED: (
        'status = "perfect" will not do\n'
        'expected: one of "exact", "reconstructed", "paper disagrees"'
    ),
    CARD.replace("= 8", "= true") + EXPECTED: (
        "classes = True will not do\nexpected: a whole number above 0"
    ),
    CARD: "expected is missing\nexpected: a table [expected]",
    CARD + "expected = 3": "expected = 3 will not do\nexpected: a table [expected]",
    CARD + "[expected]\nparams = 32\n": (
        "[expected] macs is missing\nexpected: a whole number above 0"
    ),
    CARD + EXPECTED.replace("12288", "0.1"): (
        "[expected] macs = 0.1 will not do\nexpected: a whole number above 0"
    ),
    CARD + EXPECTED + "p_fuse = 3\n": (
        "[expected] p_fuse is no key here\n"
        "expected: params, macs, p_w, p_fused, p_file, d1, d2, t2\nhelp: did you mean p_fused?"
    ),
    CARD + 'recipee = "x"\n' + EXPECTED: (
        "recipee is no key here\nexpected: name, cfg, description, classes, input_size, "
        "status, recipe, expected, weights, trained, note, published\nhelp: did you mean recipe?"
    ),
    CARD + 'published = "x"\n' + EXPECTED: (
        'published = "x" will not do\nexpected: tables [[published]]'
    ),
    CARD + EXPECTED + PUBLISHED + PUBLISHED.replace('row = "Tiny"\n', ""): (
        "[[published]] 2: row is missing\nexpected: a text of at least one letter"
    ),
    CARD + EXPECTED + PUBLISHED + "params = 54.3\n": (
        "[[published]] 1: params_count is missing\n"
        'expected: one of "P_w", "P_fused", "P_train", "P_file"'
    ),
    CARD + EXPECTED + PUBLISHED + 'flops_count = "F0"\n': (
        "[[published]] 1: flops is missing\nexpected: a number above 0"
    ),
    CARD + EXPECTED + PUBLISHED + 'flops = 3\nflops_count = "P_w"\n': (
        '[[published]] 1: flops_count = "P_w" will not do\n'
        'expected: one of "F0", "D1", "D2", "T2"'
    ),
    CARD + EXPECTED + PUBLISHED + 'params = nan\nparams_count = "P_w"\n': (
        "[[published]] 1: params = NaN will not do\nexpected: a number above 0"
    ),
    CARD + EXPECTED + PUBLISHED + "accuracy = { AP = 51.0 }\n": (
        "[[published]] 1: accuracy_data is missing\nexpected: a text of at least one letter"
    ),
    CARD + EXPECTED + PUBLISHED + 'accuracy_data = "COCO val"\n': (
        "[[published]] 1: accuracy is missing\nexpected: a table [accuracy]"
    ),
    CARD + EXPECTED + PUBLISHED + 'accuracy_data = "COCO val"\naccuracy = {}\n': (
        "[[published]] 1: accuracy = {} will not do\nexpected: a table [accuracy]"
    ),
    CARD + EXPECTED + PUBLISHED + 'accuracy_data = "COCO val"\naccuracy = { AP = 100.1 }\n': (
        "[[published]] 1: [accuracy] AP = 100.1 will not do\n"
        "expected: percent: above 0, at most 100"
    ),
    CARD + EXPECTED + PUBLISHED + 'accuracy_data = "COCO val"\naccuracy = { mask_AP = 51 }\n': (
        "[[published]] 1: [accuracy] mask_AP is no key here\n"
        "expected: AP, AP50, AP75, mask AP, mask AP75, top-1\nhelp: did you mean mask AP?"
    ),
    CARD + EXPECTED + TRAINED.replace("seed = 0", "seed = -1"): (
        "[trained] seed = -1 will not do\nexpected: a whole number, at least 0"
    ),
    CARD + EXPECTED + TRAINED.replace('["yolo-gp make", "yolo-gp train"]', "[]"): (
        "[trained] commands = [] will not do\nexpected: a list of at least one text"
    ),
    CARD + EXPECTED + TRAINED + "speed = 3\n": (
        "[trained] speed is no key here\n"
        "expected: file, knows, commands, seed, accuracy, accuracy_data\nhelp: did you mean seed?"
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=[message.split("\n")[0] for message in WRONG.values()])
def test_a_wrong_card_is_named_with_its_key(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert str(caught.value) == f"{path}: {WRONG[text]}"
    assert caught.value.exit_code is ExitCode.DATA


def test_everything_that_is_wrong_comes_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, CARD.replace("= 8", "= 0") + "[expected]\nparams = 32\n")
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert str(caught.value).count(f"{path}: ") == 2


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "name = ")
    with pytest.raises(DataError, match=r"tiny\.toml is no TOML file: Invalid value \(at "):
        read_card(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"tiny\.toml is no TOML file: 'utf-8' codec"):
        read_card(path)


def test_a_card_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^cannot read model card .*: no such file or directory$"):
        read_card(tmp_path / "none.toml")
