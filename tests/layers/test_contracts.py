"""What every layer kind must keep: shapes, costs, weights and gradients agree with torch.

One table of tiny networks; the last section of each is the layer under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn

from yolo_gp.graph import INPUT, Graph, Node, compile_text
from yolo_gp.layers import LAYERS
from yolo_gp.network import compile_network, fold_batch_norm, initialise
from yolo_gp.nodes import module_name
from yolo_gp.weights.darknet import load_weights, save_weights

CHANNELS, HEIGHT, WIDTH = 4, 8, 12
SIZES = ((HEIGHT, WIDTH), (16, 20))
NET = f"[net]\nchannels={CHANNELS}\nheight={HEIGHT}\nwidth={WIDTH}\n"


def convolution_macs(
    source: tuple[int, int, int],
    filters: int,
    size: int,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: int = 0,
    groups: int = 1,
) -> int:
    """Multiply-adds of a convolution, its window slid over the padded (C, H, W) map."""
    channels, height, width = source
    count = 0
    for _filter in range(filters):
        for _top in range(-padding, height + padding - size + 1, stride[0]):
            for _left in range(-padding, width + padding - size + 1, stride[1]):
                for _channel in range(channels // groups):
                    count += size * size
    return count


MAP = (CHANNELS, HEIGHT, WIDTH)
PLAIN = convolution_macs(MAP, 6, 3, padding=1)
STRIDED = convolution_macs(MAP, 5, 3, stride=(2, 2), padding=1)
GROUPED = convolution_macs(MAP, 6, 5, stride=(1, 2), padding=2, groups=2)
UNPADDED = convolution_macs(MAP, 3, 3)
EVEN = convolution_macs(MAP, 3, 2, padding=1)
SHARED = convolution_macs(MAP, 4, 3, padding=1)
POINTWISE = convolution_macs(MAP, 3, 1)
FACTOR = "[avgpool]\n"
MASK = "[convolutional]\nfilters=1\nactivation=logistic\n"


@dataclass(frozen=True)
class Case:
    """A network whose last section is under test.

    `params`, `macs` and `operations` (Darknet's, darknet.md 8) of that section on the first size.
    """

    sections: str
    params: int = 0
    macs: int = 0
    operations: int = 0

    @property
    def section(self) -> str:
        """The name of the section under test."""
        return self.sections.rpartition("[")[2].partition("]")[0]


CASES = {
    "batch norm": Case(
        "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\npad=1\nactivation=leaky\n",
        params=6 * 4 * 9 + 2 * 6,
        macs=PLAIN,
        operations=2 * PLAIN,
    ),
    "bias and stride": Case(
        "[convolutional]\nfilters=5\nsize=3\nstride=2\npad=1\nactivation=linear\n",
        params=5 * 4 * 9 + 5,
        macs=STRIDED,
        operations=2 * STRIDED,
    ),
    "groups and uneven strides": Case(
        "[conv]\nbatch_normalize=1\nfilters=6\nsize=5\nstride_x=2\nstride_y=1\npadding=2\ngroups=2\n"
        "activation=swish\n",
        params=6 * 2 * 25 + 2 * 6,
        macs=GROUPED,
        operations=2 * GROUPED,
    ),
    "no padding": Case(
        "[convolutional]\nfilters=3\nsize=3\nactivation=mish\n",
        params=3 * 4 * 9 + 3,
        macs=UNPADDED,
        operations=2 * UNPADDED,
    ),
    "even kernel": Case(
        "[convolutional]\nfilters=3\nsize=2\npad=1\nactivation=relu\n",
        params=3 * 4 * 4 + 3,
        macs=EVEN,
        operations=2 * EVEN,
    ),
    "dilation": Case(
        "[convolutional]\nfilters=6\nsize=3\npad=1\ndilation=2\nactivation=tanh\n",
        params=6 * 4 * 9 + 6,
        macs=PLAIN,
        operations=2 * PLAIN,
    ),
    "xnor": Case(
        "[convolutional]\nxnor=1\nbatch_normalize=1\nfilters=6\nsize=3\npad=1\nactivation=leaky\n",
        params=6 * 4 * 9 + 2 * 6,
        macs=PLAIN,
        operations=2 * PLAIN // 32,
    ),
    "flipped": Case(
        "[convolutional]\nflipped=1\nfilters=6\nsize=3\npad=1\nactivation=linear\n",
        params=6 * 4 * 9 + 6,
        macs=PLAIN,
        operations=2 * PLAIN,
    ),
    "shared": Case(
        "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
        "[convolutional]\nshare_index=0\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\n"
        "activation=leaky\n",
        macs=SHARED,
        operations=2 * SHARED,
    ),
    "maxpool": Case("[maxpool]\nsize=2\nstride=2\n", operations=2 * 2 * 4 * 4 * 6),
    "maxpool that keeps the size": Case("[max]\nsize=5\n", operations=5 * 5 * 4 * 8 * 12),
    "maxpool with uneven strides": Case(
        # Rows: (8 + 2 - 3) // 2 + 1 = 4; columns: (12 + 2 - 3) // 3 + 1 = 4.
        "[maxpool]\nsize=3\nstride_y=2\nstride_x=3\n",
        operations=3 * 3 * 4 * 4 * 4,
    ),
    "local_avgpool": Case("[local_avgpool]\nsize=3\nstride=2\n", operations=3 * 3 * 4 * 4 * 6),
    "local_avg": Case("[local_avg]\nsize=2\nstride=1\n", operations=2 * 2 * 4 * 8 * 12),
    "avgpool": Case("[avgpool]\n"),
    "avg": Case("[avg]\n"),
    "route": Case("[maxpool]\nsize=3\n[avgpool]\n[maxpool]\nsize=1\n[route]\nlayers=-2,1\n"),
    "route of one": Case("[maxpool]\nsize=3\n[avgpool]\n[route]\nlayers=0\n"),
    "route of slices": Case(
        "[conv]\nfilters=6\nactivation=linear\n[maxpool]\nsize=3\n"
        "[route]\nlayers=-1,0\ngroups=3\ngroup_id=1\n"
    ),
    "shortcut": Case(
        "[maxpool]\nsize=3\n[conv]\nfilters=6\nactivation=linear\n"
        "[shortcut]\nfrom=-2\nactivation=leaky\n",
        operations=6 * 8 * 12,
    ),
    "weighted shortcut": Case(
        "[maxpool]\nsize=3\n[maxpool]\nsize=5\n[maxpool]\nsize=1\n[shortcut]\nfrom=0,1\n"
        "weights_type=per_feature\nweights_normalization=softmax\nactivation=linear\n",
        params=3,
        operations=2 * 2 * 4 * 8 * 12,
    ),
    "shortcut weighted per channel": Case(
        "[maxpool]\nsize=3\n[maxpool]\nsize=5\n[maxpool]\nsize=1\n[shortcut]\nfrom=0,1\n"
        "weights_type=per_channel\nweights_normalization=relu\nactivation=mish\n",
        params=3 * 4,
        operations=2 * 2 * 4 * 8 * 12,
    ),
    "partial shortcut": Case(  # 3 leading channels of the first source, 2 of the other
        "[maxpool]\nsize=3\n[maxpool]\nsize=5\n[conv]\nfilters=6\nactivation=linear\n"
        "[partial_shortcut]\nfrom=0,1\nchannels=3,2\nactivation=leaky\n",
        operations=(3 + 2) * 8 * 12,
    ),
    "scale_channels": Case(
        f"[maxpool]\nsize=3\n{FACTOR}[scale_channels]\nfrom=0\nactivation=logistic\n"
    ),
    "scale_channels per pixel": Case(
        f"[maxpool]\nsize=3\n{MASK}[scale_channels]\nfrom=0\nscale_wh=1\n"
    ),
    "sam": Case("[maxpool]\nsize=3\n[maxpool]\nsize=5\n[sam]\nfrom=0\n"),
    "upsample": Case("[upsample]\nstride=3\nscale=0.5\n"),
    "upsample by a negative stride": Case("[upsample]\nstride=-2\n"),
    "reorg": Case("[reorg]\nstride=2\n"),
    "reorg reversed": Case("[reorg]\nstride=2\nreverse=1\n"),
    "softmax": Case("[softmax]\n"),
    "softmax in groups": Case("[soft]\ngroups=2\ntemperature=2\n"),
    "softmax per pixel": Case("[softmax]\nspatial=1\n"),
    "connected": Case(
        "[connected]\noutput=7\nactivation=leaky\n", params=7 * 384 + 7, macs=7 * 384
    ),
    "connected with batch norm": Case(
        "[conn]\noutput=7\nbatch_normalize=1\nactivation=linear\n",
        params=7 * 384 + 2 * 7,
        macs=7 * 384,
    ),
    "dropout": Case("[maxpool]\nsize=3\n[dropout]\nprobability=0.5\n"),
    "cost": Case("[softmax]\n[cost]\n"),
    "yolo": Case(
        "[conv]\nfilters=16\nactivation=linear\n"
        "[yolo]\nclasses=3\nnum=2\nanchors=4,5, 6,7\nscale_x_y=1.2\n"
    ),
    "yolo with masks": Case(  # 2 x (5 + 3 + 2) channels
        "[conv]\nfilters=2\nactivation=leaky\n[conv]\nfilters=20\nactivation=linear\n"
        "[yolo]\nclasses=3\nnum=2\nanchors=4,5, 6,7\nmasks=2\nprototypes=0\n"
    ),
    "anchor-free head": Case(  # 4 x 5 channels, 3 classes
        "[conv]\nfilters=20\nactivation=linear\n[conv]\nfilters=3\nactivation=linear\n"
        "[anchor_free]\nfrom=0,1\nclasses=3\nbins=5\n"
    ),
    "anchor-free head with masks": Case(
        "[conv]\nfilters=2\nactivation=leaky\n[conv]\nfilters=20\nactivation=linear\n"
        "[conv]\nfilters=3\nactivation=linear\n[conv]\nfilters=2\nactivation=linear\n"
        "[anchor_free]\nfrom=1,2,3\nclasses=3\nbins=5\nmasks=2\nprototypes=0\n"
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def built(case: Case, size: tuple[int, int] = SIZES[0]) -> tuple[Graph, fx.GraphModule]:
    """The network of a case, every tensor of it random."""
    graph = compile_text(NET + case.sections, "contract.cfg", input_size=size)
    network = compile_network(graph)
    initialise(network, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, tensor in network.state_dict().items():
        if name.endswith(("bias", "mean")):
            tensor.uniform_(-1, 1, generator=generator)
        elif name.endswith("var") or "norm.weight" in name or "shortcut" in name:
            tensor.uniform_(0.5, 2, generator=generator)
    return graph, network


def images(count: int, size: tuple[int, int] = SIZES[0]) -> Tensor:
    return torch.randn(count, CHANNELS, *size, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def last_output(graph: Graph, network: fx.GraphModule, image: Tensor) -> Tensor:
    """What the last layer gives, even where the network returns what a head reads."""
    return outputs(graph, network, image)[-1]


def outputs(graph: Graph, network: fx.GraphModule, image: Tensor) -> list[Tensor]:
    """Every layer's output, computed one layer after the other."""
    values = {INPUT: image}
    for node in graph.nodes:
        module = network.get_submodule(module_name(node))
        values[node.index] = module(*(values[edge.source] for edge in node.inputs))
    return [values[node.index] for node in graph.nodes]


def own_parameters(graph: Graph, network: fx.GraphModule) -> Iterator[tuple[Node, int]]:
    """For each layer the numbers it trains that no layer before it owns."""
    seen: set[int] = set()
    for node in graph.nodes:
        parameters = {id(p): p for p in network.get_submodule(module_name(node)).parameters()}
        yield node, sum(p.numel() for key, p in parameters.items() if key not in seen)
        seen |= set(parameters)


def test_every_section_name_has_a_case() -> None:
    assert {case.section for case in CASES.values()} == set(LAYERS)


@each_case
@pytest.mark.parametrize("size", SIZES)
def test_inferred_shape_is_torchs(case: Case, size: tuple[int, int]) -> None:
    graph, network = built(case, size)
    for node, output in zip(graph.nodes, outputs(graph, network, images(2, size)), strict=True):
        shape = node.output_shape
        assert output.shape == (2, shape.channels, shape.height, shape.width), node.layer.kind
        assert node.cost.activations == output[0].numel()


@each_case
def test_params_are_what_torch_trains(case: Case) -> None:
    graph, network = built(case)
    for node, count in own_parameters(graph, network):
        assert node.cost.params == count
    assert graph.nodes[-1].cost.params == case.params


@each_case
def test_macs_are_those_of_the_window_slid_by_hand(case: Case) -> None:
    graph, _ = built(case)
    assert graph.nodes[-1].cost.macs == case.macs
    assert graph.nodes[-1].cost.flops == 2 * case.macs


@each_case
def test_operations_are_counted_by_darknets_rule(case: Case) -> None:
    graph, _ = built(case)
    assert graph.nodes[-1].cost.darknet_operations == case.operations


@each_case
def test_weights_written_read_and_written_again_are_the_same_bytes(
    case: Case, tmp_path: Path
) -> None:
    graph, network = built(case)
    save_weights(tmp_path / "first.weights", graph, network)
    fresh = compile_network(graph)
    for tensor in fresh.state_dict().values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)  # whatever loading leaves out shows in the output
    load_weights(tmp_path / "first.weights", graph, fresh)
    save_weights(tmp_path / "second.weights", graph, fresh)

    first = (tmp_path / "first.weights").read_bytes()
    assert first == (tmp_path / "second.weights").read_bytes()
    stored = {t.data_ptr(): t for t in network.state_dict().values() if t.is_floating_point()}
    assert len(first) == 20 + 4 * sum(tensor.numel() for tensor in stored.values())
    image = images(1)
    assert torch.equal(last_output(graph, network, image), last_output(graph, fresh, image))


