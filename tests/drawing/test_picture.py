"""The picture of a network: what stands on it, whether it can be read, and what is left out."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from yolo_gp.dialect import Dialect
from yolo_gp.drawing.layout import Layout
from yolo_gp.drawing.palette import ROLES, SKIPS
from yolo_gp.drawing.picture import network_caption, network_svg, picture_layout
from yolo_gp.drawing.scheme import Scheme, part, scheme
from yolo_gp.drawing.svg import INK, PAPER
from yolo_gp.drawing.titles import fit_words
from yolo_gp.graph import Graph, compile_text, read_graph

from .test_layout import NET, check, conv

CFG = Path(__file__).parent.parent.parent / "cfg"
SVG = "{http://www.w3.org/2000/svg}"
# a detector, one with reorganised pools, the largest one, dense and residual classifiers
PUBLIC = ("yolov4", "yolov7", "cspx-p7-mish", "densenet201", "resnet152", "yolov3-tiny")


def packaged(name: str) -> Graph:
    return read_graph(CFG / f"{name}.cfg")


@functools.cache
def public(shared: Path, name: str) -> Graph:
    return read_graph(shared / f"data/cfg-corpus/AlexeyAB-darknet/{name}.cfg")


@functools.cache
def drawn_public(shared: Path, name: str) -> ET.Element:
    return drawn(public(shared, name))


@functools.cache
def laid_out_public(shared: Path, name: str) -> Layout:
    return picture_layout(scheme(public(shared, name)))


def drawn(graph: Graph, *, collapse: bool = False) -> ET.Element:
    svg = network_svg(scheme(graph, collapse=collapse), network_caption(graph, "test.cfg"))
    return ET.fromstring(svg)


def small(*sections: str) -> Graph:
    return compile_text(NET + "".join(sections), "small.cfg")


def words(element: ET.Element) -> list[str]:
    """The texts in an element, each as it is read."""
    return ["".join(text.itertext()) for text in element.iter(f"{SVG}text")]


def boxes(root: ET.Element) -> dict[str, ET.Element]:
    return {
        group.get("id", "").removeprefix("layer-"): group
        for group in root.iter(f"{SVG}g")
        if group.get("id", "").startswith("layer-")
    }


def edges(root: ET.Element) -> list[ET.Element]:
    return [path for path in root.iter(f"{SVG}path") if path.get("class") == "edge"]


def edge(root: ET.Element, tip: str) -> ET.Element:
    (found,) = (path for path in edges(root) if path.findtext(f"{SVG}title") == tip)
    return found


def count_inputs(text: str) -> int:
    """How many edges a plain cfg has, by its text: heads and chains read one layer each."""
    count = 0
    for section in re.split(r"^\s*\[", text, flags=re.MULTILINE)[2:]:  # [net] is the first
        kind = section.partition("]")[0]
        if kind == "net":
            continue
        lists = re.findall(r"^(?:layers|from)\s*=(.*)$", section, flags=re.MULTILINE)
        named = len(lists[0].split(",")) if lists else 0
        count += named if kind == "route" else 1 + named
    return count


# -- what stands on it -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - {"resnet152"}))  # Darknet refuses that
def test_boxes_say_the_shapes_that_darknet_prints(shared: Path, name: str) -> None:
    tables: dict[str, Any] = json.loads((shared / "data/oracle/network-tables.json").read_text())
    printed = tables[f"AlexeyAB-darknet/{name}"]["layers"]
    found = boxes(drawn_public(shared, name))
    compared = 0
    for index, (_, output, _) in enumerate(printed):
        if output is None:
            continue
        channels, height, width = output
        assert words(found[str(index)])[-1] == f"{channels} x {height} x {width}", index
        assert words(found[str(index)])[0] == str(index)
        compared += 1
    assert compared > len(printed) / 2


@pytest.mark.parametrize("name", PUBLIC)
def test_there_is_a_line_for_every_input_that_the_text_names(shared: Path, name: str) -> None:
    path = shared / f"data/cfg-corpus/AlexeyAB-darknet/{name}.cfg"
    graph = public(shared, name)
    loss = 0 if graph.heads else 1
    assert len(edges(drawn_public(shared, name))) == count_inputs(path.read_text()) + loss


def test_boxes_say_number_kind_kernel_stride_and_activation(shared: Path) -> None:
    found = boxes(drawn_public(shared, "yolov4"))
    assert words(found["-1"]) == ["input", "3 x 608 x 608"]
    assert words(found["24"]) == ["24", "conv 3x3/2 mish", "256 x 76 x 76"]
    assert words(found["112"]) == ["112", "maxpool 13x13/1", "512 x 19 x 19"]
    assert words(found["139"]) == ["139", "yolo 80 classes", "255 x 76 x 76"]


def test_bands_say_size_and_stride(shared: Path) -> None:
    said = words(drawn_public(shared, "yolov4"))
    # 608 halved five times
    for size, stride in ((608, 1), (304, 2), (152, 4), (76, 8), (38, 16), (19, 32)):
        assert said[said.index(f"{size} x {size}") + 1] == f"stride {stride}"


def test_the_title_says_what_the_network_takes_and_costs(shared: Path) -> None:
    root = drawn_public(shared, "yolov4")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title description"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert (title.get("id"), title.text) == ("title", "test.cfg")
    # darknet.md 8: 64 363 101 parameters, 128.459 BFLOPs
    assert description.get("id") == "description"
    assert description.text == (
        "input 3 x 608 x 608; 162 layers; 3 heads; 64,363,101 parameters; 64,194,741,248 MACs; "
        "128.459 BFLOPs as Darknet counts them"
    )
    assert description.text in words(root)


def test_boxes_and_lines_say_more_under_the_pointer() -> None:
    graph = small(conv(), conv(), "[shortcut]\nfrom=0\nactivation=linear\n")
    root = drawn(graph)
    assert boxes(root)["1"].findtext(f"{SVG}title") == (
        "layer 1 [convolutional] 3x3/1 logistic: 8 x 64 x 32"
    )
    tips = [path.findtext(f"{SVG}title") for path in edges(root)]
    assert "0 conv 3x3/1 logistic to 2 shortcut" in tips


def test_the_legend_has_the_kinds_of_boxes_that_there_are() -> None:
    chain = words(drawn(small(conv(), conv())))
    assert {"input, loss", "weights"} <= set(chain)
    assert not {"sum of maps", "head", "changes the size"} & set(chain)
    pool = words(drawn(small(conv(), "[maxpool]\nsize=2\nstride=2\n")))
    assert "changes the size" in pool


def test_the_same_network_gives_the_same_picture() -> None:
    first, second = (ET.tostring(drawn(packaged("elan-nano"))) for _ in range(2))
    assert first == second


# -- whether it can be read ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yolov4", "cspx-p7-mish", "resnet152"])
def test_boxes_and_lines_keep_clear_of_each_other(shared: Path, name: str) -> None:
    check(laid_out_public(shared, name))


@pytest.mark.parametrize("name", PUBLIC)
def test_large_networks_are_folded_to_a_picture_not_too_tall(shared: Path, name: str) -> None:
    layout = laid_out_public(shared, name)
    assert layout.height <= 1.5 * max(760, layout.width)


def test_lines_that_go_round_are_coloured_by_their_source_and_straight_ones_are_grey() -> None:
    # 0 is read by 3 and 5, 3 by 6
    add = "[shortcut]\nfrom={}\nactivation=linear\n"
    graph = small(conv(), conv(), conv(), add.format(0), conv(), add.format(0), add.format(3))
    root = drawn(graph)
    name = "conv 3x3/1 logistic"
    to_3, to_5 = (edge(root, f"0 {name} to {n} shortcut").get("stroke") for n in (3, 5))
    assert to_3 == to_5
    assert to_3 in SKIPS
    other = edge(root, "3 shortcut to 6 shortcut").get("stroke")
    assert other in SKIPS
    assert other != to_3
    assert edge(root, f"0 {name} to 1 {name}").get("stroke") not in SKIPS


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("role", ROLES)
def test_words_stand_out_from_every_box(role: str) -> None:
    ink = PAPER if role == "head" else INK
    assert contrast(ink, ROLES[role][0]) >= 7  # WCAG's AAA


@pytest.mark.parametrize("colour", SKIPS)
def test_lines_stand_out_from_the_paper(colour: str) -> None:
    assert contrast(colour, PAPER) >= 4.5


# linear RGB as people without red, without green cones see it (Vienot, Brettel, Mollon 1999)
COLOUR_BLIND = {
    "protan": ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)),
    "deutan": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
}


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_neighbouring_lines_differ_for_colour_blind_eyes(kind: str) -> None:
    def seen(colour: str) -> list[float]:
        parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
        linear = [part**2.2 for part in parts]
        mixed = (sum(a * b for a, b in zip(row, linear, strict=True)) for row in COLOUR_BLIND[kind])
        return [255 * max(0.0, part) ** (1 / 2.2) for part in mixed]

    for one, other in itertools.pairwise((*SKIPS, SKIPS[0])):
        distance = sum((a - b) ** 2 for a, b in zip(seen(one), seen(other), strict=True)) ** 0.5
        assert distance > 40, (one, other)


def test_no_title_loses_its_activation(shared: Path) -> None:
    for box in boxes(drawn_public(shared, "cspx-p7-mish")).values():
        title = words(box)[1]
        if title.startswith("conv"):
            assert title.split()[-1] in ("mish", "leaky", "linear", "logistic"), title


def test_a_title_that_is_cut_ends_in_a_word_that_says_something() -> None:
    # of 10.5 pixels each: about 5.9 a letter, so that the room ends behind "per" and behind "3"
    assert fit_words("scale channels per channel", 10.5, 120) == "scale channels"
    assert fit_words("yolo 80 classes, 3 anchors", 10.5, 110) == "yolo 80 classes"
    assert fit_words("conv 3x3/1 g144 swish", 10.5, 100) == "conv 3x3/1 g144"
    assert fit_words("conv 3x3/1 swish", 10.5, 100) == "conv 3x3/1 swish"


# -- macros and parts ------------------------------------------------------------------------------


def sources_of(shown: Scheme) -> dict[str, list[int]]:
    return {thing.number: list(thing.sources) for thing in shown.things}


def test_a_macro_is_one_box_when_collapsed() -> None:
    graph = packaged("elan-nano")
    root = drawn(graph, collapse=True)
    # 21 sections and the input; 21 inputs, and one more for each of the two [partial_shortcut]
    assert len(boxes(root)) == 22
    assert len(edges(root)) == 23
    said = [words(box) for box in boxes(root).values()]
    assert ["2", "elan, blocks=2", "48 x 80 x 80"] in said
    tips = [box.findtext(f"{SVG}title") for box in boxes(root).values()]
    assert "section 2 [elan], blocks=2, 6 layers: 48 x 80 x 80" in tips


def test_a_collapsed_macro_keeps_its_place_among_the_stages() -> None:
    # 10x10 is 7 to 9 and 16 to 20: few boxes, but many layers
    layout = picture_layout(scheme(packaged("elan-nano"), collapse=True))
    assert numbers_by_size(layout)[10, 10] == ["7", "8", "9", "16", "17", "18", "19", "20"]


def numbers_by_size(layout: Layout) -> dict[tuple[int, int], list[str]]:
    """The numbers of the boxes in each band."""
    return {
        band.size: [b.number for b in layout.boxes if band.y <= b.y < band.y + band.height]
        for band in layout.bands
    }


def test_a_part_shows_its_layers_and_their_neighbours() -> None:
    # 2 adds 0 to 1; 3 reads 2, 4 joins 3 and 0
    graph = small(
        conv(),
        conv(),
        "[shortcut]\nfrom=0\nactivation=linear\n",
        conv(),
        "[route]\nlayers=3,0\n",
    )
    shown = part(scheme(graph), [1, 2])
    assert sources_of(shown) == {"0": [], "1": [0], "2": [1, 0], "3": [2]}
    roles = {thing.number: thing.role for thing in shown.things}
    assert [number for number, role in roles.items() if role == "outside"] == ["0", "3"]
    check(picture_layout(shown))


def test_a_part_that_begins_at_the_input_has_it() -> None:
    shown = part(scheme(small(conv(), conv(), conv())), [0])
    assert [thing.title for thing in shown.things] == [
        "input",
        "conv 3x3/1 logistic",
        "conv 3x3/1 logistic",
    ]


def implicit_network() -> Iterator[str]:
    """Two learned vectors before the layers that add and multiply them."""
    yield from ("[implicit_add]\nfilters=8\n", "[implicit_mul]\nfilters=8\n")
    yield "[route]\nlayers=-3\n"


def test_a_layer_that_reads_nothing_stands_with_its_reader() -> None:
    # 0 conv 64x32, 1 conv 32x16, 2 and 3 vectors of one pixel, 4 goes on from 1, 5 adds 2 to it
    text = NET + conv() + conv(8, 2) + "".join(implicit_network())
    text += "[shift_channels]\nfrom=2\n[control_channels]\nfrom=3\n"
    graph = compile_text(text, "implicit.cfg", dialect=Dialect.YOLOR)
    layout = picture_layout(scheme(graph))
    assert [band.size for band in layout.bands] == [(64, 32), (32, 16)]
    assert {"2", "3", "5", "6"} <= set(numbers_by_size(layout)[32, 16])
    check(layout)
