"""Networks written with macros, names and masked residuals, as plain Darknet cfg."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.network import compile_network, initialise
from yolo_gp.nodes import INPUT, Node
from yolo_gp.plain import PlainCfg, write_plain
from yolo_gp.rules import Rule
from yolo_gp.weights.darknet import load_weights, save_weights
from yolo_gp.weights.layout import file_layout
from yolo_gp.zoo import packaged_cfgs

CORPUS = "data/cfg-corpus"
NET = "[net]\nwidth=64\nheight=64\nchannels=3\n"
TOLERANCE = 1e-4


def plain(text: str) -> PlainCfg:
    return write_plain(text.encode(), compile_text(text, "here/net.cfg"))


def plain_text(text: str) -> str:
    return plain(text).content.decode()


def section(kind: str, **options: object) -> str:
    return f"[{kind}]\n" + "".join(f"{key}={value}\n" for key, value in options.items())


def conv(
    filters: int, size: int = 1, stride: int = 1, activation: str = "leaky", **more: Any
) -> str:
    return section(
        "convolutional",
        batch_normalize=1,
        filters=filters,
        size=size,
        stride=stride,
        pad=1,
        activation=activation,
        **more,
    )


# -- what a network is, whatever its sections -----------------------------------------------------


def structure(graph: Graph) -> list[object]:
    """Each convolution with its settings, cost, shape and input, then what nobody reads.

    A layer's input is written as an expression over convolutions, by their order: routes of one
    layer vanish, everything else stays with its kind and settings.
    """
    order = {
        node.index: number
        for number, node in enumerate(n for n in graph.nodes if isinstance(n.layer, Convolutional))
    }
    expressions: dict[int, Any] = {INPUT: "input"}
    for node in graph.nodes:
        sources = tuple(expressions[edge.source] for edge in node.inputs)
        if node.index in order:
            expressions[node.index] = order[node.index]
        elif node.layer.kind == "route" and len(sources) == 1 and not node.layer.label():
            expressions[node.index] = sources[0]
        else:
            expressions[node.index] = (node.layer.kind, node.layer.label(), *sources)
    convolutions = [
        (facts(graph.nodes[index]), expressions[graph.nodes[index].inputs[0].source])
        for index in order
    ]
    ends = [expressions[node.index] for node in graph.nodes if not graph.users[node.index]]
    return [*convolutions, *ends]


def facts(node: Node) -> tuple[object, ...]:
    layer = node.layer
    assert isinstance(layer, Convolutional)
    settings = (layer.stride, layer.padding, layer.dilation, layer.batch_norm)
    return (layer.label(), settings, node.input_shapes, node.output_shape, node.cost)


# -- the networks of the papers, written as zoo.md part D does ------------------------------------


def classifier(size: int, *sections: str) -> str:
    end = section("avgpool") + section(
        "convolutional", filters=1000, size=1, stride=1, pad=1, activation="linear"
    )
    net = section("net", width=size, height=size, channels=3)
    return "".join((net, *sections, end, section("softmax", groups=1)))


def csdarknet53() -> str:
    stages = [
        conv(c, 3, 2) + section("csp", filters=c, repeat=n)
        for c, n in ((128, 2), (256, 8), (512, 8), (1024, 4))
    ]
    first = section("csp", filters=64, cross=64, hidden=64, width=32)
    return classifier(256, conv(32, 3), conv(64, 3, 2), first, *stages)


def csresnet50() -> str:
    # The last stage's entry is leaky in csresnet50.cfg, those of the second and third are linear.
    stages = []
    for stage, (w, n) in enumerate(((64, 3), (128, 3), (256, 5), (512, 2))):
        entry = {"entry_activation": "linear"} if stage in (1, 2) else {}
        hidden = 2 * w if stage else 64
        widths = {"cross": 2 * w, "hidden": hidden, "width": w, "block_out": 2 * w}
        csp = section("csp", block="res", repeat=n, filters=2 * w, **widths, **entry)
        stages.append(csp + (conv(2 * w, 3, 2) if stage < 3 else ""))
    return classifier(256, conv(64, 7, 2), section("maxpool", size=2, stride=2), *stages)


def csresnext50() -> str:
    stages = []
    for stage, (w, n) in enumerate(((128, 3), (256, 3), (512, 5), (1024, 2))):
        entry = {"entry_activation": "linear"} if stage in (1, 2) else {}
        widths = {"cross": w, "hidden": w if stage else 64, "width": w, "block_out": w}
        csp = section("csp", block="res", groups=32, repeat=n, filters=2 * w, **widths, **entry)
        stages.append(csp + (conv(2 * w, 3, 2, groups=32) if stage < 3 else ""))
    return classifier(256, conv(64, 7, 2), section("maxpool", size=2, stride=2), *stages)


def head(first: int) -> str:
    anchors = ",".join(f"{n},{n}" for n in range(1, 10))
    linear = section("convolutional", filters=255, size=1, stride=1, pad=1, activation="logistic")
    mask = f"{first},{first + 1},{first + 2}"
    return linear + section("yolo", mask=mask, anchors=anchors, classes=80, num=9, new_coords=1)


def sppcsp(f: int, act: str, order: str) -> str:
    pools = [
        section("maxpool", size=5, stride=1) + section("route", layers=-2),
        section("maxpool", size=9, stride=1) + section("route", layers=-4),
        section("maxpool", size=13, stride=1),
    ]
    entry = conv(f, 1, 1, act, name=f"spp_cross{f}") + section("route", layers=-2)
    main = conv(f, 1, 1, act) + conv(f, 3, 1, act) + conv(f, 1, 1, act)
    joined = section("route", layers=order) + conv(f, 1, 1, act) + conv(f, 3, 1, act)
    end = section("route", layers=f"-1,@spp_cross{f}")
    return entry + main + "".join(pools) + joined + end


def yolov4_csp() -> str:
    act = "mish"

    def neck_b(f: int, name: str) -> str:
        return section(
            "csp", filters=f, entry="shared", block="plain", repeat=2, fusion="first",
            activation=act, name=name,
        )  # fmt: skip

    def up(f: int, source: str) -> str:
        lateral = section("route", layers=source) + conv(f, 1, 1, act)
        return (
            conv(f, 1, 1, act)
            + section("upsample", stride=2, name=f"up{f}")
            + lateral
            + section("route", layers=f"-1,@up{f}")
        )

    parts = [section("net", width=640, height=640, channels=3)]
    parts += [conv(32, 3, 1, act), conv(64, 3, 2, act), conv(32, 1, 1, act), conv(64, 3, 1, act)]
    parts += [section("shortcut", **{"from": -3}, activation="linear")]
    for c, n in ((128, 2), (256, 8), (512, 8), (1024, 4)):
        parts += [conv(c, 3, 2, act)]
        parts += [section("csp", filters=c, repeat=n, activation=act, name=f"p{c}")]
    parts += [sppcsp(512, act, "-1,-3,-5,-6"), conv(512, 1, 1, act, name="a")]
    parts += [up(256, "@p512"), neck_b(256, "b"), up(128, "@p256"), neck_b(128, "c")]
    parts += [conv(256, 3, 1, act), head(0)]
    for f, below, joined, first in ((256, "c", "b", 3), (512, "d", "a", 6)):
        parts += [section("route", layers=f"@{below}"), conv(f, 3, 2, act)]
        parts += [section("route", layers=f"-1,@{joined}"), neck_b(f, "d" if f == 256 else "e")]
        parts += [conv(2 * f, 3, 1, act), head(first)]
    return "".join(parts)


def yolov7() -> str:
    act = "swish"

    def e2(c: int, o: int, name: str) -> str:
        return section("elan", hidden=c, filters=o, activation=act, name=name)

    def e1(c: int, o: int, name: str) -> str:
        stack = {"blocks": 4, "convs": 1, "hidden": c, "block_hidden": c // 2}
        return section("elan", filters=o, activation=act, name=name, **stack)

    def mpd(f: int, *extras: str) -> str:
        pooled = section("maxpool", size=2, stride=2) + conv(f, 1, 1, act)
        strided = section("route", layers=-3) + conv(f, 1, 1, act) + conv(f, 3, 2, act)
        return pooled + strided + section("route", layers=",".join(("-1", "-4", *extras)))

    def up(f: int, source: str) -> str:
        start = conv(f, 1, 1, act) + section("upsample", stride=2)
        lateral = section("route", layers=source) + conv(f, 1, 1, act)
        return start + lateral + section("route", layers="-1,-3")

    parts = [section("net", width=640, height=640, channels=3)]
    parts += [conv(32, 3, 1, act), conv(64, 3, 2, act), conv(64, 3, 1, act), conv(128, 3, 2, act)]
    parts += [e2(64, 256, "p2"), mpd(128), e2(128, 512, "p3"), mpd(256), e2(256, 1024, "p4")]
    parts += [mpd(512), e2(256, 1024, "p5"), sppcsp(512, act, "-6,-5,-3,-1")]
    parts += [conv(512, 1, 1, act, name="a"), up(256, "@p4"), e1(256, 256, "b")]
    parts += [up(128, "@p3"), e1(128, 128, "c"), mpd(128, "@b"), e1(256, 256, "d")]
    parts += [mpd(256, "@a"), e1(512, 512, "e")]
    for first, (name, f) in zip((0, 3, 6), (("c", 256), ("d", 512), ("e", 1024)), strict=True):
        parts += [section("route", layers=f"@{name}"), conv(f, 3, 1, act), head(first)]
    return "".join(parts)


PUBLISHED = {
    "WongKinYiu-CrossStagePartialNetworks/csdarknet53": csdarknet53,
    "WongKinYiu-CrossStagePartialNetworks/csresnet50": csresnet50,
    "WongKinYiu-CrossStagePartialNetworks/csresnext50": csresnext50,
    "AlexeyAB-darknet/yolov4-csp": yolov4_csp,
    "AlexeyAB-darknet/yolov7": yolov7,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_expansions_are_the_published_networks(name: str, shared: Path) -> None:
    content = plain(PUBLISHED[name]()).content
    expanded = compile_text(content, "expanded")
    assert all(layer.macro is None for layer in expanded.spec.layers)
    size = expanded.input_shape.size
    published = read_graph(shared / CORPUS / f"{name}.cfg", input_size=size)
    assert structure(expanded) == structure(published)


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_expansion_has_the_weights_of_its_original(name: str) -> None:
    text = PUBLISHED[name]()
    original = compile_text(text, "original")
    expanded = compile_text(plain(text).content, "expanded")
    assert layout(expanded) == layout(original)


def layout(graph: Graph) -> list[object]:
    return [(placed.block, placed.offset) for placed in file_layout(graph)]


def test_a_cfg_of_darknets_stays_as_it_is(shared: Path) -> None:
    copied = 0
    for path in sorted((shared / CORPUS).rglob("*.cfg")):
        content = path.read_bytes()
        try:
            graph = compile_text(content, path.name)
        except CfgError:
            continue
        written = write_plain(content, graph)
        assert written.content == content, path
        assert not written.notes
        copied += 1
    assert copied > 100


@pytest.mark.parametrize("name", packaged_cfgs())
def test_packaged_cfgs_expand_unless_their_heads_are_ours(name: str) -> None:
    content = packaged_cfgs()[name].read_bytes()
    graph = compile_text(content, name)
    ours = {node.written for node, head in graph.heads if head.ours or head.beyond_darknet()}
    if ours:
        with pytest.raises(CfgError) as caught:
            write_plain(content, graph)
        assert [d.rule for d in caught.value.diagnostics] == [Rule.NOT_PLAIN] * len(ours)
        return
    expanded = compile_text(write_plain(content, graph).content, "expanded")
    assert all(layer.macro is None and layer.name is None for layer in expanded.spec.layers)
    assert all(not node.layer.ours for node in expanded.nodes)
    assert layout(expanded) == layout(graph)


# -- text -----------------------------------------------------------------------------------------

WITH_NAMES = """\
# the stem
[net]
width=64
height=64
channels=3

