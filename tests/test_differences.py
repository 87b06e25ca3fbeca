"""What changes from one network to another. (Formatted files: test_formatted_corpus.py.)"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yolo_gp.analysis.difference_tables import difference_data, difference_text
from yolo_gp.analysis.differences import Change, NetworkDifference, network_difference
from yolo_gp.graph import compile_text, read_graph
from yolo_gp.plain import write_plain

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
STEM = "[conv]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
END = "[conv]\nfilters=2\nactivation=linear\n"


def conv(filters: int, more: str = "") -> str:
    return f"[conv]\nfilters={filters}\nactivation=leaky\n{more}"


def compared(old: str, new: str) -> NetworkDifference:
    return network_difference(compile_text(old, "old.cfg"), compile_text(new, "new.cfg"))


def text(old: str, new: str, *, list_all: bool = False) -> str:
    return difference_text(compared(old, new), "old.cfg", "new.cfg", list_all=list_all)


def rows(old: str, new: str) -> list[str]:
    """The lines about sections."""
    parts = text(old, new).split("\n\n")
    return [] if parts[1] == "the same network" else parts[1].splitlines()


# -- the whole report ------------------------------------------------------------------------------

# Layer 0: 3 x 3 x 3 x 4 = 108 weights, 2 x 4 of batch norm. Layer 1: 4 x 8 + 8 biases = 40, in the
# new network 4 x 16 + 16 = 80. Layer 2: 8 x 2 + 2 = 18, then 16 x 2 + 2 = 34.
# Multiply-adds on 8 x 8 = 64 pixels: (108 + 32 + 16) x 64 = 9,984. In the new network the last
# layer works on 4 x 4 pixels: (108 + 64) x 64 + 32 x 16 = 11,520. Darknet counts 2 x 2 x 16 x 16
# operations more, for the pool: 24,064. In a file layer 0 has 108 + 4 x 4 floats, of
# 124 + 80 + 34 = 238: 52.1 %.
WHOLE = """\
--- old.cfg
+++ new.cfg

  layer 0 unchanged
~ 1 [convolutional] filters 8 -> 16; output 8 x 8 x 8 -> 16 x 8 x 8; params 40 -> 80
+ 2 [maxpool] 2x2/2; output 16 x 4 x 4
~ 2 -> 3 [convolutional] output 2 x 8 x 8 -> 2 x 4 x 4; params 18 -> 34

                                     old        new   change
input (C x H x W)              3 x 8 x 8  3 x 8 x 8
sections                               3          4       +1
parameters                           174        230  +32.2 %
FLOPs (2 per multiply-add)        19,968     23,040  +15.4 %
BFLOPs as Darknet counts them      0.000      0.000  +20.5 %

