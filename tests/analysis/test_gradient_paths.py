"""Gradient paths of networks small enough to count by hand, and of all real ones.

Layers are called 1, 2, 3 and so on by the order of weight layers, as papers do.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from yolo_gp.analysis.gradient_paths import GradientPaths, gradient_paths
from yolo_gp.analysis.intervals import Run, backward, forward
from yolo_gp.analysis.polynomials import LayerSet, Polynomial
from yolo_gp.errors import CfgError
from yolo_gp.families import FamilySettings, family_cfg
from yolo_gp.graph import compile_text, read_graph
from yolo_gp.shapes import FeatureShape

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
CONV = "[convolutional]\nfilters={}\nactivation=linear\n"


def analysed(*sections: str) -> GradientPaths:
    return gradient_paths(compile_text(NET + "".join(sections), "test.cfg"))


def conv(filters: int = 4, **keys: object) -> str:
    return CONV.format(filters) + "".join(f"{key}={value}\n" for key, value in keys.items())


def add(source: int, kind: str = "shortcut", **keys: object) -> str:
    extra = "".join(f"{key}={value}\n" for key, value in keys.items())
    return f"[{kind}]\nfrom={source}\nactivation=linear\n{extra}"


def route(*layers: int, **keys: object) -> str:
    extra = "".join(f"{key}={value}\n" for key, value in keys.items())
    return f"[route]\nlayers={','.join(map(str, layers))}\n{extra}"


def family(name: str, layers: int, channels: int = 64, ratio: float = 0.5) -> GradientPaths:
    settings = FamilySettings(layers=layers, channels=channels, ratio=ratio)
    return gradient_paths(compile_text(family_cfg(name, settings), f"{name}.cfg"))


def timestamps(paths: GradientPaths) -> list[tuple[int, ...]]:
    return [layer.timestamps for layer in paths.weight_layers]


def test_a_residual_network_of_five_layers_has_five_sets_of_timestamps() -> None:
    # Layer 5 feeds the loss: 1. Layer 4 goes through 5: 2. Layer 3 is added to 5's output: 1, and
    # goes through 4 and 5: 3. Layer 2 goes through 3: {1, 3} + 1. Layer 1: added to 3's output,
    # {1, 3}, and through 2: {2, 4} + 1.
    paths = analysed(conv(), conv(), conv(), add(-3), conv(), conv(), add(-3))
    assert timestamps(paths) == [(1, 3, 5), (2, 4), (1, 3), (2,), (1,)]
    assert paths.longest_shortest == 2
    assert paths.longest == 5


@pytest.mark.parametrize(
    ("name", "layers", "combinations", "sources"),
    [
        ("prn-shrink", 4, 10, 10),  # k (k + 1) / 2 both
        ("prn-shrink", 6, 21, 21),
        ("prn-expand", 4, 4, 10),  # k, and k (k + 1) / 2
        ("prn-expand", 6, 6, 21),
        ("prn-bottleneck", 4, 5, 6),  # (k/2)(k/2 + 1) / 2 + k/2, and (k/2)(k/2 + 1)
        ("prn-bottleneck", 6, 9, 12),
    ],
)
def test_combinations_and_sources_of_partial_residual_chains_are_those_of_the_paper(
    name: str, layers: int, combinations: int, sources: int
) -> None:
    paths = family(name, layers)
    assert (paths.combinations, paths.sources) == (combinations, sources)


def test_shrinking_splits_a_layers_channels_by_how_far_they_are_added_on() -> None:
    # Widths 6, 4, 2. Of layer 1's channels 0-1 are added to 2's and then to 3's output: 1, through
    # 3 alone: 2, through 2 then 3 or 2 then added: 3 and 2. Channels 2-3 are added to 2's output
    # only, which 3 reads: 2 and, through 2 and 3, 3, or 2 and added: 2. Channels 4-5 go through 2.
    first = analysed(
        conv(6), conv(4), add(-2, "partial_shortcut"), conv(2), add(-2, "partial_shortcut")
    ).weight_layers[0]
    runs = [(run.first, run.end, run.timestamps) for run in first.channels]
    assert runs == [(0, 2, (1, 2, 3)), (2, 4, (2, 3)), (4, 6, (2, 3))]
    assert first.combinations == 3


def test_path_counts_of_a_chain_multiply_the_channels_that_are_crossed() -> None:
    # 3 -> 5 -> 7 channels: each of the first layer's 3 reaches the loss by 5 * 7 ways.
    first, second, third = analysed(conv(3), conv(5), conv(7)).weight_layers
    assert [layer.channels[0].paths for layer in (first, second, third)] == [35, 7, 1]


def test_a_grouped_convolution_leads_back_into_its_own_group_only() -> None:
    # Of 4 channels, 0-1 reach output 0-2, 2-3 reach 3-5; the loss reads outputs 3-5 alone.
    paths = analysed(conv(4), conv(6, groups=2), route(-1, groups=2, group_id=1))
    first, second = paths.weight_layers
    assert [(run.first, run.end, run.paths) for run in first.channels] == [(2, 4, 3)]
    assert [(run.first, run.end) for run in second.channels] == [(3, 6)]


def test_groups_that_straddle_a_border_between_channels_add_up_both_sides() -> None:
    # 6 outputs in 2 groups of 3; the loss reads the first 4 channels of them twice, all 6 once, so
    # group 1 (outputs 3-5) gets 2 + 1 + 1 paths and group 0 gets 2 + 2 + 2.
    paths = analysed(conv(2), conv(6, groups=2), route(-1), add(-2, "partial_shortcut", channels=4))
    first = paths.weight_layers[0]
    assert [(run.first, run.end, run.paths) for run in first.channels] == [(0, 1, 6), (1, 2, 4)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", [8, 16, 32, 64]),
        ("residual", [2, 2, 2, 2]),
        ("dense", [1, 1, 1, 1]),
        ("sparse-dense", [3, 4, 5, 6]),
        ("sparse-residual", [3, 4, 5, 6]),
    ],
)
def test_longest_shortest_path_grows_with_the_layers_as_in_table_1(
    name: str, expected: list[int]
) -> None:
    found = [family(name, layers, channels=4).longest_shortest for layers in (8, 16, 32, 64)]
    assert found == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", [1, 1, 1]),
        ("residual", [4, 8, 16]),  # one per block of two and the first layer
        ("dense", [7, 15, 31]),  # all earlier layers
        ("sparse-dense", [3, 4, 5]),  # distances 1, 2, 4, ... below 8, 16, 32
    ],
)
def test_features_that_the_last_layer_reads_grow_as_in_table_1(
    name: str, expected: list[int]
) -> None:
    last = [family(name, layers, channels=4).weight_layers[-1] for layers in (8, 16, 32)]
    assert [len(layer.features) for layer in last] == expected


def test_parameters_grow_as_in_table_1() -> None:
    def weights(name: str, layers: int) -> int:
        text = family_cfg(name, FamilySettings(layers=layers, channels=8))
        return compile_text(text, name).total.params

    def growth(name: str) -> float:  # from 32 to 64 layers
        return weights(name, 64) / weights(name, 32)

    assert growth("plain") == pytest.approx(2, rel=0.05)
    assert growth("residual") == pytest.approx(2, rel=0.05)
    assert growth("dense") == pytest.approx(4, rel=0.05)
    assert growth("sparse-dense") == pytest.approx(2 * 6 / 5, rel=0.1)  # N log N


def three_residual_blocks(stop: str) -> GradientPaths:
    block = conv() + conv() + add(-3, stop_gradient=stop)
    return analysed(conv(), block, block, block)


def test_gradient_stopped_at_the_identity_leaves_a_plain_network() -> None:
    assert timestamps(three_residual_blocks("identity")) == [(n,) for n in (7, 6, 5, 4, 3, 2, 1)]


def test_gradient_stopped_into_the_blocks_leaves_the_identity_path() -> None:
    # The first layer is reached over the identities alone; each block's second layer feeds an add,
    # its first one goes through the second.
    paths = three_residual_blocks("block")
    assert timestamps(paths) == [(1,), *[(2,), (1,)] * 3]
    assert (paths.longest_shortest, paths.longest) == (2, 2)


CSP_RESULTS = {"normal": (4, 8), "first": (3, 7), "last": (3, 7), "none": (2, 6)}


@pytest.mark.parametrize(("fusion", "expected"), CSP_RESULTS.items())
def test_csp_stage_of_two_residual_blocks_has_the_paths_of_its_fusion(
    fusion: str, expected: tuple[int, int]
) -> None:
    # Longest, of the first layer with no fusion: the entry, twice two layers of a block, 6 with
    # itself; each transition adds one. Shortest, where it is longest: of a block's first layer,
    # which nothing but the block's second reads, 2; each transition adds one. With "last" and
    # "first" alone it is 3 there and, past the cross path, for the first layer with "first".
    paths = analysed(conv(8), f"[csp]\nfilters=8\nrepeat=2\nfusion={fusion}\n")
    assert (paths.longest_shortest, paths.longest) == expected


@pytest.mark.parametrize(("modules", "shortest"), [(1, 2), (2, 3), (4, 5)])
def test_one_shot_aggregation_lengthens_the_shortest_path_with_every_module(
    modules: int, shortest: int
) -> None:
    assert family("osa", 1 + 4 * modules).weight_layers[0].shortest == shortest


@pytest.mark.parametrize(("modules", "longest"), [(1, 5), (2, 8), (4, 14)])
def test_elan_keeps_the_shortest_path_whatever_the_stack(modules: int, longest: int) -> None:
    paths = family("elan", 2 + 3 * modules)
    assert (paths.weight_layers[0].shortest, paths.longest) == (2, longest)
    assert paths.longest_shortest == 2


def test_transparent_layers_cost_no_time_and_scaling_passes_to_both_factors() -> None:
    # Layer 1 goes through max pooling and scales itself through a squeeze of one layer: 1 and 2.
    paths = analysed(
        conv(4), "[maxpool]\nsize=2\nstride=2\n", "[avgpool]\n", conv(4), add(-3, "scale_channels")
    )
    assert timestamps(paths) == [(1, 2), (1,)]


def test_reorg_mixes_channels_in_no_time() -> None:
    # 4 channels become 16 of a quarter of the size; the loss reads half of those.
    paths = analysed(conv(4), "[reorg]\nstride=2\n", route(-1, groups=2, group_id=0))
    only = paths.weight_layers[0]
    assert [(run.first, run.end, run.timestamps, run.paths) for run in only.channels] == [
        (0, 4, (1,), 8)
    ]


def test_a_source_is_the_node_that_emitted_last() -> None:
    # Layer 1 (index 0) is read by layer 2 and added to its output, the loss: two sources.
    paths = analysed(conv(), conv(), add(-2))
    first, second = paths.weight_layers
    assert first.sources == (1, 2)  # layer 2, and the last section, which stands for the loss
    assert second.sources == (2,)


def test_shared_gradient_is_what_also_reaches_another_weight_layer() -> None:
    # The loss emits timestamp 1 into 4 channels, which reach layers 1 and 2: 4 triples each, all
    # shared. Layer 2 emits timestamp 2 into 4 channels, which reach layer 1 alone.
    paths = analysed(conv(), conv(), add(-2))
    first, second = paths.weight_layers
    assert (first.shared, first.triples) == (4, 8)
    assert (second.shared, second.triples) == (4, 4)
    assert paths.shared_fraction == Fraction(8, 12)


def test_a_plain_chain_and_a_concatenation_share_nothing() -> None:
    assert family("plain", 6).shared_fraction == 0
    assert family("dense", 6).shared_fraction == 0


def test_masking_half_of_a_shortcut_halves_what_is_shared() -> None:
    # As above with 2 of the 4 channels added: the loss's first 2 channels are shared.
    paths = analysed(conv(), conv(), add(-2, "partial_shortcut", ratio=0.5))
    first, second = paths.weight_layers
    assert (first.shared, first.triples) == (2, 6)  # 2 from the loss, 4 from layer 2
    assert (second.shared, second.triples) == (2, 4)


def test_a_layer_that_nothing_reads_is_said_to_get_no_gradient() -> None:
    paths = analysed(conv(), conv(), route(0), conv())
    unread = paths.weight_layers[1]
    assert unread.timestamps == () and unread.shortest is None
    assert unread.combinations == 0 and unread.sources == ()
    assert paths.unreached == (unread,)


def test_every_head_emits_at_timestamp_one() -> None:
    # Two heads: the second one's branch leaves layer 1 by a route.
    head = "[yolo]\nclasses=1\nanchors=4,4\nnum=1\nmask=0\n"
    paths = analysed(conv(6), conv(6), head, route(0), conv(6), conv(6), head)
    assert timestamps(paths) == [(2, 3), (1,), (2,), (1,)]
    assert [layer.sources for layer in paths.weight_layers] == [(1, 4), (2,), (5,), (6,)]


def test_an_anchor_free_heads_output_leads_back_into_its_branches() -> None:
    # Its output is 4 sides of 2 bins each, then the classes. A later layer reads sides 2-3 and the
    # class, 3 of 5 channels: bins 4-7 of the box branch, and the class branch.
    head = "[anchor_free]\nfrom=1,2\nclasses=1\nbins=2\n"
    graph = compile_text(NET + conv(8) + route(0) + conv(1) + head, "head.cfg")
    node = graph.nodes[3]
    flow = node.layer.channel_flow(node.input_shapes, FeatureShape(5, 8, 8))
    wanted = (Run(2, 5, Polynomial(1, (1,))),)
    assert backward(flow[0], wanted, 8, 5) == [Run(4, 8, Polynomial(1, (1,)))]
    assert backward(flow[1], wanted, 1, 5) == [Run(0, 1, Polynomial(1, (1,)))]
    assert forward(flow[1], (Run(0, 1, LayerSet(2)),), 1, 5) == [Run(4, 5, LayerSet(2))]


def test_all_of_the_corpus_analyses(shared: Path) -> None:
    for path in sorted((shared / "data/cfg-corpus").rglob("*.cfg")):
        try:
            graph = read_graph(path)
        except CfgError:
            continue  # two files that compile at another size only
        paths = gradient_paths(graph)
        assert paths.longest >= paths.longest_shortest >= 1, path
        for layer in paths.weight_layers:
            assert len(layer.sources) <= len(graph.nodes)
            assert layer.shared <= layer.triples