[convolutional]  
filters=8
activation = leaky
name=stem # read below
stop_gradientt=1

; the stage
[csp]
filters=8
# twice
repeat=2
stop_gradient=block

# the end
[convolutional]
filters=4
activation=linear
[route]
layers = -1 , @stem,-3, 1   # all
[route]
layers=-3
[convolutional]
share_index=2
filters=4
activation=linear
"""  # noqa: W291


def test_only_what_darknet_does_not_know_is_rewritten() -> None:
    # [csp] is 1 cross, 2 route, 3 main, twice conv, conv, shortcut, 10 transition, 11 route,
    # 12 filters; the convolution that was layer 2 is 13, the route 14.
    lines = plain_text(WITH_NAMES).splitlines()
    before = WITH_NAMES.splitlines()
    assert lines[:9] == before[:9]
    assert lines[9:11] == ["# read below", "stop_gradientt=1"]
    assert lines[12:19] == [
        "; the stage",
        "# [csp] at line 14 of net.cfg, as 12 sections:",
        "# stop_gradient=block is left out: Darknet has no such key",
        "#   filters=8",
        "# twice",
        "#   repeat=2",
        "#   stop_gradient=block",
    ]
    tail = lines[lines.index("# the end") :]
    assert tail[:4] == before[19:23]
    assert tail[4:] == [
        "[route]",
        "layers = -1 , 0,-14, 12   # all",
        "[route]",
        "layers=-3",
        "[convolutional]",
        "share_index=13",
        "filters=4",
        "activation=linear",
    ]


def test_line_ends_and_odd_bytes_stay() -> None:
    text = WITH_NAMES.replace("\n", "\r\n").encode().replace(b"the stem", b"caf\xe9 \xff")
    content = write_plain(text, compile_text(text, "net.cfg")).content
    assert content.startswith(b"# caf\xe9 \xff\r\n[net]\r\n")
    assert content.count(b"\n") == content.count(b"\r\n") > 60
    assert len(compile_text(content, "expanded").nodes) == 17


def test_leaving_a_stop_out_is_said_where_it_stands() -> None:
    (note,) = plain(WITH_NAMES).notes
    assert note.render() == (
        "here/net.cfg:18:1: warning: [csp] stop_gradient=block is left out: Darknet has no such "
        "key; results are the same, training is not [YG111]\n"
        "   18 | stop_gradient=block\n"
        "      | ^^^^^^^^^^^^^"
    )


def test_a_stop_on_darknets_own_section_becomes_a_comment() -> None:
    text = NET + conv(8) + conv(8) + "[shortcut]\nfrom=-2\nstop_gradient=identity # Fig. 9b\n"
    written = plain(text)
    assert written.content.decode().splitlines()[-3:] == [
        "from=-2",
        "# Fig. 9b",
        "# stop_gradient=identity is left out: Darknet has no such key",
    ]
    assert [note.span.line for note in written.notes] == [21]
    assert not plain(text.replace("identity", "none")).notes
    assert "stop" not in plain_text(text.replace("identity", "none"))


# -- masked residuals -----------------------------------------------------------------------------


def sections_of(text: str) -> list[str]:
    """The sections that follow the last convolution, each on one line."""
    tail = plain_text(text).rpartition("[convolutional]")[2]
    blocks = ("[" + block for block in tail.split("[")[1:])
    lines = (line for block in blocks for line in [block.split("\n#")[0]])
    return [" ".join(line.split()) for line in lines]


def test_half_of_the_channels_is_one_slice() -> None:
    # zoo.md C.2: 8 of 16 channels: g = 8, q = 2, p = 1.
    text = NET + conv(16) + conv(16) + "[partial_shortcut]\nfrom=-2\nratio=0.5\n"
    assert sections_of(text + "activation=leaky\n")[1:] == [
        "[route] layers=-2 groups=2 group_id=0",
        "[route] layers=-2",
        "[shortcut] from=-2 activation=leaky",
    ]


def test_three_quarters_are_three_slices_joined() -> None:
    # 12 of 16 channels: g = 4, q = 4, p = 3.
    text = NET + conv(16) + conv(16) + "[partial_shortcut]\nfrom=0\nchannels=12\n"
    assert sections_of(text)[1:] == [
        "[route] layers=-2 groups=4 group_id=0",
        "[route] layers=-3 groups=4 group_id=1",
        "[route] layers=-4 groups=4 group_id=2",
        "[route] layers=-3,-2,-1",
        "[route] layers=-5",
        "[shortcut] from=-2 activation=linear",
    ]


def test_sources_added_over_all_common_channels_are_not_cut() -> None:
    # min(16, 24) = 16 of the first, min(16, 8) = 8 of the second: both unmasked.
    text = NET + conv(24) + conv(8) + conv(16) + "[partial_shortcut]\nfrom=0,1\nchannels=16,8\n"
    assert sections_of(text)[1:] == ["[shortcut] from=-3,-2 activation=linear"]
    masked = text.replace("16,8", "16,2")
    assert sections_of(masked)[1:] == [
        "[route] layers=-2 groups=4 group_id=0",
        "[route] layers=-2",
        "[shortcut] from=-5,-2 activation=linear",
    ]


def test_a_reference_behind_a_masked_residual_means_its_sum() -> None:
    residual = "[partial_shortcut]\nfrom=-2\nratio=.5\n"
    text = NET + conv(8) + conv(8) + residual + conv(8) + "[route]\nlayers=2,-1,-2\n"
    assert plain_text(text).endswith("[route]\nlayers=4,-1,-2\n")


RESIDUALS = {
    "half": "from=-3\nratio=0.5\n",
    "three quarters": "from=-3\nratio=0.75\nactivation=leaky\n",
    "a few": "from=-3\nchannels=6\n",
    "all": "from=-3\n",
    "narrower source": "from=0\nchannels=6\n",
    "narrower source, all of it": "from=0\n",
    "two sources": "from=-3,0\nchannels=8,4\n",
}
# OpenCV takes the first of several sources only.
FOR_OPENCV = [name for name in RESIDUALS if name != "two sources"]


def masked_network(residual: str) -> str:
    blocks = conv(8, 1) + conv(16, 3) + f"[partial_shortcut]\n{residual}"
    stage = "[csp]\nfilters=24\nrepeat=2\nratio=.25\nblock=res\n"
    end = section("convolutional", filters=5, size=1, stride=1, activation="linear")
    return NET + conv(8, 3, 2) + conv(16, 3) + blocks + blocks + stage + end


def original_and_expanded(text: str, folder: Path) -> tuple[Graph, Graph, torch.Tensor]:
    """Both graphs, and what the original computes with random weights, saved in the folder."""
    original = compile_text(text, "original")
    expanded = compile_text(plain(text).content, "expanded")
    network = compile_network(original)
    initialise(network, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, tensor in network.state_dict().items():
        if "running_var" in name or "batch_norm.weight" in name:
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif "batch_norm" in name and tensor.is_floating_point():
            tensor.normal_(0.0, 0.3, generator=generator)
    save_weights(folder / "net.weights", original, network)
    with torch.no_grad():
        return original, expanded, network(image())[0]


def image() -> torch.Tensor:
    return torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("residual", RESIDUALS)
def test_an_expanded_network_computes_the_same(residual: str, tmp_path: Path) -> None:
    text = masked_network(RESIDUALS[residual])
    _, expanded, wanted = original_and_expanded(text, tmp_path)
    network = compile_network(expanded)
    load_weights(tmp_path / "net.weights", expanded, network)
    with torch.no_grad():
        found = network(image())[0]
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("residual", FOR_OPENCV)
def test_opencv_computes_the_same_from_the_expansion(residual: str, tmp_path: Path) -> None:
    text = masked_network(RESIDUALS[residual])
    _, expanded, wanted = original_and_expanded(text, tmp_path)
    judge = cv2.dnn.readNetFromDarknet(
        np.frombuffer(plain(text).content, np.uint8),
        np.frombuffer(for_opencv(expanded, (tmp_path / "net.weights").read_bytes()), np.uint8),
    )
    judge.setInput(image().numpy())
    found = np.array(judge.forward(f"conv_{expanded.nodes[-1].index}"))
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=TOLERANCE)


def for_opencv(graph: Graph, content: bytes) -> bytes:
    """The weights with 9e-6 more in every variance: OpenCV's epsilon is that much smaller."""
    floats = np.frombuffer(content, dtype="<f4", offset=20).copy()
    for placed in file_layout(graph):
        if placed.block.tensor.endswith("running_var"):
            floats[placed.offset : placed.end] += np.float32(9e-6)
    return content[:20] + floats.tobytes()


