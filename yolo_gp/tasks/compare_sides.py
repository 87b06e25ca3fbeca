"""The two sides of a comparison: a torch network or an ONNX file, value by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, fx, nn

from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.answers import DenseCandidates
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.nodes import Node, module_name
from yolo_gp.tasks.models import Model
from yolo_gp.tasks.onnx_files import OnnxFile
from yolo_gp.tasks.onnx_outputs import BOXES, SCORES, decode_heads, in_pixels, places_of_heads

HEAD_PARTS = (BOXES, SCORES)


class Place(NamedTuple):
    """Where in a network a value stands.

    Fields:
        layer: its index; that of the output, in a file that does not say what its layers are.
        part: "" for the layer's map; for a head "boxes" (1, K, 4), corners in pixels of the
            network's input, or "scores" (1, K, C).
    """

    layer: int
    part: str = ""


class Side(Protocol):
    """A network that gives away what happens inside it.

    Fields:
        label: what messages call it.
        input_shape: (C, H, W) of one image.
        graph: its description; None for an ONNX file that yolo-gp did not write.
        shapes: of the values it gives, for one image, in the order of `values`.
        notes: what its user should know about it, each a sentence.
    """

    label: str
    input_shape: tuple[int, int, int]
    graph: Graph | None
    shapes: Mapping[Place, tuple[int, ...]]
    notes: tuple[str, ...]

    def values(self, image: Tensor) -> Iterator[tuple[Place, Tensor]]:
        """What the network computes from an image (1, C, H, W), one value after another."""
        ...

    def output_places(self) -> list[Place]:
        """Where the network's outputs stand; `shapes` may lack some of them."""
        ...

    def weights(self, index: int, *, folded: bool) -> dict[str, Tensor]:
        """A layer's tensors by name; as far as they can be told apart, for an ONNX file.

        Args:
            folded: as after folding batch norm into the convolution.
        """
        ...


class TorchSide:
    """A compiled network. Its values are freed after their last reader; see `Side`."""

    def __init__(self, model: Model, label: str) -> None:
        self.label = label
        self.notes = tuple(f"{label}: {note}" for note in model.notes)
        self.graph: Graph | None = model.graph
        self._graph = model.graph
        self._network = model.network
        shape = model.graph.input_shape
        self.input_shape = (shape.channels, shape.height, shape.width)
        self._by_name = {module_name(node): node for node in model.graph.nodes}
        layers = self._layer_shapes()
        self.shapes: Mapping[Place, tuple[int, ...]] = layers | _head_shapes(model.graph)

    def _layer_shapes(self) -> dict[Place, tuple[int, ...]]:
        computed = self._network.graph.find_nodes(op="call_module", sort=True)
        nodes = [self._by_name[str(value.target)] for value in computed]
        return {Place(node.index): _map_shape(node) for node in nodes}

    def values(self, image: Tensor) -> Iterator[tuple[Place, Tensor]]:
        maps: tuple[Tensor, ...] = ()
        for step, value in _steps(self._network, image):
            if step.op == "output":
                assert isinstance(value, tuple)
                maps = value
            elif step.op == "call_module":
                assert isinstance(value, Tensor)
                yield Place(self._by_name[str(step.target)].index), value
        if self._graph.heads:
            yield from self._decoded(maps)

    def _decoded(self, maps: tuple[Tensor, ...]) -> Iterator[tuple[Place, Tensor]]:
        found = decode_heads(self._graph, maps)
        for (node, _), candidates in zip(self._graph.heads, found, strict=True):
            for part, value in _parts(candidates, self._graph).items():
                yield Place(node.index, part), value

    def output_places(self) -> list[Place]:
        return _output_places(self._graph)

    def weights(self, index: int, *, folded: bool) -> dict[str, Tensor]:
        module = self._network.get_submodule(module_name(self._graph.nodes[index]))
        if folded and isinstance(module, Convolution):
            weight, bias = module.folded_parameters()
            return {"convolution.weight": weight.detach(), "convolution.bias": bias.detach()}
        tensors = module.state_dict().items()
        found = {name: tensor for name, tensor in tensors if tensor.is_floating_point()}
        for name, part in module.named_modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                found[f"{name}.eps"] = torch.tensor(part.eps, dtype=torch.float64)
        return found


