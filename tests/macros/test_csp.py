"""[csp]: its expansions, written out by hand after zoo.md C.4, and all it has to complain of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from yolo_gp.graph import compile_text

Expand = Callable[[str], list[str]]
Complaint = Callable[[str], str]

OWN_ENTRY = [
    "conv 4 1x1 < 0",  # 1: cross
    "route < 0",
    "conv 4 1x1 < 2",  # 3: main
]
DARK_BLOCK = [
    "conv 4 1x1 < 3",
    "conv 4 3x3 < 4",
    "add linear < 5, 3",  # 6
]


# -- entries ---------------------------------------------------------------------------------------


def test_by_default_both_paths_get_half_of_the_filters_and_a_transition_each(
    expand: Expand,
) -> None:
    assert expand("[csp]\nfilters=8\nrepeat=2\n") == [
        *OWN_ENTRY,
        *DARK_BLOCK,
        "conv 4 1x1 < 6",
        "conv 4 3x3 < 7",
        "add linear < 8, 6",
        "conv 4 1x1 < 9",
        "route < 10, 1",
        "conv 8 1x1 < 11",
    ]


def test_a_shared_entry_is_one_convolution_before_the_paths_part(expand: Expand) -> None:
    """B(f) of YOLOR-CSP's neck: hidden and cross are as wide as the filters."""
    assert expand("[csp]\nfilters=8\nentry=shared\nblock=plain\nrepeat=2\nfusion=first\n") == [
        "conv 8 1x1 < 0",
        "conv 8 1x1 < 1",
        "route < 1",
        "conv 8 1x1 < 3",
        "conv 8 3x3 < 4",
        "conv 8 1x1 < 5",
        "conv 8 3x3 < 6",
        "route < 7, 2",
        "conv 8 1x1 < 8",
    ]


def test_a_sliced_entry_lets_the_leading_channels_cross_without_a_convolution(
    expand: Expand,
) -> None:
    assert expand("[csp]\nfilters=8\nentry=slice\nblock=plain\n") == [
        "slice 0 of 2 < 0",
        "slice 1 of 2 < 0",
        "conv 4 1x1 < 2",
        "conv 4 3x3 < 3",
        "conv 4 1x1 < 4",
        "route < 5, 1",
        "conv 8 1x1 < 6",
    ]


def test_a_sliced_entry_of_a_quarter_joins_three_slices_to_the_cross_path(expand: Expand) -> None:
    assert expand("[csp]\nfilters=8\nentry=slice\nsplit=.25\nrepeat=0\nfusion=none\n") == [
        "slice 0 of 4 < 0",
        "slice 1 of 4 < 0",
        "slice 2 of 4 < 0",
        "route < 1, 2, 3",
        "slice 3 of 4 < 0",
        "route < 5, 4",
    ]


def test_a_sliced_entry_of_three_quarters_joins_three_slices_to_the_main_path(
    expand: Expand,
) -> None:
    assert expand("[csp]\nfilters=8\nentry=slice\nsplit=.75\nrepeat=0\nfusion=last\n") == [
        "slice 0 of 4 < 0",
        "slice 1 of 4 < 0",
        "slice 2 of 4 < 0",
        "slice 3 of 4 < 0",
        "route < 2, 3, 4",
        "conv 6 1x1 < 5",
        "route < 6, 1",
    ]


def test_hidden_and_cross_set_the_widths_of_the_paths(expand: Expand) -> None:
    """Stage 1 of CSPDarknet-53, at an eighth of its width."""
    assert expand("[csp]\nfilters=8\ncross=8\nhidden=8\nwidth=4\n") == [
        "conv 8 1x1 < 0",
        "route < 0",
        "conv 8 1x1 < 2",
        "conv 4 1x1 < 3",
        "conv 8 3x3 < 4",
        "add linear < 5, 3",
        "conv 8 1x1 < 6",
        "route < 7, 1",
        "conv 8 1x1 < 8",
    ]


