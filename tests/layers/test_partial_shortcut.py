"""[partial_shortcut] against loops over pixels; gradients that are stopped (zoo.md C.2, C.3)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.activations import ACTIVATIONS
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.modules import Shortcut
from yolo_gp.network import compile_network, initialise

Shape = tuple[int, int, int]
SIDE = 96  # of the input; what divides it can be the side of a map


def text_of(shapes: Sequence[Shape], keys: str = "") -> str:
    """A [partial_shortcut] whose inputs have these (C, H, W), the previous layer's first.

    The sources are layers 3, 6 ..., the previous layer comes last.
    """
    text = f"[net]\nchannels=1\nheight={SIDE}\nwidth={SIDE}\n[maxpool]\n"
    sources: list[int] = []
    for channels, height, width in (*shapes[1:], shapes[0]):
        text += f"[route]\nlayers=0\n[conv]\nfilters={channels}\nactivation=linear\n"
        text += f"[maxpool]\nsize=1\nstride_y={SIDE // height}\nstride_x={SIDE // width}\n"
        sources.append(3 * len(sources) + 3)
    return text + f"[partial_shortcut]\nfrom={','.join(map(str, sources[:-1]))}\n{keys}"


def graph_of(shapes: Sequence[Shape], keys: str = "") -> Graph:
    graph = compile_text(text_of(shapes, keys), "partial.cfg", strict=True)
    assert [(s.channels, *s.size) for s in graph.nodes[-1].input_shapes] == list(shapes)
    return graph


def module_of(graph: Graph) -> Shortcut:
    module = compile_network(graph).get_submodule(f"partial_shortcut_{graph.nodes[-1].index}")
    assert isinstance(module, Shortcut)
    return module


def maps_of(shapes: Sequence[Shape]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(1, *shape, generator=generator) for shape in shapes]


def added(maps: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """y[k, j, i] = x[k, j, i] + the sources' [k, j s, i s] with k < c, pixel by pixel."""
    result = maps[0].clone()
    _, channels, height, width = result.shape
    for source, count in zip(maps[1:], counts, strict=True):
        step = source.shape[2] // height
        for k, j, i in itertools.product(range(channels), range(height), range(width)):
            if k < count:
                result[0, k, j, i] += source[0, k, j * step, i * step]
    return result


def check(shapes: Sequence[Shape], counts: Sequence[int], keys: str = "") -> None:
    maps = maps_of(shapes)
    copies = [tensor.clone() for tensor in maps]
    result = module_of(graph_of(shapes, keys))(*maps)
    torch.testing.assert_close(result, added(copies, counts), rtol=0, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(maps, copies, strict=True))


# -- which channels are added ----------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_channels_are_the_leading_ones_that_are_added(count: int) -> None:
    check([(4, 3, 4), (4, 3, 4)], [count], f"channels={count}\n")


@pytest.mark.parametrize(("current", "source", "count"), [(4, 4, 4), (6, 4, 4), (4, 6, 4)])
def test_without_a_mask_all_channels_that_both_have_are_added(
    current: int, source: int, count: int
) -> None:
    check([(current, 3, 4), (source, 3, 4)], [count])


def test_a_masked_sum_by_hand() -> None:
    module = module_of(graph_of([(3, 1, 1), (3, 1, 1)], "channels=2\n"))
    x = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    source = torch.tensor([10.0, 20.0, 30.0]).reshape(1, 3, 1, 1)
    assert module(x, source).flatten().tolist() == [11.0, 22.0, 3.0]


@pytest.mark.parametrize(
    ("ratio", "current", "source", "count"),
    [
        (".5", 8, 8, 4),
        (".5", 8, 6, 3),  # of the smaller of the two
        (".5", 6, 8, 3),
        (".5", 5, 5, 3),  # floor(2.5 + 0.5)
        (".25", 5, 5, 1),  # floor(1.25 + 0.5)
        (".35", 10, 10, 4),  # floor(3.5 + 0.5), although 0.35 is less than that in float32
        (".01", 5, 5, 1),  # at least one
        ("1", 5, 4, 4),
    ],
)
def test_a_ratio_is_a_share_of_the_channels_that_both_have(
    ratio: str, current: int, source: int, count: int
) -> None:
    check([(current, 2, 3), (source, 2, 3)], [count], f"ratio={ratio}\n")


