"""Videos that were written are read again, with PyAV directly."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from yolo_gp.errors import DataError
from yolo_gp.tasks import recording as recording_module
from yolo_gp.tasks.recording import VideoRecording

Image8 = NDArray[np.uint8]


def read(path: Path) -> tuple[av.VideoStream, list[Image8]]:
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return container.streams.video[0], frames


def record(path: Path, images: list[Image8], fps: Fraction | None = Fraction(25)) -> Path:
    recording = VideoRecording(path, images[0], fps)
    for image in images:
        recording.add(image)
    recording.close()
    return path


def without_libx264(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_module.av, "codecs_available", av.codecs_available - {"libx264"})


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_what_is_written_can_be_read_again(
    tmp_path: Path,
    shades: Callable[[int], list[Image8]],
    monkeypatch: pytest.MonkeyPatch,
    codec: str,
) -> None:
    if codec == "mpeg4":
        without_libx264(monkeypatch)
    elif "libx264" not in av.codecs_available:
        pytest.skip("this FFmpeg has no libx264")
    stream, frames = read(record(tmp_path / "a.mp4", shades(20)))
    assert stream.codec_context.name == codec
    assert stream.codec_context.pix_fmt == "yuv420p"
    assert len(frames) == 20
    for i, frame in enumerate(frames):
        assert frame.shape == (48, 64, 3)
        assert abs(float(frame.mean()) - 10 * i) < 3


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (Fraction(30000, 1001), Fraction(30000, 1001)),
        (Fraction(7, 2), Fraction(7, 2)),
        (None, Fraction(25)),
        (Fraction(2997, 100), Fraction(2997, 100)),
    ],
)
def test_the_frame_rate_is_the_sources_or_25(
    tmp_path: Path,
    shades: Callable[[int], list[Image8]],
    monkeypatch: pytest.MonkeyPatch,
    fps: Fraction | None,
    expected: Fraction,
    codec: str,
) -> None:
    if codec == "mpeg4":
        without_libx264(monkeypatch)
    stream, frames = read(record(tmp_path / "a.mp4", shades(8), fps))
    assert stream.average_rate == expected
    assert len(frames) == 8


def test_a_rate_that_mpeg4_cannot_hold_is_rounded(
    tmp_path: Path, shades: Callable[[int], list[Image8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_libx264(monkeypatch)
    stream, _ = read(record(tmp_path / "a.mp4", shades(8), Fraction(120000, 1001)))
    assert stream.average_rate == 120


@pytest.mark.parametrize("size", [(47, 63), (1, 1), (48, 63)])
def test_odd_sides_gain_a_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    _, frames = read(record(tmp_path / "a.mp4", [image] * 3))
    assert frames[0].shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert np.abs(frames[0].astype(int) - 200).max() < 6  # the new pixels are copies, not black


def test_colours_survive(tmp_path: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, :32], image[:32, 32:], image[32:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stream, frames = read(record(tmp_path / "a.mp4", [image] * 3))
    if "libx264" in av.codecs_available:
        assert stream.codec_context.colorspace == 6  # BT.601, so that no player has to guess
    for y, x in ((16, 16), (16, 48), (48, 16), (48, 48)):
        assert np.abs(frames[0][y, x].astype(int) - image[y, x]).max() < 10


def test_a_change_of_size_is_fitted_into_the_first_size(tmp_path: Path) -> None:
    wide, tall = np.full((48, 96, 3), 200, np.uint8), np.full((96, 48, 3), 200, np.uint8)
    _, frames = read(record(tmp_path / "a.mp4", [wide, tall, wide]))
    assert [frame.shape for frame in frames] == [(48, 96, 3)] * 3
    # 48 wide x 96 tall fits as 24 x 48, centred: columns 36 to 59
    assert abs(int(frames[1][24, 48, 0]) - 200) < 10
    assert frames[1][24, 10].max() < 10 and frames[1][24, 85].max() < 10
    assert abs(int(frames[2][24, 10, 0]) - 200) < 10


def test_the_name_appears_only_when_the_video_is_whole(
    tmp_path: Path, shades: Callable[[int], list[Image8]]
) -> None:
    path = tmp_path / "new" / "a.mp4"
    images = shades(3)
    recording = VideoRecording(path, images[0], None)
    recording.add(images[0])
    assert not path.exists()
    recording.close()
    assert [p.name for p in path.parent.iterdir()] == ["a.mp4"]
    recording.close()
    with pytest.raises(ValueError, match="the recording is closed"):
        recording.add(images[0])


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write .*a\.mp4: "):
        VideoRecording(tmp_path / "file" / "a.mp4", np.zeros((4, 4, 3), np.uint8), None)


def test_a_failure_in_the_middle_leaves_nothing_behind(
    tmp_path: Path, shades: Callable[[int], list[Image8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = VideoRecording(tmp_path / "a.mp4", shades(1)[0], None)
    recording.add(shades(1)[0])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recording_module, "publish", full)
    with pytest.raises(DataError) as caught:
        recording.close()
    assert str(caught.value) == f"cannot write {tmp_path / 'a.mp4'}: no space left on device"
    assert list(tmp_path.iterdir()) == []
