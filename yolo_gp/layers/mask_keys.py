"""The keys by which a head proposes instance masks: masks and prototypes. They are ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yolo_gp.detections import MaskRecipe
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class MaskKeys:
    """`masks=M` and `prototypes=<layer>`: a mask is sigmoid(coefficients . prototypes).

    Every candidate has M coefficients, any real numbers, which the head reads beside its box. The
    prototypes are that layer's output, (M, h, w), and cover the network input at any resolution.

    Fields:
        count: M; 0 for a head without masks.
        prototypes: the layer that makes the prototypes; None without masks.

    Source: zoo.md B.2; ultralytics/yolov5 v7.0 models/yolo.py, class Segment.
    """

    count: int = 0
    prototypes: Reference | None = None

    @property
    def sources(self) -> tuple[Reference, ...]:
        """The layers to read besides the head's own."""
        return () if self.prototypes is None else (self.prototypes,)

    @property
    def label(self) -> str:
        """What a head's label says of them; starts with a comma."""
        return f", {self.count} masks" if self.count else ""

    def check_prototypes(self, kind: str, inputs: Sequence[PartialShape]) -> None:
        """Check the prototypes, which are the last of a head's inputs.

        Raises:
            ShapeProblem: they are not as many as the coefficients.
        """
        if self.prototypes is None:
            return
        last, found = len(inputs) - 1, inputs[-1].channels
        if found is not None and found != self.count:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.prototypes.span,
                f"[{kind}] needs masks = {self.count} prototypes, but {{{last}}} gives {found} "
                "channels",
                expected=f"filters={self.count} in the section at line {{{last}.line}}",
                help=f"set filters={self.count} there, or mend masks={self.count} here",
            )

    def recipes(
        self, coefficients: Tensor | None, maps: Sequence[Tensor], image: int
    ) -> tuple[MaskRecipe, ...]:
        """How the masks of one image's candidates are made; nothing without masks.

        Args:
            coefficients: (k, M) of the candidates.
            maps: what the head reads, each (N, C, H, W), the prototypes last.
        """
        if coefficients is None or not self.count:
            return ()
        return (MaskRecipe(0, coefficients, maps[-1][image]),)


def parse_mask_keys(options: Options) -> MaskKeys:
    """Read `masks` and `prototypes`; each needs the other."""
    options.note("masks", "integer", 0, minimum=0, maximum=MAX_CHANNELS)
    values = options.integers("masks", maximum=MAX_CHANNELS, minimum=0) or [(0, options.span)]
    count = values[0][0]
    prototypes = options.reference("prototypes")
    if len(values) > 1:
        options.error(
            Rule.BAD_NUMBER,
            "masks",
            f"[{options.kind}] masks lists {len(values)} numbers",
            expected="one number: how many mask coefficients belong to a box",
            help="mask=, without s, names the anchors of a [yolo]",
        )
    elif count and prototypes is None and not options.failed:
        options.missing("prototypes", "the layer whose output holds the prototypes of the masks")
    elif prototypes is not None and not count and not options.failed:
        options.error(
            Rule.NO_EFFECT,
            "prototypes",
            f"[{options.kind}] prototypes has no effect with masks=0",
            expected="masks=N, how many mask coefficients belong to a box, or no prototypes",
        )
    return MaskKeys(count, prototypes)
