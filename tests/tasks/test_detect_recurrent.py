"""Detection with recurrent layers: frames of a video are remembered, images are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from yolo_gp.detections import Detections
from yolo_gp.errors import UsageError
from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.presets import find_preset
from yolo_gp.tasks.detect import detect_all
from yolo_gp.tasks.detector import Detector
from yolo_gp.tasks.export_onnx import OnnxSettings, export_onnx
from yolo_gp.tasks.frames import Failure, Frame
from yolo_gp.tasks.models import Model
from yolo_gp.tasks.results import Report

CELLS = 16  # 4 x 4, none of whose boxes is suppressed
TEXT = """[net]
width=32
height=32
channels=3
[convolutional]
filters=4
size=3
stride=8
pad=1
activation=leaky
[crnn]
output=6
hidden=4
pad=1
shortcut=1
activation=leaky
[convolutional]
filters=6
activation=linear
[yolo]
classes=1
num=1
anchors=9,9
"""


def detector(text: str = TEXT) -> Detector:
    graph = compile_text(text, "video.cfg")
    network = compile_network(graph)
    initialise(network, seed=3)
    preset = find_preset("darknet").varied(confidence=0.0, iou_threshold=1.0)
    return Detector(graph, network, preset)


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(6)]


def video(images: Sequence[NDArray[np.uint8]], source: int = 0) -> list[Frame]:
    return [
        Frame("v.mp4", None, image, source, frame_index=number)
        for number, image in enumerate(images)
    ]


def stills(images: Sequence[NDArray[np.uint8]]) -> list[Frame]:
    return [Frame(f"{n}.png", None, image, n) for n, image in enumerate(images)]


class Kept:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.scores: list[list[float]] = []

    def write(self, frame: Frame, detections: Detections) -> None:
        self.scores.append(detections.confidences.tolist())

    def close(self) -> None: ...


def alike(found: list[list[float]], expected: list[list[float]]) -> bool:
    return np.shape(found) == np.shape(expected) and np.allclose(found, expected, atol=1e-5)


def scores(
    sources: Sequence[Frame | Failure], batch: int = 1, using: Detector | None = None
) -> list[list[float]]:
    kept = Kept()
    detect_all(
        using or detector(), iter(sources), batch_size=batch, writers=[kept], report=Report("x")
    )
    assert all(len(found) == CELLS for found in kept.scores)
    return kept.scores


def test_a_video_is_remembered_and_images_are_not(images: list[NDArray[np.uint8]]) -> None:
    same = [images[0]] * 3
    first, second, third = scores(video(same))
    assert not alike([first], [second]) and not alike([second], [third])
    assert alike(scores(stills(same)), [first] * 3)


@pytest.mark.parametrize("batch", [2, 4, 8])
def test_the_size_of_batches_makes_no_difference(
    batch: int, images: list[NDArray[np.uint8]]
) -> None:
    sources = [*video(images[:5]), Failure("v.mp4", "broken"), *video(images[:3], source=1)]
    sources += stills(images)
    assert alike(scores(sources, batch), scores(sources))


def test_every_video_and_every_run_starts_anew(images: list[NDArray[np.uint8]]) -> None:
    network = detector()
    once = scores(video(images), using=network)
    twice = scores([*video(images), *video(images, source=1)], using=network)
    assert alike(twice, once + once)


def test_a_video_that_changes_its_size_starts_anew(images: list[NDArray[np.uint8]]) -> None:
    large = [image.repeat(2, axis=0).repeat(2, axis=1) for image in images[:2]]
    changing = video([*images[:2], *large])
    assert alike(scores(changing, 4)[2:], scores(video(large)))


def test_other_networks_batch_over_the_ends_of_videos(images: list[NDArray[np.uint8]]) -> None:
    plain = detector(TEXT.replace("[crnn]\noutput=6\nhidden=4", "[convolutional]\nfilters=6"))
    sizes = []
    inner = plain.detect_batch

    def counting(batch: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        sizes.append(len(batch))
        return inner(batch)

    plain.detect_batch = counting  # type: ignore[method-assign]
    scores([*video(images[:3]), *video(images[:3], source=1)], 4, plain)
    assert (plain.remembers, sizes) == (False, [4, 2])


def test_a_recurrent_network_is_no_onnx_file(tmp_path: Path) -> None:
    graph = compile_text(TEXT, "video.cfg")
    network = compile_network(graph)
    initialise(network, seed=3)
    with pytest.raises(UsageError) as caught:
        export_onnx(Model(graph, network), tmp_path / "x.onnx", OnnxSettings())
    assert str(caught.value) == (
        "video.cfg cannot be written as ONNX: layer 1 [crnn] remembers what it was given before, "
        "and the file would not\nexpected: a network without recurrent layers"
    )
    assert not list(tmp_path.iterdir())
