"""Whatever the bytes: a graph or diagnostics come out, soon, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolo_gp.errors import CfgError, Severity
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers import LAYERS, UNSUPPORTED
from yolo_gp.layers.activations import ACTIVATIONS
from yolo_gp.syntax import MAX_BYTES

PROJECT = Path(__file__).parent.parent
SECONDS_PER_EXAMPLE = 20.0  # a hang, not a speed: alone an example takes milliseconds


def fuzz(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def check(content: bytes | str) -> None:
    """Compile; the result must be a sound graph or well-formed diagnostics, in good time."""
    started = time.perf_counter()
    try:
        graph = compile_text(content, "fuzz.cfg")
    except CfgError as error:
        diagnostics = error.diagnostics
        assert any(d.severity is Severity.ERROR for d in diagnostics)
        assert str(error).startswith(diagnostics[0].render())
    else:
        diagnostics = list(graph.warnings)
        assert all(d.severity is Severity.WARNING for d in diagnostics)
        check_graph(graph)
    rendered = [d.render() for d in diagnostics]
    assert len(set(rendered)) == len(rendered), "the same finding twice"
    for diagnostic, text in zip(diagnostics, rendered, strict=True):
        assert text.startswith("fuzz.cfg:")
        assert all(c.isprintable() or c == "\n" for c in text)
        assert len(text) < 5000
        line = diagnostic.span.source.line(diagnostic.span.line)
        assert diagnostic.span.line >= 1
        assert diagnostic.span.column >= 1
        assert not line or diagnostic.span.column <= len(line) + 1
    assert time.perf_counter() - started < SECONDS_PER_EXAMPLE


def check_graph(graph: Graph) -> None:
    assert graph.nodes
    for node in graph.nodes:
        assert all(edge.source < node.index for edge in node.inputs)
        assert min(node.output_shape.channels, *node.output_shape.size) >= 1
        assert node.cost.activations == node.output_shape.elements
    assert graph.total.params >= 0 and graph.total.macs >= 0
    assert len(graph.users) == len(graph.nodes)
    assert graph.output_edges
    assert graph.stride >= 1


# -- bytes and text ----------------------------------------------------------------------------


@fuzz(400)
@given(st.binary(max_size=300))
def test_random_bytes_give_diagnostics(content: bytes) -> None:
    check(content)


@fuzz(300)
@given(st.binary(max_size=200))
def test_random_bytes_behind_a_good_start_give_a_graph_or_diagnostics(content: bytes) -> None:
    check(b"[net]\nwidth=32\nheight=32\nchannels=3\n[maxpool]\nstride=2\n" + content)


@fuzz(400)
@given(st.text("[]=,;#\n\r\t\v\f -+.e0123456789netcovluiayrsmx\x00\x1b\x85\xa0\u2028\ufeff\ufffdé"))
def test_random_text_of_a_cfgs_characters_gives_diagnostics(content: str) -> None:
    check(content)


# -- random sections ---------------------------------------------------------------------------

KINDS = sorted(LAYERS) + sorted(UNSUPPORTED)[:4] + ["net", "maxpol", ""]
KEYS = sorted(
    """activation anchors antialiasing batch_normalize beta_nms cbn classes dilation dontload extra
    filters flipped from group_id groups kind layers mask maxpool_depth momentum new_coords
    nms_kind num output pad padding probability reverse scale scale_wh scale_x_y share_index size
    spatial stride stride_x stride_y temperature tree weights_normalization weights_type width
    xnor""".split()
)
NUMBERS = st.one_of(
    st.integers(-4, 9), st.sampled_from([12, 18, 255, 1024, 65536, 2**31, 10**13, -(10**13)])
).map(str)
VALUES = st.one_of(
    NUMBERS,
    st.lists(NUMBERS, max_size=6).map(",".join),
    st.floats(width=32).map(str),
    st.sampled_from([*sorted(ACTIVATIONS), "greedynms", "per_channel", "softmax", "relu", "l,1"]),
    st.text("0123456789-,.;# \té\x1b", max_size=8),
)
OPTIONS = st.builds("{}={}".format, st.sampled_from(KEYS), VALUES)
LINES = st.one_of(OPTIONS, OPTIONS, OPTIONS, st.sampled_from([*KEYS, "=3", "# c", "filters 3"]))
SECTIONS = st.builds(
    lambda kind, lines: f"[{kind}]\n" + "".join(line + "\n" for line in lines),
    st.sampled_from(KINDS),
    st.lists(LINES, max_size=5),
)


@fuzz(600)
@given(st.sampled_from([1, 2, 13, 32, 416]), st.lists(SECTIONS, max_size=8))
def test_random_sections_with_random_options_give_a_graph_or_diagnostics(
    size: int, sections: list[str]
) -> None:
    check(f"[net]\nwidth={size}\nheight=32\nchannels=4\n" + "".join(sections))


# -- random edits of real cfgs -----------------------------------------------------------------

POSITION = st.floats(0.0, 1.0, exclude_max=True)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("delete line"), POSITION),
        st.tuples(st.just("duplicate line"), POSITION),
        st.tuples(st.just("swap lines"), POSITION, POSITION),
        st.tuples(st.just("change digit"), POSITION, st.sampled_from("0123456789-x")),
        st.tuples(st.just("insert"), POSITION, st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("insert"), POSITION, st.sampled_from([b"\n", b",", b"=", b"[", b" "])),
        st.tuples(st.just("truncate"), POSITION),
    ),
    min_size=1,
    max_size=6,
)


def edited(content: bytes, edits: list[tuple[object, ...]]) -> bytes:
    """The content after each edit in turn; a position is a fraction of the file."""
    for what, where, *rest in edits:
        assert isinstance(where, float)
        lines = content.split(b"\n")
        row = int(where * len(lines))
        if what == "delete line":
            del lines[row]
        elif what == "duplicate line":
            lines.insert(row, lines[row])
        elif what == "swap lines":
            assert isinstance(rest[0], float)
            other = int(rest[0] * len(lines))
            lines[row], lines[other] = lines[other], lines[row]
        content = b"\n".join(lines)
        if what == "change digit":
            digits = [match.start() for match in re.finditer(rb"[0-9]", content)]
            if digits:
                place = digits[int(where * len(digits))]
                content = content[:place] + str(rest[0]).encode() + content[place + 1 :]
        elif what == "insert":
            assert isinstance(rest[0], bytes)
            place = int(where * len(content))
            content = content[:place] + rest[0] + content[place:]
        elif what == "truncate":
            content = content[: int(where * len(content))]
    return content


def test_the_edits_edit() -> None:
    text = b"a=1\nb=2\nc=3"
    assert edited(text, [("delete line", 0.0)]) == b"b=2\nc=3"
    assert edited(text, [("duplicate line", 0.5)]) == b"a=1\nb=2\nb=2\nc=3"
    assert edited(text, [("swap lines", 0.0, 0.9)]) == b"c=3\nb=2\na=1"
    assert edited(text, [("change digit", 0.4, "x")]) == b"a=1\nb=x\nc=3"
    assert edited(text, [("insert", 0.0, b"[")]) == b"[a=1\nb=2\nc=3"
    assert edited(text, [("truncate", 0.5)]) == b"a=1\nb"


@fuzz(150)
@given(EDITS)
def test_random_edits_of_our_own_cfg_give_a_graph_or_diagnostics(
    edits: list[tuple[object, ...]],
) -> None:
    check(edited((PROJECT / "cfg" / "elan-nano.cfg").read_bytes(), edits))


CORPUS = (
    "yolov4-tiny",  # route groups
    "yolov3-tiny-prn",  # shortcuts of unequal channels
    "enet-coco",  # scale_channels, swish
    "yolov2-tiny",  # a head that another version compiles
    "cifar",  # a classifier
)


@pytest.mark.parametrize("name", CORPUS)
def test_random_edits_of_a_corpus_cfg_give_a_graph_or_diagnostics(shared: Path, name: str) -> None:
    content = (shared / f"data/cfg-corpus/AlexeyAB-darknet/{name}.cfg").read_bytes()

    @fuzz(30)
    @given(EDITS)
    def check_edits(edits: list[tuple[object, ...]]) -> None:
        check(edited(content, edits))

    check_edits()


# -- inputs made to hurt -----------------------------------------------------------------------

SECONDS = 60  # a hang, not a speed: alone they take one or two
MEGABYTES = 500

COMPILE = """
import sys
from yolo_gp.errors import CfgError
from yolo_gp.graph import compile_text
content = sys.stdin.buffer.read()
try:
    text = "".join(warning.render() for warning in compile_text(content, "hurt.cfg").warnings)
