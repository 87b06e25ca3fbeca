"""Still images from files and http(s) URLs, decoded to upright 8-bit frames."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from yolo_gp.data.images import decode_image
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason
from yolo_gp.tasks.frames import Failure, Frame

MAX_DOWNLOAD_BYTES = 100 * 2**20  # a 100-megapixel JPEG is about 50 MB
MAX_DOWNLOAD_SECONDS = 120.0  # for the whole body, so that a trickle cannot hold up the run
_CONNECT_AND_READ_SECONDS = (10.0, 30.0)


@dataclass(frozen=True, slots=True)
class StillFile:
    """An image file."""

    name: str
    path: Path

    def count_hint(self) -> int | None:
        return 1

    def read(self, source: int, channels: int) -> Iterator[Frame | Failure]:
        """The one frame, or why there is none."""
        try:
            with self.path.open("rb") as file:
                image = decode_image(file, channels)
        except DataError as error:
            yield Failure(self.name, str(error))
        except OSError as error:
            yield Failure(self.name, os_reason(error))
        else:
            yield Frame(self.name, self.path, image, source)


@dataclass(frozen=True, slots=True)
class StillUrl:
    """An image behind an http(s) address."""

    name: str

    def count_hint(self) -> int | None:
        return 1

    def read(self, source: int, channels: int) -> Iterator[Frame | Failure]:
        """The one frame, or why there is none."""
        try:
            body, content_type = download(self.name)
        except DataError as error:
            yield Failure(self.name, str(error))
            return
        try:
            image = decode_image(io.BytesIO(body), channels)
        except DataError as error:
            yield Failure(self.name, f"{error} (the server sent {content_type})")
        else:
            yield Frame(self.name, None, image, source)


def download(
    url: str,
    *,
    max_bytes: int = MAX_DOWNLOAD_BYTES,
    max_seconds: float = MAX_DOWNLOAD_SECONDS,
) -> tuple[bytes, str]:
    """Fetch an http(s) address.

    Returns:
        The body, and the content type the server claims.

    Raises:
        DataError: no answer, an answer other than success, a body that is cut short, larger than
            `max_bytes` or slower than `max_seconds`.
    """
    deadline = time.monotonic() + max_seconds
    try:
        with requests.get(
            url,
            stream=True,
            timeout=_CONNECT_AND_READ_SECONDS,
            headers={"User-Agent": "yolo-gp", "Accept": "image/*,*/*;q=0.5"},
        ) as response:
            if not response.ok:
                raise DataError(f"the server answered {response.status_code} {response.reason}")
            content_type = response.headers.get("Content-Type", "no content type")
            return _read_body(response, max_bytes, deadline), content_type
    except requests.RequestException as error:
        raise DataError(_network_reason(error)) from error


def _read_body(response: requests.Response, max_bytes: int, deadline: float) -> bytes:
    too_large = DataError(f"the body is larger than {max_bytes:,} bytes; download it yourself")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        for chunk in response.iter_content(2**16):
            body += chunk
            if len(body) > max_bytes:
                raise too_large
            if time.monotonic() > deadline:
                raise DataError("the server sends too slowly; download it yourself")
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise DataError("the connection broke before the whole body had come") from error
    return bytes(body)


def _network_reason(error: requests.RequestException) -> str:
    """A sentence for the usual ways a download fails."""
    match error:
        case requests.exceptions.SSLError():
            return "no secure connection: the server's certificate is not accepted"
        case requests.Timeout():
            return "the server does not answer in time"
        case requests.TooManyRedirects():
            return "the server redirects in circles"
        case requests.ConnectionError():
            return "no connection to the server; check the address and the network"
    return f"the address cannot be fetched: {str(error).lower()}"
