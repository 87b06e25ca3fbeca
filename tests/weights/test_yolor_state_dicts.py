"""State dicts of the YOLOR repositories into networks of their dialect, against torch itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from yolo_gp.dialect import Dialect
from yolo_gp.errors import WeightsError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.nodes import module_name
from yolo_gp.weights.loading import load_any
from yolo_gp.weights.transfer import plan_transfer
from yolo_gp.zoo import packaged_cfgs

CFG = """[net]
width=16
height=16
channels=3
[BatchNorm2d]
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=silu
[maxpool]
size=5
stride=1
[shortcut]
from=-2
weights_type=per_feature
activation=linear
[implicit_add]
filters=4
[implicit_mul_2d]
filters=7
atoms=1
[route]
layers=3
[shift_channels]
from=4
[convolutional]
filters=7
size=1
pad=1
activation=linear
[control_channels_2d]
from=5
[yolo]
classes=2
num=1
anchors=3,4
scale_x_y=1.05
"""
IMAGE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def theirs(seed: int = 2) -> dict[str, Tensor]:
    """A state dict with the names and shapes that YOLOR's code gives to this cfg."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.3

    def norm(prefix: str, channels: int) -> dict[str, Tensor]:
        return {
            f"{prefix}weight": drawn(channels) + 1,
            f"{prefix}bias": drawn(channels),
            f"{prefix}running_mean": drawn(channels),
            f"{prefix}running_var": torch.rand(channels, generator=generator) * 1e-3,
            f"{prefix}num_batches_tracked": torch.tensor(7),
        }

    state = {
        **norm("0.", 3),
        "1.Conv2d.weight": drawn(4, 3, 3, 3),
        **norm("1.BatchNorm2d.", 4),
        "3.w": drawn(2),
        "4.implicit": drawn(1, 4, 1, 1),
        "5.implicit": drawn(1, 1, 7, 1) + 1,
        "8.Conv2d.weight": drawn(7, 4, 1, 1),
        "8.Conv2d.bias": drawn(7),
    }
    return {f"module_list.{name}": values for name, values in state.items()}


def their_map(state: dict[str, Tensor], image: Tensor) -> Tensor:
    """What YOLOR's code hands to its head, written with torch's own functions."""

    def norm(x: Tensor, prefix: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"module_list.{prefix}{name}"]
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias, eps=1e-4)

    x = norm(image, "0.")
    x = F.conv2d(x, state["module_list.1.Conv2d.weight"], stride=2, padding=1)
    first = F.silu(norm(x, "1.BatchNorm2d."))
    factors = state["module_list.3.w"].sigmoid() * (2 / 2)
    x = F.max_pool2d(first, 5, 1, 2) * factors[0] + first * factors[1]
    x = x + state["module_list.4.implicit"]
    x = F.conv2d(x, state["module_list.8.Conv2d.weight"], state["module_list.8.Conv2d.bias"])
    return x * state["module_list.5.implicit"].view(1, -1, 1, 1)


def empty() -> tuple[Graph, fx.GraphModule]:
    graph = compile_text(CFG, "test.cfg")
    network = compile_network(graph)
    initialise(network, seed=3)
    return graph, network


@pytest.mark.parametrize("entry", [None, "model", "ema"])
def test_a_state_dict_of_theirs_gives_their_map(entry: str | None, tmp_path: Path) -> None:
    state = theirs()
    torch.save({entry: state, "epoch": 9} if entry else state, tmp_path / "x.pt")
    graph, network = empty()
    loaded = load_any(tmp_path / "x.pt", graph, network)
    assert loaded.notes == ()  # the epsilon is theirs, so there is nothing to note
    with torch.no_grad():
        assert torch.allclose(network(IMAGE)[0], their_map(state, IMAGE), rtol=1e-4, atol=1e-4)


