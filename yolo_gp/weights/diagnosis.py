"""Does a weights file fit a cfg; if not, from which layer on, and why. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yolo_gp.errors import WeightsError
from yolo_gp.graph import Graph
from yolo_gp.weights.checkpoint_diagnosis import checkpoint_guesses
from yolo_gp.weights.evidence import (
    Cause,
    Guess,
    Place,
    Sizes,
    classes_guess,
    dialect_guess,
    end_guess,
    error_guess,
    fits_in_dialect,
    header_guess,
    other_cfg_guess,
    published_guess,
)
from yolo_gp.weights.formats import WeightsFormat, detect_format
from yolo_gp.weights.header import WeightsHeader, read_header, read_start
from yolo_gp.weights.layout import FLOAT_BYTES, file_layout, kinds_that_differ, network_tensors
from yolo_gp.weights.plausibility import Floats, Scan, Suspect, scan
from yolo_gp.weights.sniffing import foreign_content, swapped_version

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether a weights file fits a cfg.

    Fields:
        path: the file.
        cfg: the cfg's name, as messages show it.
        format: of the file; None if it holds no weights of a known format.
        layers: layers of the cfg that own weights.
        guesses: why the file does not fit, the likeliest first; empty if it fits.
        sizes: of a `.weights` file.
        scan: what its numbers look like.
        doubt: what may be wrong with a `.weights` file that fits; None if nothing is known.
    """

    path: Path
    cfg: str
    format: WeightsFormat | None
    layers: int
    guesses: tuple[Guess, ...] = ()
    sizes: Sizes | None = None
    scan: Scan | None = None
    doubt: str | None = None

    @property
    def fits(self) -> bool:
        return not self.guesses

    @property
    def place(self) -> Place | None:
        """The first tensor that does not fit, if one can be named."""
        places = [guess.place for guess in self.guesses if guess.place is not None]
        return min(places, key=lambda p: (p.tensor.node.index, p.byte or 0), default=None)

    def to_text(self) -> str:
        """A report of a few lines."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.fits:
            yield f"{self.path} fits {self.cfg}"
            yield f"layers with weights: {self.layers}"
        elif self.format in ("darknet", "safetensors"):
            yield f"{self.path} does not fit {self.cfg}"
        else:
            yield f"{self.path} cannot be held against {self.cfg}"
        if self.place is not None:
            yield f"first layer that does not fit: {self.place}"
        yield from self._size_lines()
        if self.doubt:
            yield f"in doubt: {self.doubt}"
        for number, guess in enumerate(self.guesses):
            yield f"{'or' if number else 'why'}: {guess.text}"
            if guess.help:
                yield f"  help: {guess.help}"

    def _size_lines(self) -> Iterator[str]:
        if self.sizes is None:
            return
        sizes, header = self.sizes, self.sizes.header
        expected = header.size + sizes.expected * FLOAT_BYTES
        version = f"{header.major}.{header.minor}.{header.revision}"
        if not sizes.fits:
            yield (
                f"expected: {sizes.expected:,} floats after the {header.size}-byte header "
                f"({expected:,} bytes)"
            )
            yield f"found: {sizes.found:,} floats ({sizes.bytes:,} bytes)"
            return
        yield (
            f"floats: {sizes.found:,} after the {header.size}-byte header of version {version} "
            f"({sizes.bytes:,} bytes)"
        )
        yield f"images seen in training: {header.seen:,}"
        if self.scan is not None and self.fits:
            yield f"values: {self.scan.lowest:.4g} to {self.scan.highest:.4g}"

    def to_data(self) -> dict[str, object]:
        """The same as plain data for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "weights": str(self.path),
            "cfg": self.cfg,
            "fits": self.fits,
            "format": self.format,
            "layers": self.layers,
            "first_misfit": _place_data(self.place),
            "doubt": self.doubt,
            "guesses": [_guess_data(guess) for guess in self.guesses],
            "sizes": None if self.sizes is None else _sizes_data(self.sizes),
        }


@dataclass(frozen=True, slots=True)
class Alternatives:
    """What a file might belong to that does not fit.

    Fields:
        networks: by name. They are asked for only if nothing else explains the file, so a
            generator can compile them.
        published: bytes of the weights files of pretrained models, by name.
    """

    networks: Iterable[tuple[str, Graph]] = ()
    published: Mapping[str, int] = field(default_factory=dict)


def diagnose(graph: Graph, path: Path, alternatives: Alternatives | None = None) -> Diagnosis:
    """Find out whether a weights file fits a cfg; if not, the first layer that does not, and why.

    A reason is given only if the file's size or content bears it out. The numbers themselves are
    looked at too: a file of the right size may belong to another network. Of a safetensors file
    names and shapes are compared, of a torch or ONNX file nothing is read.

    Args:
        alternatives: what else the file might belong to.

    Raises:
        WeightsError: the file cannot be read.
    """
    start, size = read_start(path)
    layers = len({tensor.node.index for tensor in network_tensors(graph)})
    cfg = graph.spec.net.span.file
    format_, guesses = _format(path, start, size)
    if format_ == "darknet" and not guesses:
        return _diagnose_darknet(graph, path, layers, alternatives or Alternatives())
    if format_ == "safetensors":
        guesses = checkpoint_guesses(graph, path)
    return Diagnosis(path=path, cfg=cfg, format=format_, layers=layers, guesses=guesses)