@each_case
def test_folding_batch_norm_keeps_the_output(case: Case) -> None:
    graph, network = built(case)
    before = last_output(graph, network, images(2))
    fold_batch_norm(network, graph)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    after = last_output(graph, network, images(2))
    assert torch.allclose(before, after, rtol=1e-5, atol=1e-5)


@each_case
def test_a_batch_of_two_equals_two_batches_of_one(case: Case) -> None:
    graph, network = built(case)
    both = images(2)
    apart = [last_output(graph, network, image[None]) for image in both]
    together = last_output(graph, network, both)
    assert torch.allclose(together, torch.cat(apart), rtol=1e-5, atol=1e-6)
    assert not torch.equal(together[0], together[1])


@each_case
def test_training_gives_every_parameter_and_the_input_a_gradient(case: Case) -> None:
    _, network = built(case)
    network.train()
    image = images(2).requires_grad_()
    if "xnor" in case.sections:
        with pytest.raises(NotImplementedError, match="training of xnor convolutions"):
            network(image)
        return
    results = network(image)
    generator = torch.Generator().manual_seed(4)
    torch.autograd.backward(results, [torch.randn(r.shape, generator=generator) for r in results])
    for name, tensor in (("image", image), *network.named_parameters()):
        assert tensor.grad is not None, name
        assert tensor.grad.abs().sum() > 0, name
