"""Small videos, detections and a web server on the loopback, made for each test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from yolo_gp.detections import Detections
from yolo_gp.tasks.frames import Frame

Image8 = NDArray[np.uint8]


@pytest.fixture
def detections() -> Callable[..., Detections]:
    """Make Detections from rows of (left, top, right, bottom, confidence, class)."""

    def make(
        rows: list[tuple[float, ...]], size: tuple[int, int] = (48, 64), names: tuple[str, ...] = ()
    ) -> Detections:
        table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
        return Detections(table[:, :4], table[:, 4], table[:, 5].long(), size, names)

    return make


@pytest.fixture
def still() -> Callable[..., Frame]:
    """Make the Frame of a still image."""

    def make(name: str, source: int = 0, size: tuple[int, int] = (48, 64)) -> Frame:
        return Frame(name, Path(name), np.full((*size, 3), 90, np.uint8), source)

    return make


@pytest.fixture
def write_video() -> Callable[..., Path]:
    """Write frames to a video file."""

    def write(
        path: Path,
        frames: list[Image8],
        *,
        codec: str = "mpeg4",
        rotation: tuple[int, bool] | None = None,
        container_options: dict[str, str] | None = None,
        metadata: tuple[str, str] | None = None,
    ) -> Path:
        encoding = metadata[1] if metadata else "utf-8"
        with av.open(
            path, "w", options=container_options or {}, metadata_encoding=encoding
        ) as container:
            if metadata:
                container.metadata["title"] = metadata[0]
            stream = container.add_stream(codec, rate=Fraction(25))
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.bit_rate = 4_000_000
            stream.gop_size = 5
            if rotation:
                stream.set_display_rotation(rotation[0], hflip=rotation[1])
            for image in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture
def shades() -> Callable[[int], list[Image8]]:
    """Frames of 48 x 64 pixels; frame i is grey of 10 i, so that its number can be read."""

    def make(count: int) -> list[Image8]:
        return [np.full((48, 64, 3), 10 * i, np.uint8) for i in range(count)]

    return make


@pytest.fixture
def web() -> Iterator[Callable[..., str]]:
    """Serve what is registered with it; returns the address. Bodies may lie about their length."""
    pages: dict[str, tuple[int, dict[str, str], bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = pages.get(self.path.split("?")[0], (404, {}, b"nothing"))
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def register(
        path: str, body: bytes, headers: dict[str, str] | None = None, status: int = 200
    ) -> str:
        pages[path] = (status, headers or {}, body)
        return f"http://127.0.0.1:{server.server_port}{path}"

    yield register
    server.shutdown()
    thread.join()
    server.server_close()
