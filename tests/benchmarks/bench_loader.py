"""Milliseconds a training image by pipeline, with and without decoded pictures at hand.

    python tests/benchmarks/bench_loader.py [--data FOLDER] [--size 320] [--rounds 5]

One process without workers makes batches of 8; processor time is counted, and of the rounds the
quickest. By default the 205 images of 640 x 480 of bccd. Needs ../shared.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from bench_detect import machine

from yolo_gp.data.annotations import AnnotatedDataset
from yolo_gp.data.augmentation import (
    Augmentation,
    DarknetAugmentation,
    ModernAugmentation,
    NoAugmentation,
)
from yolo_gp.data.opening import open_dataset
from yolo_gp.data.training_loader import TrainingBatch, TrainingLoader

BCCD = Path(__file__).parents[3] / "shared" / "data" / "bccd"
USUAL = {"jitter": 0.3, "saturation": 1.5, "exposure": 1.5, "hue": 0.1}
PIPELINES: dict[str, Augmentation] = {
    "none": NoAugmentation(),
    "darknet": DarknetAugmentation(**USUAL),
    "darknet, resize": DarknetAugmentation(**USUAL, resize=1.5),
    "darknet, mosaic": DarknetAugmentation(**USUAL, mosaic=True),
    "darknet, mixup": DarknetAugmentation(**USUAL, mixup=True),
    "darknet, blur and noise": DarknetAugmentation(**USUAL, blur=5, gaussian_noise=20),
    "modern": ModernAugmentation(),
    "modern without mosaic": ModernAugmentation(mosaic=0),
}
BATCH = 8
BATCHES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=str(BCCD))
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = open_dataset(options.data, split="train", masks=False)
    print(machine(1).split("; ")[0])
    print(f"{dataset.name}, {len(dataset.samples)} images, to {options.size} x {options.size}")
    for name, augmentation in PIPELINES.items():
        found = [
            milliseconds(open_batches(dataset, augmentation, options.size, cached), options.rounds)
            for cached in (False, True)
        ]
        print(f"{name:24} {found[0]:6.2f} ms    {found[1]:6.2f} ms from the cache")


def open_batches(
    dataset: AnnotatedDataset, augmentation: Augmentation, size: int, cached: bool
) -> Iterator[TrainingBatch]:
    """Batches of a pipeline; all pictures have been decoded once, if they are kept."""
    loader = TrainingLoader(
        dataset,
        augmentation,
        (size, size),
        images_per_batch=BATCH,
        workers=0,
        seed=1,
        cache="memory" if cached else None,
    )
    batches = loader.batches()
    for _ in range(loader.batches_per_epoch if cached else 1):
        next(batches)
    return batches


def milliseconds(batches: Iterator[TrainingBatch], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in itertools.islice(batches, BATCHES):
            pass
        taken.append(time.process_time() - start)
    return min(taken) / (BATCH * BATCHES) * 1000


if __name__ == "__main__":
    main()
