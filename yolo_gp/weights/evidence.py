"""Why a `.weights` file does not fit a cfg: what its size and numbers prove. Loads no torch."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolo_gp.errors import WeightsError
from yolo_gp.graph import Graph
from yolo_gp.layers.base import Head
from yolo_gp.nodes import INPUT
from yolo_gp.options import MAX_CHANNELS
from yolo_gp.weights.header import WeightsHeader, read_header
from yolo_gp.weights.layout import (
    FLOAT_BYTES,
    NetworkTensor,
    PlacedBlock,
    WeightsDialect,
    file_layout,
    kinds_that_differ,
    prefix_cutoff,
)
from yolo_gp.weights.plausibility import Floats, scan


class Cause(enum.StrEnum):
    """What may be wrong with a file."""

    NOT_WEIGHTS = "not_weights"
    OTHER_FORMAT = "other_format"
    HEADER = "header"
    DIALECT = "dialect"
    CLASSES = "classes"
    OTHER_CFG = "other_cfg"
    PREFIX = "prefix"
    CUT_OFF = "cut_off"
    LEFT_OVER = "left_over"
    VALUES = "values"
    TENSORS = "tensors"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file and a cfg part: a tensor, and at which byte of a `.weights` file it starts."""

    tensor: NetworkTensor
    byte: int | None = None

    def __str__(self) -> str:
        return str(self.tensor) + ("" if self.byte is None else f", at byte {self.byte:,}")


@dataclass(frozen=True, slots=True)
class Guess:
    """A reason why a file does not fit, which its size or content bears out.

    Fields:
        text: the reason, as a sentence without full stop.
        help: what to do about it.
        place: the first tensor it concerns.
        names: other cfgs that the file fits.
        classes: the class count that the file is for.
    """

    cause: Cause
    text: str
    help: str | None = None
    place: Place | None = None
    names: tuple[str, ...] = ()
    classes: int | None = None


def error_guess(cause: Cause, path: Path, error: WeightsError) -> Guess:
    """A guess that says what an error says of the file."""
    text, *rest = str(error).splitlines()
    helps = [line.removeprefix("help: ") for line in rest if line.startswith("help: ")]
    return Guess(cause, text.removeprefix(f"{path} "), help=helps[0] if helps else None)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a `.weights` file holds and what the cfg asks for.

    Fields:
        bytes: of the file.
        header: as its version says.
        found, expected: floats after the header.
    """

    path: Path
    bytes: int
    header: WeightsHeader
    expected: int

    @property
    def found(self) -> int:
        return max(0, self.bytes - self.header.size) // FLOAT_BYTES

    @property
    def odd(self) -> int:
        """Bytes behind the last whole float."""
        return max(0, self.bytes - self.header.size) % FLOAT_BYTES

    @property
    def fits(self) -> bool:
        return self.bytes == self.header.size + self.expected * FLOAT_BYTES

    def floats(self) -> Floats:
        """The file's numbers, mapped rather than read."""
        if not self.found:
            return np.empty(0, dtype=np.float32)
        return np.memmap(
            self.path, dtype="<f4", mode="r", offset=self.header.size, shape=(self.found,)
        )

    def place(self, placed: PlacedBlock) -> Place:
        return Place(placed.tensor, self.header.size + placed.offset * FLOAT_BYTES)


def header_guess(sizes: Sizes, values: Floats) -> Guess | None:
    """The size is right for a header of the other width, and so is what stands at its end."""
    header = sizes.header
    other = dataclasses.replace(header, wide=not header.wide, seen=0)
    if sizes.bytes != other.size + sizes.expected * FLOAT_BYTES:
        return None
    # The upper half of 64 bits is 0: nobody trains on 2**32 images. A float is hardly ever 0.
    upper_half_is_0 = header.seen < 2**32 if header.wide else bool(values[0] == 0)
    if upper_half_is_0 != other.wide:
        return None
    version = f"{header.major}.{header.minor}"
    return Guess(
        Cause.HEADER,
        f"the size is right for a header of {other.size} bytes, but version {version} in it means "
        f"{header.size}",
        help="whatever wrote the file put the wrong version in its first 12 bytes; "
        f"{'0.2.5' if other.wide else '0.1.0'} is right for this size",
    )


