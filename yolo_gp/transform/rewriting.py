"""Residual stages in the text of a cfg: shortcuts masked, blocks replaced, copied, taken out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from yolo_gp.edits import (
    Edits,
    LostReference,
    Renumbering,
    last_line,
    meant_section,
    names_of,
    renumber,
    text_references,
)
from yolo_gp.errors import Diagnostics, UsageError
from yolo_gp.graph import Graph
from yolo_gp.syntax import Option, Section, parse_cfg
from yolo_gp.transform.sections import csp_lines, elan_lines
from yolo_gp.transform.settings import TransformSettings
from yolo_gp.transform.stages import Block, MacroStage, Place, Stage
from yolo_gp.transform.widths import Factors

_MASKED_KEYS = ("from", "activation", "stop_gradient", "name", "ratio")


def mask_shortcuts(
    content: bytes, ratio: float, stages: Iterable[Stage], macros: Iterable[MacroStage]
) -> bytes:
    """The cfg with every shortcut of the stages adding `ratio` of its channels."""
    edits = Edits(content)
    sections = _sections(content)
    for stage in stages:
        for shortcut in stage.shortcuts:
            _mask(edits, sections[shortcut.written], ratio)
    for macro in macros:
        section = sections[macro.output.written]
        _remove_option(edits, section, "channels")
        edits.set_option(section, "ratio", f"{ratio:g}")
    return edits.content()


def _mask(edits: Edits, section: Section, ratio: float) -> None:
    """Make the section a [partial_shortcut]; keys that it would not know become comments."""
    edits.replace(section.span, "[partial_shortcut]")
    _remove_option(edits, section, "channels")
    for option in section.options:
        if option.key not in (*_MASKED_KEYS, "channels"):
            edits.replace(option.key_span, f"# {option.key_span.text}")
    edits.set_option(section, "ratio", f"{ratio:g}")


def _remove_option(edits: Edits, section: Section, key: str) -> None:
    for option in section.options:
        if option.key == key:
            edits.remove(option.key_span.line)


def _sections(content: bytes) -> tuple[Section, ...]:
    """The sections after [net]."""
    return parse_cfg(content, "", Diagnostics()).sections[1:]


def replace_stages(
    content: bytes,
    graph: Graph,
    settings: TransformSettings,
    factors: Mapping[Stage, Factors],
) -> bytes:
    """The cfg with the blocks of each stage replaced by one [csp] or [elan].

    Comments between the blocks stay, above the new section.

    Args:
        factors: the stages to replace, and the factors on the widths inside.

    Raises:
        UsageError: a stage cannot be replaced.
    """
    edits = Edits(content)
    sections = _sections(content)
    new: list[int | None] = []
    gone = {number: stage for stage in factors for number in stage.sections}
    shift = 0
    for layer in graph.spec.layers:
        stage = gone.get(layer.written)
        inner = stage is not None and layer.written != stage.sections[-1]
        new.append(None if inner else layer.written - shift)
        shift += inner
    for stage, own in factors.items():
        run = [sections[number] for number in stage.sections]
        lines = [_origin(stage), *replacement(stage, settings, own)]
        name = graph.spec.layers[stage.sections[-1]].name
        _replace_run(edits, run, lines if name is None else [*lines, f"name={name}"])
    kept = [layer for layer in graph.spec.layers if layer.written not in gone]
    lost = renumber(edits, graph.spec, kept, Renumbering(new))
    if lost:
        raise _lost(lost[0], gone[lost[0].meant], f"become one [{settings.to}]")
    return edits.content()


def replacement(stage: Stage, settings: TransformSettings, factors: Factors) -> list[str]:
    """The lines of the section that replaces the stage's blocks.

    Raises:
        UsageError: as `csp_lines`.
    """
    lines = csp_lines if settings.to == "csp" else elan_lines
    return lines(stage, settings, factors)


def _origin(stage: Stage) -> str:
    return f"# stage {stage.number}, in place of {counted(len(stage.blocks), 'residual block')}"


def counted(count: int, what: str) -> str:
    """ "1 block", "2 blocks"."""
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def _lost(lost: LostReference, stage: Stage, what: str) -> UsageError:
    return UsageError(
        f"{stage} cannot {what}: layer {lost.reader.written} [{lost.reader.kind}] at line "
        f"{lost.reader.span.line} reads layer {lost.meant}, which would be gone\n"
        "help: leave the stage out with --stages"
    )


def _replace_run(edits: Edits, run: Sequence[Section], lines: Sequence[str]) -> None:
    """Take the sections' lines out, all but comments, and put `lines` below them."""
    last = last_line(run[-1])
    _take_out(edits, run, run[0].span.line, last)
    edits.insert_after(last, lines)