def test_hidden_alone_leaves_the_rest_of_the_filters_to_the_cross_path(expand: Expand) -> None:
    assert expand("[csp]\nfilters=8\nhidden=3\nrepeat=0\nfusion=none\n") == [
        "conv 5 1x1 < 0",
        "route < 0",
        "conv 3 1x1 < 2",
        "route < 3, 1",
    ]


def test_the_first_section_of_a_file_splits_the_image() -> None:
    text = "[net]\nchannels=8\nheight=4\nwidth=4\n[csp]\nfilters=8\nrepeat=0\nfusion=none\n"
    graph = compile_text(text, "m.cfg")
    assert [[edge.source for edge in node.inputs] for node in graph.nodes] == [
        [-1],
        [-1],
        [1],
        [2, 0],
    ]


@pytest.mark.parametrize(
    ("split", "filters", "hidden"),
    [
        (".5", 8, 4),
        (".25", 10, 3),  # floor(2.5 + 0.5)
        (".2", 8, 2),  # floor(1.6 + 0.5)
        (".15", 9, 1),  # floor(1.35 + 0.5)
        (".35", 10, 4),  # floor(3.5 + 0.5), although 0.35 is less than that in float32
        (".29", 50, 15),  # floor(14.5 + 0.5), although 0.29 * 50 is less than that in float64
        (".01", 8, 1),  # at least one
    ],
)
def test_a_split_is_rounded_half_up(expand: Expand, split: str, filters: int, hidden: int) -> None:
    found = expand(f"[csp]\nfilters={filters}\nsplit={split}\nrepeat=0\nfusion=none\n")
    assert found[0] == f"conv {filters - hidden} 1x1 < 0"
    assert found[2] == f"conv {hidden} 1x1 < 2"


# -- fusions ---------------------------------------------------------------------------------------


def test_fusion_first_has_no_transition_before_the_join(expand: Expand) -> None:
    tail = ["route < 6, 1", "conv 8 1x1 < 7"]
    assert expand("[csp]\nfilters=8\nfusion=first\n") == [*OWN_ENTRY, *DARK_BLOCK, *tail]


def test_fusion_last_has_no_transition_after_the_join(expand: Expand) -> None:
    tail = ["conv 4 1x1 < 6", "route < 7, 1"]
    assert expand("[csp]\nfilters=8\nfusion=last\n") == [*OWN_ENTRY, *DARK_BLOCK, *tail]


def test_fusion_none_has_no_transition(expand: Expand) -> None:
    tail = ["route < 6, 1"]
    assert expand("[csp]\nfilters=8\nfusion=none\n") == [*OWN_ENTRY, *DARK_BLOCK, *tail]


def test_transition_sets_the_width_before_the_join(expand: Expand) -> None:
    found = expand("[csp]\nfilters=8\nrepeat=0\ntransition=2\n")
    assert found == [*OWN_ENTRY, "conv 2 1x1 < 3", "route < 4, 1", "conv 8 1x1 < 5"]


@pytest.mark.parametrize(
    ("fusion", "lengths"),
    [("normal", (4, 8)), ("first", (3, 7)), ("last", (3, 7)), ("none", (2, 6))],
)
def test_fusions_have_the_path_lengths_of_the_specification(
    path_lengths: Callable[[str], tuple[int, int]], fusion: str, lengths: tuple[int, int]
) -> None:
    """gradient-paths.md, fact 5: two residual blocks behind one layer."""
    keys = "filters=8\nrepeat=2\nkernels=1,1\nbatch_normalize=0\nactivation=linear\n"
    assert path_lengths(f"[csp]\n{keys}fusion={fusion}\n") == lengths


# -- blocks ----------------------------------------------------------------------------------------


def test_a_plain_block_adds_nothing(expand: Expand) -> None:
    found = expand("[csp]\nfilters=8\nblock=plain\nfusion=none\n")
    assert found == [*OWN_ENTRY, *DARK_BLOCK[:2], "route < 5, 1"]


