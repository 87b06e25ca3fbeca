"""`yolo-gp graph`."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from .conftest import Run

CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=linear\n"
ADD = "[shortcut]\nfrom=0\nactivation=linear\n"
NET = f"[net]\nwidth=32\nheight=64\nchannels=3\n{CONV}{CONV}{ADD}{CONV}"
MACRO = f"[net]\nwidth=32\nheight=32\nchannels=3\n{CONV}[elan]\nhidden=4\nfilters=8\n{CONV}"


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET)
    (tmp_path / "macro.cfg").write_text(MACRO)


@pytest.mark.parametrize(
    ("file", "begins"),
    [
        ("net.svg", '<?xml version="1.0"'),
        ("net.SVG", '<?xml version="1.0"'),
        ("net.dot", 'digraph "a.cfg" {'),
        ("net.gv", 'digraph "a.cfg" {'),
        ("net.mmd", "---\ntitle: "),
        ("net.mermaid", "---\ntitle: "),
    ],
)
def test_the_name_of_the_file_tells_what_to_write(
    yolo_gp: Run, tmp_path: Path, file: str, begins: str
) -> None:
    result = yolo_gp("graph", "a.cfg", "-o", file)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert (tmp_path / file).read_text().startswith(begins)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.cfg", "macro.cfg", file])


def test_format_counts_more_than_the_name(yolo_gp: Run, tmp_path: Path) -> None:
    yolo_gp("graph", "a.cfg", "-o", "net.txt", "--format", "dot")
    assert (tmp_path / "net.txt").read_text().startswith("digraph")


@pytest.mark.parametrize("out", [(), ("-o", "-")])
def test_without_a_file_it_goes_to_standard_output(
    yolo_gp: Run, tmp_path: Path, out: tuple[str, ...]
) -> None:
    svg = yolo_gp("graph", "a.cfg", *out)
    assert ET.fromstring(svg.stdout).tag == "{http://www.w3.org/2000/svg}svg"
    assert yolo_gp("graph", "a.cfg", "--format", "mermaid", *out).stdout.startswith("---\n")
    assert not (tmp_path / "-").exists()


def test_the_picture_is_of_the_size_asked_for(yolo_gp: Run) -> None:
    text = yolo_gp("graph", "a.cfg", "--format", "dot", "--size", "128x96").stdout
    assert '"0 conv 3x3/1 linear\\n4 x 128 x 96"' in text


def test_a_macro_is_one_box_or_all_its_layers(yolo_gp: Run) -> None:
    expanded = yolo_gp("graph", "macro.cfg", "--format", "dot").stdout
    assert 'label="1 elan"' in expanded
    assert "blocks=2" not in expanded
    assert yolo_gp("graph", "macro.cfg", "--format", "dot", "--expand").stdout == expanded
    collapsed = yolo_gp("graph", "macro.cfg", "--format", "dot", "--collapse").stdout
    assert '"1 elan, blocks=2\\n8 x 32 x 32"' in collapsed
    assert "subgraph" not in collapsed


@pytest.mark.parametrize(
    ("layers", "shown"),
    [
        ("1..2", ["0 conv", "1 conv", "2 shortcut", "3 conv"]),
        ("3..", ["2 shortcut", "3 conv", "loss"]),
        ("..0", ["input", "0 conv", "1 conv", "2 shortcut"]),
        ("3", ["2 shortcut", "3 conv", "loss"]),
    ],
)
def test_some_layers_are_shown_with_their_neighbours(
    yolo_gp: Run, layers: str, shown: list[str]
) -> None:
    text = yolo_gp("graph", "a.cfg", "--format", "mermaid", "--layers", layers).stdout
    labels = [line.split('"')[1].split("<br/>")[0] for line in text.splitlines() if '["' in line]
    assert [label.removesuffix(" 3x3/1 linear") for label in labels] == shown


def test_the_words_of_a_part_say_which_it_is(yolo_gp: Run) -> None:
    text = yolo_gp("graph", "a.cfg", "--format", "dot", "--layers", "1..2").stdout
    assert "; here layers 1 to 2" in text


# -- what cannot be drawn --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("-o", "net.png"),
            "error: -o net.png does not tell what to write\n"
            "expected: a name that ends in .svg, .dot, .gv, .mmd, .mermaid, or --format\n",
        ),
        (
            ("--format", "png"),
            "error: --format png is none that graph can write\n"
            "expected: one of svg, dot, mermaid\n",
        ),
        (
            ("--layers", "2..9"),
            "error: --layers 2..9 are no layers of this network\n"
            "expected: two numbers from 0 to 3, such as 0..3\n",
        ),
        (
            ("--layers", "2..1"),
            "error: --layers 2..1 are no layers of this network\n"
            "expected: two numbers from 0 to 3, such as 0..3\n",
        ),
        (
            ("--layers", ".."),
            "error: --layers .. are no layers of this network\n"
            "expected: two numbers from 0 to 3, such as 0..3\n",
        ),
        (
            ("--layers", "a"),
            "error: --layers a are no layers of this network\n"
            "expected: two numbers from 0 to 3, such as 0..3\n",
        ),
    ],
)
def test_wrong_flags_are_refused_with_what_was_expected(
    yolo_gp: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = yolo_gp("graph", "a.cfg", *arguments)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", message)
    assert not (tmp_path / "net.png").exists()


def test_a_broken_cfg_leaves_the_old_picture(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "net.svg").write_text("old")
    (tmp_path / "a.cfg").write_text(NET.replace("from=0", "from=7"))
    result = yolo_gp("graph", "a.cfg", "-o", "net.svg")
    assert result.returncode == 3
    assert "refers to 7, a later layer" in result.stderr
    assert (tmp_path / "net.svg").read_text() == "old"


def test_a_folder_that_cannot_be_written_is_a_data_error(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = yolo_gp("graph", "a.cfg", "-o", "file/net.svg")
    assert result.returncode == 5
    assert result.stderr.startswith("error: cannot write file/net.svg: ")
