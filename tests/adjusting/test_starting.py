"""A template's text for other classes, another size, another length: what changes, what stays."""

from __future__ import annotations

import re

import pytest

from yolo_gp.adjusting.head_anchors import Pairs, anchor_slots, used_anchors
from yolo_gp.adjusting.starting import Start, starting_cfg
from yolo_gp.adjusting.starting_net import (
    Training,
    advised_updates,
    fitting_subdivisions,
    updates,
)
from yolo_gp.graph import Graph, compile_text

HEAD = """\
[yolo]
{mask}anchors={anchors}
classes=2
num={num}
"""
TEMPLATE = """\
# Two-head: a network for this test,
# of two heads.
# 64x64 input, 2 classes. 3 parameters.

[net]
width=64
height=64
channels=3

# Training, as somebody did
batch=8
subdivisions=2
max_batches=500200
learning_rate=0.00261 # of a paper
policy=steps
steps=400000,450000
scales=.1,.1
momentum=0.9
decay=0.0004
hue=.2
letter_box=1

# The stem
[convolutional]
filters=8
stride=8
size=3
activation=relu

[convolutional]
name=fine
filters={filters}
activation=linear

# Head at stride 8
{fine}
[maxpool]
stride=2
size=2

[convolutional]
filters={filters}
activation=linear

# Head at stride 16
{coarse}"""


def template(fine: str, coarse: str, *, filters: int = 14) -> str:
    return TEMPLATE.format(filters=filters, fine=fine, coarse=coarse)


SHARED = "8,8, 40,10, 16,16, 32,32"  # by area 8,8 16,16 40,10 32,32
TWO_HEADS = template(
    HEAD.format(mask="mask=0,2\n", anchors=SHARED, num=4),
    HEAD.format(mask="# lint: ignore YG508 as published\nmask=1,2\n", anchors=SHARED, num=4),
)
TRAINING = Training(subdivisions=4, max_batches=9000, length="so long", modern_only=False)


def start(
    text: str,
    classes: int = 2,
    size: tuple[int, int] = (64, 64),
    training: Training = TRAINING,
    anchors_wh: Pairs | None = None,
) -> str:
    asked = Start(
        template="two-head",
        classes=classes,
        training=training,
        anchors_wh=anchors_wh,
        anchors_origin="from somewhere",
    )
    graph = compile_text(text, "t.cfg")
    return starting_cfg(text.encode(), graph, graph.with_input_size(size), asked).decode()


def lists(text: str, key: str) -> list[str]:
    return re.findall(rf"(?m)^{key}=(.*)$", text)


def test_the_top_and_net_are_written_anew_and_say_why() -> None:
    text = start(TWO_HEADS, classes=3, size=(96, 160))
    assert text[: text.index("# The stem")] == (
        """\
# Two-head: a network for this test, of two heads.
# Made by `yolo-gp new` from the template two-head: 3 classes, input 96x160 (height x width).
# `yolo-gp set` changes classes, size and keys, `yolo-gp lint` looks for mistakes.

[net]
# input in pixels
height=96
width=160
channels=3

# images for an update of the weights, and the parts that go through one after the
# other: double subdivisions if the GPU's memory runs out
batch=64
subdivisions=4

# updates in all: so long;
# the rate climbs for burn_in of them, and falls to a tenth at 80 % and at 90 %
max_batches=9000
policy=steps
steps=7200,8100
scales=.1,.1
burn_in=1000
learning_rate=0.00261
momentum=0.9
decay=0.0004

# as in the template: how images are varied, and the like
hue=.2

"""
    )
    assert compile_text(text, "new.cfg").warnings == ()


def test_the_network_between_stays_as_it_is_written() -> None:
    text = start(TWO_HEADS, classes=3)
    first, last = "# The stem", "[convolutional]\nname=fine"
    assert (
        text[text.index(first) : text.index(last)]
        == TWO_HEADS[TWO_HEADS.index(first) : TWO_HEADS.index(last)]
    )
    # (5 + 3) * 2 anchors of each head
    assert lists(text, "filters") == ["8", "16", "16"]
    assert text.count("# as many as the head below reads; `yolo-gp set` keeps them right\n") == 2
    assert "stem" in text and "# Head at stride 16\n" in text


def test_a_course_that_is_not_in_steps_gets_darknets_usual_rates() -> None:
    text = TWO_HEADS.replace("policy=steps", "policy=sgdr").replace(
        "hue=.2", "hue=.2\nema_alpha=.999\nlearning_rate_min=.001\nmosaic=1"
    )
    net = start(text).split("[convolutional]")[0].splitlines()
    assert {"policy=steps", "learning_rate=0.001", "momentum=0.949", "decay=0.0005"} <= set(net)
    assert net[net.index("hue=.2") :][:2] == ["hue=.2", "mosaic=1"]


