"""One file by HTTP, against a server on this machine that does all that servers do wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from yolo_gp.download import DownloadError, DownloadSettings, Wanted, fetch
from yolo_gp.download.http import UnusableAddress, check_redirect, seconds_to_wait
from yolo_gp.errors import UsageError, WeightsError

from .file_server import FileServer, Reply, content, plain, redirect, status

BODY = random.Random(0).randbytes(200_000)
OTHER = random.Random(1).randbytes(200_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
SHA1 = hashlib.sha1(BODY).hexdigest()
PATH = "/net.weights"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer().running() as running:
        yield running


@pytest.fixture
def mirror() -> Iterator[FileServer]:
    with FileServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class Heard:
    """Keeps what a download tells."""

    notes: list[str] = field(default_factory=list)
    begun: list[tuple[str, int, int | None]] = field(default_factory=list)
    arrived: int = 0
    ended: int = 0

    def begin(self, name: str, done: int, total: int | None) -> None:
        self.begun.append((name, done, total))

    def advance(self, count: int) -> None:
        self.arrived += count

    def end(self) -> None:
        self.ended += 1

    def note(self, message: str) -> None:
        self.notes.append(message)


class Download:
    """Fetches net.weights into an empty folder; waits for nothing, but remembers the pauses."""

    def __init__(self, folder: Path) -> None:
        self.target = folder / "net.weights"
        self.part = folder / "net.weights.part"
        self.heard = Heard()
        self.pauses: list[float] = []

    def __call__(
        self,
        *urls: str,
        sha256: str | None = SHA256,
        sha1: str | None = None,
        sizes: tuple[int, ...] = (len(BODY),),
        check: Callable[[Path], None] | None = None,
        read_timeout: float = 30.0,
        attempts: int = 4,
    ) -> None:
        settings = DownloadSettings(
            sleep=self.pauses.append,
            jitter=lambda: 0.0,
            read_timeout=read_timeout,
            attempts=attempts,
        )
        wanted = Wanted(name="net.weights", urls=urls, sizes=sizes, sha256=sha256, sha1=sha1)
        fetch(wanted, self.target, check=check, settings=settings, progress=self.heard)

    def fails(self, *urls: str, **how: object) -> str:
        """The message of a download that fails, which must leave no file of that name."""
        with pytest.raises(WeightsError) as caught:
            self(*urls, **how)  # type: ignore[arg-type]
        assert not self.target.exists()
        return str(caught.value)

    def leave_part(self, start: bytes, url: str, etag: str | None = None) -> None:
        """What a process that was stopped leaves behind."""
        self.part.write_bytes(start)
        origin = {"url": url, "etag": etag, "modified": None}
        self.part.with_name("net.weights.part.json").write_text(json.dumps(origin))


@pytest.fixture
def download(tmp_path: Path) -> Download:
    return Download(tmp_path)


# -- when all goes well ----------------------------------------------------------------------------


def test_a_file_arrives_and_nothing_else_is_left(server: FileServer, download: Download) -> None:
    download(server.serve(PATH, content(BODY)))
    assert download.target.read_bytes() == BODY
    assert list(download.target.parent.iterdir()) == [download.target]
    heard = download.heard
    assert (heard.begun, heard.arrived, heard.ended) == ([("net.weights", 0, 200_000)], 200_000, 1)


def test_a_file_address_is_read_from_the_disk(tmp_path: Path, download: Download) -> None:
    (tmp_path / "a mirror").mkdir()
    source = tmp_path / "a mirror/net.weights"
    source.write_bytes(BODY)
    download(source.as_uri())
    assert download.target.read_bytes() == BODY


def test_a_file_address_without_a_file_says_so(tmp_path: Path, download: Download) -> None:
    assert "no such file or directory" in download.fails((tmp_path / "gone.weights").as_uri())


def test_a_file_address_of_another_machine_is_not_read(download: Download) -> None:
    assert "of another machine" in download.fails("file://server/net.weights")


def test_a_redirect_is_followed(server: FileServer, mirror: FileServer, download: Download) -> None:
    mirror.serve("/real", content(BODY))
    download(server.serve(PATH, redirect(f"{mirror.url}/real")))
    assert download.target.read_bytes() == BODY


def test_a_relative_redirect_is_followed(server: FileServer, download: Download) -> None:
    server.serve("/real", content(BODY))
    download(server.serve(PATH, redirect("/real")))
    assert download.target.read_bytes() == BODY


def test_proxies_of_the_environment_are_used(
    server: FileServer, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.serve("http://models.example/net.weights", content(BODY))
    download("http://models.example/net.weights")
    assert download.target.read_bytes() == BODY


def test_a_body_that_is_compressed_unasked_is_unpacked(
    server: FileServer, download: Download
) -> None:
    packed = gzip.compress(BODY)
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(packed))}
    download(server.serve(PATH, plain(packed, headers)))
    assert download.target.read_bytes() == BODY
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


# -- resuming --------------------------------------------------------------------------------------


def test_a_broken_connection_is_resumed_where_it_broke(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY, breaks_after=150_000), content(BODY))
    download(url)
    assert download.target.read_bytes() == BODY
    first, second = server.ranges(PATH)
    assert first is None and second is not None
    resumed_at = int(second.removeprefix("bytes=").removesuffix("-"))
    assert 150_000 - 2**14 < resumed_at <= 150_000
    assert server.sent[PATH] == 150_000 + 200_000 - resumed_at
    assert download.heard.begun[1] == ("net.weights", resumed_at, 200_000)
    assert download.heard.notes == [
        f"net.weights: the connection broke after {resumed_at} of 200000 bytes; "
        "trying again in 1.0 s"
    ]


def test_a_part_of_an_earlier_process_is_continued(server: FileServer, download: Download) -> None:
    url = server.serve(PATH, content(BODY))
    download.leave_part(BODY[:120_000], url)
    download(url)
    assert download.target.read_bytes() == BODY
    assert (server.ranges(PATH), server.sent[PATH]) == (["bytes=120000-"], 80_000)


def test_a_part_of_another_address_is_continued_where_a_hash_will_tell(
    server: FileServer, download: Download
) -> None:
    download.leave_part(BODY[:120_000], "https://elsewhere.example/net.weights", etag='"a"')
    download(server.serve(PATH, content(BODY, etag='"b"')))
    assert download.target.read_bytes() == BODY
    assert server.sent[PATH] == 80_000


def test_without_a_hash_a_part_of_another_address_is_not_continued(
    server: FileServer, download: Download
) -> None:
    download.leave_part(OTHER[:120_000], "https://elsewhere.example/net.weights", etag='"a"')
    download(server.serve(PATH, content(BODY, etag='"a"')), sha256=None)
    assert download.target.read_bytes() == BODY


def test_without_a_hash_a_part_of_nobody_knows_which_version_is_not_continued(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY))
    download.leave_part(OTHER[:120_000], url)
    download(url, sha256=None)
    assert download.target.read_bytes() == BODY


def test_a_complete_part_is_only_verified(server: FileServer, download: Download) -> None:
    url = server.serve(PATH, content(BODY))
    download.leave_part(BODY, url)
    download(url)
    assert download.target.read_bytes() == BODY
    assert server.asked == []


def test_a_complete_part_of_unknown_size_is_found_to_be_complete(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY))
    download.leave_part(BODY, url)
    download(url, sizes=())
    assert download.target.read_bytes() == BODY
    assert PATH not in server.sent


def test_a_part_that_is_longer_than_the_file_is_thrown_away(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY))
    download.leave_part(BODY + b"more", url)
    download(url)
    assert download.target.read_bytes() == BODY


def test_a_part_of_unknown_size_that_is_longer_than_the_file_is_thrown_away(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY, etag='"a"'))
    download.leave_part(BODY + b"more", url, etag='"a"')
    download(url, sizes=(), sha256=None)
    assert download.target.read_bytes() == BODY
    assert "the part that is here is longer than the file" in download.heard.notes[0]


def test_a_server_without_ranges_starts_over(server: FileServer, download: Download) -> None:
    url = server.serve(PATH, content(BODY, ranges=False))
    download.leave_part(OTHER[:120_000], url)
    download(url)
    assert download.target.read_bytes() == BODY
    assert server.sent[PATH] == 200_000


def test_a_file_that_changed_between_parts_is_fetched_from_its_beginning(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY, etag='"new"'))
    download.leave_part(OTHER[:120_000], url, etag='"old"')
    download(url, sha256=None)
    assert download.target.read_bytes() == BODY
    assert server.asked[0][1]["If-Range"] == '"old"'


def test_a_changed_file_is_noticed_where_the_server_ignores_if_range(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY, etag='"new"', heeds_if_range=False))
    download.leave_part(OTHER[:120_000], url, etag='"old"')
    download(url, sha256=None)
    assert download.target.read_bytes() == BODY
    assert "the file has changed on the server" in download.heard.notes[0]


def test_a_damaged_part_is_thrown_away_and_the_file_fetched_afresh_once(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY))
    download.leave_part(OTHER[:120_000], url)
    download(url)
    assert download.target.read_bytes() == BODY
    assert server.ranges(PATH) == ["bytes=120000-", None]
    assert download.heard.notes[0].endswith(f"not {SHA256}; fetching it from the beginning")


def test_a_web_page_does_not_cost_the_part_that_is_here(
    server: FileServer, download: Download
) -> None:
    page = b"<html>log in to this network</html>"
    url = server.serve(PATH, plain(page, {"Content-Length": str(len(page))}))
    download.leave_part(BODY[:120_000], url)
    assert "web page" in download.fails(url)
    assert download.part.read_bytes() == BODY[:120_000]


# -- what servers do wrong -------------------------------------------------------------------------


def test_a_body_that_is_always_cut_off_is_given_up_and_its_part_kept(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY, breaks_after=100_000, ranges=False))
    text = download.fails(url)
    size = download.part.stat().st_size
    assert f"the connection broke after {size} of 200000 bytes (4 times in a row)" in text
    assert 100_000 - 2**14 < size <= 100_000
    assert BODY.startswith(download.part.read_bytes())


def test_a_server_that_breaks_often_is_not_given_up_while_bytes_arrive(
    server: FileServer, download: Download
) -> None:
    download(server.serve(PATH, content(BODY, breaks_after=40_000)), attempts=2)
    assert download.target.read_bytes() == BODY
    assert len(server.asked) > 4


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><title>moved</title>",
        b"\n <html></html>",
        b"\xef\xbb\xbf<?xml version='1'?>",
    ],
)
def test_a_web_page_is_no_weights_file(server: FileServer, download: Download, page: bytes) -> None:
    url = server.serve(PATH, plain(page, {"Content-Length": str(len(page))}))
    assert download.fails(url) == (
        f"cannot fetch net.weights\n  {url}\n    it sends a web page, not the file"
    )
    assert not download.part.exists()


@pytest.mark.parametrize("announced", [100_000, 300_000])
def test_a_server_that_announces_another_length_is_refused_before_anything_is_kept(
    server: FileServer, download: Download, announced: int
) -> None:
    url = server.serve(PATH, plain(BODY, {"Content-Length": str(announced)}))
    assert f"it announces {announced} bytes, not 200000" in download.fails(url)
    assert not download.part.exists()


def test_a_server_that_sends_less_than_it_announces_is_found_out(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, plain(BODY[:-1], {"Content-Length": "200000"}))
    assert "of 200000 bytes (4 times in a row)" in download.fails(url)


def test_a_server_that_announces_nothing_and_sends_too_little_is_found_out(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, plain(BODY[:-1], {}))
    assert "it ends after 199999 of 200000 bytes" in download.fails(url)


def test_a_server_that_announces_nothing_and_sends_too_much_is_stopped(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, plain(BODY + b"x", {}))
    assert "it sends more than 200000 bytes" in download.fails(url)
    assert not download.part.exists()


def test_a_body_that_only_claims_to_be_compressed_is_broken(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, plain(BODY, {"Content-Encoding": "gzip"}))
    assert "it sends a compressed body that cannot be unpacked" in download.fails(url)


def test_a_range_that_was_not_asked_for_is_refused(server: FileServer, download: Download) -> None:
    def whole(reply: Reply) -> None:
        reply.start(206, {"Content-Range": "bytes 0-199999/200000"})

    url = server.serve(PATH, whole)
    download.leave_part(BODY[:120_000], url)
    assert "it sends another range than it was asked for" in download.fails(url)


def test_a_wrong_hash_falls_through_to_the_mirror_and_says_so(
    server: FileServer, mirror: FileServer, download: Download
) -> None:
    first = server.serve(PATH, content(OTHER))
    second = mirror.serve(PATH, content(BODY))
    download(first, second)
    assert download.target.read_bytes() == BODY
    other = hashlib.sha256(OTHER).hexdigest()
    assert download.heard.notes == [
        f"{first}: what it sends is not the file: its sha256 is {other}, not {SHA256}; "
        f"trying {second}"
    ]


@pytest.mark.parametrize("known", [{"sha256": SHA256}, {"sha256": None, "sha1": SHA1}])
def test_a_wrong_hash_is_never_kept(
    server: FileServer, download: Download, known: dict[str, str | None]
) -> None:
    text = download.fails(server.serve(PATH, content(OTHER)), **known)
    assert next(value for value in known.values() if value) in text
    assert not download.part.exists()
    assert len(server.asked) == 1


def test_a_file_that_the_check_refuses_is_never_kept(
    server: FileServer, download: Download
) -> None:
    def refuse(path: Path) -> None:
        assert path.read_bytes() == BODY
        raise WeightsError("it is for another cfg")

    url = server.serve(PATH, content(BODY))
    text = download.fails(url, sha256=None, check=refuse)
    assert "what it sends is not the file: it is for another cfg" in text


def test_a_missing_file_falls_through_to_the_mirror_at_once(
    server: FileServer, mirror: FileServer, download: Download
) -> None:
    download(server.serve(PATH, status(404)), mirror.serve(PATH, content(BODY)))
    assert download.target.read_bytes() == BODY
    assert (len(server.asked), download.pauses) == (1, [])
    assert "it answers 404 Not Found" in download.heard.notes[0]


def test_all_addresses_that_failed_are_named_with_their_reasons(
    server: FileServer, mirror: FileServer, download: Download
) -> None:
    first, second = server.serve(PATH, status(404)), mirror.serve(PATH, status(403))
    with pytest.raises(DownloadError) as caught:
        download(first, second)
    assert [failure.url for failure in caught.value.failures] == [first, second]
    assert str(caught.value) == (
        f"cannot fetch net.weights\n  {first}\n    it answers 404 Not Found\n"
        f"  {second}\n    it answers 403 Forbidden"
    )


# -- patience --------------------------------------------------------------------------------------


def test_pauses_double_until_the_server_recovers(server: FileServer, download: Download) -> None:
    download(server.serve(PATH, status(500), status(502), status(503), content(BODY)))
    assert download.target.read_bytes() == BODY
    assert download.pauses == [1.0, 2.0, 4.0]


def test_pauses_are_shortened_at_random_by_up_to_a_half(server: FileServer, tmp_path: Path) -> None:
    pauses: list[float] = []
    settings = DownloadSettings(sleep=pauses.append, jitter=lambda: 1.0)
    url = server.serve(PATH, status(500), status(500), content(BODY))
    wanted = Wanted(name="net.weights", urls=(url,), sha256=SHA256)
    fetch(wanted, tmp_path / "net.weights", settings=settings)
    assert pauses == [0.5, 1.0]


def test_a_server_that_stays_down_is_given_up(server: FileServer, download: Download) -> None:
    text = download.fails(server.serve(PATH, status(503)))
    assert "it answers 503 Service Unavailable (4 times in a row)" in text
    assert len(server.asked) == 4


def test_the_pause_that_a_server_asks_for_is_kept(server: FileServer, download: Download) -> None:
    download(server.serve(PATH, status(429, Retry_After="7"), content(BODY)))
    assert download.pauses == [7.0]


def test_a_server_that_asks_for_a_long_pause_is_left_for_the_mirror(
    server: FileServer, mirror: FileServer, download: Download
) -> None:
    first = server.serve(PATH, status(429, Retry_After="3600"))
    download(first, mirror.serve(PATH, content(BODY)))
    assert download.pauses == []
    assert "it answers 429 Too Many Requests, and asks to wait 3600 s" in download.heard.notes[0]


def test_a_pause_may_be_given_as_a_time_of_day() -> None:
    moment = datetime.now(UTC) + timedelta(hours=1)
    assert seconds_to_wait(format_datetime(moment, usegmt=True)) == pytest.approx(3600, abs=60)
    assert seconds_to_wait("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_to_wait("soon") is None


def test_without_a_network_every_address_says_so(download: Download) -> None:
    with FileServer().running() as gone:
        url = gone.serve(PATH, content(BODY))
    text = download.fails(url)
    assert f"{url}\n    no connection: connection refused (4 times in a row)" in text


def test_a_server_that_falls_silent_is_not_waited_for(
    server: FileServer, download: Download
) -> None:
    quiet = threading.Event()
    url = server.serve(PATH, lambda handler: quiet.wait() and None)
    text = download.fails(url, read_timeout=0.05, attempts=1)
    quiet.set()
    assert "no connection: no answer in time" in text


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/net.weights", "file:///etc/hostname"])
def test_a_redirect_out_of_http_is_not_followed(
    server: FileServer, download: Download, target: str
) -> None:
    url = server.serve(PATH, redirect(target))
    scheme = target.partition(":")[0]
    assert f"it redirects to {scheme}://, which is not followed" in download.fails(url)


def test_a_redirect_may_gain_encryption_but_not_give_it_up() -> None:
    check_redirect("http://a.example/", "https://b.example/")
    check_redirect("https://a.example/", "https://b.example/")
    with pytest.raises(UnusableAddress, match="from https to http"):
        check_redirect("https://a.example/", "http://b.example/")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here: no certificate can be made")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += f" -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -out {path} -keyout -"
    key = subprocess.run(command.split(), check=True, capture_output=True).stdout
    path.write_bytes(key + path.read_bytes())
    return path


def test_a_redirect_from_https_to_http_is_not_followed(
    server: FileServer, certificate: Path, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server.serve("/real", content(BODY))
    with FileServer(certificate).running() as secure:
        secure.serve("/direct", content(BODY))
        url = secure.serve(PATH, redirect(f"{server.url}/real"))
        text = download.fails(url)
        assert "it redirects from https to http, which is not followed" in text
        assert server.asked == []
        download(secure.url + "/direct")
    assert download.target.read_bytes() == BODY


def test_a_server_whose_certificate_nobody_signed_is_refused_at_once(
    certificate: Path, download: Download
) -> None:
    with FileServer(certificate).running() as secure:
        text = download.fails(secure.serve(PATH, content(BODY)))
    assert "no secure connection:" in text
    assert "certificate" in text
    assert download.pauses == []


def test_a_server_that_redirects_in_circles_is_given_up(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, redirect(PATH))
    assert "it redirects more than 10 times" in download.fails(url)


@pytest.mark.parametrize(
    "name",
    [
        "../net.weights",
        "a/net.weights",
        "/tmp/net.weights",
        "..",
        "a..b",
        ".hidden",
        "",
        "a\\b",
        "a\n",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(
    server: FileServer, tmp_path: Path, name: str
) -> None:
    url = server.serve(PATH, content(BODY))
    (tmp_path / "inner").mkdir()
    with pytest.raises(UsageError, match="is no name for a file to fetch\nexpected: letters"):
        fetch(Wanted(name=name, urls=(url,)), tmp_path / "inner" / name)
    assert server.asked == []
    assert [path.name for path in tmp_path.rglob("*")] == ["inner"]


# -- the disk, and processes that die --------------------------------------------------------------

FETCH = """
import sys
from pathlib import Path
from yolo_gp.download import Wanted, fetch
url, target, sha256 = sys.argv[1:]
try:
    fetch(Wanted(name="net.weights", urls=(url,), sizes=(200_000,), sha256=sha256), Path(target))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def command(url: str, target: Path) -> list[str]:
    return [sys.executable, "-c", FETCH, url, str(target), SHA256]


