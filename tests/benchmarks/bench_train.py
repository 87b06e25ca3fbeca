"""Training: images per second, and the share of the time in which the network waits for images.

    python tests/benchmarks/bench_train.py [--cfgs elan-nano yolov3-tiny] [--iterations 12]
        [--batch 16] [--size 320] [--threads 2] [--workers 2] [--recipe modern] [--device cpu]

The images are those of bccd train. The first iterations, while workers start, do not count; of the
others it prints the median and the spread. `--layers` runs the network alone, without images,
loss or update, and prints how long its forward and backward passes take. Needs ../shared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from bench_detect import machine

from yolo_gp.graph import read_graph
from yolo_gp.network import compile_network, initialise, to_channels_last
from yolo_gp.tasks.ranks import Ranks
from yolo_gp.tasks.train import Step, train
from yolo_gp.tasks.train_settings import TrainSettings
from yolo_gp.tasks.train_setup import begin
from yolo_gp.tasks.train_stop import StopRequest
from yolo_gp.zoo import find_cfg

DATA = Path(__file__).parents[3] / "shared" / "data" / "bccd"
WARM_UP = 3  # iterations


def steps(cfg: str, options: argparse.Namespace) -> list[Step]:
    """The iterations of a run, but for the first ones."""
    settings = TrainSettings(
        cfg=cfg,
        data=str(DATA),
        size=(options.size, options.size),
        recipe=options.recipe,
        batch=options.batch,
        subdivisions=1,
        iterations=options.iterations + WARM_UP,
        workers=options.workers,
        cache=options.cache,
        device=options.device,
        validate=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = begin(settings, Ranks(), save_dir=Path(folder) / "run").run
        events = train(run, StopRequest())
        return [event for event in events if isinstance(event, Step)][WARM_UP:]


def report(cfg: str, found: list[Step]) -> None:
    speeds = [step.images / step.seconds for step in found]
    seconds = sum(step.seconds for step in found)
    waiting = sum(step.waited for step in found) / seconds
    images = sum(step.images for step in found)
    print(
        f"{cfg:24} {images / seconds:7.1f} images/s  (median {statistics.median(speeds):.1f}, "
        f"{min(speeds):.1f} to {max(speeds):.1f})  waits {100 * waiting:.1f} % of the time"
    )


def passes(cfg: str, options: argparse.Namespace) -> None:
    """How long forward and backward take without anything else."""
    graph = read_graph(find_cfg(cfg), input_size=(options.size, options.size))
    network = compile_network(graph)
    initialise(network, seed=0)
    to_channels_last(network.train())
    channels = graph.input_shape.channels
    images = torch.rand(options.batch, channels, options.size, options.size)
    images = images.contiguous(memory_format=torch.channels_last)
    forward, backward = [], []
    for _ in range(options.iterations):
        start = time.perf_counter()
        maps = network(images)
        between = time.perf_counter()
        torch.autograd.backward(maps, [torch.ones_like(each) for each in maps])
        forward.append(between - start)
        backward.append(time.perf_counter() - between)
    there, back = statistics.median(forward), statistics.median(backward)
    print(
        f"{cfg:24} {options.batch / (there + back):7.1f} images/s  forward {there:.3f} s, "
        f"backward {back:.3f} s a batch"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfgs", nargs="+", default=["elan-nano"])
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--recipe", default="modern")
    parser.add_argument("--cache", default="none")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layers", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine(options.threads))
    for cfg in options.cfgs:
        if options.layers:
            passes(cfg, options)
        else:
            report(cfg, steps(cfg, options))


if __name__ == "__main__":
    main()
