"""`yolo-gp analyze` and `yolo-gp make family`, as run from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run


@pytest.fixture
def residual(yolo_gp: Run, tmp_path: Path) -> Path:
    path = tmp_path / "residual.cfg"
    result = yolo_gp("make", "family", "residual", "--layers", "5", "--channels", "4", "-o", path)
    assert result.returncode == 0, result.stderr
    return path


def test_one_cfg_gives_a_row_per_weight_layer_and_the_totals(yolo_gp: Run, residual: Path) -> None:
    result = yolo_gp("analyze", residual)
    assert result.stdout == (
        "layer  kind           channels  timestamps  shortest  longest  combinations  sources  "
        "features  shared\n"
        "    0  convolutional         4  1, 3, 5            1        5             1        3  "
        "       0   50.0%\n"
        "    1  convolutional         4  2, 4               2        4             1        1  "
        "       1    0.0%\n"
        "    2  convolutional         4  1, 3               1        3             1        2  "
        "       1  100.0%\n"
        "    4  convolutional         4  2                  2        2             1        1  "
        "       2    0.0%\n"
        "    5  convolutional         4  1                  1        1             1        1  "
        "       1  100.0%\n"
        "\n"
        "                         residual.cfg\n"
        "parameters                         96\n"  # 3 * 4 + 4 and four times 4 * 4 + 4
        "FLOPs                         155,648\n"  # 2 * 32 * 32 * (12 + 4 * 16)
        "weight layers                       5\n"
        "longest shortest path               2\n"
        "longest path                        5\n"
        "timestamp combinations              5\n"
        "sources                             8\n"
        "shared gradient                 50.0%\n"
        "layers without gradient             0\n"
    )


def test_several_cfgs_stand_side_by_side(yolo_gp: Run, residual: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.cfg"
    yolo_gp("make", "family", "plain", "--layers", "5", "--channels", "4", "-o", plain)
    lines = yolo_gp("analyze", residual, plain).stdout.splitlines()
    assert lines[0].split() == ["residual.cfg", "plain.cfg"]
    assert [line.split()[-2:] for line in lines if line.startswith("longest")] == [
        ["2", "5"],
        ["5", "5"],
    ]


def test_a_layer_shows_an_actual_shortest_and_longest_path(yolo_gp: Run, residual: Path) -> None:
    result = yolo_gp("analyze", residual, "--layer", "2")
    assert result.stdout == (
        "layer 2 [convolutional], 4 x 32 x 32\n"
        "\n"
        "channels  combination  paths per channel  timestamps\n"
        "0-3                 0                 17  1, 3\n"  # 1 by the identity, 4 * 4 through 2
        "\n"
        "sources: 4 [convolutional], 6 [partial_shortcut]\n"
        "\n"
        "features: 1 [convolutional]\n"
        "\n"
        "a shortest path, timestamp 1:\n"
        "layer  kind              output       channel  timestamp\n"
        "    6  partial_shortcut  4 x 32 x 32        0          1\n"
        "    3  partial_shortcut  4 x 32 x 32        0          1\n"
        "    2  convolutional     4 x 32 x 32        0          1\n"
        "\n"
        "a longest path, timestamp 3:\n"
        "layer  kind              output       channel  timestamp\n"
        "    6  partial_shortcut  4 x 32 x 32        0          1\n"
        "    5  convolutional     4 x 32 x 32        0          1\n"
        "    4  convolutional     4 x 32 x 32        0          2\n"
        "    3  partial_shortcut  4 x 32 x 32        0          3\n"
        "    2  convolutional     4 x 32 x 32        0          3\n"
    )


def test_json_has_every_layer_with_both_numbers(yolo_gp: Run, residual: Path) -> None:
    found = json.loads(yolo_gp("analyze", residual, "--json").stdout)
    assert found["schema_version"] == 1
    (network,) = found["networks"]
    assert (network["longest_shortest"], network["longest"], network["sources"]) == (2, 5, 8)
    assert [(layer["index"], layer["written"]) for layer in network["layers"]] == [
        (n, n) for n in range(7)
    ]
    assert network["layers"][0]["timestamps"] == [1, 3, 5]
    assert network["layers"][0]["channels"] == [
        # 1 over the identities, 4 * 4 twice through one block, 4^4 through both
        {"first": 0, "end": 4, "timestamps": [1, 3, 5], "paths": "289", "combination": 0}
    ]


def test_a_layer_inside_a_macro_is_numbered_as_written_and_as_compiled(yolo_gp: Run) -> None:
    lines = yolo_gp("analyze", "elan-nano.cfg").stdout.splitlines()
    assert lines[0].split()[:2] == ["layer", "index"]
    assert lines[4].split()[:3] == ["2", "4", "convolutional"]  # 3 is a slice of 2


def test_a_condition_that_holds_fails_the_run(yolo_gp: Run, residual: Path) -> None:
    result = yolo_gp("analyze", residual, "--fail-if", "longest_shortest>1")
    assert result.returncode == 1
    assert result.stderr == ("residual.cfg: longest_shortest>1: longest_shortest is 2\n")
    assert yolo_gp("analyze", residual, "--fail-if", "longest_shortest > 2").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--fail-if", "longest_shortst>1"],
            "--fail-if 'longest_shortst>1' is no condition\n"
            "expected: a figure, an operator and a number, as in 'longest_shortest>12'; figures: "
            "params, macs, flops, weight_layers, longest_shortest, longest, combinations, sources, "
            "shared, unreached\n"
            "help: did you mean longest_shortest?",
        ),
        (["--layer", "9"], "--layer 9 is no layer of residual.cfg\nexpected: 0 to 6"),
        (
            ["--layer", "1", "--json"],
            "--layer shows a layer of one cfg, as text\nexpected: one cfg, no --json",
        ),
    ],
)
def test_arguments_that_cannot_be_served_are_refused(
    yolo_gp: Run, residual: Path, arguments: list[str], message: str
) -> None:
    result = yolo_gp("analyze", residual, *arguments)
    assert (result.returncode, result.stderr) == (2, f"error: {message}\n")


def test_a_layer_without_gradient_is_said_to_have_none(yolo_gp: Run, tmp_path: Path) -> None:
    conv = "[convolutional]\nfilters=4\nactivation=linear\n"
    cfg = tmp_path / "unread.cfg"
    cfg.write_text(f"[net]\nwidth=8\nheight=8\nchannels=3\n{conv}{conv}[route]\nlayers=0\n{conv}")
    assert yolo_gp("analyze", cfg, "--layer", "1").stdout == (
        "layer 1 [convolutional], 4 x 8 x 8: no gradient reaches it\n"
    )
    assert yolo_gp("analyze", cfg).stdout.splitlines()[-1].split()[-1] == "1"


def test_html_writes_one_report_of_all_networks(yolo_gp: Run, residual: Path) -> None:
    report = residual.parent / "out" / "report.html"
    result = yolo_gp("analyze", residual, "yolov3-tiny.cfg", "--html", report)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    text = report.read_text()
    assert '<button role="tab" id="tab-0"' in text
    assert "yolov3-tiny.cfg</button>" in text


def test_html_with_a_layer_opens_at_that_layer(yolo_gp: Run, residual: Path) -> None:
    report = residual.parent / "report.html"
    assert yolo_gp("analyze", residual, "--layer", "2", "--html", report).returncode == 0
    assert '"chosen":2}' in report.read_text()


def test_svg_draws_the_network_or_the_paths_of_a_layer(yolo_gp: Run, residual: Path) -> None:
    svg = residual.parent / "paths.svg"
    assert yolo_gp("analyze", residual, "-o", svg).stdout == ""
    assert "shortest / longest path" in svg.read_text()
    assert yolo_gp("analyze", residual, "-o", svg, "--layer", "2").stdout == ""
    assert "Gradient paths of layer 2 [convolutional]" in svg.read_text()


def test_json_and_conditions_go_together_with_pictures(yolo_gp: Run, residual: Path) -> None:
    svg = residual.parent / "paths.svg"
    result = yolo_gp("analyze", residual, "-o", svg, "--json", "--fail-if", "longest>4")
    assert result.returncode == 1
    assert json.loads(result.stdout)["networks"][0]["longest"] == 5
    assert svg.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["-o", "x.txt"],
            "-o x.txt has a suffix it cannot write\nexpected: a name that ends in .svg",
        ),
        (
            ["--html", "x.svg"],
            "--html x.svg has a suffix it cannot write\n"
            "expected: a name that ends in .html or .htm",
        ),
        (
            ["elan-nano.cfg", "-o", "x.svg"],
            "-o draws one network, there are 2 cfgs\n"
            "help: --html FILE puts several into one report",
        ),
    ],
)
def test_pictures_that_cannot_be_written_are_refused(
    yolo_gp: Run, residual: Path, arguments: list[str], message: str
) -> None:
    result = yolo_gp("analyze", residual, *arguments)
    assert (result.returncode, result.stderr) == (2, f"error: {message}\n")
    assert not list(residual.parent.glob("x.*"))


def test_a_picture_that_the_disk_refuses_is_an_error(yolo_gp: Run, residual: Path) -> None:
    taken = residual.parent / "taken.svg"
    taken.mkdir()
    result = yolo_gp("analyze", residual, "-o", taken)
    assert result.returncode == 5
    assert result.stderr == f"error: cannot write {taken}: is a directory\n"
