"""`yolo-gp transform`."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.graph import read_graph

from .conftest import Run

CONV = "[convolutional]\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=leaky\n"
BLOCK = CONV.format(8, 1, 1) + CONV.format(16, 3, 1) + "[shortcut]\nfrom=-3\nactivation=linear\n"
SMALL = (
    "# small\n[net]\nwidth=32\nheight=32\nchannels=3\n\n" + CONV.format(16, 3, 2) + "\n" + BLOCK
    + CONV.format(32, 3, 2)
)  # fmt: skip


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.cfg"
    path.write_text(SMALL)
    return path


def test_the_cfg_goes_to_stdout_and_costs_to_stderr(yolo_gp: Run, small: Path) -> None:
    # Before, at 32x32: 3*16*9 + 16 = 448 on 16x16; 16*8 + 8 = 136; 8*16*9 + 16 = 1168; the last
    # 16*32*9 + 32 = 4640 on 8x8. MACs (432 + 128 + 1152) * 256 + 4608 * 64 = 733,184; Darknet
    # counts two for each, and 16 * 256 for the sum. After: 3 convolutions 16 to 8, 8 to 8, 8 to 8
    # twice (1x1 and 3x3) and the transitions 8 to 8 and 16 to 16: 128 * 2 + 64 + 576 + 64 + 256
    # weights and 8 * 5 + 16 biases for the block's 1304, and 8 * 256 for the sum.
    result = yolo_gp("transform", "small.cfg", "--to", "csp")
    assert result.returncode == 0
    assert result.stdout == SMALL.replace(
        BLOCK,
        "# stage 1, in place of 1 residual block\n[csp]\nfilters=16\nsplit=0.5\nrepeat=1\n"
        "activation=leaky\nbatch_normalize=0\n",
    )
    assert result.stderr == (
        "stage 1 (layers 1 to 3): 1 block -> [csp] filters=16 split=0.5 repeat=1 "
        "activation=leaky batch_normalize=0\n"
        "\n"
        "at 32x32 (height x width):\n"
        "        layers  params     MACs  BFLOPs\n"
        "before       5   6,392  733,184   0.001\n"
        "after       11   6,360  716,800   0.001\n"
        "change          -0.50%   -2.23%  -2.37%\n"
    )


def test_out_names_a_file_and_size_is_that_of_the_costs(yolo_gp: Run, small: Path) -> None:
    result = yolo_gp("transform", "small.cfg", "--to", "prn", "--size", "64x32", "-o", "new.cfg")
    assert (result.returncode, result.stdout) == (0, "")
    assert "at 64x32 (height x width):" in result.stderr
    assert "before       5   6,392  1,466,368" in result.stderr
    assert small.with_name("new.cfg").read_text() == SMALL.replace(
        "[shortcut]\nfrom=-3\nactivation=linear\n",
        "[partial_shortcut]\nfrom=-3\nactivation=linear\nratio=0.5\n",
    )


@pytest.mark.parametrize(("flags", "wanted"), [
    (("--to", "prn", "--ratio", "0.25"), "ratio=0.25\n"),
    (("--to", "csp", "--fusion", "last"), "fusion=last\n"),
    (("--to", "csp", "--split", "0.25"), "split=0.25\n"),
    (("--to", "elan", "--blocks", "3"), "blocks=3\n"),
    (("--to", "elan", "--convs", "1"), "convs=1\n"),
    (("--width", "2"), "filters=32\nsize=3\nstride=2\n"),
])  # fmt: skip
def test_flags_change_the_cfg(
    yolo_gp: Run, small: Path, flags: tuple[str, ...], wanted: str
) -> None:
    result = yolo_gp("transform", "small.cfg", *flags)
    assert result.returncode == 0
    assert wanted in result.stdout


def test_depth_and_stages_change_the_cfg(yolo_gp: Run, small: Path) -> None:
    assert yolo_gp("transform", "small.cfg", "--depth", "3").stdout.count("[shortcut]") == 3
    none = yolo_gp("transform", "small.cfg", "--to", "prn", "--stages", "2-5")
    assert none.returncode == 2
    assert "found: stage 1 (layers 1 to 3)\n" in none.stderr


@pytest.mark.parametrize(("flag", "column"), [("--keep-params", 1), ("--keep-flops", 2)])
def test_budgets(yolo_gp: Run, small: Path, flag: str, column: int) -> None:
    wide = SMALL.replace("filters=16", "filters=128").replace("filters=8", "filters=64")
    small.write_text(wide)
    result = yolo_gp("transform", "small.cfg", "--to", "csp", flag, "-o", "new.cfg")
    change = result.stderr.splitlines()[-1].split()
    assert change[0] == "change"
    assert abs(float(change[column].rstrip("%"))) <= 1.0
    before, after = read_graph(small).total, read_graph(small.with_name("new.cfg")).total
    figures = (before.params, after.params) if column == 1 else (before.macs, after.macs)
    assert figures[1] == pytest.approx(figures[0], rel=0.01)


@pytest.mark.parametrize(("flags", "message"), [
    (("--to", "vgg"), "--to vgg is no such form\nexpected: prn, csp or elan"),
    (("--to", "csp", "--fusion", "late"),
     "--fusion late does not exist\nexpected: normal, first, last or none"),
    (("--to", "csp", "--ratio", "0.5"),
     "--ratio has no effect without --to prn\nexpected: --to prn, or no --ratio"),
    (("--to", "prn", "--split", "0.5"),
     "--split has no effect without --to csp\nexpected: --to csp, or no --split"),
    (("--depth", "2", "--convs", "1"),
     "--convs has no effect without --to elan\nexpected: --to elan, or no --convs"),
    (("--to", "csp", "--keep-params", "--keep-flops"),
     "--keep-params and --keep-flops together\nexpected: one of the two"),
    (("--stages", "3-5"),
     "nothing to do\nexpected: --to prn, csp or elan, or a --depth or --width besides 1"),
])  # fmt: skip
def test_flags_that_make_no_sense_are_usage_errors(
    yolo_gp: Run, small: Path, flags: tuple[str, ...], message: str
) -> None:
    result = yolo_gp("transform", "small.cfg", *flags)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {message}\n"


def test_nothing_is_written_when_the_result_is_refused(yolo_gp: Run, small: Path) -> None:
    small.write_text(SMALL + "[route]\nlayers=1\n")
    result = yolo_gp("transform", "small.cfg", "--to", "csp", "-o", "new.cfg")
    assert result.returncode == 2
    assert not small.with_name("new.cfg").exists()


def test_a_broken_cfg_is_a_cfg_error(yolo_gp: Run, small: Path) -> None:
    small.write_text(SMALL + "[route]\nlayers=99\n")
    result = yolo_gp("transform", "small.cfg", "--to", "csp")
    assert result.returncode == 3
    assert result.stderr.startswith("small.cfg:36:8: error: [route]")


def test_warnings_about_the_result_are_shown(yolo_gp: Run, small: Path) -> None:
    small.write_text(SMALL + "filterz=3\n")
    result = yolo_gp("transform", "small.cfg", "--to", "prn")
    assert "small.cfg, rewritten:36:1: warning: [convolutional] does not know" in result.stderr


def test_help_says_how_stages_are_counted(yolo_gp: Run) -> None:
    text = " ".join(yolo_gp("transform", "--help").stdout.split())
    assert "Stage k is what has stride 2^k" in text
