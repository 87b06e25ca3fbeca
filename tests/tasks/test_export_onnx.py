"""ONNX export: onnxruntime judges what the file computes, onnx whether it is well made."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_gp.errors import DataError, UsageError, WeightsError
from yolo_gp.graph import compile_text
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.network import compile_network, initialise
from yolo_gp.tasks import export_onnx as exporting
from yolo_gp.tasks.export_onnx import OnnxReport, OnnxSettings, export_onnx
from yolo_gp.tasks.models import Model
from yolo_gp.tasks.onnx_graph import OnnxGraph, build_onnx
from yolo_gp.tasks.onnx_outputs import Outputs

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

NET = "[net]\nchannels=3\nheight=32\nwidth=48\n"
BODY = """
[convolutional]
batch_normalize=1
filters=3
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=3
size=3
pad=1
activation=mish
[shortcut]
from=-2
activation=linear
stop_gradient=identity
[maxpool]
size=2
stride=2
"""
HEADS = """
[convolutional]
filters=20
activation=linear
[yolo]
classes=2
num=2
anchors=16,14, 30,24
masks=3
prototypes=2
[route]
layers=3
[convolutional]
filters=20
stride=2
activation=linear
[yolo]
classes=2
num=2
anchors=24,18, 44,30
scale_x_y=1.1
masks=3
prototypes=2
nms_kind=greedynms
"""
PROTOTYPES = "[upsample]\nstride=2\n[convolutional]\nfilters=3\nactivation=swish\n"
ANCHOR_FREE = """
[net]
channels=3
height=16
width=24
[convolutional]
filters=12
size=4
stride=4
activation=swish
[convolutional]
filters=2
activation=linear
[anchor_free]
from=0,1
classes=2
bins=3
"""


def head(classes: int = 2, masks: int = 3, prototypes: int = 2) -> str:
    """Three sections: a head of one anchor on layer 0."""
    keys = f"masks={masks}\nprototypes={prototypes}\n" if masks else ""
    return (
        f"[route]\nlayers=0\n[convolutional]\nfilters={5 + classes + masks}\n"
        f"activation=linear\n[yolo]\nclasses={classes}\nnum=1\nanchors=7,6\n{keys}"
    )


STEM = "[convolutional]\nfilters=8\nsize=4\nstride=4\nactivation=leaky\n"


def model_of(text: str) -> Model:
    """An untrained network whose heads' scores spread over 0..1."""
    graph = compile_text(text, "small.cfg")
    network = compile_network(graph)
    initialise(network, seed=2)
    generator = torch.Generator().manual_seed(2)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_var", "running_mean")):
            tensor.fill_(0.1)
        elif name.endswith("bias"):
            tensor.uniform_(-0.5, 0.5, generator=generator)
    return Model(graph, network, ("cat", "dog"))


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of(NET + BODY + HEADS)


@pytest.fixture(scope="module")
def built(model: Model) -> OnnxGraph:
    """Traced once, since that takes most of the time."""
    return build_onnx(model.network, Outputs.of(model.graph, raw=False))


Traced = Callable[[OnnxGraph], None]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Traced:
    """Make the export go on from a copy of what has been traced."""

    def give(graph: OnnxGraph) -> None:
        again = copy.deepcopy(graph)
        monkeypatch.setattr(exporting, "build_onnx", lambda network, outputs: again)

    return give


@pytest.fixture
def decoded(model: Model, built: OnnxGraph, traced: Traced, tmp_path: Path) -> OnnxReport:
    traced(built)
    return export_onnx(model, tmp_path / "decoded.onnx", OnnxSettings())


def run(path: Path, images: Tensor) -> dict[str, NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": images.numpy()}), strict=True))


def images_of(batch: int) -> Tensor:
    return torch.rand(batch, 3, 32, 48, generator=torch.Generator().manual_seed(batch))


def test_boxes_and_scores_are_those_of_the_heads_at_any_batch_size(
    model: Model, decoded: OnnxReport
) -> None:
    images = images_of(3)
    found = run(decoded.path, images)
    with torch.no_grad():
        maps = model.network(images)
    # 8 x 12 and 4 x 6 cells, two anchors each
    assert found["boxes"].shape == (3, 2 * (96 + 24), 4)
    assert found["scores"].shape == (3, 2 * (96 + 24), 2)
    first = 0
    for (_, head), number in zip(model.graph.heads, (0, 2), strict=True):
        for image, candidates in enumerate(head.decode(maps[number : number + 2], (32, 48), -1.0)):
            x, y, w, h = candidates.boxes_cxcywh_norm.T.numpy()
            corners = np.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), axis=1)
            part = slice(first, first + len(x))
            pixels = corners * np.float32([48, 32, 48, 32])
            np.testing.assert_allclose(found["boxes"][image, part], pixels, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(found["scores"][image, part], candidates.scores, atol=1e-5)
        first += len(x)
    assert first == 240


def test_the_file_is_one_that_onnx_and_old_readers_accept(decoded: OnnxReport) -> None:
    onnx.checker.check_model(str(decoded.path), full_check=True)
    proto = onnx.load(str(decoded.path))
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 18)]
    assert proto.ir_version == 8
    (image,) = proto.graph.input
    dims = image.type.tensor_type.shape.dim
    assert image.name == "image"
    assert dims[0].dim_param and [dim.dim_value for dim in dims[1:]] == [3, 32, 48]