def test_several_sources_are_added_each_over_its_own_channels() -> None:
    shapes = [(4, 3, 4), (4, 3, 4), (2, 3, 4), (6, 3, 4)]
    check(shapes, [4, 2, 4])
    check(shapes, [1, 2, 3], "channels=1,2,3\n")
    check(shapes, [2, 2, 2], "channels=2\n")
    check(shapes, [2, 1, 2], "ratio=.5\n")


def test_sources_are_added_from_left_to_right() -> None:
    maps = [torch.full((1, 1, 1, 1), value) for value in (1.0, 1e8, -1e8)]
    module = module_of(graph_of([(1, 1, 1)] * 3))
    assert module(*maps).item() == 0.0  # 1 is lost in 1e8; the other way round it would stay
    assert module(maps[0], maps[2], maps[1]).item() == 0.0
    assert module(maps[1], maps[2], maps[0]).item() == 1.0


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_larger_source_gives_every_nth_row_and_column(step: int) -> None:
    check([(4, 2, 4), (4, 2 * step, 4 * step)], [4])
    check([(6, 2, 4), (4, 2 * step, 4 * step)], [4])
    check([(4, 2, 4), (4, 2 * step, 4 * step)], [3], "channels=3\n")
    check([(4, 2, 4), (4, 2 * step, 4 * step), (4, 2, 4)], [2, 2], "ratio=.5\n")


def test_a_larger_source_by_hand() -> None:
    """The border of a ResNet stage: fewer channels and twice the size."""
    module = module_of(graph_of([(2, 2, 2), (1, 4, 4)]))
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]])
    source = torch.arange(16.0).reshape(1, 1, 4, 4) * 10
    assert module(x, source)[0].tolist() == [[[1, 22], [83, 104]], [[5, 6], [7, 8]]]


def test_the_activation_comes_after_the_sum_and_reaches_every_channel() -> None:
    module = module_of(graph_of([(2, 1, 1), (2, 1, 1)], "channels=1\nactivation=leaky\n"))
    x = torch.tensor([2.0, -4.0]).reshape(1, 2, 1, 1)
    source = torch.tensor([-5.0, 9.0]).reshape(1, 2, 1, 1)
    assert module(x, source).flatten().tolist() == pytest.approx([-0.3, -0.4])
    assert (x.flatten().tolist(), source.flatten().tolist()) == ([2.0, -4.0], [-5.0, 9.0])


def test_it_is_linear_unless_it_says_otherwise() -> None:
    module = module_of(graph_of([(1, 1, 1), (1, 1, 1)]))
    assert module(torch.full((1, 1, 1, 1), -3.0), torch.ones(1, 1, 1, 1)).item() == -2.0


def test_names_and_numbers_both_refer_to_sources() -> None:
    net = "[net]\nchannels=4\nheight=2\nwidth=2\n[maxpool]\nname=a\nsize=1\n[maxpool]\nsize=1\n"
    image = torch.randn(1, 4, 2, 2)
    for source in ("@a", "0", "-2"):
        text = f"{net}[partial_shortcut]\nfrom={source}\nratio=.5\n"
        (result,) = compile_network(compile_text(text, "partial.cfg"))(image)
        torch.testing.assert_close(result, added([image, image], [2]))


# -- cost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "operations"),
    [
        ("channels=3\n", 3 * 2 * 4),
        ("ratio=.5\n", 2 * 2 * 4),
        ("", 6 * 2 * 4),  # what Darknet counts for the [shortcut] that it is: all of x's channels
        ("ratio=1\n", 6 * 2 * 4),
    ],
)
def test_darknet_operations_are_the_masked_channels_or_all_of_them(
    keys: str, operations: int
) -> None:
    cost = graph_of([(6, 2, 4), (4, 2, 4)], keys).nodes[-1].cost
    assert (cost.params, cost.macs, cost.darknet_operations) == (0, 0, operations)


