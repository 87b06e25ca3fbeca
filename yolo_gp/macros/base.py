"""What a macro is: one section that stands for several layers. And how expansions are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, Self

from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.answers import GradientStop
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.partial_shortcut import PartialShortcut
from yolo_gp.layers.route import Route
from yolo_gp.layers.shortcut import Shortcut
from yolo_gp.options import Options, Reference
from yolo_gp.shapes import PartialShape

INPUT = -1
"""In an expansion, the map that the macro reads."""


class Macro(Protocol):
    """A section that is rewritten into ordinary layers while the graph is built.

    It reads the previous section's output and counts as one section; as a source it stands for
    the output of its last layer. It owns no weights: their order is that of the convolutions of
    its expansion.

    Fields: as in `Layer`. Unknown keys are errors.
        width_keys: keys whose values are channel counts.
        depth_key: the key whose value says how many blocks there are.
    """

    kind: ClassVar[str]
    ignored: ClassVar[Mapping[str, str]] = {}
    meanings: ClassVar[Mapping[str, str]]
    reader: ClassVar[Reader] = "yolo-gp"
    key_readers: ClassVar[Mapping[str, Reader]] = {}
    training_fields: ClassVar[frozenset[str]] = frozenset()
    ours: ClassVar[bool] = True
    width_keys: ClassVar[tuple[str, ...]]
    depth_key: ClassVar[str]

    @property
    def span(self) -> Span: ...

    @property
    def common(self) -> CommonKeys: ...

    @property
    def depth(self) -> int:
        """How many blocks there are."""
        ...

    @property
    def takes_ratio(self) -> bool:
        """Whether it has shortcuts that `ratio` would mask."""
        return False

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Self:
        """Read the section."""
        ...

    def expand(self, source: PartialShape) -> Sequence[Layer] | None:
        """The layers it stands for, in order; None if that depends on an unknown shape.

        Raises:
            ShapeProblem: it cannot be applied to a map of that shape.
        """
        ...


class Expansion:
    """Collects the layers of one expansion. A layer is named by its position in it, from 0.

    `INPUT` names the map the macro reads. All layers bear the macro's span: what goes wrong in
    one of them is shown at the line the user wrote.
    """

    def __init__(
        self, span: Span, *, activation: str, batch_norm: bool, stop: GradientStop, dialect: Dialect
    ) -> None:
        self.layers: list[Layer] = []
        self._span = span
        self._common = CommonKeys(dialect=dialect)
        self._activation = activation
        self._batch_norm = batch_norm
        self._stop = stop

    @property
    def last(self) -> int:
        """The layer added last; INPUT before the first."""
        return len(self.layers) - 1

    def _reference(self, position: int) -> Reference:
        return Reference(position - len(self.layers), self._span)

    def _add(self, layer: Layer) -> int:
        self.layers.append(layer)
        return self.last

    def convolution(
        self, filters: int, size: int = 1, *, groups: int = 1, activation: str | None = None
    ) -> int:
        """A convolution of the layer added last: stride 1, same size, batch norm as the macro's."""
        return self._add(
            Convolutional(
                span=self._span,
                common=self._common,
                out_channels=filters,
                kernel_size=size,
                stride=(1, 1),
                padding=size // 2,
                dilation=1,
                groups=groups,
                batch_norm=self._batch_norm,
                activation=self._activation if activation is None else activation,
                xnor=False,
                flipped=False,
                shared=None,
                groups_span=self._span,
            )
        )

    def route(self, *positions: int, groups: int = 1, group_id: int = 0) -> int:
        """Joins earlier maps, or slice `group_id` of each."""
        return self._add(
            Route(
                span=self._span,
                common=self._common,
                layers=tuple(self._reference(position) for position in positions),
                groups=groups,
                group_id=group_id,
                groups_span=self._span,
            )
        )

    def continue_from(self, position: int) -> int:
        """Makes `position` the map that the next layer reads; adds a route only if need be."""
        return position if position == self.last else self.route(position)

    def slices(self, position: int, groups: int, first: int, count: int) -> int:
        """Channel slices first … first + count - 1 of `groups` equal ones, as one map."""
        parts = [
            self.route(position, groups=groups, group_id=group)
            for group in range(first, first + count)
        ]
        return parts[0] if count == 1 else self.route(*parts)

    def shortcut(self, position: int, *, activation: str = "linear") -> int:
        """Adds an earlier map to the layer added last, over the channels both have."""
        return self._add(
            Shortcut(
                span=self._span,
                common=self._common,
                layers=(self._reference(position),),
                activation=activation,
                weights_type="none",
                weights_normalization="none",
                stop=self._stop,
            )
        )

    def partial_shortcut(
        self, position: int, *, channels: int | None, ratio: float, activation: str = "linear"
    ) -> int:
        """Adds the leading channels of an earlier map to the layer added last."""
        return self._add(
            PartialShortcut(
                span=self._span,
                common=self._common,
                layers=(self._reference(position),),
                channels=() if channels is None else (channels,),
                ratio=ratio,
                channels_span=self._span,
                activation=activation,
                stop=self._stop,
            )
        )
