"""Graph to torch.fx: legible code that frees its maps, and starting values."""

from __future__ import annotations

import ast
import math
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, fold_batch_norm, initialise, to_channels_last

NET = "[net]\nchannels=3\nheight=32\nwidth=64\n"
# Every way to read a map: the previous one, an older one, several, a head, and two heads.
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
batch_normalize=1
filters=8
groups=2
size=3
pad=1
activation=mish
[shortcut]
from=-2
weights_type=per_channel
weights_normalization=softmax
activation=linear
[route]
layers=-1
groups=2
group_id=1
[convolutional]
filters=6
activation=linear
[yolo]
classes=1
num=1
anchors=8,16
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
# The convolution and the pool in the middle lead nowhere.
WITH_UNREAD = f"""{NET}
[convolutional]
filters=4
activation=relu
[convolutional]
filters=5
activation=relu
[maxpool]
[route]
layers=0
[convolutional]
filters=2
activation=linear
"""


def built(text: str, seed: int = 1) -> fx.GraphModule:
    network = compile_network(compile_text(text, "network.cfg"))
    initialise(network, seed)
    return network


def images(count: int = 1, size: tuple[int, int] = (32, 64)) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(2))


def body(network: fx.GraphModule) -> list[ast.stmt]:
    (function,) = [n for n in ast.parse(network.code).body if isinstance(n, ast.FunctionDef)]
    return function.body


# -- generated code --------------------------------------------------------------------------------


def test_the_code_has_one_line_for_each_layer_that_is_read() -> None:
    lines = [line.strip() for line in built(DETECTOR).code.splitlines() if "self." in line]
    assert [line.partition(";")[0] for line in lines if not line.startswith("def")] == [
        "convolutional_0 = self.convolutional_0(image)",
        "maxpool_1 = self.maxpool_1(convolutional_0)",
        "convolutional_2 = self.convolutional_2(maxpool_1)",
        "shortcut_3 = self.shortcut_3(convolutional_2, maxpool_1)",
        "route_4 = self.route_4(shortcut_3)",
        "convolutional_5 = self.convolutional_5(route_4)",
        "yolo_6 = self.yolo_6(convolutional_5)",
        "upsample_7 = self.upsample_7(yolo_6)",
        "route_8 = self.route_8(upsample_7, convolutional_0)",
        "convolutional_9 = self.convolutional_9(route_8)",
    ]
    assert built(DETECTOR).code.strip().endswith("return (convolutional_5, convolutional_9)")


def test_every_map_is_dropped_right_after_its_last_reader() -> None:
    last_read: dict[str, int] = {}
    dropped: dict[str, int] = {}
    line = 0
    for statement in body(built(DETECTOR)):
        frees = isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        if frees:
            assert isinstance(statement, ast.Assign)
            dropped.update({t.id: line for t in statement.targets if isinstance(t, ast.Name)})
            continue
        line += 1
        for name in ast.walk(statement):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Load) and name.id != "self":
                assert name.id not in dropped
                last_read[name.id] = line
    returned = {"convolutional_5", "convolutional_9"}
    assert dropped == {name: at for name, at in last_read.items() if name not in returned}
    assert set(dropped) >= {"image", "convolutional_0", "maxpool_1", "route_8"}


