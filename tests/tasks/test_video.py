"""Videos written here with known frames, some of them damaged; cameras by their settings only."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from yolo_gp.errors import DataError
from yolo_gp.tasks import video
from yolo_gp.tasks.frames import Failure, Frame
from yolo_gp.tasks.sources import open_sources

Image8 = NDArray[np.uint8]
WriteVideo = Callable[..., Path]
Shades = Callable[[int], list[Image8]]


def read(path: Path, channels: int = 3) -> tuple[list[Frame], list[Failure]]:
    frames: list[Frame] = []
    failures: list[Failure] = []
    for item in open_sources([str(path)], stdin=None, channels=channels):
        if isinstance(item, Frame):
            assert not failures, "a failure comes after the frames"
            frames.append(item)
        else:
            failures.append(item)
    return frames, failures


def noise(count: int) -> list[Image8]:
    """Frames that compress badly, so that damage hits pixels."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_all_frames_come_in_order(
    tmp_path: Path, write_video: WriteVideo, shades: Shades, suffix: str
) -> None:
    frames, failures = read(write_video(tmp_path / f"a{suffix}", shades(20)))
    assert failures == []
    assert [frame.frame_index for frame in frames] == list(range(20))
    for i, frame in enumerate(frames):
        assert frame.image.shape == (48, 64, 3)
        assert abs(float(frame.image.mean()) - 10 * i) < 4
    assert {frame.source for frame in frames} == {0}
    assert {frame.fps for frame in frames} == {Fraction(25)}
    assert {frame.path for frame in frames} == {tmp_path / f"a{suffix}"}
    assert all(frame.is_video for frame in frames)


def test_frames_of_one_video_share_a_number_that_no_other_source_has(
    tmp_path: Path, write_video: WriteVideo, shades: Shades
) -> None:
    write_video(tmp_path / "a.mp4", shades(2))
    write_video(tmp_path / "b.mp4", shades(3))
    found = open_sources([str(tmp_path)], stdin=None, channels=3)
    assert [item.source for item in found if isinstance(item, Frame)] == [0, 0, 1, 1, 1]


def test_colours_are_rgb_and_grey_is_one_channel(tmp_path: Path, write_video: WriteVideo) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 255
    path = write_video(tmp_path / "a.mp4", [red])
    ((frame,), _) = read(path)
    assert np.abs(frame.image.astype(int) - red.astype(int)).max() < 8
    ((grey,), _) = read(path, channels=1)
    assert grey.image.shape == (48, 64, 1)
    assert abs(float(grey.image.mean()) - 76) < 4  # .299 * 255
    ((rgba,), _) = read(path, channels=4)
    assert (rgba.image[..., 3] == 255).all()


# Quadrants of the stored picture, row by row: 10, 80, 150, 220. Worked out by hand: where each
# goes when the picture is first mirrored (left and right change places), then turned
# counterclockwise by the angle, which is how FFmpeg composes them.
@pytest.mark.parametrize(
    ("rotation", "quadrants"),
    [
        ((0, False), [10, 80, 150, 220]),
        ((90, False), [80, 220, 10, 150]),
        ((-90, False), [150, 10, 220, 80]),
        ((180, False), [220, 150, 80, 10]),
        ((0, True), [80, 10, 220, 150]),
    ],
)
@pytest.mark.skipif(
    not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV writes no rotation"
)
def test_rotation_is_honoured(
    tmp_path: Path, write_video: WriteVideo, rotation: tuple[int, bool], quadrants: list[int]
) -> None:
    stored = np.repeat(np.repeat([[10, 80], [150, 220]], 32, 0), 48, 1).astype(np.uint8)
    picture = np.dstack([stored] * 3)
    frames, _ = read(write_video(tmp_path / "a.mp4", [picture], rotation=rotation))
    image = frames[0].image
    assert image.shape == ((64, 96, 3) if rotation[0] % 180 == 0 else (96, 64, 3))
    height, width = image.shape[:2]
    centers = [
        int(image[y, x, 0])
        for y in (height // 4, height * 3 // 4)
        for x in (width // 4, width * 3 // 4)
    ]
    assert np.abs(np.array(centers) - quadrants).max() < 6


def test_one_frame_at_a_time_is_in_memory(tmp_path: Path, write_video: WriteVideo) -> None:
    frames = [np.full((480, 640, 3), i, np.uint8) for i in range(60)]
    path = write_video(tmp_path / "a.mp4", frames)
    tracemalloc.start()
    count = sum(1 for _ in open_sources([str(path)], stdin=None, channels=3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60
    assert peak < 6 * frames[0].nbytes


def test_a_video_cut_off_in_the_middle_gives_its_frames_and_a_failure(
    tmp_path: Path, write_video: WriteVideo
) -> None:
    whole = write_video(
        tmp_path / "whole.mp4", noise(40), container_options={"movflags": "faststart"}
    )
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5])
    frames, (failure,) = read(cut)
    assert 15 < len(frames) < 30
    assert failure.name == str(cut)
    assert failure.reason == f"the video is damaged in 1 place; {len(frames)} frames were read"


# FFmpeg tells of damage in three ways: ffv1 checks its frames and refuses the packet, mpeg4
# conceals the error and marks the frame, and a packet that ends too soon is marked itself.
@pytest.mark.parametrize(
    ("codec", "kept", "garbled", "frames_read"),
    [("ffv1", 1.0, 300, 39), ("mpeg4", 1.0, 300, 40), ("ffv1", 0.6, 0, 23)],
)
def test_damage_is_told_however_ffmpeg_tells_it(
    tmp_path: Path, write_video: WriteVideo, codec: str, kept: float, garbled: int, frames_read: int
) -> None:
    path = write_video(tmp_path / "a.avi", noise(40), codec=codec)
    data = bytearray(path.read_bytes())
    data = data[: int(len(data) * kept)]
    middle = len(data) // 2
    data[middle : middle + garbled] = b"\xff" * garbled
    path.write_bytes(data)
    frames, (failure,) = read(path)
    assert failure.reason == f"the video is damaged in 1 place; {len(frames)} frames were read"
    assert abs(len(frames) - frames_read) <= 1


def test_a_matroska_file_that_ends_early_is_a_failure_although_ffmpeg_is_silent(
    tmp_path: Path, write_video: WriteVideo
) -> None:
    whole = write_video(tmp_path / "whole.mkv", noise(50))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5])
    frames, (failure,) = read(cut)
    seconds = len(frames) / 25
    assert failure.reason == (
        f"the video is cut off: it ends after {seconds:.1f} of 2.0 seconds;"
        f" {len(frames)} frames were read"
    )
    assert 20 < len(frames) < 40


