"""Asks one address for a file: redirects, ranges, and what the answer means."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from yolo_gp.download.late import requests
from yolo_gp.download.settings import DownloadSettings
from yolo_gp.files import os_reason

if TYPE_CHECKING:
    from requests import Response, Session

# urllib3 loses what it holds of a chunk when the connection breaks within it.
CHUNK_BYTES = 2**14
_MAX_REDIRECTS = 10
_PASSING = (408, 425, 429)
"""Refusals that may be gone in a moment, beside all from 500 on."""


class UnusableAddress(Exception):
    """This address will not do, however often it is asked."""


class BrokenTransfer(Exception):
    """It may go better next time; `wait` is the pause in seconds that the server asks for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def check_redirect(origin: str, target: str) -> None:
    """Follow no redirect that leaves HTTP or gives up encryption.

    Raises:
        UnusableAddress: this one does.
    """
    before, after = urlsplit(origin).scheme, urlsplit(target).scheme
    if after not in ("http", "https"):
        raise UnusableAddress(f"it redirects to {after}://, which is not followed")
    if (before, after) == ("https", "http"):
        raise UnusableAddress("it redirects from https to http, which is not followed")


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer that holds the file, or the rest of it, or says there is no more.

    Fields:
        start: the byte of the file with which the body begins.
        total: bytes of the whole file as announced; None if the server does not say.
        is_exhausted: there is no body: the file ends where the asked range begins.
    """

    response: Response
    start: int
    total: int | None
    is_exhausted: bool = False

    @property
    def etag(self) -> str | None:
        return self.response.headers.get("ETag")

    @property
    def modified(self) -> str | None:
        return self.response.headers.get("Last-Modified")

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes.

        Raises:
            BrokenTransfer: it breaks off.
        """
        try:
            yield from self.response.iter_content(CHUNK_BYTES)
        except requests.exceptions.ContentDecodingError as error:
            raise BrokenTransfer("it sends a compressed body that cannot be unpacked") from error
        except requests.RequestException as error:
            raise BrokenTransfer("the connection broke") from error


@contextlib.contextmanager
def ask(
    session: Session, url: str, headers: Mapping[str, str], settings: DownloadSettings
) -> Iterator[Answer]:
    """The answer of an address, after redirects.

    Raises:
        UnusableAddress, BrokenTransfer: there is none that holds the file.
    """
    headers = {"User-Agent": "yolo-gp", "Accept-Encoding": "identity", **headers}
    for _ in range(_MAX_REDIRECTS + 1):
        with _get(session, url, headers, settings) as response:
            if not response.is_redirect:
                yield _understand(response, _asked_start(headers))
                return
            target = urljoin(url, response.headers["Location"])
        check_redirect(url, target)
        url = target
    raise UnusableAddress(f"it redirects more than {_MAX_REDIRECTS} times")


def _get(
    session: Session, url: str, headers: Mapping[str, str], settings: DownloadSettings
) -> Response:
    timeout = (settings.connect_timeout, settings.read_timeout)
    try:
        return session.get(
            url, headers=headers, stream=True, allow_redirects=False, timeout=timeout
        )
    except requests.exceptions.SSLError as error:
        kind = UnusableAddress if "CERTIFICATE" in str(error) else BrokenTransfer
        raise kind(f"no secure connection: {_innermost_reason(error)}") from error
    except requests.exceptions.ProxyError as error:
        raise BrokenTransfer(f"no connection to the proxy: {_innermost_reason(error)}") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise BrokenTransfer(f"no connection: {_innermost_reason(error)}") from error
    except requests.RequestException as error:
        raise UnusableAddress(str(error)) from error


def _innermost_reason(error: BaseException) -> str:
    """What lies beneath the library's wrapping, such as "connection refused"."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "no answer in time"
    return os_reason(error) if isinstance(error, OSError) else str(error)


def _asked_start(headers: Mapping[str, str]) -> int:
    return int(headers.get("Range", "bytes=0-")[len("bytes=") : -1])


def _understand(response: Response, asked: int) -> Answer:
    status = response.status_code
    if status == 200:
        return Answer(response, 0, _announced_length(response))
    if status == 206:
        start, total = _content_range(response)
        is_encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        if start == asked and not is_encoded:
            return Answer(response, start, total)
        raise UnusableAddress("it sends another range than it was asked for")
    if status == 416 and asked:
        return Answer(response, asked, _content_range(response)[1], is_exhausted=True)
    reason = f"it answers {status} {response.reason}".rstrip()
    if status >= 500 or status in _PASSING:
        raise BrokenTransfer(reason, seconds_to_wait(response.headers.get("Retry-After")))
    raise UnusableAddress(reason)


def _announced_length(response: Response) -> int | None:
    """Bytes of the body; None if not said, or if said of the body in compressed form."""
    length = response.headers.get("Content-Length", "")
    is_encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    return None if is_encoded or not length.isdecimal() else int(length)


def _content_range(response: Response) -> tuple[int | None, int | None]:
    """First byte and the whole file's bytes, of "bytes 100-199/200" or "bytes */200"."""
    text = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", text.strip())
    if match is None:
        return None, None
    return (int(match[1]) if match[1] else None), (int(match[2]) if match[2] else None)


def seconds_to_wait(retry_after: str | None) -> float | None:
    """What a `Retry-After` header asks for: seconds, or a time of day; None if it says nothing."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no time, or one without a zone
        return None
