"""Cfg text to sections and options: what is read, and exactly where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from yolo_gp.errors import CfgError, Diagnostic, Diagnostics, Severity, Source, Span
from yolo_gp.graph import Graph, compile_text
from yolo_gp.rules import Rule
from yolo_gp.syntax import CfgFile, parse_cfg

VALID = Path(__file__).parent / "data" / "valid"


def read(content: bytes | str) -> tuple[CfgFile, Diagnostics]:
    diagnostics = Diagnostics()
    return parse_cfg(content, "x.cfg", diagnostics), diagnostics


def clean(content: bytes | str) -> CfgFile:
    cfg, diagnostics = read(content)
    assert not diagnostics.sorted()
    return cfg


def place(span: Span) -> tuple[int, int, int]:
    """Line, column, length."""
    return (span.line, span.column, span.length)


# -- positions ---------------------------------------------------------------------------------


def test_a_header_spans_from_bracket_to_bracket() -> None:
    cfg = clean("[net]\n[route]\n")
    assert [(s.kind, place(s.span)) for s in cfg.sections] == [
        ("net", (1, 1, 5)),
        ("route", (2, 1, 7)),
    ]


def test_a_header_with_blanks_spans_them_but_its_kind_has_none() -> None:
    (section,) = clean("# first\n\n \t[ n et ]  \n").sections
    assert section.kind == "net"
    assert place(section.span) == (3, 3, 8)
    assert section.span.text == "[ n et ]"


def test_key_and_value_spans_cover_exactly_their_text() -> None:
    (option,) = clean("[net]\nwidth=416\n").sections[0].options
    assert (option.key, option.value) == ("width", "416")
    assert place(option.key_span) == (2, 1, 5)
    assert place(option.value_span) == (2, 7, 3)


def test_blanks_around_key_and_value_are_outside_their_spans() -> None:
    (option,) = clean("[net]\n  width  =   416   \n").sections[0].options
    assert (option.key, option.value) == ("width", "416")
    assert place(option.key_span) == (2, 3, 5)
    assert place(option.value_span) == (2, 14, 3)


def test_blanks_inside_key_and_value_are_inside_their_spans_but_not_read() -> None:
    (option,) = clean("[net]\nwi dth = 4 1\t6\n").sections[0].options
    assert (option.key, option.value) == ("width", "416")
    assert place(option.key_span) == (2, 1, 6)
    assert place(option.value_span) == (2, 10, 5)
    assert option.value_span.text == "4 1\t6"


def test_a_tab_is_one_column() -> None:
    (option,) = clean("[net]\n\twidth\t=\t416\n").sections[0].options
    assert place(option.key_span) == (2, 2, 5)
    assert place(option.value_span) == (2, 10, 3)


def test_columns_count_characters_not_bytes() -> None:
    content = "[net]\n# größer\nnäme=wörd\nwidth=416\n".encode()
    name, width = clean(content).sections[0].options
    assert (place(name.key_span), place(name.value_span)) == ((3, 1, 4), (3, 6, 4))
    assert place(width.value_span) == (4, 7, 3)


def test_each_element_of_a_list_has_its_own_place() -> None:
    (option,) = clean("[net]\nanchors = 10,13,  16 ,30\n").sections[0].options
    assert [(text, place(span)) for text, span in option.items()] == [
        ("10", (2, 11, 2)),
        ("13", (2, 14, 2)),
        ("16", (2, 19, 2)),
        ("30", (2, 23, 2)),
    ]
    assert all(span.text == text for text, span in option.items())


def test_an_element_with_a_blank_inside_keeps_it_in_its_span_only() -> None:
    (option,) = clean("[net]\nlayers= - 1, 2\n").sections[0].options
    (first, first_span), (second, second_span) = option.items()
    assert (first, second) == ("-1", "2")
    assert (place(first_span), place(second_span)) == ((2, 9, 3), (2, 14, 1))


def test_an_empty_element_stands_at_the_comma_that_ends_it() -> None:
    (option,) = clean("[net]\nlayers=-1,,-3\n").sections[0].options
    assert [(text, place(span)) for text, span in option.items()] == [
        ("-1", (2, 8, 2)),
        ("", (2, 11, 1)),
        ("-3", (2, 12, 2)),
    ]


def test_only_the_first_equals_sign_separates() -> None:
    (option,) = clean("[net]\nfoo=a = b\n").sections[0].options
    assert (option.key, option.value) == ("foo", "a=b")
    assert place(option.value_span) == (2, 5, 5)


@pytest.mark.parametrize("comment", ["# three", ";three", "#", "; a = b, c [net]"])
def test_a_comment_behind_a_value_is_not_part_of_it(comment: str) -> None:
    (option,) = clean(f"[net]\nchannels = 3  {comment}\n").sections[0].options
    assert option.value == "3"
    assert place(option.value_span) == (2, 12, 1)
    assert option.comment


def test_comment_lines_and_blank_lines_are_skipped_but_counted() -> None:
    cfg = clean("# a\n;b\n\n  \t\n[net]\n  # c = 1\n\t;d=2\nwidth=1\n")
    (section,) = cfg.sections
    assert place(section.span) == (5, 1, 5)
    assert [(o.key, o.key_span.line) for o in section.options] == [("width", 8)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_do_not_move_positions(end: str) -> None:
    cfg = clean(end.join(["[net]", "", "width=416", "[route]", "layers=-1", ""]))
    assert place(cfg.sections[0].options[0].value_span) == (3, 7, 3)
    assert place(cfg.sections[1].span) == (4, 1, 7)
    assert place(cfg.sections[1].options[0].value_span) == (5, 8, 2)


def test_lone_carriage_returns_split_lines_and_a_warning_says_so() -> None:
    cfg, diagnostics = read("[net]\rwidth=416\r")
    assert place(cfg.sections[0].options[0].value_span) == (2, 7, 3)
    assert [d.rule for d in diagnostics.sorted()] == [Rule.LINE_ENDS]


def test_a_byte_order_mark_does_not_move_the_first_column() -> None:
    cfg, diagnostics = read(b"\xef\xbb\xbf[net]\nwidth=416\n")
    assert place(cfg.sections[0].span) == (1, 1, 5)
    assert [d.rule for d in diagnostics.sorted()] == [Rule.BYTE_ORDER_MARK]


def test_the_last_line_needs_no_line_end() -> None:
    (option,) = clean("[net]\nwidth=416").sections[0].options
    assert (option.value, place(option.value_span)) == ("416", (2, 7, 3))


def test_a_line_without_equals_is_an_option_without_a_value() -> None:
    (option,) = read("[net]\n  width 416  \n")[0].sections[0].options
    assert (option.key, option.value) == ("width", None)
    assert place(option.value_span) == (2, 3, 9)


def test_options_belong_to_the_section_above_them() -> None:
    cfg = clean("[net]\na=1\n[route]\nb=2\nc=3\n[route]\n")
    keys = [(section.kind, [o.key for o in section.options]) for section in cfg.sections]
    assert keys == [("net", ["a"]), ("route", ["b", "c"]), ("route", [])]


def test_bytes_that_are_no_text_are_harmless_in_comments() -> None:
    cfg = clean(b"# \xff\xfe\x96\n[net]\n; \xe9 = 1\nwidth=416 # 10 \xb0\n")
    assert [o.value for o in cfg.sections[0].options] == ["416"]


def test_the_source_of_a_span_is_the_text_as_read() -> None:
    cfg = clean("[net]\nwidth=416\n")
    span = cfg.sections[0].options[0].value_span
    assert (span.file, span.text, str(span)) == ("x.cfg", "416", "x.cfg:2:7")
    assert span.source.line(1) == "[net]"
    assert span.source.line(0) == span.source.line(99) == ""


# -- excerpts ----------------------------------------------------------------------------------


def excerpt(line: str, column: int, length: int) -> tuple[str, str]:
    """The excerpt's line and carets, without the gutter."""
    span = Span(Source("x.cfg", (line,)), 1, column, length)
    _, shown, carets = Diagnostic(Rule.BAD_NUMBER, Severity.ERROR, span, "bad").render().split("\n")
    assert shown[:8] == "    1 | " and carets[:8] == "      | "
    return shown[8:], carets[8:]