def test_a_res_block_activates_after_the_sum(expand: Expand) -> None:
    """Stage 1 of CSPResNeXt-50, small: the identity of the first block has fewer channels."""
    keys = "block=res\ngroups=2\nrepeat=2\ncross=6\nhidden=4\nwidth=6\nblock_out=6\n"
    assert expand(f"[csp]\nfilters=12\n{keys}") == [
        "conv 6 1x1 < 0",
        "route < 0",
        "conv 4 1x1 < 2",
        "conv 6 1x1 < 3",
        "conv 6 3x3 in 2 groups < 4",
        "conv 6 1x1 linear < 5",
        "add leaky < 6, 3",
        "conv 6 1x1 < 7",
        "conv 6 3x3 in 2 groups < 8",
        "conv 6 1x1 linear < 9",
        "add leaky < 10, 7",
        "conv 6 1x1 < 11",
        "route < 12, 1",
        "conv 12 1x1 < 13",
    ]


def test_a_dense_block_joins_what_it_makes_to_its_input(expand: Expand) -> None:
    keys = "block=dense\ngrowth=2\nwidth=6\nrepeat=2\n"
    assert expand(f"[csp]\nfilters=8\n{keys}") == [
        *OWN_ENTRY,
        "conv 6 1x1 < 3",
        "conv 2 3x3 < 4",
        "route < 5, 3",
        "conv 6 1x1 < 6",
        "conv 2 3x3 < 7",
        "route < 8, 6",
        "conv 8 1x1 < 9",  # 4 + 2 + 2 channels
        "route < 10, 1",
        "conv 8 1x1 < 11",
    ]


def test_kernels_are_the_sizes_of_a_blocks_convolutions(expand: Expand) -> None:
    found = expand("[csp]\nfilters=8\nkernels=3,5\nfusion=none\n")
    assert found[3:5] == ["conv 4 3x3 < 3", "conv 4 5x5 < 4"]


def test_a_block_of_another_width_adds_what_both_have(expand: Expand) -> None:
    found = expand("[csp]\nfilters=8\nblock_out=6\nrepeat=2\nfusion=last\ncross=2\nhidden=4\n")
    assert found[4:6] == ["conv 6 3x3 < 4", "add linear < 5, 3"]
    assert found[9:] == ["conv 6 1x1 < 9", "route < 10, 1"]


def test_channels_and_ratio_mask_each_shortcut(expand: Expand) -> None:
    assert expand("[csp]\nfilters=8\nchannels=3\nfusion=none\n")[5] == (
        "add 3 channels linear < 5, 3"
    )
    assert expand("[csp]\nfilters=8\nratio=.5\nblock=res\nfusion=none\n")[6] == (
        "add 2 channels leaky < 6, 3"
    )


def test_a_ratio_of_one_is_a_plain_shortcut(expand: Expand) -> None:
    assert expand("[csp]\nfilters=8\nratio=1\n") == expand("[csp]\nfilters=8\n")


# -- keys of every convolution ---------------------------------------------------------------------


def test_activation_and_batch_norm_reach_every_convolution(expand: Expand) -> None:
    found = expand("[csp]\nfilters=8\nactivation=mish\nbatch_normalize=0\n")
    convolutions = [text for text in found if text.startswith("conv")]
    assert len(convolutions) == 6 and all(" mish bias < " in text for text in convolutions)
    assert "add linear < 5, 3" in found


def test_entry_activation_reaches_the_two_entry_convolutions_only(expand: Expand) -> None:
    found = expand("[csp]\nfilters=8\nentry_activation=linear\n")
    assert [i for i, text in enumerate(found, start=1) if " linear <" in text] == [1, 3, 6]
    assert found[5] == "add linear < 5, 3"  # as always


