"""Other classes in a cfg's heads, and the channels that these then read, in its own text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from yolo_gp.edits import Edits, meant_section, names_of
from yolo_gp.errors import Diagnostics, UsageError
from yolo_gp.layers.base import Head, Layer, is_head
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.nodes import INPUT
from yolo_gp.options import Reference
from yolo_gp.shapes import PartialShape
from yolo_gp.spec import NetworkSpec, WrittenLayer
from yolo_gp.syntax import Section, parse_cfg


def with_classes(content: bytes, spec: NetworkSpec, count: int) -> bytes:
    """The cfg with `count` classes in every head, and layers before them to match.

    All else stays byte for byte, comments included. What fits one list of classes only, such as a
    number for each, becomes a comment where the classes change.

    Args:
        content: the cfg's text.
        spec: what it says; its shapes need not fit each other.

    Raises:
        UsageError: the map that a head reads has its channels from no layer that can be changed,
            or from one that another head needs otherwise.
    """
    edits = Edits(content)
    sections = parse_cfg(content, "", Diagnostics()).sections[1:]  # the first is [net]
    put_classes(edits, sections, spec, count)
    return edits.content()


def put_classes(
    edits: Edits, sections: Sequence[Section], spec: NetworkSpec, count: int
) -> Mapping[int, int]:
    """Do what `with_classes` does; returns `head_widths`.

    Args:
        sections: those after [net], as they stand in the text.

    Raises:
        UsageError: as `with_classes`; then nothing is changed.
    """
    heads = _heads(spec)
    widths = _widths(spec, heads, count)
    for layer, head in heads:
        if head.num_classes != count:
            own = sections[layer.written]
            edits.set_option(own, "classes", str(count))
            _comment_out(edits, own, head.per_class_keys)
    for number, channels in widths.items():
        maker = spec.layers[number].layer
        assert maker is not None and maker.width_key is not None
        if _width(maker) != channels:
            edits.set_option(sections[number], maker.width_key, str(channels))
    return widths


def head_widths(spec: NetworkSpec, count: int) -> Mapping[int, int]:
    """How many channels the layers before heads must have for so many classes, by their numbers.

    Layers between that hand channels on one by one, such as [dropout], are passed.

    Raises:
        UsageError: as `with_classes`.
    """
    return _widths(spec, _heads(spec), count)


def _heads(spec: NetworkSpec) -> list[tuple[WrittenLayer, Head]]:
    return [(layer, layer.layer) for layer in spec.layers if is_head(layer.layer)]


def _widths(
    spec: NetworkSpec, heads: Iterable[tuple[WrittenLayer, Head]], count: int
) -> Mapping[int, int]:
    trace = _Trace(spec, names_of(spec))
    for reader, head in heads:
        trace.head(reader, head, count)
    return trace.widths


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one input of a head has to be.

    Fields:
        now: its channels, if the cfg is right.
        channels: what they must become.
    """

    reader: WrittenLayer
    now: int
    channels: int


@dataclass(slots=True)
class _Trace:
    """The way back from heads to the layers that make their maps."""

    spec: NetworkSpec
    names: Mapping[str, int]
    widths: dict[int, int] = field(default_factory=dict)

    def head(self, reader: WrittenLayer, head: Head, count: int) -> None:
        """Find what makes the maps of one head."""
        pairs = zip(head.map_channels(head.num_classes), head.map_channels(count), strict=True)
        for reference, (now, channels) in zip(head.sources(), pairs, strict=False):
            self._follow(_Wanted(reader, now, channels), reader, reference, direct=True)

    def _follow(
        self, wanted: _Wanted, reader: WrittenLayer, reference: Reference, *, direct: bool
    ) -> None:
        """Note the layer that `reader` means by the reference, or those that it reads in turn.

        Args:
            direct: the head itself reads it, so that its channels are nobody else's business.
        """
        if reference.name is not None and reference.name not in self.names:
            return  # compiling says so, and also where a number means no earlier layer
        number = meant_section(reference, reader.written, self.names)
        if not INPUT <= number < reader.written:
            return
        maker = None if number == INPUT else self.spec.layers[number]
        layer = None if maker is None else maker.layer
        if maker is None or layer is None:
            self._refuse(wanted, maker)
        elif layer.width_key is not None and (direct or _width(layer) == wanted.now):
            self._note(wanted, maker, layer)
        elif layer.width_key is None and _hands_on(layer, wanted.channels):
            for source in layer.sources():
                self._follow(wanted, maker, source, direct=False)
        else:
            self._refuse(wanted, maker)

    def _note(self, wanted: _Wanted, maker: WrittenLayer, layer: Layer) -> None:
        known = self.widths.setdefault(maker.written, wanted.channels)
        if known != wanted.channels:
            raise UsageError(
                f"{wanted.reader.span}: the classes of [{wanted.reader.kind}] cannot be changed: "
                f"another head needs {known} channels of layer {maker.written} [{maker.kind}], "
                f"this one {wanted.channels}\n"
                "expected: heads alike, or a layer before each"
            )
        shared = layer.shares_weights_of()
        if shared is not None:
            self._follow(wanted, maker, shared, direct=False)

    def _refuse(self, wanted: _Wanted, maker: WrittenLayer | None) -> None:
        if wanted.now == wanted.channels:
            return
        found = f"layer {maker.written} [{maker.kind}]" if maker else "the network's input"
        raise UsageError(
            f"{wanted.reader.span}: the classes of [{wanted.reader.kind}] cannot be changed: it "
            f"reads {found}, whose channels cannot be set for it\n"
            "expected: a [convolutional] before the head, and nothing between that changes "
            "channels\n"
            "help: write the cfg for the classes of the data by hand"
        )


def _width(layer: Layer) -> int | None:
    """The channels of a layer's output, whatever it reads."""
    try:
        return layer.output_shape([PartialShape()] * len(layer.sources())).channels
    except ShapeProblem:
        return None


def _hands_on(layer: Layer, channels: int) -> bool:
    """Whether the layer has `channels` channels if all that it reads has."""
    try:
        inputs = [PartialShape(channels=channels)] * len(layer.sources())
        return layer.output_shape(inputs).channels == channels
    except ShapeProblem:
        return False


def _comment_out(edits: Edits, section: Section, keys: tuple[str, ...]) -> None:
    for option in section.options:
        if option.key in keys:
            edits.replace(option.key_span, f"# {option.key_span.text}")