# -- gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keys", "counts"), [("channels=3,1\n", (3, 1)), ("ratio=.5\n", (3, 2))])
def test_a_masked_source_gets_gradient_on_its_leading_channels_only(
    keys: str, counts: tuple[int, int]
) -> None:
    maps = [tensor.requires_grad_() for tensor in maps_of([(6, 2, 3), (6, 2, 3), (4, 2, 3)])]
    result = module_of(graph_of([(6, 2, 3), (6, 2, 3), (4, 2, 3)], keys))(*maps)
    weight = torch.rand_like(result)
    x_gradient, *gradients = torch.autograd.grad((result * weight).sum(), maps)
    torch.testing.assert_close(x_gradient, weight)
    for gradient, count in zip(gradients, counts, strict=True):
        torch.testing.assert_close(gradient[:, :count], weight[:, :count])
        assert not gradient[:, count:].any()


def test_a_subsampled_source_gets_gradient_where_it_was_read_only() -> None:
    shapes = [(3, 2, 4), (2, 4, 8)]
    maps = [tensor.requires_grad_() for tensor in maps_of(shapes)]
    result = module_of(graph_of(shapes, "channels=1\n"))(*maps)
    weight = torch.rand_like(result)
    gradient = torch.autograd.grad((result * weight).sum(), maps)[1]
    torch.testing.assert_close(gradient[:, :1, ::2, ::2], weight[:, :1])
    gradient[:, :1, ::2, ::2] = 0
    assert not gradient.any()


def test_autograd_agrees_with_finite_differences() -> None:
    shapes = [(3, 2, 2), (4, 2, 2), (2, 4, 4)]
    module = module_of(graph_of(shapes, "channels=2,1\nactivation=mish\n"))
    maps = [tensor.double().requires_grad_() for tensor in maps_of(shapes)]
    assert torch.autograd.gradcheck(module, maps)


def test_in_a_network_masked_filters_of_the_source_learn_from_the_block_only() -> None:
    """FPRN: what the shortcut hides from the loss reaches it through the block, or not at all."""
    graph = compile_text(
        "[net]\nchannels=2\nheight=3\nwidth=3\n"
        "[conv]\nfilters=4\nactivation=linear\n"
        "[conv]\nfilters=4\nactivation=linear\n"
        "[partial_shortcut]\nfrom=0\nratio=.5\n",
        "partial.cfg",
    )
    network = compile_network(graph)
    initialise(network, seed=1)
    block = network.get_parameter("convolutional_1.convolution.weight")
    with torch.no_grad():
        block.zero_()
    (result,) = network(torch.rand(1, 2, 3, 3))
    result.sum().backward()
    gradient = network.get_parameter("convolutional_0.convolution.weight").grad
    assert gradient is not None
    assert gradient[:2].all() and not gradient[2:].any()


# -- stopped gradients -----------------------------------------------------------------------------

LINEAR = "[conv]\nfilters=2\nactivation=linear\n"
BASE = 1000.0  # more than there are paths of one length


def timestamps(sections: str) -> list[list[int]]:
    """The timestamps at which gradients reach each convolution's output, once per path.

    Every convolution is BASE times the identity, so the gradient of one output channel is the sum
    of BASE ** (t - 1) over the paths of length t: the paths are the digits.
    """
    graph = compile_text("[net]\nchannels=2\nheight=1\nwidth=1\n" + sections, "paths.cfg")
    network = compile_network(graph).double()
    outputs: list[Tensor] = []
    for node in graph.nodes:
        if isinstance(node.layer, Convolutional):
            name = f"convolutional_{node.index}"
            with torch.no_grad():
                network.get_parameter(f"{name}.convolution.bias").zero_()
                weight = network.get_parameter(f"{name}.convolution.weight")
                weight.copy_(BASE * torch.eye(2, dtype=torch.float64)[:, :, None, None])
            network.get_submodule(name).register_forward_hook(
                lambda _module, _inputs, output: outputs.append(output)
            )
    (result,) = network(torch.ones(1, 2, 1, 1, dtype=torch.float64))
    gradients = torch.autograd.grad(result[:, 0].sum(), outputs)
    return [_digits(int(gradient[0, 0, 0, 0])) for gradient in gradients]