def dialect_guess(graph: Graph, path: Path) -> Guess | None:
    """In pjreddie's order of the layers the file's size is right, and its numbers look so too."""
    kinds = " and ".join(f"[{kind}]" for kind in kinds_that_differ(graph))
    if not kinds or not fits_in_dialect(graph, path, "pjreddie"):
        return None
    return Guess(
        Cause.DIALECT,
        f"it fits in the order of pjreddie's Darknet, which stores {kinds} otherwise",
        help="yolo-gp convert WEIGHTS OUT --cfg CFG --weights-dialect pjreddie",
    )


def fits_in_dialect(graph: Graph, path: Path, dialect: WeightsDialect) -> bool:
    """Whether the file is of the right size and its numbers look right in that dialect's order."""
    layout = file_layout(graph, dialect=dialect)
    expected = layout[-1].end if layout else 0
    sizes = Sizes(path, path.stat().st_size, read_header(path, expected, dialect), expected)
    return sizes.fits and scan(sizes.floats(), layout).suspect is None


def classes_guess(
    graph: Graph, sizes: Sizes, layout: Sequence[PlacedBlock], values: Floats
) -> Guess | None:
    """Another number of classes makes the size right, and the numbers then fall into place."""
    counts = {head.num_classes for _, head in graph.heads}
    growth = _filters_per_class(graph, layout)
    if len(counts) != 1 or not growth or sizes.odd:
        return None
    (classes,) = counts
    floats = sum(
        placed.block.count // placed.block.shape[0] * growth.get(placed.node.index, 0)
        for placed in layout
    )
    more, rest = divmod(sizes.found - sizes.expected, floats)
    wanted = classes + more
    if rest or not more or not 1 <= wanted <= MAX_CHANNELS:
        return None
    if scan(values, _grown(layout, growth, more)).suspect:
        return None
    first = next(placed for placed in layout if placed.node.index in growth)
    return Guess(
        Cause.CLASSES,
        f"its size is right for {classes_text(wanted)}; the cfg says {classes_text(classes)}",
        help=f"use the cfg for {classes_text(wanted)}, or move the weights: "
        "yolo-gp convert WEIGHTS OUT --to CFG",
        place=sizes.place(first),
        classes=wanted,
    )


def _grown(
    layout: Sequence[PlacedBlock], growth: Mapping[int, int], classes: int
) -> Iterator[PlacedBlock]:
    """The layout for a network with so many classes more."""
    offset = 0
    for placed in layout:
        more = growth.get(placed.node.index, 0) * classes
        filters, *rest = placed.block.shape
        block = dataclasses.replace(placed.block, shape=(filters + more, *rest))
        yield PlacedBlock(placed.node, block, offset)
        offset += block.count


def first_layers(cutoff: int) -> str:
    """What a prefix holds, in words."""
    return "the first layer" if cutoff == 1 else f"the first {cutoff} layers"


def classes_text(count: int) -> str:
    """A number of classes in words."""
    return f"{count} class{'es' * (count != 1)}"


def _filters_per_class(graph: Graph, layout: Sequence[PlacedBlock]) -> dict[int, int]:
    """By how many filters each layer grows with one more class; empty if that cannot be told."""
    growth: dict[int, int] = {}
    for node, head in graph.heads:
        wanted = _channels_per_class(head)
        for edge, channels in zip(node.inputs, wanted, strict=True):
            if not channels:
                continue
            if edge.source == INPUT:
                return {}
            source = graph.nodes[edge.source]
            owner = source.index if source.weights_of is None else source.weights_of
            shapes = [placed.block.shape for placed in layout if placed.node.index == owner]
            if not shapes or any(shape[0] != source.output_shape.channels for shape in shapes):
                return {}
            growth[owner] = channels
    return growth


def _channels_per_class(head: Head) -> Iterator[int]:
    """By how many channels each of a head's inputs grows with one more class."""
    now, larger = (head.map_channels(head.num_classes + more) for more in (0, 1))
    return (after - before for before, after in zip(now, larger, strict=True))