def test_damage_in_the_middle_does_not_stop_the_rest(
    tmp_path: Path, write_video: WriteVideo
) -> None:
    path = write_video(tmp_path / "a.mp4", noise(40))
    whole, _ = read(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = b"\xff" * 20_000
    path.write_bytes(data)
    frames, (failure,) = read(path)
    assert 20 < len(frames) < 40
    assert np.array_equal(frames[-1].image, whole[-1].image)
    assert re.fullmatch(
        rf"the video is damaged in \d+ places; {len(frames)} frames were read", failure.reason
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello" * 999, "the video cannot be opened: not a video, or damaged, or cut short"),
    ],
)
def test_what_is_no_video_is_a_failure(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert read(path) == ([], [Failure(str(path), reason)])


def test_sound_without_a_picture_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    assert read(path) == ([], [Failure(str(path), "the file holds no video")])


def test_pixels_that_have_no_way_to_rgb_are_a_failure(
    tmp_path: Path, write_video: WriteVideo, shades: Shades, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: av.VideoFrame) -> None:
        raise ValueError("Conversion to numpy array with format xyz is not supported")

    path = write_video(tmp_path / "a.mp4", shades(2))
    monkeypatch.setattr(video, "_upright_rgb", refuse)
    reason = "conversion to numpy array with format xyz is not supported"
    assert read(path) == ([], [Failure(str(path), f"frame 0 cannot be used: {reason}")])


def test_a_title_in_another_encoding_does_not_cost_the_video(
    tmp_path: Path, write_video: WriteVideo, shades: Shades
) -> None:
    path = write_video(tmp_path / "a.avi", shades(2), metadata=("café", "latin-1"))
    assert b"caf\xe9" in path.read_bytes()
    frames, failures = read(path)
    assert (len(frames), failures) == (2, [])


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "50% of it.mp4", "concat:x.mp4", "bär.mp4", "caf\udce9.mp4"]
)
def test_a_file_name_is_never_taken_for_an_ffmpeg_protocol(
    tmp_path: Path,
    write_video: WriteVideo,
    shades: Shades,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    write_video(tmp_path / "plain.mp4", shades(2)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    frames, failures = read(Path(name))
    assert (len(frames), failures) == (2, [])


def test_a_declared_frame_count_is_a_hint_and_not_believed(
    tmp_path: Path, write_video: WriteVideo
) -> None:
    whole = write_video(
        tmp_path / "whole.mp4", noise(40), container_options={"movflags": "faststart"}
    )
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5])
    assert open_sources([str(cut)], stdin=None, channels=3).count_hint() == 40
    assert len(read(cut)[0]) < 30


