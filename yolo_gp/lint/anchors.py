"""Anchors that do not fit the input, their heads, or each other."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from yolo_gp.errors import Span
from yolo_gp.layers.anchors import Anchors
from yolo_gp.lint.subject import Compiled, Findings, HeadPlace, span_of, warning
from yolo_gp.rules import Rule
from yolo_gp.shapes import format_size

_TOO_LARGE = 1.5  # times the input
_FOREIGN_INPUT = 2  # how many times larger or smaller than the one they were made for
_LEAST_PIXELS = 2  # narrower than this, an anchor in pixels is none

_PUBLISHED: dict[tuple[float, ...], tuple[str, int]] = {
    (10, 14, 23, 27, 37, 58, 81, 82, 135, 169, 344, 319): ("YOLOv3-tiny", 416),
    (10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326): ("YOLOv3", 416),
    (12, 16, 19, 36, 40, 28, 36, 75, 76, 55, 72, 146, 142, 110, 192, 243, 459, 401): (
        "YOLOv4",
        512,
    ),
}
"""Anchors of COCO's objects: the model they come from, and the input size they were made for."""


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A head with anchors."""

    place: HeadPlace
    anchors: Anchors

    @property
    def span(self) -> Span:
        return span_of(self.place.section, "anchors")

    @property
    def listed(self) -> bool:
        """Whether the cfg has a list, rather than Darknet's default."""
        return self.span != self.place.section.span

    def pixels(self, index: int) -> tuple[float, float]:
        """(height, width) of an anchor in input pixels."""
        width, height = self.anchors.all_wh[index]
        if not self.place.head.anchors_in_cells:
            return height, width
        stride_y, stride_x = self.place.stride
        return height * stride_y, width * stride_x

    @property
    def mean_area(self) -> float:
        sizes = [self.pixels(index) for index in self.anchors.mask]
        return statistics.fmean(height * width for height, width in sizes)


def _anchored(subject: Compiled) -> list[_Anchored]:
    found = [(place, place.head.box_anchors()) for place in subject.heads]
    heads = [_Anchored(place, anchors) for place, anchors in found if anchors and anchors.mask]
    return [head for head in heads if head.listed]


def anchor_unit(subject: Compiled) -> Findings:
    """Anchors in cells, or in shares of the image, where pixels are meant; and the reverse."""
    for head in _first_of_each_list(_anchored(subject)):
        numbers = [number for pair in head.anchors.all_wh for number in pair]
        kind, largest = head.place.section.kind, max(numbers)
        if head.place.head.anchors_in_cells:
            if largest > max(head.place.map_size) * _TOO_LARGE:
                yield warning(
                    Rule.ANCHOR_UNIT,
                    head.span,
                    f"[{kind}] takes anchors in cells of its {format_size(head.place.map_size)} "
                    f"map, but lists one of {largest:g}",
                    help="divide anchors in pixels by the pixels of a cell, "
                    f"{head.place.stride[1]:g}",
                )
        elif min(numbers) < _LEAST_PIXELS and largest <= max(head.place.map_size):
            meant = "shares of the image" if largest <= 1 else "cells of a map, as [region] takes"
            yield warning(
                Rule.ANCHOR_UNIT,
                head.span,
                f"[{kind}] takes anchors in pixels of the input, but the largest number listed is "
                f"{largest:g}; they look like {meant}",
                expected="width,height of each anchor in pixels",
            )


def anchor_too_large(subject: Compiled) -> Findings:
    """Anchors that no object in the image can resemble."""
    height, width = subject.graph.input_shape.size
    for head in _anchored(subject):
        sizes = {index: head.pixels(index) for index in head.anchors.mask}
        large = [
            index
            for index, (h, w) in sizes.items()
            if h > _TOO_LARGE * height or w > _TOO_LARGE * width
        ]
        if not large or head.place.head.anchors_in_cells:  # that is ANCHOR_UNIT's to say
            continue
        (h, w), limit = sizes[large[0]], format_size((height, width))
        of_all = "all" if len(large) == len(sizes) else str(len(large))
        yield warning(
            Rule.ANCHOR_TOO_LARGE,
            head.span,
            f"{of_all} of the {len(sizes)} anchors of this head {'is' if of_all == '1' else 'are'} "
            f"larger than {_TOO_LARGE:g} times the input, {limit}; anchor {large[0]} is {h:g} high "
            f"and {w:g} wide",
            help="make anchors from your data for this input size",
        )


