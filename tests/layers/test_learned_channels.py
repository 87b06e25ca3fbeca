"""Learned vectors of the YOLOR dialect, and what is made of them, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.channel_flow import Passes
from yolo_gp.network import compile_network, initialise
from yolo_gp.nodes import module_name

NET = "[net]\nchannels=3\nheight=2\nwidth=4\n"
MAP = "[maxpool]\nsize=1\nstride=1\n"  # layer 0: the input itself
VECTOR = f"{MAP}[implicit_add]\nfilters=3\n[route]\nlayers=0\n"  # layer 1 is the vector
NUMBERS = (0.5, -2.0, 3.0)

Array = NDArray[np.float32]


def compiled(sections: str) -> Graph:
    return compile_text(NET + sections, "test.cfg")


def failure(sections: str) -> str:
    with pytest.raises(CfgError) as caught:
        compiled(sections)
    return str(caught.value)


def image() -> Tensor:
    return torch.randn(2, 3, 2, 4, generator=torch.Generator().manual_seed(1))


def output(sections: str, *, source: int = 1, numbers: tuple[float, ...] = NUMBERS) -> Array:
    """What the last section gives for `image()`, the learned layer `source` holding `numbers`."""
    graph = compiled(sections)
    network = compile_network(graph)
    initialise(network, 1)
    with torch.no_grad():
        learned = network.get_submodule(module_name(graph.nodes[source])).weight
        assert isinstance(learned, Tensor)
        learned.copy_(torch.tensor(numbers).reshape(learned.shape))
        result: Array = network(image())[0].numpy()
    return result


def per_channel(numbers: tuple[float, ...]) -> Array:
    return np.array(numbers, np.float32).reshape(1, -1, 1, 1)


# -- the vectors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mean"), [("implicit_add", 0.0), ("implicit_mul", 1.0), ("implicit_cat", 0.0)]
)
@pytest.mark.parametrize("suffix", ["", "_2d"])
def test_numbers_start_normally_spread_around_their_mean(
    kind: str, mean: float, suffix: str
) -> None:
    atoms = "atoms=4\n" if suffix else ""
    graph = compiled(f"[{kind}{suffix}]\nfilters=5000\n{atoms}")
    network = compile_network(graph)
    initialise(network, 1)
    (values,) = (p.detach().numpy().ravel() for p in network.parameters())
    assert len(values) == graph.total.params == (20_000 if suffix else 5000)
    # Of 5000 numbers of deviation .02 the mean lies within .02 / sqrt(5000) = .0003 of the true
    # one, four times that at most; 68 % lie within one deviation.
    assert abs(values.mean() - mean) < 0.0012
    assert abs(values.std() - 0.02) < 0.001
    assert abs((abs(values - mean) < 0.02).mean() - 0.683) < 0.03
    again = compile_network(graph)
    initialise(again, 1)
    assert torch.equal(next(again.parameters()), next(network.parameters()))


def test_a_vector_is_one_map_of_one_pixel_and_atoms_are_channels() -> None:
    graph = compiled("[implicit_mul]\nfilters=7\n[implicit_mul_2d]\nfilters=7\natoms=2\n")
    assert [str(node.output_shape) for node in graph.nodes] == ["7 x 1 x 1", "2 x 7 x 1"]
    assert [node.inputs for node in graph.nodes] == [(), ()]


def test_the_section_after_a_vector_reads_the_vector() -> None:
    # The image has no say: both of the batch get the vector.
    found = output(f"{MAP}[implicit_add]\nfilters=3\n[maxpool]\nsize=1\nstride=1\n")
    assert found.shape == (2, 3, 1, 1)
    assert np.array_equal(found, np.broadcast_to(per_channel(NUMBERS), (2, 3, 1, 1)))


@pytest.mark.parametrize(
    ("section", "absent"),
    [
        ("[implicit_add]\n", "[implicit_add] has no filters"),
        ("[implicit_cat_2d]\nfilters=3\n", "[implicit_cat_2d] has no atoms"),
    ],
)
def test_a_vector_without_its_size_is_an_error(section: str, absent: str) -> None:
    assert f"test.cfg:5:1: error: {absent} [YG107]" in failure(section)


# -- what is made of them --------------------------------------------------------------------------


def test_shift_adds_a_number_to_each_channel() -> None:
    x = image().numpy()
    assert np.array_equal(output(f"{VECTOR}[shift_channels]\nfrom=1\n"), x + per_channel(NUMBERS))


def test_control_multiplies_each_channel_by_a_number() -> None:
    x = image().numpy()
    assert np.array_equal(output(f"{VECTOR}[control_channels]\nfrom=1\n"), x * per_channel(NUMBERS))


def test_select_multiplies_each_channel_by_the_sigmoid_of_a_number() -> None:
    gate = 1 / (1 + np.exp(-per_channel(NUMBERS)))
    found = output(f"{VECTOR}[select_channels]\nfrom=1\n")
    assert np.allclose(found, image().numpy() * gate, rtol=1e-6)


def test_alternate_puts_the_numbers_in_every_pixel_before_the_map() -> None:
    x = image().numpy()
    spread = np.broadcast_to(per_channel(NUMBERS), x.shape)
    found = output(f"{VECTOR}[alternate_channels]\nfrom=-2\n")
    assert found.shape == (2, 6, 2, 4)
    assert np.array_equal(found, np.concatenate((spread, x), axis=1))


def test_a_single_number_serves_all_channels() -> None:
    sections = f"{MAP}[implicit_add]\nfilters=1\n[route]\nlayers=0\n[shift_channels]\nfrom=1\n"
    assert np.array_equal(output(sections, numbers=(0.25,)), image().numpy() + np.float32(0.25))


def test_a_map_of_the_same_shape_can_be_added() -> None:
    x = image().numpy()
    found = output(f"{VECTOR}[maxpool]\nsize=1\nstride=1\n[shift_channels]\nfrom=0\n")
    assert np.array_equal(found, x + x)


@pytest.mark.parametrize("name", ["shift", "control", "select", "alternate"])
def test_the_2d_kinds_read_the_numbers_of_all_atoms_in_order(name: str) -> None:
    # 2 atoms of 3 numbers for 6 channels: atom 0 serves channels 0 to 2, atom 1 the others.
    six = (1.0, 2.0, 3.0, -4.0, 5.0, -6.0)
    sections = (
        f"{MAP}[implicit_add_2d]\nfilters=3\natoms=2\n[route]\nlayers=0,0\n"
        f"[{name}_channels_2d]\nfrom=1\n"
    )
    x, v = np.tile(image().numpy(), (1, 2, 1, 1)), per_channel(six)
    expected = {
        "shift": x + v,
        "control": x * v,
        "select": x / (1 + np.exp(-v)),
        "alternate": np.concatenate((np.broadcast_to(v, x.shape), x), axis=1),
    }
    assert np.allclose(output(sections, numbers=six), expected[name], rtol=1e-6)


@pytest.mark.parametrize("suffix", ["", "_2d"])
def test_a_vector_of_another_length_is_an_error(suffix: str) -> None:
    atoms = "atoms=1\n" if suffix else ""
    sections = (
        f"{MAP}[implicit_add{suffix}]\nfilters=4\n{atoms}[route]\nlayers=0\n"
        f"[shift_channels{suffix}]\nfrom=1\n"
    )
    line = 13 if suffix else 12
    what = "{0} has 3 channels, {1} gives 1 x 4 x 1 = 4 numbers"
    wanted = "atoms * filters = 3"
    if not suffix:
        what, wanted = "{0} is 3 x 2 x 4, {1} is 4 x 1 x 1", "filters=3"
    what = what.format("layer 2", "layer 1")
    assert failure(sections).startswith(
        f"test.cfg:{line + 1}:6: error: [shift_channels{suffix}] wants a number for each channel: "
        f"{what} [YG203]\n"
    )
    assert f"\nexpected: {wanted} in the section at line 8" in failure(sections)


def test_a_section_that_lists_two_vectors_takes_the_first_and_says_so() -> None:
    graph = compiled(f"{VECTOR}[shift_channels]\nfrom=1,0\n")
    assert [edge.source for edge in graph.nodes[-1].inputs] == [2, 1]
    (warning,) = graph.warnings
    assert warning.message == ("[shift_channels] from lists 2 layers; 1 counts, as in YOLOR's code")


def test_a_section_without_from_is_an_error() -> None:
    assert "error: [control_channels] has no from [YG107]" in failure(f"{MAP}[control_channels]\n")


# -- channels --------------------------------------------------------------------------------------

FLOWS = {
    "shift": f"{VECTOR}[shift_channels]\nfrom=1\n",
    "control": f"{VECTOR}[control_channels]\nfrom=1\n",
    "select": f"{VECTOR}[select_channels]\nfrom=1\n",
    "alternate": f"{VECTOR}[alternate_channels]\nfrom=1\n",
    "one number": f"{MAP}[implicit_cat]\nfilters=1\n[route]\nlayers=0\n"
    "[alternate_channels]\nfrom=1\n",
    "atoms": f"{MAP}[implicit_add_2d]\nfilters=3\natoms=2\n[route]\nlayers=0,0\n"
    "[shift_channels_2d]\nfrom=1\n",
    "joined atoms": f"{MAP}[implicit_add_2d]\nfilters=2\natoms=3\n[route]\nlayers=0,0\n"
    "[alternate_channels_2d]\nfrom=1\n",
    "route_lhalf": f"{MAP}[maxpool]\nsize=1\nstride=1\n[route_lhalf]\nlayers=0,1\n",
    "route2": f"{MAP}[maxpool]\nsize=1\nstride=1\n[route2]\nlayers=0,1\n",
    "reorg": f"{MAP}[BatchNorm2d]\n[reorg]\n",
}


@pytest.mark.parametrize("sections", FLOWS.values(), ids=FLOWS.keys())
def test_channels_flow_where_autograd_lets_them(sections: str) -> None:
    graph = compiled(sections)
    node = graph.nodes[-1]
    module = compile_network(graph).get_submodule(module_name(node))
    inputs = [
        torch.rand(1, shape.channels, *shape.size).requires_grad_() for shape in node.input_shapes
    ]
    reached = np.zeros((node.output_shape.channels, sum(x.shape[1] for x in inputs)), bool)
    for channel, values in enumerate(module(*inputs)[0]):
        gradients = torch.autograd.grad(values.sum(), inputs, retain_graph=True)
        reached[channel] = np.concatenate([g[0].abs().sum((1, 2)).numpy() > 0 for g in gradients])

    told = np.zeros_like(reached)
    starts = np.cumsum([0, *(x.shape[1] for x in inputs)])
    for way in node.layer.channel_flow(node.input_shapes, node.output_shape):
        start = starts[way.input]
        if isinstance(way, Passes):
            for offset in range(way.count):
                told[way.target + offset, start + way.start + offset] = True
            continue
        channels, outputs = inputs[way.input].shape[1], way.outputs or len(told)
        for channel in range(channels):
            size = outputs // way.groups
            first = way.target + channel * way.groups // channels * size
            told[first : first + size, start + channel] = True
    assert np.array_equal(told, reached)


def test_a_vector_is_no_weight_layer_and_gets_a_gradient_in_no_time() -> None:
    conv = "[convolutional]\nfilters=3\nactivation=linear\n"
    graph = compiled(f"{VECTOR}[shift_channels]\nfrom=1\n{conv}")
    paths = gradient_paths(graph)
    assert [layer.node.layer.kind for layer in paths.weight_layers] == ["convolutional"]
    # The loss is at the convolution's output: timestamp 1 there, 2 before it, at the vector too.
    assert [layer.timestamps for layer in paths.layers] == [(2,), (2,), (2,), (2,), (1,)]
