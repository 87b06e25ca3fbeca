"""Heads that do not fit each other, their data, or the layer before them."""

from __future__ import annotations

from pathlib import Path

from yolo_gp.lint.labels import ClassCount, Labels
from yolo_gp.lint.linting import LintSettings

from .detectors import DETECTOR, changed, found, said, swapped_last


def test_a_sound_detector_gives_no_finding() -> None:
    assert said(DETECTOR) == []


def test_heads_with_different_classes_are_named_with_their_lines() -> None:
    # (3 + 5) * 2 = 16 filters for the second head
    text = swapped_last("filters=12", "filters=16")
    head, _, tail = text.rpartition("classes=1")
    (finding,) = found(head + "classes=3" + tail)
    assert finding.render().splitlines()[0] == (
        "a.cfg:58:9: warning: [yolo] has classes=3, the head at line 41 has 1 [YG502]"
    )
    assert finding.expected == "the same classes in every head"


def test_a_leaky_map_before_a_head_is_found() -> None:
    (finding,) = found(swapped_last("activation=linear", "activation=leaky"))
    assert finding.render().splitlines()[0] == (
        "a.cfg:53:12: warning: activation=leaky before [yolo] at line 55 [YG511]"
    )
    assert finding.expected == "activation=linear, as that head reads its map"


def test_a_head_with_new_coords_wants_logistic_and_not_linear() -> None:
    text = changed(("num=4\n", "num=4\nnew_coords=1\n"))
    (finding,) = found(text)
    assert (finding.rule.code, finding.span.line) == ("YG511", 39)
    assert finding.expected == "activation=logistic, as that head reads its map"
    assert said(changed(("activation=linear", "activation=logistic"), text=text)) == []


def test_the_yolor_dialects_head_takes_the_sigmoids_itself() -> None:
    text = changed(("[net]", "[net]\ndialect=yolor"))
    new_coords = text.replace("num=4", "num=4\nnew_coords=1")
    logistic = new_coords.replace("activation=linear", "activation=logistic")
    for variant in (text, new_coords, logistic):
        assert not [line for line in said(variant) if "YG511" in line]


def test_the_convolution_that_a_route_of_one_layer_names_is_not_blamed() -> None:
    text = changed(("activation=linear", "activation=leaky"))
    between = "[route]\nlayers=-1\n\n[yolo]\n"
    assert said(changed(("[yolo]\n", between), text=text)) == []


def test_batch_norm_before_a_head_is_found() -> None:
    (finding,) = found(changed(("filters=12\n", "filters=12\nbatch_normalize=1\n")))
    assert finding.render().splitlines()[0] == (
        "a.cfg:39:1: warning: batch_normalize=1 right before [yolo] at line 42 [YG512]"
    )
    assert finding.expected is not None and "no batch_normalize" in finding.expected
    assert said(changed(("filters=12\n", "filters=12\nbatch_normalize=0\n"))) == []


def test_classes_are_compared_with_lists_of_names() -> None:
    labels = Labels((ClassCount(1, "a.names"), ClassCount(2, "classes of a.data")))
    (finding,) = found(DETECTOR, LintSettings(labels=labels))
    assert finding.render().splitlines()[0] == (
        "a.cfg:44:9: warning: [yolo] has 1 class, but classes of a.data says 2 [YG503]"
    )
    assert (finding.expected, finding.help) == (
        "equal numbers",
        "change the number in every head, and the filters before them, or the list",
    )


def test_the_outputs_of_a_classifier_are_compared_with_lists_of_names() -> None:
    text = (
        "[net]\nwidth=8\nheight=8\nchannels=3\n\n[convolutional]\nfilters=5\n"
        "activation=linear\n\n[avgpool]\n\n[softmax]\n"
    )
    settings = LintSettings(labels=Labels((ClassCount(4, "a.names"),)))
    assert said(text, settings) == ["12 YG503 the network has 5 outputs, but a.names says 4"]
    assert said(text, LintSettings(labels=Labels((ClassCount(5, "a.names"),)))) == []


def test_a_head_with_two_lists_of_classes_may_have_the_names_of_either(tmp_path: Path) -> None:
    (tmp_path / "a.tree").write_text("animal -1\ncat 0\ndog 0\n")
    (tmp_path / "a.map").write_text("1\n2\n")
    # (4 + 1 + 3) * 1 = 8 filters
    text = (
        "[net]\nwidth=32\nheight=32\nchannels=3\n\n[convolutional]\nfilters=8\n"
        "activation=linear\n\n[region]\nanchors=1,1\nnum=1\ncoords=4\nclasses=3\nsoftmax=1\n"
        f"tree={tmp_path}/a.tree\nmap={tmp_path}/a.map\n"
    )
    for count, codes in ((3, []), (2, []), (4, ["YG503"])):
        settings = LintSettings(labels=Labels((ClassCount(count, "a.names"),)))
        assert [line.split()[1] for line in said(text, settings)] == codes


def test_a_key_of_the_whole_training_that_an_earlier_head_sets_otherwise_is_found() -> None:
    assert said(changed(("jitter=.3", "jitter=.2"))) == [
        "46 YG527 jitter=.2 has no effect: the last head, at line 55, has jitter=.3, and it counts"
    ]
    assert said(swapped_last("jitter=.3\n", "")) == [
        "46 YG527 jitter=.3 has no effect: the last head, at line 55, has no jitter, and it counts"
    ]
