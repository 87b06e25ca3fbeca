"""`yolo-gp expand`."""

from __future__ import annotations

from pathlib import Path

from yolo_gp.graph import read_graph

from .conftest import Run

NET = """# small
[net]
width=32
height=32
channels=3

[convolutional]
filters=8
activation=leaky
name=stem
"""
CSP = "[csp]\nfilters=8\nstop_gradient=identity\n"


def test_the_result_goes_to_stdout_and_what_is_left_out_to_stderr(
    yolo_gp: Run, tmp_path: Path
) -> None:
    (tmp_path / "small.cfg").write_text(NET + CSP)
    result = yolo_gp("expand", "small.cfg")
    assert result.returncode == 0
    assert result.stdout.startswith(NET.replace("name=stem\n", "# [csp] at line 11 of small.cfg"))
    assert "[csp]\n" not in result.stdout
    assert result.stderr == (
        "small.cfg:13:1: warning: [csp] stop_gradient=identity is left out: Darknet has no such "
        "key; results are the same, training is not [YG111]\n"
        "   13 | stop_gradient=identity\n"
        "      | ^^^^^^^^^^^^^\n\n"
    )


def test_out_names_a_file(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text(NET + CSP)
    written = yolo_gp("expand", "small.cfg")
    result = yolo_gp("expand", "small.cfg", "-o", "new/plain.cfg")
    assert (result.returncode, result.stdout) == (0, "")
    assert (tmp_path / "new/plain.cfg").read_text() == written.stdout
    assert len(read_graph(tmp_path / "new/plain.cfg").nodes) == 10
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["plain.cfg"]


def test_the_source_can_be_written_over(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text(NET)
    assert yolo_gp("expand", "small.cfg", "--out", "small.cfg").returncode == 0
    assert (tmp_path / "small.cfg").read_text() == NET.replace("name=stem\n", "")


def test_warnings_about_the_result_name_its_lines(yolo_gp: Run, tmp_path: Path) -> None:
    residual = (
        "[convolutional]\nfilters=8\nstride=2\nactivation=leaky\n[partial_shortcut]\nfrom=0\n"
    )
    (tmp_path / "small.cfg").write_text(NET + residual)
    result = yolo_gp("expand", "small.cfg", "-o", "plain.cfg")
    assert "plain.cfg:17:6: warning: [shortcut] adds a 32x32 map to a 16x16 one" in result.stderr
    to_stdout = yolo_gp("expand", "small.cfg")
    assert "small.cfg, expanded:17:6: warning: " in to_stdout.stderr


def test_strict_refuses_a_source_with_warnings(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.cfg").write_text(NET + "filterz=3\n")
    assert yolo_gp("expand", "odd.cfg").returncode == 0
    result = yolo_gp("expand", "odd.cfg", "--strict", "-o", "plain.cfg")
    assert (result.returncode, result.stdout) == (3, "")
    assert not (tmp_path / "plain.cfg").exists()


def test_a_network_without_an_equivalent_is_a_cfg_error(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[csp]\nfilters=8\n")
    result = yolo_gp("expand", "small.cfg", "-o", "plain.cfg")
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith("small.cfg:5:1: error: [csp] reads the network's input")
    assert not (tmp_path / "plain.cfg").exists()


def test_a_file_that_cannot_be_written_is_a_data_error(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text(NET)
    result = yolo_gp("expand", "small.cfg", "-o", "small.cfg/plain.cfg")
    assert result.returncode == 5
    assert result.stderr.startswith("error: cannot write small.cfg/plain.cfg: ")


def test_a_missing_file_is_a_usage_error(yolo_gp: Run) -> None:
    assert yolo_gp("expand", "nowhere.cfg").returncode == 2
