"""Validation end to end: images per second, where the time goes, and what evaluators take.

    python tests/benchmarks/bench_val.py [--rounds 3] [--copies 4] [--threads 2] [--workers 2]
    python tests/benchmarks/bench_val.py --memory 10000

The images are the 64 of coco-mini val, several times over. Of the rounds the quickest counts.
yolov4-tiny runs at 416x416 with random weights that propose next to nothing; yolo-fastest-1.1 with
its real weights, at Darknet's threshold of .001, so that it proposes hundreds of boxes an image.
`--memory` validates so many images of 32x32, hundreds of boxes each, into a journal, and prints the
memory that is resident in this process on the way. Needs ../shared.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from bench_detect import machine, write_random_weights
from PIL import Image

from yolo_gp.data.coco import CocoDataset
from yolo_gp.data.dataset import Dataset, GroundTruth, Sample
from yolo_gp.graph import compile_text, read_graph
from yolo_gp.metrics.coco import evaluate_coco, evaluate_coco_reference
from yolo_gp.network import compile_network, initialise
from yolo_gp.presets import VAL_PRESETS
from yolo_gp.tasks.detector import Detector, DetectorSettings
from yolo_gp.tasks.models import ModelSource
from yolo_gp.tasks.ranks import Ranks
from yolo_gp.tasks.val import ValSettings, detect_batches, detection_facts, detection_work
from yolo_gp.tasks.val_loading import batch_count
from yolo_gp.tasks.val_results import EvaluatedImages, ImageResult, Seconds, ground_truths
from yolo_gp.tasks.val_run import do_all, open_run

SHARED = Path(__file__).parents[3] / "shared" / "data"
TINY = SHARED / "cfg-corpus" / "AlexeyAB-darknet" / "yolov4-tiny.cfg"
FASTEST = SHARED / "models" / "yolo-fastest-1.1.cfg"
ANNOTATIONS = SHARED / "coco-mini" / "annotations" / "instances_val.json"
SMALL = """[net]
width=32
height=32
channels=3
[convolutional]
filters=60
size=8
stride=8
activation=linear
[yolo]
classes=7
num=5
anchors=4,4, 8,8, 12,12, 16,8, 8,16
"""


@dataclasses.dataclass
class Copies:
    """A data set several times over, under new image ids."""

    base: Dataset
    samples: Sequence[Sample]

    def __post_init__(self) -> None:
        self.name = self.base.name
        self.class_names = self.base.class_names
        self.category_ids = self.base.category_ids

    @classmethod
    def of(cls, base: Dataset, copies: int) -> Copies:
        every = [sample for _ in range(copies) for sample in base.samples]
        return cls(base, [dataclasses.replace(s, image_id=n) for n, s in enumerate(every, 1)])

    def ground_truth(self, index: int, size: tuple[int, int]) -> GroundTruth:
        return self.base.ground_truth(index % len(self.base.samples), size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=int, metavar="IMAGES")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine(arguments.threads).split("; ")[0])
    with tempfile.TemporaryDirectory() as folder:
        if arguments.memory:
            watch_memory(Path(folder), arguments.memory, arguments.workers)
            return
        for cfg in (TINY, FASTEST):
            weights = cfg.with_suffix(".weights")
            if not weights.exists():
                weights = Path(folder) / weights.name
                write_random_weights(read_graph(cfg), weights)
            bench(cfg, weights, arguments)


def bench(cfg: Path, weights: Path, arguments: argparse.Namespace) -> None:
    source = ModelSource(cfg=cfg, weights=weights)
    detector = Detector.load(DetectorSettings(model=source, preset=VAL_PRESETS["darknet"]))
    data = Copies.of(CocoDataset(ANNOTATIONS, masks=False), arguments.copies)
    for workers in sorted({0, arguments.workers}):
        settings = ValSettings(workers=workers)
        rounds = [one_round(detector, data, settings) for _ in range(arguments.rounds)]
        wall, spent, results = min(rounds, key=lambda each: each[0])
        images = len(results)
        found = statistics.mean(len(result.coco) for result in results)
        per_image = ", ".join(
            f"{name} {1000 * seconds / images:.1f} ms"
            for name, seconds in dataclasses.asdict(spent).items()
        )
        print(
            f"{cfg.stem}, {workers} workers: {images / wall:.1f} images/s, {found:.0f} boxes each; "
            f"an image: {per_image}; forward is {spent.forward / wall:.0%} of the wall time"
        )
    print_evaluators(data, results, detector.num_classes, wall)


def one_round(
    detector: Detector, data: Dataset, settings: ValSettings
) -> tuple[float, Seconds, list[ImageResult]]:
    results: list[ImageResult] = []
    spent = Seconds()
    start = time.perf_counter()
    for batch in detect_batches(
        detector, data, settings, range(batch_count(len(data.samples), settings.batch_size))
    ):
        results += batch.images
        spent += batch.seconds
    return time.perf_counter() - start, spent, results


def print_evaluators(
    data: Dataset, results: list[ImageResult], class_count: int, wall: float
) -> None:
    """Our evaluator and pycocotools beside the seconds that detection took."""
    images = EvaluatedImages(ground_truths(data, results), results, "coco")
    for name, evaluate in (("ours", evaluate_coco), ("pycocotools", evaluate_coco_reference)):
        start = time.perf_counter()
        found = evaluate(images, class_count)
        seconds = time.perf_counter() - start
        print(
            f"  {name}: AP {found.ap:.6f} in {seconds:.2f} s, {seconds / (seconds + wall):.1%} of "
            f"detection and evaluation together ({len(results) / (seconds + wall):.1f} images/s)"
        )


def watch_memory(folder: Path, count: int, workers: int) -> None:
    """Validate many small images and print what is resident after some of them."""
    rng = np.random.default_rng(0)
    for number in range(100):
        noise = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    data = Noise([Sample(n + 1, folder / f"{n % 100}.png", (32, 32)) for n in range(count)])
    graph = compile_text(SMALL, "small.cfg")
    network = compile_network(graph)
    initialise(network, seed=0)
    detector = Detector(graph, network, VAL_PRESETS["darknet"])
    settings = ValSettings(workers=workers)
    run = open_run(folder / "run", None, detection_facts(detector, data, settings, ""), Ranks())
    done = 0

    def advance(images: int) -> None:
        nonlocal done
        before, done = done, done + images
        if before // 1000 < done // 1000:
            print(
                f"after image {done}: {resident():.1f} MiB here, journal {size(run.folder):.1f} MiB"
            )

    do_all(detection_work(detector, data, settings), run, Ranks(), advance=advance)


class Noise:
    """Images without objects."""

    name = "noise"
    class_names = tuple("abcdefg")
    category_ids = tuple(range(7))

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def ground_truth(self, index: int, size: tuple[int, int]) -> GroundTruth:
        none = np.zeros(0, np.bool_)
        return GroundTruth(np.zeros((0, 4)), np.zeros(0, np.int64), none, none, np.zeros(0))


def resident() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.glob("*.journal")) / 2**20


if __name__ == "__main__":
    main()
