"""A checkpoint comes back as it was, or not at all; and the disk is asked first."""

from __future__ import annotations

import errno
import io
import os
import pickle
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from yolo_gp.errors import DataError
from yolo_gp.training.checkpoint import Checkpoint, load_state, save_state
from yolo_gp.training.disk import require_space
from yolo_gp.training.progress import Progress, to_csv


class Usage(NamedTuple):
    """What the operating system says of a disk."""

    total: int
    used: int
    free: int


def checkpoint(iteration: int = 3) -> Checkpoint:
    progress = Progress(iteration=iteration)
    progress.add({"box": 2.0}, 3.0, 4)
    progress.end_epoch(0.01)
    return Checkpoint(
        token="abc",
        iteration=iteration,
        network={"weight": torch.tensor([1.5, float("inf"), -0.0])},
        averaged={"values": {"weight": torch.tensor([0.1])}},
        optimiser={"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
        scaler={},
        progress=progress.to_entries(),
    )


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    save_state(tmp_path / "state.pt", checkpoint())
    found = load_state(tmp_path / "state.pt")
    assert torch.equal(found.network["weight"], checkpoint().network["weight"])
    assert torch.signbit(found.network["weight"])[2]
    assert (found.token, found.iteration, found.scaler) == ("abc", 3, {})
    assert found.optimiser["param_groups"] == [{"lr": 0.1}]
    progress = Progress.from_entries(found.progress)
    assert progress.epochs[0].loss == 3.0 and progress.epochs[0].parts == {"box": 2.0}


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_state(tmp_path / "state.pt", checkpoint(3))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError) as error:
        save_state(tmp_path / "state.pt", checkpoint(4))
    assert str(error.value) == (
        f"cannot write {tmp_path}/state.pt: no space left on device\n"
        "help: the checkpoint before it is whole; make room, then go on with "
        f"--resume {tmp_path}"
    )
    assert load_state(tmp_path / "state.pt").iteration == 3
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_no_checkpoint_is_begun_for_which_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_state(tmp_path / "state.pt", checkpoint(3))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10, 9, 1_000_000))
    with pytest.raises(DataError) as error:
        save_state(tmp_path / "state.pt", checkpoint(4))
    # 3 + 1 + 2 numbers of 4 bytes, and a reserve of 2^20 = 1,048,576 bytes
    assert str(error.value) == (
        "no room for the checkpoint of iteration 4: it needs 1.0 MB, and "
        f"{tmp_path} has 1.0 MB left\nhelp: make room there, or choose another --save-dir"
    )
    assert load_state(tmp_path / "state.pt").iteration == 3


def test_the_reserve_is_counted_beside_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, 2**20 + 100))
    require_space(tmp_path, 100, "it")
    with pytest.raises(DataError, match="no room for it"):
        require_space(tmp_path, 101, "it")


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot use .*/gone: no such file or directory"):
        require_space(tmp_path / "gone", 1, "it")


def test_a_checkpoint_runs_no_code_of_its_own(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "went-off",)

    torch.save({"schema_version": 1, "token": Bomb()}, tmp_path / "state.pt")
    with pytest.raises(DataError, match="is no checkpoint of a training run"):
        load_state(tmp_path / "state.pt")
    assert not (tmp_path / "went-off").exists()


@pytest.mark.parametrize(
    "content", [b"", b"text", pickle.dumps({"schema_version": 1}, 2), b"PK\x03\x04 no zip"]
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(DataError, match="is no checkpoint of a training run, or a damaged one"):
        load_state(tmp_path / "state.pt")


def test_an_absent_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*state\.pt: no such file or directory"):
        load_state(tmp_path / "state.pt")


def test_a_newer_checkpoint_asks_for_a_newer_program(tmp_path: Path) -> None:
    save_state(tmp_path / "state.pt", checkpoint())
    content = torch.load(tmp_path / "state.pt", weights_only=True)
    buffer = io.BytesIO()
    torch.save({**content, "schema_version": 2}, buffer)
    (tmp_path / "state.pt").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="schema version 2, this yolo-gp knows 1"):
        load_state(tmp_path / "state.pt")


def test_means_of_an_epoch_are_by_image() -> None:
    progress = Progress(iteration=2, seconds=2.0, waited=0.5)
    progress.add({"box": 1.0}, 4.0, 3)
    progress.add({"box": 5.0}, 8.0, 1)
    epoch = progress.end_epoch(0.1)
    assert (epoch.loss, epoch.parts) == ((3 * 4 + 8) / 4, {"box": (3 * 1 + 5) / 4})
    assert (epoch.images_per_second, epoch.waiting) == (4 / 2, 0.25)
    assert (progress.images, progress.loss, progress.parts, progress.seconds) == (0, 0.0, {}, 0.0)


def test_an_accuracy_is_the_best_only_if_it_is_higher() -> None:
    progress = Progress()
    found = []
    for ap in (0.2, 0.2, float("nan"), 0.3):
        progress.end_epoch(0.1)
        found.append(progress.measured(ap, ap, ap).best)
    assert found == [True, False, False, True]
    assert (progress.best_ap, progress.best_epoch) == (0.3, 4)


def test_the_table_has_a_line_for_each_epoch_and_gaps_where_nothing_was_measured() -> None:
    progress = Progress(iteration=7, seconds=1.0)
    progress.add({"class": 2.0, "box": 1.0}, 3.0, 8)
    progress.end_epoch(0.125)
    progress.end_epoch(0.0625)
    progress.measured(0.25, 0.5, float("nan"))
    assert to_csv(progress.epochs) == (
        "epoch,iteration,rate,loss,loss_box,loss_class,ap,ap50,ap75,images_per_second,waiting\n"
        "1,7,0.125,3,1,2,,,,8.00,0.0000\n"
        "2,7,0.0625,0,,,0.25,0.5,,0.00,0.0000\n"
    )
