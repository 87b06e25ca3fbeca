"""What changes from one network to another: its sections, costs, and what surrounds it."""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yolo_gp.analysis.compared_sections import (
    ComparedNetwork,
    ComparedSection,
    Pair,
    Place,
    Reading,
    align_sections,
    compared_network,
)
from yolo_gp.analysis.written_settings import SettingChange
from yolo_gp.errors import Diagnostics
from yolo_gp.graph import Graph
from yolo_gp.nodes import INPUT
from yolo_gp.syntax import parse_cfg
from yolo_gp.weights.transfer import TransferPlan, plan_transfer

_INPUT_KEYS = ("width", "height", "channels", "inputs")


class Change(enum.StrEnum):
    """What becomes of a section."""

    SAME = "same"
    KEYS = "keys"  # only keys differ that change no result, such as those of training
    SHAPES = "shapes"  # its settings are the same, the maps it reads are others
    SETTINGS = "settings"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Row:
    """A section of both networks, or of one.

    Fields:
        old, new: None if the other network alone has it.
        settings: keys that differ.
        readings: the layers it reads, old and new, if they do not correspond.
        sharing: the same for the layers whose weights it uses.
    """

    change: Change
    old: ComparedSection | None
    new: ComparedSection | None
    settings: tuple[SettingChange, ...] = ()
    readings: tuple[str, str] | None = None
    sharing: tuple[str, str] | None = None

    @property
    def changes_network(self) -> bool:
        """Unless another section makes up for it, as a macro does for what it stands for."""
        return self.change not in (Change.SAME, Change.KEYS)


@dataclass(frozen=True)
class NetworkDifference:
    """What changes from one network to another.

    Fields:
        old, new: the two, each at its own input size.
        rows: every section of both once, in order.
        net: keys of [net] that differ, those of the input's shape left out.
    """

    old: Graph
    new: Graph
    rows: tuple[Row, ...]
    net: tuple[SettingChange, ...]

    @functools.cached_property
    def plan(self) -> TransferPlan:
        """Which weights of the old network the new one can take."""
        return plan_transfer(self.old, self.new)

    @property
    def same_network(self) -> bool:
        """Both compute the same, be it at different input sizes: their fingerprints are equal."""
        return self.old.fingerprint == self.new.fingerprint

    @property
    def same_input_size(self) -> bool:
        return self.old.input_shape.size == self.new.input_shape.size

    def shapes_differ(self, old: ComparedSection, new: ComparedSection) -> bool:
        """Whether two sections make other maps; height and width count if the inputs' are equal."""
        if self.same_input_size:
            return old.output_shape != new.output_shape
        return old.output_shape.channels != new.output_shape.channels


def network_difference(old: Graph, new: Graph) -> NetworkDifference:
    """What changes from one network to another, section by section."""
    ours, theirs = (
        compared_network(graph, parse_cfg(graph.cfg_text, graph.spec.net.span.file, Diagnostics()))
        for graph in (old, new)
    )
    return difference(ours, theirs)


def difference(old: ComparedNetwork, new: ComparedNetwork) -> NetworkDifference:
    """`network_difference` for those who have the texts parsed."""
    pairs = tuple(align_sections(old.sections, new.sections))
    sizes = [network.graph.input_shape.size for network in (old, new)]
    compare = _Comparison(pairs, sizes=sizes[0] == sizes[1])
    net = old.net.changes(new.net)
    return NetworkDifference(
        old.graph,
        new.graph,
        rows=tuple(compare.row(*pair) for pair in pairs),
        net=tuple(change for change in net if change.key not in _INPUT_KEYS),
    )


class _Comparison:
    """Judges pairs of sections; `sizes`: heights and widths of maps count."""

    def __init__(self, pairs: Sequence[Pair], *, sizes: bool) -> None:
        self._sizes = sizes
        self._new_number: Mapping[int, int] = {
            INPUT: INPUT,
            **{old.number: new.number for old, new in pairs if old and new},
        }

    def row(self, old: ComparedSection | None, new: ComparedSection | None) -> Row:
        if old is None or new is None:
            return Row(Change.REMOVED if new is None else Change.ADDED, old, new)
        settings = old.settings.changes(new.settings)
        readings = self._differing(old.readings, new.readings)
        sharing = self._differing(old.sharing, new.sharing)
        computes = old.computes != new.computes
        if readings or sharing or (computes and settings):
            change = Change.SETTINGS
        elif computes or self._shapes(old) != self._shapes(new):
            change = Change.SHAPES
        else:
            change = Change.KEYS if settings else Change.SAME
        return Row(change, old, new, settings, readings, sharing)

    def _shapes(self, section: ComparedSection) -> tuple[object, ...]:
        sizes = tuple(node.output_shape.size for node in section.nodes) if self._sizes else ()
        return section.channels, section.params, sizes

    def _differing(self, old: Sequence[Reading], new: Sequence[Reading]) -> tuple[str, str] | None:
        if len(old) == len(new) and all(map(self._corresponds, old, new)):
            return None
        return _listed(old), _listed(new)

    def _corresponds(self, old: Reading, new: Reading) -> bool:
        return (
            (old.is_previous and new.is_previous)
            or self._is(old.place, new.place)
            or self._is(old.origin, new.origin)
        )

    def _is(self, old: Place, new: Place) -> bool:
        return (self._new_number.get(old.number), old.from_end) == (new.number, new.from_end)


def _listed(readings: Sequence[Reading]) -> str:
    return ", ".join(map(str, readings)) or "none"