@torch.no_grad()
def _steps(network: fx.GraphModule, image: Tensor) -> Iterator[tuple[fx.Node, object]]:
    """The network's steps with their results, each forgotten after its last reader."""
    interpreter = fx.Interpreter(network)
    interpreter.args_iter = iter((image,))
    for step in network.graph.nodes:
        interpreter.env[step] = interpreter.run_node(step)
        yield step, interpreter.env[step]
        for read in interpreter.user_to_last_uses.get(step, ()):
            del interpreter.env[read]


def _parts(candidates: DenseCandidates, graph: Graph) -> dict[str, Tensor]:
    boxes = in_pixels(candidates.boxes_cxcywh_norm, graph.input_shape.size)
    return {BOXES: boxes, SCORES: candidates.scores}


def _map_shape(node: Node) -> tuple[int, ...]:
    shape = node.output_shape
    return (shape.channels, shape.height, shape.width)


def _head_shapes(graph: Graph) -> dict[Place, tuple[int, ...]]:
    counts = places_of_heads(graph)
    shapes: dict[Place, tuple[int, ...]] = {}
    for node, head in graph.heads:
        count = counts[node.index][1]
        shapes[Place(node.index, BOXES)] = (count, 4)
        shapes[Place(node.index, SCORES)] = (count, head.num_classes)
    return shapes


def _output_places(graph: Graph) -> list[Place]:
    return [Place(index) for index in dict.fromkeys(edge.source for edge in graph.output_edges)]


class OnnxSide:
    """An ONNX file that yolo-gp wrote: it names the values of its layers. See `Side`."""

    def __init__(self, file: OnnxFile) -> None:
        """Open a session.

        Raises:
            CfgError, WeightsError: the cfg inside does not compile; the network does not run.
        """
        assert file.metadata is not None
        metadata = file.metadata
        self.label, self.input_shape = file.label, file.input_shape
        self.notes: tuple[str, ...] = ()
        self._graph = compile_text(
            metadata.cfg, f"cfg of {file.label}", input_size=metadata.input_size
        )
        self.graph: Graph | None = self._graph
        known = file.value_names()
        self._names = {index: name for index, name in metadata.values.items() if name in known}
        self._places = metadata.places if known >= {BOXES, SCORES} else {}
        self.shapes: Mapping[Place, tuple[int, ...]] = self._layer_shapes()
        self._weights = file.weights()
        heads = HEAD_PARTS if self._places else ()
        self._runner = file.runner(tuple(dict.fromkeys((*self._names.values(), *heads))))

    def _layer_shapes(self) -> dict[Place, tuple[int, ...]]:
        nodes = [node for node in self._graph.nodes if node.index in self._names]
        layers = {Place(node.index): _map_shape(node) for node in nodes}
        return layers | (_head_shapes(self._graph) if self._places else {})

    def values(self, image: Tensor) -> Iterator[tuple[Place, Tensor]]:
        found = self._runner.run(image)
        for place in self.shapes:
            if place.part:
                first, count = self._places[place.layer]
                yield place, found[place.part][:, first : first + count]
            else:
                yield place, found[self._names[place.layer]]

    def output_places(self) -> list[Place]:
        return _output_places(self._graph)

    def weights(self, index: int, *, folded: bool) -> dict[str, Tensor]:
        prefix = f"network.{module_name(self._graph.nodes[index])}."
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self._weights.items()
            if name.startswith(prefix)
        }


class ForeignOnnxSide:
    """An ONNX file of another exporter: of its values only the outputs mean anything to us."""

    graph: Graph | None = None

    def __init__(self, file: OnnxFile) -> None:
        """Open a session and run it once, to learn the outputs' shapes.

        Raises:
            WeightsError: the network does not run.
        """
        self.label, self.input_shape = file.label, file.input_shape
        self.notes: tuple[str, ...] = (
            f"{file.label} does not say what its layers are: only outputs are compared",
        )
        self.output_names = file.float_outputs()
        self._runner = file.runner(self.output_names)
        first = self.values(torch.zeros(1, *self.input_shape))
        self.shapes: Mapping[Place, tuple[int, ...]] = {
            place: tuple(value.shape[1:]) for place, value in first
        }

    def values(self, image: Tensor) -> Iterator[tuple[Place, Tensor]]:
        found = self._runner.run(image)
        for index, name in enumerate(self.output_names):
            yield Place(index), found[name]

    def output_places(self) -> list[Place]:
        return list(self.shapes)

    def weights(self, index: int, *, folded: bool) -> dict[str, Tensor]:
        return {}