weights: 1 of 3 layers carry over (52.1 %)"""


def test_a_widened_layer_and_a_new_one() -> None:
    new = NET + STEM + conv(16) + "[maxpool]\nsize=2\nstride=2\n" + END
    assert text(NET + STEM + conv(8) + END, new) == WHOLE


def test_equal_networks_with_all_that_is_no_part_of_them() -> None:
    old = NET + "batch=64\n" + STEM + END
    new = "[net]\nwidth=16\nheight=8\nchannels=3\nbatch=1\n" + STEM + "name=stem\n" + END
    # (108 + 8) x 64 multiply-adds, then on twice the pixels; 2 operations each
    assert text(old, new) == (
        "--- old.cfg\n"
        "+++ new.cfg\n"
        "\n"
        "the same network\n"
        "\n"
        "differs, but not in what it computes:\n"
        "[net] batch 64 -> 1\n"
        "layer 0 [convolutional] name not set -> stem\n"
        "\n"
        "                                     old         new    change\n"
        "input (C x H x W)              3 x 8 x 8  3 x 8 x 16\n"
        "sections                               2           2      same\n"
        "parameters                           126         126      same\n"
        "FLOPs (2 per multiply-add)        14,848      29,696  +100.0 %\n"
        "BFLOPs as Darknet counts them      0.000       0.000  +100.0 %\n"
        "\n"
        "weights: 2 of 2 layers carry over (100.0 %)"
    )


def test_a_network_and_itself() -> None:
    assert text(NET + STEM, NET + STEM) == (
        "--- old.cfg\n+++ new.cfg\n\nthe same network\n\n"
        "weights: 1 of 1 layers carry over (100.0 %)"
    )


def test_all_lists_every_layer_and_where_its_weights_go() -> None:
    shown = text(NET + STEM + conv(8) + END, NET + STEM + conv(9) + END, list_all=True)
    _, listed, _, weights = shown.split("\n\n")
    assert listed.splitlines() == [
        "  0 [convolutional]",
        "~ 1 [convolutional] filters 8 -> 9; output 8 x 8 x 8 -> 9 x 8 x 8; params 40 -> 45",
        "~ 2 [convolutional] params 18 -> 20",
    ]
    assert weights.splitlines()[:2] == [
        "weights: moved 1 of 3 layers with weights, 124 of 189 floats (65.6 %)",
        "layer 0 -> 0 (same position, 1 with weights)",
    ]


# -- settings --------------------------------------------------------------------------------------


def test_a_key_that_is_left_out_has_its_default() -> None:
    old, new = NET + conv(4, "size=3\npad=1\n"), NET + conv(4, "size=3\npad=1\nstride=2\n")
    line = "~ 0 [convolutional] stride 1 (default) -> 2; output 4 x 8 x 8 -> 4 x 4 x 4"
    assert rows(old, new) == [line]
    back = "~ 0 [convolutional] stride 2 -> 1 (default); output 4 x 4 x 4 -> 4 x 8 x 8"
    assert rows(new, old) == [back]


def test_another_way_to_write_the_same_is_no_difference() -> None:
    old = NET + "[conv]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
    new = (
        NET + "[convolutional]\nactivation=leaky\nbatch_normalize=0\nfilters=04\nsize=3\n"
        "padding=1\nstride_x=1\nstride_y=1\nstride=1\n"
    )
    found = compared(old, new)
    assert found.same_network and not found.rows[0].changes_network


def test_long_values_are_shown_from_where_they_differ() -> None:
    anchors = [str(number) for number in range(10, 46)]  # 18 pairs, 36 x 3 - 1 characters
    head = "[conv]\nfilters=6\nactivation=linear\n[yolo]\nclasses=1\nmask=17\nnum=18\nanchors="
    old = NET + head + ",".join(anchors)
    new = NET + head + ",".join([*anchors[:-1], "99"])
    assert rows(old, new)[1] == ("~ 1 [yolo] anchors ...40,41,42,43,44,45 -> ...40,41,42,43,44,99")


def test_keys_of_training_are_listed_once_for_all_layers_that_change_alike() -> None:
    head = "[conv]\nfilters=6\nactivation=linear\n[yolo]\nclasses=1\nanchors=1,2\n"
    old = NET + (head + "ignore_thresh=.7\n") * 2
    new = NET + STEM + (head + "ignore_thresh=.5\n") * 2
    assert "\nlayers 1, 3 -> 2, 4 [yolo] ignore_thresh .7 -> .5\n" in text(old, new)


# -- which layers correspond -----------------------------------------------------------------------


def test_layers_that_replace_each_other_one_for_one_are_one_changed_layer() -> None:
    old, new = "[maxpool]\nsize=2\nstride=2\n", "[maxpool]\nsize=4\nstride=4\n"
    line = "~ 1 [maxpool] size 2 -> 4, stride 2 -> 4; output 4 x 4 x 4 -> 4 x 2 x 2"
    assert rows(NET + STEM + old, NET + STEM + new)[1:] == [line]


def test_layers_of_one_kind_that_share_little_are_two_layers() -> None:
    new = (
        "[maxpool]\nsize=2\nstride=2\n[conv]\nfilters=7\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    )
    assert rows(NET + conv(4), NET + new) == [
        "- 0 [convolutional] 1x1/1 leaky; output 4 x 8 x 8; params 16",
        "+ 0 [maxpool] 2x2/2; output 3 x 4 x 4",
        "+ 1 [convolutional] 3x3/2 mish; output 7 x 2 x 2; params 196",
    ]
    alike = new.replace("mish", "leaky").replace("size=3\nstride=2\npad=1\n", "")
    assert rows(NET + conv(4), NET + alike) == [
        "+ 0 [maxpool] 2x2/2; output 3 x 4 x 4",
        "~ 0 -> 1 [convolutional] filters 4 -> 7; output 4 x 8 x 8 -> 7 x 4 x 4; params 16 -> 28",
    ]


def test_long_networks_of_which_every_layer_changes_are_compared_by_kind() -> None:
    old, new = (
        NET + conv(4) * 500,
        NET + "[maxpool]\nsize=1\n" + conv(4).replace("leaky", "mish") * 500,
    )
    changes = [row.change for row in compared(old, new).rows]
    assert changes == [Change.ADDED] + [Change.SETTINGS] * 500


# -- what layers read ------------------------------------------------------------------------------

LADDER = [conv(4), conv(5), conv(6)]


def test_references_count_by_what_they_mean() -> None:
    old = NET + "".join(LADDER) + "[route]\nlayers=-1,0\n"
    new = NET + conv(3) + "".join(LADDER) + "[route]\nlayers=3,-3\n"
    assert rows(old, new) == [
        "+ 0 [convolutional] 1x1/1 leaky; output 3 x 8 x 8; params 12",
        "  layers 0-3 -> 1-4 unchanged",
    ]


def test_the_same_number_may_be_another_layer() -> None:
    old = NET + "".join(LADDER) + "[route]\nlayers=-1,1\n"
    new = NET + "[maxpool]\nsize=1\n" + "".join(LADDER) + "[route]\nlayers=-1,1\n"
    assert rows(old, new) == [
        "+ 0 [maxpool] 1x1/1; output 3 x 8 x 8",
        "  layers 0-2 -> 1-3 unchanged",
        "~ 3 -> 4 [route] reads 2, 1 -> 3, 1; output 11 x 8 x 8 -> 10 x 8 x 8",
    ]


def test_a_reference_to_a_layer_that_was_replaced_is_a_change() -> None:
    ends = "[conv]\nfilters=3\nactivation=leaky\n[shortcut]\nfrom=0\nactivation=linear\n"
    old, new = NET + "[avgpool]\n" + ends, NET + "[local_avgpool]\nsize=8\nstride=8\n" + ends
    assert rows(old, new)[-1] == "~ 2 [shortcut] reads 1, 0 -> 1, 0 (another layer)"


def test_layers_that_pass_their_input_on_do_not_change_what_is_read() -> None:
    old = NET + "".join(LADDER) + "[route]\nlayers=0,1\n"
    new = NET + LADDER[0] + "[dropout]\n" + "".join(LADDER[1:]) + "[route]\nlayers=1,2\n"
    found = compared(old, new)
    assert found.same_network
    assert [row.change for row in found.rows] == ["same", "added", "same", "same", "same"]
    assert "\nsections added: 1 [dropout]\n" in text(old, new)


def test_a_changed_route_is_no_change_of_those_who_read_it() -> None:
    rest = LADDER[2] + "[route]\nlayers=-1,2\n"
    old = NET + conv(4) * 2 + "[route]\nlayers=0\n" + rest
    new = NET + conv(4) * 2 + "[route]\nlayers=1\n" + rest
    assert rows(old, new) == [
        "  layers 0-1 unchanged",
        "~ 2 [route] reads 0 -> 1",
        "  layers 3-4 unchanged",
    ]


def test_weights_that_are_shared_with_another_layer_are_a_change() -> None:
    old = NET + conv(3) + conv(3) + conv(3, "share_index=0\n")
    new = NET + conv(3) + conv(3) + conv(3, "share_index=1\n")
    assert rows(old, new) == [
        "  layers 0-1 unchanged",
        "~ 2 [convolutional] shares the weights of 0 -> 1",
    ]


# -- sizes, macros, real networks ------------------------------------------------------------------


def test_at_another_input_size_heights_and_widths_are_no_change() -> None:
    large = NET.replace("8", "32")
    old, new = NET + STEM + conv(8) + conv(7), large + STEM + conv(9) + conv(7)
    assert rows(old, new) == [
        "  layer 0 unchanged",
        "~ 1 [convolutional] filters 8 -> 9; output 8 x 8 x 8 -> 9 x 32 x 32; params 40 -> 45",
        "~ 2 [convolutional] params 63 -> 70",
    ]


def test_layers_that_only_get_other_maps_are_one_line() -> None:
    layers = conv(7) + "[maxpool]\n" + conv(6) + "[avgpool]\n"
    old, new = NET + STEM + layers, NET + STEM + "stride=2\n" + layers
    assert rows(old, new) == [
        "~ 0 [convolutional] stride 1 (default) -> 2; output 4 x 8 x 8 -> 4 x 4 x 4",
        "~ layers 1-3: same settings, other maps",
        "  layer 4 unchanged",
    ]
    wider = NET + STEM.replace("filters=4", "filters=5") + layers
    # 4 x 7 + 7 = 35 parameters become 5 x 7 + 7 = 42; the stem has 27 + 2 for each filter
    assert rows(old, wider) == [
        "~ 0 [convolutional] filters 4 -> 5; output 4 x 8 x 8 -> 5 x 8 x 8; params 116 -> 145",
        "~ 1 [convolutional] params 35 -> 42",
        "  layers 2-4 unchanged",
    ]


def test_a_layer_whose_second_input_alone_changes_is_listed() -> None:
    sum_of_two = conv(4) * 2 + "[shortcut]\nfrom=0\nactivation=linear\n"
    line = rows(NET + conv(8) + sum_of_two, NET + conv(9) + sum_of_two)[-1]
    assert line == "~ 3 [shortcut] other maps to read"


def test_a_macro_is_one_section_with_its_own_keys() -> None:
    old = NET + STEM + "[csp]\nfilters=8\n"
    (line,) = rows(old, old.replace("filters=8", "filters=8\nrepeat=2"))[1:]
    assert line.startswith("~ 1 [csp] repeat 1 (default) -> 2; params ")


def test_a_macro_and_what_it_stands_for_are_the_same_network() -> None:
    content = (NET + STEM + "[csp]\nfilters=8\nrepeat=2\n").encode()
    graph = compile_text(content, "old.cfg")
    found = network_difference(graph, compile_text(write_plain(content, graph).content, "new.cfg"))
    assert found.same_network
    lines = difference_text(found, "old.cfg", "new.cfg").splitlines()
    assert "sections removed: 1 [csp]" in lines
    (added,) = [line for line in lines if line.startswith("sections added")]
    assert "[convolutional]" in added and "[shortcut]" in added


PAIRS = [
    ("yolov4", "yolov4-csp"),
    ("yolov3", "yolov3-spp"),
    ("yolov7-tiny", "resnet50"),
    ("densenet201", "yolov4x-mish"),
    ("yolov4-tiny", "yolov4-tiny-custom"),
]


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_every_section_and_every_parameter_is_accounted_for(
    shared: Path, old: str, new: str
) -> None:
    folder = shared / "data/cfg-corpus/AlexeyAB-darknet"
    graphs = [read_graph(folder / f"{name}.cfg") for name in (old, new)]
    found = network_difference(*graphs)
    for graph, side in zip(
        graphs, ([r.old for r in found.rows], [r.new for r in found.rows]), strict=True
    ):
        sections = [section for section in side if section]
        assert [section.number for section in sections] == list(range(len(graph.spec.layers)))
        assert sum(section.params for section in sections) == graph.total.params
        assert sum(section.macs for section in sections) == graph.total.macs
    assert not found.same_network
    assert any(row.changes_network for row in found.rows)


def test_spatial_pyramid_pooling_is_what_spp_adds_to_yolov3(shared: Path) -> None:
    folder = shared / "data/cfg-corpus/AlexeyAB-darknet"
    found = network_difference(*(read_graph(folder / f"{n}.cfg") for n in PAIRS[1]))
    added = [row.new.kind for row in found.rows if row.change is Change.ADDED and row.new]
    pooled = ["maxpool", "route"] * 3
    assert added == [*pooled, "convolutional"]
    assert {row.change for row in found.rows} == {Change.SAME, Change.ADDED}
    # The new 1x1 convolution from 2048 to 512 maps has 2048 x 512 + 2 x 512 parameters.
    assert found.new.total.params - found.old.total.params == 2048 * 512 + 2 * 512


# -- JSON ------------------------------------------------------------------------------------------


def test_json_holds_the_same() -> None:
    found = compared(NET + STEM + conv(8) + END, NET + STEM + conv(16) + END + "[dropout]\n")
    data = json.loads(json.dumps(difference_data(found, "a", "b")))
    assert (data["schema_version"], data["same_network"]) == (1, False)
    assert (data["old"]["file"], data["old"]["params"], data["new"]["params"]) == ("a", 174, 230)
    assert data["new"]["flops"] == 2 * data["new"]["macs"] == 2 * (108 + 64 + 32) * 64
    widened, last, dropout = data["sections"]
    assert widened["settings"] == [{"key": "filters", "old": "8", "new": "16"}]
    assert (widened["old"]["written"], widened["old"]["index"]) == (1, 1)
    assert (widened["new"]["params"], widened["new"]["output"]) == (80, [16, 8, 8])
    assert (last["change"], last["settings"]) == ("shapes", [])
    assert (dropout["change"], dropout["old"]) == ("added", None)
    assert data["weights"]["layers"] == {"moved": 1, "total": 3}
    whole = difference_data(found, "a", "b", list_all=True)["sections"]
    assert isinstance(whole, list) and len(whole) == 4