def _take_out(edits: Edits, run: Sequence[Section], first: int, last: int) -> None:
    """Take lines first … last out, which hold the sections of `run`; their comments stay."""
    source = run[0].span.source
    for line in range(first, last + 1):
        text = source.line(line).strip()
        if not text.startswith(("#", ";")):
            edits.remove(line)
    for section in run:
        for option in section.options:
            if option.comment:
                edits.insert_before(option.key_span.line, [option.comment.text])


# -- depth ---------------------------------------------------------------------------------------


def set_depths(content: bytes, graph: Graph, depths: Mapping[Place, int]) -> bytes:
    """The cfg with so many blocks in each place.

    Copies of a stage's last block are put before it, or blocks before it are taken out, so that
    what the last block is called, and who reads it, stays.

    Raises:
        UsageError: a block that would be taken out is read from elsewhere.
    """
    edits = Edits(content)
    sections = _sections(content)
    new: list[int | None] = list(range(len(sections)))
    gone: dict[int, Stage] = {}
    rigid: set[int] = set()
    for place, depth in depths.items():
        if isinstance(place, MacroStage):
            edits.set_option(sections[place.output.written], place.macro.depth_key, str(depth))
            continue
        count = depth - (1 if place.entrance else 0)
        for block in place.blocks[count - 1 : -1]:
            _remove_block(edits, sections, block)
            gone.update(dict.fromkeys(block.sections, place))
            _shift(new, block.sections.stop, -len(block.sections))
        last = place.blocks[-1].sections
        copies = max(0, count - len(place.blocks))
        edits.insert_before(sections[last[0]].span.line, _copy(graph, sections, last) * copies)
        _shift(new, last[0], copies * len(last))
        rigid.update(last)
    for number in gone:
        new[number] = None
    kept = [layer for layer in graph.spec.layers if layer.written not in gone]
    lost = renumber(edits, graph.spec, kept, Renumbering(new, frozenset(rigid)))
    if lost:
        raise _lost(lost[0], gone[lost[0].meant], "lose blocks")
    return edits.content()


def _remove_block(edits: Edits, sections: Sequence[Section], block: Block) -> None:
    """Take out all up to the next section, but for comments."""
    run = [sections[number] for number in block.sections]
    _take_out(edits, run, run[0].span.line, sections[block.sections.stop].span.line - 1)


def _shift(new: list[int | None], start: int, by: int) -> None:
    for number in range(start, len(new)):
        old = new[number]
        new[number] = None if old is None else old + by


def _copy(graph: Graph, sections: Sequence[Section], numbers: Iterable[int]) -> list[str]:
    """The sections' lines, without names and comments; references count back."""
    names = names_of(graph.spec)
    lines: list[str] = []
    for number in numbers:
        relative = {
            (reference.span.line, reference.span.column): (
                reference.span.length,
                str(meant_section(reference, number, names) - number),
            )
            for reference in text_references(graph.spec.layers[number])
        }
        options = (option for option in sections[number].options if option.key != "name")
        lines.append(sections[number].span.text)
        lines += (_with_numbers(option, relative) for option in options)
        lines.append("")
    return lines


def _with_numbers(option: Option, numbers: Mapping[tuple[int, int], tuple[int, str]]) -> str:
    """The option's line, without its comment, with other text at some places."""
    value, start = option.value_span.text, option.value_span.column
    for (line, column), (length, text) in sorted(numbers.items(), reverse=True):
        if line == option.value_span.line:
            offset = column - start
            value = value[:offset] + text + value[offset + length :]
    return option.key if option.value is None else f"{option.key}={value}"
