"""The whole transformation: depth, width, stages, budget; every result is compiled on the way."""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from yolo_gp.errors import CfgError, UsageError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.nodes import Node
from yolo_gp.transform.fitting import fit
from yolo_gp.transform.rewriting import (
    counted,
    mask_shortcuts,
    replace_stages,
    replacement,
    set_depths,
)
from yolo_gp.transform.sections import csp_widths, elan_widths
from yolo_gp.transform.settings import TransformSettings
from yolo_gp.transform.stages import (
    MacroStage,
    Place,
    Stage,
    find_macro_stages,
    find_stages,
    stage_number,
)
from yolo_gp.transform.widths import Factors, scale_widths


@dataclass(frozen=True, slots=True)
class Transformed:
    """A transformed cfg.

    Fields:
        content: its text.
        before, after: both networks, at the same input size.
        notes: what was done, a line each.
    """

    content: bytes
    before: Graph
    after: Graph
    notes: tuple[str, ...]


def transform_cfg(
    content: bytes,
    file: str,
    settings: TransformSettings,
    input_size: tuple[int, int] | None = None,
) -> Transformed:
    """Rewrite a cfg's text as the settings say; what they do not touch stays byte for byte.

    Args:
        file: the name that messages show.
        input_size: (height, width) at which costs count, in place of the cfg's.

    Raises:
        CfgError: the cfg is wrong as it stands.
        UsageError: it has nothing of what is to be transformed, or that cannot be.
    """
    pipeline = _Pipeline(content, file, settings, input_size)
    if settings.depth != 1.0:
        pipeline.scale_depth()
    if settings.width != 1.0:
        pipeline.scale_width()
    if settings.to is not None or settings.keep is not None:
        pipeline.rewrite()
    return pipeline.result()


