"""The folder of pretrained models: what lies where, and how it gets there. Loads no torch."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from yolo_gp.cache.pins import Pins
from yolo_gp.cache.unhashed import check_unhashed, unhashed_sizes
from yolo_gp.download import (
    Digests,
    DownloadError,
    DownloadSettings,
    Progress,
    Silent,
    Wanted,
    digests,
    fetch,
    is_safe_name,
    locked,
    mismatch,
)
from yolo_gp.errors import DataError, UsageError, WeightsError, YoloGpError
from yolo_gp.files import os_reason
from yolo_gp.graph import read_graph
from yolo_gp.weights.layout import float_count
from yolo_gp.weights.manifest import ManifestFile, ManifestModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCache:
    """Pretrained models on this machine, each in a folder of its own: models/NAME/FILE.

    A file has its name only once its size and hash are right. Files whose publisher gives no hash
    must have the exact size that their cfg asks for; their hash is then pinned.

    Fields:
        home: the cache's folder; it need not exist yet.
        cfg_folder: where the cfg files are that come with yolo-gp.
        mirror: an address, http(s):// or file://, that holds NAME/FILE and is asked first.
        offline: fetch nothing.
        progress: is told of downloads, and of hashes that were pinned.
    """

    home: Path
    cfg_folder: Path
    mirror: str | None = None
    offline: bool = False
    progress: Progress = field(default_factory=Silent)
    settings: DownloadSettings = field(default_factory=DownloadSettings)

    @property
    def models_folder(self) -> Path:
        return self.home / "models"

    @property
    def pins(self) -> Pins:
        return Pins(self.home / "pins.json", self.home / "locks" / "pins.lock")

    def folder(self, name: str) -> Path:
        """Where the files of a model of that name lie.

        Raises:
            UsageError: the name leads elsewhere.
        """
        if not is_safe_name(name):
            raise UsageError(
                f'"{name}" is no model\'s name\n'
                "expected: letters, digits, '.', '_', '-'; no folder, no '..'"
            )
        return self.models_folder / name

    def path(self, model: ManifestModel, file: ManifestFile) -> Path:
        """Where a file lies, or will lie.

        Raises:
            UsageError: a name leads elsewhere.
        """
        if not is_safe_name(file.name):
            raise UsageError(
                f'"{file.name}" is no name for a file of {model.name}\n'
                "expected: letters, digits, '.', '_', '-'; no folder, no '..'"
            )
        return self.folder(model.name) / file.name

    def holds(self, model: ManifestModel, file: ManifestFile) -> bool:
        """Whether a file is here with its size, or, where none is published, at all."""
        path = self.path(model, file)
        return path.is_file() and file.bytes in (None, path.stat().st_size)

    def holds_some(self, model: ManifestModel) -> bool:
        """Whether any file of a model is here, whole or not."""
        return any(self.path(model, file).is_file() for file in model.files)

    def holds_all(self, model: ManifestModel) -> bool:
        """Whether every file of a model is here with its size."""
        return all(self.holds(model, file) for file in model.files)

    def cfg(self, model: ManifestModel) -> Path:
        """A model's cfg: the packaged one, or its own, which is pulled if it is not here.

        Raises:
            WeightsError: it is not here and cannot be fetched.
            DataError: the packaged one is missing.
        """
        if model.cfg_file is not None:
            return self._brought(model, model.cfg_file)
        path = self.cfg_folder / model.cfg
        if not path.is_file():
            raise DataError(
                f'the weights manifest says cfg = "{model.cfg}" for {model.name}, '
                "which cfg/ has not"
            )
        return path

    def weights(self, model: ManifestModel) -> Path:
        """A model's weights file: what is here with the right size, else pulled.

        Raises:
            WeightsError: it is not here and cannot be fetched.
        """
        if self.holds(model, model.weights):
            return self.path(model, model.weights)
        return self._brought(model, model.weights)

    def pull(self, model: ManifestModel) -> tuple[Path, ...]:
        """Have every file of a model here, hashes checked; its cfg comes first.

        Raises:
            WeightsError: a file is not here and cannot be fetched.
        """
        files = sorted(model.files, key=lambda file: file.format != "cfg")
        return tuple(self._brought(model, file, model.files) for file in files)

    def _brought(
        self, model: ManifestModel, file: ManifestFile, needed: Iterable[ManifestFile] = ()
    ) -> Path:
        """The path of a file that is here then; a failure tells how to get all that are needed."""
        path = self.path(model, file)
        with self.reserved(model.name):
            if path.is_file():
                found = read_digests(path)
                problem = self.problem(model, file, path, found)
                if problem is None:
                    self.pin(model, file, found)
                    return path
                self.progress.note(f"{path} is damaged: {problem}")
            if self.offline:
                raise WeightsError(
                    f"{file.name} of {model.name} is not in the cache, and nothing is fetched "
                    f"offline\n{self._by_hand(model, file, needed)}"
                )
            path.unlink(missing_ok=True)
            try:
                found = self._fetch(model, file, path)
            except DownloadError as error:
                raise WeightsError(f"{error}\n{self._by_hand(model, file, needed)}") from error
            self.pin(model, file, found)
        return path

    def _fetch(self, model: ManifestModel, file: ManifestFile, path: Path) -> Digests:
        return fetch(
            self.wanted(model, file),
            path,
            check=self._check(model, file),
            settings=self.settings,
            progress=self.progress,
        )

    def _by_hand(
        self, model: ManifestModel, file: ManifestFile, needed: Iterable[ManifestFile]
    ) -> str:
        """How to get what is missing without us, as the help of a message."""
        missing = [other for other in needed if other != file and not self.holds(model, other)]
        lines = [line for each in (file, *missing) for line in self._by_hand_lines(model, each)]
        return (
            "help: fetch by hand\n" + "\n".join(f"  {line}" for line in lines) + "\n"
            f"and run `yolo-gp zoo add FILE`{' on each' if missing else ''}: "
            f"it is checked and put into {self.folder(model.name)}"
        )

    def _by_hand_lines(self, model: ManifestModel, file: ManifestFile) -> list[str]:
        wanted = self.wanted(model, file)
        facts = [f"{wanted.size_text} bytes"] if wanted.sizes else []
        facts += [f"sha256 {wanted.sha256}"] if wanted.sha256 else []
        facts += [f"sha1 {wanted.sha1}"] if wanted.sha1 else []
        if file.sha256 is None and wanted.sha256 is not None:
            facts.append(f"as first seen: {self.pins.path}")
        return [file.name + (f": {', '.join(facts)}" if facts else ""), *file.urls]

    def wanted(self, model: ManifestModel, file: ManifestFile) -> Wanted:
        """A file as it must be: with its pinned hash if it has no published one."""
        urls = file.urls
        if self.mirror is not None:
            urls = (f"{self.mirror.rstrip('/')}/{model.name}/{file.name}", *urls)
        return Wanted(
            name=file.name,
            urls=urls,
            sizes=self._sizes(model, file),
            sha256=file.sha256 or self.pins.get(pin_key(model, file)),
            sha1=file.sha1,
        )

    def _sizes(self, model: ManifestModel, file: ManifestFile) -> tuple[int, ...]:
        if file.bytes is not None:
            return (file.bytes,)
        if file.format == "cfg" or file.sha256 is not None:
            return ()
        return unhashed_sizes(self._floats(model))

    def _floats(self, model: ManifestModel) -> int:
        return float_count(read_graph(self.cfg(model)))

    def _check(self, model: ManifestModel, file: ManifestFile) -> Callable[[Path], None] | None:
        if file.format == "cfg" or self.wanted(model, file).is_hashed:
            return None
        return functools.partial(check_unhashed, floats=self._floats(model))

    def problem(
        self, model: ManifestModel, file: ManifestFile, path: Path, found: Digests
    ) -> str | None:
        """Why what lies at `path`, whose digests are `found`, is not that file; None if it is."""
        problem = mismatch(found, self.wanted(model, file))
        check = self._check(model, file)
        if problem is None and check is not None:
            try:
                check(path)
            except YoloGpError as error:
                return str(error).partition("\n")[0]
        return problem

    def pin(self, model: ManifestModel, file: ManifestFile, found: Digests) -> None:
        """Remember the hash of a file whose publisher gives none, and say so."""
        key = pin_key(model, file)
        if file.sha256 is not None or self.pins.get(key) is not None:
            return
        self.pins.set(key, found.sha256)
        self.progress.note(
            f"{file.name}: its publisher gives no sha256; from now on it must have the one it has "
            f"today, {found.sha256} (pinned in {self.pins.path})"
        )

    def remove(self, name: str) -> tuple[Path, ...]:
        """Delete what is here of a model, unfinished downloads too; the files that went.

        A pinned hash stays: the next pull must bring the same file.

        Raises:
            UsageError: the name leads elsewhere.
            WeightsError: the cache cannot be written.
        """
        folder = self.folder(name)
        with self.reserved(name):
            found = tuple(sorted(path for path in folder.rglob("*") if not path.is_dir()))
            if folder.is_dir():
                shutil.rmtree(folder)
        return found

    @contextlib.contextmanager
    def reserved(self, name: str) -> Iterator[None]:
        """Hold a model's folder against other processes.

        Raises:
            WeightsError: the cache cannot be written.
        """
        folder = self.folder(name)
        try:
            with locked(
                self.home / "locks" / f"{name}.lock",
                waiting=lambda: self.progress.note(f"another process is busy with {name}; waiting"),
            ):
                yield
        except OSError as error:
            raise WeightsError(
                f"cannot use the cache in {folder}: {os_reason(error)}\n"
                "help: set YOLO_GP_HOME to a folder that can be written"
            ) from error


def pin_key(model: ManifestModel, file: ManifestFile) -> str:
    return f"{model.name}/{file.name}"


def read_digests(path: Path) -> Digests:
    """Size and hashes of a file.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        return digests(path)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {os_reason(error)}") from error


