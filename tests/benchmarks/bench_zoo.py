"""One forward pass of every packaged cfg at its own size: time, memory, finite outputs.

    python tests/benchmarks/bench_zoo.py [--threads 2] [NAME ...]

Random weights (seed 0), batch 1, float32, packed as for detection. Each network runs in a process
of its own, whose peak memory is the operating system's figure.
"""

from __future__ import annotations

import argparse
import json

import torch
from forward_pass import in_child, passes, random_network

from yolo_gp.graph import read_graph
from yolo_gp.zoo import packaged_cfgs

COLUMNS = "{:<28}{:>12}{:>10}{:>12}{:>12}{:>8}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.names[0], arguments.threads)))
        return
    print(f"torch {torch.__version__}, {arguments.threads} threads; second of two passes")
    print(COLUMNS.format("cfg", "input", "GMACs", "ms", "peak MiB", "finite"))
    for name in arguments.names or packaged_cfgs():
        result = in_child(__file__, ["--threads", str(arguments.threads), name])
        result.check_returncode()
        found = json.loads(result.stdout)
        print(COLUMNS.format(*(str(cell) for cell in found)), flush=True)


def measure(name: str, threads: int) -> list[str]:
    torch.set_num_threads(threads)
    graph = read_graph(packaged_cfgs()[name])
    _, second = passes(graph, random_network(graph, seed=0), 2)
    shape = graph.input_shape
    return [
        name,
        f"{shape.height}x{shape.width}",
        f"{graph.total.macs / 1e9:.2f}",
        f"{1000 * second.seconds:.0f}",
        f"{second.peak_mib:.0f}",
        "yes" if second.finite else "NO",
    ]


if __name__ == "__main__":
    main()
