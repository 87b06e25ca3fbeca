"""[elan]: its expansions, written out by hand after zoo.md C.5, and all it has to complain of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Expand = Callable[[str], list[str]]
Complaint = Callable[[str], str]

PAIR = [
    "conv 4 1x1 < 0",  # 1: cross
    "route < 0",
    "conv 4 1x1 < 2",  # 3: main
]
FOUR = [
    "conv 4 3x3 < 3",
    "conv 4 3x3 < 4",
    "conv 4 3x3 < 5",
    "conv 4 3x3 < 6",  # 7
]


# -- entries ---------------------------------------------------------------------------------------


def test_by_default_two_blocks_of_two_convolutions_give_their_ends(expand: Expand) -> None:
    """E2(c, o) of zoo.md B.2: every second 3x3 goes to the join, newest first."""
    assert expand("[elan]\nhidden=4\nfilters=16\n") == [
        *PAIR,
        *FOUR,
        "route < 7, 5, 3, 1",
        "conv 16 1x1 < 8",
    ]


def test_four_thin_blocks_of_one_convolution_give_all_of_them(expand: Expand) -> None:
    """E1(c, o) of zoo.md B.2."""
    keys = "blocks=4\nconvs=1\nhidden=4\nblock_hidden=2\nfilters=16\n"
    assert expand(f"[elan]\n{keys}") == [
        *PAIR,
        "conv 2 3x3 < 3",
        "conv 2 3x3 < 4",
        "conv 2 3x3 < 5",
        "conv 2 3x3 < 6",
        "route < 7, 6, 5, 4, 3, 1",
        "conv 16 1x1 < 8",
    ]


def test_a_fused_entry_is_one_convolution_whose_second_half_goes_on(expand: Expand) -> None:
    assert expand("[elan]\ncsp=fused\nhidden=4\nconvs=1\nfilters=8\n") == [
        "conv 8 1x1 < 0",
        "slice 1 of 2 < 1",
        "conv 4 3x3 < 2",
        "conv 4 3x3 < 3",
        "route < 4, 3, 1",
        "conv 8 1x1 < 5",
    ]


def test_a_sliced_entry_sends_the_inputs_second_half_on(expand: Expand) -> None:
    assert expand("[elan]\ncsp=slice\nhidden=4\nconvs=1\n") == [
        "slice 1 of 2 < 0",
        "conv 4 3x3 < 1",
        "conv 4 3x3 < 2",
        "route < 3, 2, 0",
    ]


def test_without_a_csp_split_the_input_goes_on_and_to_the_join(expand: Expand) -> None:
    """One-shot aggregation, VoVNet's module."""
    assert expand("[elan]\ncsp=none\nblocks=3\nconvs=1\nhidden=4\nfilters=8\n") == [
        "conv 4 3x3 < 0",
        "conv 4 3x3 < 1",
        "conv 4 3x3 < 2",
        "route < 3, 2, 1, 0",
        "conv 8 1x1 < 4",
    ]


def test_filters_of_none_leave_the_closing_transition_out(expand: Expand) -> None:
    assert expand("[elan]\nhidden=4\n") == [*PAIR, *FOUR, "route < 7, 5, 3, 1"]


# -- order and taps --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "join"),
    [
        ("pair", "route < 1, 3, 4, 5"),
        ("fused", "route < 1, 3, 4"),
        ("slice", "route < 0, 2, 3"),
        ("none", "route < 0, 1, 2"),
    ],
)
def test_old_first_joins_cross_main_and_taps_in_order(
    expand: Expand, entry: str, join: str
) -> None:
    """The order of yolov7-tiny.cfg."""
    found = expand(f"[elan]\ncsp={entry}\nhidden=4\nconvs=1\nconcat=old_first\n")
    assert found[-1] == join


@pytest.mark.parametrize(
    ("taps", "join"),
    [
        ("ends", "route < 7, 5, 3, 1"),
        ("all", "route < 7, 6, 5, 4, 3, 1"),
        ("last", "route < 7, 6, 5, 1"),  # the last block's input, 5, and its convolutions
        ("1", "route < 4, 3, 1"),
        ("2,4", "route < 7, 5, 3, 1"),
        ("1,2,3", "route < 6, 5, 4, 3, 1"),
    ],
)
def test_taps_say_which_convolutions_are_joined(expand: Expand, taps: str, join: str) -> None:
    assert expand(f"[elan]\nhidden=4\ntaps={taps}\n") == [*PAIR, *FOUR, join]


