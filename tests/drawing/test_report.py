"""The report as a file: self-contained, safe against hostile names, exact in what it carries."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.analysis.path_tables import Analysis
from yolo_gp.analysis.path_tracing import trace
from yolo_gp.drawing.layout import lay_out
from yolo_gp.drawing.lighting import light
from yolo_gp.drawing.report import report_html
from yolo_gp.drawing.report_data import network_data
from yolo_gp.graph import compile_text, read_graph

CFG = Path(__file__).parent.parent.parent / "cfg"


def analysed(path: Path, name: str = "") -> Analysis:
    graph = read_graph(path)
    return Analysis(name or path.name, graph, gradient_paths(graph))


def members(ranges: str) -> list[int]:
    """ "1,3-5" as numbers."""
    found: list[int] = []
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


class Page(HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def test_the_page_refers_to_nothing_outside_itself() -> None:
    page = Page(report_html([analysed(CFG / "yolov3-tiny.cfg")]))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"link", "img", "iframe", "object", "embed", "base"}
    for _, attributes in page.elements:
        assert not {"src", "srcset", "action", "onclick", "onload"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    policy = dict(page.elements)["meta"]
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_libraries_come_with_name_version_and_licence() -> None:
    text = report_html([analysed(CFG / "yolov3-tiny.cfg")])
    for library, holder in (("uPlot 1.6.32", "Leon Sorokin"), ("tablesort 5.7.1", "Tristen Brown")):
        licence = text[text.index(f"/*! {library}") :].split("*/")[0]
        assert holder in licence
        assert "without restriction" in licence
        assert "WITHOUT WARRANTY" in licence


def test_a_hostile_name_stays_text() -> None:
    name = "</script><script>alert(1)</script>&\u2028$title.cfg"
    page = Page(report_html([analysed(CFG / "yolov3-tiny.cfg", name)]))
    plain = Page(report_html([analysed(CFG / "yolov3-tiny.cfg")]))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert json.loads(page.scripts[0])["networks"][0]["name"] == name


def test_yolov3_and_elan_take_less_than_two_megabytes() -> None:
    text = report_html([analysed(CFG / "yolov3.cfg"), analysed(CFG / "elan.cfg")])
    assert len(text.encode()) < 2_000_000


def test_a_large_network_of_the_corpus_takes_less_than_two_megabytes(shared: Path) -> None:
    cfg = shared / "data/cfg-corpus/AlexeyAB-darknet/densenet201.cfg"
    assert len(report_html([analysed(cfg)]).encode()) < 2_000_000


def test_the_data_lights_the_wires_that_the_analysis_lights() -> None:
    analysis = analysed(CFG / "yolov3-tiny-prn.cfg")
    layout = lay_out(analysis.graph)
    data = json.loads(json.dumps(network_data(analysis, layout)))
    lighting = light(analysis.graph, analysis.paths)
    for index, layer in enumerate(data["layers"]):
        found = {
            layer["first_wire"] + place: members(data["sets"][number])
            for place, number in enumerate(layer["wires"])
            if number
        }
        edges = lighting.of(index)
        assert found == {
            place: list(edges[wire.target, wire.input])
            for place, wire in enumerate(layout.wires)
            if (wire.target, wire.input) in edges
        }
        assert members(data["sets"][layer["times"]]) == list(
            analysis.paths.layers[index].timestamps
        )


def test_a_layer_before_the_first_weight_layer_has_a_colour_too() -> None:
    # crossing both convolutions, gradient comes to the pool at timestamp 3
    conv = "[convolutional]\nfilters=4\nactivation=linear\n"
    pool = "[maxpool]\nsize=2\nstride=2\n"
    graph = compile_text(f"[net]\nwidth=8\nheight=8\nchannels=3\n{pool}{conv}{conv}", "pool.cfg")
    data = network_data(Analysis("pool.cfg", graph, gradient_paths(graph)), lay_out(graph))
    assert data["sets"][data["layers"][0]["times"]] == "3"
    assert len(data["colours"]) == len(data["tints"]) == 3


def test_the_data_holds_the_traced_paths() -> None:
    analysis = analysed(CFG / "elan-nano.cfg")
    data = network_data(analysis, lay_out(analysis.graph))
    for layer in analysis.paths.weight_layers:
        shown = data["layers"][layer.node.index]
        for key, timestamp in (
            ("shortest_path", layer.timestamps[0]),
            ("longest_path", layer.timestamps[-1]),
        ):
            steps, at = [], shown[key]
            while at >= 0:
                index, channel, time, at = data["steps"][at]
                steps.append((index, channel, time))
            path = trace(analysis.graph, analysis.paths, layer.node.index, timestamp)
            assert steps == [(step.node.index, step.channel, step.timestamp) for step in path]


def test_a_layer_inside_a_macro_has_both_numbers_in_the_table() -> None:
    with_macros = report_html([analysed(CFG / "elan-nano.cfg")])
    without = report_html([analysed(CFG / "yolov3-tiny.cfg")])
    heads = [re.findall(r"<th[^>]*>([a-z]+)</th>", text) for text in (with_macros, without)]
    assert [head.count("index") for head in heads] == [1, 0]