def test_stop_gradient_identity_cuts_the_shortcuts_of_all_blocks(expand: Expand) -> None:
    found = expand("[csp]\nfilters=8\nrepeat=2\nstop_gradient=identity\n")
    assert [text for text in found if "!" in text] == [
        "add linear < 5, 3!",
        "add linear < 8, 6!",
    ]


def test_stop_gradient_block_cuts_the_entrances_of_all_blocks(expand: Expand) -> None:
    found = expand("[csp]\nfilters=8\nrepeat=2\nstop_gradient=block\n")
    assert [text for text in found if "!" in text] == ["conv 4 1x1 < 3!", "conv 4 1x1 < 6!"]


# -- references ------------------------------------------------------------------------------------


def test_a_macro_counts_as_one_section_and_stands_for_its_last_layer(expand: Expand) -> None:
    macro = "[csp]\nname=stage\nfilters=8\nrepeat=0\nfusion=none\n"  # layers 1 to 4
    assert expand(f"{macro}[route]\nlayers=1,0,-1\n")[-1] == "route < 4, 0, 4"
    assert expand(f"{macro}[route]\nlayers=@stage,@x\n")[-1] == "route < 4, 0"
    assert expand(f"{macro}{macro.replace('stage', 'next')}[route]\nlayers=2,1\n")[-1] == (
        "route < 8, 4"
    )


def test_layers_of_an_expansion_bear_the_number_of_their_section() -> None:
    net = "[net]\nchannels=8\nheight=4\nwidth=4\n[maxpool]\n"
    text = f"{net}[csp]\nfilters=8\nrepeat=0\nfusion=none\n[maxpool]\n"
    nodes = compile_text(text, "m.cfg").nodes
    assert [node.index for node in nodes] == [0, 1, 2, 3, 4, 5]
    assert [node.written for node in nodes] == [0, 1, 1, 1, 1, 2]


def test_a_number_past_the_written_sections_is_refused_though_such_a_layer_exists(
    complaint: Complaint,
) -> None:
    assert complaint("[csp]\nfilters=8\n[route]\nlayers=5\n") == (
        "m.cfg:12:8: error: [route], which is layer 2, refers to 5, a later layer [YG201]\n"
        "   12 | layers=5\n"
        "      |        ^\n"
        "expected: 0 to 1, or -1 to -2\n"
        "help: layers count from 0, [net] not included; negative numbers count back"
    )


def test_a_name_used_before_its_macro_is_refused(complaint: Complaint) -> None:
    assert complaint("[route]\nlayers=@stage\n[csp]\nname=stage\nfilters=8\n") == (
        "m.cfg:10:8: error: [route] refers to @stage, which comes later [YG201]\n"
        "   10 | layers=@stage\n"
        "      |        ^^^^^^\n"
        "expected: the name of an earlier section: @x"
    )


def test_an_unknown_name_is_refused_with_a_suggestion(complaint: Complaint) -> None:
    assert complaint("[csp]\nname=stage\nfilters=8\n[route]\nlayers=@stages\n") == (
        "m.cfg:13:8: error: [route] refers to @stages, a name that no section has [YG201]\n"
        "   13 | layers=@stages\n"
        "      |        ^^^^^^^\n"
        "expected: the name of an earlier section: @x, @stage\n"
        "help: did you mean stage?"
    )


def test_a_macro_may_not_repeat_a_name(complaint: Complaint) -> None:
    assert complaint("[csp]\nname=x\nfilters=8\n") == (
        "m.cfg:9:1: error: [csp] has name=x, which the section at line 5 has [YG208]\n"
        "    9 | [csp]\n"
        "      | ^^^^^\n"
        "expected: a name of its own"
    )


# -- complaints ------------------------------------------------------------------------------------

