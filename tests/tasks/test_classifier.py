"""What a classifier says, against OpenCV's importer and against scores worked out by hand."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from yolo_gp.data.classifier_input import prepare_for_classifier
from yolo_gp.errors import CfgError, DataError, UsageError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.network import compile_network, initialise
from yolo_gp.nodes import module_name
from yolo_gp.tasks.classifier import Classifier, ClassifierSettings
from yolo_gp.tasks.inference import as_array
from yolo_gp.tasks.models import ModelSource
from yolo_gp.weights.darknet import save_weights

from ..test_opencv_judge import for_opencv
from .classifier_sets import CFG, GREYS, NAMES, grey_classifier, grey_network, write_grey

SMALL = """[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=leaky
[convolutional]
filters=12
size=1
stride=1
pad=1
activation=linear
[avgpool]
[softmax]
groups=1
[cost]
type=sse
"""


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def network_of(text: str, file: str = "x.cfg") -> tuple[Graph, torch.fx.GraphModule]:
    graph = compile_text(text, file)
    network = compile_network(graph)
    initialise(network, seed=0)
    return graph, network


@torch.no_grad()
def stir_batch_norms(network: nn.Module) -> None:
    """Statistics as training leaves them, so that folding has something to fold."""
    generator = torch.Generator().manual_seed(7)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.uniform_(0.5, 1.5, generator=generator)
            module.bias.normal_(0, 0.3, generator=generator)


def assert_agrees_with_opencv(cfg: Path, folder: Path, photos: list[NDArray[np.uint8]]) -> None:
    """Same classes in the same order with the same probabilities, for some images in one batch."""
    graph = read_graph(cfg)
    network = compile_network(graph)
    initialise(network, seed=3)
    stir_batch_norms(network)
    weights = folder / "seeded.weights"
    save_weights(weights, graph, network)
    judge = cv2.dnn.readNetFromDarknet(
        np.frombuffer(cfg.read_bytes(), np.uint8),
        np.frombuffer(for_opencv(graph, weights.read_bytes()), np.uint8),
    )
    classifier = Classifier.load(ClassifierSettings(model=ModelSource(cfg=cfg, weights=weights)))
    found = classifier.classify_batch(photos)
    for photo, said in zip(photos, found, strict=True):
        judge.setInput(prepare_for_classifier(photo, graph.input_shape.size)[None].numpy())
        expected = np.asarray(judge.forward()).ravel()
        assert expected.std() > 0.1 / expected.size  # equal probabilities would judge nothing
        assert [one.class_id for one in said] == np.argsort(-expected)[:5].tolist()
        best = np.sort(expected)[::-1][:5]
        np.testing.assert_allclose([one.score for one in said], best, rtol=1e-4)


def test_classes_and_probabilities_equal_opencvs(tmp_path: Path) -> None:
    cfg = tmp_path / "small.cfg"
    cfg.write_text(SMALL)
    photos = [noise(40, 60), noise(51, 33, seed=1) // 3, noise(32, 32, seed=2)]
    assert_agrees_with_opencv(cfg, tmp_path, photos)


def test_a_real_classifier_agrees_with_opencv_on_photos(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/coco-mini/images/val"
    photos = [as_array(path, 3) for path in sorted(folder.iterdir())[:2]]
    cfg = shared / "data/cfg-corpus/AlexeyAB-darknet/tiny.cfg"
    assert_agrees_with_opencv(cfg, tmp_path, photos)


def test_the_nearest_grey_comes_first_and_scores_are_probabilities(tmp_path: Path) -> None:
    classifier = grey_classifier()
    # 128 / 255 is .502; 3/6, 4/6, 2/6 ... are nearest
    said = classifier.classify(write_grey(tmp_path / "a.png", 0.5), top=7)
    assert [one.name for one in said] == [
        "steel",
        "ash",
        "lead",
        "chalk",
        "coal",
        "white",
        "black",
    ]
    brightness = 128 / 255
    powers = [exp(2 * grey * brightness - grey**2) for grey in GREYS]
    by_id = {one.class_id: one.score for one in said}
    expected = {class_id: power / sum(powers) for class_id, power in enumerate(powers)}
    assert by_id == pytest.approx(expected, rel=1e-5)


def test_top_limits_the_classes_and_may_exceed_them() -> None:
    classifier = grey_classifier()
    white = np.full((8, 8, 3), 255, np.uint8)
    assert [one.name for one in classifier.classify(white, top=2)] == ["white", "chalk"]
    assert len(classifier.classify(white, top=100)) == 7
    assert classifier.classify_batch([]) == []


def test_of_equal_scores_the_lower_class_comes_first() -> None:
    graph, network = network_of(CFG)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    said = Classifier(graph, network).classify(noise(9, 9), top=3)
    assert [(one.class_id, one.name) for one in said] == [(0, "0"), (1, "1"), (2, "2")]
    assert said[0].score == pytest.approx(1 / 7)


LAST = """[net]
width=4
height=4
channels=1
[connected]
output=3
activation={}
"""


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        # black gives the biases -2, 5, log 3
        ("linear", [(1, 5.0), (2, log(3)), (0, -2.0)]),
        ("logistic", [(1, 1 / (1 + exp(-5))), (2, 0.75), (0, 1 / (1 + exp(2)))]),
    ],
)
def test_without_a_softmax_scores_are_what_the_last_layer_gives(
    activation: str, expected: list[tuple[int, float]]
) -> None:
    graph, network = network_of(LAST.format(activation))
    biases = [value for name, value in network.named_parameters() if name.endswith("bias")]
    with torch.no_grad():
        biases[0].copy_(torch.tensor([-2.0, 5.0, log(3)]))
    said = Classifier(graph, network).classify(np.zeros((6, 6, 3), np.uint8))
    assert [one.class_id for one in said] == [class_id for class_id, _ in expected]
    scores = [score for _, score in expected]
    assert [one.score for one in said] == pytest.approx(scores, rel=1e-5)


TREE = """[net]
width=4
height=4
channels=3
[convolutional]
filters=5
size=4
stride=4
activation=linear
[softmax]
tree={}
[cost]
"""
# 0 thing (root), 1 animal and 2 plant are things, 3 dog and 4 cat are animals
NODES = "thing -1\nanimal 0\nplant 0\ndog 1\ncat 1\n"


def tree_classifier(folder: Path) -> Classifier:
    """Of black it says: an animal with 3/4, a dog with 4/5 if an animal."""
    (folder / "things.tree").write_text(NODES)
    graph, network = network_of(TREE.format(folder / "things.tree"))
    bias = network.get_submodule(module_name(graph.nodes[0])).convolution.bias
    with torch.no_grad():
        bias.copy_(torch.tensor([1.0, log(3), 0.0, log(4), 0.0]))
    return Classifier(graph, network)


def test_in_a_tree_a_class_is_no_more_probable_than_what_it_is_a_kind_of(tmp_path: Path) -> None:
    classifier = tree_classifier(tmp_path)
    said = classifier.classify(np.zeros((4, 4, 3), np.uint8))
    expected = {"thing": 1, "animal": 3 / 4, "dog": 3 / 4 * 4 / 5, "plant": 1 / 4, "cat": 3 / 20}
    assert [one.name for one in said] == list(expected)
    assert [one.score for one in said] == pytest.approx(list(expected.values()), rel=1e-5)


def test_accuracy_looks_at_the_leaves_of_a_tree_only(tmp_path: Path) -> None:
    scores = tree_classifier(tmp_path).leaf_scores(torch.zeros(1, 3, 4, 4))
    assert scores[0].tolist() == pytest.approx([0, 0, 1 / 4, 3 / 5, 3 / 20], rel=1e-5)


def test_a_tree_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CfgError, match=r"the file nowhere\.tree is not there"):
        Classifier(*network_of(TREE.format("nowhere.tree")))


def test_a_detector_is_refused_with_the_command_for_it() -> None:
    detector = CFG.replace("[softmax]\n[cost]\n", "[yolo]\nclasses=2\nnum=1\nanchors=4,4\n")
    with pytest.raises(UsageError) as caught:
        Classifier(*network_of(detector, "finder.cfg"))
    assert str(caught.value) == (
        "finder.cfg is a detector: its [yolo] finds boxes in an image\n"
        "expected: a network that gives one number for each class, such as one that ends in "
        "[avgpool] and [softmax]\n"
        "help: `yolo-gp detect` runs detectors"
    )


def test_a_network_that_ends_in_a_map_is_refused() -> None:
    backbone = CFG.replace("size=8\nstride=8", "size=4\nstride=4").replace("[softmax]\n", "")
    with pytest.raises(UsageError) as caught:
        Classifier(*network_of(backbone, "backbone.cfg"))
    assert str(caught.value) == (
        "backbone.cfg is no classifier: it ends in a map of 7 x 2 x 2\n"
        "expected: one number for each class, as after [avgpool] or [connected]"
    )


def test_a_network_for_other_things_than_images_is_refused() -> None:
    letters = "[net]\ninputs=256\n[connected]\noutput=256\n[softmax]\n"
    with pytest.raises(UsageError) as caught:
        Classifier(*network_of(letters, "letters.cfg"))
    assert str(caught.value) == (
        "letters.cfg takes no images: its input is 256 x 1 x 1\n"
        "expected: an input of 1 (grey), 3 (RGB) or 4 (RGBA) channels"
    )


def test_names_that_are_not_as_many_as_the_classes_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        Classifier(*network_of(CFG, "greys.cfg"), names=NAMES[:6])
    assert str(caught.value) == (
        "6 class names are given, but greys.cfg tells 7 classes apart\n"
        "expected: 7 lines in the names file, blank ones count"
    )


def test_half_precision_says_nearly_the_same() -> None:
    exact = grey_classifier().scores(torch.full((1, 3, 8, 8), 0.3))
    graph, network = network_of(CFG)
    network.load_state_dict(grey_network()[1].state_dict())
    coarse = Classifier(graph, network, dtype=torch.bfloat16).scores(torch.full((1, 3, 8, 8), 0.3))
    assert coarse.dtype == torch.float32
    assert 0 < (coarse - exact).abs().max() < 0.01
