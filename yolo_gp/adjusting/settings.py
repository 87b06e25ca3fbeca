"""What a user asks a cfg to say: `classes=3`, `batch=64`, `yolo:random=1`, read and checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from yolo_gp.errors import Diagnostics, UsageError, did_you_mean, shown
from yolo_gp.layers import LAYERS
from yolo_gp.macros import MACROS
from yolo_gp.rules import Rule
from yolo_gp.spec import specify
from yolo_gp.syntax import CfgFile, Option, Section

_NET_KINDS = ("net", "network")
_FORM = re.compile(
    r"(?:(?P<where>@?[A-Za-z0-9_.-]+):)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL
)
_WHOLE_CFG = ("classes", "size", "anchors")  # settings without a section, but not for [net]
_MOST = 100_000  # findings in a file, none of which may be dropped
_EXAMPLES = "KEY=VALUE for [net], or SECTION:KEY=VALUE, such as batch=64 or yolo:random=1"


@dataclass(frozen=True, slots=True)
class Setting:
    """One `KEY=VALUE` or `SECTION:KEY=VALUE`.

    Fields:
        text: as it was given.
        where: a kind, the number of a section, or @ and its name; None where none was given.
        value: without blanks at its ends.
    """

    text: str
    where: str | None
    key: str
    value: str

    @property
    def is_whole(self) -> bool:
        """Whether it is for the cfg as a whole, whatever sections that concerns."""
        return self.where is None and self.key in _WHOLE_CFG


def parse_settings(texts: Sequence[str]) -> tuple[Setting, ...]:
    """Read settings.

    Raises:
        UsageError: one is of another form, has no value, or stands twice.
    """
    found: dict[tuple[str | None, str], Setting] = {}
    for text in texts:
        setting = _parse(text)
        first = found.setdefault((setting.where, setting.key), setting)
        if first is not setting:
            raise UsageError(
                f"{shown(first.text)} and {shown(text)} exclude each other\nexpected: one of them"
            )
    return tuple(found.values())


def _parse(text: str) -> Setting:
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{shown(text)} is no setting\nexpected: {_EXAMPLES}")
    value = match["value"].strip()
    if not value:
        raise UsageError(f"{shown(text)} has no value\nexpected: {_EXAMPLES}")
    if re.search(r"[#;]", value) or not value.isprintable():
        raise UsageError(
            f"{shown(text)} holds a comment or a character that is no text\n"
            "expected: a value of one line, without # and ;"
        )
    return Setting(text, match["where"], match["key"], value)


def places(cfg: CfgFile, setting: Setting) -> tuple[int, ...]:
    """The sections that a setting is for, as positions in the file; [net] is 0.

    Raises:
        UsageError: there is none, or one of them does not know the key.
    """
    found = _sections_meant(cfg, setting)
    for place in found:
        _require_known(cfg, place, setting)
    return found


def _sections_meant(cfg: CfgFile, setting: Setting) -> tuple[int, ...]:
    where = setting.where
    sections = cfg.sections
    if where is None or where in _NET_KINDS:
        return (0,)
    if where.isdecimal():
        if int(where) + 1 < len(sections):
            return (int(where) + 1,)
        raise UsageError(
            f"{shown(setting.text)}: there is no section {where}\n"
            f"expected: 0 to {len(sections) - 2}; 0 is the first after [net], as in `yolo-gp info`"
        )
    numbers = range(1, len(sections))
    if where.startswith("@"):
        names = {_value(sections[n], "name"): n for n in reversed(numbers)}
        names.pop(None, None)
        if where[1:] in names:
            return (names[where[1:]],)
        known = [f"@{name}" for name in names if name]
    else:
        kind = _canonical(where)
        found = tuple(n for n in numbers if _canonical(sections[n].kind) == kind)
        if found:
            return found
        known = list(dict.fromkeys([_NET_KINDS[0], *(section.kind for section in sections[1:])]))
    suggestion = did_you_mean(where, known)
    raise UsageError(
        f"{shown(setting.text)}: {sections[0].span.file} has no section {shown(where)}\n"
        f"expected: one of {', '.join(known) or 'no names, since no section has name='}"
        + (f"\nhelp: {suggestion}" if suggestion else "")
    )


def _value(section: Section, key: str) -> str | None:
    return next((option.value for option in section.options if option.key == key), None)


def _canonical(kind: str) -> str:
    """A kind's own name, for one of its other names."""
    known = LAYERS.get(kind) or MACROS.get(kind)
    return known.kind if known else kind


def _require_known(cfg: CfgFile, place: int, setting: Setting) -> None:
    unknown, help = _complaint(cfg, place, setting.key)
    if not unknown:
        return
    if setting.where is None:
        help = _knowing(cfg, setting) or did_you_mean(setting.key, _WHOLE_CFG) or help
    raise UsageError(
        f"{shown(setting.text)}: [{cfg.sections[place].kind}] does not know the key "
        f"{shown(setting.key)}" + (f"\nhelp: {help}" if help else "")
    )


def _complaint(cfg: CfgFile, place: int, key: str) -> tuple[bool, str | None]:
    """Whether a section does not know the key, and which one it knows that is spelt alike.

    The section itself is asked, with the key put behind its others.
    """
    section = cfg.sections[place]
    probe = Option(key, replace(section.span, length=0), "1", section.span)
    asked = replace(section, options=(*section.options, probe))
    found = Diagnostics(limit=_MOST)
    specify(
        replace(cfg, sections=(*cfg.sections[:place], asked, *cfg.sections[place + 1 :])), found
    )
    for diagnostic in found:
        if diagnostic.rule is Rule.UNKNOWN_KEY and diagnostic.span is probe.key_span:
            return True, diagnostic.help
    return False, None


def _knowing(cfg: CfgFile, setting: Setting) -> str | None:
    """A kind of section in the cfg that knows the key."""
    kinds = {section.kind: place for place, section in enumerate(cfg.sections)}
    for kind in sorted({*LAYERS, *MACROS} & kinds.keys(), key=lambda kind: -kinds[kind]):
        if not _complaint(cfg, kinds[kind], setting.key)[0]:  # heads first, which stand last
            text = shown(setting.text)
            return f"[{kind}] knows it: {kind}:{text} for all, N:{text} for number N"
    return None
