"""The anchors and masks of anchor-based heads: reading and checking."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_gp.errors import Span
from yolo_gp.options import Options
from yolo_gp.rules import Rule

_MAX_ANCHORS = 1024
_UNSET = 0.5  # what Darknet leaves where the list is absent


@dataclass(frozen=True, slots=True)
class Anchors:
    """All anchors that a head's section lists, and the ones it predicts with.

    Fields:
        all_wh: (width, height) of each, in the unit of the head's kind.
        mask: indices into `all_wh`, one per anchor slot of a cell.
        mask_span: where the mask stands; the header if there is none.
        mask_is_default: the section has no mask, so every anchor is used.
    """

    all_wh: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]
    mask_span: Span
    mask_is_default: bool

    @property
    def masked_wh(self) -> tuple[tuple[float, float], ...]:
        return tuple(self.all_wh[index] for index in self.mask)


def parse_anchors(options: Options) -> Anchors:
    """Read `num`, `anchors` and `mask`, and report lists that do not fit each other."""
    num = options.integer("num", 1, minimum=1, maximum=_MAX_ANCHORS)
    all_wh = _parse_pairs(options, num)
    mask = options.integers("mask", hash_ends_list=True)
    indices = list(range(num)) if mask is None else [index for index, _ in mask]
    for index, span in mask or []:
        if options.trusts("num", "anchors") and not 0 <= index < len(all_wh):
            options.error_at(
                Rule.HEAD_MASK,
                span,
                f"[{options.kind}] mask names anchor {index}, but anchors lists {len(all_wh)} "
                "(counted from 0)",
                expected=f"indices from 0 to {len(all_wh) - 1}",
            )
    if len(indices) > _MAX_ANCHORS:
        options.error(
            Rule.TOO_LARGE,
            "mask",
            f"[{options.kind}] mask names {len(indices)} anchors",
            expected=f"at most {_MAX_ANCHORS}",
        )
    valid = tuple(index for index in indices if 0 <= index < len(all_wh))
    return Anchors(all_wh, valid, options.span_of("mask"), mask is None)


def _parse_pairs(options: Options, num: int) -> tuple[tuple[float, float], ...]:
    values = options.numbers("anchors", hash_ends_list=True)
    if values is None:
        options.warning(
            Rule.SILENT_DEFAULT,
            "anchors",
            f"[{options.kind}] has no anchors; Darknet sets all widths and heights to {_UNSET}",
            expected=f"anchors with num={num} pairs of width and height",
        )
        return ((_UNSET, _UNSET),) * num
    pairs = tuple(zip(values[::2], values[1::2], strict=False))
    if not options.trusts("num", "anchors"):
        return pairs + ((_UNSET, _UNSET),) * max(0, num - len(pairs))
    if len(values) % 2 or len(pairs) < num:
        options.error(
            Rule.HEAD_ANCHORS,
            "anchors",
            f"[{options.kind}] anchors lists {len(values)} numbers, which is "
            f"{len(pairs)} pair{'' if len(pairs) == 1 else 's'}"
            f"{' and a half' if len(values) % 2 else ''}, but num={num}",
            expected=f"{2 * num} numbers: width,height for each of num={num} anchors",
            help="complete the list" + (f", or set num={len(pairs)}" if pairs else ""),
        )
        return pairs + ((_UNSET, _UNSET),) * (num - len(pairs))
    if len(pairs) > num:
        options.warning(
            Rule.SURPLUS_ANCHORS,
            "anchors",
            f"[{options.kind}] anchors lists {len(pairs)} pairs, but num={num}; Darknet reads the "
            f"first {num} and, for a mask beyond them, past its memory; all are used here",
            help=f"set num={len(pairs)}",
        )
    return pairs
