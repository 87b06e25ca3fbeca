"""[route2], [route3]: a route whose first source alone gets a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from yolo_gp.layers.answers import GradientStop
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.route import Route
from yolo_gp.options import Options


class Route2(Route):
    """[route2]: joins the channels of its sources as [route] does; in training the gradient goes
    back to the first source only.  (C_i, H, W) of each source -> (sum of C_i, H, W).

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "route2"
    reader: ClassVar[Reader] = "YOLOR"
    ignored: ClassVar[Mapping[str, str]] = {}
    key_readers: ClassVar[Mapping[str, Reader]] = {}

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Route2:
        return cls(
            span=options.span,
            common=common,
            layers=options.references("layers"),
            groups=1,
            group_id=0,
            groups_span=options.span,
        )

    def stops_gradient(self) -> GradientStop:
        return "identity"


class Route3(Route2):
    """[route3]: as [route2]; YOLOR's code has it for three sources.

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "route3"
