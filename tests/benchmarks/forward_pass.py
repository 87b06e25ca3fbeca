"""A forward pass at batch 1, measured in a process of its own: what several benchmarks share."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import fx

from yolo_gp.graph import Graph
from yolo_gp.network import (
    compile_network,
    fold_batch_norm,
    initialise,
    pack_for_cpu,
    to_channels_last,
)


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass.

    Fields:
        seconds: it took.
        peak_mib: the most memory that the process has had so far.
        finite: every number of every output is.
    """

    seconds: float
    peak_mib: float
    finite: bool


def random_network(graph: Graph, *, seed: int) -> fx.GraphModule:
    """The network with random weights, batch norms' mean 0 and variance 1, as detection has it."""
    network = compile_network(graph)
    initialise(network, seed=seed)
    fold_batch_norm(network, graph)
    network.requires_grad_(False)
    to_channels_last(network)
    pack_for_cpu(network, graph)
    return network


def passes(graph: Graph, network: fx.GraphModule, count: int) -> list[Pass]:
    """So many passes, one after the other, over the same random image."""
    shape = graph.input_shape
    image = torch.rand(1, shape.channels, *shape.size, generator=torch.Generator().manual_seed(0))
    image = image.contiguous(memory_format=torch.channels_last)
    found = []
    with torch.inference_mode():
        for _ in range(count):
            start = time.perf_counter()
            outputs = network(image)
            elapsed = time.perf_counter() - start
            finite = all(bool(output.isfinite().all()) for output in outputs)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            found.append(Pass(elapsed, peak, finite))
    return found


def in_child(script: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the script again, as a child that is to print what it measures."""
    command = [sys.executable, script, "--child", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def limit_memory(mib: int) -> None:
    """Let this process fail, rather than the machine, if it needs more than that for its data."""
    resource.setrlimit(resource.RLIMIT_DATA, (mib * 2**20, mib * 2**20))
