"""What a study has found: a table like the paper's, and the same as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.analysis.path_tables import Analysis, figures
from yolo_gp.analysis.tables import align
from yolo_gp.graph import Graph
from yolo_gp.tasks.study import RunResult, Study
from yolo_gp.tasks.study_plan import Variant
from yolo_gp.tasks.train_folder import read_run
from yolo_gp.tasks.train_model import CfgText

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class VariantResult:
    """A variant, what it costs, and how its runs ended.

    Fields:
        figures: of the network as it was trained; keys as `analysis.path_tables.FIGURE_NAMES`.
        runs: those that are over, by seed.
    """

    name: str
    figures: dict[str, int | float]
    runs: tuple[RunResult, ...]

    @property
    def images_per_second(self) -> float:
        return sum(run.images for run in self.runs) / sum(run.seconds for run in self.runs)


def variant_results(study: Study) -> tuple[VariantResult, ...]:
    """Every variant of which a run is over, in the order they were named."""
    found = []
    for variant in study.plan.variants:
        runs = tuple(run for run in study.results.values() if run.variant == variant.name)
        if runs:
            graph = _trained_graph(study, variant, runs[0].seed)
            analysis = Analysis(variant.name, graph, gradient_paths(graph))
            found.append(VariantResult(variant.name, figures(analysis), runs))
    return tuple(found)


def _trained_graph(study: Study, variant: Variant, seed: int) -> Graph:
    """The network as it was trained: with the classes of the data."""
    stored = read_run(study.run_folder(variant, seed))
    return CfgText(stored.cfg, str(stored.folder.cfg), stored.folder.cfg_name).compiled()


_HEADER = (
    *("variant", "params", "FLOPs", "longest shortest", "longest", "combinations", "sources"),
    *("shared", "images/s", "epochs", "seeds", "AP", "AP50", "AP75"),
)


def study_table(study: Study) -> str:
    """The variants beside each other; AP in percent: mean over the seeds (lowest to highest)."""
    rows = [_HEADER, *map(_row, variant_results(study))]
    return align(rows, set(range(1, len(_HEADER))))


def _row(found: VariantResult) -> tuple[str, ...]:
    figures, runs = found.figures, found.runs
    return (
        found.name,
        f"{figures['params'] / 1e6:.2f} M",
        f"{figures['flops'] / 1e9:.2f} G",
        *(str(figures[key]) for key in ("longest_shortest", "longest", "combinations", "sources")),
        f"{100 * figures['shared']:.1f} %",
        f"{found.images_per_second:.1f}",
        f"{fmean(run.epochs for run in runs):.1f}",
        str(len(runs)),
        _spread([run.ap for run in runs]),
        _spread([run.ap50 for run in runs]),
        _spread([run.ap75 for run in runs]),
    )


def _spread(shares: Sequence[float]) -> str:
    mean = f"{100 * fmean(shares):.1f}"
    if len(shares) == 1:
        return mean
    return f"{mean} ({100 * min(shares):.1f}-{100 * max(shares):.1f})"


def study_data(study: Study) -> dict[str, Any]:
    """The same for JSON, run by run; AP as shares."""
    return {
        "schema_version": _SCHEMA_VERSION,
        "budget": asdict(study.plan.budget),
        "seeds": list(study.plan.seeds),
        "variants": [
            {
                "variant": found.name,
                **found.figures,
                "images_per_second": found.images_per_second,
                "runs": [_run_data(run) for run in found.runs],
            }
            for found in variant_results(study)
        ],
    }


def _run_data(run: RunResult) -> dict[str, Any]:
    data = asdict(run)
    del data["variant"]
    return {key: None if value != value else value for key, value in data.items()}  # nan