def test_carets_stand_under_the_span() -> None:
    assert excerpt("filters=3x2", 9, 3) == ("filters=3x2", "        ^^^")


def test_a_tab_is_shown_as_one_blank_so_that_carets_stay_aligned() -> None:
    assert excerpt("\tfilters\t=3x2", 11, 3) == (" filters =3x2", "          ^^^")


def test_control_characters_are_not_sent_to_the_terminal() -> None:
    assert excerpt("a=\x1b[31m\x07", 3, 6) == ("a=?[31m?", "  ^^^^^^")


def test_a_long_line_is_cut_round_the_span() -> None:
    line = "layers=" + "-1," * 300 + "here" + ",-1" * 300
    column = line.index("here") + 1
    shown, carets = excerpt(line, column, 4)
    assert len(shown) <= 160
    start = carets.index("^")
    assert shown[start : start + 4] == "here"
    assert carets.strip() == "^^^^"


def test_carets_do_not_run_past_the_shown_line() -> None:
    shown, carets = excerpt("x" * 1000, 1, 1000)
    assert len(carets) <= len(shown) <= 160


# -- legal oddities ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """Input (C, H, W), then kind and output (C, H, W) of each layer, then the warnings."""

    input: tuple[int, int, int]
    layers: tuple[tuple[str, tuple[int, int, int]], ...]
    warnings: tuple[tuple[Rule, int], ...] = ()  # with their lines