# -- what Darknet cannot do -----------------------------------------------------------------------


def refusal(text: str) -> str:
    with pytest.raises(CfgError) as caught:
        plain(text)
    return str(caught.value)


def test_every_section_without_an_equivalent_is_named() -> None:
    branches = conv(64) + conv(3)
    af = "[anchor_free]\nfrom=-2,-1\nclasses=3\n"
    assert refusal(NET + branches + af + "[route]\nlayers=0\n" + branches + af) == (
        "here/net.cfg:19:1: error: [anchor_free] has no equivalent in Darknet [YG111]\n"
        "   19 | [anchor_free]\n"
        "      | ^^^^^^^^^^^^^\n"
        "expected: sections and keys that Darknet knows\n"
        "\n"
        "here/net.cfg:38:1: error: [anchor_free] has no equivalent in Darknet [YG111]\n"
        "   38 | [anchor_free]\n"
        "      | ^^^^^^^^^^^^^\n"
        "expected: sections and keys that Darknet knows"
    )


def test_mask_coefficients_have_no_equivalent() -> None:
    yolo = "[yolo]\nmask=0\nanchors=1,2\nnum=1\nclasses=1\nmasks=4\nprototypes=@prototypes\n"
    text = NET + conv(4, name="prototypes") + conv(10, 1, 1, "linear") + yolo
    assert refusal(text) == (
        "here/net.cfg:25:1: error: [yolo] masks has no equivalent in Darknet [YG111]\n"
        "   25 | masks=4\n"
        "      | ^^^^^\n"
        "expected: sections and keys that Darknet knows"
    )


