"""What must be said before a cfg is trained: keys that have no effect, and other surprises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from yolo_gp.errors import Diagnostics, shown
from yolo_gp.graph import Graph
from yolo_gp.layers import LAYERS
from yolo_gp.layers.common_keys import TRAINING_ONLY
from yolo_gp.layers.net_training import NET_TRAINING_KEYS, WITHOUT_EFFECT, NetTraining, Policy
from yolo_gp.layers.training_keys import YOLO_TRAINING_KEYS
from yolo_gp.layers.yolo import Yolo
from yolo_gp.syntax import Section, parse_cfg
from yolo_gp.training.schedule import DarknetSchedule, RunLength

_OF_POLICY: Mapping[str, tuple[Policy, ...]] = {
    "step": ("step", "sigmoid"),
    "scale": ("step",),
    "steps": ("steps",),
    "scales": ("steps",),
    "gamma": ("exp", "sigmoid"),
    "sgdr_cycle": ("sgdr",),
    "sgdr_mult": ("sgdr",),
    "learning_rate_min": ("sgdr",),
}
"""Keys of [net] that only some policies read."""

_OF_LAST_HEAD = ("jitter", "resize", "random", "max")


@dataclass(frozen=True, slots=True)
class _Text:
    """The cfg's sections, each key with the line it stands in and its value."""

    sections: tuple[Section, ...]

    @property
    def net(self) -> Mapping[str, tuple[int, str]]:
        return _keys(self.sections[0])

    def having(self, kind: str, key: str) -> tuple[int, ...]:
        """The lines of a key in all sections of a kind."""
        found = (_keys(s) for s in self.sections if s.kind == kind)
        return tuple(keys[key][0] for keys in found if key in keys)


def _keys(section: Section) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for option in section.options:
        if option.value:
            found.setdefault(option.key, (option.key_span.line, option.value))
    return found


def _text_of(graph: Graph) -> _Text:
    name = graph.spec.net.span.file
    return _Text(parse_cfg(graph.cfg_text, name, Diagnostics()).sections)


def darknet_remarks(graph: Graph) -> tuple[str, ...]:
    """Keys of a cfg that Darknet's recipe does not honour, and why."""
    text = _text_of(graph)
    keys = graph.spec.net.training
    heads = [head for _, head in graph.heads if isinstance(head, Yolo)]
    return (
        *_unread(text),
        *_about_policy(text, keys),
        *_about_batch(text, keys),
        *_about_optimiser(text, keys),
        *_about_mixing(text, keys, heads[-1], graph.letter_box),
        *_about_losses(text, heads),
        *_about_last_head(text, heads),
        *_about_holds(graph),
    )


def _without_effect(kind: str, key: str, lines: tuple[int, ...], reason: str) -> str:
    where = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
    return f"[{kind}] {key} ({where}) has no effect: {reason}"


def _unread(text: _Text) -> Iterator[str]:
    """Keys that no recipe reads; a key of several sections once."""
    for key, (line, _) in text.net.items():
        if key in WITHOUT_EFFECT:
            yield _without_effect("net", key, (line,), WITHOUT_EFFECT[key])
    found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for section in text.sections[1:]:
        if section.kind not in LAYERS:
            continue
        ignored, read = LAYERS[section.kind].ignored, LAYERS[section.kind].training_keys
        for key, (line, _) in _keys(section).items():
            if key in ignored and key not in read:
                found[section.kind, key, ignored[key]].append(line)
    for (kind, key, reason), lines in found.items():
        known = "it is not imitated here" if reason == TRAINING_ONLY else reason
        yield _without_effect(kind, key, tuple(lines), known)


def _about_holds(graph: Graph) -> Iterator[str]:
    """Sections that learn later than the rest."""
    for node in graph.nodes:
        keys, span = node.layer.common.training, node.layer.span
        found = (
            ("stopbackward", keys.stop_backward if keys.stop_backward > 1 else 0, "and all before"),
            ("dont_update", keys.dont_update, "alone"),
            ("burnin_update", keys.burn_in_update, "alone"),
        )
        for key, value, which in found:
            if value > 0:
                yield (
                    f"[{node.layer.kind}] {key}={value} (section at line {span.line}) holds it "
                    f"{which} back for as many iterations as it says, in a run that is not as long "
                    "as max_batches for a tenth of it at most"
                )


def _about_policy(text: _Text, keys: NetTraining) -> Iterator[str]:
    for key, policies in _OF_POLICY.items():
        if key in text.net and keys.policy not in policies:
            reason = f"policy={keys.policy} does not read it"
            yield _without_effect("net", key, (text.net[key][0],), reason)
    if "power" in text.net and keys.policy not in ("poly", "random") and not keys.burn_in:
        reason = f"policy={keys.policy} without burn_in does not read it"
        yield _without_effect("net", "power", (text.net["power"][0],), reason)


