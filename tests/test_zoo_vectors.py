"""Every network of cfg/ against published figures, test vectors, and the files they go back to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from yolo_gp.graph import Graph, read_graph
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.partial_shortcut import PartialShortcut
from yolo_gp.layers.shortcut import Shortcut
from yolo_gp.layers.yolo import Yolo
from yolo_gp.network import compile_network
from yolo_gp.nodes import INPUT, Node
from yolo_gp.weights.layout import float_count

CFG = Path(__file__).parent.parent / "cfg"
NAMES = sorted(path.stem for path in CFG.glob("*.cfg"))


def graph_of(name: str, side: int | None = None) -> Graph:
    """A packaged network, square at `side` pixels or at its own size."""
    return read_graph(CFG / f"{name}.cfg", input_size=(side, side) if side else None, strict=True)


# -- counting, apart from yolo_gp's own ------------------------------------------------------------


def blocks(node: Node) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor that a layer has in a .weights file, by name."""
    order = node.layer.weight_order(node.input_shapes)
    return {block.tensor: block.shape for block in order}


def weights_only(graph: Graph) -> int:
    """P_w: every tensor of more than one axis."""
    shapes = [shape for node in graph.nodes for shape in blocks(node).values()]
    return sum(torch.Size(shape).numel() for shape in shapes if len(shape) > 1)


def fused(graph: Graph) -> int:
    """P_fused: P_w and one bias per filter."""
    shapes = [blocks(node) for node in graph.nodes]
    filters = [found[name][0] for found in shapes for name in found if name.endswith(".bias")]
    return weights_only(graph) + sum(filters)


def pooling(graph: Graph) -> int:
    """D1 - F0: what Darknet counts for pools."""
    pools = [node for node in graph.nodes if node.layer.kind in ("maxpool", "local_avgpool")]
    return sum(node.cost.darknet_operations for node in pools)


def thop(graph: Graph) -> int:
    """T2: F0 and 4 per number that a batch norm gives."""
    normal = [node for node in graph.nodes if "batch_norm.running_var" in blocks(node)]
    return graph.total.flops + 4 * sum(node.output_shape.elements for node in normal)


COUNTS: dict[str, Callable[[Graph], int]] = {
    "P_w": weights_only,
    "P_fused": fused,
    "P_train": lambda graph: graph.total.params,
    "P_file": float_count,
    "F0": lambda graph: graph.total.flops,
    "D1": lambda graph: graph.total.flops + pooling(graph),
    "D2": lambda graph: graph.total.darknet_operations,
    "T2": thop,
}


def printed(count: str, graph: Graph, like: str) -> str:
    """A count in millions (parameters) or billions, with as many digits as `like` has."""
    unit = 1e6 if count.startswith("P") else 1e9
    return f"{COUNTS[count](graph) / unit:.{len(like.partition('.')[2])}f}"


# -- zoo.md part E ---------------------------------------------------------------------------------

