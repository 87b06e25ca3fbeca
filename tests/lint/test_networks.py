"""Layers whose output goes nowhere, and input sizes that do not divide."""

from __future__ import annotations

from .detectors import DETECTOR, changed, found, said

LOST = "[convolutional]\nfilters=12\nactivation=linear\n\n"


def test_a_layer_that_nobody_reads_is_found_with_what_it_wastes() -> None:
    # Behind the first head: a layer of 2x2 that the [route] to layer 3 passes by. Its input is the
    # map of the head, 12 channels: 12 * 12 weights + 12 biases = 156.
    (finding,) = found(changed(("[route]", f"{LOST}[route]")))
    assert finding.render().splitlines()[0] == (
        "a.cfg:48:1: warning: no layer reads layer 7, [convolutional], and it is no head; its 156 "
        "parameters do nothing [YG501]"
    )
    assert finding.help == (
        "its 12 channels are what [yolo] at line 41 reads: put the head that is missing after it, "
        "or remove the layer"
    )


def test_layers_that_only_feed_such_a_layer_count_as_wasted() -> None:
    lost = "[route]\nlayers=3\n\n[convolutional]\nfilters=2\nactivation=linear\n\n"
    # 4 channels to 2: 4 * 2 + 2 = 10, and no 12 channels that would fit a head
    (finding,) = found(changed(("[route]", f"{lost}[route]")))
    assert finding.message == (
        "no layer reads layer 8, [convolutional], and it is no head; it and 1 layer before it, 10 "
        "parameters, do nothing"
    )
    assert finding.help == "remove it, or let a later section read it"


def test_a_softmax_in_the_middle_of_a_classifier_is_found() -> None:
    text = (
        "[net]\nwidth=8\nheight=8\nchannels=3\n\n[convolutional]\nfilters=5\n"
        "activation=linear\n\n[avgpool]\n\n[softmax]\n\n[route]\nlayers=0\n\n[avgpool]\n"
    )
    assert said(text) == [
        "12 YG501 no layer reads layer 2, [softmax], and it is no output; "
        "it and 1 layer before it, 0 parameters, do nothing"
    ]


def test_a_loss_needs_no_reader() -> None:
    loss = f"{LOST}[contrastive]\nclasses=1\n\n"
    assert said(changed(("[route]", f"{loss}[route]"))) == []


def test_a_layer_behind_the_last_head_is_found() -> None:
    assert [line.split()[1] for line in said(DETECTOR + "\n" + LOST)] == ["YG501"]


def test_an_input_that_the_strides_do_not_divide_is_found_with_the_layer_and_sizes_that_fit() -> (
    None
):
    # 80 wide -> 40 -> 20 -> 10 -> 5 -> 2 (5 // 2 with an odd map: (5 + 1 - 2) // 2 + 1 = 3)
    (finding,) = found(changed(("width=64", "width=80")))
    assert finding.render().splitlines()[0] == (
        "a.cfg:2:7: warning: the input, 64x80, is no multiple of the strides: layer 4, [maxpool] "
        "at line 33, makes 2x3 of 4x5, and heads get 2x3 (line 41) cells [YG504]"
    )
    assert finding.expected == "a height and width that every head's stride divides"
    assert finding.help == "height=64, width=64 or height=64, width=96"


def test_a_height_that_does_not_divide_is_blamed_itself() -> None:
    (finding,) = found(changed(("height=64", "height=80")))
    assert (finding.span.line, finding.span.text) == (3, "80")


def test_classifiers_may_have_any_input() -> None:
    text = DETECTOR[: DETECTOR.index("[convolutional]\nfilters=12")]
    assert said(changed(("width=64", "width=75"), text=text)) == []