def _about_batch(text: _Text, keys: NetTraining) -> Iterator[str]:
    images = max(1, keys.batch // keys.subdivisions) * keys.subdivisions
    if images != keys.batch:
        yield (
            f"[net] batch={keys.batch} is no multiple of subdivisions={keys.subdivisions}: an "
            f"update takes {images} images, as in Darknet"
        )


def _about_optimiser(text: _Text, keys: NetTraining) -> Iterator[str]:
    if keys.adam:
        yield (
            "[net] adam=1 is honoured as by Darknet's GPU build, where biases decay too; its CPU "
            "build ignores it"
        )
    unread = ("momentum",) if keys.adam else ("B1", "B2", "eps")
    for key in unread:
        if key in text.net:
            reason = "adam=1 has moments of its own" if keys.adam else "only adam=1 reads it"
            yield _without_effect("net", key, (text.net[key][0],), reason)


def _about_mixing(text: _Text, keys: NetTraining, last: Yolo, letter_box: bool) -> Iterator[str]:
    def unread(key: str, reason: str) -> str:
        return _without_effect("net", key, (text.net[key][0],), reason)

    if keys.cutmix:
        key = "cutmix" if "cutmix" in text.net else "mixup"
        yield unread(key, "Darknet joins images so for classifiers only")
    if "mixup" in text.net and text.net.keys() & {"mosaic", "cutmix"} and not keys.mixup:
        yield unread("mixup", "mosaic and cutmix take its place, as in Darknet")
    if "mosaic_bound" in text.net and not keys.mosaic:
        yield unread("mosaic_bound", "there is no mosaic")
    if "resize_step" in text.net and not last.training.random:
        yield unread("resize_step", "the last [yolo] has random=0")
    if letter_box and keys.mosaic:
        yield (
            f"[net] letter_box (line {text.net['letter_box'][0]}) counts in validation and "
            "detection only: Darknet refuses to train with it beside mosaic=1, so images are "
            "stretched"
        )


def _about_losses(text: _Text, heads: list[Yolo]) -> Iterator[str]:
    """Keys of [yolo] that another one of the same section switches off. (darknet.md 6.6)"""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    sections = {section.span.line: _keys(section) for section in text.sections}
    for head in heads:
        keys = sections[head.span.line]
        for key, reason in _switched_off(head):
            if key in keys:
                found[key, reason].append(keys[key][0])
    for (key, reason), lines in found.items():
        yield _without_effect("yolo", key, tuple(lines), reason)


def _switched_off(head: Yolo) -> Iterator[tuple[str, str]]:
    training = head.training
    if not training.counters_per_class:
        yield "cls_normalizer", "Darknet reads it beside counters_per_class only"
        if training.box_loss == "mse":
            yield "max_delta", "iou_loss=mse does not read it"
    if training.box_loss == "mse":
        yield "show_details", "iou_loss=mse has one cost only"
    if training.iou_thresh >= 1:
        yield "iou_thresh_kind", "iou_thresh is not below 1"
    if training.focal_loss:
        yield "label_smooth_eps", "focal_loss does not read it"


def _about_last_head(text: _Text, heads: list[Yolo]) -> Iterator[str]:
    sections = {section.span.line: _keys(section) for section in text.sections}
    last = sections[heads[-1].span.line]
    others = [sections[head.span.line] for head in heads[:-1]]
    for key in _OF_LAST_HEAD:
        counts = last[key][1] if key in last else None
        lines = tuple(keys[key][0] for keys in others if key in keys and keys[key][1] != counts)
        if lines:
            yield _without_effect("yolo", key, lines, "that of the last [yolo] counts")


def modern_remarks(graph: Graph) -> tuple[str, ...]:
    """The training keys of a cfg, none of which the modern recipe reads."""
    text = _text_of(graph)
    of_net = [key for key in text.net if key in NET_TRAINING_KEYS]
    of_yolo = [key for key in YOLO_TRAINING_KEYS if text.having("yolo", key)]
    found = []
    for kind, keys in (("net", of_net), ("yolo", of_yolo)):
        if keys:
            found.append(
                f"[{kind}] {', '.join(map(shown, keys))}: the modern recipe has its own, so these "
                "keys have no effect"
            )
    return (*found, *_unread(text), *_about_holds(graph))


def stretch_remarks(schedule: DarknetSchedule, run: RunLength) -> tuple[str, ...]:
    """How the policy of [net] is fitted to a run that is not as long as max_batches."""
    before, after = schedule.keys, schedule.stretched(run)
    changes = []
    if before.policy == "steps" and before.steps != after.steps:
        changes.append(f"steps={','.join(map(str, after.steps))}")
    if before.policy in ("step", "sigmoid") and before.step != after.step:
        changes.append(f"step={after.step}")
    if before.policy == "sgdr" and before.sgdr_cycle != after.sgdr_cycle:
        changes.append(f"sgdr_cycle={after.sgdr_cycle}")
    if before.burn_in != after.burn_in:
        changes.append(f"burn_in={after.burn_in}")
    if not changes:
        return ()
    return (
        f"the run makes {run.iterations} updates, [net] says max_batches={before.max_batches}: "
        f"{' and '.join(changes)} accordingly",
    )