# name: P_train, P_fused, P_file (None: not given), multiply-adds, at the cfg's own size
VECTORS: dict[str, tuple[int, int | None, int | None, int]] = {
    "yolov3-seg": (63_310_397, 63_283_549, 63_364_093, 97_304_985_600),
    "yolor-v3-seg": (64_359_997, 64_332_637, 64_414_717, 97_724_416_000),
    "yolor-prn-seg": (64_359_997, 64_332_637, 64_414_717, 97_724_416_000),
    "yolov3-spp": (62_998_749, 62_971_933, 63_052_381, 78_365_081_600),
    "yolor-csp-seg": (54_282_685, 54_249_757, 54_348_541, 79_479_193_600),
    "yolor-csp-stop-block-seg": (54_282_685, 54_249_757, 54_348_541, 79_479_193_600),
    "yolor-csp-stop-identity-seg": (54_282_685, 54_249_757, 54_348_541, 79_479_193_600),
    "yolor-csp-first-seg": (53_932_605, 53_900_637, 53_996_541, 79_059_763_200),
    "yolor-csp-last-seg": (52_886_205, 52_855_197, 52_948_221, 77_801_472_000),
    "yolor-csp-none-seg": (52_536_125, 52_506_077, 52_596_221, 77_382_041_600),
    "yolor-csp": (52_921_437, 52_889_053, 52_986_205, 60_119_859_200),
    "elan-11-seg": (34_535_933, 34_513_725, 34_580_349, 63_180_390_400),
    "elan-21-seg": (38_289_661, 38_266_045, 38_336_893, 71_614_873_600),
    "elan-12-seg": (44_678_141, 44_653_629, 44_727_165, 73_561_292_800),
    "elan-22-seg": (48_431_869, 48_405_949, 48_483_709, 81_995_776_000),
    "elan": (36_928_413, 36_905_341, 36_974_557, 52_255_539_200),
    "elan-11": (33_174_685, 33_153_021, 33_218_013, 43_821_056_000),
    "elan-22": (47_070_621, 47_045_245, 47_121_373, 62_636_441_600),
    "elan-af-seg": (45_928_432, 45_902_512, 45_980_272, 86_315_008_000),
    "elan-af": (43_589_712, 43_564_720, 43_639_696, 65_252_556_800),
    "deep-vovnet-elan-seg": (59_308_957, 59_275_197, 59_376_477, 126_615_142_400),
    "deep-vovnet-elan-csp-seg": (56_015_773, 55_982_013, 56_083_293, 118_814_720_000),
    "yolov5l-seg": (47_924_957, 47_894_397, None, 73_856_204_800),
    "yolov5x-seg": (88_819_517, 88_774_445, None, 132_821_504_000),
    "yolov3-prn": (38_291_165, 38_270_685, 38_332_125, 21_214_675_456),
    "yolov3-fprn": (61_949_149, 61_922_845, 62_001_757, 32_932_037_632),
    "prn-shrink-75": (34_802_824, 34_786_536, 34_835_400, 7_850_407_936),
    "prn-shrink-50": (27_995_720, 27_981_000, 28_025_160, 6_415_699_968),
    "prn-expand-75": (36_450_952, 36_434_664, 36_483_528, 8_110_710_784),
    "prn-expand-50": (31_291_976, 31_277_256, 31_321_416, 6_936_305_664),
    "prn-bottleneck-75": (37_326_984, 37_310_440, 37_360_072, 8_362_369_024),
    "prn-bottleneck-50": (33_044_040, 33_028_808, 33_074_504, 7_439_622_144),
    "yolov3-tiny-prn": (4_935_182, None, 4_939_758, 1_730_430_208),
}


@pytest.mark.parametrize(("name", "vector"), VECTORS.items())
def test_a_network_has_the_exact_counts_of_its_test_vector(
    name: str, vector: tuple[int, int | None, int | None, int]
) -> None:
    graph = graph_of(name)
    found = (graph.total.params, fused(graph), float_count(graph), graph.total.macs)
    expected = tuple(found[i] if value is None else value for i, value in enumerate(vector))
    assert found == expected


def test_yolov3_prn_has_its_multiply_adds_at_the_smaller_size_too() -> None:
    assert graph_of("yolov3-prn", 320).total.macs == 12_553_062_400


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("darknet53", 41_573_216),
        ("csp-darknet53", 27_605_856),
        ("resnet50", 22_734_016),
        ("csp-resnet50", 21_566_656),
        ("resnext50", 22_190_784),
        ("csp-resnext50", 20_499_136),
    ],
)
def test_a_classifier_has_exactly_so_many_weights(name: str, count: int) -> None:
    assert weights_only(graph_of(name)) == count


# -- zoo.md part B ---------------------------------------------------------------------------------

