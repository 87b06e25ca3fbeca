"""Rules and files that a user names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.errors import UsageError, did_you_mean
from yolo_gp.rules import Rule


def choose_rules(select: Iterable[str], ignore: Iterable[str]) -> frozenset[Rule]:
    """The rules of `select` (all, if that is empty) without those of `ignore`.

    Each word is a code, the beginning of one (`YG5`), or several with commas between them.

    Raises:
        UsageError: a word that no code begins with.
    """
    chosen = _named("--select", select) or frozenset(Rule)
    return chosen - _named("--ignore", ignore)


def find_rule(word: str) -> Rule:
    """The rule of that code or name.

    Raises:
        UsageError: there is none.
    """
    for rule in Rule:
        if word.upper() in (rule.code, rule.name):
            return rule
    known = [rule.code for rule in Rule]
    raise UsageError(
        f"there is no rule {word}\nexpected: all, or one of {', '.join(known)}"
        + _suggestion(word, [*known, *(rule.name.lower() for rule in Rule)])
    )


def _named(flag: str, words: Iterable[str]) -> frozenset[Rule]:
    found: set[Rule] = set()
    for word in (part.strip() for text in words for part in text.split(",")):
        matching = {rule for rule in Rule if word and rule.code.startswith(word.upper())}
        if not matching:
            raise UsageError(
                f"{flag} {word} is no rule\nexpected: codes such as YG301, or their beginning, "
                "with commas between them" + _suggestion(word, [rule.code for rule in Rule])
            )
        found |= matching
    return frozenset(found)


def _suggestion(word: str, known: Sequence[str]) -> str:
    near = did_you_mean(word, known)
    return f"\nhelp: {near}" if near else ""


@dataclass(frozen=True, slots=True)
class Found:
    """A file to check.

    Fields:
        shown: how messages name it.
        by_folder: it was found in a folder, so it may be no cfg of Darknet's at all.
        by_name: it comes with yolo-gp or is a pretrained model's, and is not to be changed.
    """

    path: Path
    shown: str
    by_folder: bool = False
    by_name: bool = False


def files_below(folder: Path) -> list[Found]:
    """The .cfg files of a folder and the folders in it, hidden ones left out, by name.

    Raises:
        UsageError: there is none.
    """
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = (name for name in sorted(files) if name.lower().endswith(".cfg"))
        found += [Path(place, name) for name in names if not name.startswith(".")]
    if not found:
        raise UsageError(f"there is no .cfg file in {folder}")
    return [Found(path, str(path), by_folder=True) for path in found]