KEYS = (
    "activation, batch_normalize, block, block_out, channels, cross, entry, entry_activation, "
    "filters, fusion, groups, growth, hidden, kernels, name, ratio, repeat, split, stop_gradient, "
    "transition, width"
)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [("spilt=.5", "\nhelp: did you mean split?"), ("stride=2", ""), ("dontload=1", "")],
)
def test_an_unknown_key_is_an_error(complaint: Complaint, key: str, suggestion: str) -> None:
    name = key.partition("=")[0]
    assert complaint(f"[csp]\nfilters=8\n{key}\n") == (
        f"m.cfg:11:1: error: [csp] does not know the key {name} [YG102]\n"
        f"   11 | {key}\n"
        f"      | {'^' * len(name)}\n"
        f"expected: one of {KEYS}{suggestion}"
    )


def test_filters_must_be_there(complaint: Complaint) -> None:
    assert complaint("[csp]\nrepeat=2\n") == (
        "m.cfg:9:1: error: [csp] has no filters [YG107]\n"
        "    9 | [csp]\n"
        "      | ^^^^^\n"
        "expected: filters=an integer"
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("hidden", "0", "1 to 65536"),
        ("cross", "0", "1 to 65536"),
        ("width", "0", "1 to 65536"),
        ("block_out", "0", "1 to 65536"),
        ("growth", "0", "1 to 65536"),
        ("channels", "0", "1 to 65536"),
        ("transition", "0", "1 to 65536"),
        ("groups", "0", "1 to 65536"),
        ("repeat", "-1", "0 to 1024"),
        ("kernels", "0,3", "1 to 1024"),
        ("split", "0", "above 0, below 1"),
        ("split", "1", "above 0, below 1"),
        ("ratio", "0", "above 0, at most 1"),
        ("ratio", "1.5", "above 0, at most 1"),
    ],
)
def test_a_number_out_of_range_is_an_error(
    complaint: Complaint, key: str, value: str, expected: str
) -> None:
    block = {"growth": "block=dense\n", "groups": "block=res\n"}.get(key, "")
    first = value.partition(",")[0]
    assert complaint(f"[csp]\n{key}={value}\nfilters=8\n{block}") == (
        f"m.cfg:10:{len(key) + 2}: error: [csp] {key}={first} is out of range [YG105]\n"
        f"   10 | {key}={value}\n"
        f"      | {' ' * (len(key) + 1)}{'^' * len(first)}\n"
        f"expected: {expected}"
    )


@pytest.mark.parametrize("key", ["filters", "repeat", "split"])
def test_a_value_that_is_no_number_is_an_error(complaint: Complaint, key: str) -> None:
    what = "a number" if key == "split" else "an integer"
    rest = "" if key == "filters" else "filters=8\n"
    assert complaint(f"[csp]\n{key}=half\n{rest}") == (
        f"m.cfg:10:{len(key) + 2}: error: [csp] {key}=half is not {what}; Darknet would read 0 "
        "[YG104]\n"
        f"   10 | {key}=half\n"
        f"      | {' ' * (len(key) + 1)}^^^^\n"
        f"expected: {what}"
    )


@pytest.mark.parametrize(
    ("key", "value", "names", "suggestion"),
    [
        ("entry", "both", "own, shared, slice", ""),
        ("block", "darc", "dark, dense, plain, res", "\nhelp: did you mean dark?"),
        ("fusion", "lst", "first, last, none, normal", "\nhelp: did you mean last?"),
        ("stop_gradient", "both", "block, identity, none", ""),
    ],
)
def test_an_unknown_choice_is_an_error(
    complaint: Complaint, key: str, value: str, names: str, suggestion: str
) -> None:
    assert complaint(f"[csp]\n{key}={value}\nfilters=8\n") == (
        f"m.cfg:10:{len(key) + 2}: error: [csp] {key}={value} is no {key} that exists [YG106]\n"
        f"   10 | {key}={value}\n"
        f"      | {' ' * (len(key) + 1)}{'^' * len(value)}\n"
        f"expected: one of {names}{suggestion}"
    )


def test_kernels_are_two(complaint: Complaint) -> None:
    assert complaint("[csp]\nfilters=8\nkernels=3\n") == (
        "m.cfg:11:9: error: [csp] kernels lists 1 size [YG105]\n"
        "   11 | kernels=3\n"
        "      |         ^\n"
        "expected: two sizes, such as 1,3"
    )


