"""What an argument stands for; how stills and URLs become frames is in test_stills."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolo_gp.errors import UsageError
from yolo_gp.tasks import sources as sources_module
from yolo_gp.tasks import stills
from yolo_gp.tasks.frames import Failure, Frame
from yolo_gp.tasks.sources import Sources, open_sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paint(path: str, size: tuple[int, int] = (4, 3)) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10, 20, 30)).save(path)
    return path


def opened(*arguments: str, stdin: str | None = None) -> Sources:
    text = None if stdin is None else io.StringIO(stdin)
    return open_sources(arguments, stdin=text, channels=3)


def names(found: Sources) -> list[str]:
    """Names of frames; failures as 'name: reason'."""
    return [item.name if isinstance(item, Frame) else str(item) for item in found]


def test_arguments_come_in_the_order_given(folder: Path) -> None:
    paint("b.jpg"), paint("a.png")
    assert names(opened("b.jpg", "a.png")) == ["b.jpg", "a.png"]


def test_a_still_knows_its_path_and_number_but_no_frame_index(folder: Path) -> None:
    paint("a.jpg"), paint("b.jpg")
    first, second = opened("a.jpg", "b.jpg")
    assert isinstance(first, Frame) and isinstance(second, Frame)
    assert (second.path, second.source, second.frame_index, second.fps) == (
        Path("b.jpg"),
        1,
        None,
        None,
    )
    assert not second.is_video
    assert second.size == (3, 4)
    assert first.source == 0


def test_a_folder_stands_for_its_images_and_videos_sorted_and_not_recursive(
    folder: Path, write_video: Callable[..., Path], shades: Callable[[int], list[object]]
) -> None:
    for name in ("in/b.jpg", "in/a.PNG", "in/.hidden.jpg", "in/deeper/c.jpg"):
        paint(name)
    Path("in/notes.txt").write_text("no picture")
    write_video(Path("in/ab.mp4"), shades(2))
    assert names(opened("in")) == ["in/a.PNG", "in/ab.mp4", "in/ab.mp4", "in/b.jpg"]


def test_in_a_folder_a_folder_is_skipped_and_a_dangling_link_is_a_failure(folder: Path) -> None:
    paint("in/a.jpg"), paint("in/album.jpg/x.png")
    Path("in/b.jpg").symlink_to("nowhere")
    assert names(opened("in")) == ["in/a.jpg", "in/b.jpg: no such file or directory"]


def test_a_folder_without_images_is_a_failure(folder: Path) -> None:
    Path("in").mkdir()
    assert names(opened("in")) == [
        "in: the folder holds no image or video; its subfolders are not entered"
    ]


def test_a_glob_matches_images_only_sorted(folder: Path) -> None:
    for name in ("in/b.jpg", "in/a.jpg", "in/c.png", "in/sub/d.jpg"):
        paint(name)
    Path("in/b.txt").write_text("label")
    assert names(opened("in/*")) == ["in/a.jpg", "in/b.jpg", "in/c.png"]
    assert names(opened("in/?.jpg")) == ["in/a.jpg", "in/b.jpg"]
    assert names(opened("in/[ac].*")) == ["in/a.jpg", "in/c.png"]


def test_a_double_star_enters_folders(folder: Path) -> None:
    for name in ("in/a.jpg", "in/x/b.jpg", "in/x/y/c.jpg", "in/.cache/d.jpg"):
        paint(name)
    assert names(opened("in/**/*.jpg")) == ["in/a.jpg", "in/x/b.jpg", "in/x/y/c.jpg"]


def test_an_absolute_glob_works(folder: Path) -> None:
    paint("in/a.jpg")
    assert names(opened(f"{folder}/in/*.jpg")) == [f"{folder}/in/a.jpg"]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("*.jpg", "the pattern matches nothing"),
        ("*.txt", "the pattern matches only files that are no image or video"),
        ("[", "the pattern matches nothing"),
    ],
)
def test_a_glob_without_images_is_a_failure(folder: Path, pattern: str, reason: str) -> None:
    Path("b.txt").write_text("label")
    assert names(opened(pattern)) == [f"{pattern}: {reason}"]


@pytest.mark.parametrize("name", ["a[1].jpg", "star*.jpg", "really?.jpg"])
def test_a_real_file_with_glob_characters_is_taken_literally(folder: Path, name: str) -> None:
    paint(name), paint("a1.jpg"), paint("starry.jpg"), paint("reallyx.jpg")
    assert names(opened(name)) == [name]


def test_a_missing_file_does_not_stop_the_run(folder: Path) -> None:
    paint("a.jpg")
    assert names(opened("gone.jpg", "a.jpg")) == ["gone.jpg: no such file or folder", "a.jpg"]


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("", "no such file or folder"),
        ("a\0b", "no such file or folder"),
        ("x" * 5000, "file name too long"),
        ("ftp://x/a.jpg", "ftp addresses are not supported; http, https, rtsp, rtmp are"),
        ("http:///a.jpg", "the address names no server"),
        ("http://[::1", "not an address; give one like https://example.org/dog.jpg"),
    ],
)
def test_an_argument_that_means_nothing_is_a_failure(
    folder: Path, argument: str, reason: str
) -> None:
    assert list(opened(argument)) == [Failure(argument, reason)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(folder: Path) -> None:
    Path("in").mkdir()
    os.mkfifo("in/pipe.jpg")
    refused = ["in/pipe.jpg: not a regular file; a camera is named by its number"]
    assert names(opened("in/pipe.jpg")) == refused
    assert names(opened("in")) == refused


def test_a_dash_reads_one_argument_a_line_of_any_kind(folder: Path) -> None:
    paint("a.jpg"), paint("in/b.jpg"), paint("in/c.jpg"), paint("with space.jpg"), paint("z.jpg")
    lines = "\ufeffa.jpg\r\n\n  in  \nin/*b*\nwith space.jpg\nnope\n"
    assert names(opened("-", "z.jpg", stdin=lines)) == [
        "a.jpg",
        "in/b.jpg",
        "in/c.jpg",
        "in/b.jpg",
        "with space.jpg",
        "nope: no such file or folder",
        "z.jpg",
    ]


def test_a_dash_inside_the_list_is_a_failure(folder: Path) -> None:
    paint("a.jpg")
    assert names(opened("-", stdin="-\na.jpg")) == [
        "-: the list on standard input names standard input itself",
        "a.jpg",
    ]


def test_the_list_is_read_only_as_far_as_needed(folder: Path) -> None:
    paint("a.jpg")

    class Endless(io.StringIO):
        def __iter__(self) -> Iterator[str]:  # type: ignore[override]
            while True:
                yield "a.jpg\n"

    frames = iter(open_sources(["-"], stdin=Endless(), channels=3))
    assert [next(frames).name for _ in range(3)] == ["a.jpg"] * 3


def test_a_list_that_is_not_text_is_a_failure(folder: Path) -> None:
    paint("a.jpg")
    raw = io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), encoding="utf-8")
    assert names(open_sources(["-", "a.jpg"], stdin=raw, channels=3)) == [
        "-: the list on standard input is not utf-8 text",
        "a.jpg",
    ]


def test_frames_are_decoded_only_when_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        paint(f"{i}.jpg")
    decoded = []
    real = stills.decode_image

    def counting(file: io.BufferedReader, channels: int) -> np.ndarray:
        decoded.append(file.name)
        return real(file, channels)

    monkeypatch.setattr(stills, "decode_image", counting)
    frames = iter(opened("0.jpg", "1.jpg", "2.jpg"))
    assert decoded == []
    next(frames)
    next(frames)
    assert len(decoded) == 2


def test_a_number_is_a_camera_unless_a_file_has_that_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fake(name: str, number: int) -> Failure:
        asked.append(number)
        return Failure(name, "no camera here")

    monkeypatch.setattr(sources_module, "webcam", fake)
    paint("1/in_a_folder_called_1.jpg")
    assert names(opened("0", "1", "12")) == [
        "0: no camera here",
        "1/in_a_folder_called_1.jpg",
        "12: no camera here",
    ]
    assert asked == [0, 12]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://x/a.jpg", "StillUrl"),
        ("https://x/a", "StillUrl"),
        ("https://x/a.jpg?download=b.mp4", "StillUrl"),
        ("https://x/a.MP4?token=1", "VideoInput"),
        ("http://x/live.m3u8", "VideoInput"),
        ("rtsp://x/1", "VideoInput"),
        ("RTMP://x/1", "VideoInput"),
    ],
)
def test_an_address_is_a_stream_by_its_scheme_or_suffix(url: str, kind: str) -> None:
    (only,) = sources_module._inputs_of(url)
    assert type(only).__name__ == kind
    assert only.name == url


def test_rtsp_asks_for_tcp() -> None:
    (stream,) = sources_module._inputs_of("rtsp://x/1")
    assert stream.options == (("rtsp_transport", "tcp"),)
    assert stream.is_live


def test_the_count_hint_adds_stills_failures_and_declared_video_frames(
    folder: Path, write_video: Callable[..., Path], shades: Callable[[int], list[object]]
) -> None:
    paint("a.jpg"), paint("b.jpg")
    write_video(Path("c.mp4"), shades(7))
    Path("broken.mp4").write_bytes(b"no video at all")
    found = opened("a.jpg", "b.jpg", "c.mp4", "gone.jpg", "broken.mp4")
    assert found.count_hint() == 2 + 7 + 1 + 1
    assert len(list(found)) == 11


@pytest.mark.parametrize("argument", ["-", "0", "rtsp://127.0.0.1:1/x", "http://127.0.0.1:1/x.mp4"])
def test_there_is_no_count_hint_for_what_nobody_can_know(folder: Path, argument: str) -> None:
    paint("a.jpg")
    assert opened("a.jpg", argument, stdin="a.jpg").count_hint() is None


@pytest.mark.parametrize("channels", [0, 2, 5])
def test_a_network_of_other_channel_counts_is_a_usage_error(channels: int) -> None:
    with pytest.raises(UsageError) as caught:
        open_sources(["a.jpg"], stdin=None, channels=channels)
    assert str(caught.value) == (
        f"network takes {channels} channels; images can be given as 1 (grey), 3 (RGB) or 4 (RGBA)"
    )


def test_no_source_at_all_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no source; name an image, a video, a folder"):
        opened()


def test_a_dash_without_standard_input_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'-' reads names from standard input, but there is none"):
        opened("-")