def _digits(number: int) -> list[int]:
    """Positions of the digits in base BASE, from 1, each as often as it counts."""
    found = []
    for position in range(1, 8):
        number, digit = divmod(number, int(BASE))
        found += [position] * digit
    return found


def residual(blocks: int, kind: str, stop: str) -> str:
    """One layer, then residual blocks of two."""
    return LINEAR + (LINEAR * 2 + f"[{kind}]\nfrom=-3\n{stop}activation=linear\n") * blocks


KINDS = pytest.mark.parametrize("kind", ["shortcut", "partial_shortcut"])


@KINDS
def test_a_residual_network_has_the_timestamps_of_the_specification(kind: str) -> None:
    """gradient-paths.md, fact 1: five weight layers."""
    assert [sorted(set(found)) for found in timestamps(residual(2, kind, ""))] == [
        [1, 3, 5],
        [2, 4],
        [1, 3],
        [2],
        [1],
    ]


@KINDS
def test_with_stopped_identities_a_network_is_plain(kind: str) -> None:
    """gradient-paths.md, fact 4, Fig. 9 (b): seven layers, one path each."""
    stopped = residual(3, kind, "stop_gradient=identity\n")
    assert timestamps(stopped) == [[7], [6], [5], [4], [3], [2], [1]]


@KINDS
def test_with_stopped_blocks_a_gradient_reaches_every_block_at_once(kind: str) -> None:
    """gradient-paths.md, fact 4, Fig. 9 (a): the first layer at 1, each block's at 2 and 1."""
    stopped = residual(3, kind, "stop_gradient=block\n")
    assert timestamps(stopped) == [[1], [2], [1], [2], [1], [2], [1]]


@KINDS
@pytest.mark.parametrize("stop", ["none", "identity", "block"])
def test_stopping_gradients_leaves_the_forward_pass_as_it_is(kind: str, stop: str) -> None:
    net = "[net]\nchannels=2\nheight=3\nwidth=3\n"
    results = []
    for keys in ("", f"stop_gradient={stop}\n"):
        network = compile_network(compile_text(net + residual(2, kind, keys), "stop.cfg"))
        initialise(network, seed=7)
        results.append(network(torch.ones(1, 2, 3, 3))[0])
    assert torch.equal(*results)


def test_a_stopped_block_still_learns() -> None:
    net = "[net]\nchannels=2\nheight=3\nwidth=3\n"
    sections = residual(1, "partial_shortcut", "stop_gradient=block\nratio=.5\n")
    network = compile_network(compile_text(net + sections, "stop.cfg"))
    initialise(network, seed=7)
    network(torch.ones(1, 2, 3, 3))[0].sum().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.any() for gradient in gradients)


def test_a_stopped_block_is_cut_at_every_edge_that_leads_into_it() -> None:
    """The block is layers 2 to 4; layers 0 and 1 are read by two of them."""
    graph = compile_text(
        "[net]\nchannels=2\nheight=1\nwidth=1\n"
        f"{LINEAR}{LINEAR}"  # 0, 1
        f"{LINEAR}[shortcut]\nfrom=0\nactivation=linear\n{LINEAR}"  # 2 to 4
        "[partial_shortcut]\nfrom=1\nstop_gradient=block\n",
        "stop.cfg",
    )
    edges = [[(edge.source, edge.detached) for edge in node.inputs] for node in graph.nodes]
    assert edges == [
        [(-1, False)],
        [(0, False)],
        [(1, True)],
        [(2, False), (0, True)],
        [(3, False)],
        [(4, False), (1, False)],
    ]


# -- complaints ------------------------------------------------------------------------------------


def complaint(shapes: Sequence[Shape], keys: str) -> str:
    """All that is said of a [partial_shortcut]; its header is at line 6 + 9 * inputs."""
    with pytest.raises(CfgError) as caught:
        compile_text(text_of(shapes, keys), "p.cfg")
    return "\n\n".join(diagnostic.render() for diagnostic in caught.value.diagnostics)