def test_taps_are_joined_in_the_order_of_concat(expand: Expand) -> None:
    keys = "hidden=4\nconcat=old_first\n"
    assert expand(f"[elan]\n{keys}taps=all\n")[-1] == "route < 1, 3, 4, 5, 6, 7"
    assert expand(f"[elan]\n{keys}taps=last\n")[-1] == "route < 1, 5, 6, 7"


def test_the_last_block_of_a_fused_entry_is_joined_with_the_leading_half(expand: Expand) -> None:
    assert expand("[elan]\ncsp=fused\nhidden=4\nconvs=1\ntaps=last\n") == [
        "conv 8 1x1 < 0",
        "slice 0 of 2 < 1",
        "slice 1 of 2 < 1",
        "conv 4 3x3 < 3",
        "conv 4 3x3 < 4",
        "route < 5, 4, 2",
    ]


def test_the_last_block_of_a_sliced_entry_is_joined_with_the_leading_half(expand: Expand) -> None:
    assert expand("[elan]\ncsp=slice\nhidden=4\nconvs=1\ntaps=last\n") == [
        "slice 0 of 2 < 0",
        "slice 1 of 2 < 0",
        "conv 4 3x3 < 2",
        "conv 4 3x3 < 3",
        "route < 4, 3, 1",
    ]


def test_the_last_block_alone_is_joined_where_there_is_no_split(expand: Expand) -> None:
    found = expand("[elan]\ncsp=none\nhidden=4\nblocks=3\nconvs=2\ntaps=last\n")
    assert found[-1] == "route < 6, 5, 4"


def test_the_last_block_is_joined_with_the_whole_entry_if_it_is_the_only_one(
    expand: Expand,
) -> None:
    found = expand("[elan]\nhidden=4\nblocks=1\ntaps=last\n")
    assert found == [*PAIR, *FOUR[:2], "route < 5, 4, 3, 1"]


# -- blocks ----------------------------------------------------------------------------------------


def test_size_is_that_of_the_blocks_convolutions(expand: Expand) -> None:
    found = expand("[elan]\nhidden=4\nconvs=1\nsize=5\n")
    assert found[3:5] == ["conv 4 5x5 < 3", "conv 4 5x5 < 4"]


def test_a_dark_block_is_a_residual_pair_and_a_convolution(expand: Expand) -> None:
    keys = "csp=fused\nhidden=4\nfilters=8\nblock=dark\nblocks=1\n"
    assert expand(f"[elan]\n{keys}") == [
        "conv 8 1x1 < 0",
        "slice 1 of 2 < 1",
        "conv 2 1x1 < 2",
        "conv 4 3x3 < 3",
        "add linear < 4, 2",
        "conv 4 3x3 < 5",
        "route < 6, 1",
        "conv 8 1x1 < 7",
    ]


def test_without_its_tail_a_block_ends_in_the_sum(expand: Expand) -> None:
    keys = "csp=none\nhidden=4\nblock=dark\nkernels=3,3\nexpand=1\ntail=0\nrepeat=2\nblocks=1\n"
    assert expand(f"[elan]\n{keys}") == [
        "conv 4 3x3 < 0",
        "conv 4 3x3 < 1",
        "add linear < 2, 0",
        "conv 4 3x3 < 3",
        "conv 4 3x3 < 4",
        "add linear < 5, 3",
        "route < 6, 0",
    ]


def test_a_res_block_is_a_bottleneck_and_a_convolution(expand: Expand) -> None:
    keys = "csp=none\nhidden=8\nblock=res\nexpand=.25\nblocks=1\n"
    assert expand(f"[elan]\n{keys}") == [
        "conv 2 1x1 < 0",
        "conv 2 3x3 < 1",
        "conv 8 1x1 linear < 2",
        "add leaky < 3, 0",
        "conv 8 3x3 < 4",
        "route < 5, 0",
    ]


