"""One forward pass of every cfg of some folders at its own size: finite outputs, time, memory.

    python tests/benchmarks/bench_corpus.py [--threads 2] [--memory MIB] [FOLDER ...]

FOLDER is ../shared/data/cfg-corpus and cfg/ unless given. Random weights (seed 0), batch norms with
mean 0 and variance 1, batch 1, float32, packed as for detection. Each network runs in a process of
its own that may take --memory MiB for its data, by default nine tenths of what is free; one that
needs more is skipped and counted. A file that does not compile at its own size is tried at 448x448
and marked with *, its message below the table. The exit code is 1 if an output is not finite or a
file does not run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from forward_pass import in_child, limit_memory, passes, random_network

from yolo_gp.analysis.memory import memory
from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, read_graph

PROJECT = Path(__file__).parents[2]
FOLDERS = (PROJECT.parent / "shared" / "data" / "cfg-corpus", PROJECT / "cfg")
OTHER_SIZE = (448, 448)
BASE_MIB = 400  # of a process with torch, before it has a network
OUT_OF_MEMORY = ("allocate", "MemoryError", "bad_alloc")
COLUMNS = "{:<64}{:>12}{:>10}{:>10}{:>10}  {}"


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one cfg; the numbers are None where it did not come so far."""

    name: str
    outcome: str  # "finite", "NOT FINITE", "skipped", "FAILED" or "refused"
    size: str = ""
    gmacs: float | None = None
    seconds: float | None = None
    peak_mib: float | None = None
    note: str = ""

    def __str__(self) -> str:
        numbers = ((self.gmacs, ".2f"), (self.seconds, ".2f"), (self.peak_mib, ".0f"))
        gmacs, seconds, peak = (
            "" if value is None else format(value, spec) for value, spec in numbers
        )
        outcome = f"{self.outcome} {self.note}".strip()
        return COLUMNS.format(self.name, self.size, gmacs, seconds, peak, outcome)


def main() -> int:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    if arguments.child:
        print(json.dumps(measure(arguments.folders[0], arguments.memory)))
        return 0
    start = time.perf_counter()
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.memory} MiB at most")
    print(COLUMNS.format("cfg", "input", "GMACs", "seconds", "peak MiB", "outputs"))
    rows, messages = [], []
    for path, name in found_cfgs(arguments.folders):
        row, message = tried(path, name, arguments.threads, arguments.memory)
        rows.append(row)
        messages += [message] if message else []
        print(row, flush=True)
    print(*messages, sep="\n")
    print(totals(rows, time.perf_counter() - start))
    return int(any(row.outcome not in ("finite", "skipped") for row in rows) or not rows)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", type=int, default=available_mib() * 9 // 10, help="in MiB")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("folders", nargs="*", type=Path)
    arguments = parser.parse_args()
    arguments.folders = arguments.folders or [f for f in FOLDERS if f.is_dir()]
    return arguments


def available_mib() -> int:
    """Memory that the machine can give away."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    raise SystemExit("/proc/meminfo names no MemAvailable; say --memory")


def found_cfgs(folders: list[Path]) -> list[tuple[Path, str]]:
    """The cfgs with the names that the table shows."""
    return [
        (path, str(path.relative_to(folder)) if path != folder else path.name)
        for folder in folders
        for path in ([folder] if folder.is_file() else sorted(folder.rglob("*.cfg")))
    ]


def read_at_some_size(path: Path) -> tuple[Graph, str]:
    """The graph at the cfg's own size, or at another with the message why not."""
    try:
        return read_graph(path), ""
    except CfgError as error:
        return read_graph(path, input_size=OTHER_SIZE), str(error)


def tried(path: Path, name: str, threads: int, limit_mib: int) -> tuple[Row, str]:
    """The cfg's row, and why it runs at another size, if it does."""
    try:
        graph, message = read_at_some_size(path)
    except CfgError as error:
        return Row(name, "refused"), str(error)
    height, width = graph.input_shape.size
    size = f"{height}x{width}" + "*" * bool(message)
    gmacs = graph.total.macs / 1e9
    need = memory(graph)
    needed = BASE_MIB + (need.weights + need.peak_activations) // 2**20
    if needed > limit_mib:
        return Row(name, "skipped", size, gmacs, note=f"needs {needed} MiB at least"), message
    arguments = ["--threads", str(threads), "--memory", str(limit_mib), str(path)]
    result = in_child(__file__, arguments)
    if result.returncode:
        why = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.returncode}"]
        if any(word in why[0] for word in OUT_OF_MEMORY) or result.returncode == -9:
            note = f"needs more than {limit_mib} MiB"
            return Row(name, "skipped", size, gmacs, note=note), message
        return Row(name, "FAILED", size, gmacs, note=why[0]), message
    found = json.loads(result.stdout)
    outcome = "finite" if found["finite"] else "NOT FINITE"
    return Row(name, outcome, size, gmacs, found["seconds"], found["peak_mib"]), message


def measure(path: Path, limit_mib: int) -> dict[str, float | bool]:
    """The child's part: one pass within its limit."""
    limit_memory(limit_mib)
    graph, _ = read_at_some_size(path)
    (only,) = passes(graph, random_network(graph, seed=0), 1)
    return {"seconds": only.seconds, "peak_mib": only.peak_mib, "finite": only.finite}


def totals(rows: list[Row], elapsed: float) -> str:
    counts = Counter(row.outcome for row in rows)
    parts = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    seconds = sum(row.seconds or 0.0 for row in rows)
    peak = max((row.peak_mib or 0.0 for row in rows), default=0.0)
    return (
        f"{len(rows)} files: {parts}; forward passes {seconds:.1f} s, all {elapsed:.0f} s; "
        f"largest peak {peak:.0f} MiB"
    )


if __name__ == "__main__":
    sys.exit(main())