PLAIN: list[Shape] = [(4, 6, 6), (4, 6, 6)]
THREE: list[Shape] = [*PLAIN, (4, 6, 6)]
FOUR: list[Shape] = [*THREE, (4, 6, 6)]


def test_more_channels_than_both_have_are_refused() -> None:
    assert complaint([(6, 6, 6), (4, 6, 6)], "channels=5\n") == (
        "p.cfg:26:10: error: [partial_shortcut] channels=5, but layer 6 has 6 channels and layer 3 "
        "has 4 [YG203]\n"
        "   26 | channels=5\n"
        "      |          ^\n"
        "expected: 1 to 4"
    )


def test_the_source_with_too_few_channels_is_the_one_that_is_named() -> None:
    assert complaint([(6, 6, 6), (6, 6, 6), (4, 6, 6)], "channels=6,5\n") == (
        "p.cfg:35:10: error: [partial_shortcut] channels=5, but layer 9 has 6 channels and layer 6 "
        "has 4 [YG203]\n"
        "   35 | channels=6,5\n"
        "      |          ^^^\n"
        "expected: 1 to 4"
    )


@pytest.mark.parametrize(
    ("current", "source"),
    [((6, 6), (4, 4)), ((4, 6), (8, 24)), ((4, 8), (8, 8)), ((6, 6), (8, 8))],
)
def test_sizes_that_are_no_multiple_are_refused(
    current: tuple[int, int], source: tuple[int, int]
) -> None:
    sizes = [f"{height}x{width}" for height, width in (current, source)]
    assert complaint([(2, *current), (2, *source)], "") == (
        "p.cfg:25:6: error: [partial_shortcut] adds maps of different size: layer 6 is "
        f"{sizes[0]}, layer 3 is {sizes[1]} [YG202]\n"
        "   25 | from=3\n"
        "      |      ^\n"
        "expected: a source of equal size, or an exact multiple of it both ways"
    )


def test_a_smaller_source_is_not_enlarged() -> None:
    assert complaint([(2, 6, 6), (2, 3, 3)], "") == (
        "p.cfg:25:6: error: [partial_shortcut] adds maps of different size: layer 6 is 6x6, layer "
        "3 is 3x3 [YG202]\n"
        "   25 | from=3\n"
        "      |      ^\n"
        "expected: a source of equal size, or an exact multiple of it both ways\n"
        "help: put a [maxpool] with stride=2 after layer 6, or an [upsample] with stride=2 after "
        "layer 3"
    )


def test_from_must_be_there() -> None:
    text = "[net]\nchannels=1\nheight=4\nwidth=4\n[maxpool]\n[partial_shortcut]\n"
    with pytest.raises(CfgError) as caught:
        compile_text(text, "p.cfg")
    assert [diagnostic.render() for diagnostic in caught.value.diagnostics] == [
        "p.cfg:6:1: error: [partial_shortcut] has no from [YG107]\n"
        "    6 | [partial_shortcut]\n"
        "      | ^^^^^^^^^^^^^^^^^^\n"
        "expected: from=the layers to read, such as -1 (the previous one) or 12"
    ]


def test_channels_and_ratio_exclude_each_other() -> None:
    assert complaint(PLAIN, "channels=2\nratio=.5\n") == (
        "p.cfg:27:7: error: [partial_shortcut] has both channels and ratio [YG108]\n"
        "   27 | ratio=.5\n"
        "      |       ^^\n"
        "expected: one of the two"
    )


@pytest.mark.parametrize("ratio", ["0", "-0.5", "1.01"])
def test_a_ratio_out_of_range_is_refused(ratio: str) -> None:
    assert complaint(PLAIN, f"ratio={ratio}\n") == (
        f"p.cfg:26:7: error: [partial_shortcut] ratio={ratio} is out of range [YG105]\n"
        f"   26 | ratio={ratio}\n"
        f"      |       {'^' * len(ratio)}\n"
        "expected: above 0, at most 1"
    )