def test_a_csp_block_is_a_stage_of_its_own_and_a_convolution(expand: Expand) -> None:
    keys = "csp=none\nhidden=8\nblock=csp\nkernels=3,3\nrepeat=2\nblocks=1\n"
    assert expand(f"[elan]\n{keys}") == [
        "conv 4 1x1 < 0",  # 1: cross
        "route < 0",
        "conv 4 1x1 < 2",  # 3: main
        "conv 4 3x3 < 3",
        "conv 4 3x3 < 4",
        "add linear < 5, 3",
        "conv 4 3x3 < 6",
        "conv 4 3x3 < 7",
        "add linear < 8, 6",
        "route < 9, 1",
        "conv 8 1x1 < 10",
        "conv 8 3x3 < 11",
        "route < 12, 0",
    ]


def test_the_ends_of_several_residual_blocks_are_joined(expand: Expand) -> None:
    """DarkN of the ELAN-tiny family: the second block starts from the first one's sum."""
    keys = "csp=fused\nhidden=4\nblock=dark\ntail=0\nconcat=old_first\n"
    assert expand(f"[elan]\n{keys}")[2:] == [
        "conv 2 1x1 < 2",
        "conv 4 3x3 < 3",
        "add linear < 4, 2",
        "conv 2 1x1 < 5",
        "conv 4 3x3 < 6",
        "add linear < 7, 5",
        "route < 1, 5, 8",
    ]


def test_the_last_of_several_residual_blocks_is_joined_with_its_input(expand: Expand) -> None:
    keys = "csp=fused\nhidden=4\nblock=dark\ntail=0\ntaps=last\nblocks=3\n"
    # 1 entry, 2 leading half, 3 main; sums at 6, 9 and 12
    assert expand(f"[elan]\n{keys}")[-1] == "route < 12, 9, 2"


@pytest.mark.parametrize(
    ("expansion", "inner"),
    [(".5", 5), (".35", 4), (".15", 2), (".05", 1), (".01", 1), ("1.25", 13)],
)
def test_an_inner_width_is_rounded_half_up(expand: Expand, expansion: str, inner: int) -> None:
    found = expand(f"[elan]\ncsp=none\nhidden=10\nblock=dark\nexpand={expansion}\n")
    assert found[0] == f"conv {inner} 1x1 < 0"


# -- keys of every convolution and shortcut --------------------------------------------------------


def test_activation_and_batch_norm_reach_every_convolution(expand: Expand) -> None:
    found = expand("[elan]\nhidden=4\nfilters=8\nactivation=swish\nbatch_normalize=0\n")
    convolutions = [text for text in found if text.startswith("conv")]
    assert len(convolutions) == 7 and all(" swish bias < " in text for text in convolutions)


@pytest.mark.parametrize(
    ("kind", "cut"),
    [
        ("identity", ["add linear < 3, 1!", "add linear < 7, 5!"]),
        ("block", ["conv 2 1x1 < 1!", "conv 2 1x1 < 5!"]),
    ],
)
def test_stop_gradient_reaches_the_shortcuts_of_all_blocks(
    expand: Expand, kind: str, cut: list[str]
) -> None:
    keys = "csp=slice\nhidden=4\nblock=dark\n"
    found = expand(f"[elan]\n{keys}stop_gradient={kind}\n")
    assert [text for text in found if "!" in text] == cut


# -- gradient paths --------------------------------------------------------------------------------

LINEAR = "batch_normalize=0\nactivation=linear\nsize=1\nfilters=8\n"


@pytest.mark.parametrize("modules", [1, 2, 4])
def test_a_transition_in_each_module_makes_the_shortest_path_longer(
    path_lengths: Callable[[str], tuple[int, int]], modules: int
) -> None:
    """gradient-paths.md, fact 6: m modules of VoVNet, three layers each, behind one layer."""
    module = f"[elan]\ncsp=none\nblocks=3\nconvs=1\nhidden=8\n{LINEAR}"
    shortest, _ = path_lengths(module * modules)
    assert shortest == modules + 1