def test_channels_and_ratio_exclude_each_other(complaint: Complaint) -> None:
    assert complaint("[csp]\nfilters=8\nchannels=2\nratio=.5\n") == (
        "m.cfg:12:7: error: [csp] has both channels and ratio [YG108]\n"
        "   12 | ratio=.5\n"
        "      |       ^^\n"
        "expected: one of the two"
    )


def test_hidden_must_leave_channels_to_the_cross_path(complaint: Complaint) -> None:
    assert complaint("[csp]\nfilters=8\nhidden=8\n") == (
        "m.cfg:11:8: error: [csp] hidden=8 leaves none of filters=8 to the cross path [YG105]\n"
        "   11 | hidden=8\n"
        "      |        ^\n"
        "expected: hidden below 8, or cross=N for the cross path"
    )


@pytest.mark.parametrize(
    ("beside", "key"),
    [
        ("entry=slice", "hidden=4"),
        ("entry=slice", "cross=4"),
        ("entry=slice", "entry_activation=linear"),
        ("entry=shared", "split=.5"),
        ("entry=shared", "entry_activation=linear"),
        ("hidden=4", "split=.5"),
        ("fusion=first", "transition=4"),
        ("fusion=none", "transition=4"),
        ("block=dark", "groups=2"),
        ("block=dark", "growth=2"),
        ("block=plain", "groups=2"),
        ("block=plain", "growth=2"),
        ("block=plain", "channels=2"),
        ("block=plain", "ratio=.5"),
        ("block=plain", "stop_gradient=block"),
        ("block=res", "kernels=1,3"),
        ("block=res", "growth=2"),
        ("block=dense", "kernels=1,3"),
        ("block=dense", "groups=2"),
        ("block=dense", "block_out=4"),
        ("block=dense", "channels=2"),
        ("block=dense", "ratio=.5"),
        ("block=dense", "stop_gradient=identity"),
        ("repeat=0", "block=res"),
        ("repeat=0", "width=2"),
        ("repeat=0", "block_out=2"),
        ("repeat=0", "groups=2"),
        ("repeat=0", "kernels=1,3"),
        ("repeat=0", "growth=2"),
        ("repeat=0", "channels=2"),
        ("repeat=0", "ratio=.5"),
        ("repeat=0", "stop_gradient=block"),
    ],
)
def test_a_key_without_effect_is_an_error(complaint: Complaint, beside: str, key: str) -> None:
    name = key.partition("=")[0]
    shown = "hidden" if beside == "hidden=4" else beside
    assert complaint(f"[csp]\nfilters=8\n{beside}\n{key}\n") == (
        f"m.cfg:12:1: error: [csp] {name} has no effect beside {shown} [YG108]\n"
        f"   12 | {key}\n"
        f"      | {'^' * len(name)}\n"
        f"expected: no {name}, or another setting than {shown}"
    )


def test_groups_without_a_block_that_has_them_are_an_error(complaint: Complaint) -> None:
    assert complaint("[csp]\nfilters=8\ngroups=2\n") == (
        "m.cfg:11:1: error: [csp] groups has no effect beside block=dark [YG108]\n"
        "   11 | groups=2\n"
        "      | ^^^^^^\n"
        "expected: no groups, or another setting than block=dark"
    )


@pytest.mark.parametrize(("split", "shown"), [(".3", "0.3"), (".3333333", "0.333333")])
def test_a_slice_must_be_a_part_that_divides_the_input(
    complaint: Complaint, split: str, shown: str
) -> None:
    assert complaint(f"[csp]\nfilters=8\nentry=slice\nsplit={split}\n") == (
        f"m.cfg:12:7: error: [csp] entry=slice cannot cut 8 channels of layer 0 at split={shown} "
        "[YG203]\n"
        f"   12 | split={split}\n"
        f"      |       {'^' * len(split)}\n"
        "expected: split of the form 1/q or (q-1)/q with q dividing the channels"
    )