except CfgError as error:
    text = str(error)
assert len(text) < 1_000_000, "a megabyte of messages"
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak[0].split()[1]) // 1024)
"""

NET = "[net]\nwidth=64\nheight=64\nchannels=3\n"
BAD = "[convolutional]\nfilters=8x\nactivation=linear\n"  # gives an unknown shape
WIDE = "[convolutional]\nfilters=65536\nactivation=linear\n"
SHARING = "[convolutional]\nfilters=3\nactivation=linear\nshare_index=-1\n"
ROUTE = "[route]\nlayers="


def full(head: str, unit: str, tail: str = "") -> str:
    """As many units between head and tail as a cfg may have bytes."""
    return head + unit * ((MAX_BYTES - len(head) - len(tail)) // len(unit)) + tail


def numbered(head: str, line: str, count: int) -> str:
    return head + "".join(line.format(i) for i in range(count))


HURTING: dict[str, Callable[[], str | bytes]] = {
    # beyond what a cfg may be
    "a megabyte of brackets": lambda: "[" * 1_000_000,
    "a million short sections": lambda: "[a]\n" * 1_000_000,
    "a line of four megabytes": lambda: NET + "x" * 4_000_000,
    "a list of a million numbers": lambda: NET + ROUTE + "0," * 1_000_000,
    "a hundred thousand repeated keys": lambda: NET + "filters=3\n" * 100_000,
    # one line
    "one word": lambda: full(NET, "x"),
    "one value": lambda: full(NET + "width=", "1"),
    "one fraction": lambda: full(NET + "[upsample]\nscale=0.", "1"),
    "one number of an unsupported option": lambda: full(NET + "[reorg]\nextra=", "0", "1"),
    "one line of blanks": lambda: full(NET, " ", "x"),
    "one line of equals signs": lambda: full(NET, "="),
    "one list of commas": lambda: full(NET + ROUTE, ","),
    "one list of anchors without commas": lambda: full(NET + "[yolo]\nanchors=", "1 "),
    "one mask": lambda: full(NET + "[yolo]\nmask=", "0,"),
    "bytes that are no text": lambda: b"\xff" * (MAX_BYTES - 1),
    # many lines
    "line ends": lambda: full(NET, "\n"),
    "carriage returns": lambda: full("", "\r"),
    "comments": lambda: full(NET, "#\n"),
    "lines outside sections": lambda: full("", "x\n"),
    "ninety thousand line ends": lambda: NET + "\n" * 90_000,
    "ninety thousand repeated keys": lambda: NET + "batch=3\n" * 90_000,
    "ninety thousand unknown keys": lambda: numbered(NET, "mosa{}=1\n", 90_000)[:MAX_BYTES],
    "ninety thousand lines without equals": lambda: numbered(NET, "mosa{}\n", 90_000)[:MAX_BYTES],
    # many sections
    "ninety thousand layers": lambda: NET + "[cost]\n" * 90_000,
    "ten thousand unknown sections": lambda: numbered(NET, "[convol{}]\n", 9_990),
    "long lists": lambda: full(NET, ROUTE + "0," * 9_999 + "0\n"),
    "long lists of anchors": lambda: full(NET, "[yolo]\nnum=1024\nanchors=" + "1," * 2047 + "1\n"),
    "shared weights": lambda: NET + SHARING.replace("share_index=-1\n", "") + SHARING * 9_000,
    "references to sizes that differ": lambda: (
        NET
        + "[convolutional]\nactivation=linear\n" * 5_000
        + "[maxpool]\nstride=2\n"
        + (ROUTE + "0," * 9_000 + "5000\n") * 5
    ),
    # shapes that are partly unknown, and grow
    "sizes of thousands of digits": lambda: (
        NET
        + WIDE
        + BAD
        + ROUTE
        + "-2,-1\n"
        + "[upsample]\nstride=1024\n" * 2_000
        + ROUTE
        + "-1,0\n"
    ),
    "channels of thousands of digits": lambda: (
        NET + BAD + WIDE + "[reorg]\nstride=256\n" * 1_000 + "[yolo]\nanchors=10,13\n"
    ),
    "doubled channels": lambda: NET + BAD + WIDE + (ROUTE + "-1,-1\n") * 9_000,
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads its memory from /proc")
@pytest.mark.parametrize("name", HURTING)
def test_an_input_made_to_hurt_takes_seconds_and_little_memory(name: str) -> None:
    content = HURTING[name]()
    try:
        done = subprocess.run(
            [sys.executable, "-c", COMPILE],
            input=content if isinstance(content, bytes) else content.encode(),
            capture_output=True,
            timeout=SECONDS,
            cwd=PROJECT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"more than {SECONDS} s")
    assert done.returncode == 0, done.stderr.decode()[-1000:]
    assert int(done.stdout) < MEGABYTES