def test_no_channels_are_refused() -> None:
    assert complaint(PLAIN, "channels=0\n") == (
        "p.cfg:26:10: error: [partial_shortcut] channels=0 is out of range [YG105]\n"
        "   26 | channels=0\n"
        "      |          ^\n"
        "expected: 1 to 65536"
    )


@pytest.mark.parametrize(
    ("shapes", "channels", "what", "expected"),
    [
        (PLAIN, "1,2", "2 numbers for 1 source", "one number"),
        (THREE, "1,2,3", "3 numbers for 2 sources", "one number, or 2"),
        (FOUR, "1,2", "2 numbers for 3 sources", "one number, or 3"),
    ],
)
def test_channels_are_one_number_or_one_per_source(
    shapes: Sequence[Shape], channels: str, what: str, expected: str
) -> None:
    line = 8 + 9 * len(shapes)
    assert complaint(shapes, f"channels={channels}\n") == (
        f"p.cfg:{line}:10: error: [partial_shortcut] channels lists {what} [YG105]\n"
        f"   {line} | channels={channels}\n"
        f"      |          {'^' * len(channels)}\n"
        f"expected: {expected}"
    )


def test_a_bad_number_among_the_channels_is_the_only_complaint() -> None:
    assert complaint(THREE, "channels=1,x\n") == (
        "p.cfg:35:12: error: [partial_shortcut] channels=x is not an integer; Darknet would read 0 "
        "[YG104]\n"
        "   35 | channels=1,x\n"
        "      |            ^\n"
        "expected: an integer"
    )


def test_an_unknown_key_is_refused() -> None:
    assert complaint(PLAIN, "weights_type=per_feature\n") == (
        "p.cfg:26:1: error: [partial_shortcut] does not know the key weights_type [YG102]\n"
        "   26 | weights_type=per_feature\n"
        "      | ^^^^^^^^^^^^\n"
        "expected: one of activation, channels, from, name, ratio, stop_gradient"
    )


def test_an_unknown_activation_is_refused() -> None:
    start, _, end = complaint(PLAIN, "activation=lekay\n").partition("expected: one of ")
    assert start == (
        "p.cfg:26:12: error: [partial_shortcut] activation=lekay is no activation that exists "
        "[YG106]\n"
        "   26 | activation=lekay\n"
        "      |            ^^^^^\n"
    )
    names, _, suggestion = end.partition("\n")
    assert suggestion == "help: did you mean leaky?"
    assert set(names.split(", ")) == set(ACTIVATIONS)


def test_an_unknown_stop_is_refused() -> None:
    assert complaint(PLAIN, "stop_gradient=both\n") == (
        "p.cfg:26:15: error: [partial_shortcut] stop_gradient=both is no stop_gradient that exists "
        "[YG106]\n"
        "   26 | stop_gradient=both\n"
        "      |               ^^^^\n"
        "expected: one of block, identity, none"
    )


def test_a_block_can_be_stopped_for_one_source_only() -> None:
    assert complaint(THREE, "stop_gradient=block\n") == (
        "p.cfg:33:1: error: [partial_shortcut] stop_gradient=block has 2 sources [YG209]\n"
        "   33 | [partial_shortcut]\n"
        "      | ^^^^^^^^^^^^^^^^^^\n"
        "expected: one source, with at least one layer between it and the previous layer"
    )


def test_a_block_must_not_be_empty() -> None:
    text = "[net]\nchannels=4\nheight=4\nwidth=4\n[maxpool]\n"
    with pytest.raises(CfgError) as caught:
        compile_text(f"{text}[partial_shortcut]\nfrom=-1\nstop_gradient=block\n", "p.cfg")
    assert [diagnostic.render() for diagnostic in caught.value.diagnostics] == [
        "p.cfg:6:1: error: [partial_shortcut] stop_gradient=block has no layer to stop at [YG209]\n"
        "    6 | [partial_shortcut]\n"
        "      | ^^^^^^^^^^^^^^^^^^\n"
        "expected: one source, with at least one layer between it and the previous layer"
    ]
