"""Residual stages rewritten, networks scaled: costs by hand or published, text kept."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.partial_shortcut import PartialShortcut
from yolo_gp.layers.shortcut import Shortcut
from yolo_gp.macros.csp import Csp
from yolo_gp.plain import write_plain
from yolo_gp.transform.pipeline import Transformed, transform_cfg
from yolo_gp.transform.settings import TransformSettings, parse_stages
from yolo_gp.transform.stages import find_stages
from yolo_gp.zoo import packaged_cfgs

ALEXEYAB = "data/cfg-corpus/AlexeyAB-darknet"


def transform(content: bytes | str, **settings: object) -> Transformed:
    data = content.encode() if isinstance(content, str) else content
    return transform_cfg(data, "net.cfg", TransformSettings(**settings))  # type: ignore[arg-type]


def text_of(content: bytes | str, **settings: object) -> str:
    return transform(content, **settings).content.decode()


def refusal(content: bytes | str, **settings: object) -> str:
    with pytest.raises(UsageError) as caught:
        transform(content, **settings)
    return str(caught.value)


def weights(graph: Graph) -> int:
    """P_w of zoo.md A.1."""
    filters = (node.layer.filters(node.input_shapes) for node in graph.nodes)
    return sum(found.weights for found in filters if found is not None)


def convolutions(graph: Graph) -> list[tuple[object, ...]]:
    return [
        (node.layer.label(), node.input_shapes, node.output_shape, node.cost)
        for node in graph.nodes
        if isinstance(node.layer, Convolutional)
    ]


# -- published networks ----------------------------------------------------------------------------


def test_yolov3_spp_to_prn_is_the_papers_network(shared: Path) -> None:
    # zoo.md part E, YOLOv3-SPP det, and B.4, row 8: each of the 23 shortcuts adds the first half.
    content = (shared / ALEXEYAB / "yolov3-spp.cfg").read_bytes()
    found = transform_cfg(content, "yolov3-spp.cfg", TransformSettings(to="prn"), (640, 640))
    assert found.after.total.params == 62_998_749
    assert found.after.total.macs == 78_365_081_600
    masked = [node for node in found.after.nodes if isinstance(node.layer, PartialShortcut)]
    assert len(masked) == 23
    for node in masked:
        assert isinstance(node.layer, PartialShortcut)
        assert node.layer.added_channels(node.input_shapes) == (node.output_shape.channels // 2,)
    assert not any(isinstance(node.layer, Shortcut) for node in found.after.nodes)


def test_only_headers_change_and_ratios_come_to_yolov3_spp(shared: Path) -> None:
    content = (shared / ALEXEYAB / "yolov3-spp.cfg").read_bytes()
    changed = transform(content, to="prn").content
    lines = [line for line in changed.splitlines(keepends=True) if line.strip() != b"ratio=0.5"]
    assert b"".join(lines).replace(b"[partial_shortcut]", b"[shortcut]") == content
    assert changed.count(b"ratio=0.5") == 23


def test_darknet53_to_csp_is_cspdarknet53_from_stage_2(shared: Path) -> None:
    # Row 2 of zoo.md B.1, P_w 27,605,856. Its first stage is wider than half: cross 64, main 64,
    # 32 and 64 in the block, transition 64, closing 128 to 64; ours stays 32 and 64 as it is.
    theirs = 64 * 64 * 2 + 64 * 32 + 32 * 64 * 9 + 64 * 64 + 128 * 64
    ours = 64 * 32 + 32 * 64 * 9
    found = transform(
        (shared / ALEXEYAB / "darknet53.cfg").read_bytes(),
        to="csp",
        stages=frozenset({2, 3, 4, 5}),
    )
    assert weights(found.after) == 27_605_856 - theirs + ours
    corpus = shared / "data/cfg-corpus/WongKinYiu-CrossStagePartialNetworks/csdarknet53.cfg"
    # Theirs: stem, stride, 6 of stage 1. Ours: stem, stride, 2 of stage 1.
    assert convolutions(found.after)[4:] == convolutions(read_graph(corpus))[8:]


@pytest.mark.parametrize("to", ["prn", "csp", "elan"])
@pytest.mark.parametrize(
    "name", ["darknet53", "resnet50", "resnet101", "yolov3", "yolov3-spp", "resnext152-32x4d"]
)
def test_darknets_residual_networks_can_be_rewritten(name: str, to: str, shared: Path) -> None:
    found = transform((shared / ALEXEYAB / f"{name}.cfg").read_bytes(), to=to)
    assert compile_text(found.content, name).total == found.after.total
    heads = [node.input_shapes for node, _ in found.before.heads]
    assert [node.input_shapes for node, _ in found.after.heads] == heads
    assert found.after.nodes[-1].output_shape == found.before.nodes[-1].output_shape
    stages = find_stages(found.after)
    if to == "prn":
        shortcuts = [node.layer for stage in stages for node in stage.shortcuts]
        assert shortcuts
        assert all(isinstance(layer, PartialShortcut) for layer in shortcuts)
    else:  # only blocks that halve the map are left
        assert not any(stage.blocks for stage in stages)


def test_resnet50s_stages_keep_the_block_that_halves_the_map(shared: Path) -> None:
    # zoo.md B.3: n blocks of ResNet-50 become n - 1 in CSPResNet-50 from the second stage on.
    found = transform((shared / ALEXEYAB / "resnet50.cfg").read_bytes(), to="csp")
    macros = [layer.macro for layer in found.after.spec.layers if layer.macro]
    assert [macro.depth for macro in macros] == [3, 3, 5, 2]
    resized = [
        node
        for node in found.after.nodes
        if isinstance(node.layer, Shortcut)
        and node.input_shapes[0].size != node.input_shapes[1].size
    ]
    assert len(resized) == 3


def test_a_transformed_network_expands_to_darknets_own_sections(shared: Path) -> None:
    found = transform((shared / ALEXEYAB / "yolov3.cfg").read_bytes(), to="csp")
    plain = write_plain(found.content, found.after)
    expanded = compile_text(plain.content, "plain")
    assert convolutions(expanded) == convolutions(found.after)


# -- text ------------------------------------------------------------------------------------------

CONV = (
    "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=leaky\n"
)
conv = CONV.format


def block(filters: int, last: str = "", inner: int | None = None) -> str:
    inner = filters // 2 if inner is None else inner
    shortcut = f"[shortcut]\nfrom=-3\nactivation=linear\n{last}"
    return conv(inner, 1, 1) + conv(filters, 3, 1) + shortcut


NET = "[net]\nwidth=64\nheight=64\nchannels=3\n"
STEM = conv(16, 3, 1)
# Sections: 0 stem, 1 stride 2, 2-4 and 5-7 blocks, 8 convolution, 9 route.
SMALL = (
    "# top\n" + NET + "\n" + STEM + "# halves\n" + conv(16, 3, 2) + "\n# first block\n" + block(16)
    + "\n# second block\n" + block(16, "name=end # of the stage\n") + "\n# after the stage\n"
    + conv(32, 3, 2) + "[route]\nlayers = -2 , 7,@end, 1\n# bottom"
)  # fmt: skip


def test_comments_stay_and_references_follow() -> None:
    # Layers 2 to 7 become layer 2.
    lines = text_of(SMALL, to="csp").splitlines()
    start, end = lines.index("# first block"), lines.index("# after the stage")
    assert lines[:start] == SMALL.splitlines()[:start]
    assert lines[start:end] == [
        "# first block",
        "# second block",
        "# of the stage",
        "# stage 1, in place of 2 residual blocks",
        "[csp]",
        "filters=16",
        "split=0.5",
        "repeat=2",
        "activation=leaky",
        "name=end",
        "",
    ]
    assert lines[end:-2] == SMALL.splitlines()[-11:-2]
    assert lines[-2:] == ["layers = -2 , 2,@end, 1", "# bottom"]


def test_line_ends_and_odd_bytes_stay() -> None:
    content = SMALL.replace("\n", "\r\n").encode().replace(b"# top", b"# t\xf6p")
    changed = transform(content, to="elan").content
    assert changed.startswith(b"# t\xf6p\r\n[net]\r\n")
    assert changed.count(b"\n") == changed.count(b"\r\n") == text_of(SMALL, to="elan").count("\n")


def test_elan_keeps_the_stages_output_and_its_settings() -> None:
    # 64 channels over 2 blocks and 2 entries: 16 each; over 1 + 2: 21.3, to a multiple of 8.
    text = NET + STEM + conv(64, 3, 2) + block(64) + block(64)
    assert text_of(text, to="elan").endswith(
        "[elan]\nfilters=64\nhidden=16\nblocks=2\nconvs=2\nactivation=leaky\n"
    )
    assert text_of(text, to="elan", blocks=1, convs=3).endswith(
        "[elan]\nfilters=64\nhidden=24\nblocks=1\nconvs=3\nactivation=leaky\n"
    )


def test_elan_has_nothing_to_stop_a_gradient_at_and_says_so() -> None:
    text = NET + STEM + conv(64, 3, 2) + block(64, "stop_gradient=block\n")
    found = transform(text, to="elan")
    assert "stop_gradient" not in found.content.decode()
    assert found.notes[-1] == (
        "stage 1 (layers 2 to 4): stop_gradient goes, as [elan] adds nothing"
    )


def test_csp_takes_over_what_blocks_have_in_common() -> None:
    text = (NET + STEM + conv(64, 3, 2) + block(64) * 2).replace("leaky", "mish")
    text = text.replace("activation=linear", "activation=linear\nstop_gradient=block")
    text = text.replace("[shortcut]", "[partial_shortcut]\nratio=.25").replace("size=1", "size=3")
    assert text_of(text, to="csp", fusion="first", split=0.75).endswith(
        "[csp]\nfilters=64\nsplit=0.75\nwidth=32\nrepeat=2\nfusion=first\nkernels=3,3\n"
        "ratio=0.25\nactivation=mish\nstop_gradient=block\n"
    )


@pytest.mark.parametrize("fusion", ["normal", "first", "last", "none"])
@pytest.mark.parametrize("keep", [None, "params", "flops"])
@pytest.mark.parametrize("split", [0.25, 0.5, 0.75])
def test_every_fusion_keeps_the_output(fusion: str, keep: str | None, split: float) -> None:
    text = NET + STEM + conv(256, 3, 2) + block(256) * 3 + "[avgpool]\n"
    found = transform(text, to="csp", fusion=fusion, keep=keep, split=split)
    macro = next(layer.macro for layer in found.after.spec.layers if layer.macro)
    assert isinstance(macro, Csp)
    assert macro.fusion == fusion
    assert found.after.nodes[-1].output_shape.channels == 256
    if keep == "params":
        assert found.after.total.params == pytest.approx(found.before.total.params, rel=0.01)
    if keep == "flops":
        assert found.after.total.macs == pytest.approx(found.before.total.macs, rel=0.01)


def test_masking_replaces_an_earlier_mask_and_reaches_into_macros() -> None:
    masked = block(16).replace("[shortcut]", "[partial_shortcut]")
    start = NET + STEM + conv(16, 3, 2) + masked
    csp = "[csp]\nfilters=16\nratio=.5\n[csp]\nfilters=8\nblock=plain\n"
    assert text_of(start + "channels=3\n" + csp, to="prn", ratio=0.25) == (
        start + "ratio=0.25\n" + csp.replace(".5", "0.25")
    )
    assert text_of(start + "ratio=1\n" + csp.replace("ratio=.5", "channels=2"), to="prn") == (
        start + "ratio=0.5\n" + csp.replace(".5", "0.5")
    )


def test_keys_that_partial_shortcut_lacks_become_comments() -> None:
    text = NET + STEM + conv(16, 3, 2) + block(16, "weights_type=none\nstopbackward=1 # why\n")
    assert text_of(text, to="prn").endswith(
        "[partial_shortcut]\nfrom=-3\nactivation=linear\n# weights_type=none\n"
        "# stopbackward=1 # why\nratio=0.5\n"
    )


def test_stages_are_counted_by_the_exponent_of_their_stride() -> None:
    strides = [conv(16, 3, 2) + block(16) for _ in range(4)]
    text = NET + STEM + "".join(strides)
    assert [stage.number for stage in find_stages(compile_text(text, "net"))] == [1, 2, 3, 4]
    graph = transform(text, to="prn", stages=parse_stages("2-3")).after
    sizes = [n.output_shape.height for n in graph.nodes if isinstance(n.layer, PartialShortcut)]
    assert sizes == [16, 8]


def test_weighted_shortcuts_and_branches_are_no_residual_blocks() -> None:
    weighted = block(16, "weights_type=per_feature\nweights_normalization=relu\n")
    read_twice = block(16) + "[route]\nlayers=-2\n" + conv(16, 1, 1)
    text = NET + STEM + conv(16, 3, 2) + weighted + conv(16, 3, 2) + read_twice
    assert find_stages(compile_text(text, "net")) == ()


# -- depth -----------------------------------------------------------------------------------------


def test_blocks_are_copied_before_the_last_one() -> None:
    # Two copies of three sections: what was layer 7 is layer 13.
    copy = block(16).replace("\n[", "\n\n[") + "\n"
    second = "# second block\n"
    assert text_of(SMALL, depth=2) == SMALL.replace(second, second + copy * 2).replace(
        " , 7,", " , 13,"
    )


def test_absolute_references_inside_a_block_follow_it() -> None:
    absolute = SMALL.replace("from=-3", "from=1", 1).replace("from=-3", "from=4", 1)
    graph = compile_text(text_of(absolute, depth=2), "deep")
    assert [(s.number, s.depth) for s in find_stages(graph)] == [(1, 4)]
    named = SMALL.replace(
        "from=-3\nactivation=linear\n", "from=-3\nactivation=linear\nname=b1\n", 1
    )
    named = named.replace(
        "from=-3\nactivation=linear\nname=end", "from=@b1\nactivation=linear\nname=end"
    )
    graph = compile_text(text_of(named, depth=1.5), "deep")
    assert [(s.number, s.depth) for s in find_stages(graph)] == [(1, 3)]


def test_blocks_before_the_last_one_are_taken_out() -> None:
    text = text_of(SMALL, depth=0.5)
    taken = block(16)
    assert text == SMALL.replace("# first block\n" + taken + "\n", "# first block\n").replace(
        " 7,@", " 4,@"
    )


def test_a_block_that_is_read_from_elsewhere_cannot_go() -> None:
    text = SMALL + "\n[route]\nlayers=4\n"
    wanted = (
        "stage 1 (layers 2 to 7) cannot {}: layer 10 [route] at line 73 reads layer 4, which "
        "would be gone\nhelp: leave the stage out with --stages"
    )
    assert refusal(text, depth=0.5) == wanted.format("lose blocks")
    assert refusal(text, to="csp") == wanted.format("become one [csp]")
    assert refusal(text, to="elan") == wanted.format("become one [elan]")
    assert transform(text, depth=2, to="prn").after.total.params > 0


def test_depth_counts_the_block_that_halves_a_resnet_stage(shared: Path) -> None:
    # 3, 4, 6, 3 blocks become 6, 8, 12, 6.
    found = transform((shared / ALEXEYAB / "resnet50.cfg").read_bytes(), depth=2)
    assert [stage.depth for stage in find_stages(found.after)] == [6, 8, 12, 6]
    # 3, 4, 6, 3 become 3, 8, 23, 3 in ResNet-101: stage 4 times 23 / 6 gives its 23.
    found = transform(
        (shared / ALEXEYAB / "resnet50.cfg").read_bytes(), depth=23 / 6, stages=frozenset({4})
    )
    published = read_graph(shared / ALEXEYAB / "resnet101.cfg", input_size=(256, 256))
    assert convolutions(found.after) == convolutions(published)


def test_depth_of_macros_is_their_number_of_blocks() -> None:
    text = NET + STEM + "[csp]\nfilters=16\nrepeat=3\n[elan]\nhidden=8\n[csp]\nfilters=8\n"
    changed = text_of(text, depth=2)
    assert changed == (
        NET + STEM + "[csp]\nfilters=16\nrepeat=6\n[elan]\nhidden=8\nblocks=4\n"
        "[csp]\nfilters=8\nrepeat=2\n"
    )


# -- width -----------------------------------------------------------------------------------------

HEAD = "[convolutional]\nfilters=18\nsize=1\nstride=1\npad=1\nactivation=linear\n"
HEAD += "[yolo]\nmask=0,1,2\nanchors=1,2,3,4,5,6\nclasses=1\nnum=3\n"


def test_widths_are_multiples_of_8_and_heads_keep_theirs() -> None:
    text = NET + STEM + "# wide\n" + conv(20, 3, 2) + block(64) + HEAD
    changed = text_of(text, width=1.25)
    # 16 * 1.25 = 20 -> 24 (half up), 20 * 1.25 = 25 -> 24, 32 -> 40, 64 -> 80.
    assert changed == text.replace("filters=64", "filters=80").replace(
        "filters=32", "filters=40"
    ).replace("filters=16", "filters=24").replace("filters=20", "filters=24")


def test_depthwise_convolutions_stay_depthwise() -> None:
    depthwise = conv(32, 3, 2) + "groups=32\n"
    text = NET + conv(32, 3, 1) + depthwise + conv(64, 1, 1) + HEAD
    graph = transform(text, width=1.5).after
    layer = graph.nodes[1].layer
    assert isinstance(layer, Convolutional)
    assert (layer.out_channels, layer.groups) == (48, 48)


def test_widths_suit_the_groups_of_what_reads_them() -> None:
    grouped = conv(64, 3, 1) + "groups=32\n"
    text = NET + conv(64, 3, 1) + "[maxpool]\nsize=2\nstride=2\n" + grouped + conv(64, 1, 1)
    text += "[route]\nlayers=-1\ngroups=16\ngroup_id=3\n" + conv(8, 1, 1) + HEAD
    graph = transform(text, width=1.1).after
    # 64 * 1.1 = 70.4: to 64 in steps of 32, to 64 in steps of 16, 8.8 to 8.
    assert [n.output_shape.channels for n in graph.nodes] == [64, 64, 64, 64, 4, 8, 18, 18]
    graph = transform(text, width=1.3).after
    # 83.2: to 96 in steps of 32, to 80 in steps of 16.
    assert [n.output_shape.channels for n in graph.nodes] == [96, 96, 96, 80, 5, 8, 18, 18]


def test_the_widths_that_macros_name_are_scaled() -> None:
    csp = "[csp]\nfilters=64\nhidden=32\ncross=16\nwidth=8\nfusion={}\n"
    elan = "[elan]\nhidden=16\nblock_hidden=8\nfilters=32\n"
    last = "[csp]\nfilters=40\nhidden=24\ncross=16\nfusion=none\n"
    text = NET + STEM + csp.format("normal") + elan + last + HEAD
    changed = text_of(text, width=1.5)
    assert changed == (
        NET + STEM.replace("=16", "=24")
        + "[csp]\nfilters=96\nhidden=48\ncross=24\nwidth=16\nfusion=normal\n"
        "[elan]\nhidden=24\nblock_hidden=16\nfilters=48\n"
        "[csp]\nfilters=64\nhidden=40\ncross=24\nfusion=none\n" + HEAD
    )  # fmt: skip


def test_width_can_be_limited_to_stages() -> None:
    text = NET + STEM + conv(16, 3, 2) + block(16) + conv(32, 3, 2) + block(32) + HEAD
    graph = transform(text, width=2, stages=frozenset({2})).after
    widths = [n.output_shape.channels for n in graph.nodes if isinstance(n.layer, Convolutional)]
    assert widths == [16, 16, 8, 16, 64, 32, 64, 18]


@pytest.mark.parametrize(
    "name", ["enet-coco", "efficientnet_b0", "resnext152-32x4d", "yolov4-tiny"]
)
def test_published_networks_can_be_widened(name: str, shared: Path) -> None:
    found = transform((shared / ALEXEYAB / f"{name}.cfg").read_bytes(), width=1.25)
    assert found.after.total.macs > 1.3 * found.before.total.macs
    ends = [found.after.nodes[-1].output_shape, found.before.nodes[-1].output_shape]
    assert ends[0] == ends[1]


def test_what_scales_channels_follows_what_it_scales(shared: Path) -> None:
    content = (shared / ALEXEYAB / "enet-coco.cfg").read_bytes()
    found = transform(content, width=1.25, stages=frozenset({3, 4}))
    assert found.after.total.params > found.before.total.params


@functools.cache
def with_macros() -> list[str]:
    return [name for name, path in packaged_cfgs().items() if b"\n[csp]" in path.read_bytes()]


@pytest.mark.parametrize("name", with_macros())
def test_packaged_cfgs_with_macros_can_be_scaled(name: str) -> None:
    found = transform(packaged_cfgs()[name].read_bytes(), depth=2, width=0.75)
    assert found.before.total.params != found.after.total.params
    heads = [[shape.channels for shape in node.input_shapes] for node, _ in found.before.heads]
    assert [[s.channels for s in node.input_shapes] for node, _ in found.after.heads] == heads


# -- budgets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [
    {"to": "csp"}, {"to": "csp", "fusion": "last"}, {"to": "csp", "fusion": "none"},
    {"to": "elan"}, {"to": "elan", "blocks": 3, "convs": 1}, {"to": "prn", "depth": 1.5},
    {"depth": 2.0}, {"to": "csp", "depth": 2.0, "width": 1.25},
])  # fmt: skip
@pytest.mark.parametrize(("name", "keep"), [("darknet53", "flops"), ("resnet50", "params")])
def test_budgets_are_kept_within_1_percent(
    name: str, keep: str, settings: dict[str, object], shared: Path
) -> None:
    content = (shared / ALEXEYAB / f"{name}.cfg").read_bytes()
    found = transform(content, **settings, keep=keep)
    before, after = found.before.total, found.after.total
    figures = (before.macs, after.macs) if keep == "flops" else (before.params, after.params)
    assert figures[1] == pytest.approx(figures[0], rel=0.01)
    inner = [n for n in found.after.nodes[:-6] if isinstance(n.layer, Convolutional)]
    assert all(node.output_shape.channels % 8 == 0 for node in inner)


def test_a_budget_out_of_reach_is_an_error() -> None:
    text = NET + conv(512, 3, 1) + conv(16, 3, 2) + block(16) + "[avgpool]\n"
    # 3*512*9 + 512*16*9 + 16*8 + 8*16*9 weights, two per filter (512 + 16 + 8 + 16): 89,936. The
    # stem becomes 1024, the stage's end is the network's, so only the bottleneck is left to move,
    # and 8 is the least: 3*1024*9 + 1024*16*9 + 16*8 + 8*16*9 + 2 (1024 + 16 + 8 + 16).
    assert refusal(text, width=2, keep="params") == (
        "--keep-params: no widths inside the stages bring the network within 1% of its 89,936 "
        "params\nexpected: stages that make up more of the network, or another target\n"
        "help: the nearest is 178,512"
    )


def test_masking_alone_keeps_every_budget() -> None:
    assert text_of(SMALL, to="prn", keep="flops") == text_of(SMALL, to="prn")


# -- refusals --------------------------------------------------------------------------------------


def test_a_network_without_residual_stages_says_what_was_looked_for() -> None:
    assert refusal(NET + STEM, to="csp") == (
        "net.cfg has no residual stage to rewrite\n"
        "looked for: behind a layer that halves the map, [convolutional] sections closed by a "
        "[shortcut] or [partial_shortcut] that adds what the first of them reads\n"
        "found: no such blocks anywhere"
    )
    assert refusal(SMALL, to="elan", stages=frozenset({4})) == (
        "net.cfg has no residual stage to rewrite\n"
        "looked for: behind a layer that halves the map, [convolutional] sections closed by a "
        "[shortcut] or [partial_shortcut] that adds what the first of them reads, in the stages "
        "that --stages names\n"
        "found: stage 1 (layers 2 to 7)"
    )


def test_blocks_that_csp_does_not_have_are_refused_by_stage() -> None:
    three = NET + STEM + conv(16, 3, 2) + conv(8, 3, 1) * 2 + conv(16, 3, 1)
    three += "[shortcut]\nfrom=-4\nactivation=linear\n"
    help_text = (
        "expected: two convolutions and a linear [shortcut], or 1x1, 3x3 and linear 1x1 "
        "convolutions and a [shortcut] with the activation of the first\n"
        "help: leave the stage out with --stages"
    )
    assert refusal(three, to="csp") == (
        "stage 1 (layers 2 to 5) cannot become [csp]: its blocks are of no form that [csp] has\n"
        + help_text
    )
    unlike = NET + STEM + conv(16, 3, 2) + block(16) + block(16).replace("leaky", "mish")
    assert refusal(unlike, to="csp") == (
        "stage 1 (layers 2 to 7) cannot become [csp]: its blocks are not all alike\n" + help_text
    )
    assert "[elan]" in text_of(three, to="elan")


def test_a_result_that_does_not_compile_names_the_stage() -> None:
    text = NET + STEM + conv(16, 3, 2) + block(16) + "[csp]\nfilters=16\nrepeat=600\n"
    assert refusal(text, depth=2) == (
        "--depth 2 at stage 1 ([csp], layer 5) gives a cfg that does not compile; nothing is "
        "written\nthe first of its errors, in the new text:\n"
        "net.cfg, rewritten:38:8: error: [csp] repeat=1200 is out of range [YG105]\n"
        "   38 | repeat=1200\n"
        "      |        ^^^^\n"
        "expected: 0 to 1024"
    )
    assert refusal(text, to="elan", blocks=1024, convs=20).startswith(
        "--to elan at stage 1 (layers 2 to 4) gives a cfg that does not compile; nothing is "
        "written\nthe first of its errors, in the new text:\n"
        "net.cfg, rewritten:20:1: error: [elan] brings the network to "
    )


@pytest.mark.parametrize(("settings", "message"), [
    ({}, "nothing to do\nexpected: --to prn, csp or elan, or a --depth or --width besides 1"),
    ({"to": "prn", "ratio": 0.0}, "--ratio 0 is out of range\nexpected: above 0, at most 1"),
    ({"to": "csp", "split": 1.0}, "--split 1 is out of range\nexpected: above 0, below 1"),
    ({"to": "elan", "blocks": 0}, "--blocks 0 is out of range\nexpected: 1 to 1024"),
    ({"depth": -1.0}, "--depth -1 is out of range\nexpected: above 0, at most 16"),
    ({"width": 17.0}, "--width 17 is out of range\nexpected: above 0, at most 16"),
])  # fmt: skip
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    assert refusal(SMALL, **settings) == message


@pytest.mark.parametrize(("text", "numbers"), [
    ("3-5", {3, 4, 5}), ("4", {4}), ("1, 3-3 ,5", {1, 3, 5}), ("0", {0}),
])  # fmt: skip
def test_stage_numbers(text: str, numbers: set[int]) -> None:
    assert parse_stages(text) == numbers


@pytest.mark.parametrize("text", ["", "a", "5-3", "-3", "3-", "17", "1,,2", "3.5"])
def test_what_names_no_stages_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--stages .* names no stages\nexpected: numbers"):
        parse_stages(text)
