"""[region] (darknet.md 3.6): decoding by hand and against OpenCV, trees, maps, messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from yolo_gp.detections import Candidates
from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.region import Region
from yolo_gp.network import compile_network
from yolo_gp.postprocess import exceeding, join_candidates, non_maximum_suppression
from yolo_gp.rules import Rule
from yolo_gp.weights.darknet import save_weights

LN3 = math.log(3.0)
TREE = "animal -1\nthing -1\ndog 0\ncat 0\nterrier 2\nhound 2\ncup 1\n"


def compiled(keys: str, filters: int) -> Graph:
    text = (
        "[net]\nwidth=64\nheight=32\nchannels=3\n"
        f"[convolutional]\nfilters={filters}\nsize=1\nstride=32\nactivation=linear\n[region]\n{keys}"
    )
    return compile_text(text, "x.cfg")


def head_of(graph: Graph) -> Region:
    head = graph.heads[0][1]
    assert isinstance(head, Region)
    return head


def a_map(*cells: Sequence[float]) -> Tensor:
    """A map of one row, from the numbers of each of its cells."""
    return torch.tensor(cells, dtype=torch.float32).t()[None, :, None, :]


def errors(keys: str, filters: int) -> list[str]:
    with pytest.raises(CfgError) as caught:
        compiled(keys, filters)
    return [d.render() for d in caught.value.diagnostics if d.severity == "error"]


SOFTMAX = "anchors=1.5,.5\nclasses=2\nsoftmax=1\n"
# x, y, w, h, objectness, two classes, in two cells
CELLS = a_map(
    (0.0, 0.0, 0.0, 0.0, 0.0, LN3, 0.0),
    (LN3, -LN3, math.log(2.0), 0.0, LN3, 0.0, 0.0),
)


def test_a_box_is_decoded_as_darknet_does() -> None:
    (found,) = head_of(compiled(SOFTMAX, 7)).decode([CELLS], (32, 64), 0.0)
    # The map is 2 cells wide and 1 high. sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4.
    # x = (0 + .5) / 2, y = .5 / 1; w = e^0 * 1.5 / 2, h = .5 / 1
    # x = (1 + .75) / 2, y = .25 / 1; w = 2 * 1.5 / 2, h = .5 / 1
    boxes = [[0.25, 0.5, 0.75, 0.5], [0.875, 0.25, 1.5, 0.5]]
    # objectness .5 times softmax(ln 3, 0) = 3/4, 1/4; objectness 3/4 times 1/2, 1/2
    scores = [[0.375, 0.125], [0.375, 0.375]]
    np.testing.assert_allclose(found.boxes_cxcywh_norm, boxes, rtol=1e-6)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-6)
    assert found.objectness is None


def test_a_score_counts_if_it_exceeds_the_threshold() -> None:
    head = head_of(compiled(SOFTMAX, 7))
    (found,) = head.decode([CELLS], (32, 64), 0.37)
    np.testing.assert_allclose(found.scores, [[0.375, 0.0], [0.375, 0.375]], rtol=1e-6)
    (found,) = head.decode([CELLS], (32, 64), 0.6)  # only the second's objectness is above
    np.testing.assert_allclose(found.scores, [[0.0, 0.0]])


def test_anchors_stand_inside_a_cell_and_cells_row_by_row() -> None:
    head = head_of(compiled("num=2\nanchors=1,1, 2,2\nclasses=1\nsoftmax=1\n", 12))
    found = head.decode_all([torch.zeros(1, 12, 2, 3)], (32, 64))
    boxes = found.boxes_cxcywh_norm[0]
    x, y, w, _ = boxes.t().tolist()
    assert x == pytest.approx([(i + 0.5) / 3 for _ in range(2) for i in range(3) for _ in range(2)])
    assert y == pytest.approx([(j + 0.5) / 2 for j in range(2) for _ in range(6)])
    assert w == pytest.approx([1 / 3, 2 / 3] * 6)


def test_without_softmax_classes_take_pjreddies_sigmoid_and_a_warning_says_so() -> None:
    graph = compiled("anchors=1.5,.5\nclasses=2\n", 7)
    assert [(w.rule, w.message) for w in graph.warnings] == [
        (
            Rule.RAW_SCORES,
            "[region] without softmax: class scores take a sigmoid, as in pjreddie's Darknet; "
            "AlexeyAB's multiplies the numbers as they are with the objectness",
        )
    ]
    (found,) = head_of(graph).decode([CELLS], (32, 64), 0.0)
    # .5 times sigmoid(ln 3), sigmoid(0); 3/4 times 1/2, 1/2
    np.testing.assert_allclose(found.scores, [[0.375, 0.25], [0.375, 0.375]], rtol=1e-6)


def test_classfix_minus_one_leaves_out_what_is_rather_no_object() -> None:
    cells = a_map((0, 0, 0, 0, -0.01, 0, 0), (0, 0, 0, 0, 0.01, 0, 0))
    plain = head_of(compiled(SOFTMAX, 7)).decode_all([cells], (32, 64)).scores
    fixed = head_of(compiled(SOFTMAX + "classfix=-1\n", 7)).decode_all([cells], (32, 64)).scores
    assert (plain[0] > 0.2).all()
    assert fixed[0, 0].tolist() == [0.0, 0.0]
    assert torch.equal(fixed[0, 1], plain[0, 1])


@pytest.mark.parametrize("threshold", [0.0, 0.2])
def test_opencv_finds_the_same_boxes_and_scores(threshold: float, tmp_path: Path) -> None:
    # OpenCV takes `thresh` for the threshold and suppresses inside its layer, by IoU above 0.4.
    text = (
        "[net]\nwidth=96\nheight=64\nchannels=3\n"
        "[convolutional]\nfilters=8\nsize=3\nstride=16\npad=1\nactivation=leaky\n"
        "[convolutional]\nfilters=24\nsize=1\nactivation=linear\n"
        f"[region]\nanchors=1.5,2, .7,.9, 3,1.2\nclasses=3\nnum=3\nsoftmax=1\nthresh={threshold}\n"
    )
    graph = compile_text(text, "x.cfg")
    network = compile_network(graph)
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        parameter.data = 0.7 * torch.randn(parameter.shape, generator=generator)
    save_weights(tmp_path / "x.weights", graph, network)
    judge = cv2.dnn.readNetFromDarknet(
        np.frombuffer(text.encode(), np.uint8), np.fromfile(tmp_path / "x.weights", np.uint8)
    )
    image = torch.rand(1, 3, 64, 96, generator=generator)
    judge.setInput(image.numpy())
    expected = judge.forward()  # x, y, w, h, objectness, 3 scores of each of 4 * 6 * 3 places
    with torch.no_grad():
        maps = network(image)
    found = head_of(graph).decode_all(maps, (64, 96))
    boxes, scores = found.boxes_cxcywh_norm[0], found.scores[0]
    scores = scores.where(scores > threshold, 0.0)
    kept = non_maximum_suppression(boxes, scores, head_of(graph).nms_rule, 0.4)
    np.testing.assert_allclose(boxes.numpy(), expected[:, :4], rtol=0, atol=5e-5)
    np.testing.assert_allclose(kept.numpy(), expected[:, 5:], rtol=0, atol=1e-5)
    assert (scores > 0).sum() > (kept > 0).sum() > 50


# -- trees --------------------------------------------------------------------------------------

IN_TREE = "anchors=1,1\nclasses=7\nsoftmax=1\ntree=the.tree\n"
# animal 3/4, thing 1/4; dog 4/5, cat 1/5; terrier 9/10, hound 1/10; cup 1
CLASSES = (LN3, 0.0, math.log(4), 0.0, math.log(9), 0.0, -3.0)
OF_TREE = a_map(
    (0, 0, 0, 0, LN3, *CLASSES),
    (0, 0, 0, 0, -LN3, *CLASSES),
    (0, 0, 0, 0, LN3, 0, 0, 5, 0, 5, 0, 5),
)
ABSOLUTE = [0.75, 0.25, 0.6, 0.15, 0.54, 0.06, 0.25]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "the.tree").write_text(TREE)
    (tmp_path / "the.map").write_text("2\n6\n")
    return tmp_path


def test_a_box_in_a_tree_is_the_last_sure_node_with_its_own_probability(folder: Path) -> None:
    (found,) = head_of(compiled(IN_TREE, 12)).decode([OF_TREE], (32, 64), 0.3)
    # The first cell: terrier, 3/4 * 4/5 * 9/10, not times the objectness 3/4. The second's
    # objectness, 1/4, is not above .3. In the third no node is above 1/2.
    np.testing.assert_allclose(found.scores, [[0, 0, 0, 0, 0.54, 0, 0], [0] * 7], rtol=1e-5)
    assert found.objectness is not None
    assert found.objectness.tolist() == pytest.approx([0.75, 0.75])


def test_a_higher_threshold_afterwards_compares_the_objectness(folder: Path) -> None:
    (found,) = head_of(compiled(IN_TREE, 12)).decode([OF_TREE], (32, 64), 0.1)
    assert (found.scores > 0).sum(1).tolist() == [1, 1, 0]
    assert (exceeding(found, 0.3).scores > 0).sum(1).tolist() == [1, 0, 0]
    plain = Candidates(torch.zeros(1, 4), torch.full((1, 7), 0.2))
    joined = exceeding(join_candidates([plain, found]), 0.1)
    assert (joined.scores > 0).sum(1).tolist() == [7, 1, 1, 0]


def test_without_a_threshold_the_answers_score_is_the_objectness(folder: Path) -> None:
    found = head_of(compiled(IN_TREE, 12)).decode_all([OF_TREE], (32, 64)).scores[0]
    expected = [[0, 0, 0, 0, 0.75, 0, 0], [0, 0, 0, 0, 0.25, 0, 0], [0] * 7]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_names_of_the_maps_classes_choose_the_map(folder: Path) -> None:
    graph = compiled(IN_TREE + "map=the.map\n", 12)
    assert head_of(graph.naming(7)).num_classes == 7
    assert head_of(graph.naming(0)).num_classes == 7
    mapped = head_of(graph.naming(2))
    assert mapped.num_classes == 2
    # dog and cup: objectness times absolute probability
    scores = [[0.75 * 0.6, 0.75 * 0.25], [0.25 * 0.6, 0.25 * 0.25]]
    found = mapped.decode_all([OF_TREE], (32, 64)).scores[0]
    np.testing.assert_allclose(found[:2], scores, rtol=1e-5)
    (above,) = mapped.decode([OF_TREE], (32, 64), 0.2)
    np.testing.assert_allclose(above.scores[0], [0.45, 0.0], rtol=1e-5)
    assert graph.naming(2).fingerprint != graph.fingerprint == graph.naming(7).fingerprint


def test_a_map_without_a_tree_has_no_effect(folder: Path) -> None:
    graph = compiled("anchors=1,1\nclasses=7\nsoftmax=1\nmap=the.map\n", 12)
    assert [w.message for w in graph.warnings] == ["[region] map has no effect without a tree"]
    assert head_of(graph.naming(2)).num_classes == 7


def test_without_its_map_a_head_has_the_classes_of_the_tree(folder: Path) -> None:
    (folder / "the.map").unlink()
    graph = compiled(IN_TREE + "map=the.map\n", 12)
    assert [w.message for w in graph.warnings] == [
        "the file the.map is not there; boxes are named by the classes of the tree only"
    ]
    head_of(graph).require_files()
    assert head_of(graph.naming(2)).num_classes == 7


def test_without_its_tree_a_head_decodes_nothing(folder: Path) -> None:
    (folder / "the.tree").unlink()
    head = head_of(compiled(IN_TREE, 12))
    for attempt in (
        head.require_files,
        lambda: head.decode([OF_TREE], (32, 64), 0.3),
        lambda: head.decode_all([OF_TREE], (32, 64)),
    ):
        with pytest.raises(CfgError, match=r"the file the\.tree is not there") as caught:
            attempt()
        assert [d.rule for d in caught.value.diagnostics] == [Rule.MISSING_FILE]


# -- what other layers read ---------------------------------------------------------------------


def test_a_layer_that_reads_the_head_gets_probabilities(folder: Path) -> None:
    for keys, filters, cells in ((SOFTMAX, 7, CELLS), (IN_TREE, 12, OF_TREE)):
        graph = compiled(keys, filters)
        output = compile_network(graph).get_submodule("region_1")(cells)
        assert output.shape == cells.shape
        assert torch.equal(output[:, 2:4], cells[:, 2:4])
        for entry in (0, 1, 4):
            assert torch.equal(output[:, entry], cells[:, entry].sigmoid())
        if filters == 7:
            np.testing.assert_allclose(output[0, 5:, 0, 0], [0.75, 0.25], rtol=1e-6)
        else:
            expected = [0.75, 0.25, 0.8, 0.2, 0.9, 0.1, 1.0]
            np.testing.assert_allclose(output[0, 5:, 0, 0], expected, rtol=1e-6)


# -- messages -----------------------------------------------------------------------------------


def test_filters_that_do_not_fit_are_counted_out() -> None:
    (found,) = errors("num=5\nanchors=1,1,2,2,3,3,4,4,5,5\nclasses=20\nsoftmax=1\n", 75)
    assert found == (
        "x.cfg:10:1: error: [region] needs (coords + classes + 1) * num = (4 + 20 + 1) * 5 = 125 "
        "channels, but layer 0 gives 75 [YG301]\n"
        "   10 | [region]\n"
        "      | ^^^^^^^^\n"
        "expected: filters=125 in the section at line 5\n"
        "help: set filters=125 there, or mend classes=20 or num here"
    )


def test_other_coords_and_a_background_class_are_refused() -> None:
    (coords, background) = errors(SOFTMAX + "coords=5\nbackground=1\n", 7)
    assert "[region] coords=5: a box is made of 4 numbers [YG109]" in coords
    assert coords.endswith("expected: coords=4")
    assert "[region] background=1: a class for the background is not supported" in background


def test_surplus_anchors_do_not_count() -> None:
    graph = compiled("num=1\nanchors=1.5,.5, 9,9\nclasses=2\nsoftmax=1\n", 7)
    assert [w.message for w in graph.warnings] == [
        "[region] anchors lists 2 pairs, but num=1; Darknet reads the first 1 and so do we"
    ]
    assert head_of(graph).anchors.masked_wh == ((1.5, 0.5),)


def test_mask_is_no_key_of_it() -> None:
    graph = compiled(SOFTMAX + "mask=0\n", 7)
    assert [w.rule for w in graph.warnings] == [Rule.UNKNOWN_KEY]


def test_the_training_keys_of_yolov2_are_known() -> None:
    keys = (
        "bias_match=1\ncoords=4\njitter=.3\nrescore=1\nobject_scale=5\nnoobject_scale=1\n"
        "class_scale=1\ncoord_scale=1\nabsolute=1\nthresh=.6\nrandom=1\n"
    )
    graph = compiled(SOFTMAX + keys, 7)
    assert graph.warnings == ()
    assert graph.fingerprint == compiled(SOFTMAX, 7).fingerprint