class _Pipeline:
    """A cfg on its way: its text and graph after the steps so far, and what they did."""

    def __init__(
        self,
        content: bytes,
        file: str,
        settings: TransformSettings,
        input_size: tuple[int, int] | None,
    ) -> None:
        self._content = content
        self._file = file
        self._settings = settings
        self._size = input_size
        self._before = self._graph = self._compile(content)
        self._notes: list[str] = []

    def result(self) -> Transformed:
        return Transformed(self._content, self._before, self._graph, tuple(self._notes))

    def _compile(self, content: bytes) -> Graph:
        name = self._file if content is self._content else f"{self._file}, rewritten"
        return compile_text(content, name, input_size=self._size)

    def _advance(
        self, render: Callable[[Sequence[Place]], bytes], places: Sequence[Place], what: str
    ) -> None:
        """Take the step that `render` makes at the places.

        Raises:
            UsageError: the result does not compile; the message names the place it is due to.
        """
        try:
            content = render(places)
            self._graph = self._compile(content)
        except CfgError as error:
            for place in places:
                try:
                    self._compile(render([place]))
                except CfgError as alone:
                    raise _does_not_compile(f"{what} at {place}", alone) from alone
            raise _does_not_compile(what, error) from error
        self._content = content

    # -- depth and width -------------------------------------------------------------------------

    def scale_depth(self) -> None:
        content, graph, factor = self._content, self._graph, self._settings.depth
        stages = [stage for stage in self._stages() if stage.blocks]
        macros = [macro for macro in self._macros() if macro.macro.depth]
        if not stages and not macros:
            raise self._nothing_found("a [csp] or an [elan], or, ")
        places: list[Place] = [*stages, *macros]
        depths = {place: _scaled_depth(place, factor) for place in places}

        def render(places: Sequence[Place]) -> bytes:
            return set_depths(content, graph, {place: depths[place] for place in places})

        self._advance(render, places, f"--depth {factor:g}")
        self._notes += [f"{place}: blocks {place.depth} -> {new}" for place, new in depths.items()]

    def scale_width(self) -> None:
        content, graph, settings = self._content, self._graph, self._settings

        def factor(node: Node) -> float:
            return settings.width if settings.touches(stage_number(graph, node)) else 1.0

        what = f"--width {settings.width:g}"
        self._advance(lambda _: scale_widths(content, graph, factor), (), what)
        self._notes.append(f"channels times {settings.width:g}")

    # -- stages ----------------------------------------------------------------------------------

    def rewrite(self) -> None:
        settings = self._settings
        stages, macros = self._stages(), []
        if settings.to == "prn":
            macros = [macro for macro in self._macros() if macro.macro.takes_ratio]
        elif settings.to is not None:
            stages = [stage for stage in stages if stage.blocks and stage.follows_downsampling]
        if settings.to is not None and not stages and not macros:
            raise self._nothing_found("")
        render = _rewriter(self._content, self._graph, settings, macros)
        factors = {stage: (1.0,) * len(self._widths(stage)) for stage in stages}

        def unchanged(places: Sequence[Place]) -> bytes:
            return render({stage: factors[stage] for stage in stages if stage in places})

        self._advance(unchanged, stages, f"--to {settings.to}")
        if settings.keep is not None:
            factors = self._fit(render, stages)
            self._advance(lambda _: render(factors), (), f"--keep-{settings.keep}")
        self._note_rewritten(factors, macros)

    def _fit(
        self, render: Callable[[Mapping[Stage, Factors]], bytes], stages: Sequence[Stage]
    ) -> dict[Stage, Factors]:
        """The factors on the widths inside the stages that keep the cost."""
        what = self._settings.keep
        assert what is not None
        widths = {stage: self._widths(stage) for stage in stages}

        def by_stage(factors: Factors) -> dict[Stage, Factors]:
            rest = iter(factors)
            return {s: tuple(itertools.islice(rest, len(own))) for s, own in widths.items()}

        @functools.cache
        def cost(factors: Factors) -> int:
            try:
                return _cost(self._compile(render(by_stage(factors))), what)
            except CfgError:  # at such widths it exceeds what can be built
                return sys.maxsize

        flat = tuple(itertools.chain(*widths.values()))
        return by_stage(fit(cost, _cost(self._before, what), flat, what))

    def _widths(self, stage: Stage) -> tuple[int, ...]:
        """The widths inside the stage that may change."""
        if self._settings.to == "csp":
            return csp_widths(stage, self._settings)
        if self._settings.to == "elan":
            return elan_widths(stage, self._settings)
        inner = stage.all_blocks[-1].convolutions[:-1]
        return tuple(node.output_shape.channels for node in inner)

    def _note_rewritten(
        self, factors: Mapping[Stage, Factors], macros: Sequence[MacroStage]
    ) -> None:
        settings = self._settings
        for stage, inner in factors.items():
            if settings.to in ("csp", "elan"):
                section = " ".join(replacement(stage, settings, inner))
                self._notes.append(f"{stage}: {counted(len(stage.blocks), 'block')} -> {section}")
                stops = {b.shortcut.layer.stops_gradient() for b in stage.blocks} - {"none"}
                if settings.to == "elan" and stops:
                    self._notes.append(f"{stage}: stop_gradient goes, as [elan] adds nothing")
                continue
            if settings.to == "prn":
                shortcuts = counted(len(stage.shortcuts), "shortcut")
                self._notes.append(f"{stage}: {shortcuts} with ratio={settings.ratio:g}")
            if any(factor != 1.0 for factor in inner):
                times = ", ".join(f"{factor:.3g}" for factor in inner)
                self._notes.append(f"{stage}: channels inside blocks times {times}")
        self._notes += [f"{macro}: shortcuts with ratio={settings.ratio:g}" for macro in macros]

    # -- what there is ---------------------------------------------------------------------------

    def _stages(self) -> list[Stage]:
        return [s for s in find_stages(self._graph) if self._settings.touches(s.number)]

    def _macros(self) -> list[MacroStage]:
        return [m for m in find_macro_stages(self._graph) if self._settings.touches(m.number)]

    def _nothing_found(self, also: str) -> UsageError:
        found = [str(stage) for stage in find_stages(self._graph)]
        limit = "" if self._settings.stages is None else ", in the stages that --stages names"
        return UsageError(
            f"{self._file} has no residual stage to rewrite\n"
            f"looked for: {also}behind a layer that halves the map, [convolutional] sections "
            f"closed by a [shortcut] or [partial_shortcut] that adds what the first of them reads"
            f"{limit}\n"
            f"found: {', '.join(found) or 'no such blocks anywhere'}"
        )


def _rewriter(
    content: bytes, graph: Graph, settings: TransformSettings, macros: Sequence[MacroStage]
) -> Callable[[Mapping[Stage, Factors]], bytes]:
    """The cfg with stages rewritten, as a function of the factors on the widths inside."""

    def replaced(factors: Mapping[Stage, Factors]) -> bytes:
        return replace_stages(content, graph, settings, factors)

    def in_place(factors: Mapping[Stage, Factors]) -> bytes:
        inner = {
            node.index: factor
            for stage, own in factors.items()
            for block in stage.all_blocks
            for node, factor in zip(block.convolutions[:-1], own, strict=False)
        }
        narrowed = scale_widths(content, graph, lambda node: inner.get(node.index, 1.0))
        return narrowed if settings.to is None else masked(narrowed, factors)

    def masked(narrowed: bytes, stages: Iterable[Stage]) -> bytes:
        return mask_shortcuts(narrowed, settings.ratio, stages, macros)

    return in_place if settings.to in (None, "prn") else replaced


def _cost(graph: Graph, what: str) -> int:
    return graph.total.params if what == "params" else graph.total.flops


def _scaled_depth(place: Place, factor: float) -> int:
    """How many blocks there are then; at least one besides an entrance."""
    least = 2 if isinstance(place, Stage) and place.entrance else 1
    return max(least, math.floor(place.depth * factor + 0.5))


def _does_not_compile(what: str, error: CfgError) -> UsageError:
    first = next((d for d in error.diagnostics if d.severity == "error"), error.diagnostics[0])
    return UsageError(
        f"{what} gives a cfg that does not compile; nothing is written\n"
        f"the first of its errors, in the new text:\n{first.render()}"
    )
