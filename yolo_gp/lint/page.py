"""The page that lists every rule, docs/lint.md: made from the rules themselves."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.lint.explanations import EXPLANATIONS
from yolo_gp.rules import Rule

_HEAD = """\
# What `yolo-gp lint` finds

Made by `yolo-gp lint --explain all`; `yolo-gp lint --explain YG301` prints one paragraph of it.

```
yolo-gp lint FILE|FOLDER...             # every finding, with its line
yolo-gp lint --fix FILE                 # repair what is mechanical, and show the change
yolo-gp lint --diff FILE                # show it, and write nothing
yolo-gp lint --data obj.data FILE       # compare the classes with a .data file and its names
yolo-gp lint --format sarif FOLDER      # or text, json, github
```

The exit code is 0 without a finding, 1 with one or where one of several files cannot be read, 2 for
a wrong call. `--select YG3,YG508` looks for some codes only, `--ignore YG404` leaves some out.

`# lint: ignore YG508` silences a code: on the line before the finding or, behind a number, on its
own line. Darknet reads a comment behind a name as part of it, so a line of its own is safe
everywhere. Several codes are separated by blanks; text behind them may say why.

A repair never changes a network that compiles, and to a file that does not compile it does only
what leaves no choice. Comments stay.

Codes below YG500 are reported by every command that reads a cfg; the others by `lint` alone.
"""

_CHAPTERS: Mapping[str, str] = {
    "YG0": "The text",
    "YG1": "Keys and values",
    "YG2": "References and shapes",
    "YG3": "Heads that do not fit",
    "YG4": "Where Darknet does something else",
    "YG50": "Layers, input and data",
    "YG51": "Anchors and what stands before a head",
    "YG52": "Training",
    "YG59": "Comments to lint",
}


def rules_page() -> str:
    """Every rule with its paragraph, as Markdown."""
    parts = [_HEAD]
    for prefix, title in _CHAPTERS.items():
        parts.append(f"## {title}\n")
        rules = sorted((r for r in Rule if r.code.startswith(prefix)), key=lambda rule: rule.code)
        parts += [_entry(rule) for rule in rules]
    return "\n".join(parts)


def _entry(rule: Rule) -> str:
    return f"### {rule.code} {rule.name.lower()}\n\n{rule.summary}\n\n{EXPLANATIONS[rule]}\n"
