"""What each rule is about, in a paragraph: what happens, why it matters, what to do."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.lint.explained_darknet import DARKNET
from yolo_gp.lint.explained_language import LANGUAGE
from yolo_gp.lint.explained_networks import NETWORKS
from yolo_gp.lint.explained_training import TRAINING
from yolo_gp.rules import Rule

EXPLANATIONS: Mapping[Rule, str] = {
    rule: " ".join(text.split())
    for rule, text in {**LANGUAGE, **NETWORKS, **DARKNET, **TRAINING}.items()
}
"""The paragraph of every rule, on one line."""


def explanation_text(rule: Rule) -> str:
    """A rule's code, name, one line on it, and its paragraph."""
    return f"{rule.code} {rule.name.lower()}: {rule.summary}\n\n{EXPLANATIONS[rule]}\n"
