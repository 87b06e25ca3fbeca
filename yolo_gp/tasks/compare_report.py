"""The result of a comparison, as text for people and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from yolo_gp.analysis.tables import align
from yolo_gp.tasks.differences import Difference

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class LayerNumber:
    """A layer as messages number it, and its position among all layers (`nodes.Node`)."""

    written: int
    index: int


@dataclass(frozen=True, slots=True)
class ComparedValue:
    """One value of both networks: a layer's map, a head's boxes or scores, an output.

    Fields:
        kind: the layer's section; the output's name, where files do not say what layers they have.
        part: "boxes" or "scores" of a head; "" for a map.
        a, b: the layer in each network; None if the file does not say.
        difference: the largest over all images. Boxes are in pixels of the network's input.
    """

    kind: str
    part: str
    a: LayerNumber | None
    b: LayerNumber | None
    difference: Difference

    @property
    def label(self) -> str:
        """What a sentence calls it."""
        part = f" {self.part}" if self.part else ""
        if self.a is None and self.b is None:
            return f"output {self.kind}{part}"
        numbered = self.a or self.b
        assert numbered is not None
        return f"layer {numbered.written} [{self.kind}]{part}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two networks agree.

    Fields:
        a, b: the files.
        images: files of the images; empty for random numbers.
        input_shape: (C, H, W).
        tolerance: the largest relative difference that counts as agreement.
        values: in the order in which network a computes them.
        parted: where networks of different structure part; None for the same structure.
        complete: all that the networks return was compared.
        hint: what sets the first departing layer apart; "" if all agrees.
        notes: what was not compared.
    """

    a: str
    b: str
    images: tuple[str, ...]
    input_shape: tuple[int, int, int]
    tolerance: float
    values: tuple[ComparedValue, ...]
    parted: str | None
    complete: bool
    hint: str
    notes: tuple[str, ...]

    @property
    def first_departure(self) -> ComparedValue | None:
        """The first value that differs by more than the tolerance."""
        return next((value for value in self.values if self.departs(value)), None)

    def departs(self, value: ComparedValue) -> bool:
        """Whether a value differs by more than the tolerance."""
        return value.difference.relative > self.tolerance

    @property
    def agrees(self) -> bool:
        """Whether no value departs, and what the networks return is among the values."""
        return self.complete and self.first_departure is None

    def to_text(self) -> str:
        """The table, and what it comes to."""
        first = self.first_departure
        rows = [("a", "b", "section", "largest", "relative", "")]
        rows += [
            (
                "" if value.a is None else str(value.a.written),
                "" if value.b is None else str(value.b.written),
                f"{value.kind} {value.part}".strip(),
                f"{value.difference.largest:.1e}",
                f"{value.difference.relative:.1e}",
                "<- departs first" if value is first else "departs" * self.departs(value),
            )
            for value in self.values
        ]
        shape = " x ".join(map(str, self.input_shape))
        count = len(self.images)
        given = f"{count} image{'s' * (count > 1)}" if count else "one image of random numbers"
        head = f"a: {self.a}\nb: {self.b}\ninput: {given}, {shape}"
        return "\n\n".join([head, align(rows, {0, 1, 3, 4}), "\n".join(self._conclusion())])

    def _conclusion(self) -> list[str]:
        first = self.first_departure
        lines = [f"note: {note}" for note in self.notes]
        if self.parted is not None:
            lines.append(f"the networks part at {self.parted}")
        if first is not None:
            lines.append(f"{first.label} departs first: {self.hint}")
        elif self.complete:
            lines.append(f"they agree within {self.tolerance:g}, relative to the largest magnitude")
        else:
            lines.append("not all that they return can be compared; what was compared agrees")
        return lines

    def to_json(self) -> str:
        """One JSON object. A difference that is not finite is null."""
        first = self.first_departure
        return json.dumps(
            {
                "schema_version": _SCHEMA_VERSION,
                "a": self.a,
                "b": self.b,
                "images": list(self.images),
                "input_shape": list(self.input_shape),
                "tolerance": self.tolerance,
                "agrees": self.agrees,
                "parted": self.parted,
                "complete": self.complete,
                "first_departure": None if first is None else self.values.index(first),
                "hint": self.hint or None,
                "notes": list(self.notes),
                "values": [self._value_data(value) for value in self.values],
            }
        )

    def _value_data(self, value: ComparedValue) -> dict[str, object]:
        return {
            "kind": value.kind,
            "part": value.part or None,
            "a": _number_data(value.a),
            "b": _number_data(value.b),
            "largest": _finite(value.difference.largest),
            "relative": _finite(value.difference.relative),
            "departs": self.departs(value),
        }


def _number_data(number: LayerNumber | None) -> dict[str, int] | None:
    return None if number is None else {"index": number.index, "written": number.written}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
