"""Heads that do not fit each other, their data, or the layer before them."""

from __future__ import annotations

from yolo_gp.lint.subject import Compiled, Findings, HeadPlace, Subject, option_of, span_of, warning
from yolo_gp.nodes import INPUT
from yolo_gp.rules import Rule
from yolo_gp.syntax import Section


def classes_disagree(subject: Compiled) -> Findings:
    """Heads with another number of classes than the first; Darknet takes the last one's."""
    if not subject.heads:
        return
    first, *others = subject.heads
    for place in others:
        if place.head.num_classes != first.head.num_classes:
            yield warning(
                Rule.CLASSES_DISAGREE,
                span_of(place.section, "classes"),
                f"[{place.section.kind}] has classes={place.head.num_classes}, the head at line "
                f"{first.line} has {first.head.num_classes}",
                expected="the same classes in every head",
            )


def class_list(subject: Compiled) -> Findings:
    """Classes that are not as many as those of a names file or a .data file."""
    for said in subject.labels.counts:
        if subject.heads:
            section = subject.heads[0].section
            span = span_of(section, "classes")
            count = subject.heads[0].head.naming(said.count).num_classes
            what = f"[{section.kind}] has {count} class{'es' * (count > 1)}"
        else:
            last = subject.graph.nodes[-1]
            span, count = last.layer.span, last.output_shape.elements
            what = f"the network has {count} output{'s' * (count > 1)}"
        if said.count != count:
            yield warning(
                Rule.CLASS_LIST,
                span,
                f"{what}, but {said.said_by} says {said.count}",
                expected="equal numbers",
                help="change the number in every head, and the filters before them, or the list",
            )


def head_activation(subject: Compiled) -> Findings:
    """An activation before a head that is not what the head takes."""
    for place in subject.heads:
        if subject.graph.dialect in place.head.activates_in:
            continue
        maker, wanted = _maker(subject, place), place.head.map_activation()
        option = option_of(maker, "activation") if maker else None
        if maker is None or option is None or wanted is None or option.value == wanted:
            continue
        yield warning(
            Rule.HEAD_ACTIVATION,
            option.value_span,
            f"activation={option.value} before [{place.section.kind}] at line {place.line}",
            expected=f"activation={wanted}, as that head reads its map",
        )


def head_batch_norm(subject: Compiled) -> Findings:
    """A batch norm whose output a head reads directly."""
    for place in subject.heads:
        maker = _maker(subject, place)
        option = option_of(maker, "batch_normalize") if maker else None
        if option is not None and option.value not in ("0", "+0", "-0"):
            yield warning(
                Rule.HEAD_BATCH_NORM,
                option.key_span,
                f"batch_normalize={option.value} right before [{place.section.kind}] at line "
                f"{place.line}",
                expected="no batch_normalize: a head's map has a bias, and is not normalised",
            )


def _maker(subject: Compiled, place: HeadPlace) -> Section | None:
    """The section whose own output is the head's map; None if that is no layer of the cfg's."""
    source = place.node.inputs[0].source
    if source == INPUT:
        return None
    written = subject.graph.nodes[source].written
    return None if subject.spec.layers[written].macro else subject.section(written)


_OF_LAST_HEAD = ("jitter", "resize", "random", "max")


def last_head_counts(subject: Subject) -> Findings:
    """Keys about the whole training that an earlier head sets otherwise than the last."""
    sections = [section for section, _ in subject.written_heads]
    for key in _OF_LAST_HEAD:
        counts = option_of(sections[-1], key) if sections else None
        for section in sections[:-1]:
            option = option_of(section, key)
            if option is not None and option.value != (counts.value if counts else None):
                last = f"{key}={counts.value}" if counts else f"no {key}"
                yield warning(
                    Rule.LAST_HEAD_COUNTS,
                    option.key_span,
                    f"{key}={option.value} has no effect: the last head, at line "
                    f"{sections[-1].span.line}, has {last}, and it counts",
                )
