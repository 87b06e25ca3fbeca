"""Which format a weights file has, whatever its name."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import save_file

from yolo_gp.errors import WeightsError
from yolo_gp.weights.formats import detect_format

DARKNET = struct.pack("<iiiQ", 0, 2, 5, 77) + bytes(400)


def failure(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        detect_format(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["model.weights", "model.pt", "model.safetensors", "model"])
def test_the_content_tells_not_the_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(DARKNET)
    assert detect_format(path) == "darknet"
    save_file({"a": torch.zeros(3)}, path)
    assert detect_format(path) == "safetensors"
    for zipped in (True, False):
        torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=zipped)
        assert detect_format(path) == "torch"
    for protocol in (2, 3, 4, 5):
        path.write_bytes(pickle.dumps({"a": 1}, protocol))
        assert detect_format(path) == "torch"


@pytest.mark.parametrize("producer", ["pytorch", ""])
def test_an_onnx_file_is_known_with_and_without_a_producer(producer: str, tmp_path: Path) -> None:
    path = tmp_path / "model.weights"
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph, producer_name=producer), path)
    assert detect_format(path) == "onnx"


@pytest.mark.parametrize("version", [(0, 1, 0), (0, 2, 0), (0, 2, 5), (1001, 0, 0), (8, 18, 7)])
def test_every_darknet_version_is_darknet(version: tuple[int, int, int], tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(struct.pack("<iii", *version) + b"{" * 100)
    assert detect_format(path) == "darknet"


@pytest.mark.parametrize("name", ["x.weights", "x.safetensors", "x.pt"])
def test_a_web_page_is_named_as_one(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"\n<!DOCTYPE html><html>gone</html>")
    assert failure(path).startswith(f"{path} is a web page, not a weights file\nhelp: ")


def test_a_cfg_in_place_of_weights_is_named_as_one(tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.write_text("# a network\n[net]\nwidth=32\n")
    assert failure(path) == (
        f"{path} is a cfg file, not a weights file\n"
        "help: the cfg goes first, or after --cfg; this is the place of weights"
    )


@pytest.mark.parametrize("name", ["x.pt", "x.weights"])
def test_an_archive_or_a_text_in_place_of_weights_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x1f\x8b\x08\0" + bytes(100))
    assert failure(path).startswith(f"{path} is a gzip archive, not a weights file\nhelp: unpack")
    path.write_text("cat\ndog\nhorse\nsheep\n")
    assert failure(path).startswith(f'{path} is a text file that begins "cat", not a weights file')


@pytest.mark.parametrize(
    ("name", "format_"), [("x.safetensors", "safetensors"), ("x.PT", "torch"), ("x.onnx", "onnx")]
)
def test_a_damaged_file_is_called_what_its_name_says(
    name: str, format_: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xff" * 100)
    assert failure(path) == (
        f"{path} does not start as a {format_} file does, nor as any other weights file\n"
        "help: the file is damaged, or something else; fetch or write it again"
    )


@pytest.mark.parametrize("name", ["x.weights", "x.pt", "x.safetensors"])
def test_an_empty_file_is_no_weights_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    assert failure(path).startswith(f"{path} has 0 bytes, which is no weights file\n")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.pt"
    assert failure(absent) == f"cannot read weights {absent}: no such file or directory"
    assert failure(tmp_path) == f"cannot read weights {tmp_path}: is a directory"
