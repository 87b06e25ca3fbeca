"""DOT and Mermaid: the text is of the language, and says the graph, no more and no less."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from yolo_gp.drawing.picture import Caption
from yolo_gp.drawing.scheme import scheme
from yolo_gp.drawing.text_graphs import dot_text, mermaid_text
from yolo_gp.graph import Graph, compile_text, read_graph

CFG = Path(__file__).parent.parent.parent / "cfg"
CAPTION = Caption('a "net".cfg', "input 3 x 64 x 32")
CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=linear\n"
NET = f"[net]\nwidth=32\nheight=64\nchannels=3\n{CONV}{CONV}"
# of 0, 1 and the loss: input-0, 0-1, 1-2, 0-2, 2-loss; that from 0 to 2 carries no gradient
STOPPED = NET + "[shortcut]\nfrom=0\nactivation=linear\nstop_gradient=identity\n"
NETWORKS = ("elan-nano", "yolov3-tiny", "csp-resnet50", "elan-af-seg")


@dataclass
class Drawing:
    """What a text says: names of nodes with their labels, edges, names of groups with members."""

    nodes: dict[str, str] = field(default_factory=dict)
    edges: list[tuple[str, str, bool]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)


class Dot:
    """Reads the part of Graphviz's language (graphviz.org/doc/info/lang.html) that we write."""

    _TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|->|[A-Za-z_][A-Za-z_0-9]*|[0-9.]+|[{}\[\];,=])')

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        place = 0
        while text[place:].strip():
            match = self._TOKEN.match(text, place)
            assert match, text[place : place + 40]
            self._tokens.append(match[1])
            place = match.end()
        self.drawing = Drawing()

    def read(self) -> Drawing:
        self._expect("digraph")
        self._identifier()
        self._body(None)
        assert not self._tokens
        return self.drawing

    def _body(self, group: str | None) -> None:
        self._expect("{")
        while self._tokens[0] != "}":
            self._statement(group)
        self._expect("}")

    def _statement(self, group: str | None) -> None:
        if self._tokens[0] == "subgraph":
            self._expect("subgraph")
            inner = self._identifier()
            self.drawing.groups[inner] = []
            self._body(inner)
            return
        name = self._identifier()
        if self._tokens[0] == "=":
            self._expect("=")
            self._identifier()
        elif self._tokens[0] == "->":
            self._expect("->")
            target = self._identifier()
            looks = self._attributes()
            self.drawing.edges.append((name, target, looks.get("style") == "dotted"))
        else:
            looks = self._attributes()
            if name not in ("node", "edge"):
                assert name not in self.drawing.nodes
                self.drawing.nodes[name] = looks["label"]
                if group is not None:
                    self.drawing.groups[group].append(name)
        self._expect(";")

    def _attributes(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self._tokens[0] != "[":
            return found
        self._expect("[")
        while self._tokens[0] != "]":
            key = self._identifier()
            self._expect("=")
            found[key] = self._identifier()
            if self._tokens[0] == ",":
                self._expect(",")
        self._expect("]")
        return found

    def _identifier(self) -> str:
        token = self._tokens.pop(0)
        assert re.match(r'["A-Za-z_0-9.]', token), token
        if token.startswith('"'):
            return token[1:-1].replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
        return token

    def _expect(self, token: str) -> None:
        assert self._tokens.pop(0) == token


_MERMAID_NODE = re.compile(r'(\w+)\["([^"]*)"\]:::(\w+)')
_MERMAID_LINK = re.compile(r"(\w+) (-->|-\.->) (\w+)")


def read_mermaid(text: str) -> Drawing:
    """Read the part of Mermaid's flowcharts that we write; every line has to be understood."""
    drawing = Drawing()
    lines = text.splitlines()
    assert lines[0] == lines[2] == "---"
    assert lines[1].startswith('title: "')
    assert lines[3] == "flowchart TD"
    group, classes, used = None, set(), set()
    for line in (line.strip() for line in lines[4:]):
        if match := _MERMAID_NODE.fullmatch(line):
            assert match[1] not in drawing.nodes
            drawing.nodes[match[1]] = match[2].replace("<br/>", "\n")
            used.add(match[3])
            if group is not None:
                drawing.groups[group].append(match[1])
        elif match := _MERMAID_LINK.fullmatch(line):
            drawing.edges.append((match[1], match[3], match[2] == "-.->"))
        elif match := re.fullmatch(r'subgraph \w+\["([^"]*)"\]', line):
            group = match[1]
            drawing.groups[group] = []
        elif line == "end":
            group = None
        else:
            match = re.fullmatch(r"classDef (\w+) fill:#\w{6},stroke:#\w{6},color:#\w{6}", line)
            assert match, line
            classes.add(match[1])
    assert classes == used
    return drawing


def drawings(graph: Graph, *, collapse: bool = False) -> Iterator[Drawing]:
    shown = scheme(graph, collapse=collapse)
    yield Dot(dot_text(shown, CAPTION)).read()
    yield read_mermaid(mermaid_text(shown, CAPTION))


def packaged(name: str) -> Graph:
    return read_graph(CFG / f"{name}.cfg")


@pytest.mark.parametrize("name", NETWORKS)
def test_nodes_and_edges_are_those_of_the_graph(name: str) -> None:
    graph = packaged(name)
    names = {-1: "input", len(graph.nodes): "loss"}
    names |= {node.index: f"layer{node.index}" for node in graph.nodes}
    if graph.heads:
        del names[len(graph.nodes)]
    edges = [
        (names[edge.source], names[node.index], edge.detached)
        for node in graph.nodes
        for edge in node.inputs
    ]
    if not graph.heads:
        edges.append((names[len(graph.nodes) - 1], "loss", False))
    for drawing in drawings(graph):
        assert list(drawing.nodes) == [names[index] for index in sorted(names)]
        assert Counter(drawing.edges) == Counter(edges)


def test_the_counts_are_those_counted_by_hand() -> None:
    # yolov3-tiny: 24 sections and the input; 24 inputs, and one more for the route of two layers
    for drawing in drawings(packaged("yolov3-tiny")):
        assert (len(drawing.nodes), len(drawing.edges)) == (25, 25)
    # elan-nano, collapsed: 21 sections; two [partial_shortcut] have two inputs
    for drawing in drawings(packaged("elan-nano"), collapse=True):
        assert (len(drawing.nodes), len(drawing.edges)) == (22, 23)
        assert drawing.groups == {}


def test_nodes_say_what_boxes_say() -> None:
    for drawing in drawings(compile_text(STOPPED, "x.cfg")):
        assert drawing.nodes == {
            "input": "input\n3 x 64 x 32",
            "layer0": "0 conv 3x3/1 linear\n4 x 64 x 32",
            "layer1": "1 conv 3x3/1 linear\n4 x 64 x 32",
            "layer2": "2 shortcut\n4 x 64 x 32",
            "loss": "loss",
        }


def test_an_edge_without_gradient_is_dotted() -> None:
    for drawing in drawings(compile_text(STOPPED, "x.cfg")):
        assert [(a, b) for a, b, dotted in drawing.edges if dotted] == [("layer0", "layer2")]


def test_a_layer_that_reads_another_twice_has_two_edges() -> None:
    text = NET + "[route]\nlayers=0,0\n"
    for drawing in drawings(compile_text(text, "x.cfg")):
        assert drawing.edges.count(("layer0", "layer2", False)) == 2


def test_the_layers_of_a_macro_are_a_group() -> None:
    text = NET + "[elan]\nhidden=4\nfilters=8\nblocks=1\nconvs=1\n" + CONV
    # the entry's two convolutions and their route, a convolution, the join, the closing one
    for drawing in drawings(compile_text(text, "x.cfg")):
        assert list(drawing.groups.values()) == [[f"layer{index}" for index in range(2, 8)]]


def test_words_with_signs_of_the_language_stay_words() -> None:
    shown = scheme(compile_text(NET, "x.cfg"))
    strange = Caption('x"] -> {y};.cfg', "end\nsubgraph & <b>")
    assert Dot(dot_text(shown, strange)).read().edges
    lines = mermaid_text(shown, strange).splitlines()
    assert lines[1] == 'title: "x\\"] -> {y};.cfg: end?subgraph & <b>"'
    assert read_mermaid(mermaid_text(shown, strange)).edges


def test_the_same_network_gives_the_same_text() -> None:
    shown = (scheme(packaged("elan-nano")) for _ in range(2))
    first, second = ((dot_text(s, CAPTION), mermaid_text(s, CAPTION)) for s in shown)
    assert first == second