def test_a_sub_sampled_source_is_added_whole_or_not_at_all() -> None:
    text = NET + conv(16) + conv(16, 3, 2) + "[partial_shortcut]\nfrom=-2\n"
    assert sections_of(text)[1:] == ["[shortcut] from=-2 activation=linear"]
    assert refusal(text + "channels=8\n") == (
        "here/net.cfg:21:10: error: [partial_shortcut] adds some channels of layer 0, which is "
        "64x64, to layer 1, which is 32x32: no Darknet does both at once [YG111]\n"
        "   21 | channels=8\n"
        "      |          ^\n"
        "expected: a source of equal size, or neither channels nor ratio"
    )


def test_the_network_input_can_be_read_once_only() -> None:
    assert refusal(NET + "[csp]\nfilters=8\n") == (
        "here/net.cfg:5:1: error: [csp] reads the network's input a second time, which no section "
        "of Darknet's can [YG111]\n"
        "    5 | [csp]\n"
        "      | ^^^^^\n"
        "expected: sections and keys that Darknet knows"
    )


def test_a_sum_that_alexeyabs_cpu_build_gets_wrong_is_noted() -> None:
    # The source reads 16 channels at x's size, gives 8: Darknet compares x with what it reads.
    text = NET + conv(16) + conv(8) + conv(16) + "[partial_shortcut]\nfrom=-2\n"
    (note,) = plain(text).notes
    assert note.message == (
        "AlexeyAB's CPU build adds 16 channels of a source that has 8, as that source reads a map "
        "of the same shape as this layer"
    )


def test_every_section_of_an_expansion_is_separate_and_starts_with_its_header() -> None:
    blocks: Iterable[str] = plain_text(NET + conv(8) + "[csp]\nfilters=8").split("\n\n")
    heads = [block.splitlines()[0] for block in itertools.islice(blocks, 1, None)]
    assert set(heads) == {"[convolutional]", "[route]", "[shortcut]"}
