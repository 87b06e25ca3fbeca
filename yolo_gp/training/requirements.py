"""What a cfg must say before a network can be trained by it."""

from __future__ import annotations

from collections.abc import Iterator

from yolo_gp.errors import Span, UsageError
from yolo_gp.graph import Graph
from yolo_gp.layers.net_training import NetTraining
from yolo_gp.layers.yolo import Yolo


def require_heads(graph: Graph) -> None:
    """Raises: UsageError: the network has no head, or one that nothing can train."""
    if not graph.heads:
        raise UsageError(
            f"{graph.spec.net.span.file}: the network has no detection head, so nothing to learn\n"
            "expected: at least one [yolo] or [anchor_free]"
        )
    require_losses(graph)


def require_losses(graph: Graph) -> None:
    """Raises: UsageError: there is a head that has no loss."""
    for _, head in graph.heads:
        if not head.learns:
            raise UsageError(
                f"{head.span}: [{head.kind}] cannot be trained: yolo-gp has no loss for it, it "
                "runs trained weights only\n"
                "expected: [yolo] or [anchor_free] heads\n"
                "help: a [yolo] in its place can be trained, from weights of the layers before it"
            )


def yolo_heads(graph: Graph) -> tuple[Yolo, ...]:
    """The heads of a network that Darknet could train.

    Raises:
        UsageError: there is none, or one that Darknet cannot train.
    """
    require_heads(graph)
    heads = []
    for _, head in graph.heads:
        if not isinstance(head, Yolo):
            raise _beyond_darknet(head.span, f"[{head.kind}]", "[yolo] heads only")
        if head.masks.count:
            what = f"masks={head.masks.count}"
            raise _beyond_darknet(head.span, what, "[yolo] heads without masks")
        if head.takes_logits:
            what = "[yolo] of the YOLOR dialect"
            raise _beyond_darknet(head.span, what, "a cfg in Darknet's own dialect")
        heads.append(head)
    return tuple(heads)


def _beyond_darknet(span: Span, what: str, expected: str) -> UsageError:
    return UsageError(
        f"{span}: Darknet's recipe cannot train {what}\n"
        f"expected: {expected}\n"
        "help: train it with --recipe modern"
    )


def require_usable(graph: Graph) -> None:
    """Refuse values of training keys that nothing can be trained with.

    Raises:
        UsageError: with the first of them.
    """
    require_usable_sections(graph)
    for key, value, expected in _unusable(graph.spec.net.training):
        raise UsageError(
            f"{graph.spec.net.span.file}: [net] {key}={value:g} cannot be trained with\n"
            f"expected: {expected}"
        )


def _unusable(keys: NetTraining) -> Iterator[tuple[str, float, str]]:
    for key, value in (
        ("learning_rate", keys.learning_rate),
        ("learning_rate_min", keys.learning_rate_min),
        ("decay", keys.decay),
        ("burn_in", keys.burn_in),
        ("max_batches", keys.max_batches),
        ("power", keys.power),
        ("eps", keys.epsilon),
    ):
        if value < 0:
            yield key, value, "0 or more"
    for key, value in (
        ("momentum", keys.momentum),
        ("B1", keys.beta1),
        ("B2", keys.beta2),
        ("ema_alpha", keys.ema_alpha),
    ):
        if not 0 <= value < 1:
            yield key, value, "0 or more, below 1"
    if keys.policy == "step" and keys.step < 1:
        yield "step", keys.step, "1 or more"
    if keys.policy == "sgdr":
        if keys.sgdr_mult < 1:
            yield "sgdr_mult", keys.sgdr_mult, "1 or more"
        if keys.sgdr_cycle is not None and keys.sgdr_cycle < 1:
            yield "sgdr_cycle", keys.sgdr_cycle, "1 or more"


def require_usable_sections(graph: Graph) -> None:
    """Raises: UsageError: a section's rate or bound is negative."""
    for node in graph.nodes:
        keys = node.layer.common.training
        for key, value in (("learning_rate", keys.learning_rate), ("clip", keys.clip)):
            if value < 0:
                raise UsageError(
                    f"{node.layer.span}: [{node.layer.kind}] {key}={value:g} cannot be trained "
                    "with\nexpected: 0 or more"
                )