@pytest.mark.parametrize(("modules", "longest"), [(1, 5), (2, 8), (4, 14)])
def test_a_stack_in_the_computational_block_keeps_the_shortest_path(
    path_lengths: Callable[[str], tuple[int, int]], modules: int, longest: int
) -> None:
    """gradient-paths.md, fact 6: the same, with one transition and every output of the stack."""
    keys = f"csp=none\nblocks={modules}\nconvs=3\nhidden=8\ntaps=all\n"
    assert path_lengths(f"[elan]\n{keys}{LINEAR}") == (2, longest)


# -- references ------------------------------------------------------------------------------------


def test_a_macro_counts_as_one_section_and_stands_for_its_last_layer(expand: Expand) -> None:
    macro = "[elan]\nname=stage\nhidden=4\n"  # layers 1 to 8
    assert expand(f"{macro}[route]\nlayers=1,0\n")[-1] == "route < 8, 0"
    assert expand(f"{macro}[route]\nlayers=@x,@stage\n")[-1] == "route < 0, 8"


# -- complaints ------------------------------------------------------------------------------------

KEYS = (
    "activation, batch_normalize, block, block_hidden, blocks, concat, convs, csp, expand, "
    "filters, hidden, kernels, name, repeat, size, stop_gradient, tail, taps"
)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [("block_hiden=4", "\nhelp: did you mean block_hidden?"), ("cross=2", ""), ("split=.5", "")],
)
def test_an_unknown_key_is_an_error(complaint: Complaint, key: str, suggestion: str) -> None:
    name = key.partition("=")[0]
    assert complaint(f"[elan]\nhidden=4\n{key}\n") == (
        f"m.cfg:11:1: error: [elan] does not know the key {name} [YG102]\n"
        f"   11 | {key}\n"
        f"      | {'^' * len(name)}\n"
        f"expected: one of {KEYS}{suggestion}"
    )


def test_hidden_must_be_there(complaint: Complaint) -> None:
    assert complaint("[elan]\nfilters=8\n") == (
        "m.cfg:9:1: error: [elan] has no hidden [YG107]\n"
        "    9 | [elan]\n"
        "      | ^^^^^^\n"
        "expected: hidden=an integer"
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("hidden", "0", "1 to 65536"),
        ("filters", "-1", "0 to 65536"),
        ("block_hidden", "0", "1 to 65536"),
        ("blocks", "0", "1 to 1024"),
        ("convs", "0", "1 to 1024"),
        ("size", "0", "1 to 1024"),
        ("kernels", "0,3", "1 to 1024"),
        ("repeat", "0", "1 to 1024"),
        ("expand", "0", "above 0, at most 4"),
        ("expand", "5", "above 0, at most 4"),
        ("taps", "0", "1 to 4"),
        ("taps", "5", "1 to 4"),
    ],
)
def test_a_number_out_of_range_is_an_error(
    complaint: Complaint, key: str, value: str, expected: str
) -> None:
    rest = "" if key == "hidden" else "hidden=4\n"
    rest += "block=dark\n" if key in ("kernels", "repeat", "expand") else ""
    first = value.partition(",")[0]
    assert complaint(f"[elan]\n{key}={value}\n{rest}") == (
        f"m.cfg:10:{len(key) + 2}: error: [elan] {key}={first} is out of range [YG105]\n"
        f"   10 | {key}={value}\n"
        f"      | {' ' * (len(key) + 1)}{'^' * len(first)}\n"
        f"expected: {expected}"
    )


@pytest.mark.parametrize(
    ("key", "value", "names", "suggestion"),
    [
        ("csp", "own", "fused, none, pair, slice", ""),
        ("block", "rex", "conv, csp, dark, res", "\nhelp: did you mean res?"),
        ("concat", "reversed", "new_first, old_first", ""),
        ("taps", "end", "all, ends, last", "\nhelp: did you mean ends?"),
        ("stop_gradient", "blocks", "block, identity, none", "\nhelp: did you mean block?"),
    ],
)
def test_an_unknown_choice_is_an_error(
    complaint: Complaint, key: str, value: str, names: str, suggestion: str
) -> None:
    block = "block=res\n" if key == "stop_gradient" else ""
    assert complaint(f"[elan]\n{key}={value}\nhidden=4\n{block}") == (
        f"m.cfg:10:{len(key) + 2}: error: [elan] {key}={value} is no {key} that exists [YG106]\n"
        f"   10 | {key}={value}\n"
        f"      | {' ' * (len(key) + 1)}{'^' * len(value)}\n"
        f"expected: one of {names}{suggestion}"
    )


