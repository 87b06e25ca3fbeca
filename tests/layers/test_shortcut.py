"""[shortcut] against loops over pixels: AlexeyAB's channels and weights, pjreddie's sizes (2.5)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.modules import Shortcut, WeightedShortcut
from yolo_gp.network import compile_network, initialise
from yolo_gp.rules import Rule

Shape = tuple[int, int, int]
Factors = Sequence[Sequence[float]]  # one row per addend: one number, or one per channel
SIDE = 48  # of the input; what divides it can be the side of a map


def graph_of(shapes: Sequence[Shape], keys: str = "activation=linear\n") -> Graph:
    """A [shortcut] whose inputs have these (C, H, W), the previous layer's first."""
    text = f"[net]\nchannels=1\nheight={SIDE}\nwidth={SIDE}\n[maxpool]\n"
    sources = []
    for channels, height, width in (*shapes[1:], shapes[0]):
        text += f"[route]\nlayers=0\n[conv]\nfilters={channels}\nactivation=linear\n"
        text += f"[maxpool]\nsize=1\nstride_y={SIDE // height}\nstride_x={SIDE // width}\n"
        sources.append(3 * len(sources) + 3)
    text += f"[shortcut]\nfrom={','.join(map(str, sources[:-1]))}\n{keys}"
    graph = compile_text(text, "shortcut.cfg")
    assert [(s.channels, *s.size) for s in graph.nodes[-1].input_shapes] == list(shapes)
    return graph


def module_of(graph: Graph) -> Shortcut | WeightedShortcut:
    network = compile_network(graph)
    initialise(network, seed=0)
    module = network.get_submodule(f"shortcut_{graph.nodes[-1].index}")
    assert isinstance(module, Shortcut | WeightedShortcut)
    return module