def test_the_hint_counts_pictures_also_where_the_sound_lasts_longer(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        pictures = container.add_stream("mpeg4", rate=Fraction(25))
        pictures.height, pictures.width, pictures.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream("aac", rate=8000)
        for image in noise(5):
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(pictures.encode())
        for number in range(20):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts = 8000, 1024 * number
            container.mux(sound.encode(silence))
        container.mux(sound.encode())
    found = open_sources([str(path)], stdin=None, channels=3)
    assert found.count_hint() == 5
    assert len(list(found)) == 5


def test_a_matroska_hint_comes_from_its_duration(
    tmp_path: Path, write_video: WriteVideo, shades: Shades
) -> None:
    path = write_video(tmp_path / "a.mkv", shades(20))
    assert open_sources([str(path)], stdin=None, channels=3).count_hint() == 20


def test_a_video_that_is_left_early_is_closed(
    tmp_path: Path,
    write_video: WriteVideo,
    shades: Shades,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_video(tmp_path / "a.mp4", shades(9))
    opened = []
    real = av.open
    monkeypatch.setattr(
        video.av, "open", lambda *a, **k: opened.append(real(*a, **k)) or opened[-1]
    )
    frames = iter(open_sources([str(path)], stdin=None, channels=3))
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="Container is not open"):
        next(opened[0].demux())


@pytest.mark.parametrize(
    ("system", "location", "device_format"),
    [("Linux", "/dev/video2", "v4l2"), ("Darwin", "2", "avfoundation")],
)
def test_a_camera_is_named_as_the_system_names_it(
    monkeypatch: pytest.MonkeyPatch, system: str, location: str, device_format: str
) -> None:
    monkeypatch.setattr(video.platform, "system", lambda: system)
    camera = video.webcam("2", 2)
    assert (camera.name, camera.location, camera.device_format) == ("2", location, device_format)
    assert camera.is_live
    assert camera.options == ((("framerate", "30"),) if system == "Darwin" else ())


def test_on_windows_a_camera_number_counts_the_devices_that_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    devices = [("Microphone", ["audio"]), ("Front", ["video"]), ("Back", ["video", "audio"])]
    listed = [SimpleNamespace(name=name, media_types=media) for name, media in devices]
    monkeypatch.setattr(video.platform, "system", lambda: "Windows")
    monkeypatch.setattr(video.av.device, "enumerate_input_devices", lambda _: listed)
    assert video.webcam("1", 1).location == "video=Back"
    with pytest.raises(DataError, match="there is no camera 2: 2 found"):
        video.webcam("2", 2)


def test_an_unknown_system_has_no_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video.platform, "system", lambda: "Plan 9")
    with pytest.raises(DataError, match="cameras are not supported on Plan 9"):
        video.webcam("0", 0)


@pytest.mark.skipif(Path("/dev/video99").exists(), reason="there is a camera 99")
def test_a_camera_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video.platform, "system", lambda: "Linux")
    (only,) = open_sources(["99"], stdin=None, channels=3)
    assert str(only) == "99: the camera cannot be opened: no such file or directory"


def test_a_camera_without_a_new_picture_is_asked_again(
    tmp_path: Path, write_video: WriteVideo, shades: Shades, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "_CAMERA_POLL_SECONDS", 0)
    with av.open(write_video(tmp_path / "a.mp4", shades(3))) as container:
        packets = list(container.demux())
        turns: list[list[object]] = [packets[:1], [], packets[1:]]

        def demux() -> Iterator[object]:
            yield from turns.pop(0)
            if turns:
                raise av.BlockingIOError(11, "resource temporarily unavailable")

        camera = SimpleNamespace(demux=demux)
        decoder = video._Decoder(camera, container.streams.video[0], live=True)  # type: ignore[arg-type]
        assert len(list(decoder.frames())) == 3
        assert decoder.complaint(frame_count=3) is None


def test_a_stream_that_breaks_off_is_a_failure(
    tmp_path: Path, write_video: WriteVideo, shades: Shades
) -> None:
    with av.open(write_video(tmp_path / "a.mp4", shades(3))) as container:

        def demux() -> Iterator[object]:
            yield from container.demux()
            raise av.ExitError(1, "Immediate exit requested")

        stream = SimpleNamespace(demux=demux)
        decoder = video._Decoder(stream, container.streams.video[0], live=True)  # type: ignore[arg-type]
        assert len(list(decoder.frames())) == 3
        assert decoder.complaint(frame_count=3) == (
            "the video breaks off after 3 frames: no data within the time limit"
        )


def test_a_stream_nobody_serves_is_a_failure() -> None:
    (only,) = open_sources(["rtsp://127.0.0.1:9/x"], stdin=None, channels=3)
    assert str(only) == ("rtsp://127.0.0.1:9/x: the stream cannot be opened: connection refused")


def test_a_video_behind_http_is_read(
    web: Callable[..., str], tmp_path: Path, write_video: WriteVideo, shades: Shades
) -> None:
    body = write_video(
        tmp_path / "a.mp4", shades(4), container_options={"movflags": "faststart"}
    ).read_bytes()
    url = web("/a.mp4", body, {"Content-Length": str(len(body))})
    frames = list(open_sources([url], stdin=None, channels=3))
    assert [f.frame_index for f in frames if isinstance(f, Frame)] == [0, 1, 2, 3]
    assert {f.path for f in frames if isinstance(f, Frame)} == {None}
