"""A val run in a folder: journals as it goes, so that it can be interrupted and shared out."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import nn

from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import os_reason, write_atomically
from yolo_gp.graph import Graph
from yolo_gp.shapes import format_size
from yolo_gp.tasks.ranks import Ranks, require_agreement
from yolo_gp.tasks.results import claim_folder, new_run_folder
from yolo_gp.tasks.val_journal import Journal, Pack, recover
from yolo_gp.tasks.val_loading import batch_count
from yolo_gp.tasks.val_results import BatchResult, Indexed

_Result = TypeVar("_Result", bound=Indexed)
_SCHEMA_VERSION = 1
_RUN_FILE = "run.json"
_BASE = Path("runs/val")


@dataclass(frozen=True, slots=True)
class Run:
    """A folder that holds, or will hold, the results of a run.

    Fields:
        token: names the run; its journals carry it.
    """

    folder: Path
    token: str

    def journal(self, rank: int) -> Path:
        """Where a process writes down what it finds."""
        return self.folder / f"rank-{rank}.journal"

    @property
    def journals(self) -> list[Path]:
        """All that are in the folder."""
        return sorted(self.folder.glob("rank-*.journal"))


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly images went through, all processes together, since the run (re)started."""

    images: int
    seconds: float

    @property
    def images_per_second(self) -> float | None:
        """None if all images had been done before."""
        return self.images / self.seconds if self.images else None


def weights_digest(network: nn.Module) -> str:
    """A hash of all weights, whatever file they came from; of a network not yet folded."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue  # batch norm counts its batches, from wherever the memory stood
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


class ReadyNetwork(Protocol):
    """What runs, as far as a run's facts name it."""

    graph: Graph
    device: torch.device
    dtype: torch.dtype


def run_facts(
    runs: ReadyNetwork,
    *,
    weights: str,
    classes: Sequence[str],
    images: Sequence[str],
    conventions: Mapping[str, str],
) -> dict[str, str]:
    """All that the figures of a run depend on, in words; a run goes on only with the same.

    Args:
        weights: their `weights_digest`.
        classes: names of the data set's classes.
        images: what tells the images of the data set from others.
        conventions: everything else.
    """
    content = hashlib.sha256(repr(tuple(classes)).encode())
    for image in images:
        content.update(f"\n{image}".encode())
    return {
        "network": runs.graph.fingerprint[:16],
        "weights": weights,
        "data": f"{len(images)} images, {content.hexdigest()[:16]}",
        "size": format_size(runs.graph.input_shape.size),
        "device": runs.device.type,
        "dtype": str(runs.dtype).removeprefix("torch."),
        **conventions,
    }


def begin_run(folder: Path | None, facts: Mapping[str, str]) -> Run:
    """Claim a folder, by default the next of runs/val, and write down what the run is.

    Raises:
        UsageError: the folder holds something, or cannot be created.
        DataError: it cannot be written.
    """
    claimed = claim_folder(folder) if folder else new_run_folder(_BASE)
    run = Run(claimed, secrets.token_hex(8))
    content = {"schema_version": _SCHEMA_VERSION, "token": run.token, "settings": dict(facts)}
    write_atomically(claimed / _RUN_FILE, json.dumps(content, indent=1) + "\n")
    return run


def resume_run(folder: Path, facts: Mapping[str, str]) -> Run:
    """Take up a run where it stopped.

    Raises:
        UsageError: the folder holds no run, or one with other settings; they are listed.
    """
    try:
        content = json.loads((folder / _RUN_FILE).read_text(encoding="utf-8"))
        then, token = dict(content["settings"]), str(content["token"])
    except OSError as error:
        raise UsageError(
            f"{folder} holds no val run: {_RUN_FILE}: {os_reason(error)}\n"
            "expected: a folder that an interrupted `yolo-gp val` has made"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder / _RUN_FILE} does not describe a val run\nhelp: start anew, without --resume"
        ) from error
    changed = [
        f"  {key}: {then.get(key, 'nothing')} then, {facts.get(key, 'nothing')} now"
        for key in dict.fromkeys((*then, *facts))
        if then.get(key) != facts.get(key)
    ]
    if changed:
        raise UsageError(
            "\n".join((f"{folder} was begun with other settings, so it cannot go on", *changed))
            + "\nhelp: give the settings of then, or start anew without --resume"
        )
    for torn in folder.glob(".*.part"):  # results that were being written when it was killed
        torn.unlink(missing_ok=True)
    return Run(folder, token)