def test_a_full_disk_keeps_the_part_and_says_how_much_room_is_needed(
    server: FileServer, download: Download
) -> None:
    url = server.serve(PATH, content(BODY))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    result = subprocess.run(
        command(url, download.target), preexec_fn=limit, capture_output=True, text=True
    )
    assert result.stderr.strip() == (
        f"WeightsError: cannot write {download.target}: file too large\n"
        f"expected: room for 150000 more bytes in {download.target.parent}\n"
        "help: make room, or set YOLO_GP_HOME to a folder on another disk; the 50000 bytes that "
        "are here are kept, and the next pull goes on from there"
    )
    assert not download.target.exists()
    assert download.part.read_bytes() == BODY[:50_000]
    download(url)
    assert download.target.read_bytes() == BODY
    assert server.ranges(PATH)[1] == "bytes=50000-"


def test_a_disk_without_room_is_noticed_before_anything_is_written(
    server: FileServer, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    text = download.fails(server.serve(PATH, content(BODY)))
    assert "no space left on device\nexpected: room for 200000 more bytes" in text
    assert not download.part.exists()


def test_a_folder_that_must_not_be_written_is_an_error(
    server: FileServer, closed_folder: Path
) -> None:
    url = server.serve(PATH, content(BODY))
    download = Download(closed_folder / "models")
    text = download.fails(url)
    assert text == (
        f"cannot write {download.target}: permission denied\n"
        "help: set YOLO_GP_HOME to a folder that can be written"
    )


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder into which this process may not write, even where it is root's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if user == 0:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_killed_process_leaves_a_part_that_the_next_one_continues(
    server: FileServer, download: Download
) -> None:
    half_sent, released = threading.Event(), threading.Event()

    def stall() -> None:
        half_sent.set()
        released.wait()

    url = server.serve(PATH, content(BODY, breaks_after=100_000, pause=stall), content(BODY))
    process = subprocess.Popen(command(url, download.target))
    assert half_sent.wait(60)
    while not download.part.exists() or download.part.stat().st_size < 100_000 - 2**14:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    released.set()
    assert not download.target.exists()
    have = download.part.stat().st_size
    server.sent.clear()
    download(url)
    assert download.target.read_bytes() == BODY
    assert server.sent[PATH] == 200_000 - have
