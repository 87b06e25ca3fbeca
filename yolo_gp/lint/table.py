"""Every check of `lint`, by what it needs to know."""

from __future__ import annotations

from collections.abc import Callable

from yolo_gp.lint import anchors, heads, outputs, sizes, training
from yolo_gp.lint.subject import Compiled, Findings, Subject

SPEC_CHECKS: tuple[Callable[[Subject], Findings], ...] = (
    training.batch_left_at_test,
    training.batch_parts,
    training.late_step,
    training.long_burn_in,
    training.short_training,
    training.unread_by_policy,
    training.classifier_key,
    heads.last_head_counts,
)
"""Checks of a cfg whose [net] is right, whether it compiles or not."""

GRAPH_CHECKS: tuple[Callable[[Compiled], Findings], ...] = (
    outputs.unused_outputs,
    sizes.uneven_input,
    heads.classes_disagree,
    heads.class_list,
    heads.head_activation,
    heads.head_batch_norm,
    anchors.anchor_unit,
    anchors.anchor_too_large,
    anchors.anchor_input,
    anchors.anchors_disagree,
    anchors.anchor_use,
    anchors.anchor_order,
)
"""Checks of a cfg that compiles."""
