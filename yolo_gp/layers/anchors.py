"""The anchors and masks of anchor-based heads: reading and checking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yolo_gp.errors import Span
from yolo_gp.options import Options
from yolo_gp.rules import Rule

_MAX_ANCHORS = 1024
_UNSET = 0.5  # what Darknet leaves where the list is absent

ANCHOR_MEANINGS: Mapping[str, str] = {
    "num": "how many pairs `anchors` lists",
    "mask": "numbers of the pairs, from 0, that this head uses; all by default",
}


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


def parse_unmasked_anchors(options: Options) -> Anchors:
    """Read `num` and `anchors` of a head that predicts with the first `num` of them."""
    num = options.integer("num", 1, minimum=1, maximum=_MAX_ANCHORS)
    all_wh = _parse_pairs(options, num, "and so do we")[:num]
    return Anchors(all_wh, tuple(range(len(all_wh))), options.span, mask_is_default=True)


def parse_anchors(options: Options) -> Anchors:
    """Read `num`, `anchors` and `mask`, and report lists that do not fit each other."""
    num = options.integer("num", 1, minimum=1, maximum=_MAX_ANCHORS)
    surplus = "and, for a mask beyond them, past its memory; all are used here"
    all_wh = _parse_pairs(options, num, surplus)
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


def _parse_pairs(options: Options, num: int, surplus: str) -> tuple[tuple[float, float], ...]:
    """The pairs that `anchors` lists. `surplus` says what becomes of more than `num`."""
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
            f"first {num} {surplus}",
            help=f"set num={len(pairs)}",
        )
    return pairs