def anchor_input(subject: Compiled) -> Findings:
    """Published anchors at an input of quite another size."""
    length = max(subject.graph.input_shape.size)
    for head in _first_of_each_list(_anchored(subject)):
        numbers = tuple(number for pair in head.anchors.all_wh for number in pair)
        model, made_for = _PUBLISHED.get(numbers, ("", length))
        if not made_for / _FOREIGN_INPUT < length < made_for * _FOREIGN_INPUT:
            yield warning(
                Rule.ANCHOR_INPUT,
                head.span,
                f"these are {model}'s anchors, made for COCO at {made_for}x{made_for}; the input "
                f"is {format_size(subject.graph.input_shape.size)}",
                help="make anchors from your data for this input size, or multiply these by "
                f"{length / made_for:.2g}",
            )


def anchors_disagree(subject: Compiled) -> Findings:
    """Heads of one network that do not list the same anchors."""
    heads = _anchored(subject)
    for head in heads[1:]:
        ours, first = head.anchors.all_wh, heads[0].anchors.all_wh
        if ours == first:
            continue
        pairs = itertools.zip_longest(ours, first)
        index = next(i for i, (one, other) in enumerate(pairs) if one != other)
        yield warning(
            Rule.ANCHORS_DISAGREE,
            head.span,
            f"[{head.place.section.kind}] lists other anchors than the head at line "
            f"{heads[0].place.line}: anchor {index} is {_pair(ours, index)} here, "
            f"{_pair(first, index)} there",
            expected="one list in all heads, of which mask chooses",
        )


def _pair(anchors: Sequence[tuple[float, float]], index: int) -> str:
    if index >= len(anchors):
        return "absent"
    width, height = anchors[index]
    return f"{width:g},{height:g}"


def anchor_use(subject: Compiled) -> Findings:
    """Anchors that no head's mask names, or several do."""
    heads = _anchored(subject)
    if not heads or any(head.anchors.all_wh != heads[0].anchors.all_wh for head in heads):
        return
    uses = Counter(index for head in heads for index in head.anchors.mask)
    parts = []
    for index in range(len(heads[0].anchors.all_wh)):
        if uses[index] != 1:
            times = f"is in {uses[index]} masks" if uses[index] else "is in no mask"
            parts.append(f"anchor {index} ({_pair(heads[0].anchors.all_wh, index)}) {times}")
    if parts:
        yield warning(
            Rule.ANCHOR_USE,
            heads[-1].anchors.mask_span,
            ", ".join(parts),
            expected="each anchor in one mask of the heads "
            f"(lines {', '.join(str(head.place.line) for head in heads)})",
        )


def anchor_order(subject: Compiled) -> Findings:
    """A head of larger stride whose anchors are smaller than those of a finer head."""
    square = [head for head in _anchored(subject) if len(set(head.place.stride)) == 1]
    square.sort(key=lambda head: head.place.stride)
    for fine, coarse in itertools.pairwise(square):
        (fine_stride, _), (coarse_stride, _) = fine.place.stride, coarse.place.stride
        if fine_stride < coarse_stride and fine.mean_area > coarse.mean_area:
            yield warning(
                Rule.ANCHOR_ORDER,
                coarse.anchors.mask_span,
                f"the head with {coarse_stride:g} pixels to a cell has smaller anchors than the "
                f"head at line {fine.place.line} with {fine_stride:g}",
                expected="large anchors for heads with few cells, small ones for those with many",
                help="change the masks",
            )


def _first_of_each_list(heads: list[_Anchored]) -> list[_Anchored]:
    found: dict[object, _Anchored] = {}
    for head in heads:
        found.setdefault((head.place.section.kind, head.anchors.all_wh), head)
    return list(found.values())