@pytest.mark.parametrize(
    ("keys", "fusion", "widths"),
    [
        ("transition=3", "last", "3 + 4 = 7"),
        ("cross=2", "none", "4 + 2 = 6"),
        ("block_out=6", "none", "6 + 4 = 10"),
        ("entry=slice", "last", "4 + 4 = 8"),
    ],
)
def test_without_a_last_transition_filters_must_be_the_joined_channels(
    complaint: Complaint, keys: str, fusion: str, widths: str
) -> None:
    filters = 9 if keys == "entry=slice" else 8
    joined = widths.rpartition(" ")[2]
    assert complaint(f"[csp]\nfilters={filters}\nfusion={fusion}\n{keys}\n") == (
        f"m.cfg:10:9: error: [csp] fusion={fusion} ends in a join of {widths} channels, but "
        f"filters={filters} [YG203]\n"
        f"   10 | filters={filters}\n"
        "      |         ^\n"
        f"expected: filters={joined}, or fusion=first or normal"
    )


# -- errors inside an expansion --------------------------------------------------------------------


def test_a_mask_wider_than_a_block_points_at_the_macro_and_says_what_it_stands_for(
    complaint: Complaint,
) -> None:
    assert complaint("[csp]\nfilters=8\nchannels=5\n") == (
        "m.cfg:9:1: error: [partial_shortcut] channels=5, but layer 1 (number 5 in [csp]) has 4 "
        "channels and layer 1 (number 3 in [csp]) has 4 (in the expansion of [csp] to 9 layers, "
        "number 6: partial_shortcut channels 5) [YG203]\n"
        "    9 | [csp]\n"
        "      | ^^^^^\n"
        "expected: 1 to 4"
    )


def test_groups_that_do_not_divide_point_at_the_macro(complaint: Complaint) -> None:
    assert complaint("[csp]\nfilters=8\nblock=res\ngroups=3\n") == (
        "m.cfg:9:1: error: [convolutional] cannot share out the 4 channels of layer 1 (number 4 in "
        "[csp]) over groups=3 (in the expansion of [csp] to 10 layers, number 5: convolutional "
        "3x3/1 g3 leaky) [YG203]\n"
        "    9 | [csp]\n"
        "      | ^^^^^\n"
        "expected: groups that divide 4"
    )


def test_a_size_that_changes_the_map_points_at_the_macro(complaint: Complaint) -> None:
    assert complaint("[csp]\nfilters=8\nkernels=1,2\n") == (
        "m.cfg:9:1: error: [shortcut] adds maps of different size: layer 1 (number 5 in [csp]) is "
        "33x33, layer 1 (number 3 in [csp]) is 32x32 (in the expansion of [csp] to 9 layers, "
        "number 6: shortcut) [YG202]\n"
        "    9 | [csp]\n"
        "      | ^^^^^\n"
        "expected: equal sizes, or one an exact multiple of the other both ways"
    )


def test_a_macro_of_too_many_layers_is_refused(complaint: Complaint) -> None:
    """Each stands for 6 + 3 * 1024 layers, and one is there before them."""
    assert complaint("[csp]\nfilters=8\nrepeat=1024\n" * 7) == (
        "m.cfg:27:1: error: [csp] brings the network to 21547 layers [YG206]\n"
        "   27 | [csp]\n"
        "      | ^^^^^\n"
        "expected: at most 20000"
    )


@pytest.mark.parametrize("wrong", ["filters=0", "filters=8\nchannels=5"])
def test_what_only_follows_from_a_wrong_macro_is_not_reported(
    complaint: Complaint, wrong: str
) -> None:
    follows = "[csp]\nfilters=9\nentry=slice\n[route]\nlayers=-1,-2\n"
    assert complaint(f"[csp]\n{wrong}\n{follows}").count("error:") == 1
