"""Typed sections to nodes: references resolved, macros expanded, shapes and costs worked out.

Layers are added one by one, with shapes that may be partly unknown after an error, so that one run
finds every independent mistake and none that only follows from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from yolo_gp.errors import Diagnostic, Diagnostics, Severity, did_you_mean
from yolo_gp.layers.base import Layer
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.limits import MAX_LAYERS, check_elements, check_totals
from yolo_gp.macros.base import Macro
from yolo_gp.nodes import INPUT, Edge, Node
from yolo_gp.options import Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, exact_factor, format_size
from yolo_gp.spec import NetworkSpec, WrittenLayer

_COARSEST_STRIDE = 32


@dataclass(frozen=True, slots=True)
class _SourceName:
    """How a message names a source: "{0}" is this as text, "{0.line}" the line of its header."""

    text: str
    line: int

    def __format__(self, _spec: str) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a layer stands: its section, and, inside a macro, which of how many it is."""

    written: WrittenLayer
    number: int = 0
    count: int = 0

    def explain(self, message: str, layer: Layer) -> str:
        """The message, with what the macro expanded to if the layer comes from one."""
        if not self.count:
            return message
        what = f"{layer.kind} {layer.label()}".strip()
        return (
            f"{message} (in the expansion of [{self.written.kind}] to {self.count} layers, "
            f"number {self.number + 1}: {what})"
        )


def _references_before(own: int) -> str:
    """What a section that is layer `own` may refer to."""
    if own < 2:
        return "0 or -1" if own else "a layer before this one"
    return f"0 to {own - 1}, or -1 to -{own}"


