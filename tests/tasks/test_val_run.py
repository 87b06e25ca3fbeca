"""Runs in folders: interrupted, killed, shared out over processes; all give the same figures."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from yolo_gp.data.coco import CocoDataset
from yolo_gp.data.dataset import Dataset
from yolo_gp.errors import DataError, UsageError
from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.presets import VAL_PRESETS
from yolo_gp.tasks.detector import Detector, DetectorSettings
from yolo_gp.tasks.models import ModelSource
from yolo_gp.tasks.ranks import Ranks, joined_ranks
from yolo_gp.tasks.val import ValSettings, detection_facts, detection_work, validate
from yolo_gp.tasks.val_journal import JournalledImages, recover
from yolo_gp.tasks.val_metrics import ValMetrics, evaluate
from yolo_gp.tasks.val_packing import unpacked
from yolo_gp.tasks.val_run import Run, do_all, open_run, weights_digest

from .val_sets import CFG, ListedData, brightness_detector, brightness_network, middle

SETTINGS = ValSettings(batch_size=3)
HERE = middle((64, 128))
Fork = multiprocessing.get_context("fork").Process


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A forked process must not find the threads of torch gone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def blobs(tmp_path: Path) -> ListedData:
    """Twenty images, seven batches of three, the last of them short; one cannot be read."""
    folder = tmp_path / "images"
    folder.mkdir()
    data = ListedData(folder)
    g = random.Random(0)
    for n in range(20):
        path = data.add(g.random(), *([HERE] if g.random() < 0.6 else []))
        if n == 7:
            path.write_bytes(b"")
    return data


def facts_of(detector: Detector, data: Dataset, weights: str = "w") -> dict[str, str]:
    return detection_facts(detector, data, SETTINGS, weights)


def figures_in(run: Run, data: Dataset) -> ValMetrics:
    detector = brightness_detector()
    with JournalledImages(run.journals, run.token, unpacked) as results:
        assert len(results) == len(data.samples)
        return evaluate(data, results, detector.num_classes, detector.preset)


def assert_equal(found: ValMetrics, expected: ValMetrics) -> None:
    """To the last digit; `==` would call nan different."""
    assert repr(found.box) == repr(expected.box)
    assert repr(found.darknet) == repr(expected.darknet)
    assert found.curves.pooled.f1.tobytes() == expected.curves.pooled.f1.tobytes()
    assert found.problems == expected.problems
    assert found.gap == expected.gap


def begin(folder: Path, data: Dataset, detector: Detector, ranks: Ranks = Ranks()) -> Run:  # noqa: B008
    return open_run(folder, None, facts_of(detector, data), ranks)


def go_on(folder: Path, data: Dataset, detector: Detector, ranks: Ranks = Ranks()) -> Run:  # noqa: B008
    return open_run(None, folder, facts_of(detector, data), ranks)


def test_a_run_in_a_folder_gives_what_one_in_memory_gives(
    tmp_path: Path, blobs: ListedData
) -> None:
    detector = brightness_detector()
    run = begin(tmp_path / "run", blobs, detector)
    done: list[int] = []
    pace = do_all(detection_work(detector, blobs, SETTINGS), run, Ranks(), advance=done.append)
    assert done == [3, 3, 3, 3, 3, 3, 2]
    assert pace is not None and pace.images == 20
    assert_equal(figures_in(run, blobs), validate(detector, blobs, SETTINGS))


class Stop(Exception):
    """Ends a run from inside."""


def stop_after(images: int) -> Callable[[int], None]:
    left = images

    def advance(count: int) -> None:
        nonlocal left
        left -= count
        if left <= 0:
            raise Stop

    return advance


def test_an_interrupted_run_goes_on_with_the_rest(tmp_path: Path, blobs: ListedData) -> None:
    detector = brightness_detector()
    run = begin(tmp_path / "run", blobs, detector)
    with pytest.raises(Stop):
        do_all(detection_work(detector, blobs, SETTINGS), run, Ranks(), advance=stop_after(9))
    assert recover(run.journal(0), run.token) == (0, 1, 2)
    again = go_on(tmp_path / "run", blobs, detector)
    begun: list[int] = []
    done: list[int] = []
    pace = do_all(
        detection_work(detector, blobs, SETTINGS),
        again,
        Ranks(),
        begin=begun.append,
        advance=done.append,
    )
    assert (begun, done) == ([12], [3, 3, 3, 2])
    assert pace is not None and pace.images == 11
    assert_equal(figures_in(again, blobs), validate(detector, blobs, SETTINGS))


def test_a_killed_run_goes_on_with_the_rest(tmp_path: Path, blobs: ListedData) -> None:
    detector = brightness_detector()
    run = begin(tmp_path / "run", blobs, detector)

    def detect_and_die() -> None:
        def advance(count: int) -> None:
            if recover(run.journal(0), run.token)[-1] == 4:
                os.kill(os.getpid(), signal.SIGKILL)

        do_all(detection_work(detector, blobs, SETTINGS), run, Ranks(), advance=advance)

    process = Fork(target=detect_and_die)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with run.journal(0).open("ab") as journal:
        journal.write(b"half a rec")  # as a crash of the machine may leave it
    (tmp_path / "run" / ".0123456789abcdef.part").touch()
    again = go_on(tmp_path / "run", blobs, detector)
    done: list[int] = []
    do_all(detection_work(detector, blobs, SETTINGS), again, Ranks(), advance=done.append)
    assert done == [3, 2]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "rank-0.journal",
        "run.json",
    ]
    assert_equal(figures_in(again, blobs), validate(detector, blobs, SETTINGS))


def test_a_finished_run_can_be_evaluated_again(tmp_path: Path, blobs: ListedData) -> None:
    detector = brightness_detector()
    do_all(
        detection_work(detector, blobs, SETTINGS), begin(tmp_path / "run", blobs, detector), Ranks()
    )
    again = go_on(tmp_path / "run", blobs, detector)
    pace = do_all(detection_work(detector, blobs, SETTINGS), again, Ranks())
    assert pace is not None and (pace.images, pace.images_per_second) == (0, None)
    assert_equal(figures_in(again, blobs), validate(detector, blobs, SETTINGS))


def test_a_run_goes_on_with_the_same_settings_only(tmp_path: Path, blobs: ListedData) -> None:
    detector = brightness_detector()
    begin(tmp_path / "run", blobs, detector)
    other = brightness_detector(replace(VAL_PRESETS["coco"], confidence=0.01))
    blobs.add(0.5)
    settings = ValSettings(batch_size=8)
    facts = detection_facts(other, blobs, settings, "v")
    with pytest.raises(UsageError) as caught:
        open_run(None, tmp_path / "run", facts, Ranks())
    lines = str(caught.value).split("\n")
    assert lines[0] == f"{tmp_path / 'run'} was begun with other settings, so it cannot go on"
    assert "  weights: w then, v now" in lines
    assert "  batch: 3 then, 8 now" in lines
    assert "  preset: darknet then, coco now" in lines
    assert "  confidence: 0.001 then, 0.01 now" in lines
    (data,) = [line for line in lines if line.startswith("  data: ")]
    assert data.startswith("  data: 20 images, ") and " then, 21 images, " in data
    assert not [line for line in lines if line.startswith(("  network", "  size", "  dtype"))]
    assert lines[-1] == "help: give the settings of then, or start anew without --resume"


@pytest.mark.parametrize("change", ["rename", "renumber", "class"])
def test_other_images_under_the_same_count_are_noticed(blobs: ListedData, change: str) -> None:
    detector = brightness_detector()
    before = facts_of(detector, blobs)
    first = blobs.samples[0]
    if change == "rename":
        blobs.samples[0] = replace(first, path=first.path.with_name("other.png"))
    elif change == "renumber":
        blobs.samples[0] = replace(first, image_id=99)
    else:
        blobs.class_names = ("blob", "spectre")
    assert facts_of(detector, blobs)["data"] != before["data"]


def test_the_digest_of_weights_changes_with_any_of_them() -> None:
    _, network = brightness_network()
    before = weights_digest(network)
    assert weights_digest(brightness_network()[1]) == before
    with torch.no_grad():
        next(network.parameters()).view(-1)[-1] += 1e-6
    assert weights_digest(network) != before


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_run(None, tmp_path / "none", {}, Ranks())
    assert str(caught.value) == (
        f"{tmp_path / 'none'} holds no val run: run.json: no such file or directory\n"
        "expected: a folder that an interrupted `yolo-gp val` has made"
    )


@pytest.mark.parametrize("content", ["", "[]", '{"token": "a"}', '{"settings": 3, "token": ""}'])
def test_a_damaged_description_of_a_run_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError) as caught:
        open_run(None, tmp_path, {}, Ranks())
    assert str(caught.value) == (
        f"{tmp_path / 'run.json'} does not describe a val run\nhelp: start anew, without --resume"
    )


def test_a_new_folder_and_one_to_go_on_in_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_run(tmp_path / "a", tmp_path / "b", {}, Ranks())
    assert str(caught.value) == (
        "--save-dir and --resume exclude each other; a run goes on in its folder"
    )
    assert not (tmp_path / "a").exists()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def in_ranks(world: int, work: Callable[[Ranks], None], folders: list[Path] | None = None) -> None:
    """Run `work` in so many real processes, joined as torchrun joins them; all must succeed."""
    assert outcomes(world, work, folders) == [0] * world


def outcomes(
    world: int, work: Callable[[Ranks], None], folders: list[Path] | None = None
) -> list[int | None]:
    port = free_port()

    def begin_rank(rank: int) -> None:
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
        os.environ.update({key: str(value) for key, value in places.items()})
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        if folders:
            os.chdir(folders[rank])
        with joined_ranks("val") as ranks:
            work(ranks)

    processes = [Fork(target=begin_rank, args=(rank,)) for rank in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


@pytest.mark.parametrize("world", [2, 3])
def test_several_processes_give_what_one_gives(
    tmp_path: Path, blobs: ListedData, world: int
) -> None:
    detector = brightness_detector()
    folder = tmp_path / "run"

    def work(ranks: Ranks) -> None:
        pace = do_all(
            detection_work(detector, blobs, SETTINGS), begin(folder, blobs, detector, ranks), ranks
        )
        assert (pace is None) == (ranks.rank > 0)
        assert pace is None or pace.images == 20

    in_ranks(world, work)
    run = go_on(folder, blobs, detector)
    # batch b goes to process b % world
    assert [recover(path, run.token) for path in run.journals] == [
        tuple(range(rank, 7, world)) for rank in range(world)
    ]
    assert_equal(figures_in(run, blobs), validate(detector, blobs, SETTINGS))


def test_processes_without_a_common_folder_send_their_journals(
    tmp_path: Path, blobs: ListedData
) -> None:
    detector = brightness_detector()
    machines = [tmp_path / "a", tmp_path / "b"]
    for machine in machines:
        machine.mkdir()

    def work(ranks: Ranks) -> None:
        run = begin(Path("run"), blobs, detector, ranks)
        do_all(detection_work(detector, blobs, SETTINGS), run, ranks)

    in_ranks(2, work, machines)
    sent, kept = (machine / "run" / "rank-1.journal" for machine in machines)
    assert sent.read_bytes() == kept.read_bytes()
    assert not (machines[1] / "run" / "rank-0.journal").exists()
    run = go_on(machines[0] / "run", blobs, detector)
    assert_equal(figures_in(run, blobs), validate(detector, blobs, SETTINGS))


def test_a_run_of_two_processes_goes_on_in_one_or_three(tmp_path: Path, blobs: ListedData) -> None:
    detector = brightness_detector()
    folder = tmp_path / "run"

    def stopped(ranks: Ranks) -> None:
        run = begin(folder, blobs, detector, ranks)
        with pytest.raises(Stop):
            do_all(detection_work(detector, blobs, SETTINGS), run, ranks, advance=stop_after(3))

    in_ranks(2, stopped)

    def resumed(ranks: Ranks) -> None:
        pace = do_all(
            detection_work(detector, blobs, SETTINGS), go_on(folder, blobs, detector, ranks), ranks
        )
        assert pace is None or pace.images == 20 - 6

    in_ranks(3, resumed)
    run = go_on(folder, blobs, detector)
    assert_equal(figures_in(run, blobs), validate(detector, blobs, SETTINGS))


def test_a_process_that_dies_ends_the_others(tmp_path: Path, blobs: ListedData) -> None:
    detector = brightness_detector()

    def work(ranks: Ranks) -> None:
        run = begin(tmp_path / "run", blobs, detector, ranks)

        def advance(count: int) -> None:
            if ranks.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        with pytest.raises(DataError) as caught:
            do_all(detection_work(detector, blobs, SETTINGS), run, ranks, advance=advance)
        head, help = str(caught.value).split("\n")
        assert head.startswith("another process of this run has stopped, or was silent for an hour")
        assert help == "help: its own message says why; afterwards go on with --resume"

    assert outcomes(2, work) == [0, -signal.SIGKILL]


def test_a_journal_that_cannot_travel_is_an_error_with_its_reason(tmp_path: Path) -> None:
    lost = tmp_path / "none" / "rank-1.journal"
    with pytest.raises(DataError) as caught:
        Ranks(rank=1, world=2).collect(lost, [1])
    assert str(caught.value) == f"cannot read {lost}: no such file or directory"
    (tmp_path / "file").touch()
    with pytest.raises(DataError) as caught:
        Ranks(rank=0, world=2).collect(tmp_path / "file" / "rank-0.journal", [1])
    target = tmp_path / "file" / "rank-1.journal"
    assert str(caught.value) == f"cannot write {target}: file exists"


def test_a_run_whose_folder_has_become_a_file_is_an_error(
    tmp_path: Path, blobs: ListedData
) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(DataError) as caught:
        do_all(
            detection_work(brightness_detector(), blobs, SETTINGS),
            Run(tmp_path / "run", "t"),
            Ranks(),
        )
    assert str(caught.value) == f"cannot use {tmp_path / 'run'}: file exists"


def test_processes_with_other_settings_refuse_to_work_together(
    tmp_path: Path, blobs: ListedData
) -> None:
    def work(ranks: Ranks) -> None:
        facts = facts_of(brightness_detector(), blobs, weights=f"w{ranks.rank}")
        with pytest.raises(UsageError) as caught:
            open_run(tmp_path / "run", None, facts, ranks)
        assert str(caught.value) == (
            "the processes of this run differ: weights is w0 in process 0 and w1 in process 1\n"
            "help: give all of them the same flags and data"
        )

    in_ranks(2, work)
    assert not (tmp_path / "run").exists()


def test_an_environment_without_the_other_processes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UsageError) as caught, joined_ranks("val"):
        pass
    assert str(caught.value).startswith(
        "WORLD_SIZE says that there are other processes, but this one cannot join: "
    )
    assert str(caught.value).endswith(
        "help: start all of them with torchrun -m yolo_gp val ..., or unset WORLD_SIZE"
    )


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not say how much memory is resident")
    graph = compile_text(
        CFG.replace("=32", "=256"), "large.cfg"
    )  # an input of 256 x 256 pixels in float32 takes 768 KiB
    network = compile_network(graph)
    initialise(network, seed=0)
    detector = Detector(graph, network, VAL_PRESETS["darknet"])
    data = ListedData(tmp_path)
    data.add(0.5, HERE)
    data.samples *= 140
    data.boxes *= 140
    settings = ValSettings(batch_size=10)
    run = open_run(tmp_path / "run", None, detection_facts(detector, data, settings, ""), Ranks())
    resident: list[int] = []

    def advance(count: int) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident.append(pages * resource.getpagesize() // 2**20)

    do_all(detection_work(detector, data, settings), run, Ranks(), advance=advance)
    # inputs that are kept would take 75 MiB for the 100 images after the first 40
    assert resident[13] - resident[3] < 25


def test_real_data_give_the_same_in_one_process_two_and_after_an_interruption(
    shared: Path, tmp_path: Path
) -> None:
    files = shared / "data/models"
    source = ModelSource(
        cfg=files / "yolo-fastest-1.1.cfg", weights=files / "yolo-fastest-1.1.weights"
    )
    detector = Detector.load(DetectorSettings(model=source, preset=VAL_PRESETS["darknet"]))
    data = CocoDataset(shared / "data/coco-mini/annotations/instances_val.json", masks=False)
    settings = ValSettings(batch_size=5)  # 64 images: the last batch has 4
    facts = detection_facts(detector, data, settings, "")
    folder = tmp_path / "run"

    def stopped(ranks: Ranks) -> None:
        run = open_run(folder, None, facts, ranks)
        with pytest.raises(Stop):
            do_all(detection_work(detector, data, settings), run, ranks, advance=stop_after(10))

    def resumed(ranks: Ranks) -> None:
        run = open_run(None, folder, facts, ranks)
        do_all(detection_work(detector, data, settings), run, ranks)

    in_ranks(2, stopped)
    in_ranks(2, resumed)
    token = json.loads((folder / "run.json").read_text())["token"]
    with JournalledImages(Run(folder, token).journals, token, unpacked) as results:
        found = evaluate(data, results, detector.num_classes, detector.preset)
    assert_equal(found, validate(detector, data, settings))
