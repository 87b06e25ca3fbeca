"""The folder of a training run: what lies where, and whether it may go on."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.data.dataset import Dataset
from yolo_gp.errors import UsageError
from yolo_gp.files import os_reason, write_atomically
from yolo_gp.graph import read_content
from yolo_gp.tasks.results import claim_folder, new_run_folder
from yolo_gp.tasks.train_settings import WITHOUT_EFFECT_ON_RESULTS, TrainSettings

_SCHEMA_VERSION = 1
_RUN_FILE = "run.json"
_BASE = Path("runs/train")


@dataclass(frozen=True, slots=True)
class TrainFolder:
    """Where everything of a run lies.

    Fields:
        token: names the run; its checkpoint carries it.
        cfg_name: the cfg's file name without suffix.
    """

    path: Path
    token: str
    cfg_name: str

    def sweep(self) -> None:
        """Remove what a process left half written when it was killed."""
        for leftover in self.path.glob(".*.part"):
            leftover.unlink(missing_ok=True)

    @property
    def cfg(self) -> Path:
        """The cfg that is trained, with the data's classes."""
        return self.path / f"{self.cfg_name}.cfg"

    @property
    def names(self) -> Path:
        """The class names, one a line."""
        return self.path / f"{self.cfg_name}.names"

    @property
    def state(self) -> Path:
        """All that the run needs to go on."""
        return self.path / "state.pt"

    @property
    def last(self) -> Path:
        """The newest weights."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The weights with the highest AP."""
        return self.path / "best.safetensors"

    @property
    def final(self) -> Path:
        """The weights at the end, in Darknet's format."""
        return self.path / "final.weights"

    @property
    def metrics(self) -> Path:
        """A line for each epoch."""
        return self.path / "metrics.csv"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """What a run's folder says of it.

    Fields:
        cfg: the text of the cfg that is trained.
        names: of the classes, by id.
        facts: what its results depend on beside the settings, in words.
    """

    folder: TrainFolder
    cfg: bytes
    names: tuple[str, ...]
    settings: TrainSettings
    facts: Mapping[str, str]


def begin_folder(
    path: Path | None, cfg_name: str, cfg: bytes, names: tuple[str, ...]
) -> TrainFolder:
    """Claim a folder, by default the next of runs/train, and put the cfg and the names there.

    Raises:
        UsageError: the folder holds something, or cannot be created.
        DataError: it cannot be written.
    """
    claimed = claim_folder(path) if path else new_run_folder(_BASE)
    folder = TrainFolder(claimed, secrets.token_hex(8), cfg_name)
    write_atomically(folder.cfg, cfg)
    write_atomically(folder.names, "".join(f"{name}\n" for name in names))
    return folder


def write_run(
    folder: TrainFolder,
    settings: TrainSettings,
    names: tuple[str, ...],
    facts: Mapping[str, str],
) -> None:
    """Write down what the run is; from then on it can be resumed.

    Raises:
        DataError: the file cannot be written.
    """
    content = {
        "schema_version": _SCHEMA_VERSION,
        "token": folder.token,
        "cfg_name": folder.cfg_name,
        "names": list(names),
        "settings": settings.to_entries(),
        "facts": dict(facts),
    }
    write_atomically(folder.path / _RUN_FILE, json.dumps(content, indent=1) + "\n")


def holds_run(path: Path) -> bool:
    """Whether a run was begun in that folder."""
    return (path / _RUN_FILE).is_file()


def read_run(path: Path) -> StoredRun:
    """What the folder says of the run in it.

    Raises:
        UsageError: it holds none, or the cfg is gone.
    """
    try:
        content = json.loads((path / _RUN_FILE).read_text(encoding="utf-8"))
        folder = TrainFolder(path, str(content["token"]), str(content["cfg_name"]))
        settings = TrainSettings.from_entries(content["settings"])
        names = tuple(map(str, content["names"]))
        facts = dict(content["facts"])
    except OSError as error:
        raise UsageError(
            f"{path} holds no training run: {_RUN_FILE}: {os_reason(error)}\n"
            "expected: a folder that `yolo-gp train` has made"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path / _RUN_FILE} does not describe a training run\n"
            "help: start anew, without --resume"
        ) from error
    return StoredRun(folder, read_content(folder.cfg), names, settings, facts)


def require_unchanged(folder: Path, then: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Refuse to go on with other settings than a run was begun with.

    Args:
        now: only what is to be compared.

    Raises:
        UsageError: there are others; lists them.
    """
    changed = [
        f"  {key.replace('_', '-')}: {_shown(then.get(key))} then, {_shown(value)} now"
        for key, value in now.items()
        if value != then.get(key) and key not in WITHOUT_EFFECT_ON_RESULTS
    ]
    if changed:
        raise UsageError(
            "\n".join((f"{folder} was begun with other settings, so it cannot go on", *changed))
            + "\nhelp: resume without these flags; or start anew from its weights: --weights "
            f"{folder / 'last.safetensors'}"
        )


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def data_digest(dataset: Dataset) -> str:
    """A data set in a few words: how many images, and a hash of their names and the classes'."""
    content = hashlib.sha256(repr(dataset.class_names).encode())
    for sample in dataset.samples:
        content.update(f"\n{sample.image_id} {sample.path.name}".encode())
    return f"{len(dataset.samples)} images, {content.hexdigest()[:16]}"