def cache_from_environment(
    environment: Mapping[str, str],
    cfg_folder: Path,
    *,
    offline: bool = False,
    progress: Progress | None = None,
) -> ModelCache:
    """The cache that YOLO_GP_HOME, YOLO_GP_MIRROR and YOLO_GP_OFFLINE describe.

    Raises:
        UsageError: one of them cannot be used.
    """
    home = environment.get("YOLO_GP_HOME")
    folder = Path(home).expanduser() if home else platformdirs.user_cache_path("yolo-gp", False)
    return ModelCache(
        home=folder.absolute(),
        cfg_folder=cfg_folder,
        mirror=_read_mirror(environment.get("YOLO_GP_MIRROR")),
        offline=offline or _read_switch("YOLO_GP_OFFLINE", environment),
        progress=progress or Silent(),
    )


def _read_mirror(text: str | None) -> str | None:
    if text and urlsplit(text).scheme not in ("http", "https", "file"):
        raise UsageError(
            f"YOLO_GP_MIRROR={text} is no address\n"
            "expected: http://, https:// or file://, such as file:///srv/models"
        )
    return text or None


def _read_switch(name: str, environment: Mapping[str, str]) -> bool:
    text = environment.get(name, "")
    if text not in ("", "0", "1"):
        raise UsageError(f"{name}={text} will not do\nexpected: 1 or 0")
    return text == "1"
