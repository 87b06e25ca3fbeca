"""The graph: resolved references, costs that add up, outputs, shared weights, cut edges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import fx

from yolo_gp.analysis.tables import layer_table
from yolo_gp.cost import Cost
from yolo_gp.errors import CfgError
from yolo_gp.graph import INPUT, Edge, Graph, compile_text, read_graph
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.network import compile_network, initialise
from yolo_gp.rules import Rule
from yolo_gp.weights.darknet import load_weights, save_weights

NET = "[net]\nchannels=3\nheight=64\nwidth=96\n"
DETECTOR = f"""{NET}
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=8
activation=linear
[shortcut]
from=-2
activation=linear
[convolutional]
filters=12
activation=linear
[yolo]
classes=1
num=2
anchors=8,16, 24,32
[route]
layers=-3
[upsample]
stride=2
[route]
layers=-1,0
[convolutional]
filters=6
activation=linear
[yolo]
classes=1
num=1
anchors=8,16
"""
CLASSIFIER = f"""{NET}
[convolutional]
filters=10
stride=4
activation=linear
[avgpool]
[softmax]
[cost]
"""


def compiled(text: str, size: tuple[int, int] | None = None) -> Graph:
    return compile_text(text, "graph.cfg", input_size=size)


# -- costs -----------------------------------------------------------------------------------------


def test_totals_are_the_sums_over_the_layers() -> None:
    graph = compiled(DETECTOR)
    weights = (3 * 9 * 8 + 16) + (8 * 8 + 8) + (8 * 12 + 12) + (16 * 6 + 6)
    # Maps: 32 x 48 after the first layer, 16 x 24 after the second.
    macs = 3 * 9 * 8 * 32 * 48 + 8 * 8 * 16 * 24 + 8 * 12 * 16 * 24 + 16 * 6 * 32 * 48
    operations = 2 * macs + 4 * 8 * 16 * 24 + 8 * 16 * 24  # the pool and the shortcut
    coarse, fine = 16 * 24, 32 * 48
    activations = (8 + 16 + 6 + 6 + 8) * fine + (8 + 8 + 8 + 12 + 12 + 8) * coarse
    assert graph.total == Cost(weights, macs, operations, activations)
    assert graph.total == sum((node.cost for node in graph.nodes), Cost())
    assert graph.total.flops == 2 * macs
    assert graph.total.bflops == operations / 1e9


def test_the_table_of_layers_prints_with_its_totals() -> None:
    lines = layer_table(compiled(CLASSIFIER)).splitlines()
    assert lines[0].split("  ")[0] == "layer"
    columns = [" ".join(line.split()) for line in lines[1:5]]
    assert columns == [
        # 3 * 10 weights and 10 biases; 30 * 16 * 24 multiply-adds, twice that in operations
        "0 convolutional 1x1/4 linear 10 x 16 x 24 40 11,520 0.000",
        "1 avgpool 10 x 1 x 1",
        "2 softmax 10 x 1 x 1",
        "3 cost 10 x 1 x 1",
    ]
    text = "\n".join(lines)
    assert "input 64x96 (height x width), 3 channels; 4 layers" in text
    assert "parameters 40; MACs 11,520; BFLOPs as Darknet counts them 0.000" in text


def test_the_table_names_sources_other_than_the_previous_layer() -> None:
    lines = layer_table(compiled(DETECTOR)).splitlines()
    assert " ".join(lines[4].split()) == "3 shortcut 2, 1 8 x 16 x 24 0.000"
    assert " ".join(lines[9].split()) == "8 route 7, 0 16 x 32 x 48"
    assert "; 11 layers, 2 heads" in "\n".join(lines)


# -- structure -------------------------------------------------------------------------------------


def test_sources_are_resolved_to_numbers_and_users_are_their_inverse() -> None:
    graph = compiled(DETECTOR)
    sources = [[edge.source for edge in node.inputs] for node in graph.nodes]
    assert sources == [[INPUT], [0], [1], [2, 1], [3], [4], [3], [6], [7, 0], [8], [9]]
    assert not any(edge.detached for node in graph.nodes for edge in node.inputs)
    assert graph.users == (
        (1, 8),
        (2, 3),
        (3,),
        (4, 6),
        (5,),
        (),
        (7,),
        (8,),
        (9,),
        (10,),
        (),
    )


def test_a_layer_that_reads_another_twice_is_one_user() -> None:
    graph = compiled(f"{NET}[maxpool]\n[route]\nlayers=0,0,-1\n")
    assert graph.users == ((1,), ())


def test_heads_come_in_file_order_and_the_network_returns_what_they_read() -> None:
    graph = compiled(DETECTOR)
    assert [node.index for node, _ in graph.heads] == [5, 10]
    assert [head.num_classes for _, head in graph.heads] == [1, 1]
    assert graph.output_edges == (Edge(4), Edge(9))


def test_a_classifier_returns_its_last_layer() -> None:
    graph = compiled(CLASSIFIER)
    assert graph.heads == () and graph.output_edges == (Edge(3),)
    network = compile_network(graph)
    initialise(network, seed=1)
    (result,) = network(torch.rand(1, 3, 64, 96))
    assert result.shape == (1, 10, 1, 1)
    assert result.sum().item() == pytest.approx(1.0)


YOLO = "[conv]\nfilters=6\nactivation=linear\n[yolo]\nclasses=1\nnum=1\nanchors=8,16\n"
SQUEEZE = "[avgpool]\n[scale_channels]\nfrom=-2\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DETECTOR, 4),
        (f"{NET}[maxpool]\nstride=2\n[maxpool]\nstride=8\n[upsample]\nstride=4\n{YOLO}", 16),
        (f"{NET}[maxpool]\nstride=4\n{SQUEEZE}{YOLO}", 4),  # the average of a map is no map
        (f"{NET}[maxpool]\nstride=64\n{YOLO}", 64),  # but a head's single row is
        (f"{NET}[maxpool]\nstride_x=2\n{YOLO}", 1),
        (f"{NET}[upsample]\nstride=2\n{YOLO}", 1),
        (f"{NET}[avgpool]\n", 64),
        (f"{NET}[connected]\noutput=5\nactivation=linear\n", 64),
    ],
)
def test_stride_is_input_pixels_per_cell_of_the_coarsest_map(text: str, expected: int) -> None:
    assert compiled(text).stride == expected


def test_stride_of_a_map_that_does_not_divide_the_input() -> None:
    text = "[net]\nchannels=3\nheight=13\nwidth=13\n" + "[maxpool]\nstride=2\n" * 2  # 13, 7, 4
    assert compiled(text).stride == 3


# -- input size ------------------------------------------------------------------------------------


def test_with_input_size_gives_the_graph_of_that_size_and_leaves_the_first_alone() -> None:
    graph = compiled(DETECTOR)
    larger = graph.with_input_size((128, 192))
    assert larger == compiled(DETECTOR, (128, 192))
    assert str(larger.input_shape) == "3 x 128 x 192"
    assert str(graph.input_shape) == "3 x 64 x 96"
    assert larger.total.params == graph.total.params
    assert larger.total.macs == 4 * graph.total.macs
    assert larger.nodes[9].output_shape.size == (64, 96)
    assert larger.stride == graph.stride


def test_with_the_same_input_size_nothing_changes() -> None:
    graph = compiled(DETECTOR)
    assert graph.with_input_size((64, 96)) is graph


def test_with_input_size_keeps_the_warnings_of_the_cfg() -> None:
    graph = compiled(f"{NET}[convolutional]\n")  # no activation
    assert [warning.rule for warning in graph.warnings] == [Rule.SILENT_DEFAULT]
    assert graph.with_input_size((32, 32)).warnings == graph.warnings


def test_an_input_size_at_which_maps_no_longer_fit_is_refused() -> None:
    # 62 rows are halved to 31 and, rounded up, 16, which twice are 32.
    text = DETECTOR.replace("[maxpool]\nsize=2\nstride=2\n", "[maxpool]\nstride=2\n")
    assert compiled(text).with_input_size((64, 64)).input_shape.size == (64, 64)
    with pytest.raises(CfgError) as caught:
        compiled(text).with_input_size((62, 96))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.rule is Rule.SIZE_MISMATCH
    assert diagnostic.message == (
        "[route] joins maps of different size: layer 7 is 32x48, layer 0 is 31x48"
    )


def test_a_corpus_file_compiles_at_another_size(shared: Path) -> None:
    path = shared / "data/cfg-corpus/AlexeyAB-darknet/yolov3-tiny.cfg"
    graph = read_graph(path, input_size=(320, 640))
    assert [node.output_shape.size for node, _ in graph.heads] == [(10, 20), (20, 40)]
    assert graph.stride == 32


# -- shared weights --------------------------------------------------------------------------------

SHARED = f"""{NET}
[maxpool]
[convolutional]
batch_normalize=1
filters=3
size=3
pad=1
activation=leaky
[convolutional]
share_index=1
batch_normalize=1
filters=3
size=3
pad=1
stride=2
activation=linear
[convolutional]
share_index=-1
batch_normalize=1
filters=3
size=3
pad=1
activation=linear
"""


def convolution(network: fx.GraphModule, number: int) -> Convolution:
    module = network.get_submodule(f"convolutional_{number}")
    assert isinstance(module, Convolution)
    return module


def test_share_index_resolves_to_the_layer_that_owns_the_weights() -> None:
    graph = compiled(SHARED)
    assert [node.weights_of for node in graph.nodes] == [None, None, 1, 1]
    assert graph.total.params == 3 * 3 * 9 + 2 * 3
    assert graph.total.macs == 81 * (64 * 96 + 32 * 48 + 32 * 48)


def test_sharing_layers_hold_the_same_tensors() -> None:
    network = compile_network(compiled(SHARED))
    owner = convolution(network, 1)
    for number in (2, 3):
        module = convolution(network, number)
        assert module.convolution.weight is owner.convolution.weight
        assert module.batch_norm is owner.batch_norm
        assert module.convolution.stride == ((2, 2) if number == 2 else (1, 1))
    assert sum(parameter.numel() for parameter in network.parameters()) == 3 * 3 * 9 + 2 * 3


def test_sharing_layers_compute_as_if_each_had_a_copy(tmp_path: Path) -> None:
    graph = compiled(SHARED)
    network = compile_network(graph)
    initialise(network, seed=2)
    path = tmp_path / "shared.weights"
    save_weights(path, graph, network)
    assert path.stat().st_size == 20 + 4 * (81 + 4 * 3)  # once, not three times

    apart = compiled(SHARED.replace("share_index=1\n", "").replace("share_index=-1\n", ""))
    copies = compile_network(apart)
    content = path.read_bytes()
    path.write_bytes(content + 2 * content[20:])
    load_weights(path, apart, copies)
    image = torch.rand(1, 3, 64, 96)
    assert torch.equal(network(image)[0], copies(image)[0])


def test_a_step_on_the_owner_moves_the_layers_that_share() -> None:
    network = compile_network(compiled(SHARED))
    initialise(network, seed=2)
    network.train()
    before = convolution(network, 3).convolution.weight.detach().clone()
    (result,) = network(torch.rand(2, 3, 64, 96))
    result.square().sum().backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    weight = convolution(network, 3).convolution.weight
    assert not torch.equal(weight, before)
    assert weight is convolution(network, 1).convolution.weight


# -- cut edges -------------------------------------------------------------------------------------

CHAIN = f"""{NET}
[conv]
filters=3
activation=linear
[conv]
filters=3
activation=linear
[shortcut]
from=0
activation=linear
"""


def with_detached(graph: Graph, node: int, position: int) -> Graph:
    """The graph with one edge cut for gradients."""
    inputs = list(graph.nodes[node].inputs)
    inputs[position] = replace(inputs[position], detached=True)
    nodes = list(graph.nodes)
    nodes[node] = replace(nodes[node], inputs=tuple(inputs))
    return replace(graph, nodes=tuple(nodes))


def gradients(graph: Graph) -> list[bool]:
    """Whether each convolution's weight gets a gradient; the output must be the uncut one's."""
    network, whole = compile_network(graph), compile_network(compiled(CHAIN))
    initialise(network, seed=3)
    initialise(whole, seed=3)
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(4))
    (result,) = network(image)
    assert torch.equal(result, whole(image)[0])
    result.sum().backward()
    return [convolution(network, n).convolution.weight.grad is not None for n in (0, 1)]


def test_gradients_pass_every_whole_edge() -> None:
    assert gradients(compiled(CHAIN)) == [True, True]


def test_gradients_stop_at_a_detached_edge() -> None:
    cut = with_detached(compiled(CHAIN), node=2, position=0)  # from layer 1 to the shortcut
    assert gradients(cut) == [True, False]


def test_all_paths_must_be_cut_to_stop_the_gradient() -> None:
    one = with_detached(compiled(CHAIN), node=2, position=1)  # layer 0 directly
    assert gradients(one) == [True, True]
    both = with_detached(one, node=1, position=0)  # and through layer 1
    assert gradients(both) == [False, True]


def test_a_detached_edge_from_the_input_stops_the_gradient_of_the_image() -> None:
    cut = with_detached(compiled(CHAIN), node=0, position=0)
    image = torch.rand(1, 3, 64, 96, requires_grad=True)
    network = compile_network(cut)
    initialise(network, seed=3)
    (result,) = network(image)
    result.sum().backward()
    assert image.grad is None
