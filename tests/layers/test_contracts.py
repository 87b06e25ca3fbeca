"""What every layer kind must keep: shapes, costs, weights and gradients agree with torch.

One table of tiny networks; the last section of each is the layer under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx

from yolo_gp.graph import INPUT, Graph, Node, compile_text
from yolo_gp.layers import LAYERS
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.network import compile_network, fold_batch_norm, initialise, read_as_sequences
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
FIRST = "[maxpool]\nsize=3\nstride=1\n"
VECTOR = f"{FIRST}[implicit_add]\nfilters=4\n[route]\nlayers=0\n"
ATOMS = f"{FIRST}[implicit_add_2d]\nfilters=2\natoms=2\n[route]\nlayers=0\n"


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
    "antialiased": Case(  # counted at stride 1, as Darknet does
        "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\nstride=2\npad=1\nantialiasing=1\n"
        "activation=leaky\n",
        params=6 * 4 * 9 + 2 * 6,
        macs=PLAIN,
        operations=2 * PLAIN,
    ),
    "deconvolutional": Case(
        "[deconvolutional]\nbatch_normalize=1\nfilters=3\nsize=3\nstride=2\npad=1\n"
        "activation=relu\n",
        params=4 * 3 * 9 + 2 * 3,
        macs=8 * 12 * 4 * 3 * 9,  # every pixel meets every number of every filter
    ),
    "deconv": Case(
        "[deconv]\nfilters=3\nsize=4\nstride=2\npadding=1\nactivation=linear\n",
        params=4 * 3 * 16 + 3,
        macs=8 * 12 * 4 * 3 * 16,
    ),
    "local": Case(  # 3 filters of 4 x 3 x 3 and 3 biases at each of the 4 x 6 places
        "[local]\nfilters=3\nsize=3\nstride=2\npad=1\nactivation=leaky\n",
        params=4 * 6 * (3 * 4 * 9 + 3),
        macs=4 * 6 * 3 * 4 * 9,
    ),
    "local without padding": Case(
        "[local]\nfilters=2\nsize=2\nactivation=logistic\n",
        params=7 * 11 * (2 * 4 * 4 + 2),
        macs=7 * 11 * 2 * 4 * 4,
    ),
    "maxpool": Case("[maxpool]\nsize=2\nstride=2\n", operations=2 * 2 * 4 * 4 * 6),
    "antialiased maxpool": Case(
        "[maxpool]\nsize=2\nstride=2\nantialiasing=2\n", operations=2 * 2 * 4 * 8 * 12
    ),
    "maxpool over channels": Case(
        "[maxpool]\nmaxpool_depth=1\nout_channels=3\n", operations=4 * 8 * 12
    ),
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
    "shortcut with pjreddie's factors": Case(
        "[maxpool]\nsize=3\n[conv]\nfilters=6\nactivation=linear\n"
        "[shortcut]\nfrom=-2\nalpha=0.5\nbeta=2\nactivation=leaky\n",
        operations=6 * 8 * 12,
    ),
    "reorg flattened": Case("[reorg]\nflatten=1\n"),
    "reorg flattened back": Case("[reorg]\nflatten=1\nreverse=1\n"),
    "reorg with zeros": Case("[reorg]\nextra=5\n"),
    "reorg3d": Case("[reorg3d]\nstride=2\n"),
    "reorg3d reversed": Case(
        "[conv]\nfilters=16\nactivation=linear\n[reorg3d]\nstride=2\nreverse=1\n"
    ),
    "activation": Case("[maxpool]\nsize=3\n[activation]\nactivation=leaky\n"),
    "batchnorm": Case("[batchnorm]\n", params=2 * 4),
    "normalization": Case("[normalization]\nalpha=0.01\nsize=3\n"),
    "lrn": Case("[lrn]\nalpha=0.01\n"),
    "l2norm": Case("[l2norm]\n"),
    "logistic": Case("[logistic]\n"),
    "crop": Case("[crop]\ncrop_height=5\ncrop_width=10\n"),
    "history": Case("[history]\nhistory_size=3\n"),
    "implicit": Case("[implicit]\nfilters=5\natoms=2\n", params=5 * 2),
    "iseg": Case("[conv]\nfilters=7\nactivation=linear\n[iseg]\nclasses=4\nids=3\n"),
    "empty": Case("[maxpool]\nsize=3\n[empty]\n"),
    "silence": Case("[maxpool]\nsize=3\n[silence]\n"),
    "blank": Case("[maxpool]\nsize=3\n[blank]\n"),
    "contrastive": Case("[maxpool]\nsize=3\n[contrastive]\nclasses=3\n"),
    "rnn": Case(  # three connected layers: 384 to 3, 3 to 3, 3 to 5
        "[rnn]\noutput=5\nhidden=3\nactivation=tanh\n",
        params=(384 * 3 + 3) + (3 * 3 + 3) + (3 * 5 + 5),
        macs=384 * 3 + 3 * 3 + 3 * 5,
    ),
    "gru": Case(  # three connected layers from the input, three from the state
        "[gru]\noutput=5\nbatch_normalize=1\n",
        params=3 * (384 * 5 + 5 * 5) + 6 * 2 * 5,
        macs=3 * (384 * 5 + 5 * 5),
    ),
    "lstm": Case(
        "[lstm]\noutput=5\n", params=4 * (384 * 5 + 5 * 5) + 8 * 5, macs=4 * (384 * 5 + 5 * 5)
    ),
    "crnn": Case(
        "[crnn]\noutput=4\nhidden=4\npad=1\nbatch_normalize=1\nactivation=leaky\n",
        params=3 * (4 * 4 * 9 + 2 * 4),
        macs=3 * SHARED,
        operations=2 * 3 * SHARED,
    ),
    "conv_lstm": Case(  # 12 sums for each number of the output
        "[conv_lstm]\noutput=4\npad=1\npeephole=1\nbatch_normalize=1\nactivation=leaky\n",
        params=11 * (4 * 4 * 9 + 2 * 4),
        macs=11 * SHARED,
        operations=2 * 11 * SHARED + 12 * 4 * 8 * 12,
    ),
    "conv_lstm with a bottleneck": Case(  # one convolution of 4 + 4 channels, then four of 4
        "[conv_lstm]\noutput=4\npad=1\nbottleneck=1\nshortcut=1\n",
        params=2 * 4 * 4 * 9 + 4 + 4 * (4 * 4 * 9 + 4),
        macs=6 * SHARED,
        operations=2 * 6 * SHARED + 9 * 4 * 8 * 12,
    ),
    "dropout": Case("[maxpool]\nsize=3\n[dropout]\nprobability=0.5\n"),
    "dropout in squares": Case("[maxpool]\nsize=3\n[dropout]\ndropblock=1\nprobability=0.1\n"),
    "cost": Case("[softmax]\n[cost]\n"),
    "yolo": Case(
        "[conv]\nfilters=16\nactivation=linear\n"
        "[yolo]\nclasses=3\nnum=2\nanchors=4,5, 6,7\nscale_x_y=1.2\n"
    ),
    "yolo with masks": Case(  # 2 x (5 + 3 + 2) channels
        "[conv]\nfilters=2\nactivation=leaky\n[conv]\nfilters=20\nactivation=linear\n"
        "[yolo]\nclasses=3\nnum=2\nanchors=4,5, 6,7\nmasks=2\nprototypes=0\n"
    ),
    "region": Case(  # 2 x (5 + 3) channels
        "[conv]\nfilters=16\nactivation=linear\n"
        "[region]\nclasses=3\nnum=2\nanchors=1,2, 3,4\nsoftmax=1\n"
    ),
    "region without softmax": Case(
        "[conv]\nfilters=16\nactivation=linear\n[region]\nclasses=3\nnum=2\nanchors=1,2, 3,4\n"
    ),
    "detection": Case(  # 2 x 2 x (5 x 2 + 3) numbers
        "[connected]\noutput=52\nactivation=linear\n"
        "[detection]\nclasses=3\nnum=2\nside=2\ncoords=4\nsoftmax=1\n"
    ),
    "Gaussian_yolo": Case(  # 2 x (9 + 3) channels
        "[conv]\nfilters=24\nactivation=linear\n"
        "[Gaussian_yolo]\nclasses=3\nnum=2\nanchors=4,5, 6,7\nscale_x_y=1.2\n"
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
    "implicit_add": Case("[implicit_add]\nfilters=5\n", params=5),
    "implicit_mul": Case("[implicit_mul]\nfilters=5\n", params=5),
    "implicit_cat": Case("[implicit_cat]\nfilters=5\n", params=5),
    "implicit_add_2d": Case("[implicit_add_2d]\nfilters=5\natoms=3\n", params=5 * 3),
    "implicit_mul_2d": Case("[implicit_mul_2d]\nfilters=5\natoms=3\n", params=5 * 3),
    "implicit_cat_2d": Case("[implicit_cat_2d]\nfilters=5\natoms=3\n", params=5 * 3),
    "shift_channels": Case(f"{VECTOR}[shift_channels]\nfrom=1\n"),
    "control_channels": Case(f"{VECTOR}[control_channels]\nfrom=1\n"),
    "alternate_channels": Case(f"{VECTOR}[alternate_channels]\nfrom=1\n"),
    "select_channels": Case(f"{VECTOR}[select_channels]\nfrom=1\n"),
    "shift_channels_2d": Case(f"{ATOMS}[shift_channels_2d]\nfrom=1\n"),
    "control_channels_2d": Case(f"{ATOMS}[control_channels_2d]\nfrom=1\n"),
    "alternate_channels_2d": Case(f"{ATOMS}[alternate_channels_2d]\nfrom=1\n"),
    "select_channels_2d": Case(f"{ATOMS}[select_channels_2d]\nfrom=1\n"),
    "route_lhalf": Case("[maxpool]\nsize=3\n[maxpool]\nsize=5\n[route_lhalf]\nlayers=-2,1\n"),
    "route2": Case("[maxpool]\nsize=3\n[maxpool]\nsize=5\n[route2]\nlayers=-1,0\n"),
    "route3": Case(
        "[maxpool]\nsize=3\n[maxpool]\nsize=5\n[maxpool]\nsize=1\n[route3]\nlayers=-1,0,1\n"
    ),
    "BatchNorm2d": Case("[BatchNorm2d]\n", params=2 * 4),
    "reorg of the YOLOR dialect": Case("[BatchNorm2d]\n[reorg]\n"),
    "maxpool of the YOLOR dialect": Case(
        "[BatchNorm2d]\n[maxpool]\nsize=2\nstride=1\n", operations=2 * 2 * 4 * 8 * 12
    ),
    "local_avgpool of the YOLOR dialect": Case(
        "[BatchNorm2d]\n[local_avgpool]\nsize=3\nstride=2\n", operations=3 * 3 * 4 * 4 * 6
    ),
    "batch norm of the YOLOR dialect": Case(
        "[BatchNorm2d]\n[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\npad=1\n"
        "activation=silu\n",
        params=6 * 4 * 9 + 2 * 6,
        macs=PLAIN,
        operations=2 * PLAIN,
    ),
    "weighted shortcut of the YOLOR dialect": Case(
        "[BatchNorm2d]\n[maxpool]\nsize=5\nstride=1\n[maxpool]\nsize=1\nstride=1\n"
        "[shortcut]\nfrom=0,1\nweights_type=per_feature\nactivation=linear\n",
        params=3,
        operations=2 * 2 * 4 * 8 * 12,
    ),
    "yolo of the YOLOR dialect": Case(
        "[BatchNorm2d]\n[conv]\nfilters=16\nactivation=linear\n"
        "[yolo]\nclasses=3\nnum=2\nanchors=4,5, 6,7\n"
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
        value = module(*(values[edge.source] for edge in node.inputs))
        # One map for all images counts as one each, as in the network.
        values[node.index] = value if node.inputs else value.expand(len(image), -1, -1, -1)
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
    convolutions = [module for module in network.modules() if isinstance(module, Convolution)]
    assert not any(module.batch_norm for module in convolutions)
    after = last_output(graph, network, images(2))
    assert torch.allclose(before, after, rtol=1e-5, atol=1e-5)


@each_case
def test_a_batch_of_two_equals_two_batches_of_one(case: Case) -> None:
    graph, network = built(case)
    both = images(2)
    apart = [last_output(graph, network, image[None]) for image in both]
    together = last_output(graph, network, both)
    assert torch.allclose(together, torch.cat(apart), rtol=1e-5, atol=1e-6)
    if graph.nodes[-1].inputs:
        assert not torch.equal(together[0], together[1])


@each_case
def test_training_gives_every_parameter_and_the_input_a_gradient(case: Case) -> None:
    graph, network = built(case)
    network.train()
    read_as_sequences(network, time_steps=2)  # at the first step a state of zeros is read
    image = images(4).requires_grad_()
    if "xnor" in case.sections:
        with pytest.raises(NotImplementedError, match="training of xnor convolutions"):
            network(image)
        return
    results = network(image)
    generator = torch.Generator().manual_seed(4)
    torch.autograd.backward(results, [torch.randn(r.shape, generator=generator) for r in results])
    learning = dict(network.named_parameters())
    if graph.nodes[-1].inputs:
        learning["image"] = image
    for name, tensor in learning.items():
        assert tensor.grad is not None, name
        assert tensor.grad.abs().sum() > 0, name
