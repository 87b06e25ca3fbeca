"""Forward pass and end-to-end detection against OpenCV 4's importer and plain eager torch.

    python tests/benchmarks/bench_detect.py [--rounds 15] [--threads 2]

Runs the three in turn, round by round, so that a machine that slows down slows all of them, and
prints medians, the spread (fastest to slowest round) and ratios ours / peer: below 1 is faster.
Needs ../shared for the cfg files; weights are the real ones where they exist, random otherwise.
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

import yolo_gp
from yolo_gp.graph import Graph, read_graph
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.network import compile_network, initialise
from yolo_gp.nodes import module_name
from yolo_gp.weights.darknet import load_weights, save_weights

SHARED = Path(__file__).parents[3] / "shared" / "data"
CORPUS = SHARED / "cfg-corpus" / "AlexeyAB-darknet"
NETWORKS = {
    "yolo-fastest-1.1": SHARED / "models" / "yolo-fastest-1.1.cfg",
    "yolov4-tiny": CORPUS / "yolov4-tiny.cfg",
    "yolov3": CORPUS / "yolov3.cfg",
}
PHOTO = SHARED / "coco-mini" / "images" / "val" / "000000000139.jpg"
CONFIDENCE, IOU = 0.25, 0.45
QUIET_BIAS = -6.0  # of the convolutions before the heads: scores near .002

Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    print(machine(arguments.threads))
    print(
        f"{'network':<18}{'what':<12}{'ours':>18}{'OpenCV':>18}{'eager':>18}{'/CV':>7}{'/eager':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, cfg in NETWORKS.items():
            runs = prepare(cfg, Path(folder) / f"{name}.weights")
            for what, contenders in runs.items():
                print(row(name, what, measure(contenders, arguments.rounds)))


def prepare(cfg: Path, scratch: Path) -> dict[str, dict[str, Run]]:
    """For each thing to measure, the contenders by name, all with the same weights and photo."""
    graph = read_graph(cfg)
    weights = cfg.with_suffix(".weights")
    if not weights.exists():
        weights = scratch
        write_random_weights(graph, weights)
    detector = yolo_gp.load(cfg, weights)
    peer = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    eager = compile_network(graph)
    load_weights(weights, graph, eager)
    height, width = graph.input_shape.size
    blob = cv2.dnn.blobFromImage(cv2.imread(str(PHOTO)), 1 / 255, (width, height), swapRB=True)
    batch = torch.from_numpy(blob)

    def eager_forward() -> object:
        with torch.inference_mode():
            return eager(batch)

    def our_forward() -> object:
        with torch.inference_mode():
            return detector.network(batch.contiguous(memory_format=torch.channels_last))

    photo = cv2.cvtColor(cv2.imread(str(PHOTO)), cv2.COLOR_BGR2RGB)
    detect: dict[str, Run] = {
        "ours": lambda: detector.detect(photo),
        "OpenCV": lambda: opencv_detect(peer, photo, (width, height)),
    }
    forward: dict[str, Run] = {
        "ours": our_forward,
        "OpenCV": lambda: opencv_forward(peer, blob),
        "eager": eager_forward,
    }
    return {"forward": forward, "detect": detect}


def write_random_weights(graph: Graph, path: Path) -> None:
    """Random weights whose heads propose next to nothing, as trained ones do on most cells."""
    network = compile_network(graph)
    initialise(network, seed=0)
    for edge in graph.output_edges:
        head = network.get_submodule(module_name(graph.nodes[edge.source]))
        assert isinstance(head, Convolution)
        torch.nn.init.constant_(head.convolution.bias, QUIET_BIAS)
    save_weights(path, graph, network)


def opencv_forward(peer: cv2.dnn.Net, blob: NDArray[np.float32]) -> object:
    peer.setInput(blob)
    return peer.forward(peer.getUnconnectedOutLayersNames())


def opencv_detect(peer: cv2.dnn.Net, photo: NDArray[np.uint8], size: tuple[int, int]) -> object:
    """From photo to boxes as OpenCV's users write it; its layers threshold and decode."""
    blob = cv2.dnn.blobFromImage(photo, 1 / 255, size)
    peer.setInput(blob)
    rows = np.concatenate(peer.forward(peer.getUnconnectedOutLayersNames()))
    scores = rows[:, 5:]
    class_ids = scores.argmax(1)
    confidences = scores[np.arange(len(rows)), class_ids]
    kept = confidences > CONFIDENCE
    boxes = rows[kept, :4] * np.tile((photo.shape[1], photo.shape[0]), 2)
    boxes[:, :2] -= boxes[:, 2:] / 2
    return cv2.dnn.NMSBoxesBatched(
        boxes.tolist(), confidences[kept].tolist(), class_ids[kept].tolist(), CONFIDENCE, IOU
    )


def measure(contenders: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round; the contenders take turns."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 2):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if number >= 2:  # the first two warm up
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def row(name: str, what: str, times: dict[str, list[float]]) -> str:
    ours = statistics.median(times["ours"])
    cells = [f"{name:<18}{what:<12}"]
    for contender in ("ours", "OpenCV", "eager"):
        found = times.get(contender)
        text = (
            f"{statistics.median(found):.1f} ({min(found):.1f}-{max(found):.1f})" if found else "-"
        )
        cells.append(f"{text:>18}")
    for contender in ("OpenCV", "eager"):
        found = times.get(contender)
        cells.append(f"{ours / statistics.median(found):>7.2f}" if found else f"{'-':>7}")
    return "".join(cells)


def machine(threads: int) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{platform.processor() or platform.machine()}, {threads} threads, torch "
        f"{torch.__version__}, OpenCV {cv2.__version__}, commit {commit}; milliseconds: median "
        "(fastest-slowest)"
    )


if __name__ == "__main__":
    main()
