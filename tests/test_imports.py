"""The order of the code: each part imports only from parts above it, and torch is loaded late."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "yolo_gp"
ORDER = (
    "rules",
    "errors",
    "files",
    "records",
    "download",
    "syntax",
    "numerals",
    "formatting",
    "dialect",
    "unread",
    "reads",
    "values",
    "options",
    "shapes",
    "cost",
    "detections",
    "presets",
    "layers",
    "macros",
    "reference",
    "spec",
    "nodes",
    "fingerprint",
    "limits",
    "building",
    "graph",
    "edits",
    "adjusting",
    "plain",
    "transform",
    "families",
    "boxes",
    "losses",
    "network",
    "darknet_cpu",
    "weights",
    "analysis",
    "drawing",
    "cards",
    "cache",
    "zoo",
    "zoo_tables",
    "lint",
    "data",
    "scenes",
    "metrics",
    "masks",
    "postprocess",
    "plots",
    "training",
    "tasks",
    "cli",
    "__main__",
)
TORCH_FREE = [
    "yolo_gp",
    "yolo_gp.graph",
    "yolo_gp.plain",
    "yolo_gp.analysis.tables",
    "yolo_gp.analysis.path_tables",
    "yolo_gp.drawing.figure",
    "yolo_gp.drawing.report",
    "yolo_gp.drawing.text_graphs",
    "yolo_gp.reference.page",
    "yolo_gp.families",
    "yolo_gp.formatting",
    "yolo_gp.adjusting.applying",
    "yolo_gp.adjusting.starting",
    "yolo_gp.analysis.difference_tables",
    "yolo_gp.weights.layout",
    "yolo_gp.weights.header",
    "yolo_gp.weights.formats",
    "yolo_gp.weights.checkpoint_info",
    "yolo_gp.weights.stored",
    "yolo_gp.weights.transfer",
    "yolo_gp.weights.manifest",
    "yolo_gp.download",
    "yolo_gp.cache",
    "yolo_gp.cache.tables",
    "yolo_gp.zoo",
    "yolo_gp.zoo_tables",
    "yolo_gp.lint.page",
    "yolo_gp.lint.rendering",
    "yolo_gp.lint.sarif",
    "yolo_gp.presets",
    "yolo_gp.detections",
    "yolo_gp.cli.main",
]
LATE_IMPORTS_ALLOWED = ("cli", "layers", "__init__")


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node


def part_of_file(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_part_imports_only_from_parts_above_it(path: Path) -> None:
    part = part_of_file(path)
    if part == "__init__":
        return
    tree = ast.parse(path.read_text())
    for module, node in imported(tree):
        if module.split(".")[0] != "yolo_gp" or module == "yolo_gp":
            continue
        other = part_of(module)
        assert ORDER.index(other) <= ORDER.index(part), f"{path}:{node.lineno} imports {module}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_stand_at_the_top_of_a_file(path: Path) -> None:
    if part_of_file(path) in LATE_IMPORTS_ALLOWED:
        return
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = [node.lineno for f in functions for _, node in imported(f)]
    assert not late, f"{path} imports inside functions, at lines {late}"


@pytest.mark.parametrize("module", TORCH_FREE)
def test_a_module_up_to_the_graph_loads_neither_torch_nor_numpy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_every_part_has_its_place_in_the_order() -> None:
    parts = {part_of_file(path) for path in sources()} - {"__init__"}
    assert parts == set(ORDER)