def other_cfg_guess(
    sizes: Sizes,
    layout: Sequence[PlacedBlock],
    values: Floats,
    candidates: Iterable[tuple[str, Graph]],
) -> Guess | None:
    """Other cfgs that ask for exactly the floats that the file holds.

    Of several, those count in whose tensors the numbers look right, if there are any such.
    """
    fitting: dict[str, int] = {}  # by name, the number of tensors before the networks part
    likely: set[str] = set()
    for name, graph in candidates:
        other = file_layout(graph)
        parting = _parting(layout, other)
        if sizes.odd or not other or other[-1].end != sizes.found or parting is None:
            continue
        fitting[name] = parting
        if not scan(values, other).suspect:
            likely.add(name)
    names = [name for name in fitting if name in likely or not likely]
    if not names:
        return None
    shared = max(fitting[name] for name in names)
    return Guess(
        Cause.OTHER_CFG,
        f"its size is exactly that of {' and of '.join(names)}",
        help=f"yolo-gp doctor {names[0]} {sizes.path}",
        place=sizes.place(layout[shared]) if shared < len(layout) else None,
        names=tuple(names),
    )


def published_guess(sizes: Sizes, published: Mapping[str, int]) -> Guess | None:
    """Published models, by name, whose weights file has exactly the bytes of this one."""
    names = tuple(name for name, size in published.items() if size == sizes.bytes)
    if not names:
        return None
    return Guess(
        Cause.OTHER_CFG,
        f"its size is exactly that of the pretrained {' and of '.join(names)}",
        help=f"yolo-gp doctor {names[0]} {sizes.path}",
        names=names,
    )


def _parting(layout: Sequence[PlacedBlock], other: Sequence[PlacedBlock]) -> int | None:
    """The number of the first tensor whose shape differs; None if all are equal."""
    pairs = zip(_shapes(layout), _shapes(other), strict=False)
    differing = (number for number, (ours, theirs) in enumerate(pairs) if ours != theirs)
    end = None if len(layout) == len(other) else min(len(layout), len(other))
    return next(differing, end)


def _shapes(layout: Sequence[PlacedBlock]) -> list[tuple[int, ...]]:
    return [placed.block.shape for placed in layout]


def end_guess(sizes: Sizes, layout: tuple[PlacedBlock, ...]) -> Guess | None:
    """Where the file ends, or what is left of it after the last layer."""
    if sizes.found < sizes.expected:
        return _prefix(sizes, layout) or _cut_off(sizes, layout)
    if sizes.fits:
        return None
    last = f"after the last layer with weights, {layout[-1].node.written}" if layout else "over"
    return Guess(
        Cause.LEFT_OVER,
        f"{_surplus(sizes.found - sizes.expected, sizes.odd)} left {last}",
        help="the file belongs to another cfg (filters, a missing layer)",
    )


def _surplus(floats: int, odd: int) -> str:
    counted = ((floats, "float"), (odd, "byte"))
    parts = [f"{count:,} {what}{'s' * (count != 1)}" for count, what in counted if count]
    return f"{' and '.join(parts)} {'is' if floats + odd == 1 else 'are'}"


def _prefix(sizes: Sizes, layout: tuple[PlacedBlock, ...]) -> Guess | None:
    cutoff = None if sizes.odd else prefix_cutoff(layout, sizes.found)
    if cutoff is None:
        return None
    missing = next(placed for placed in layout if placed.end > sizes.found)
    named = re.search(r"\.conv\.(\d{1,6})$", sizes.path.name)
    as_named = named is not None and cutoff <= int(named[1]) <= missing.node.written
    if named and as_named:
        cutoff = int(named[1])
    return Guess(
        Cause.PREFIX,
        f"it ends exactly before layer {missing.node.written}: it holds {first_layers(cutoff)}, "
        + (
            f"as its name says (.conv.{cutoff})"
            if as_named
            else f"as a file NAME.conv.{cutoff} does"
        ),
        help=f"such a file is a start for training: give it with a cutoff of {cutoff}",
        place=sizes.place(missing),
    )


def _cut_off(sizes: Sizes, layout: tuple[PlacedBlock, ...]) -> Guess:
    placed = next(placed for placed in layout if placed.end > sizes.found)
    inside = max(0, sizes.found - placed.offset)
    return Guess(
        Cause.CUT_OFF,
        f"it ends in {placed}, of whose {placed.block.count:,} floats it holds {inside:,}",
        help="the file was cut off, or belongs to another cfg; fetch it again",
        place=sizes.place(placed),
    )
