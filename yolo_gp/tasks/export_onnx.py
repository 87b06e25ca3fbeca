"""ONNX export: a trained network as a file that other programs run, checked as it is written.

The graph comes from `torch.onnx.export` with `dynamo=True`, the only one of torch's exporters
that is still developed. Rejected: its TorchScript predecessor, which is deprecated and fails on fx
modules in torch 2.13; and a writer of our own per layer kind, which would export in milliseconds
instead of seconds, but would be one more facet of every kind, and a second description of what
each computes.

Every export is run in onnxruntime before the file gets its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from yolo_gp.errors import DataError, UsageError, WeightsError
from yolo_gp.files import os_reason, replacing
from yolo_gp.graph import Graph
from yolo_gp.tasks.differences import Difference, box_difference, difference, score_difference
from yolo_gp.tasks.models import Model
from yolo_gp.tasks.onnx_files import OnnxFile
from yolo_gp.tasks.onnx_graph import OPSET, OnnxGraph, build_onnx
from yolo_gp.tasks.onnx_metadata import OnnxMetadata
from yolo_gp.tasks.onnx_outputs import BOXES, SCORES, Outputs, places_of_heads
from yolo_gp.tasks.onnx_packages import PACKAGES, onnx_package
from yolo_gp.tasks.onnx_suppression import append_suppression

TOLERANCE = 1e-4  # of the check, relative as `difference` defines it
_BATCHES = (1, 2)  # images of the check's two runs
_MEASURES = {BOXES: box_difference, SCORES: score_difference}  # of other values: difference
_LARGEST_FILE = 2**31 - 2**24  # protobuf's limit, less room for the graph


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSettings:
    """What the exported network returns; see onnx_outputs.Outputs.

    Fields:
        raw: the maps of the heads, not boxes and scores.
        nms: what is left of the boxes after non-maximum suppression by IoU, class by class.
        confidence: with nms, boxes above this confidence only, 0..1. Darknet's default.
        iou: with nms, a box is suppressed where its IoU with a better one exceeds this, 0..1.
    """

    raw: bool = False
    nms: bool = False
    confidence: float = 0.25
    iou: float = 0.45

    def __post_init__(self) -> None:
        if self.raw and self.nms:
            raise UsageError("raw maps and suppression of boxes exclude each other; choose one")
        for what, value in (("confidence", self.confidence), ("IoU", self.iou)):
            if not 0 <= value <= 1:
                raise UsageError(f"the {what} threshold is {value}; it must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class CheckedValue:
    """A value of the exported network, compared with torch's.

    Fields:
        name: of an output; or of a head's map, which is a value inside the file.
        shape: of one image.
        difference: on random images, in batches of 1 and 2.
    """

    name: str
    shape: tuple[int, ...]
    difference: Difference


@dataclass(frozen=True, slots=True)
class OnnxReport:
    """What was written.

    Fields:
        bytes: size of the file.
        outputs: names of the file's outputs.
        checked: every value that was compared.
        notes: what a user of the file should know besides, each a sentence.
    """

    path: Path
    bytes: int
    opset: int
    outputs: tuple[str, ...]
    checked: tuple[CheckedValue, ...]
    notes: tuple[str, ...]

    def to_text(self) -> str:
        """A few lines for people."""
        lines = [
            f"{self.path}: {self.bytes:,} bytes, ONNX opset {self.opset}, "
            f"outputs {', '.join(self.outputs)}",
            "largest difference between onnxruntime and torch on random images:",
        ]
        for value in self.checked:
            shape = " x ".join(map(str, value.shape))
            unit = " pixels" * (value.name == BOXES)
            lines.append(f"  {value.name} (N x {shape}): {value.difference.largest:.1e}{unit}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def export_onnx(model: Model, path: Path, settings: OnnxSettings) -> OnnxReport:
    """Write a network as ONNX, for any batch size, at the graph's input size.

    The model is left as it is. The file carries metadata; see OnnxMetadata.

    Raises:
        UsageError: a package is missing; the network cannot be written, or not in this form.
        WeightsError: onnxruntime computes something else than torch. Nothing is written.
        DataError: the file cannot be written.
    """
    for package in PACKAGES:
        onnx_package(package)
    _check_size(model.graph)
    _check_memory(model.graph)
    outputs = Outputs.of(model.graph, raw=settings.raw)
    if settings.nms and not outputs.decoded:
        cfg = model.graph.spec.net.span.file
        raise UsageError(f"{cfg} has no detection head, so there are no boxes to suppress")
    expected = list(_expected(model, outputs))
    written = build_onnx(model.network, outputs)
    if settings.nms:
        append_suppression(written.proto, settings.confidence, settings.iou)
    _describe(written, model, outputs)
    onnx_package("onnx").checker.check_model(written.proto, full_check=True)
    try:
        with replacing(path) as file:
            size = file.write(written.proto.SerializeToString())
            file.flush()
            checked = _check(Path(file.name), written, outputs, expected)
    except OSError as error:
        raise DataError(f"cannot write {path}: {os_reason(error)}") from error
    names = tuple(value.name for value in written.proto.graph.output)
    return OnnxReport(path, size, OPSET, names, checked, tuple(_notes(model.graph, settings)))


def _check_size(graph: Graph) -> None:
    if graph.total.params * 4 > _LARGEST_FILE:
        raise UsageError(
            f"{graph.spec.net.span.file} has {graph.total.params:,} parameters\n"
            f"expected: at most {_LARGEST_FILE // 4:,}, since an ONNX file ends at 2 GiB"
        )


def _check_memory(graph: Graph) -> None:
    if graph.recurrent_nodes:
        node = graph.recurrent_nodes[0]
        raise UsageError(
            f"{graph.spec.net.span.file} cannot be written as ONNX: layer {node.written} "
            f"[{node.layer.kind}] remembers what it was given before, and the file would not\n"
            "expected: a network without recurrent layers"
        )


def _describe(written: OnnxGraph, model: Model, outputs: Outputs) -> None:
    graph = model.graph
    metadata = OnnxMetadata(
        cfg=graph.cfg_text,
        fingerprint=graph.fingerprint,
        names=model.names,
        input_size=graph.input_shape.size,
        resize="letterbox" if graph.letter_box else "plain",
        values=written.values,
        places=places_of_heads(graph) if outputs.decoded else {},
    )
    onnx_package("onnx").helper.set_model_props(written.proto, metadata.to_properties())


def _notes(graph: Graph, settings: OnnxSettings) -> Iterator[str]:
    if settings.nms and graph.heads[-1][1].nms_rule.kind != "iou":
        yield (
            "the cfg asks for suppression by DIoU, which ONNX lacks: boxes are suppressed by plain "
            "IoU, so some that overlap may be missing"
        )
    if graph.letter_box:
        yield "the cfg asks for letter_box: images keep their aspect, on grey 0.5"


@dataclass(frozen=True, slots=True)
class _Expected:
    """Images (N, C, H, W), and what torch makes of them, by name: outputs and heads' maps."""

    images: Tensor
    values: dict[str, Tensor]