def test_kernels_are_two(complaint: Complaint) -> None:
    assert complaint("[elan]\nhidden=4\nblock=dark\nkernels=1,3,1\n") == (
        "m.cfg:12:9: error: [elan] kernels lists 3 sizes [YG105]\n"
        "   12 | kernels=1,3,1\n"
        "      |         ^^^^^\n"
        "expected: two sizes, such as 1,3"
    )


@pytest.mark.parametrize(("taps", "shown"), [("2,1", "2, 1"), ("1,1", "1, 1")])
def test_numbered_taps_must_rise(complaint: Complaint, taps: str, shown: str) -> None:
    assert complaint(f"[elan]\nhidden=4\ntaps={taps}\n") == (
        f"m.cfg:11:6: error: [elan] taps={shown} does not rise [YG105]\n"
        f"   11 | taps={taps}\n"
        "      |      ^^^\n"
        "expected: numbers of convolutions, each once, in rising order"
    )


@pytest.mark.parametrize(
    ("beside", "key"),
    [
        ("block=conv", "kernels=1,3"),
        ("block=conv", "repeat=2"),
        ("block=conv", "expand=.5"),
        ("block=conv", "tail=0"),
        ("block=conv", "stop_gradient=block"),
        ("block=dark", "convs=2"),
        ("block=res", "convs=2"),
        ("block=csp", "convs=2"),
        ("block=res", "kernels=1,3"),
    ],
)
def test_a_key_without_effect_is_an_error(complaint: Complaint, beside: str, key: str) -> None:
    name = key.partition("=")[0]
    assert complaint(f"[elan]\nhidden=4\n{beside}\n{key}\n") == (
        f"m.cfg:12:1: error: [elan] {name} has no effect beside {beside} [YG108]\n"
        f"   12 | {key}\n"
        f"      | {'^' * len(name)}\n"
        f"expected: no {name}, or another setting than {beside}"
    )


@pytest.mark.parametrize("taps", ["all", "1"])
def test_taps_inside_residual_blocks_are_an_error(complaint: Complaint, taps: str) -> None:
    assert complaint(f"[elan]\nhidden=4\nblock=csp\ntaps={taps}\n") == (
        "m.cfg:12:1: error: [elan] taps has no effect beside block=csp, whose taps are its ends "
        "[YG108]\n"
        f"   12 | taps={taps}\n"
        "      | ^^^^\n"
        "expected: no taps, or another setting than block=csp, whose taps are its ends"
    )


def test_the_size_of_a_tail_that_is_not_there_is_an_error(complaint: Complaint) -> None:
    assert complaint("[elan]\nhidden=4\nblock=dark\ntail=0\nsize=5\n") == (
        "m.cfg:13:1: error: [elan] size has no effect beside tail=0 [YG108]\n"
        "   13 | size=5\n"
        "      | ^^^^\n"
        "expected: no size, or another setting than tail=0"
    )


def test_an_odd_number_of_channels_has_no_halves(complaint: Complaint) -> None:
    odd = "[convolutional]\nfilters=7\nactivation=linear\n"
    assert complaint(f"{odd}[elan]\ncsp=slice\nhidden=4\n") == (
        "m.cfg:12:1: error: [elan] csp=slice cannot halve the 7 channels of layer 1 [YG203]\n"
        "   12 | [elan]\n"
        "      | ^^^^^^\n"
        "expected: an even number of channels"
    )


def test_an_even_kernel_points_at_the_macro_and_says_what_it_stands_for(
    complaint: Complaint,
) -> None:
    """Each 2x2 convolution with padding 1 makes the map larger by one."""
    assert complaint("[elan]\nhidden=4\nsize=2\n") == (
        "m.cfg:9:1: error: [route] joins maps of different size: layer 1 (number 7 in [elan]) is "
        "36x36, layer 1 (number 5 in [elan]) is 34x34 (in the expansion of [elan] to 8 layers, "
        "number 8: route) [YG202]\n"
        "    9 | [elan]\n"
        "      | ^^^^^^\n"
        "expected: sources of equal height and width"
    )
