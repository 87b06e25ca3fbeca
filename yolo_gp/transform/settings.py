"""What a transformation is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yolo_gp.errors import UsageError

Target = Literal["prn", "csp", "elan"]
Fusion = Literal["normal", "first", "last", "none"]
Budget = Literal["params", "flops"]

_MOST_BLOCKS = 1024
_MOST = 16.0  # a network scaled further is another one


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformSettings:
    """One transformation; depth and width are scaled first, then stages rewritten.

    Fields:
        to: what residual stages become: `prn` masks every shortcut, `csp` and `elan` replace the
            blocks by one section. None: they stay.
        ratio: share of the channels that a masked shortcut adds, above 0, at most 1.
        fusion, split: of [csp].
        blocks, convs: of [elan].
        stages: the stages that are touched, by the exponent of their stride (3 for stride 8);
            None: all.
        depth: factor on the number of blocks in a stage, and in [csp] and [elan].
        width: factor on the channels of convolutions.
        keep: what widths inside the stages are adjusted for, so that it stays what it was.

    Raises:
        UsageError: a number is out of range, or nothing is asked for.
    """

    to: Target | None = None
    ratio: float = 0.5
    fusion: Fusion = "normal"
    split: float = 0.5
    blocks: int = 2
    convs: int = 2
    stages: frozenset[int] | None = None
    depth: float = 1.0
    width: float = 1.0
    keep: Budget | None = None

    def __post_init__(self) -> None:
        if self.to is None and self.depth == 1.0 and self.width == 1.0:
            raise UsageError(
                "nothing to do\nexpected: --to prn, csp or elan, or a --depth or --width besides 1"
            )
        _check("ratio", self.ratio, 0 < self.ratio <= 1, "above 0, at most 1")
        _check("split", self.split, 0 < self.split < 1, "above 0, below 1")
        _check("blocks", self.blocks, 1 <= self.blocks <= _MOST_BLOCKS, f"1 to {_MOST_BLOCKS}")
        _check("convs", self.convs, 1 <= self.convs <= _MOST_BLOCKS, f"1 to {_MOST_BLOCKS}")
        for name, factor in (("depth", self.depth), ("width", self.width)):
            _check(name, factor, 0 < factor <= _MOST, f"above 0, at most {_MOST:g}")

    def touches(self, stage: int) -> bool:
        """Whether stages of that number are meant."""
        return self.stages is None or stage in self.stages


def _check(name: str, value: float, holds: bool, expected: str) -> None:
    if not holds:
        raise UsageError(f"--{name} {value:g} is out of range\nexpected: {expected}")


def parse_stages(text: str) -> frozenset[int]:
    """ "3-5", "3,5" or "4" as a set of stage numbers.

    Raises:
        UsageError: another form.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) <= 16):
            raise UsageError(
                f"--stages {text} names no stages\n"
                "expected: numbers from 0 to 16 or ranges of them, with commas, such as 3-5: "
                "stage 3 has stride 8"
            )
        numbers.update(range(int(first), int(last) + 1))
    return frozenset(numbers)