class Builder:
    """Turns the sections of a NetworkSpec into nodes, reporting into `diagnostics`."""

    def __init__(
        self, spec: NetworkSpec, input_shape: PartialShape, diagnostics: Diagnostics
    ) -> None:
        self._spec = spec
        self._input_shape = input_shape
        self._diagnostics = diagnostics
        self._shapes: list[PartialShape] = []  # of each layer
        self._sections: list[int] = []  # of each layer, the section it comes from
        self._ends: list[int] = []  # of each section, its last layer
        self._names: dict[str, int] = {}  # of each named section, its number
        self._nodes: dict[int, Node] = {}
        self._all_names = {written.name for written in spec.layers}
        if not check_elements(input_shape, spec.net.span, "the input", diagnostics):
            self._input_shape = PartialShape()

    def build(self) -> tuple[FeatureShape, tuple[Node, ...]] | None:
        """The input's shape and all nodes; None if an error was found on the way."""
        for written in self._spec.layers:
            self._add_section(written)
        input_shape = self._input_shape.complete
        if not self._diagnostics.errors and input_shape is not None:
            check_totals(tuple(self._nodes.values()), self._spec.net.span, self._diagnostics)
        if self._diagnostics.errors or input_shape is None:
            return None
        return input_shape, tuple(self._nodes[index] for index in sorted(self._nodes))

    # -- sections and layers -------------------------------------------------------------------

    def _add_section(self, written: WrittenLayer) -> None:
        if written.macro is not None:
            self._add_macro(written, written.macro)
        else:
            self._add_layer(_Place(written), written.layer)
        self._ends.append(len(self._shapes) - 1)
        if written.name is not None:
            self._name_section(written, written.name)

    def _add_macro(self, written: WrittenLayer, macro: Macro) -> None:
        source = self._ends[-1] if self._ends else INPUT
        try:
            layers = macro.expand(self._shape(source)) if written.trusted else None
        except ShapeProblem as problem:
            self._diagnostics.add(self._phrase(problem, Severity.ERROR, [source]))
            layers = None
        if layers and len(self._shapes) + len(layers) > MAX_LAYERS:
            self._diagnostics.error(
                Rule.TOO_LARGE,
                macro.span,
                f"[{macro.kind}] brings the network to {len(self._shapes) + len(layers)} layers",
                expected=f"at most {MAX_LAYERS}",
            )
            layers = None
        if not layers:
            self._add_layer(_Place(written), None)
        for number, layer in enumerate(layers or ()):
            self._add_layer(_Place(written, number, len(layers or ())), layer)

    def _add_layer(self, place: _Place, layer: Layer | None) -> None:
        shape, node = PartialShape(), None
        if layer is not None:
            sources = [self._resolve(reference, place) for reference in layer.sources()]
            if all(source is not None for source in sources):
                known = [source for source in sources if source is not None]
                shape, node = self._place_layer(place, layer, known)
        if node is not None:
            self._nodes[node.index] = node
        self._shapes.append(shape)
        self._sections.append(place.written.written)

    def _place_layer(
        self, place: _Place, layer: Layer, sources: Sequence[int]
    ) -> tuple[PartialShape, Node | None]:
        inputs = [self._shape(source) for source in sources]
        if not place.written.trusted:
            return PartialShape(), None
        try:
            shape = layer.output_shape(inputs)
        except ShapeProblem as problem:
            found = self._phrase(problem, Severity.ERROR, sources)
            self._diagnostics.add(replace(found, message=place.explain(found.message, layer)))
            return PartialShape(), None
        for remark in layer.remarks(inputs):
            self._diagnostics.add(self._phrase(remark, Severity.WARNING, sources))
        self._warn_of_sources(layer, sources)
        what = f"[{place.written.kind}]"
        if not check_elements(shape, layer.span, what, self._diagnostics):
            return PartialShape(), None
        return shape, self._node(place, layer, sources, inputs, shape)

    def _node(
        self,
        place: _Place,
        layer: Layer,
        sources: Sequence[int],
        inputs: Sequence[PartialShape],
        shape: PartialShape,
    ) -> Node | None:
        output = shape.complete
        known = [source.complete for source in inputs]
        input_shapes = tuple(source for source in known if source is not None)
        if output is None or len(input_shapes) < len(inputs):
            return None
        layer, owner = self._with_weights(place, layer, inputs)
        return Node(
            index=len(self._shapes),
            written=place.written.written,
            layer=layer,
            inputs=self._edges(layer, sources),
            input_shapes=input_shapes,
            output_shape=output,
            cost=layer.cost(input_shapes, output),
            weights_of=owner,
        )

    def _warn_of_sources(self, layer: Layer, sources: Sequence[int]) -> None:
        """What the layers that a section names have to say about that."""
        for reference, source in zip(layer.sources(), sources, strict=True):
            node = self._nodes.get(source)
            if node is None or reference.span == layer.span:
                continue
            remark = node.layer.remark_to_reader(reference)
            if remark is not None:
                self._diagnostics.add(self._phrase(remark, Severity.WARNING, [source]))

    # -- stopped gradients -----------------------------------------------------------------------

    def _edges(self, layer: Layer, sources: Sequence[int]) -> tuple[Edge, ...]:
        """The layer's edges; where it stops the gradient of a block, the block's change too."""
        stop = layer.stops_gradient()
        if stop == "identity":
            first, *others = sources
            return (Edge(first), *(Edge(source, detached=True) for source in others))
        if stop == "block":
            self._detach_block(layer, sources)
        return tuple(Edge(source) for source in sources)

    def _detach_block(self, layer: Layer, sources: Sequence[int]) -> None:
        last, *others = sources
        if len(others) != 1 or others[0] >= last:
            problem = (
                f"has {len(others)} sources" if len(others) != 1 else "has no layer to stop at"
            )
            self._diagnostics.error(
                Rule.STOPPED_GRADIENT,
                layer.span,
                f"[{layer.kind}] stop_gradient=block {problem}",
                expected="one source, with at least one layer between it and the previous layer",
            )
            return
        (source,) = others
        for index in range(source + 1, last + 1):
            node = self._nodes.get(index)
            if node is not None:
                edges = (
                    replace(edge, detached=edge.detached or edge.source <= source)
                    for edge in node.inputs
                )
                self._nodes[index] = replace(node, inputs=tuple(edges))

    # -- references ------------------------------------------------------------------------------

    def _shape(self, source: int) -> PartialShape:
        return self._input_shape if source == INPUT else self._shapes[source]

    def _name_section(self, written: WrittenLayer, name: str) -> None:
        if name in self._names:
            first = self._spec.layers[self._names[name]].span.line
            self._diagnostics.error(
                Rule.REPEATED_NAME,
                written.span,
                f"[{written.kind}] has name={name}, which the section at line {first} has",
                expected="a name of its own",
            )
            return
        self._names[name] = written.written

    def _resolve(
        self, reference: Reference, place: _Place, *, may_be_input: bool = True
    ) -> int | None:
        """The layer that is meant; None, with a diagnostic, if there is none."""
        if place.count:
            return len(self._shapes) + reference.value
        if reference.name is not None:
            return self._resolve_name(reference, place)
        own = len(self._ends)
        section = reference.value if reference.value >= 0 else own + reference.value
        if 0 <= section < own:
            return self._ends[section]
        if may_be_input and own == 0 and reference.value == -1:
            return INPUT
        where = "itself" if section == own else "a later layer" if section > own else "no layer"
        self._diagnostics.error(
            Rule.BAD_REFERENCE,
            reference.span,
            f"[{place.written.kind}], which is layer {own}, refers to {reference.value}, {where}",
            expected=_references_before(own),
            help="layers count from 0, [net] not included; negative numbers count back",
        )
        return None

    def _resolve_name(self, reference: Reference, place: _Place) -> int | None:
        if reference.name in self._names:
            return self._ends[self._names[reference.name]]
        later = reference.name in self._all_names
        known = ", ".join(f"@{name}" for name in self._names) or "none so far"
        self._diagnostics.error(
            Rule.BAD_REFERENCE,
            reference.span,
            f"[{place.written.kind}] refers to {reference}, "
            + ("which comes later" if later else "a name that no section has"),
            expected=f"the name of an earlier section: {known}",
            help=did_you_mean(reference.name or "", self._names),
        )
        return None

    def _with_weights(
        self, place: _Place, layer: Layer, inputs: Sequence[PartialShape]
    ) -> tuple[Layer, int | None]:
        """The layer, and the one whose weights it uses; without one, it has weights of its own."""
        reference = layer.shares_weights_of()
        index = self._resolve(reference, place, may_be_input=False) if reference else None
        owner = self._nodes.get(index) if index is not None else None
        if reference is None or owner is None:
            return layer, None
        problem = layer.sharing_problem(inputs, owner.layer, owner.input_shapes)
        if problem is None:
            return layer, owner.index if owner.weights_of is None else owner.weights_of
        message = f"[{place.written.kind}] cannot share the weights of layer {reference}"
        apart = layer.with_own_weights(owner.layer)
        if apart is not None:
            message += f" (line {owner.layer.span.line}): {problem}; Darknet refuses the file"
            self._diagnostics.warning(
                Rule.UNSHARED_WEIGHTS,
                reference.span,
                f"{message}, here the section has weights of its own",
                help="remove share_index if that is meant",
            )
            return apart, None
        self._diagnostics.error(
            Rule.SHARED_LAYER,
            reference.span,
            f"{message}: {problem}",
            expected="a layer whose weights have the same shape",
        )
        return layer, None

    # -- messages --------------------------------------------------------------------------------

    def _phrase(
        self, problem: ShapeProblem, severity: Severity, sources: Sequence[int]
    ) -> Diagnostic:
        names = [self._name(source) for source in sources]
        helps = [problem.help] if problem.help else []
        if problem.wanted_size:
            helps += self._size_help(problem.wanted_size, sources)
        expected = problem.expected.format(*names) if problem.expected else None
        return Diagnostic(
            problem.rule,
            severity,
            problem.span,
            problem.message.format(*names),
            expected,
            "; ".join(helps).format(*names) or None,
        )

    def _name(self, source: int) -> _SourceName:
        if source == INPUT:
            return _SourceName("the input", self._spec.net.span.line)
        section = self._sections[source]
        text = f"layer {section}"
        if not self._is_end(source, section):
            number = source - (self._ends[section - 1] if section else INPUT)
            text += f" (number {number} in [{self._kind(section)}])"
        return _SourceName(text, self._spec.layers[section].span.line)

    def _is_end(self, source: int, section: int) -> bool:
        return section < len(self._ends) and self._ends[section] == source

    def _kind(self, section: int) -> str:
        return self._spec.layers[section].kind

    def _size_help(self, wanted: tuple[int, int], sources: Sequence[int]) -> list[str]:
        size = self._input_shape.size
        if size and any(length % _COARSEST_STRIDE for length in size):
            return [
                f"the input, {format_size(size)}, is no multiple of {_COARSEST_STRIDE}, so maps "
                "that were halved and doubled again differ"
            ]
        sizes = [self._shape(source).size for source in sources]
        other, found = next((i, s) for i, s in enumerate(sizes) if s and s != wanted)
        helps = self._layer_of_size(wanted, sources[other], set(sources))
        for large, small, factor in (
            (other, 0, exact_factor(found, wanted)),
            (0, other, exact_factor(wanted, found)),
        ):
            if factor:
                helps.append(
                    f"{'or ' * bool(helps)}put a [maxpool] with stride={factor} after {{{large}}}, "
                    f"or an [upsample] with stride={factor} after {{{small}}}"
                )
        return helps

    def _layer_of_size(self, wanted: tuple[int, int], near: int, taken: set[int]) -> list[str]:
        fitting = [
            index
            for index in self._ends
            if self._shapes[index].size == wanted and index not in taken
        ]
        if not fitting:
            return []
        nearest = min(fitting, key=lambda index: abs(index - near))
        return [f"layer {self._sections[nearest]} is {format_size(wanted)}"]
