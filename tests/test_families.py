"""Family members have as many weight layers as asked, of the widths and joins of their family."""

from __future__ import annotations

import pytest

from yolo_gp.errors import UsageError
from yolo_gp.families import FAMILIES, FamilySettings, family_cfg
from yolo_gp.graph import Graph, compile_text


def member(family: str, layers: int, channels: int = 64, ratio: float = 0.5) -> Graph:
    settings = FamilySettings(layers=layers, channels=channels, ratio=ratio)
    return compile_text(family_cfg(family, settings), f"{family}.cfg", strict=True)


def widths(graph: Graph) -> list[int]:
    convolutions = (node for node in graph.nodes if node.layer.kind == "convolutional")
    return [node.output_shape.channels for node in convolutions]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [5, 13])
def test_a_member_has_the_weight_layers_asked_for_and_no_diagnostics(
    family: str, layers: int
) -> None:
    assert len(widths(member(family, layers))) == layers


def test_shrink_falls_and_expand_grows_in_equal_steps() -> None:
    assert widths(member("prn-shrink", 4, channels=8)) == [8, 6, 4, 2]
    assert widths(member("prn-expand", 4, channels=8)) == [2, 4, 6, 8]


def test_a_bottleneck_shrinks_then_grows_with_nothing_added_across_the_joint() -> None:
    graph = member("prn-bottleneck", 4, channels=8)
    assert widths(graph) == [8, 4, 4, 8]
    # 0 conv 8, 1 conv 4, 2 adds 0, 3 conv 4, 4 conv 8, 5 adds 3
    assert [node.inputs[1].source for node in graph.nodes if len(node.inputs) > 1] == [0, 3]


def test_sparse_dense_reads_at_distances_that_are_powers_of_two() -> None:
    graph = member("sparse-dense", 8, channels=4)
    routes = [node for node in graph.nodes if node.layer.kind == "route"]
    # Before layer 8 (counted from 1) layers 7, 6 and 4; before the loss 8, 7 and 5.
    assert [node.output_shape.channels // 4 for node in routes] == [2, 2, 3, 3, 3, 3, 4]


def test_prn_adds_the_ratio_of_the_channels() -> None:
    text = family_cfg("prn", FamilySettings(layers=3, channels=8, ratio=0.25))
    assert text.count("ratio=0.25") == 2


@pytest.mark.parametrize(
    ("family", "layers", "channels", "message"),
    [
        ("plain", 0, 64, "0 layers make no network\nexpected: at least 1 layer"),
        ("plain", 3, 0, "0 channels hold nothing\nexpected: at least 1 channel"),
        (
            *("osa", 8, 64),
            "osa has 1 + 4 m layers, which 8 is not\nexpected: --layers 5 or 9",
        ),
        (
            *("elan", 2, 64),
            "elan has a first layer, a stack and a transition; 2 layers are too few\n"
            "expected: --layers of at least 3",
        ),
        (
            *("prn-shrink", 9, 8),
            "8 channels cannot shrink 8 times\nexpected: --channels of at least 9",
        ),
    ],
)
def test_members_that_do_not_exist_are_refused(
    family: str, layers: int, channels: int, message: str
) -> None:
    with pytest.raises(UsageError) as error:
        member(family, layers, channels)
    assert str(error.value) == message


def test_a_ratio_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="ratio 0 is no share\nexpected: above 0, at most 1"):
        FamilySettings(layers=3, ratio=0)