def test_a_vector_of_another_length_is_named(tmp_path: Path) -> None:
    state = {**theirs(), "module_list.4.implicit": torch.zeros(1, 5, 1, 1)}
    torch.save({"model": state}, tmp_path / "x.pt")
    with pytest.raises(WeightsError) as caught:
        load_any(tmp_path / "x.pt", *empty())
    assert (
        "of another shape: layer 4 [implicit_add], weight is 1x4x1x1 here, 1x5x1x1 as "
        "module_list.4.implicit\n"
    ) in str(caught.value)


def test_a_file_without_the_vectors_is_refused(tmp_path: Path) -> None:
    state = {name: values for name, values in theirs().items() if "implicit" not in name}
    torch.save({"model": state}, tmp_path / "x.pt")
    with pytest.raises(WeightsError) as caught:
        load_any(tmp_path / "x.pt", *empty())
    assert "missing from the file: layer 4 [implicit_add], weight; layer 5" in str(caught.value)


def test_an_epsilon_of_its_own_is_counted_from_the_dialects(tmp_path: Path) -> None:
    torch.save({"model": theirs()}, tmp_path / "x.pt")
    graph, network = empty()
    loaded = load_any(tmp_path / "x.pt", graph, network, batch_norm_epsilon=1e-3)
    wanted = theirs()["module_list.1.BatchNorm2d.running_var"] + (1e-3 - 1e-4)
    found = network.state_dict()["convolutional_1.batch_norm.running_var"]
    assert torch.allclose(found, wanted, rtol=1e-5)
    assert loaded.notes == (
        "batch norms were trained with epsilon 0.001: the difference to YOLOR's "
        "0.0001 was added to the running variances",
    )


def test_vectors_go_over_to_a_network_of_other_classes_where_they_fit() -> None:
    source, target = (
        compile_text(CFG.replace("classes=2", f"classes={n}").replace("=7", f"={n + 5}"), "x.cfg")
        for n in (2, 3)
    )
    plan = plan_transfer(source, target)
    moved = {str(move.source): str(move.target) for move in plan.moves}
    assert moved["layer 4 [implicit_add]"] == "layer 4 [implicit_add]"
    assert "layer 5 [implicit_mul_2d]" not in moved  # 8 numbers here, 7 there


# -- as large as YOLOR-CSP -------------------------------------------------------------------------


def large_cfg() -> str:
    """YOLOv4-CSP's cfg with a vector added before each head's convolution, one multiplied after."""
    text = packaged_cfgs()["yolov4-csp"].read_text(encoding="utf-8")
    head = re.compile(
        r"\[convolutional\]\nfilters=255\nsize=1\nstride=1\npad=1\nactivation=logistic\n"
    )
    widths = iter((256, 512, 1024))

    def replaced(match: re.Match[str]) -> str:
        width = next(widths)
        return (
            f"[route]\nname=r{width}\nlayers=-1\n"
            f"[implicit_add]\nname=a{width}\nfilters={width}\n"
            f"[implicit_mul]\nname=m{width}\nfilters=255\n"
            f"[route]\nlayers=@r{width}\n[shift_channels]\nfrom=@a{width}\n"
            f"{match[0].replace('logistic', 'linear')}[control_channels]\nfrom=@m{width}\n"
        )

    found, count = head.subn(replaced, text)
    assert count == 3
    return found


def test_a_network_of_yolor_csps_size_has_its_parameters_and_shapes() -> None:
    graph = compile_text(large_cfg(), "large.cfg")
    assert graph.dialect is Dialect.YOLOR
    assert graph.warnings == ()
    # 52,921,437 of YOLOv4-CSP (zoo.md E), 256 + 512 + 1024 added and 3 * 255 multiplied numbers.
    assert graph.total.params == 52_921_437 + 1792 + 765
    assert [str(graph.shape_of(edge.source)) for edge in graph.output_edges] == [
        "255 x 64 x 64",
        "255 x 32 x 32",
        "255 x 16 x 16",
    ]
    with torch.device("meta"):
        modules = nn.ModuleDict(
            {module_name(n): n.layer.module(n.input_shapes, n.output_shape) for n in graph.nodes}
        )
    assert sum(p.numel() for p in modules.parameters()) == graph.total.params
    norms = [m for m in modules.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) > 100
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-4, 0.03)}
