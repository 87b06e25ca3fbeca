"""Classification of photos against OpenCV 4's importer: end to end, and the forward pass alone.

    python tests/benchmarks/bench_classify.py [--rounds 9] [--threads 2] [--images 16]

Both take the same photos in memory to class probabilities, one by one and in batches of 8, with the
same seeded weights: we resize as Darknet does, OpenCV by its blobFromImages with a crop. They take
turns, round by round, so that a machine that slows down slows both. Prints images per second,
median and spread, and the ratio ours / OpenCV: above 1 is faster. Needs ../shared.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from yolo_gp.graph import read_graph
from yolo_gp.network import compile_network, initialise
from yolo_gp.tasks.classifier import Classifier, ClassifierSettings
from yolo_gp.tasks.inference import as_array
from yolo_gp.tasks.models import ModelSource
from yolo_gp.weights.darknet import save_weights

SHARED = Path(__file__).parents[3] / "shared" / "data"
CORPUS = SHARED / "cfg-corpus" / "AlexeyAB-darknet"
NETWORKS = ("tiny", "darknet19", "densenet201")
PHOTOS = SHARED / "coco-mini" / "images" / "val"
BATCH = 8

Photo = NDArray[np.uint8]
Run = Callable[[], object]
Runs = dict[tuple[str, int], dict[str, Run]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    print(machine(arguments.threads))
    print(f"{'network':<14}{'what':<24}{'ours':>22}{'OpenCV':>22}{'ratio':>8}")
    paths = sorted(PHOTOS.iterdir())[: arguments.images]
    photos = [as_array(path, 3) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks:
            runs = prepare(CORPUS / f"{name}.cfg", Path(folder), photos)
            for (what, images), contenders in runs.items():
                print(row(name, what, measure(contenders, arguments.rounds, images)))


def prepare(cfg: Path, folder: Path, photos: list[Photo]) -> Runs:
    """What to measure, with how many images, and the contenders by name."""
    graph = read_graph(cfg)
    network = compile_network(graph)
    initialise(network, seed=0)
    weights = folder / f"{cfg.stem}.weights"
    save_weights(weights, graph, network)
    classifier = Classifier.load(ClassifierSettings(model=ModelSource(cfg=cfg, weights=weights)))
    peer = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    height, width = graph.input_shape.size
    blob = cv2.dnn.blobFromImages(photos[:BATCH], 1 / 255, (width, height), crop=True)
    ready = torch.from_numpy(blob)

    def ours(size: int) -> Run:
        return lambda: [classifier.classify_batch(part) for part in parts(photos, size)]

    def theirs(size: int) -> Run:
        return lambda: [opencv(peer, part, (width, height)) for part in parts(photos, size)]

    def forward_peer() -> object:
        peer.setInput(blob)
        return peer.forward()

    return {
        ("photos, one by one", len(photos)): {"ours": ours(1), "OpenCV": theirs(1)},
        (f"photos, batches of {BATCH}", len(photos)): {
            "ours": ours(BATCH),
            "OpenCV": theirs(BATCH),
        },
        (f"forward, batch of {BATCH}", len(blob)): {
            "ours": lambda: classifier.scores(ready),
            "OpenCV": forward_peer,
        },
    }


def parts(photos: list[Photo], size: int) -> list[list[Photo]]:
    return [photos[first : first + size] for first in range(0, len(photos), size)]


def opencv(peer: cv2.dnn.Net, photos: list[Photo], size: tuple[int, int]) -> object:
    peer.setInput(cv2.dnn.blobFromImages(photos, 1 / 255, size, crop=True))
    probabilities = np.asarray(peer.forward()).reshape(len(photos), -1)
    return np.argsort(-probabilities, axis=1)[:, :5]


def measure(contenders: dict[str, Run], rounds: int, images: int) -> dict[str, list[float]]:
    """Images per second of each round; the contenders take turns."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if number:  # the first warms up
                rates[name].append(images / (time.perf_counter() - start))
    return rates


def row(name: str, what: str, rates: dict[str, list[float]]) -> str:
    cells = [f"{name:<14}{what:<24}"]
    for found in rates.values():
        text = f"{statistics.median(found):.1f} ({min(found):.1f}-{max(found):.1f})"
        cells.append(f"{text:>22}")
    ours, theirs = (statistics.median(found) for found in rates.values())
    return "".join(cells) + f"{ours / theirs:>8.2f}"


def machine(threads: int) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{platform.processor() or platform.machine()}, {threads} threads, torch "
        f"{torch.__version__}, OpenCV {cv2.__version__}, commit {commit}; images per second: "
        "median (slowest-fastest)"
    )


if __name__ == "__main__":
    main()
