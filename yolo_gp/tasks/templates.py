"""Templates for new cfgs: every packaged cfg with a head, by name, with its costs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolo_gp.adjusting.classes import with_classes
from yolo_gp.analysis.tables import SCHEMA_VERSION, align
from yolo_gp.cache import ModelCache
from yolo_gp.errors import UsageError, did_you_mean
from yolo_gp.graph import Graph, compile_text, read_content
from yolo_gp.layers import LAYERS
from yolo_gp.layers.base import Head
from yolo_gp.shapes import format_size
from yolo_gp.training.requirements import require_heads, yolo_heads
from yolo_gp.zoo import find_cfg, model_cards, packaged_cfgs, pretrained_models

if TYPE_CHECKING:
    from yolo_gp.training.recipe import RecipeName

_REQUIREMENTS: Mapping[RecipeName, Callable[[Graph], object]] = {
    "darknet": yolo_heads,
    "modern": require_heads,
}


@dataclass(frozen=True, slots=True)
class Template:
    """A cfg that new ones can be made from.

    Fields:
        name: a packaged cfg's name, or the path as given.
    """

    name: str
    path: Path
    content: bytes

    def compiled(self) -> Graph:
        """Its graph at its own size.

        Raises:
            CfgError: it does not compile.
        """
        return compile_text(self.content, str(self.path))


def find_template(name: str, cache: ModelCache | None = None) -> Template:
    """The template of that name: a path, a packaged cfg, its words in any order, or a model's cfg.

    Raises:
        UsageError: there is none, or it has no detection head.
        WeightsError: it would have to be fetched, and cannot be.
    """
    packaged = packaged_cfgs()
    stem = name.removesuffix(".cfg")
    same_words = (other for other in packaged if _words(other) == _words(stem))
    known = stem if stem in packaged else next(same_words, None)
    if Path(name).is_file():
        template = _read(name, Path(name))
    elif known is not None:
        template = _read(known, packaged[known])
    elif stem.lower() in pretrained_models():
        template = _read(stem, find_cfg(stem, cache))
    else:
        suggestion = did_you_mean(stem, packaged) or did_you_mean("-".join(_words(stem)), packaged)
        raise UsageError(
            f"there is no template {name}\n"
            "expected: a name that `yolo-gp new --list` prints, or the path of a cfg"
            + (f"\nhelp: {suggestion}" if suggestion else "")
        )
    if not _has_head(template.content):
        raise UsageError(
            f"{name} has no detection head, so no detector can be made from it\n"
            "expected: a name that `yolo-gp new --list` prints"
        )
    return template


def packaged_templates() -> tuple[Template, ...]:
    """Every template that comes with yolo-gp, by name."""
    templates = (_read(name, path) for name, path in packaged_cfgs().items())
    return tuple(template for template in templates if _has_head(template.content))


def _read(name: str, path: Path) -> Template:
    return Template(name, path, read_content(path))


def _words(name: str) -> list[str]:
    return sorted(name.lower().split("-"))


def _has_head(content: bytes) -> bool:
    """Whether a section's header is that of a head; no more of the text is looked at."""
    kinds = re.findall(rb"(?m)^[ \t]*\[([^\]\r\n]*)\]", content)
    found = (LAYERS.get(kind.decode("ascii", "replace").strip()) for kind in kinds)
    return any(kind is not None and Head in kind.__mro__ for kind in found)


def recipes(graph: Graph) -> tuple[RecipeName, ...]:
    """The recipes that can train a network; none if there is no loss for its heads."""
    found: list[RecipeName] = []
    for recipe, requirement in _REQUIREMENTS.items():
        try:
            requirement(graph)
        except UsageError:
            continue
        found.append(recipe)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class ListedTemplate:
    """A line of the list.

    Fields:
        graph: at the size asked for, with the classes asked for.
        description: what its card says; empty without.
    """

    name: str
    graph: Graph
    description: str

    @property
    def strides(self) -> tuple[int, ...]:
        """Of its heads, along the height, finest first."""
        height = self.graph.input_shape.height
        return tuple(sorted(height // node.input_shapes[0].height for node, _ in self.graph.heads))


def list_templates(
    size: tuple[int, int] | None = None, classes: int | None = None
) -> tuple[ListedTemplate, ...]:
    """All packaged templates, cheapest first.

    Args:
        size: (height, width) of the input; each template's own by default.
        classes: each template's own by default.

    Raises:
        UsageError: a network cannot take that size.
    """
    cards = {card.cfg: card.description for card in model_cards().values()}
    listed = []
    for template in packaged_templates():
        graph = template.compiled()
        if classes is not None:
            content = with_classes(template.content, graph.spec, classes)
            graph = compile_text(content, str(template.path))
        if size is not None:
            require_multiple(graph, size)
            graph = graph.with_input_size(size)
        listed.append(ListedTemplate(template.name, graph, cards.get(template.path.name, "")))
    return tuple(sorted(listed, key=lambda found: (found.graph.total.macs, found.name)))


def require_multiple(graph: Graph, size: tuple[int, int]) -> None:
    """Raises: UsageError: the network does not divide that input size evenly."""
    stride = graph.stride
    if all(length % stride == 0 for length in size):
        return
    down, up = (
        tuple(max(stride, (length + more) // stride * stride) for length in size)
        for more in (0, stride - 1)
    )
    fitting = dict.fromkeys(f"{height}x{width}" for height, width in (down, up))
    raise UsageError(
        f"--size {format_size(size)} (height x width) is no multiple of {stride}, by which the "
        f"network divides its input\nexpected: {' or '.join(fitting)}"
    )


def templates_text(listed: Iterable[ListedTemplate]) -> str:
    """A line for each template."""
    rows = [
        (
            found.name,
            format_size(found.graph.input_shape.size),
            f"{found.graph.total.params / 1e6:.2f} M",
            f"{2 * found.graph.total.macs / 1e9:.2f} G",
            ",".join(map(str, found.strides)),
            " ".join(recipes(found.graph)),
            found.description,
        )
        for found in listed
    ]
    header = ("template", "height x width", "parameters", "FLOPs", "strides", "recipes", "")
    return align([header, *rows], {2, 3})


def templates_data(listed: Iterable[ListedTemplate]) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "templates": [
            {
                "name": found.name,
                "input_size": list(found.graph.input_shape.size),
                "classes": found.graph.heads[0][1].num_classes,
                "params": found.graph.total.params,
                "macs": found.graph.total.macs,
                "strides": list(found.strides),
                "recipes": list(recipes(found.graph)),
                "description": found.description,
            }
            for found in listed
        ],
    }