# name, side or None for the cfg's own, and figures in the digits of zoo.md B.1
FIGURES: list[tuple[str, int | None, dict[str, str]]] = [
    ("darknet53", None, {"P_w": "41.573", "F0": "18.570", "D2": "18.576"}),
    ("csp-darknet53", None, {"P_w": "27.606", "F0": "13.067", "D2": "13.071"}),
    ("resnet50", None, {"P_w": "22.734", "F0": "9.741", "D2": "9.749"}),
    ("csp-resnet50", None, {"P_w": "21.567", "F0": "8.967", "D2": "8.972"}),
    ("resnext50", None, {"P_w": "22.191", "F0": "10.110", "D2": "10.119"}),
    ("csp-resnext50", None, {"P_w": "20.499", "F0": "7.929", "D2": "7.933"}),
    ("yolor-v3-seg", None, {"P_fused": "64.33", "F0": "195.45", "D2": "195.540"}),
    ("yolov3-seg", None, {"P_fused": "63.28", "F0": "194.61", "D2": "194.644"}),
    ("yolor-prn-seg", None, {"P_fused": "64.33", "F0": "195.45", "D2": "195.522"}),
    ("yolor-csp-seg", None, {"P_fused": "54.25", "F0": "158.96", "D2": "159.035"}),
    ("yolor-csp-first-seg", None, {"P_fused": "53.90", "F0": "158.12", "D2": "158.196"}),
    ("yolor-csp-last-seg", None, {"P_fused": "52.86", "F0": "155.60", "D2": "155.680"}),
    ("yolor-csp-none-seg", None, {"P_fused": "52.51", "F0": "154.76", "D2": "154.841"}),
    ("yolor-csp-stop-block-seg", None, {"P_fused": "54.25", "F0": "158.96", "D2": "159.035"}),
    ("yolor-csp-stop-identity-seg", None, {"P_fused": "54.25", "F0": "158.96", "D2": "159.035"}),
    ("elan-11-seg", None, {"P_fused": "34.51", "F0": "126.36", "D2": "126.430"}),
    ("elan-21-seg", None, {"P_fused": "38.27", "F0": "143.23", "D2": "143.299"}),
    ("elan-12-seg", None, {"P_fused": "44.65", "F0": "147.12"}),
    ("elan-22-seg", None, {"P_fused": "48.41", "F0": "163.99", "D2": "164.061"}),
    ("elan-af-seg", None, {"P_fused": "45.90", "F0": "172.63", "D2": "172.699"}),
    ("deep-vovnet-elan-seg", None, {"P_fused": "59.28", "F0": "253.23", "D2": "253.299"}),
    ("deep-vovnet-elan-csp-seg", None, {"P_fused": "55.98", "F0": "237.63", "D2": "237.698"}),
    ("yolov5l-seg", None, {"P_fused": "47.89", "F0": "147.71", "D2": "147.742"}),
    ("yolov5x-seg", None, {"P_fused": "88.77", "F0": "265.64", "D2": "265.686"}),
    ("yolov3-fprn", 320, {"P_train": "61.95", "F0": "38.973"}),
    ("yolov3-fprn", None, {"P_train": "61.95", "F0": "65.864", "D2": "65.871"}),
    ("yolov3-prn", 320, {"P_train": "38.29", "F0": "25.106", "D2": "25.112"}),
    ("yolov3-prn", None, {"P_train": "38.29", "F0": "42.429", "D2": "42.439"}),
    ("yolov3-tiny-prn", None, {"P_file": "4.940", "F0": "3.461", "D1": "3.467", "D2": "3.467"}),
    ("pelee-prn", 320, {"P_file": "3.159", "F0": "2.387", "D1": "2.390"}),
    ("pelee-prn", None, {"P_file": "3.159", "F0": "4.035", "D1": "4.038"}),
    ("efficientnet-b0-prn", 320, {"P_train": "4.770", "F0": "2.208", "D2": "2.209"}),
    ("efficientnet-b0-prn", None, {"P_train": "4.770", "F0": "3.730", "D2": "3.731"}),
    ("prn-shrink-75", None, {"P_train": "34.80", "F0": "15.701", "D2": "15.705"}),
    ("prn-shrink-50", None, {"P_train": "28.00", "F0": "12.831", "D2": "12.835"}),
    ("prn-expand-75", None, {"P_train": "36.45", "F0": "16.221", "D2": "16.226"}),
    ("prn-expand-50", None, {"P_train": "31.29", "F0": "13.873", "D2": "13.877"}),
    ("prn-bottleneck-75", None, {"P_train": "37.33", "F0": "16.725", "D2": "16.730"}),
    ("prn-bottleneck-50", None, {"P_train": "33.04", "F0": "14.879", "D2": "14.884"}),
    # detection only
    ("yolov3", None, {"P_train": "61.95", "F0": "155.89"}),
    ("yolov3-spp", None, {"P_train": "63.00", "F0": "156.73"}),
    ("yolor-csp", None, {"P_train": "52.92", "F0": "120.24"}),
    ("yolor-csp-first", None, {"P_train": "52.57", "F0": "119.40"}),
    ("yolor-csp-last", None, {"P_train": "51.52", "F0": "116.88"}),
    ("yolor-csp-none", None, {"P_train": "51.17", "F0": "116.05"}),
    ("elan-11", None, {"P_train": "33.17", "F0": "87.64"}),
    ("elan", None, {"P_train": "36.93", "F0": "104.51"}),
    ("elan-22", None, {"P_train": "47.07", "F0": "125.27"}),
    ("elan-af", None, {"P_train": "43.59", "F0": "130.51"}),
    ("yolov5l", None, {"P_train": "46.56", "F0": "108.99"}),
    ("yolov5x", None, {"P_train": "86.75", "F0": "205.45"}),
    # the ELAN-tiny family, B.9
    ("elan-tiny-22", None, {"P_fused": "6.21", "F0": "23.52", "T2": "23.63"}),
    ("elan-tiny-dark-13", None, {"P_fused": "5.66", "F0": "21.77", "T2": "21.88"}),
    ("elan-tiny-dark-33", None, {"P_fused": "6.21", "F0": "23.52", "T2": "23.63"}),
    ("elan-tiny-res", None, {"P_fused": "5.42", "F0": "21.00", "T2": "21.11"}),
    ("elan-tiny-csp-131", None, {"P_fused": "5.59", "F0": "21.55", "T2": "21.67"}),
    ("elan-tiny-csp-132", None, {"P_fused": "5.94", "F0": "22.65", "T2": "22.78"}),
    ("elan-tiny-csp-331", None, {"P_fused": "5.87", "F0": "22.43", "T2": "22.55"}),
    ("elan-tiny-csp-332", None, {"P_fused": "6.49", "F0": "24.40", "T2": "24.54"}),
    ("elan-tiny-darkn-13", None, {"P_fused": "4.42", "F0": "17.82", "T2": "17.91"}),
    ("elan-tiny-darkn-33", None, {"P_fused": "4.97", "F0": "19.57", "T2": "19.67"}),
    # zoo.md has 4.19: 4.1847 rounded twice
    ("elan-tiny-resn", None, {"P_fused": "4.18", "F0": "17.05", "T2": "17.15"}),
    ("elan-tiny-cspn-331", None, {"P_fused": "4.63", "F0": "18.47", "T2": "18.59"}),
    ("elan-tiny-cspn-332", None, {"P_fused": "5.25", "F0": "20.45", "T2": "20.58"}),
    ("elan-tiny-11", None, {"P_fused": "3.87", "F0": "16.06", "T2": "16.15"}),
    ("elan-tiny-21", None, {"P_fused": "4.88", "F0": "19.29", "T2": "19.39"}),
    ("elan-tiny-12", None, {"P_fused": "5.20", "F0": "20.29", "T2": "20.39"}),
    # twins of files that Darknet ships
    ("elan-tiny", 640, {"P_train": "6.2", "F0": "13.7"}),
    ("yolov4-csp", 640, {"P_train": "52.92", "F0": "120.24"}),
    # as Darknet prints them for its own files, darknet.md section 8
    ("yolov3-tiny", None, {"P_file": "8.86", "D1": "5.571", "D2": "5.571"}),
    ("yolov4", None, {"D2": "128.459"}),
    ("yolov4", 512, {"D2": "91.1"}),
    ("yolov4", 416, {"D2": "60.1"}),
    ("yolov4-tiny", None, {"D2": "6.910"}),
    ("yolov4x-mish", None, {"D2": "221.986"}),
    ("yolov7x", None, {"D2": "189.760"}),
]


