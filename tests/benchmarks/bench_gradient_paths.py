"""Gradient paths of deep networks: time after imports, and peak memory of the analysis.

    python tests/benchmarks/bench_gradient_paths.py [CFG ...]

Residual, ELAN and dense chains of growing depth, and the cfgs named. There is no peer: no other
program computes gradient paths.
"""

from __future__ import annotations

import platform
import sys
import time
import tracemalloc
from pathlib import Path

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.families import FamilySettings, family_cfg
from yolo_gp.graph import Graph, compile_text, read_graph

MEMBERS = [
    *(("residual", layers) for layers in (125, 251, 501, 1001)),
    *(("elan", layers) for layers in (125, 250, 500, 1000)),
    *(("dense", layers) for layers in (50, 100, 200)),
]


def measure(name: str, graph: Graph) -> None:
    begin = time.perf_counter()
    paths = gradient_paths(graph)
    seconds = time.perf_counter() - begin
    tracemalloc.start()
    gradient_paths(graph)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{name:<28}{len(paths.weight_layers):>8}{seconds:>10.3f}{peak / 2**20:>10.1f}")


def main() -> None:
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(f"{'network':<28}{'layers':>8}{'seconds':>10}{'peak MiB':>10}")
    for family, layers in MEMBERS:
        text = family_cfg(family, FamilySettings(layers=layers, channels=64))
        measure(f"{family} {layers}", compile_text(text, family))
    for path in map(Path, sys.argv[1:]):
        measure(path.name, read_graph(path))


if __name__ == "__main__":
    main()