def maps_of(shapes: Sequence[Shape]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(8)
    return [torch.randn(1, *shape, generator=generator) for shape in shapes]


def added(maps: Sequence[Tensor], factors: Factors | None = None) -> Tensor:
    """out[c, j sample, i sample] += w from[c, j stride, i stride], pixel by pixel."""

    def factor(addend: int, channel: int) -> float:
        if factors is None:
            return 1.0
        row = factors[addend]
        return row[channel] if len(row) > 1 else row[0]

    current = maps[0][0]
    result = torch.empty_like(current)
    for c in range(current.shape[0]):
        result[c] = factor(0, c) * current[c]
    for addend, (source,) in enumerate(maps[1:], start=1):
        stride = max(1, source.shape[2] // current.shape[2])
        sample = max(1, current.shape[2] // source.shape[2])
        overlap = [min(a, b) for a, b in zip(source.shape, current.shape, strict=True)]
        for c, j, i in itertools.product(*map(range, overlap)):
            value = factor(addend, c) * source[c, j * stride, i * stride]
            result[c, j * sample, i * sample] += value
    return result[None]


def check(shapes: Sequence[Shape]) -> None:
    maps = maps_of(shapes)
    copies = [tensor.clone() for tensor in maps]
    result = module_of(graph_of(shapes))(*maps)
    torch.testing.assert_close(result, added(copies))
    assert all(torch.equal(a, b) for a, b in zip(maps, copies, strict=True))


@pytest.mark.parametrize("channels", [(4, 4), (4, 2), (2, 4), (4, 1)])
def test_a_source_adds_as_many_channels_as_both_have(channels: tuple[int, int]) -> None:
    check([(channels[0], 4, 6), (channels[1], 4, 6)])


def test_channels_beyond_a_smaller_source_stay_as_they_are() -> None:
    module = module_of(graph_of([(3, 1, 1), (2, 1, 1)]))
    current = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    source = torch.tensor([10.0, 20.0]).reshape(1, 2, 1, 1)
    assert module(current, source).flatten().tolist() == [11.0, 22.0, 3.0]


def test_several_sources_are_all_added() -> None:
    check([(3, 4, 6), (3, 4, 6), (2, 4, 6), (5, 4, 6)])


def test_a_source_that_is_named_twice_counts_twice() -> None:
    text = "[net]\nchannels=2\nheight=4\nwidth=4\n[maxpool]\n[maxpool]\n[shortcut]\nfrom=0,0,-1\n"
    (result,) = compile_network(compile_text(text, "shortcut.cfg"))(maps_of([(2, 4, 4)])[0])
    torch.testing.assert_close(result, 4 * maps_of([(2, 4, 4)])[0])


@pytest.mark.parametrize("channels", [(2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("times", [2, 3, 4])
def test_a_larger_source_gives_every_nth_pixel(channels: tuple[int, int], times: int) -> None:
    check([(channels[0], 2, 4), (channels[1], 2 * times, 4 * times)])


@pytest.mark.parametrize("channels", [(2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("times", [2, 3, 4])
def test_a_smaller_source_goes_to_every_nth_pixel(channels: tuple[int, int], times: int) -> None:
    check([(channels[0], 2 * times, 4 * times), (channels[1], 2, 4)])


def test_sources_of_three_sizes_are_added_to_one_map() -> None:
    check([(2, 4, 8), (2, 8, 16), (3, 2, 4), (1, 4, 8)])


def test_resized_sources_by_hand() -> None:
    small = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    large = torch.arange(16.0).reshape(1, 1, 4, 4) * 10
    to_small = module_of(graph_of([(1, 2, 2), (1, 4, 4)]))
    assert to_small(small, large)[0, 0].tolist() == [[1, 22], [83, 104]]
    to_large = module_of(graph_of([(1, 4, 4), (1, 2, 2)]))
    assert to_large(large, small)[0, 0].tolist() == [
        [1, 10, 22, 30],
        [40, 50, 60, 70],
        [83, 90, 104, 110],
        [120, 130, 140, 150],
    ]


def test_a_resized_source_is_warned_of() -> None:
    graph = graph_of([(1, 2, 2), (1, 4, 4), (1, 2, 2)])
    assert [warning.rule for warning in graph.warnings] == [Rule.RESIZED_SHORTCUT]
    assert graph.warnings[0].message == (
        "[shortcut] adds a 4x4 map to a 2x2 one: fatal in AlexeyAB's Darknet, done by pjreddie's "
        "rule here"
    )


@pytest.mark.parametrize(
    ("current", "source"),
    [((6, 6), (4, 4)), ((4, 4), (6, 6)), ((4, 8), (8, 8)), ((4, 8), (8, 4)), ((2, 4), (4, 12))],
)
def test_sizes_that_are_no_multiple_both_ways_are_refused(
    current: tuple[int, int], source: tuple[int, int]
) -> None:
    with pytest.raises(CfgError) as caught:
        graph_of([(1, *current), (1, *source)])
    assert [diagnostic.rule for diagnostic in caught.value.diagnostics] == [Rule.SIZE_MISMATCH]


def test_the_activation_comes_after_the_sum() -> None:
    module = module_of(graph_of([(1, 1, 1), (1, 1, 1)], "activation=leaky\n"))
    current, source = torch.tensor([[[[2.0]]]]), torch.tensor([[[[-5.0]]]])
    assert module(current, source).item() == pytest.approx(-0.3)
    assert (current.item(), source.item()) == (2.0, -5.0)


# -- pjreddie's factors ----------------------------------------------------------------------------


def test_alpha_and_beta_scale_what_meets_and_nothing_else() -> None:
    text = (
        "[net]\nchannels=3\nheight=2\nwidth=2\n[maxpool]\nstride=2\n[route]\nlayers=0\n[upsample]\n"
        "[shortcut]\nfrom=0\nalpha=0.5\nbeta=10\n"
    )
    graph = compile_text(text, "shortcut.cfg")
    messages = [w.message for w in graph.warnings if w.rule is Rule.PJREDDIES_KEY]
    assert messages == [
        f"[shortcut] {key} acts in pjreddie's Darknet, and here; AlexeyAB's ignores it"
        for key in ("alpha=0.5", "beta=10")
    ]
    image = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    (result,) = compile_network(graph)(image)
    # The 1x1 source meets the upper left pixel: .5 x + 10 x; the other three stay.
    for channel, value in enumerate((1.0, 2.0, 3.0)):
        assert result[0, channel].flatten().tolist() == [10.5 * value, value, value, value]


def test_alpha_leaves_channels_beyond_the_source_alone() -> None:
    text = (
        "[net]\nchannels=4\nheight=1\nwidth=1\n[maxpool]\n[route]\nlayers=0\ngroups=2\n"
        "[route]\nlayers=0\n[shortcut]\nfrom=1\nalpha=3\nactivation=leaky\n"
    )
    (result,) = compile_network(compile_text(text, "x.cfg"))(-torch.ones(1, 4, 1, 1))
    # 3 * -1 + 1 * -1 = -4 in the first two channels, -1 beyond; a tenth of it after leaky
    assert result.flatten().tolist() == pytest.approx([-0.4, -0.4, -0.1, -0.1])


@pytest.mark.parametrize(
    "keys",
    ["from=0,1\n", "from=0\nweights_type=per_feature\nweights_normalization=relu\n"],
)
def test_alpha_goes_with_one_source_without_weights(keys: str) -> None:
    text = "[net]\nchannels=1\nheight=4\nwidth=4\n" + "[maxpool]\n" * 3
    with pytest.raises(CfgError, match="alpha=2 belongs to one source without weights"):
        compile_text(f"{text}[shortcut]\n{keys}alpha=2\n", "x.cfg")


# -- weights ---------------------------------------------------------------------------------------


def normalised(rows: Factors, normalization: str, floor: float) -> list[list[float]]:
    """darknet.md 2.5: over the addends, per channel, with 1e-4 in the denominator."""
    columns = []
    for column in zip(*rows, strict=True):
        if normalization == "relu":
            powers = [max(weight, floor) for weight in column]
        else:
            powers = [math.exp(weight - max(column)) for weight in column]
        columns.append([power / (sum(powers) + 1e-4) for power in powers])
    return [list(row) for row in zip(*columns, strict=True)]


WEIGHTS = {
    "per_feature": [[0.7], [-0.4], [0.0005]],
    "per_channel": [[0.7, 1.0, -2.0], [-0.4, 0.0005, -1.0], [0.3, -0.1, -3.0]],
}
SHAPES = [(3, 2, 4), (2, 2, 4), (4, 4, 8)]
NORMALIZATIONS = ("relu", "avg_relu", "softmax")


@pytest.mark.parametrize("name", ["per_feature", "per_layer", "per_channel"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("training", [False, True])
def test_weights_are_normalised_over_the_addends(
    name: str, normalization: str, training: bool
) -> None:
    keys = f"weights_type={name}\nweights_normalization={normalization}\nactivation=linear\n"
    graph = graph_of(SHAPES, keys)
    module = module_of(graph)
    assert isinstance(module, WeightedShortcut)
    rows = WEIGHTS["per_feature" if name == "per_layer" else name]
    module.train(training)
    module.load_state_dict({"weight": torch.tensor(rows)})
    # Darknet keeps relu's weights above 0.001 once it has prepared a network for inference.
    rule = normalization.removeprefix("avg_")
    expected = added(maps_of(SHAPES), normalised(rows, rule, 0.0 if training else 0.001))
    torch.testing.assert_close(module(*maps_of(SHAPES)), expected)
    assert module.weight.requires_grad


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_without_normalisation_are_used_as_they_are(name: str) -> None:
    graph = graph_of(SHAPES, f"weights_type={name}\nactivation=linear\n")
    assert Rule.PLAIN_SHORTCUT_WEIGHTS in [warning.rule for warning in graph.warnings]
    module = module_of(graph)
    module.load_state_dict({"weight": torch.tensor(WEIGHTS[name])})
    torch.testing.assert_close(module(*maps_of(SHAPES)), added(maps_of(SHAPES), WEIGHTS[name]))


def test_the_floor_of_relu_weights_by_hand() -> None:
    keys = "weights_type=per_feature\nweights_normalization=relu\nactivation=linear\n"
    module = module_of(graph_of([(1, 1, 1), (1, 1, 1)], keys))
    module.load_state_dict({"weight": torch.tensor([[-1.0], [-2.0]])})
    current, source = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 5.0)
    # Inference: both weights are 0.001 of 0.0021 in all. Training: 0 of 0.0001.
    assert module(current, source).item() == pytest.approx((3 + 5) * 0.001 / 0.0021)
    assert module.train()(current, source).item() == 0.0


def test_softmax_weights_that_are_large_do_not_overflow() -> None:
    keys = "weights_type=per_feature\nweights_normalization=softmax\nactivation=linear\n"
    module = module_of(graph_of([(1, 1, 1), (1, 1, 1)], keys))
    module.load_state_dict({"weight": torch.tensor([[1000.0], [1000.0]])})
    current, source = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 5.0)
    assert module(current, source).item() == pytest.approx(8 / 2.0001)


def test_weights_start_at_one() -> None:
    keys = "weights_type=per_channel\nweights_normalization=relu\nactivation=linear\n"
    module = module_of(graph_of(SHAPES, keys))
    assert isinstance(module, WeightedShortcut)
    assert module.weight.tolist() == [[1.0] * 3] * 3