@pytest.mark.parametrize(("name", "side", "figures"), FIGURES)
def test_a_network_has_the_figures_of_its_row(
    name: str, side: int | None, figures: dict[str, str]
) -> None:
    graph = graph_of(name, side)
    assert {count: printed(count, graph, like) for count, like in figures.items()} == figures


def test_every_cfg_but_our_own_design_is_checked_against_a_figure() -> None:
    assert set(NAMES) - {name for name, _, _ in FIGURES} == {"elan-nano"}


def test_elan_nano_has_less_than_a_million_parameters() -> None:
    graph = graph_of("elan-nano")
    assert graph.total.params < 1_000_000
    assert (graph.input_shape.size, graph.heads[0][1].num_classes) == ((320, 320), 80)


# -- published files -------------------------------------------------------------------------------

DARKNET, CSPNET = "AlexeyAB-darknet", "WongKinYiu-CrossStagePartialNetworks"
TWINS = {
    "elan": f"{DARKNET}/yolov7",
    "elan-tiny": f"{DARKNET}/yolov7-tiny",
    "yolor-csp": f"{DARKNET}/yolov4-csp-swish",
    "yolov4-csp": f"{DARKNET}/yolov4-csp",
    "yolov3": f"{DARKNET}/yolov3",
    "yolov3-spp": f"{DARKNET}/yolov3-spp",
    "yolov3-tiny": f"{DARKNET}/yolov3-tiny",
    "yolov4": f"{DARKNET}/yolov4",
    "yolov4-tiny": f"{DARKNET}/yolov4-tiny",
    "yolov4x-mish": f"{DARKNET}/yolov4x-mish",
    "yolov7x": f"{DARKNET}/yolov7x",
    "yolov3-tiny-prn": f"{DARKNET}/yolov3-tiny-prn",
    "efficientnet-b0-prn": f"{DARKNET}/enet-coco",
    "darknet53": f"{DARKNET}/darknet53",
    "csp-darknet53": f"{CSPNET}/csdarknet53",
    "csp-resnet50": f"{CSPNET}/csresnet50",
    "csp-resnext50": f"{CSPNET}/csresnext50",
    "resnext50": f"{CSPNET}/resnext50",
}