def test_what_only_the_modern_recipe_trains_says_so_and_keeps_its_letter_box() -> None:
    modern = Training(subdivisions=4, max_batches=600, length="so", modern_only=True)
    net = start(TWO_HEADS, training=modern).split("[convolutional]")[0]
    assert "# Darknet cannot train this network. `yolo-gp train --recipe modern` can;" in net
    assert "letter_box=1" in net.splitlines()
    assert "burn_in=100" in net.splitlines()  # a sixth of a short course


def test_anchors_of_the_template_are_scaled_and_each_gets_one_head() -> None:
    # Input 64x64 to 96x160: widths times 2.5, heights times 1.5. By area of the scaled ones:
    # 20x12 = 240, 40x24 = 960, 100x15 = 1500, 80x48 = 3840.
    text = start(TWO_HEADS, size=(96, 160))
    assert lists(text, "anchors") == ["20,12, 40,24, 100,15, 80,48"] * 2
    assert lists(text, "mask") == ["0,1", "2,3"]
    assert "lint: ignore" not in text  # the mask that it was about is gone


def test_fitted_anchors_go_to_the_heads_by_the_size_of_their_maps() -> None:
    # The finer head stands last here.
    text = TWO_HEADS.replace("[maxpool]\nstride=2", "[upsample]\nstride=2").replace("size=2\n", "")
    text = start(text, anchors_wh=((1.0, 2.0), (3.04, 4), (5, 6), (7, 8)))
    assert lists(text, "anchors") == ["1,2, 3,4, 5,6, 7,8"] * 2
    assert lists(text, "mask") == ["2,3", "0,1"]
    comment = (
        "width,height in pixels of the input, from somewhere. mask: those that this head uses; "
        "the smallest belong to the finest map.\nanchors="
    )
    assert comment in text.replace("\n# ", " ")


def test_more_anchors_than_places_stay_where_they_are() -> None:
    # Five anchors for four places, one of them for nobody: the masks mean something.
    five = TWO_HEADS.replace(SHARED, "4,4, " + SHARED).replace("num=4", "num=5")
    text = start(five, size=(128, 128))
    assert lists(text, "anchors") == ["8,8, 16,16, 80,20, 32,32, 64,64"] * 2
    assert lists(text, "mask") == ["0,2", "1,2"]


def test_heads_without_masks_list_their_own() -> None:
    text = template(
        HEAD.format(mask="", anchors="8,8, 16,16", num=2),
        HEAD.format(mask="", anchors="24,24, 32,32", num=2),
    )
    fitted = ((1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0))
    assert lists(start(text, anchors_wh=fitted), "anchors") == ["1,1, 2,2", "3,3, 4,4"]


def test_anchors_of_a_region_are_written_in_its_cells() -> None:
    # Cells of the first head are 8 pixels wide and high, of the second 16; (4 + 1 + 2) * 2 = 14.
    region = "[region]\nanchors={}\nclasses=2\nnum=2\nsoftmax=1\n"
    text = template(region.format("1,1, 2,1"), region.format("1,1, 3,2"))
    graph = compile_text(text, "t.cfg")
    assert used_anchors(graph) == ((8, 8), (16, 8), (16, 16), (48, 32))
    assert lists(start(text, size=(64, 128)), "anchors") == ["2,1, 4,1", "2,1, 6,2"]
    fitted = ((4.0, 8.0), (8.0, 10.0), (16.0, 24.0), (40.0, 32.0))
    text = start(text, anchors_wh=fitted)
    assert lists(text, "anchors") == ["0.5,1, 1,1.25", "1,1.5, 2.5,2"]
    assert "# width,height in cells of the map, from somewhere.\nanchors=" in text


def test_places_for_anchors_are_counted_over_the_heads() -> None:
    assert anchor_slots(compile_text(TWO_HEADS, "t.cfg")) == 4


@pytest.mark.parametrize(
    ("classes", "images", "wanted"),
    [(1, None, 6000), (3, 500, 6000), (10, 500, 20_000), (3, 30_000, 30_000)],
)
def test_updates_follow_darknets_advice(classes: int, images: int | None, wanted: int) -> None:
    assert advised_updates(classes, images) == wanted


def test_epochs_are_counted_in_batches_of_64() -> None:
    assert updates(100, 320) == 500
    assert updates(0.1, 64) == 1


def graph_of(channels: int) -> Graph:
    """One 1x1 convolution on 1000x1000 pixels: as many numbers as channels times 10^6."""
    text = f"[net]\nwidth=1000\nheight=1000\nchannels=3\n[conv]\nfilters={channels}\n"
    return compile_text(text + "activation=linear\n", "t.cfg")


@pytest.mark.parametrize(
    # 12.8 bytes for each number while it learns, 6.4e9 bytes of a card of 8e9:
    # with c channels an image takes 12.8e6 c bytes, so 500 / c images fit.
    ("channels", "wanted"),
    [(7, 1), (8, 2), (16, 4), (200, 32), (2000, 64)],
)
def test_subdivisions_are_those_that_fit_a_card_of_8_gigabytes(channels: int, wanted: int) -> None:
    assert fitting_subdivisions(graph_of(channels)) == wanted
