"""Templates for new cfgs: what counts as one, by what names, at what cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.errors import CfgError, UsageError
from yolo_gp.tasks.templates import (
    Template,
    find_template,
    list_templates,
    packaged_templates,
    require_multiple,
    templates_data,
    templates_text,
)
from yolo_gp.zoo import packaged_cfgs


def test_every_packaged_cfg_with_a_head_is_a_template_and_no_other() -> None:
    names = {template.name for template in packaged_templates()}
    with_head = {
        name
        for name, path in packaged_cfgs().items()
        if {"[yolo]", "[anchor_free]"} & set(path.read_text().splitlines())
    }
    assert names == with_head
    assert {"elan-tiny", "elan-af-seg"} <= names and "resnet50" not in names


@pytest.mark.parametrize("name", ["elan-tiny", "tiny-elan", "elan-tiny.cfg", "Tiny-ELAN"])
def test_the_words_of_a_name_may_stand_in_any_order(name: str) -> None:
    assert find_template(name).name == "elan-tiny"


def test_a_cfg_of_ones_own_is_a_template(tmp_path: Path) -> None:
    path = tmp_path / "mine.cfg"
    path.write_text("[net]\n[yolo]\n")
    assert find_template(str(path)) == Template(str(path), path, b"[net]\n[yolo]\n")


def test_a_name_that_means_nothing_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as error:
        find_template("tiny-elon")
    assert str(error.value) == (
        "there is no template tiny-elon\n"
        "expected: a name that `yolo-gp new --list` prints, or the path of a cfg\n"
        "help: did you mean elan-tiny?"
    )


def test_a_classifier_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        find_template("resnet50")
    assert str(error.value) == (
        "resnet50 has no detection head, so no detector can be made from it\n"
        "expected: a name that `yolo-gp new --list` prints"
    )


def test_a_size_that_the_network_does_not_divide_is_refused_with_the_nearest() -> None:
    graph = find_template("elan-tiny").compiled()
    require_multiple(graph, (320, 416))
    with pytest.raises(UsageError) as error:
        require_multiple(graph, (330, 416))
    assert str(error.value) == (
        "--size 330x416 (height x width) is no multiple of 32, by which the network divides its "
        "input\nexpected: 320x416 or 352x416"
    )
    with pytest.raises(UsageError, match=r"expected: 32x32 or 32x64\n*$"):
        require_multiple(graph, (8, 40))


def test_the_list_has_costs_at_the_size_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    two = {name: packaged_cfgs()[name] for name in ("elan-tiny", "elan-nano")}
    monkeypatch.setattr("yolo_gp.tasks.templates.packaged_cfgs", lambda: two)
    listed = list_templates((320, 416), 3)
    assert [found.name for found in listed] == ["elan-nano", "elan-tiny"]  # cheapest first
    # The heads of elan-tiny read 128, 256, 512 channels and lose 255 - 24 filters, each with a
    # bias: 6,227,101 - 231 * (128 + 256 + 512 + 3)
    assert listed[1].graph.total.params == 6_019_432
    assert listed[1].graph.input_shape.size == (320, 416)
    lines = templates_text(listed).splitlines()
    assert lines[0].split("  ")[0] == "template"
    assert lines[2].split() == (
        "elan-tiny 320x416 6.02 M 4.24 G 8,16,32 darknet modern YOLOv7-tiny".split()
    )
    assert templates_data(listed)["templates"][1] == {
        "name": "elan-tiny",
        "input_size": [320, 416],
        "classes": 3,
        "params": 6_019_432,
        "macs": listed[1].graph.total.macs,
        "strides": [8, 16, 32],
        "recipes": ["darknet", "modern"],
        "description": "YOLOv7-tiny",
    }


def test_a_template_that_does_not_compile_says_so_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.cfg"
    path.write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[yolo]\nclasses=1\n")
    with pytest.raises(CfgError, match=r"mine\.cfg:5:1: error"):
        find_template(str(path)).compiled()
