"""Weight surgery: which layers correspond, what the report says, and that the tensors arrive."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx

from yolo_gp.errors import UsageError, WeightsError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.network import compile_network, fold_batch_norm, initialise
from yolo_gp.nodes import module_name
from yolo_gp.plain import write_plain
from yolo_gp.weights.darknet import load_weights
from yolo_gp.weights.transfer import TransferPlan, plan_transfer
from yolo_gp.weights.transferring import apply_transfer
from yolo_gp.zoo import packaged_cfgs

NET = "[net]\nchannels=3\nheight=16\nwidth=16\n"


def conv(filters: int, **options: object) -> str:
    settings = {"filters": filters, "activation": "leaky", "batch_normalize": 1, **options}
    return "[convolutional]\n" + "".join(f"{key}={value}\n" for key, value in settings.items())


def chain(*filters: int) -> str:
    """1x1 convolutions with so many filters each."""
    return "".join(conv(count) for count in filters)


TAIL = chain(20, 21, 22, 23, 24)


def compiled(sections: str) -> Graph:
    return compile_text(NET + sections, "test.cfg")


def planned(
    source: str, target: str, *, cutoff: int | None = None, mapping: Mapping[int, int] | None = None
) -> TransferPlan:
    return plan_transfer(compiled(source), compiled(target), cutoff=cutoff, mapping=mapping)


def moved(plan: TransferPlan) -> dict[int, int]:
    """Written numbers: which layer of the source each layer of the target gets."""
    return {move.target.node.written: move.source.node.written for move in plan.moves}


def reasons(plan: TransferPlan) -> dict[int, str]:
    return {left.target.node.written: left.reason for left in plan.not_moved}


def failure(source: str, target: str, mapping: Mapping[int, int], cutoff: int | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        planned(source, target, mapping=mapping, cutoff=cutoff)
    return str(caught.value)


def with_classes(path: Path, classes: int) -> Graph:
    """A COCO cfg of three anchors a head for another number of classes."""
    text = path.read_text().replace("classes=80", f"classes={classes}")
    return compile_text(text.replace("filters=255", f"filters={3 * (5 + classes)}"), "other.cfg")


def outputs(network: fx.GraphModule, names: list[str], image: Tensor) -> list[Tensor]:
    """What these modules return for an image."""
    found: dict[str, Tensor] = {}
    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: found.__setitem__(name, output.clone())
        )
        for name in names
    ]
    with torch.no_grad():
        network(image)
    for handle in handles:
        handle.remove()
    return [found[name] for name in names]


# -- real networks ---------------------------------------------------------------------------------


def test_another_class_count_keeps_all_but_the_convolutions_before_the_heads(shared: Path) -> None:
    cfg = shared / "data/models/yolo-fastest-1.1.cfg"
    plan = plan_transfer(read_graph(cfg), with_classes(cfg, 3))
    # 1,384,268 bytes hold 346,062 floats for 80 classes. The convolutions before the heads read 96
    # and 120 channels: 255 * (97 + 121) = 55,590 of them; with 24 filters 24 * 218 = 5,232.
    assert plan.to_text() == (
        "moved 82 of 84 layers with weights, 290,472 of 295,704 floats (98.2 %)\n"
        "layers 0-119 -> 0-119 (same position, 78 with weights)\n"
        "layers 125-128 -> 125-128 (same structure, 4 with weights)\n"
        "not moved (here is the target, there the source):\n"
        "  layer 120 [convolutional]: 24 filters here, 255 there: 3 classes against 80\n"
        "  layer 129 [convolutional]: 24 filters here, 255 there: 3 classes against 80\n"
        "not used of the source: layer 120, layer 129"
    )


def test_what_moved_computes_the_same_as_in_the_source(shared: Path) -> None:
    weights = shared / "data/models/yolo-fastest-1.1.weights"
    source, target = (
        read_graph(weights.with_suffix(".cfg")),
        with_classes(weights.with_suffix(".cfg"), 3),
    )
    given, filled = compile_network(source), compile_network(target)
    load_weights(weights, source, given)
    initialise(filled, seed=0)
    old_head = filled.get_parameter("convolutional_120.convolution.weight").clone()
    apply_transfer(plan_transfer(source, target), given, filled)
    # Layer 119 is the last of the shared prefix, 128 the last before the second head.
    names = ["convolutional_119", "convolutional_128"]
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for found, expected in zip(
        outputs(filled, names, image), outputs(given, names, image), strict=True
    ):
        assert torch.equal(found, expected)
        assert expected.abs().max() > 0
    assert torch.equal(filled.get_parameter("convolutional_120.convolution.weight"), old_head)


def test_a_cutoff_gives_what_darknets_prefix_file_holds(shared: Path) -> None:
    (cfg,) = (shared / "data/cfg-corpus").rglob("yolov4-tiny.cfg")
    graph = read_graph(cfg)
    plan = plan_transfer(graph, graph, cutoff=29)
    # yolov4-tiny.conv.29 has 19,789,716 bytes, 20 of them its header (darknet.md 4.5).
    assert 20 + 4 * plan.floats == 19_789_716
    assert max(moved(plan)) == 28
    assert "  layers 29-36 (4 with weights): cut off with the source's layers from 29 on\n" in (
        plan.to_text()
    )


def test_a_short_neck_between_two_heads_moves_to_another_class_count(shared: Path) -> None:
    (cfg,) = (shared / "data/cfg-corpus").rglob("yolov4-tiny.cfg")
    plan = plan_transfer(read_graph(cfg), with_classes(cfg, 3))
    assert list(reasons(plan)) == [29, 36]
    assert moved(plan)[32] == 32 and moved(plan)[35] == 35


def test_everything_moves_between_a_macro_and_its_expansion() -> None:
    path = packaged_cfgs()["elan-tiny"]
    graph = read_graph(path)
    expanded = compile_text(write_plain(path.read_bytes(), graph).content, "plain.cfg")
    assert len(graph.spec.layers) < len(expanded.spec.layers)
    assert graph.fingerprint == expanded.fingerprint
    for plan in (plan_transfer(graph, expanded), plan_transfer(expanded, graph)):
        assert not plan.not_moved and not plan.unused
        assert plan.floats == plan.total_floats
        assert len(plan.to_text().splitlines()) == 2  # one run of layers


def test_pooling_put_into_the_neck_shifts_what_follows() -> None:
    cfgs = packaged_cfgs()
    plan = plan_transfer(read_graph(cfgs["yolov3"]), read_graph(cfgs["yolov3-spp"]))
    # yolov3-spp pools after layer 77 (six sections) and merges 2048 channels into 512.
    assert plan.to_text() == (
        "moved 75 of 76 layers with weights, 62,001,757 of 63,052,381 floats (98.3 %)\n"
        "layers 0-77 -> 0-77 (same position, 55 with weights)\n"
        "layers 78-105 -> 85-112 (same structure, 20 with weights)\n"
        "not moved (here is the target, there the source):\n"
        "  layer 84 [convolutional]: the source has no layer in its place"
    )
    assert plan.total_floats - plan.floats == 2048 * 512 + 4 * 512


def test_nothing_moves_between_unrelated_networks() -> None:
    cfgs = packaged_cfgs()
    plan = plan_transfer(read_graph(cfgs["yolov3"]), read_graph(cfgs["yolov3-tiny-prn"]))
    assert plan.to_text() == (
        "moved 0 of 13 layers with weights, 0 of 4,939,758 floats (0.0 %)\n"
        "not moved (here is the target, there the source):\n"
        "  layers 0-26 (13 with weights): 13 layers here, 75 layers there, of which no 5 in a row "
        "agree\n"
        "not used of the source: layers 0-105"
    )


# -- by position -----------------------------------------------------------------------------------


def test_the_prefix_ends_where_another_layer_is_read() -> None:
    start = chain(4, 4, 4)
    plan = planned(
        f"{start}[shortcut]\nfrom=-2\nactivation=linear\n{chain(6)}",
        f"{start}[shortcut]\nfrom=-3\nactivation=linear\n{chain(6)}",
    )
    assert [(m.target.node.written, str(m.way)) for m in plan.moves] == [
        (0, "position"), (1, "position"), (2, "position"), (4, "structure"),
    ]  # fmt: skip


def test_strides_and_activations_may_differ_in_the_prefix() -> None:
    source = conv(4) + conv(5, stride=2) + conv(6)
    target = conv(4, activation="mish") + conv(5) + conv(6)
    assert moved(planned(source, target)) == {0: 0, 1: 1, 2: 2}


def test_a_dropout_layer_does_not_end_the_prefix() -> None:
    plan = planned(chain(4, 5), f"{chain(4)}[dropout]\n{chain(5)}")
    assert moved(plan) == {0: 0, 2: 1}
    assert plan.to_text().splitlines()[1] == "layers 0-1 -> 0-2 (same position, 2 with weights)"


# -- by structure ----------------------------------------------------------------------------------


def test_layers_behind_an_inserted_or_removed_one_move() -> None:
    short = chain(4, 5, 6, 7, 8, 9, 10, 11)
    long = chain(4, 5, 6, 6, 7, 8, 9, 10, 11)
    assert moved(planned(short, long)) == {0: 0, 1: 1, 2: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7}
    plan = planned(long, short)
    assert moved(plan) == {0: 0, 1: 1, 2: 2, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8}
    assert [owner.node.written for owner in plan.unused] == [3]
    assert plan.to_text().endswith("not used of the source: layer 3")


@pytest.mark.parametrize(("agreeing", "moves"), [(4, 0), (5, 5)])
def test_five_layers_in_a_row_must_agree(agreeing: int, moves: int) -> None:
    common = chain(*range(40, 40 + agreeing))
    # A layer before them gives all of them the same input channels.
    plan = planned(chain(4, 30) + common, chain(5, 6, 7, 30) + common)
    assert len(plan.moves) == moves
    expected = f"{3 + agreeing + 1} layers here, {2 + agreeing} layers there"
    assert (f"{expected}, of which no 5 in a row agree" in plan.to_text()) is not moves


def test_a_partial_residual_network_takes_the_plain_ones_weights() -> None:
    block = conv(8) + conv(16, size=3, pad=1)
    plain = conv(16) + 3 * f"{block}[shortcut]\nfrom=-3\nactivation=linear\n" + chain(9, 10)
    partial = plain.replace("[shortcut]", "[partial_shortcut]\nratio=0.5")
    plan = planned(plain, partial)
    assert len(plan.moves) == 9 and not plan.not_moved
    assert [str(move.way) for move in plan.moves] == ["position"] * 3 + ["structure"] * 6


def test_a_stretch_ends_where_the_layers_are_wired_differently() -> None:
    straight = f"{chain(4, 8, 8, 8, 8, 8, 8, 8)}"
    # The fifth layer of 8 reads the second one's output rather than the fourth's.
    crossed = f"{chain(5, 8, 8, 8, 8)}[route]\nlayers=-3\n{chain(8, 8, 8)}"
    assert moved(planned(straight, crossed)) == {}
    assert len(moved(planned(straight, f"{chain(5, 8, 8, 8, 8)}{chain(8, 8, 8)}"))) == 6


@pytest.mark.parametrize(("replaced", "moves"), [(5, True), (6, False)])
def test_a_short_stretch_counts_behind_at_most_five_replaced_layers(
    replaced: int, moves: bool
) -> None:
    source = chain(4, *range(50, 50 + replaced - 1), 30, 8)
    target = chain(4, *range(70, 70 + replaced - 1), 30, 8)
    assert moved(planned(source, target)) == {0: 0} | (
        {replaced + 1: replaced + 1} if moves else {}
    )


def test_a_short_stretch_counts_behind_one_that_moved_by_structure() -> None:
    def network(start: str, classes: int) -> str:
        # The neck, 8 and 9, reads what the first head's convolution reads.
        neck = f"[route]\nlayers=-2\n{chain(8, 9)}"
        return f"{start}{TAIL}{conv(classes)}{neck}{conv(classes)}"

    plan = planned(network(chain(4, 3), 7), network(chain(4, 9, 3), 11))
    # One layer more at the start; 20 to 24 are layers 2 to 6 there and 3 to 7 here.
    assert moved(plan) == {0: 0, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 10: 9, 11: 10}


def test_groups_with_tensors_of_one_shape_do_not_pass_for_each_other() -> None:
    # 8 channels in 2 groups of 4, or 4 channels in one: either way weights of 6x4x1x1.
    source = f"{chain(8)}{conv(6, groups=2)}{TAIL}"
    target = f"{chain(9, 4)}{conv(6)}{TAIL}"
    plan = planned(source, target)
    assert sorted(moved(plan)) == [3, 4, 5, 6, 7]


# -- reasons ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (conv(6), conv(7), "7 filters here, 6 there"),
        (conv(6), conv(1), "1 filter here, 6 there"),
        (conv(6), conv(6, batch_normalize=0), "no batch norm here, batch norm there"),
        (conv(6), conv(6, size=3, pad=1), "convolution.weight is 6x4x3x3 here, convolution.weight "
         "is 6x4x1x1 there"),
        (conv(6), "[connected]\noutput=6\nactivation=linear\n",
         "[connected] here, [convolutional] there"),
        (conv(6), conv(8, size=3, batch_normalize=0),
         "8 filters here, 6 there, and no batch norm here, batch norm there"),
    ],
)  # fmt: skip
def test_a_layer_that_was_replaced_says_by_what(source: str, target: str, reason: str) -> None:
    plan = planned(chain(4) + source, chain(4) + target)
    assert reasons(plan) == {1: reason}
    assert plan.to_text().splitlines()[-2] == (
        f"  layer 1 [{'connected' if 'output' in target else 'convolutional'}]: {reason}"
    )


def test_a_layer_that_reads_other_channels_says_so() -> None:
    plan = planned(chain(4, 6, 7), chain(4, 5, 7))
    assert reasons(plan)[2] == "it reads 5 channels here, 6 there"


def test_a_layer_at_another_stride_says_so_behind_the_prefix() -> None:
    plan = planned(conv(4) + conv(7, stride=2), conv(4) + "[maxpool]\nsize=1\nstride=1\n" + conv(7))
    assert reasons(plan) == {2: "it divides the map by 1x1 here, by 2x2 there"}


def test_a_layer_with_dontload_neither_gives_nor_gets() -> None:
    marked = conv(5, dontload=1)
    plain = chain(4, 5, 6)
    assert reasons(planned(plain, conv(4) + marked + conv(6))) == {1: "dontload=1 here"}
    assert reasons(planned(conv(4) + marked + conv(6), plain)) == {
        1: "layer 1 of the source has dontload=1, so no file holds its weights"
    }
    assert reasons(planned(chain(4, 7, 6), conv(4) + marked + conv(6)))[1] == "dontload=1 here"


# -- by an explicit map ----------------------------------------------------------------------------


def test_the_map_comes_first_and_its_layers_go_nowhere_else() -> None:
    plan = planned(chain(3, 3, 3), chain(3, 3, 3), mapping={0: 2})
    assert moved(plan) == {1: 1, 2: 0}
    assert reasons(plan) == {0: "layer 0 of the source goes elsewhere, as mapped"}
    assert [owner.node.written for owner in plan.unused] == [2]
    assert plan.to_text().splitlines()[1:3] == [
        "layer 1 -> 1 (same position, 1 with weights)",
        "layer 0 -> 2 (as mapped, 1 with weights)",
    ]


def test_a_mapped_layer_moves_though_it_has_dontload() -> None:
    plan = planned(chain(4, 5), chain(4) + conv(5, dontload=1), mapping={1: 1})
    assert moved(plan) == {0: 0, 1: 1}


def test_a_macro_is_mapped_as_a_whole() -> None:
    path = packaged_cfgs()["elan-tiny"]
    graph = read_graph(path)
    number, count = next(
        (written.written, [n.written for n in graph.nodes].count(written.written))
        for written in graph.spec.layers
        if written.macro is not None
    )
    plan = plan_transfer(graph, graph, mapping={number: number})
    mapped = [move for move in plan.moves if move.way == "map"]
    assert 1 < len(mapped) <= count
    assert plan.floats == plan.total_floats


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({9: 0}, "there is no layer 9 in the source\n"
         "expected: 0 to 3; 0 is the first section after [net]"),
        ({-1: 0}, "there is no layer -1 in the source\n"
         "expected: 0 to 3; 0 is the first section after [net]"),
        ({0: 4}, "there is no layer 4 in the target\n"
         "expected: 0 to 2; 0 is the first section after [net]"),
        ({1: 0}, "layer 1 [maxpool] of the source has no weights of its own\n"
         "expected: a layer with weights"),
        ({3: 0}, "layer 3 [convolutional] of the source has no weights of its own\n"
         "expected: a layer with weights, such as layer 2, whose it shares"),
        ({2: 0}, "layer 2 of the source cannot be mapped to layer 0 of the target: their weights "
         "differ\n"
         "expected: batch_norm.bias 4, batch_norm.weight 4, batch_norm.running_mean 4, "
         "batch_norm.running_var 4, convolution.weight 4x3x1x1\n"
         "found: batch_norm.bias 4, batch_norm.weight 4, batch_norm.running_mean 4, "
         "batch_norm.running_var 4, convolution.weight 4x4x1x1"),
        ({0: 1, 2: 1}, "layers 0 and 2 of the source are both mapped to layer 1 of the target\n"
         "expected: one source for each layer"),
    ],
)  # fmt: skip
def test_a_map_that_cannot_be_followed_is_refused(mapping: dict[int, int], message: str) -> None:
    source = f"{conv(4)}[maxpool]\nsize=1\n{conv(4)}{conv(4, share_index=2)}"
    # Layer 0 of the source reads 3 channels, as does layer 0 of the target; layer 2 reads 4.
    target = f"{conv(4)}{conv(3)}{conv(4)}"
    if mapping == {0: 1, 2: 1}:
        target = f"[maxpool]\nsize=1\n{conv(4)}{conv(4)}"
    assert failure(source, target, mapping) == message


def test_a_mapped_layer_must_not_be_cut_off_or_left_out_of_files() -> None:
    assert failure(chain(4, 5), chain(4, 5), {1: 1}, cutoff=1) == (
        "layer 1 of the source is mapped, but cutoff 1 cuts it off\nexpected: layers 0 to 0"
    )
    assert failure(conv(4, dontload=1), conv(4), {0: 0}) == (
        "layer 0 of the source is mapped, but has dontload=1\n"
        "expected: a layer whose weights come from a file"
    )


def test_a_macro_maps_only_to_as_many_layers() -> None:
    graph = read_graph(packaged_cfgs()["elan-tiny"])
    macro = next(written for written in graph.spec.layers if written.macro is not None)
    count = sum(
        bool(node.layer.weight_order(node.input_shapes))
        for node in graph.nodes
        if node.written == macro.written
    )
    with pytest.raises(UsageError) as caught:
        plan_transfer(graph, graph, mapping={macro.written: 0})
    assert str(caught.value) == (
        f"layer {macro.written} of the source cannot be mapped to layer 0 of the target: they "
        f"expand to {count} and 1 layers with weights\nexpected: as many layers"
    )


@pytest.mark.parametrize("cutoff", [0, -1, 3])
def test_a_cutoff_out_of_range_is_refused(cutoff: int) -> None:
    with pytest.raises(UsageError, match=f"cutoff {cutoff} is out of range"):
        planned(chain(4, 5), chain(4, 5), cutoff=cutoff)


# -- tensors ---------------------------------------------------------------------------------------


def test_shared_weights_move_once_and_reach_every_user() -> None:
    sections = f"{chain(3)}{conv(3)}{conv(3, share_index=1)}{conv(5)}"
    graph = compiled(sections)
    plan = plan_transfer(graph, graph)
    assert moved(plan) == {0: 0, 1: 1, 3: 3}
    # Three of 3 filters on 3 channels and one of 5, each with 4 numbers a filter for batch norm,
    # but layer 2 has none of its own: 2 * (9 + 12) + 15 + 20.
    assert plan.floats == plan.total_floats == 77
    given, filled = compile_network(graph), compile_network(graph)
    initialise(given, seed=1)
    initialise(filled, seed=2)
    apply_transfer(plan, given, filled)
    shared_weight = given.get_parameter("convolutional_1.convolution.weight")
    user = filled.get_submodule("convolutional_2").get_parameter("convolution.weight")
    assert torch.equal(user, shared_weight)


def test_batch_norm_moves_with_its_convolution_and_nothing_else_changes() -> None:
    source, target = compiled(chain(4, 5)), compiled(chain(4, 6))
    given, filled = compile_network(source), compile_network(target)
    initialise(filled, seed=0)
    before = {name: tensor.clone() for name, tensor in filled.state_dict().items()}
    for number, tensor in enumerate(given.state_dict().values()):
        tensor.fill_(7 + number)
    apply_transfer(plan_transfer(source, target), given, filled)
    names = ("bias", "weight", "running_mean", "running_var")
    changed = {f"convolutional_0.batch_norm.{name}" for name in names}
    changed.add("convolutional_0.convolution.weight")
    for name, tensor in filled.state_dict().items():
        expected = given.state_dict()[name] if name in changed else before[name]
        assert torch.equal(tensor, expected), name


def test_numbers_are_converted_to_the_targets_dtype() -> None:
    graph = compiled(chain(4))
    given, filled = compile_network(graph), compile_network(graph).half()
    initialise(given, seed=0)
    apply_transfer(plan_transfer(graph, graph), given, filled)
    weight = given.get_parameter("convolutional_0.convolution.weight")
    found = filled.get_parameter("convolutional_0.convolution.weight")
    assert found.dtype == torch.float16
    assert torch.equal(found, weight.half())


@pytest.mark.parametrize("folded", ["source", "target"])
def test_a_folded_network_is_refused_before_anything_is_copied(folded: str) -> None:
    graph = compiled(conv(4, batch_normalize=0) + chain(5))
    networks = {"source": compile_network(graph), "target": compile_network(graph)}
    initialise(networks["source"], seed=1)
    initialise(networks["target"], seed=2)
    fold_batch_norm(networks[folded], graph)
    first = networks["target"].get_parameter("convolutional_0.convolution.weight")
    before = first.clone()
    with pytest.raises(WeightsError, match="its batch norms were folded for inference"):
        apply_transfer(plan_transfer(graph, graph), networks["source"], networks["target"])
    assert torch.equal(first, before)


def test_weights_of_a_shortcut_move_too() -> None:
    shortcut = (
        "[shortcut]\nfrom=-2\nactivation=linear\nweights_type=per_feature\n"
        "weights_normalization=relu\n"
    )
    plan = planned(chain(4, 4) + shortcut, chain(4, 4) + shortcut)
    assert moved(plan) == {0: 0, 1: 1, 2: 2}
    assert [name for name, _ in plan.moves[-1].target.shapes] == ["weight"]


# -- as data ---------------------------------------------------------------------------------------


def test_the_plan_as_data_has_counts_moves_and_reasons() -> None:
    plan = planned(chain(4, 5), chain(4, 6))
    # 4 filters on 3 channels, with batch norm: 12 + 16; 6 on 4: 24 + 24.
    layer = {"index": 0, "written": 0, "kind": "convolutional"}
    assert plan.to_data() == {
        "schema_version": 1,
        "layers": {"moved": 1, "total": 2},
        "floats": {"moved": 28, "total": 76},
        "moved": [
            {
                "source": layer,
                "target": layer,
                "way": "position",
                "tensors": [
                    "batch_norm.bias",
                    "batch_norm.weight",
                    "batch_norm.running_mean",
                    "batch_norm.running_var",
                    "convolution.weight",
                ],
                "floats": 28,
            }
        ],
        "not_moved": [
            {"index": 1, "written": 1, "kind": "convolutional", "reason": "6 filters here, 5 there"}
        ],
        "unused": [{"index": 1, "written": 1, "kind": "convolutional"}],
    }


def test_a_network_without_weights_has_nothing_to_move() -> None:
    plan = planned(chain(4), "[maxpool]\nsize=2\n")
    assert plan.to_text() == (
        "moved 0 of 0 layers with weights, 0 of 0 floats (0.0 %)\nnot used of the source: layer 0"
    )


def test_a_plan_is_the_same_every_time_and_cannot_be_changed() -> None:
    plan = planned(chain(4, 5, 6), chain(4, 6, 6))
    assert plan == planned(chain(4, 5, 6), chain(4, 6, 6))
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.moves = ()  # type: ignore[misc]
    assert module_name(plan.moves[0].target.node) == "convolutional_0"