def test_nothing_in_the_file_tells_where_it_was_made(decoded: OnnxReport) -> None:
    content = decoded.path.read_bytes()
    assert (
        b".py" not in content and str(Path(__file__).parent.parent.parent).encode() not in content
    )


def test_batch_norms_are_folded_and_cut_gradients_leave_no_trace(
    model: Model, decoded: OnnxReport
) -> None:
    graph = onnx.load(str(decoded.path)).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Conv") == 4
    assert not {"BatchNormalization", "Identity", "Dropout"} & set(kinds)
    (tensor,) = (
        t for t in graph.initializer if t.name.endswith("convolutional_1.convolution.bias")
    )
    module = model.network.get_submodule("convolutional_1")
    assert isinstance(module, Convolution)
    wanted = module.folded_parameters()[1].detach().numpy()
    assert np.array_equal(onnx.numpy_helper.to_array(tensor), wanted)


def test_the_metadata_is_enough_to_know_the_network(model: Model, decoded: OnnxReport) -> None:
    session = onnxruntime.InferenceSession(str(decoded.path), providers=["CPUExecutionProvider"])
    entries = session.get_modelmeta().custom_metadata_map
    assert entries["yolo_gp.format"] == "1"
    assert compile_text(entries["yolo_gp.cfg"], "x.cfg").fingerprint == model.graph.fingerprint
    assert entries["yolo_gp.fingerprint"] == model.graph.fingerprint
    assert json.loads(entries["yolo_gp.names"]) == ["cat", "dog"]
    assert json.loads(entries["yolo_gp.input_size"]) == [32, 48]
    assert (entries["yolo_gp.resize"], entries["yolo_gp.colours"]) == ("plain", "RGB, 0 to 1")


def test_the_report_names_each_output_and_its_difference(decoded: OnnxReport) -> None:
    assert decoded.opset == 18
    assert decoded.outputs == ("boxes", "scores", "mask_coefficients", "prototypes")
    assert decoded.bytes == decoded.path.stat().st_size
    shapes = {value.name: value.shape for value in decoded.checked}
    assert shapes == {
        "boxes": (240, 4),
        "scores": (240, 2),
        "mask_coefficients": (240, 3),
        "prototypes": (3, 16, 24),
        "head_5_0": (20, 8, 12),
        "head_5_1": (3, 16, 24),
        "head_8_0": (20, 4, 6),
        "head_8_1": (3, 16, 24),
    }
    for value in decoded.checked:
        assert 0 < value.difference.relative < 1e-5
        size = " x ".join(map(str, value.shape))
        assert f"  {value.name} (N x {size}): {value.difference.largest:.1e}" in decoded.to_text()


def test_raw_outputs_are_the_maps_of_the_heads_and_the_model_is_left_as_it_was(
    tmp_path: Path,
) -> None:
    model = model_of(ANCHOR_FREE)
    images = torch.rand(3, 3, 16, 24)
    with torch.no_grad():
        maps = model.network(images)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    model.network.train()
    report = export_onnx(model, tmp_path / "raw.onnx", OnnxSettings(raw=True))
    assert model.network.training
    after = model.network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    found = run(report.path, images)
    assert tuple(found) == report.outputs == ("head_2_0", "head_2_1")
    for name, wanted in zip(found, maps, strict=True):
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5)


