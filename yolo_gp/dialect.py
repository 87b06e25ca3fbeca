"""The dialects of the cfg language: one text, two readers that make different networks of it."""

from __future__ import annotations

import enum

from yolo_gp.errors import UsageError, did_you_mean


class Dialect(enum.Enum):
    """Who a cfg was written for.

    DARKNET: Darknet, AlexeyAB's or pjreddie's. YOLOR: the torch code of WongKinYiu/yolor and
    WongKinYiu/PyTorch_YOLOv4, which descends from ultralytics/yolov3.
    """

    DARKNET = "darknet"
    YOLOR = "yolor"

    @property
    def code(self) -> str:
        """The program that reads it, as messages call it."""
        return "Darknet" if self is Dialect.DARKNET else "YOLOR's code"

    @property
    def batch_norm_epsilon(self) -> float:
        """What stands beside the variance under the root of every batch norm."""
        return 1e-5 if self is Dialect.DARKNET else 1e-4

    @property
    def batch_norm_momentum(self) -> float:
        """The share of a new batch in running statistics, unless a training sets its own."""
        return 0.1 if self is Dialect.DARKNET else 0.03

    @property
    def last_key_counts(self) -> bool:
        """Whether the last of equal keys of a section counts, rather than the first."""
        return self is Dialect.YOLOR


DIALECT_NAMES = tuple(dialect.value for dialect in Dialect)


def parse_dialect(name: str | None) -> Dialect | None:
    """The dialect of that name; None for None.

    Raises:
        UsageError: there is none of that name.
    """
    if name is None:
        return None
    if name not in DIALECT_NAMES:
        suggestion = did_you_mean(name, DIALECT_NAMES)
        raise UsageError(
            f"there is no dialect {name}\nexpected: one of {', '.join(DIALECT_NAMES)}"
            + (f"\nhelp: {suggestion}" if suggestion else "")
        )
    return Dialect(name)
