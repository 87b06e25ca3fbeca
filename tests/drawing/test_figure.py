"""The SVG for papers: valid, self-contained, and saying what the analysis says."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.analysis.path_tables import Analysis
from yolo_gp.drawing.figure import layer_svg, overview_svg
from yolo_gp.drawing.palette import (
    FEATURE,
    SOURCE,
    legend_timestamps,
    length_colour,
    timestamp_colour,
    tint,
)
from yolo_gp.drawing.titles import fit_timestamps
from yolo_gp.families import FamilySettings, family_cfg
from yolo_gp.graph import compile_text, read_graph

CFG = Path(__file__).parent.parent.parent / "cfg"
SVG = "{http://www.w3.org/2000/svg}"


def residual(name: str = "residual.cfg") -> Analysis:
    """0 conv, 1 conv, 2 conv, 3 add, 4 conv, 5 conv, 6 add."""
    graph = compile_text(family_cfg("residual", FamilySettings(layers=5, channels=4)), name)
    return Analysis(name, graph, gradient_paths(graph))


def packaged(name: str) -> Analysis:
    graph = read_graph(CFG / name)
    return Analysis(name, graph, gradient_paths(graph))


def words(element: ET.Element) -> list[str]:
    return [text.text for text in element.iter(f"{SVG}text") if text.text]


def layer(root: ET.Element, index: int) -> ET.Element:
    (found,) = [group for group in root.iter(f"{SVG}g") if group.get("id") == f"layer-{index}"]
    return found


def box(root: ET.Element, index: int) -> ET.Element:
    found = layer(root, index).find(f"{SVG}rect")
    assert found is not None
    return found


def edges(root: ET.Element) -> dict[str, ET.Element]:
    return {path.get("id", ""): path for path in root.iter(f"{SVG}path")}


def test_every_weight_layer_shows_its_timestamps_and_its_shortest_and_longest_path() -> None:
    root = ET.fromstring(overview_svg(residual()))
    # the sets of timestamps as the PRN notes give them, by layer
    assert words(layer(root, 0)) == ["0", "conv 1x1/1 linear", "4", "1, 3, 5", "1 / 5"]
    assert words(layer(root, 1)) == ["1", "conv 1x1/1 linear", "4", "2, 4", "2 / 4"]
    assert words(layer(root, 3)) == ["3", "partial shortcut", "4"]


def test_a_weight_layer_without_gradient_says_so() -> None:
    conv = "[convolutional]\nfilters=4\nactivation=linear\n"
    text = f"[net]\nwidth=8\nheight=8\nchannels=3\n{conv}{conv}[route]\nlayers=0\n"
    graph = compile_text(text, "unread.cfg")
    root = ET.fromstring(overview_svg(Analysis("unread.cfg", graph, gradient_paths(graph))))
    assert words(layer(root, 1))[-1] == "no gradient"


def test_weight_layers_are_tinted_by_their_shortest_path() -> None:
    root = ET.fromstring(overview_svg(residual()))
    shortest = {0: 1, 1: 2, 2: 1, 4: 2, 5: 1}
    expected = {1: tint(length_colour(1, 2)), 2: tint(length_colour(2, 2))}
    assert expected[1] != expected[2]
    assert {n: box(root, n).get("fill") for n in shortest} == {
        n: expected[length] for n, length in shortest.items()
    }


def test_an_edge_without_gradient_is_dotted() -> None:
    conv = "[convolutional]\nfilters=4\nactivation=linear\n"
    cut = "[shortcut]\nfrom=0\nactivation=linear\nstop_gradient=identity\n"
    text = f"[net]\nwidth=8\nheight=8\nchannels=3\n{conv}{conv}{cut}"
    graph = compile_text(text, "cut.cfg")
    root = ET.fromstring(overview_svg(Analysis("cut.cfg", graph, gradient_paths(graph))))
    # wires: input-0, 0-1, 1-2, 0-2, 2-loss
    dotted = [edges(root)[f"edge-{n}"].get("stroke-dasharray") is not None for n in range(5)]
    assert dotted == [False, False, False, True, False]


def test_paths_into_a_layer_are_coloured_by_their_first_timestamp() -> None:
    root = ET.fromstring(layer_svg(residual(), 0))
    first = [timestamp_colour(timestamp, 5) for timestamp in range(1, 6)]
    # wires: input-0, 0-1, 1-2, 2-3, 0-3, 3-4, 4-5, 5-6, 3-6, 6-loss; by hand in test_lighting.py
    expected = [None, 3, 2, 1, 1, 3, 2, 1, 1, 1]
    found = [edges(root)[f"edge-{number}"].get("stroke") for number in range(10)]
    assert found[1:] == [first[t - 1] for t in expected[1:] if t]
    assert found[0] not in first
    assert words(layer(root, 1))[-1] == "2, 4"
    assert words(layer(root, 4))[-1] == "2"


def test_sources_and_features_are_outlined() -> None:
    root = ET.fromstring(layer_svg(residual(), 2))
    # layer 2's output goes by the identities to 4, and to the loss; its input is layer 1's output
    assert {n for n in range(8) if box(root, n).get("stroke") == SOURCE} == {4, 7}
    assert {n for n in range(8) if box(root, n).get("stroke") == FEATURE} == {1}
    assert {n for n in range(8) if box(root, n).get("stroke-dasharray")} == {1}
    assert {"source", "feature", "this layer"} < set(words(root))


def test_of_a_chain_without_heads_the_last_layer_has_the_loss_as_source() -> None:
    graph = compile_text(family_cfg("plain", FamilySettings(layers=2)), "plain.cfg")
    analysis = Analysis("plain.cfg", graph, gradient_paths(graph))
    last, first = (ET.fromstring(layer_svg(analysis, index)) for index in (1, 0))
    assert box(last, 2).get("stroke") == SOURCE
    assert (box(first, 1).get("stroke"), box(first, 2).get("stroke") == SOURCE) == (SOURCE, False)


@pytest.mark.parametrize("name", ["yolov4.cfg", "elan-af-seg.cfg"])
def test_the_picture_is_plain_svg_with_nothing_from_outside(name: str) -> None:
    text = overview_svg(packaged(name))
    root = ET.fromstring(text)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "g", "rect", "path", "text")
    }
    assert text.count("http") == 1  # its name space
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"


def test_words_keep_inside_their_boxes() -> None:
    # no font's mean is wider than the estimate here: 0.56 em a character
    root = ET.fromstring(overview_svg(packaged("yolov4.cfg")))
    for group in root.iter(f"{SVG}g"):
        if not group.get("id", "").startswith("layer-"):
            continue
        lines: dict[str, float] = {}
        for text in group.iter(f"{SVG}text"):
            width = len(text.text or "") * 0.56 * float(text.get("font-size", 0))
            lines[text.get("y", "")] = lines.get(text.get("y", ""), 0) + width
        assert max(lines.values()) <= 160, words(group)


def size(analysis: Analysis) -> tuple[float, float]:
    root = ET.fromstring(overview_svg(analysis))
    return float(root.get("width", 0)), float(root.get("height", 0))


def test_a_tall_network_is_folded_until_it_fits_a_page() -> None:
    # 162 layers in a column of 42 pixels each would be 6800 high
    width, height = size(packaged("yolov4.cfg"))
    assert height < 2.6 * width


def test_a_name_that_is_no_xml_is_made_printable() -> None:
    root = ET.fromstring(overview_svg(residual("a<b>&\x00\x1b\udcff.cfg")))
    assert words(root)[-3:]
    assert "a<b>&???.cfg" in words(root)


def test_long_lists_of_timestamps_lose_their_middle() -> None:
    assert fit_timestamps([1, 2, 3, 5, 9], 10, 100) == "1-3, 5, 9"
    # room for 30 characters of 5.6 units each
    assert fit_timestamps(range(1, 60, 2), 10, 168) == "1, 3, 5, 7, .., 53, 55, 57, 59"
    assert fit_timestamps([4], 10, 1) == "4"


def test_a_legend_shows_all_of_few_timestamps_and_both_ends_of_many() -> None:
    assert legend_timestamps(5) == [1, 2, 3, 4, 5]
    assert legend_timestamps(100)[:3] == [1, 2, 3]
    assert legend_timestamps(100)[-2:] == [96, 100]


def test_colours_grow_darker_with_time_so_that_grey_prints_tell_them_apart() -> None:
    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    shades = [lightness(timestamp_colour(timestamp, 30)) for timestamp in range(1, 31)]
    assert all(after < before for before, after in itertools.pairwise(shades))
