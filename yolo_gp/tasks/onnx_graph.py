"""A torch network as an ONNX graph: folded, traced, its values named after the layers."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from yolo_gp import __version__
from yolo_gp.errors import UsageError
from yolo_gp.layers.activation_modules import Activation
from yolo_gp.network import fold_batch_norm
from yolo_gp.nodes import Node, module_name
from yolo_gp.tasks.onnx_outputs import PROTOTYPES, Outputs
from yolo_gp.tasks.onnx_packages import onnx_package

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18  # of December 2022: what torch's exporter writes at best, and read widely
_IR_VERSION = 8  # the oldest file format that may carry that opset
INPUT_NAME = "image"
_BATCH = 2  # images to trace with; the tracer would take 1 for a constant


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """A network in ONNX.

    Fields:
        values: for layers by index, the name of the value that holds their output.
    """

    proto: ModelProto
    values: dict[int, str]


class _Traced(nn.Module):
    """What is traced: the network, the decoding, and the outputs of layers behind the others."""

    def __init__(self, network: fx.GraphModule, outputs: Outputs) -> None:
        super().__init__()
        self.network = network
        self.outputs = outputs

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps, layers = self.network(image)
        return (*self.outputs.assemble(maps), *layers)


def build_onnx(network: fx.GraphModule, outputs: Outputs) -> OnnxGraph:
    """Trace a network into ONNX. A copy is folded; the network itself stays as it is.

    Raises:
        UsageError: a package is missing, or the exporter cannot express the network.
    """
    graph = outputs.graph
    network = copy.deepcopy(network).eval()
    fold_batch_norm(network, graph)
    network.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, Activation):
            module.owns_input = False  # the tracer takes long over operations in place
    shown = _return_layers(network, outputs)
    names = [*outputs.names, *(module_name(node) for node in shown)]
    proto = _trace(_Traced(network, outputs), outputs, names)
    _tidy(proto, outputs.names)
    values = {node.index: module_name(node) for node in shown}
    return OnnxGraph(proto, values | _returned_layers(outputs))


def _returned_layers(outputs: Outputs) -> dict[int, str]:
    """The layers that are outputs themselves, by index, with the output's name."""
    sources = [edge.source for edge in outputs.graph.output_edges]
    if not outputs.decoded:
        return dict(zip(sources, outputs.map_names, strict=True))
    return {sources[-1]: PROTOTYPES} if PROTOTYPES in outputs.names else {}


def _return_layers(network: fx.GraphModule, outputs: Outputs) -> list[Node]:
    """Let the network return its maps, and the outputs of the layers, which are returned here.

    So each of these values gets a name, and no rewriting by the exporter removes it. Layers that
    only pass on what they read are left out.
    """
    trace = network.graph
    returned = _returned_layers(outputs)
    by_name = {module_name(node): node for node in outputs.graph.nodes}
    shown, values = [], []
    for value in trace.nodes:
        if value.op == "call_module":
            node = by_name[str(value.target)]
            if node.index not in returned and not node.layer.passes_input():
                shown.append(node)
                values.append(value)
    (end,) = trace.find_nodes(op="output")
    end.args = ((end.args[0], tuple(values)),)
    network.recompile()
    return shown


def _trace(traced: _Traced, outputs: Outputs, names: Sequence[str]) -> ModelProto:
    onnx_package("onnx")
    onnx_package("onnxscript")
    shape = outputs.graph.input_shape
    example = torch.zeros(_BATCH, shape.channels, shape.height, shape.width)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                traced.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=list(names),
                dynamic_shapes={INPUT_NAME: {0: torch.export.Dim("batch")}},
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise UsageError(
            f"torch's exporter cannot write {outputs.graph.spec.net.span.file} as ONNX: {reason}"
        ) from error
    assert program is not None
    proto: ModelProto = program.model_proto
    return proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about its own insides from the user's screen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _tidy(proto: ModelProto, names: Sequence[str]) -> None:
    """Keep the first outputs only, and drop what tells of the machine the file was made on."""
    graph = proto.graph
    assert [value.name for value in graph.output[: len(names)]] == list(names)
    del graph.output[len(names) :]
    del graph.metadata_props[:]
    for entries in (graph.node, graph.value_info, graph.input, graph.output, graph.initializer):
        for entry in entries:
            del entry.metadata_props[:]
            entry.doc_string = ""
    proto.ir_version = _IR_VERSION
    proto.producer_name, proto.producer_version = "yolo-gp", __version__