def test_a_chain_keeps_no_more_than_the_map_it_reads() -> None:
    network = built(NET + "[conv]\nfilters=3\nactivation=leaky\n" * 5)
    maps: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def record(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        alive.append(sum(reference() is not None for reference in maps))
        maps.append(weakref.ref(output))

    for number in range(5):
        network.get_submodule(f"convolutional_{number}").register_forward_hook(record)
    with torch.no_grad():
        network(images())
    assert alive == [0, 1, 1, 1, 1]


def test_layers_that_nobody_reads_are_not_called_but_keep_their_weights() -> None:
    network = built(WITH_UNREAD)
    assert "convolutional_1(" not in network.code and "maxpool_2(" not in network.code
    state = network.state_dict()
    assert state["convolutional_1.convolution.weight"].shape == (5, 4, 1, 1)
    assert state["convolutional_1.convolution.bias"].tolist() == [0.0] * 5
    called: list[str] = []
    for name, module in network.named_children():
        module.register_forward_hook(lambda *_, name=name: called.append(name))
    network(images())
    assert called == ["convolutional_0", "route_3", "convolutional_4"]


# -- what can be done with the module --------------------------------------------------------------


def test_torch_compile_gives_the_same_outputs() -> None:
    network = built(DETECTOR)
    with torch.no_grad():
        expected = network(images(2))
        found = torch.compile(network, backend="eager", fullgraph=True)(images(2))
    assert len(found) == 2
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_torch_export_gives_the_same_outputs() -> None:
    network = built(DETECTOR)
    with torch.no_grad():
        expected = network(images())
        program = torch.export.export(network, (images(),))
        found = program.module()(images())
    assert len(found) == 2
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_images_of_another_size_are_fine() -> None:
    graph = compile_text(DETECTOR, "network.cfg").with_input_size((64, 32))
    resized = compile_network(graph)
    initialise(resized, seed=1)
    with torch.no_grad():
        found = built(DETECTOR)(images(1, (64, 32)))
        expected = resized(images(1, (64, 32)))
    assert [tuple(t.shape[2:]) for t in found] == [(16, 8), (32, 16)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("folded", [False, True])
def test_channels_last_gives_the_same_outputs(folded: bool) -> None:
    network = built(DETECTOR)
    with torch.no_grad():
        expected = network(images(2))
        if folded:
            fold_batch_norm(network, compile_text(DETECTOR, "network.cfg"))
        to_channels_last(network)
        found = network(images(2).contiguous(memory_format=torch.channels_last))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_a_compiled_network_is_in_evaluation_mode() -> None:
    network = compile_network(compile_text(DETECTOR, "network.cfg"))
    assert not any(module.training for module in network.modules())


# -- starting values -------------------------------------------------------------------------------


def test_initialise_is_repeatable_and_leaves_torchs_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, second, other = built(DETECTOR, 7), built(DETECTOR, 7), built(DETECTOR, 8)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, tensor in first.named_parameters():
        assert torch.equal(tensor, second.get_parameter(name)), name
    weight = "convolutional_0.convolution.weight"
    assert not torch.equal(first.get_parameter(weight), other.get_parameter(weight))


@pytest.mark.parametrize(
    ("section", "inputs_per_output"),
    [
        ("[conv]\nfilters=64\nsize=3\nactivation=linear\n", 3 * 9),
        ("[conv]\nfilters=96\nsize=5\ngroups=3\nactivation=linear\n", 25),
        ("[connected]\noutput=10\nactivation=linear\n", 3 * 32 * 64),
    ],
)
def test_weights_are_uniform_within_darknets_bound(section: str, inputs_per_output: int) -> None:
    (parameters,) = [dict(m.named_parameters()) for m in built(NET + section).children()]
    (weight,) = [p.detach() for name, p in parameters.items() if name.endswith("weight")]
    (bias,) = [p.detach() for name, p in parameters.items() if name.endswith("bias")]
    bound = math.sqrt(2 / inputs_per_output)
    assert weight[0].numel() == inputs_per_output
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.98 * bound  # of more than a thousand numbers
    # A uniform number's deviation is bound / sqrt(3), a normal one's of that bound far from it.
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert weight.mean().abs() < 0.1 * bound
    assert not bias.any()


def test_batch_norm_starts_as_the_identity_and_shortcut_weights_at_one() -> None:
    network = built(DETECTOR)
    norm = network.get_submodule("convolutional_2.batch_norm")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    starts = (norm.weight, norm.running_var, norm.bias, norm.running_mean)
    assert [t.unique().tolist() for t in starts] == [[1.0], [1.0], [0.0], [0.0]]
    assert network.get_parameter("shortcut_3.weight").unique().tolist() == [1.0]


def test_compiling_a_hundred_layers_fills_no_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[int] = []

    def fill(tensor: Tensor, *_: object, **__: object) -> Tensor:
        if tensor.device.type != "meta":
            filled.append(tensor.numel())
        return tensor

    for name in ("kaiming_uniform_", "uniform_", "ones_", "zeros_"):
        monkeypatch.setattr(nn.init, name, fill)
    layer = "[conv]\nbatch_normalize=1\nfilters=512\nsize=3\npad=1\nactivation=leaky\n"
    before = torch.random.get_rng_state()
    graph = compile_text(NET + 100 * layer, "network.cfg")
    network = compile_network(graph)
    assert filled == [] and torch.equal(torch.random.get_rng_state(), before)
    assert graph.total.params == 512 * 27 + 99 * 512 * 512 * 9 + 100 * 2 * 512
    assert sum(parameter.numel() for parameter in network.parameters()) == graph.total.params