def _format(path: Path, start: bytes, size: int) -> tuple[WeightsFormat | None, tuple[Guess, ...]]:
    """The file's format; guesses if it cannot be compared with a cfg."""
    if foreign := foreign_content(path, start, size):
        return None, (Guess(Cause.NOT_WEIGHTS, f"it is {foreign.what}", help=foreign.help),)
    try:
        found = detect_format(path)
        if found == "darknet":
            read_header(path)
    except WeightsError as error:
        return None, (_unreadable(path, start, error),)
    if found in ("torch", "onnx"):
        return found, (_other_format(path, found),)
    return found, ()


def _unreadable(path: Path, start: bytes, error: WeightsError) -> Guess:
    if version := swapped_version(start):
        text = ".".join(map(str, version))
        return Guess(
            Cause.HEADER,
            f"its header reads as version {text} if the bytes of each number are reversed: it was "
            "written on a big-endian machine",
            help="reverse the bytes of every 4-byte number (of `seen`, of all 8)",
        )
    return error_guess(Cause.NOT_WEIGHTS, path, error)


def _other_format(path: Path, found: WeightsFormat) -> Guess:
    if found == "onnx":
        return Guess(
            Cause.OTHER_FORMAT,
            "it is an ONNX model, which holds its network itself and needs no cfg",
            help="pass the weights that it was made from",
        )
    return Guess(
        Cause.OTHER_FORMAT,
        "it is a torch checkpoint, which doctor does not unpack",
        help=f"yolo-gp convert {path} OUT.weights --cfg CFG holds every tensor against the cfg",
    )


def _diagnose_darknet(
    graph: Graph, path: Path, layers: int, alternatives: Alternatives
) -> Diagnosis:
    layout = file_layout(graph)
    expected = layout[-1].end if layout else 0
    header = read_header(path, expected)
    sizes = Sizes(path, path.stat().st_size, header, expected)
    numbers = sizes.floats()
    found = scan(numbers, layout)
    fits = sizes.fits and found.suspect is None
    guesses = [] if fits else _darknet_guesses(graph, sizes, numbers, found.suspect, alternatives)
    doubt = _doubt(graph, path, header) if fits else None
    return Diagnosis(
        path=path,
        cfg=graph.spec.net.span.file,
        format="darknet",
        layers=layers,
        guesses=tuple(guesses),
        sizes=sizes,
        scan=found,
        doubt=doubt,
    )


def _doubt(graph: Graph, path: Path, header: WeightsHeader) -> str | None:
    """That a file which fits may hold its layers in pjreddie's order, in which it fits too."""
    kinds = " and ".join(f"[{kind}]" for kind in kinds_that_differ(graph))
    if not kinds or not header.is_of_pjreddie or not fits_in_dialect(graph, path, "pjreddie"):
        return None
    return (
        f"version 0.2.0 is what pjreddie's Darknet writes, in whose order of {kinds} the file fits "
        "too: if it is pjreddie's, `yolo-gp convert --weights-dialect pjreddie` reads it right"
    )


def _darknet_guesses(
    graph: Graph,
    sizes: Sizes,
    numbers: Floats,
    suspect: Suspect | None,
    alternatives: Alternatives,
) -> list[Guess]:
    layout = file_layout(graph)
    values = [_values_guess(sizes, suspect)] if suspect else []
    if dialect := dialect_guess(graph, sizes.path):
        return [dialect]
    proven = [header_guess(sizes, numbers), classes_guess(graph, sizes, layout, numbers)]
    explained = [guess for guess in proven if guess and not sizes.fits]
    end = end_guess(sizes, layout)
    if end and end.cause is Cause.PREFIX:
        explained.append(end)
    if not explained:  # only now, since other networks take seconds to compile
        other = other_cfg_guess(sizes, layout, numbers, alternatives.networks)
        other = other or published_guess(sizes, alternatives.published)
        explained = [other] if other else []
    if sizes.fits:
        return [*values, *explained]
    if explained:
        return [*explained, *_contradicting(explained, values)]
    return [*values, *([end] if end else [])]


def _contradicting(explained: list[Guess], values: list[Guess]) -> list[Guess]:
    """Wrong numbers before the first layer that a reason speaks of show that it is not all."""
    places = [guess.place.byte or 0 for guess in explained if guess.place]
    first = min(places, default=0)
    return [guess for guess in values if guess.place and (guess.place.byte or 0) < first]


def _values_guess(sizes: Sizes, suspect: Suspect) -> Guess:
    helps = [
        "the layers before it look right: from here on the file is another network's, or damaged"
        if suspect.placed.offset
        else "the file is another network's, or damaged"
    ]
    if suspect.not_finite:
        helps = ["the training diverged, or the file is damaged"]
    return Guess(
        Cause.VALUES,
        f"the numbers of {suspect.placed} look wrong: {suspect.problem}",
        help=helps[0],
        place=sizes.place(suspect.placed),
    )


def _place_data(place: Place | None) -> dict[str, object] | None:
    if place is None:
        return None
    node = place.tensor.node
    return {
        "index": node.index,
        "written": node.written,
        "kind": node.layer.kind,
        "tensor": place.tensor.block.tensor,
        "byte": place.byte,
    }


def _guess_data(guess: Guess) -> dict[str, object]:
    return {
        "cause": str(guess.cause),
        "text": guess.text,
        "help": guess.help,
        "layer": _place_data(guess.place),
        "cfgs": list(guess.names),
        "classes": guess.classes,
    }


def _sizes_data(sizes: Sizes) -> dict[str, object]:
    header = sizes.header
    return {
        "bytes": sizes.bytes,
        "header_bytes": header.size,
        "version": f"{header.major}.{header.minor}.{header.revision}",
        "seen": header.seen,
        "floats_expected": sizes.expected,
        "floats_found": sizes.found,
    }
