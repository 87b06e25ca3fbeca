"""Settings put into a cfg's text, which must compile afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from yolo_gp.adjusting.anchors import with_anchors
from yolo_gp.adjusting.classes import with_classes
from yolo_gp.adjusting.input_size import with_input_size
from yolo_gp.adjusting.settings import Setting, places
from yolo_gp.edits import Edits
from yolo_gp.errors import CfgError, Diagnostic, Diagnostics, UsageError, shown
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.base import is_head
from yolo_gp.numerals import parse_number
from yolo_gp.options import MAX_CHANNELS
from yolo_gp.shapes import format_size
from yolo_gp.spec import NetworkSpec, specify
from yolo_gp.syntax import CfgFile, parse_cfg


@dataclass(frozen=True, slots=True)
class Changed:
    """A cfg's new text.

    Fields:
        graph: what it compiles to.
        warnings: those that the old text did not give.
        notes: what the user should know besides.
    """

    content: bytes
    graph: Graph
    warnings: tuple[Diagnostic, ...]
    notes: tuple[str, ...] = ()


def with_settings(content: bytes, file: str, settings: Sequence[Setting]) -> Changed:
    """The cfg with what the settings say; comments, layout and line ends stay.

    Sections first, then the anchors of all heads, then their classes, so that the channels before
    a head fit all of it. The old text need not compile, the new one must.

    Args:
        file: the name that messages show.

    Raises:
        UsageError: a setting does not fit the cfg, or the new text would not compile.
        CfgError: the old text is no cfg.
    """
    cfg = _parse(content, file)
    changed = _with_options(content, cfg, settings)
    whole = {setting.key: setting for setting in settings if setting.is_whole}
    if "size" in whole:
        changed = with_input_size(changed, _size(whole["size"]))
    if "anchors" in whole:
        changed = with_anchors(changed, _spec(changed, file), _numbers(whole["anchors"]))
    if "classes" in whole:
        changed = _with_classes(changed, file, whole["classes"])
    found = _compiled(content, changed, file)
    return replace(found, notes=tuple(_notes(content, found.graph, whole)))


def _notes(old: bytes, graph: Graph, whole: Mapping[str, Setting]) -> Iterator[str]:
    if "size" not in whole or "anchors" in whole:
        return
    before = _spec(old, "").net.input_shape.size
    in_pixels = (h for _, h in graph.heads if h.box_anchors() and not h.anchors_in_cells)
    if before is not None and before != graph.input_shape.size and any(in_pixels):
        yield (
            f"the anchors stay, in pixels of an input that was {format_size(before)} (height x "
            "width); `yolo-gp data anchors` fits them to the new one"
        )


def _parse(content: bytes, file: str) -> CfgFile:
    """Raises: CfgError: there is no section to put anything into."""
    diagnostics = Diagnostics()
    cfg = parse_cfg(content, file, diagnostics)
    if len(cfg.sections) < 2 or cfg.sections[0].kind not in ("net", "network"):
        compile_text(content, file)  # says why
    return cfg


def _spec(content: bytes, file: str) -> NetworkSpec:
    ignored = Diagnostics()
    spec = specify(parse_cfg(content, file, ignored), ignored)
    assert spec is not None
    return spec


def _with_options(content: bytes, cfg: CfgFile, settings: Sequence[Setting]) -> bytes:
    edits = Edits(content)
    taken: dict[tuple[int, str], Setting] = {}
    for setting in settings:
        if setting.is_whole:
            continue
        for place in places(cfg, setting):
            other = taken.setdefault((place, setting.key), setting)
            if other is not setting:
                raise UsageError(
                    f"{shown(other.text)} and {shown(setting.text)} both set {setting.key} of the "
                    f"[{cfg.sections[place].kind}] at line {cfg.sections[place].span.line}\n"
                    "expected: one of them"
                )
            edits.set_option(cfg.sections[place], setting.key, setting.value)
    return edits.content()


def _with_classes(content: bytes, file: str, setting: Setting) -> bytes:
    count = setting.value
    if not (count.isascii() and count.isdecimal() and 1 <= int(count) <= MAX_CHANNELS):
        raise UsageError(
            f"{shown(setting.text)} is out of range\nexpected: classes=N, N from 1 to "
            f"{MAX_CHANNELS}"
        )
    spec = _spec(content, file)
    if not any(is_head(layer.layer) for layer in spec.layers):
        raise UsageError(
            f"{shown(setting.text)}: {file} has no detection head\n"
            "help: a classifier has as many classes as its last layer has outputs: "
            "SECTION:filters=N"
        )
    return with_classes(content, spec, int(count))


def _size(setting: Setting) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})(?:[xX]([0-9]{1,5}))?", setting.value)
    if not match or not int(match[1]) or (match[2] and not int(match[2])):
        raise UsageError(
            f"{shown(setting.text)} is no size\nexpected: size=HEIGHTxWIDTH in pixels, such as "
            "size=320x416, or size=416"
        )
    return int(match[1]), int(match[2] or match[1])


def _numbers(setting: Setting) -> tuple[str, ...]:
    texts = tuple(text.strip() for text in setting.value.split(","))
    values = [parse_number(text) for text in texts]
    if any(value is None or value <= 0 for value in values) or len(values) % 2:
        raise UsageError(
            f"{shown(setting.text)} is no list of anchors\n"
            "expected: width,height, width,height ... above 0, as `yolo-gp data anchors` prints"
        )
    return texts


def _compiled(old: bytes, new: bytes, file: str) -> Changed:
    try:
        graph = compile_text(new, f"{file} (changed)")
    except CfgError as error:
        raise UsageError(
            f"{file} is left as it was, since it would not compile with these settings\n\n{error}"
        ) from error
    known = {_said(warning) for warning in _warnings(old, file)}
    fresh = tuple(warning for warning in graph.warnings if _said(warning) not in known)
    return Changed(new, graph, fresh)


def _warnings(content: bytes, file: str) -> tuple[Diagnostic, ...]:
    try:
        return compile_text(content, file).warnings
    except CfgError as error:
        return tuple(error.diagnostics)


def _said(finding: Diagnostic) -> tuple[str, str]:
    """What a finding says, wherever it stands."""
    return finding.message, finding.span.source.line(finding.span.line)