@pytest.mark.parametrize(("name", "twin"), TWINS.items())
def test_operations_are_those_that_darknet_prints_for_the_published_file(
    shared: Path, name: str, twin: str
) -> None:
    published = read_graph(shared / f"data/cfg-corpus/{twin}.cfg")
    tables = json.loads((shared / "data/oracle/network-tables.json").read_text())
    # Darknet refuses ResNets, whose shortcuts it cannot add; ours counts them by the same rule.
    total = tables[twin]["total_bflops"] or published.total.bflops
    ours = read_graph(CFG / f"{name}.cfg", input_size=published.input_shape.size)
    assert ours.total.bflops == pytest.approx(total, abs=0.0006)  # three digits are printed


def is_passing_on(node: Node) -> bool:
    """A [route] of one whole map."""
    return node.layer.kind == "route" and len(node.inputs) == 1 and not node.layer.label()


def origins(graph: Graph) -> tuple[list[Any], list[Any]]:
    """Every convolution in file order, and every head, each with what it reads.

    A source is a convolution's number, or the operations that lead there from convolutions; routes
    of one map and dropouts are looked through.
    """
    found: list[Any] = []
    heads: list[Any] = []
    values: dict[int, Any] = {INPUT: "input"}
    for node in graph.nodes:
        layer, sources = node.layer, tuple(values[edge.source] for edge in node.inputs)
        if isinstance(layer, Convolutional):
            settings = (layer.out_channels, layer.kernel_size, layer.stride, layer.padding)
            rest = (layer.groups, layer.batch_norm, layer.activation)
            found.append((*settings, *rest, sources[0]))
            values[node.index] = len(found) - 1
        elif layer.kind == "dropout" or is_passing_on(node):
            values[node.index] = sources[0]
        elif isinstance(layer, Shortcut | PartialShortcut):
            assert isinstance(layer, Shortcut) or not (layer.channels or layer.ratio < 1)
            values[node.index] = ("add", layer.activation, *sources)
        else:
            values[node.index] = (layer.kind, layer.label(), *sources)
        if isinstance(layer, Yolo):
            decode = (layer.anchors.masked_wh, layer.classes, layer.new_coords, layer.scale_x_y)
            heads.append((*decode, layer.nms, layer.masks.count, sources))
    return found, heads


