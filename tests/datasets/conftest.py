"""Small data sets, made for each test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Write = Callable[..., Path]


@pytest.fixture
def picture(tmp_path: Path) -> Write:
    """Write a picture of (height, width), by default 100 x 200; no two calls write the same one."""
    made = np.random.default_rng(1)

    def write(name: str, size: tuple[int, int] = (100, 200), **options: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((*size, 3), made.integers(0, 255, 3), np.uint8)
        Image.fromarray(pixels).save(path, **options)
        return path

    return write


@pytest.fixture
def text(tmp_path: Path) -> Write:
    """Write a text file."""

    def write(name: str, content: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    return write


@pytest.fixture
def yolo(picture: Write, text: Write, tmp_path: Path) -> Write:
    """One 100 x 200 picture, images/a.jpg, with a label file; classes cat and dog."""

    def write(labels: str | None, *, names: str = "cat\ndog\n") -> Path:
        picture("images/a.jpg")
        (tmp_path / "labels").mkdir(exist_ok=True)
        if labels is not None:
            text("labels/a.txt", labels)
        text("data.names", names)
        return tmp_path

    return write


@pytest.fixture
def coco(picture: Write, text: Write) -> Write:
    """One 100 x 200 picture, image 7, with COCO annotations; categories 3 cat and 5 dog."""

    def write(
        *annotations: dict[str, object],
        images: list[dict[str, object]] | None = None,
        categories: list[dict[str, object]] | None = None,
    ) -> Path:
        picture("images/a.jpg")
        image = {"id": 7, "file_name": "a.jpg", "height": 100, "width": 200}
        content = {
            "images": [image] if images is None else images,
            "annotations": [
                {"id": n, "image_id": 7, "category_id": 3, "iscrowd": 0, **each}
                for n, each in enumerate(annotations, start=1)
            ],
            "categories": categories or [{"id": 5, "name": "dog"}, {"id": 3, "name": "cat"}],
        }
        return text("data.json", json.dumps(content))

    return write
