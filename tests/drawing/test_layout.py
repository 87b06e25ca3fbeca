"""Layouts: where boxes and edges are, for real networks and for small ones drawn on paper."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from yolo_gp.drawing.layout import Box, Frame, Layout, Point, Wire, lay_out
from yolo_gp.families import FAMILIES, FamilySettings, family_cfg
from yolo_gp.graph import compile_text, read_graph

CFG = Path(__file__).parent.parent.parent / "cfg"
NET = "[net]\nwidth=32\nheight=64\nchannels=3\n"
# deep, wide, with macros, with heads, with masks, with squeeze and excitation
NETWORKS = (
    *("yolov3", "yolov4", "elan", "elan-af-seg", "efficientnet-b0-prn", "resnext50"),
    *("yolov5x-seg", "yolov3-tiny-prn", "pelee-prn", "elan-tiny-csp-132"),
)
CORPUS = (
    "AlexeyAB-darknet/densenet201.cfg",
    "AlexeyAB-darknet/resnet152_trident.cfg",
    "AlexeyAB-darknet/yolov4-p6.cfg",
    "AlexeyAB-darknet/enet-coco.cfg",
    "WongKinYiu-CrossStagePartialNetworks/csdarknet53-elastic.cfg",
)


def conv(filters: int = 8, stride: int = 1) -> str:
    return f"[convolutional]\nfilters={filters}\nsize=3\npad=1\nstride={stride}\n"


def laid_out(*sections: str) -> Layout:
    return lay_out(compile_text(NET + "".join(sections), "test.cfg"))


def stretches(wire: Wire) -> Iterator[tuple[float, float, float, float]]:
    """(left, top, right, bottom) of the straight pieces of a wire."""
    for (x0, y0), (x1, y1) in itertools.pairwise(wire.points):
        if (x0, y0) != (x1, y1):
            yield min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def check(layout: Layout) -> None:
    """What holds of every layout, whatever the network."""
    check_boxes(layout)
    pieces = [(wire, piece) for wire in layout.wires for piece in stretches(wire)]
    check_wires_pass_no_box(layout, pieces)
    check_wires_share_nothing(pieces)
    check_wires_touch_their_boxes(layout)
    for frame in layout.frames:
        assert {box.number for box in enclosed(layout, frame)} == {frame.name.split()[0]}


def enclosed(layout: Layout, frame: Frame) -> list[Box]:
    """The boxes that a frame touches."""
    right, bottom = frame.x + frame.width, frame.y + frame.height
    return [
        box
        for box in layout.boxes
        if frame.x < box.x + box.width and box.x < right
        if frame.y < box.y + box.height and box.y < bottom
    ]


def check_boxes(layout: Layout) -> None:
    for one, other in itertools.combinations(layout.boxes, 2):
        aside = one.x + one.width < other.x or other.x + other.width < one.x
        apart = one.y + one.height < other.y or other.y + other.height < one.y
        assert aside or apart, (one, other)
    for box in layout.boxes:
        assert 70 <= box.x <= box.x + box.width <= layout.width  # right of the bands' names
        assert 0 <= box.y <= box.y + box.height <= layout.height


Pieces = list[tuple[Wire, tuple[float, float, float, float]]]


def check_wires_pass_no_box(layout: Layout, pieces: Pieces) -> None:
    for wire, (left, top, right, bottom) in pieces:
        assert left == right or top == bottom
        for box in layout.boxes:
            if box.index not in (wire.source, wire.target):
                beside = right <= box.x or left >= box.x + box.width
                assert beside or bottom <= box.y or top >= box.y + box.height, (wire, box)


def check_wires_share_nothing(pieces: Pieces) -> None:
    """Only wires from one source, or into one target, may lie on each other."""
    lines: dict[tuple[str, float], Pieces] = {}
    for wire, piece in pieces:
        left, top, right, _ = piece
        lines.setdefault(("x", left) if left == right else ("y", top), []).append((wire, piece))
    for (axis, _), members in lines.items():
        for (one, a), (other, b) in itertools.combinations(members, 2):
            if one.source != other.source and one.target != other.target:
                low, high = (1, 3) if axis == "x" else (0, 2)
                assert a[high] <= b[low] or b[high] <= a[low], (one, other)


def check_wires_touch_their_boxes(layout: Layout) -> None:
    boxes = {box.index: box for box in layout.boxes}
    for wire in layout.wires:
        assert on_border(wire.points[0], boxes[wire.source])
        assert on_border(wire.points[-1], boxes[wire.target])


def on_border(point: Point, box: Box) -> bool:
    x, y = point
    inside = box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
    return inside and (x in (box.x, box.x + box.width) or y in (box.y, box.y + box.height))


@pytest.mark.parametrize("name", NETWORKS)
def test_boxes_and_edges_of_packaged_networks_keep_clear_of_each_other(name: str) -> None:
    check(lay_out(read_graph(CFG / f"{name}.cfg")))


@pytest.mark.parametrize("name", CORPUS)
def test_boxes_and_edges_of_large_public_networks_keep_clear(shared: Path, name: str) -> None:
    check(lay_out(read_graph(shared / "data/cfg-corpus" / name)))


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"osa"}))
def test_boxes_and_edges_of_families_keep_clear(name: str) -> None:
    text = family_cfg(name, FamilySettings(layers=40, channels=64))
    check(lay_out(compile_text(text, "family.cfg")))


@pytest.mark.parametrize("name", ["yolov4", "elan", "yolov3-tiny"])
def test_every_layer_and_every_edge_is_drawn_once(name: str) -> None:
    graph = read_graph(CFG / f"{name}.cfg")
    layout = lay_out(graph)
    assert [box.index for box in layout.boxes] == [-1, *range(len(graph.nodes))]
    assert [(wire.source, wire.target, wire.input) for wire in layout.wires] == [
        (edge.source, node.index, number)
        for node in graph.nodes
        for number, edge in enumerate(node.inputs)
    ]


def test_a_network_without_heads_ends_in_a_loss() -> None:
    layout = laid_out(conv(), conv())
    assert [box.title for box in layout.boxes][-1] == "loss"
    assert (layout.wires[-1].source, layout.wires[-1].target) == (1, 2)


def test_the_same_text_gives_the_same_layout() -> None:
    assert lay_out(read_graph(CFG / "elan.cfg")) == lay_out(read_graph(CFG / "elan.cfg"))


def test_bands_are_the_map_sizes_with_their_strides() -> None:
    # 64 x 32, halved twice
    layout = laid_out(conv(), conv(stride=2), conv(), conv(stride=2))
    assert [(band.size, band.stride) for band in layout.bands] == [
        ((64, 32), (1, 1)),
        ((32, 16), (2, 2)),
        ((16, 8), (4, 4)),
    ]
    for box, band in zip(layout.boxes, (0, 0, 1, 1, 2, 2), strict=True):
        place = layout.bands[band]
        assert place.y <= box.y <= box.y + box.height <= place.y + place.height


def test_a_size_that_does_not_divide_the_input_has_no_stride() -> None:
    # 63 x 31 after a 3x3 with stride 2 is 32 x 16: 63 / 32 is no whole number
    text = NET.replace("64", "63").replace("=32", "=31") + conv(stride=2)
    layout = lay_out(compile_text(text, "odd.cfg"))
    assert [band.stride for band in layout.bands] == [(1, 1), None]


def test_boxes_say_number_settings_and_channels() -> None:
    layout = laid_out(conv(16, 2), conv(24), "[maxpool]\nsize=2\nstride=2\n")
    assert [(box.number, box.title, box.channels, box.learned) for box in layout.boxes[1:4]] == [
        ("0", "conv 3x3/2 logistic", "16", True),
        ("1", "conv 3x3/1 logistic", "24", True),
        ("2", "maxpool 2x2/2", "24", False),
    ]


def test_the_main_path_keeps_its_column_and_a_branch_gets_the_next() -> None:
    # 0 splits: one convolution (1) beside two (3, 4); 5 joins them
    layout = laid_out(
        conv(), conv(), "[route]\nlayers=0\n", conv(), conv(), "[route]\nlayers=-1,1\n"
    )
    x = {box.index: box.x for box in layout.boxes}
    assert len({x[index] for index in (-1, 0, 2, 3, 4, 5)}) == 1
    assert x[1] > x[0]


def test_a_skip_connection_runs_beside_its_column_and_back() -> None:
    layout = laid_out(conv(), conv(), conv(), "[shortcut]\nfrom=0\nactivation=linear\n")
    (skip,) = [wire for wire in layout.wires if (wire.source, wire.target) == (0, 3)]
    boxes = {box.index: box for box in layout.boxes}
    right = boxes[0].x + boxes[0].width
    xs = [x for x, _ in skip.points]
    assert (xs[0], xs[-1]) == (right, right)
    assert xs[1] == xs[2] > right


def test_a_pyramid_goes_up_beside_the_backbone() -> None:
    # 0 64x32, 1 32x16, 2 to 6 16x8, 7 up to 32x16, 8 joins 1, 9
    upsample, join = "[upsample]\nstride=2\n", "[route]\nlayers=-1,1\n"
    layout = laid_out(conv(), conv(8, 2), conv(8, 2), conv() * 4, upsample, join, conv())
    boxes = {box.index: box for box in layout.boxes}
    assert boxes[0].y < boxes[1].y < boxes[2].y < boxes[6].y
    assert boxes[6].y > boxes[7].y > boxes[8].y > boxes[9].y
    assert boxes[7].x > boxes[1].x
    band = layout.bands[1]
    assert all(band.y < boxes[index].y < band.y + band.height for index in (1, 7, 8, 9))


def test_squeeze_and_excitation_stays_in_the_band_it_returns_to() -> None:
    # 0 map, 1 average over it (1 x 1), 2 a convolution of that, 3 scales the map
    squeeze = "[avgpool]\n" + conv(8) + "[scale_channels]\nfrom=0\n"
    layout = laid_out(conv(), squeeze, conv())
    assert [band.size for band in layout.bands] == [(64, 32)]
    assert [box.channels for box in layout.boxes][2:4] == ["8 @ 1x1", "8 @ 1x1"]


def test_a_high_cell_is_folded() -> None:
    # 200 layers of one size would be 200 rows; five folds of 41 take in input and loss
    layout = laid_out(*[conv()] * 200)
    assert len({box.x for box in layout.boxes}) == 5
    assert max(box.y for box in layout.boxes) < 41 * 45
    check(layout)


def test_a_fold_cuts_no_residual_block() -> None:
    # 20 blocks of conv, conv, add: layers 1-2-3, 4-5-6 and so on; 62 rows in two columns or more
    block = conv() + conv() + "[shortcut]\nfrom=-3\nactivation=linear\n"
    layout = laid_out(conv(), *[block] * 20)
    tops: dict[float, Box] = {}
    for box in layout.boxes:
        tops.setdefault(box.x, box)
    first, *others = tops.values()
    assert first.index == -1
    assert [box.index % 3 for box in others] == [1]


@pytest.mark.parametrize("fold", [24, 18])
@pytest.mark.parametrize("name", ["yolov4", "elan", "yolov5l", "yolov4x-mish"])
def test_boxes_and_edges_of_folded_networks_keep_clear(name: str, fold: int) -> None:
    check(lay_out(read_graph(CFG / f"{name}.cfg"), fold=fold))


def test_later_legs_stand_on_the_floor_of_their_bands() -> None:
    # yolov4's last head ends the path aggregation: nothing is below it
    layout = lay_out(read_graph(CFG / "yolov4.cfg"))
    assert layout.boxes[-1].head
    assert layout.boxes[-1].y == max(box.y for box in layout.boxes)


def test_a_frame_holds_the_layers_of_one_macro_and_no_others() -> None:
    graph = read_graph(CFG / "elan.cfg")
    layout = lay_out(graph)
    framed = {frame.name: {box.index for box in enclosed(layout, frame)} for frame in layout.frames}
    macros = ("4", "11", "18", "25", "46", "52", "59", "66")
    assert framed == {
        f"{macro} elan": {node.index for node in graph.nodes if str(node.written) == macro}
        for macro in macros
    }


def test_a_frame_that_would_hold_other_layers_is_left_out() -> None:
    # 3 to 6 run beside the macro 2, whose own branch has to stand on their far side
    macro = "[elan]\nhidden=8\nfilters=8\n"
    beside = "[route]\nlayers=0\n" + conv(8, 2) + conv() + conv()
    layout = laid_out(conv(), conv(8, 2), macro, beside, "[route]\nlayers=2,6\n")
    assert len([box for box in layout.boxes if box.number == "2"]) > 2
    assert layout.frames == ()
    check(layout)


def test_a_detached_edge_is_marked() -> None:
    add = "[shortcut]\nfrom=0\nactivation=linear\nstop_gradient=identity\n"
    layout = laid_out(conv(), conv(), add)
    assert [(wire.source, wire.target) for wire in layout.wires if wire.detached] == [(0, 2)]