@pytest.mark.parametrize(("name", "twin"), TWINS.items())
def test_convolutions_sources_and_decoding_are_those_of_the_published_file(
    shared: Path, name: str, twin: str
) -> None:
    published = read_graph(shared / f"data/cfg-corpus/{twin}.cfg")
    ours = read_graph(CFG / f"{name}.cfg")
    assert origins(ours) == origins(published)
    assert float_count(ours) == float_count(published)
    assert ours.letter_box == published.letter_box


def test_resnet50_differs_from_the_published_file_in_where_it_pools_only(shared: Path) -> None:
    published, _ = origins(read_graph(shared / f"data/cfg-corpus/{CSPNET}/resnet50.cfg"))
    ours, _ = origins(graph_of("resnet50"))
    assert ours[:-1] == published[:-1]
    *settings, pooled = ours[-1]
    assert [*settings, ("avgpool", "", published[-1][-1])] == [*published[-1][:-1], pooled]


# -- what sets a row apart -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yolor-prn-seg", "yolov3-fprn"])
def test_fprn_masks_half_of_the_channels_of_all_23_shortcuts(name: str) -> None:
    adds = [node for node in graph_of(name).nodes if isinstance(node.layer, PartialShortcut)]
    assert len(adds) == 23
    for node in adds:
        assert isinstance(node.layer, PartialShortcut)
        assert node.layer.added_channels(node.input_shapes) == (node.output_shape.channels // 2,)


@pytest.mark.parametrize("kind", ["block", "identity"])
def test_gradient_is_stopped_in_the_23_blocks_of_the_backbone(kind: str) -> None:
    """Fig. 9 (a): at the first convolution of a block; (b): at the shortcut's source."""
    graph = graph_of(f"yolor-csp-stop-{kind}-seg")
    adds = [node for node in graph.nodes if isinstance(node.layer, Shortcut)]
    detached = {
        (node.index, edge.source) for node in graph.nodes for edge in node.inputs if edge.detached
    }
    sources = {node.index: node.inputs[1].source for node in adds}
    expected = {(add if kind == "identity" else s + 1, s) for add, s in sources.items()}
    assert len(adds) == 23 and detached == expected
    assert origins(graph) == origins(graph_of("yolor-csp-seg"))


# -- forward ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_forward_pass_gives_maps_of_the_shapes_that_were_inferred(name: str) -> None:
    graph = graph_of(name, 64)
    network = compile_network(graph)
    with torch.no_grad():
        for parameter in network.parameters():
            # Uniform noise of the size that keeps a convolution's output near its input's.
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
            bound = (3 / fan_in) ** 0.5 if parameter.dim() > 1 else 0.1
            parameter.uniform_(-bound, bound)
        for buffer in network.buffers():
            buffer.fill_(1)
        outputs = network(torch.rand(1, 3, 64, 64))
    shapes = [graph.shape_of(edge.source) for edge in graph.output_edges]
    assert [tuple(output.shape[1:]) for output in outputs] == [
        (shape.channels, *shape.size) for shape in shapes
    ]
    assert all(torch.isfinite(output).all() for output in outputs)
    assert all(output.std() > 0 for output in outputs)