def overlap(a: list[float], b: list[float]) -> float:
    """IoU of two boxes given as left, top, right, bottom."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


def suppressed(
    boxes: list[list[float]], scores: list[float], confidence: float, iou: float
) -> list[int]:
    """The places that greedy suppression leaves of one class, best first."""
    order = sorted((i for i, s in enumerate(scores) if s > confidence), key=lambda i: -scores[i])
    kept: list[int] = []
    for i in order:
        if all(overlap(boxes[i], boxes[j]) <= iou for j in kept):
            kept.append(i)
    return kept


def test_suppression_inside_leaves_what_greedy_suppression_leaves(
    model: Model, built: OnnxGraph, traced: Traced, decoded: OnnxReport, tmp_path: Path
) -> None:
    traced(built)
    settings = OnnxSettings(nms=True, confidence=0.15, iou=0.25)
    report = export_onnx(model, tmp_path / "nms.onnx", settings)
    images = images_of(2)
    every = run(decoded.path, images)
    rows: list[list[float]] = []
    above = 0
    for image in range(2):
        boxes = every["boxes"][image].tolist()
        for class_id in range(2):
            scores = every["scores"][image, :, class_id].tolist()
            kept = suppressed(boxes, scores, 0.15, 0.25)
            above += sum(score > 0.15 for score in scores)
            rows += [[image, class_id, scores[i], *boxes[i]] for i in kept]
    assert 20 < len(rows) < above - 20
    found = run(report.path, images)
    assert tuple(found) == report.outputs
    assert report.outputs == ("detections", "detection_coefficients", "prototypes")
    np.testing.assert_allclose(found["detections"], rows, rtol=1e-5, atol=1e-5)
    assert report.notes == (
        "the cfg asks for suppression by DIoU, which ONNX lacks: boxes are suppressed by plain "
        "IoU, so some that overlap may be missing",
    )


def test_suppression_of_nothing_gives_no_rows(
    model: Model, built: OnnxGraph, traced: Traced, tmp_path: Path
) -> None:
    traced(built)
    report = export_onnx(model, tmp_path / "nms.onnx", OnnxSettings(nms=True, confidence=1.0))
    assert run(report.path, images_of(2))["detections"].shape == (0, 7)


def test_masks_come_as_coefficients_and_prototypes(model: Model, decoded: OnnxReport) -> None:
    images = images_of(3)
    found = run(decoded.path, images)
    assert tuple(found) == ("boxes", "scores", "mask_coefficients", "prototypes")
    with torch.no_grad():
        maps = model.network(images)
    np.testing.assert_allclose(found["prototypes"], maps[1], rtol=1e-4, atol=1e-5)
    first = 0
    for (_, head), number in zip(model.graph.heads, (0, 2), strict=True):
        for image, candidates in enumerate(head.decode(maps[number : number + 2], (32, 48), -1.0)):
            (recipe,) = candidates.mask_recipes
            count = len(recipe.coefficients)
            part = found["mask_coefficients"][image, first : first + count]
            np.testing.assert_allclose(part, recipe.coefficients, rtol=1e-4, atol=1e-5)
        first += count
    assert found["mask_coefficients"].shape == (3, first, 3)


def test_suppression_keeps_the_mask_coefficients_of_each_box(
    model: Model, built: OnnxGraph, traced: Traced, decoded: OnnxReport, tmp_path: Path
) -> None:
    traced(built)
    report = export_onnx(model, tmp_path / "nms.onnx", OnnxSettings(nms=True, confidence=0.2))
    images = images_of(2)
    all_places, found = run(decoded.path, images), run(report.path, images)
    assert len(found["detections"]) > 20
    assert found["detection_coefficients"].shape == (len(found["detections"]), 3)
    for row, coefficients in zip(found["detections"], found["detection_coefficients"], strict=True):
        boxes = all_places["boxes"][int(row[0])]
        place = int(np.abs(boxes - row[3:]).sum(1).argmin())
        wanted = all_places["mask_coefficients"][int(row[0]), place]
        np.testing.assert_allclose(coefficients, wanted, rtol=1e-4, atol=1e-6)


def test_a_classifier_returns_its_last_layer(tmp_path: Path) -> None:
    convolution = "[convolutional]\nfilters=5\nactivation=linear\n"
    model = model_of(NET + convolution + "[upsample]\nstride=-2\n[avgpool]\n[softmax]\n")
    report = export_onnx(model, tmp_path / "classes.onnx", OnnxSettings())
    found = run(report.path, images_of(3))
    assert tuple(found) == ("output",)
    with torch.no_grad():
        np.testing.assert_allclose(found["output"], model.network(images_of(3))[0], atol=1e-6)
    np.testing.assert_allclose(found["output"].sum((1, 2, 3)), 1, rtol=1e-5)


def test_a_file_that_computes_something_else_is_not_published(
    model: Model, built: OnnxGraph, traced: Traced, tmp_path: Path
) -> None:
    path = tmp_path / "taken.onnx"
    path.write_bytes(b"the old content")
    wrong = copy.deepcopy(built)
    weights = {tensor.name: tensor for tensor in wrong.proto.graph.initializer}
    bias = weights["network.convolutional_7.convolution.bias"]
    changed = onnx.numpy_helper.to_array(bias) + np.float32([0.01] + 19 * [0])
    bias.CopyFrom(onnx.numpy_helper.from_array(changed, bias.name))
    traced(wrong)
    with pytest.raises(WeightsError) as caught:
        export_onnx(model, path, OnnxSettings())
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("onnxruntime computes other boxes from the exported network than torch")
    assert rest == [
        "expected: at most 0.0001, relative to the largest magnitude",
        "help: nothing was written; please report the cfg",
    ]
    # The second head's first x rises by 0.01 before its sigmoid, so x by up to 0.01 / 4, times
    # 1.1 for scale_x_y, times 48 / 6 pixels a cell: 0.022 pixels.
    apart = float(first.partition("the largest difference is ")[2].partition(",")[0])
    assert 0.015 < apart <= 0.022
    assert path.read_bytes() == b"the old content"
    assert [found.name for found in tmp_path.iterdir()] == ["taken.onnx"]


def test_an_unwritable_place_is_named(
    model: Model, built: OnnxGraph, traced: Traced, tmp_path: Path
) -> None:
    traced(built)
    with pytest.raises(DataError) as caught:
        export_onnx(model, tmp_path, OnnxSettings())
    assert str(caught.value) == f"cannot write {tmp_path}: is a directory"


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_what_to_install(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as caught:
        export_onnx(model, tmp_path / "none.onnx", OnnxSettings())
    message = str(caught.value)
    assert message.startswith(f"ONNX files need the package {package}, which cannot be imported:")
    assert message.endswith("\nhelp: pip install 'yolo-gp[onnx]'")
    assert not (tmp_path / "none.onnx").exists()


def test_what_the_exporter_cannot_express_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("no such operator: aten::teleport\n\nmany more lines")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(UsageError) as caught:
        export_onnx(model_of(NET + STEM), tmp_path / "none.onnx", OnnxSettings())
    assert str(caught.value) == (
        "torch's exporter cannot write small.cfg as ONNX: no such operator: aten::teleport"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            lambda: OnnxSettings(raw=True, nms=True),
            "raw maps and suppression of boxes exclude each other; choose one",
        ),
        (
            lambda: OnnxSettings(confidence=1.5),
            "the confidence threshold is 1.5; it must lie between 0 and 1",
        ),
        (lambda: OnnxSettings(iou=-0.1), "the IoU threshold is -0.1; it must lie between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    settings: Callable[[], OnnxSettings], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        settings()
    assert str(caught.value) == message


RAW = "\nhelp: --raw writes the maps of the heads as they are"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            PROTOTYPES + head() + head(classes=5),
            f"the heads of small.cfg disagree on classes: [2, 5]{RAW}",
        ),
        (
            PROTOTYPES + head() + head(masks=0),
            f"the heads of small.cfg disagree on mask coefficients: [3, 0]{RAW}",
        ),
        (
            2 * PROTOTYPES + head(prototypes=2) + head(prototypes=4),
            "the heads of small.cfg take their mask prototypes from several layers: 2, 4\n"
            f"expected: one layer of prototypes for all boxes{RAW}",
        ),
    ],
)
def test_heads_that_cannot_be_joined_are_refused(text: str, message: str, tmp_path: Path) -> None:
    graph = compile_text(NET + STEM + text, "small.cfg")
    with pytest.raises(UsageError) as caught:
        export_onnx(Model(graph, compile_network(graph)), tmp_path / "none.onnx", OnnxSettings())
    assert str(caught.value) == message


def test_suppression_without_a_head_is_refused(tmp_path: Path) -> None:
    model = model_of(NET + STEM)
    with pytest.raises(UsageError) as caught:
        export_onnx(model, tmp_path / "none.onnx", OnnxSettings(nms=True))
    assert str(caught.value) == (
        "small.cfg has no detection head, so there are no boxes to suppress"
    )


def test_a_network_beyond_what_a_file_can_hold_is_refused(tmp_path: Path) -> None:
    text = "[net]\nchannels=3\nheight=8\nwidth=8\n" + 5 * (
        "[convolutional]\nfilters=4096\nsize=3\npad=1\nactivation=linear\n"
    )
    graph = compile_text(text, "huge.cfg")
    model = Model(graph, compile_network(graph, device="meta"))
    # (3 + 4 * 4096) * 9 * 4096 weights and 5 * 4096 biases
    with pytest.raises(UsageError) as caught:
        export_onnx(model, tmp_path / "huge.onnx", OnnxSettings())
    assert str(caught.value) == (
        "huge.cfg has 604,110,848 parameters\n"
        "expected: at most 532,676,608, since an ONNX file ends at 2 GiB"
    )
