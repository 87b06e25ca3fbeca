"""A web server on this machine that answers as it is told, well or badly, and counts."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Reply(BaseHTTPRequestHandler):
    """One request, to be answered by an `Answer`."""

    server: _Http

    def do_GET(self) -> None:
        with suppress(ConnectionError):
            self.server.owner.answer(self)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def start(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def body(self, data: bytes) -> None:
        sent = self.server.owner.sent
        sent[self.path] = sent.get(self.path, 0) + len(data)
        self.wfile.write(data)
        self.wfile.flush()


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: FileServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), Reply)


Answer = Callable[[Reply], None]


class FileServer:
    """Gives each path its answers one after another; the last one from then on.

    Attributes:
        asked: the path and the headers of every request.
        sent: bytes of bodies that were sent, by path.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self._answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sent: dict[str, int] = {}
        self._http = _Http(self)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        scheme = "https" if certificate is not None else "http"
        self.url = f"{scheme}://127.0.0.1:{self._http.server_address[1]}"

    def serve(self, path: str, *answers: Answer) -> str:
        """Say how a path is answered; gives its address."""
        self._answers[path] = list(answers)
        return self.url + path

    def ranges(self, path: str) -> list[str | None]:
        """The `Range` of every request for a path."""
        return [headers.get("Range") for asked, headers in self.asked if asked == path]

    def answer(self, reply: Reply) -> None:
        """Give the next answer of the path that was asked for."""
        self.asked.append((reply.path, dict(reply.headers)))
        answers = self._answers.get(reply.path, [status(404)])
        (answers.pop(0) if len(answers) > 1 else answers[0])(reply)

    @contextmanager
    def running(self) -> Iterator[FileServer]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()


def status(code: int, **headers: str) -> Answer:
    """No body. Names of headers are written with underscores: Retry_After="7"."""

    def answer(reply: Reply) -> None:
        fields = {key.replace("_", "-"): value for key, value in headers.items()}
        reply.start(code, {"Content-Length": "0", **fields})

    return answer


def redirect(target: str) -> Answer:
    return status(302, Location=target)


def plain(body: bytes, headers: dict[str, str]) -> Answer:
    """200 with these headers and no others; a Content-Length only if they hold one."""

    def answer(reply: Reply) -> None:
        reply.start(200, headers)
        reply.body(body)

    return answer


def content(
    body: bytes,
    *,
    etag: str | None = None,
    ranges: bool = True,
    heeds_if_range: bool = True,
    breaks_after: int | None = None,
    pause: Callable[[], object] | None = None,
) -> Answer:
    """A file as a sound server sends it.

    Args:
        ranges: whether `Range` is heeded.
        breaks_after: close the connection after so many bytes of the body.
        pause: called when the first 100,000 bytes of the body are sent.
    """

    def answer(reply: Reply) -> None:
        headers = {"ETag": etag} if etag is not None else {}
        asked = re.fullmatch(r"bytes=(\d+)-", reply.headers.get("Range", ""))
        version = reply.headers.get("If-Range")
        start = int(asked[1]) if asked and ranges else 0
        if heeds_if_range and version not in (None, etag):
            start = 0
        if start >= len(body):
            headers |= {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"}
            return reply.start(416, headers)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        headers["Content-Length"] = str(len(body) - start)
        reply.start(206 if start else 200, headers)
        end = len(body) if breaks_after is None else min(len(body), start + breaks_after)
        halt = min(end, start + 100_000)
        reply.body(body[start:halt])
        if pause is not None:
            pause()
        if halt < end:
            reply.body(body[halt:end])
        return None

    return answer
