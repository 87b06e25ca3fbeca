"""A network that learns in seconds, and four pictures for it to learn by heart."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from yolo_gp.tasks.ranks import Ranks
from yolo_gp.tasks.train import train
from yolo_gp.tasks.train_folder import read_run
from yolo_gp.tasks.train_settings import TrainSettings
from yolo_gp.tasks.train_setup import begin, go_on
from yolo_gp.tasks.train_state import Training
from yolo_gp.tasks.train_stop import StopRequest

SIZE = 64
NAMES = ("square", "bar")
CFG = """[net]
width=64
height=64
channels=3
batch=4
subdivisions=1
max_batches=60
learning_rate=0.005
policy=sgdr
momentum=0.9
decay=0.0005
flip=0
# colours stay as they are: saturation, exposure and hue are absent

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=32
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=32
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=32
size=3
stride=1
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=32
size=3
stride=1
pad=1
activation=leaky

[convolutional]
filters=14  # 2 anchors of 5 + 2
size=1
activation=linear

[yolo]
mask=0,1
anchors=16,16, 32,10
classes=2  # square, bar
num=2
jitter=0
iou_loss=mse
iou_normalizer=0.5
"""
# left, top, right, bottom, class
OBJECTS = (
    ((4, 6, 20, 22, 0), (26, 44, 58, 54, 1)),
    ((30, 10, 46, 26, 0),),
    ((8, 30, 40, 40, 1), (44, 4, 60, 20, 0)),
    ((20, 8, 52, 18, 1), (6, 40, 22, 56, 0)),
)
COLOURS = ((230, 60, 40), (50, 90, 220))


def write_scenes(folder: Path, names: tuple[str, ...] = NAMES, copies: int = 1) -> Path:
    """The pictures and their boxes as COCO JSON, scenes.json; so many times."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, objects in enumerate(OBJECTS * copies, 1):
        pixels = np.full((SIZE, SIZE, 3), 110, np.uint8)
        for left, top, right, bottom, class_id in objects:
            pixels[top:bottom, left:right] = COLOURS[class_id]
            size = [right - left, bottom - top]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": class_id + 1,
                    "bbox": [left, top, *size],
                    "area": size[0] * size[1],
                    "iscrowd": 0,
                }
            )
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": SIZE, "width": SIZE})
    categories = [{"id": i, "name": name} for i, name in enumerate(names, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "scenes.json").write_text(json.dumps(content))
    return folder / "scenes.json"


def write_tiny(folder: Path, cfg: str = CFG) -> tuple[Path, Path]:
    """The cfg and the scenes; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.cfg").write_text(cfg)
    return folder / "tiny.cfg", write_scenes(folder)


def tiny_settings(folder: Path, **changes: object) -> TrainSettings:
    """Training the tiny network on the four pictures, which lie in `folder`; measured on them."""
    values: dict[str, object] = {
        "cfg": str(folder / "tiny.cfg"),
        "data": str(folder / "scenes.json"),
        "val_data": str(folder / "scenes.json"),
        "workers": 0,
        "val_every": 100,
    }
    if changes.get("validate") is False:
        del values["val_data"], values["val_every"]
    return TrainSettings(**{**values, **changes})  # type: ignore[arg-type]


def begun(folder: Path, run: str = "run", **changes: object) -> Training:
    """A run in `folder`/`run` that has not made a step."""
    if not (folder / "tiny.cfg").exists():
        write_tiny(folder)
    return begin(tiny_settings(folder, **changes), Ranks(), save_dir=folder / run).run


def resumed(folder: Path) -> Training:
    """The run in a folder, where its last checkpoint stands."""
    stored = read_run(folder)
    return go_on(stored, stored.settings, Ranks()).run


def finished(run: Training) -> Training:
    """The run when all its iterations are made."""
    for _ in train(run, StopRequest()):
        pass
    return run


def weights_of(folder: Path) -> dict[str, Tensor]:
    """The weights that are kept last."""
    return load_file(folder / "last.safetensors")


def results_of(folder: Path) -> list[list[str]]:
    """The table of epochs without what depends on the machine's speed."""
    rows = list(csv.reader((folder / "metrics.csv").open()))
    kept = [i for i, name in enumerate(rows[0]) if name not in ("images_per_second", "waiting")]
    return [[row[i] for i in kept] for row in rows]
