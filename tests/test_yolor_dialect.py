"""Which dialect a cfg is read in, how it is told, and what each refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.dialect import Dialect, parse_dialect
from yolo_gp.errors import CfgError, Diagnostics, UsageError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.layers.yolo import Yolo
from yolo_gp.plain import write_plain
from yolo_gp.spec import choose_dialect
from yolo_gp.syntax import parse_cfg

NET = "[net]\nchannels=3\nheight=8\nwidth=8\n"
NORMED = "[convolutional]\nbatch_normalize=1\nfilters=4\nactivation=leaky\n"
VECTOR = "[implicit_add]\nfilters=4\n"
YOLO = "[convolutional]\nfilters=7\nactivation={}\n[yolo]\nclasses=2\nnum=1\nanchors=3,4\n"


def compiled(sections: str, dialect: Dialect | None = None, net: str = NET) -> Graph:
    return compile_text(net + sections, "test.cfg", dialect=dialect)


def failure(sections: str, dialect: Dialect | None = None) -> str:
    with pytest.raises(CfgError) as caught:
        compiled(sections, dialect)
    return str(caught.value)


# -- which -----------------------------------------------------------------------------------------

KINDS = """implicit_add implicit_mul implicit_cat implicit_add_2d implicit_mul_2d implicit_cat_2d
shift_channels control_channels alternate_channels select_channels shift_channels_2d
control_channels_2d alternate_channels_2d select_channels_2d route_lhalf route2 route3
BatchNorm2d""".split()


def told_by(text: str) -> Dialect:
    """The dialect that a file tells, whether or not it compiles."""
    return choose_dialect(parse_cfg(NET + text, "test.cfg", Diagnostics()), Diagnostics())


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_only_yolor_has_makes_the_file_one_of_its_dialect(kind: str) -> None:
    assert told_by(f"{NORMED}[{kind}]\n") is Dialect.YOLOR


@pytest.mark.parametrize("sections", ["[silence]\n", "[reorg]\nstride=2\n", "[batchnorm]\n"])
def test_kinds_that_darknet_has_too_do_not(sections: str) -> None:
    assert compiled(NORMED + sections).dialect is Dialect.DARKNET


def test_the_whole_file_is_read_so_from_its_first_section_on() -> None:
    graph = compiled(f"{NORMED}{VECTOR}")
    assert {node.layer.common.dialect for node in graph.nodes} == {Dialect.YOLOR}


def test_silu_tells_the_dialect_too_and_the_reader_learns_what_that_means() -> None:
    graph = compiled(NORMED.replace("leaky", "silu"))
    assert graph.dialect is Dialect.YOLOR
    (warning,) = graph.warnings
    assert warning.render().splitlines() == [
        "test.cfg:8:12: warning: activation=silu is none of Darknet's, so the whole file is read "
        "as YOLOR's code reads it: batch norm, max pools and [yolo] differ [YG114]",
        "    8 | activation=silu",
        "      |            ^^^^",
        "help: say dialect=yolor in [net] if that is meant, activation=swish if not",
    ]


def test_silu_needs_no_warning_where_a_section_or_net_tells() -> None:
    silu = NORMED.replace("leaky", "silu")
    assert compiled(silu + VECTOR).warnings == ()
    assert compiled(silu, net=f"{NET}dialect=yolor\n").warnings == ()
    assert compiled(silu, Dialect.YOLOR).warnings == ()


def test_net_and_the_caller_can_say_it_and_the_caller_counts() -> None:
    net = f"{NET}dialect=yolor\n"
    assert compiled(NORMED, net=net).dialect is Dialect.YOLOR
    assert compiled(NORMED, Dialect.DARKNET, net=net).dialect is Dialect.DARKNET
    assert compiled(NORMED, Dialect.YOLOR).dialect is Dialect.YOLOR
    assert compiled(NORMED).dialect is Dialect.DARKNET


def test_a_dialect_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(CfgError) as caught:
        compiled(NORMED, net=f"{NET}dialect=yolo\n")
    assert str(caught.value).splitlines()[0] == (
        "test.cfg:5:9: error: [net] dialect=yolo is no dialect that exists [YG106]"
    )
    with pytest.raises(UsageError) as refused:
        parse_dialect("yolo")
    assert str(refused.value) == (
        "there is no dialect yolo\nexpected: one of darknet, yolor\nhelp: did you mean yolor?"
    )
    assert (parse_dialect(None), parse_dialect("yolor")) == (None, Dialect.YOLOR)


def test_in_darknets_dialect_its_sections_are_errors_that_say_what_to_do() -> None:
    text = failure(f"{NORMED}{VECTOR}", Dialect.DARKNET)
    assert text.splitlines() == [
        "test.cfg:9:1: error: [implicit_add] is a section of the YOLOR dialect; the file is to be "
        "read as Darknet's [YG114]",
        "    9 | [implicit_add]",
        "      | ^^^^^^^^^^^^^^",
        "expected: sections that Darknet knows",
        "help: read it with --dialect yolor, or dialect=yolor in [net]",
    ]
    assert "activation=silu is no activation that exists" in failure(
        NORMED.replace("leaky", "silu"), Dialect.DARKNET
    )


@pytest.mark.parametrize("kind", ["dwt", "jde", "deformableconvolutional"])
def test_kinds_of_yolor_that_we_lack_are_refused_by_name(kind: str) -> None:
    assert failure(f"{NORMED}[{kind}]\n").startswith(
        f"test.cfg:9:1: error: [{kind}] is a YOLOR section that this version cannot compile [YG109]"
    )


def test_kernels_of_two_sizes_are_refused_by_name() -> None:
    mixed = "[convolutional]\nfilters=4\nsize=3,5\nactivation=linear\n"
    assert failure(mixed + VECTOR).startswith(
        "test.cfg:7:6: error: [convolutional] size=3,5: kernels of several sizes in one section "
        "(MixConv) are not supported [YG109]\n"
    )


# -- equal keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dialect", "counts"), [(Dialect.YOLOR, 6), (Dialect.DARKNET, 4)])
def test_of_equal_keys_the_last_counts_and_darknets_first(dialect: Dialect, counts: int) -> None:
    graph = compiled("[convolutional]\nfilters=4\nfilters=6\nactivation=linear\n", dialect)
    assert graph.nodes[0].output_shape.channels == counts
    code = "YOLOR's code" if dialect is Dialect.YOLOR else "Darknet"
    (warning,) = graph.warnings
    assert warning.message == (
        f"filters=6 repeats the key of line 6; filters={counts} counts, as in {code}"
    )


def test_of_three_equal_keys_the_last_counts_in_net_too() -> None:
    graph = compiled(NORMED, Dialect.YOLOR, net=f"{NET}height=16\nheight=32\n")
    assert graph.input_shape.size == (32, 8)


# -- what hangs on it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "same"),
    [
        ("[convolutional]\nfilters=4\nactivation=leaky\n[route]\nlayers=-1\n", True),
        ("[maxpool]\nsize=5\nstride=1\n", True),
        (NORMED, False),
        ("[maxpool]\nsize=2\nstride=1\n", False),
        ("[maxpool]\nsize=2\nstride=2\n", False),
        ("[convolutional]\nfilters=4\nactivation=leaky\n[reorg]\nstride=2\n", False),
        (YOLO.format("linear"), False),
    ],
)
def test_the_fingerprint_tells_dialects_apart_where_they_compute_otherwise(
    sections: str, same: bool
) -> None:
    prints = {compiled(sections, dialect).fingerprint for dialect in Dialect}
    assert len(prints) == (1 if same else 2)


def test_text_that_leaves_the_program_says_its_dialect_where_nothing_else_does() -> None:
    text = NET + NORMED
    given = compile_text(text, "test.cfg", dialect=Dialect.YOLOR)
    assert given.cfg_text == text.replace("[net]\n", "[net]\ndialect=yolor\n")
    assert compile_text(given.cfg_text, "again.cfg").fingerprint == given.fingerprint
    assert compile_text(text, "test.cfg", dialect=Dialect.DARKNET).cfg_text == text
    told = f"{text}{VECTOR}"
    assert compile_text(told, "test.cfg", dialect=Dialect.YOLOR).cfg_text == told


def test_no_plain_cfg_says_the_same() -> None:
    graph = compiled(NORMED + VECTOR)
    with pytest.raises(CfgError) as caught:
        write_plain(graph.cfg_text.encode(), graph)
    assert str(caught.value).splitlines()[0] == (
        "test.cfg:1:1: error: the file is read as YOLOR's code reads it, which no cfg for Darknet "
        "can say: batch norm, max pools and [yolo] differ [YG111]"
    )


def test_macros_are_written_out_in_the_dialect_of_their_file() -> None:
    graph = compiled(f"{NORMED}[csp]\nfilters=8\nactivation=silu\n{VECTOR}")
    assert {node.layer.common.dialect for node in graph.nodes} == {Dialect.YOLOR}
    assert "swish" in {getattr(node.layer, "activation", "") for node in graph.nodes}


# -- heads -----------------------------------------------------------------------------------------


def test_the_convolution_before_a_head_is_linear_whatever_it_says() -> None:
    graph = compiled(YOLO.format("logistic"), Dialect.YOLOR)
    assert "linear" in graph.nodes[0].layer.label()
    (warning,) = graph.warnings
    assert warning.message == (
        "[convolutional] activation=logistic has no effect before a head of the YOLOR dialect, "
        "which takes the sigmoids itself"
    )
    assert warning.span.line == 7
    assert compiled(YOLO.format("linear"), Dialect.YOLOR).warnings == ()
    assert "logistic" in compiled(YOLO.format("logistic")).nodes[0].layer.label()


def test_keys_that_a_head_does_not_heed_are_no_findings() -> None:
    keys = "scale_x_y=1.05\nnew_coords=0\nfrom=1,2\n"
    graph = compiled(YOLO.format("linear") + keys, Dialect.YOLOR)
    assert graph.warnings == ()
    (head,) = (head for _, head in graph.heads)
    assert isinstance(head, Yolo)
    assert not head.arrives_activated


def test_a_file_of_darknets_can_be_read_in_yolors_way(shared: Path) -> None:
    path = shared / "data/cfg-corpus/AlexeyAB-darknet/yolov4-csp.cfg"
    theirs = read_graph(path, dialect=Dialect.YOLOR)
    darknets = read_graph(path)
    assert theirs.total.params == darknets.total.params
    assert [n.output_shape for n in theirs.nodes] == [n.output_shape for n in darknets.nodes]
    assert theirs.fingerprint != darknets.fingerprint
    assert all("activation=logistic has no effect" in w.message for w in theirs.warnings)
    assert len(theirs.warnings) == 3