@torch.no_grad()
def _expected(model: Model, outputs: Outputs) -> Iterator[_Expected]:
    """Random images, the same every time, through the network as it was handed in."""
    shape = model.graph.input_shape
    generator = torch.Generator().manual_seed(0)
    training = model.network.training
    model.network.eval()
    try:
        for batch in _BATCHES:
            size = (batch, shape.channels, shape.height, shape.width)
            images = torch.rand(size, generator=generator)
            maps = model.network(images)
            values = dict(zip(outputs.map_names, maps, strict=True))
            values |= zip(outputs.names, outputs.assemble(maps), strict=True)
            yield _Expected(images, values)
    finally:
        model.network.train(training)


def _check(
    path: Path, written: OnnxGraph, outputs: Outputs, expected: Sequence[_Expected]
) -> tuple[CheckedValue, ...]:
    """Run the file at `path`, and look into it, on the images of `expected`.

    Raises:
        WeightsError: a value differs from torch's by more than the tolerance.
    """
    sources = [edge.source for edge in outputs.graph.output_edges]
    value_names = {name: name for name in outputs.names}
    for name, source in zip(outputs.map_names, sources, strict=True):
        if source in written.values:
            value_names[name] = written.values[source]
    file = OnnxFile.read(path)
    runner = file.runner(tuple(dict.fromkeys((*file.outputs, *value_names.values()))))
    found: dict[str, CheckedValue] = {}
    for each in expected:
        values = runner.run(each.images)
        for name, value_name in value_names.items():
            wanted, value = each.values[name], values[value_name]
            apart = _MEASURES.get(name, difference)(wanted, value)
            earlier = found[name].difference if name in found else Difference()
            found[name] = CheckedValue(name, tuple(wanted.shape[1:]), earlier.joined(apart))
    for checked in found.values():
        _require_close(checked)
    return tuple(found.values())


def _require_close(checked: CheckedValue) -> None:
    apart = checked.difference
    if apart.relative > TOLERANCE:
        raise WeightsError(
            f"onnxruntime computes other {checked.name} from the exported network than torch: the "
            f"largest difference is {apart.largest:.2g}, which is {apart.relative:.2g} relative\n"
            f"expected: at most {TOLERANCE:g}, relative to the largest magnitude\n"
            "help: nothing was written; please report the cfg"
        )