def open_run(
    folder: Path | None, resume: Path | None, facts: Mapping[str, str], ranks: Ranks
) -> Run:
    """Begin a run or take it up, the same in all processes; process 0 looks after the folder.

    Args:
        folder: for a new run; None takes the next of runs/val.
        resume: the folder of a run to take up; excludes `folder`.

    Raises:
        UsageError, DataError: as `begin_run` and `resume_run`; or the processes differ.
    """
    if folder and resume:
        raise UsageError("--save-dir and --resume exclude each other; a run goes on in its folder")
    require_agreement(ranks, facts)
    run = None
    if ranks.rank == 0:
        run = resume_run(resume, facts) if resume else begin_run(folder, facts)
    run = ranks.from_first(run)
    assert run is not None  # process 0 has it, or has gone with an error
    return run


@dataclass(frozen=True, slots=True)
class Work(Generic[_Result]):
    """What a run does with the images of its data set.

    Fields:
        samples: images of the data set.
        batch_size: images per batch.
        results: works through the batches of some numbers, one after the other.
        pack: turns the result of one image into bytes, for the journal.
    """

    samples: int
    batch_size: int
    results: Callable[[Sequence[int]], Iterator[BatchResult[_Result]]]
    pack: Pack[_Result]


def do_all(
    work: Work[_Result],
    run: Run,
    ranks: Ranks,
    *,
    begin: Callable[[int], object] = lambda count: None,
    advance: Callable[[int], object] = lambda count: None,
) -> Pace | None:
    """Work through all images that no journal of the run has yet, this process its share.

    Args:
        begin: called with the number of images that this process has to do, to within a batch.
        advance: called with the number of images done in this process.

    Returns:
        in process 0, once all are done and their journals lie in its folder, how quickly that
        went; None elsewhere.

    Raises:
        DataError: a journal cannot be written; another process has gone; or what `work` raises.
    """
    shares_folder = ranks.gather(_sees_folder(run, ranks))
    found = ranks.gather(_recovered(run, ranks, shares_folder[ranks.rank]))
    done = {number for numbers in found for number in numbers}
    count = batch_count(work.samples, work.batch_size)
    todo = [number for number in range(count) if number not in done]
    mine = ranks.share_of(todo)
    begin(min(len(mine) * work.batch_size, work.samples))
    start, images = time.perf_counter(), 0
    with Journal(run.journal(ranks.rank), run.token, work.pack) as journal:
        for batch in work.results(mine):
            journal.append(batch)
            images += len(batch.images)
            advance(len(batch.images))
    paces = ranks.gather((images, time.perf_counter() - start))
    apart = [rank for rank, shares in enumerate(shares_folder) if not shares]
    ranks.collect(run.journal(ranks.rank), apart)
    if ranks.rank:
        return None
    return Pace(sum(n for n, _ in paces), max(seconds for _, seconds in paces))


def _sees_folder(run: Run, ranks: Ranks) -> bool:
    """Whether this process sees the same folder as process 0, or has one of its own elsewhere."""
    mark = run.folder / f"met-{ranks.from_first(secrets.token_hex(4))}"
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        if ranks.rank == 0:
            mark.touch()
        ranks.gather(None)  # the mark is there
        seen = mark.exists()
        ranks.gather(None)  # everybody has looked
        mark.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot use {run.folder}: {os_reason(error)}") from error
    return seen


def _recovered(run: Run, ranks: Ranks, shares_folder: bool) -> tuple[int, ...]:
    """The batches in the journals this process looks after; their torn ends are cut off."""
    if ranks.rank and shares_folder:
        return ()  # process 0 sees to that
    own = run.journal(ranks.rank)
    paths = run.journals if ranks.rank == 0 else [own] if own.exists() else []
    return tuple(number for path in paths for number in recover(path, run.token))
