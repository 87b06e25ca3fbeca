"""One forward pass of every packaged cfg at its own size: time, memory, finite outputs.

    python tests/benchmarks/bench_zoo.py [--threads 2] [NAME ...]

Random weights (seed 0), batch 1, float32, packed as for detection. Each network runs in a process
of its own, whose peak memory is the operating system's figure.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from yolo_gp.graph import read_graph
from yolo_gp.network import (
    compile_network,
    fold_batch_norm,
    initialise,
    pack_for_cpu,
    to_channels_last,
)
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
        command = [sys.executable, __file__, "--child", "--threads", str(arguments.threads), name]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(result.stdout)
        print(COLUMNS.format(*(str(cell) for cell in found)), flush=True)


def measure(name: str, threads: int) -> list[str]:
    torch.set_num_threads(threads)
    graph = read_graph(packaged_cfgs()[name])
    network = compile_network(graph)
    initialise(network, seed=0)
    fold_batch_norm(network, graph)
    network.requires_grad_(False)
    to_channels_last(network)
    pack_for_cpu(network, graph)
    shape = graph.input_shape
    image = torch.rand(1, shape.channels, *shape.size, generator=torch.Generator().manual_seed(0))
    image = image.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(image)
        start = time.perf_counter()
        outputs = network(image)
        elapsed = time.perf_counter() - start
    finite = all(bool(output.isfinite().all()) for output in outputs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        name,
        f"{shape.height}x{shape.width}",
        f"{graph.total.macs / 1e9:.2f}",
        f"{1000 * elapsed:.0f}",
        f"{peak:.0f}",
        "yes" if finite else "NO",
    ]


if __name__ == "__main__":
    main()