NETWORKS = {
    # 64x48 halved by a padded 3x3; twice 12 channels are 24 = 4 * (1 + 5)
    "blanks_everywhere": Expected(
        (3, 48, 64),
        (
            ("convolutional", (12, 24, 32)),
            ("route", (24, 24, 32)),
            ("yolo", (24, 24, 32)),
        ),
    ),
    "short_section_names": Expected(
        (3, 32, 32),
        (
            ("convolutional", (8, 32, 32)),
            ("maxpool", (8, 16, 16)),
            ("local_avgpool", (8, 8, 8)),
            ("avgpool", (8, 1, 1)),
            ("connected", (10, 1, 1)),
            ("softmax", (10, 1, 1)),
        ),
    ),
    "windows_line_ends": Expected(
        (3, 32, 32), (("convolutional", (8, 32, 32)), ("route", (16, 32, 32)))
    ),
    "no_final_newline": Expected((3, 32, 32), (("maxpool", (3, 16, 16)),)),
    "comments": Expected((3, 32, 32), (("convolutional", (16, 32, 32)),)),
    # height 32 / 2 = 16, width 60 / 3 = 20; then a window of 2 with one pixel of padding:
    # (16 + 1 - 2) // 2 + 1 = 8, (20 + 1 - 2) // 1 + 1 = 20; then a window of 1:
    # (8 - 1) // 2 + 1 = 4, (20 - 1) // 4 + 1 = 5
    "strides_per_axis": Expected(
        (3, 32, 60),
        (
            ("convolutional", (4, 16, 20)),
            ("maxpool", (4, 8, 20)),
            ("convolutional", (6, 4, 5)),
        ),
    ),
    # width=32, filters=8, stride=2: the first of each
    "repeated_keys": Expected(
        (3, 32, 32),
        (("convolutional", (8, 16, 16)),),
        ((Rule.REPEATED_KEY, 3), (Rule.REPEATED_KEY, 10), (Rule.REPEATED_KEY, 11)),
    ),
    # layer 3 takes the second half of layers 2 (8), 1 (4) and 0 (8): 4 + 2 + 4
    "references": Expected(
        (3, 32, 32),
        (
            ("convolutional", (8, 32, 32)),
            ("convolutional", (4, 32, 32)),
            ("route", (8, 32, 32)),
            ("route", (10, 32, 32)),
            ("shortcut", (10, 32, 32)),
        ),
    ),
    "flat_input": Expected((12, 1, 1), (("connected", (7, 1, 1)),), ((Rule.NO_SPATIAL_LAYER, 1),)),
    "signs_and_numbers": Expected(
        (3, 32, 32),
        (
            ("dropout", (3, 32, 32)),
            ("upsample", (3, 64, 64)),
            ("convolutional", (8, 64, 64)),
            ("upsample", (8, 32, 32)),
        ),
    ),
}


def compiled(name: str) -> Graph:
    return compile_text((VALID / f"{name}.cfg").read_bytes(), f"{name}.cfg")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_legal_oddity_compiles_to_the_network_that_darknet_reads(name: str) -> None:
    expected = NETWORKS[name]
    graph = compiled(name)
    shape = graph.input_shape
    assert (shape.channels, *shape.size) == expected.input
    layers = tuple(
        (node.layer.kind, (node.output_shape.channels, *node.output_shape.size))
        for node in graph.nodes
    )
    assert layers == expected.layers
    assert tuple((w.rule, w.span.line) for w in graph.warnings) == expected.warnings


def test_every_valid_cfg_has_its_network_here() -> None:
    assert {path.stem for path in VALID.glob("*.cfg")} == set(NETWORKS)


def test_references_count_from_layer_0_and_backwards_from_their_section() -> None:
    sources = [[edge.source for edge in node.inputs] for node in compiled("references").nodes]
    assert sources == [[-1], [0], [0], [2, 1, 0], [3, 0, 1]]


def test_blanks_inside_an_activation_do_not_count() -> None:
    assert compiled("blanks_everywhere").nodes[0].layer.label() == "3x3/2 leaky"


def test_any_non_zero_switch_is_on() -> None:
    # batch norm: scale and shift of 8 filters beside 3 * 8 weights; without it 8 biases
    assert compiled("signs_and_numbers").nodes[2].cost.params == 3 * 8 + 2 * 8


def test_an_input_size_in_place_of_the_cfgs_gives_other_shapes() -> None:
    content = (VALID / "no_final_newline.cfg").read_bytes()
    graph = compile_text(content, "x.cfg", input_size=(20, 40))
    assert graph.input_shape.size == (20, 40)
    assert graph.nodes[0].output_shape.size == (10, 20)


def test_an_input_size_that_the_layers_cannot_take_is_a_cfg_error() -> None:
    content = b"[net]\nwidth=32\nheight=32\nchannels=4\n[reorg]\nstride=2\n"
    with pytest.raises(CfgError, match="stride=2 does not divide the input, which is 33x32"):
        compile_text(content, "x.cfg", input_size=(33, 32))
