"""Real cfg files against the tables that AlexeyAB's Darknet prints for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, read_graph
from yolo_gp.rules import Rule

# Darknet sums float32 numbers and prints three digits.
BFLOPS_TOLERANCE = 0.001


# They join 13x13 with 14x14 at their own 416x416 (decisions.md 7).
ONLY_AT_ANOTHER_SIZE = ("csresnet50-elastic-panet-spp", "csresnext50-elastic-panet-spp")


@pytest.fixture(scope="module")
def tables(shared: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((shared / "data/oracle/network-tables.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def graphs(shared: Path) -> dict[str, Graph]:
    """Every file that compiles at its own size, by folder and name."""
    folder = shared / "data/cfg-corpus"
    paths = sorted(folder.rglob("*.cfg"))
    assert len(paths) == 141
    compiled = (path for path in paths if path.stem not in ONLY_AT_ANOTHER_SIZE)
    return {str(path.relative_to(folder).with_suffix("")): read_graph(path) for path in compiled}


def test_shapes_and_bflops_equal_darknets_tables(
    graphs: dict[str, Graph], tables: dict[str, Any]
) -> None:
    compared = 0
    for name, table in sorted(tables.items()):
        if table["total_bflops"] is None:  # Darknet itself refuses the file
            continue
        graph = graphs[name]
        compared += 1
        # Where Darknet stopped printing at a head, it named the layers so far.
        assert len(graph.nodes) >= len(table["layers"]), name
        for node, (_, output, bflops) in zip(graph.nodes, table["layers"], strict=False):
            where = f"{name}, layer {node.index}"
            if output is not None:
                assert [node.output_shape.channels, *node.output_shape.size] == output, where
            if bflops is not None:
                assert node.cost.bflops == pytest.approx(bflops, abs=BFLOPS_TOLERANCE), where
        assert graph.total.bflops == pytest.approx(table["total_bflops"], abs=BFLOPS_TOLERANCE)
    assert compared == 124


def test_all_but_two_compile_at_their_own_size(graphs: dict[str, Graph]) -> None:
    assert len(graphs) == 139
    assert all(graph.total.activations > 0 for graph in graphs.values())


def test_pjreddies_resnet50_compiles_with_a_warning_for_each_resized_shortcut(shared: Path) -> None:
    graph = read_graph(shared / "data/cfg-corpus/AlexeyAB-darknet/resnet50.cfg")
    rules = [warning.rule for warning in graph.warnings]
    assert rules == [Rule.RESIZED_SHORTCUT] * 3
    assert graph.nodes[-1].output_shape.elements == 1000


def test_convolutions_that_darknet_refuses_to_share_get_weights_of_their_own(shared: Path) -> None:
    folder = shared / "data/cfg-corpus/WongKinYiu-CrossStagePartialNetworks"
    graph = read_graph(folder / "yolov3-spp-matrix.cfg")
    found = [w for w in graph.warnings if w.rule is Rule.UNSHARED_WEIGHTS]
    # Layers 115 and 121 (lines 829 and 878) read 128 channels; their users 256 and then 512.
    assert [(w.span.line, w.message.partition(";")[0].partition("layer ")[2]) for w in found] == [
        (927, "115 (line 829): input channels 128 there, 256 here"),
        (976, "121 (line 878): input channels 128 there, 256 here"),
        (1025, "115 (line 829): input channels 128 there, 512 here"),
        (1074, "121 (line 878): input channels 128 there, 512 here"),
    ]
    # The other four of the eight share_index read as many channels as their owner, and share.
    assert sum(node.weights_of is not None for node in graph.nodes) == 4


@pytest.mark.parametrize("name", ONLY_AT_ANOTHER_SIZE)
def test_a_corpus_file_that_fits_only_at_another_size_says_so(shared: Path, name: str) -> None:
    path = shared / f"data/cfg-corpus/WongKinYiu-CrossStagePartialNetworks/{name}.cfg"
    with pytest.raises(CfgError) as caught:
        read_graph(path)
    errors = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert [d.rule for d in errors] == [Rule.SIZE_MISMATCH]
    assert "layer 161 is 13x13, layer 167 is 14x14" in errors[0].message
    assert read_graph(path, input_size=(448, 448)).input_shape.size == (448, 448)


# darknet.md 8: whole-file sizes, the header of 20 bytes included.
FILE_BYTES = {
    "yolov3": 248007048,
    "yolov4": 257717640,
    "yolov7": 147898248,
    "yolov4-tiny": 24251276,
    "yolov4-csp": 211944840,
    "yolov3-tiny-prn": 19759052,
    "enet-coco": 19233100,
    "densenet201": 68825780,
    "alexnet": 249513396,
    "resnet152_trident": 262316084,
    "darknet53_448_xnor": 166639924,
    "cspx-p7-mish": 1106222308,
}


@pytest.mark.parametrize(("name", "size"), FILE_BYTES.items())
def test_the_weights_file_of_a_cfg_has_darknets_size(shared: Path, name: str, size: int) -> None:
    from yolo_gp.weights.layout import float_count

    graph = read_graph(shared / f"data/cfg-corpus/AlexeyAB-darknet/{name}.cfg")
    assert 20 + 4 * float_count(graph) == size
