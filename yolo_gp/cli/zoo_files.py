"""`yolo-gp zoo pull | verify | path | rm | add`: pretrained models on this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Never

import typer

from yolo_gp.cli.flags import JsonOption, OfflineOption
from yolo_gp.errors import ExitCode, UsageError, WeightsError

if TYPE_CHECKING:
    from tqdm import tqdm

    from yolo_gp.cache import ModelCache
    from yolo_gp.weights.manifest import ManifestModel

ModelArguments = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", help="Pretrained models, as `zoo list` names them."),
]
AnyModelArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Pretrained models; all that are here by default."),
]
OneModelArgument = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="A pretrained model.")
]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A cfg or weights file.")]
NameOption = Annotated[
    str | None, typer.Option("--name", help="The model that the file is of, if it fits several.")
]


class DownloadBars:
    """Shows downloads on stderr: notes always, a bar where that is a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Never] | None = None

    def begin(self, name: str, done: int, total: int | None) -> None:
        from tqdm import tqdm

        hidden = not sys.stderr.isatty()
        self._bar = tqdm(
            desc=name, initial=done, total=total, unit="B", unit_scale=True, disable=hidden
        )

    def advance(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def note(self, message: str) -> None:
        print(message, file=sys.stderr)


def visible_cache(*, offline: bool = False) -> ModelCache:
    """The cache that the environment describes; its downloads show on stderr."""
    from yolo_gp.zoo import open_cache

    return open_cache(offline=offline, progress=DownloadBars())


def pull(names: ModelArguments, offline: OfflineOption = False) -> None:
    """Fetch pretrained models, unless they are here.

    A model is its weights, and its cfg where that does not come with yolo-gp. What is here
    already is checked again. Prints each model's licence and its files' paths.

    They go into the folder that YOLO_GP_HOME names, by default the user's cache. YOLO_GP_MIRROR,
    http(s):// or file://, is asked first for NAME/FILE; YOLO_GP_OFFLINE=1 is as --offline.

    \b
    Example:
      yolo-gp zoo pull yolo-fastest-1.1 yolov4-tiny
    """
    from yolo_gp.zoo import find_pretrained

    models = [find_pretrained(name) for name in dict.fromkeys(names)]
    cache = visible_cache(offline=offline)
    failed = 0
    for model in models:
        try:
            _pull_one(cache, model)
        except WeightsError as error:
            if len(models) == 1:
                raise
            print(f"error: {error}", file=sys.stderr)
            failed += 1
    if failed:
        print(f"{failed} of {len(models)} models failed", file=sys.stderr)
        raise typer.Exit(ExitCode.WEIGHTS if failed == len(models) else ExitCode.FINDINGS)


def _pull_one(cache: ModelCache, model: ManifestModel) -> None:
    paths = cache.pull(model)
    terms = dict.fromkeys(f"{file.licence}, {file.source}" for file in model.files)
    print(f"{model.name}: licence: {'; '.join(terms)}")
    for path in paths:
        print(path)


def verify(names: AnyModelArguments = None, as_json: JsonOption = False) -> None:
    """Hash what is here again: ok, damaged, missing, or unknown."""
    from yolo_gp.analysis.tables import SCHEMA_VERSION
    from yolo_gp.cache import FileState, check_model, stray_files
    from yolo_gp.cache.tables import checked_data, checked_text
    from yolo_gp.zoo import find_pretrained, pretrained_models

    cache = visible_cache()
    models = pretrained_models().values()
    if names:
        wanted = [find_pretrained(name) for name in dict.fromkeys(names)]
    else:
        wanted = [model for model in models if cache.holds_some(model)]
    files = [checked for model in wanted for checked in check_model(cache, model)]
    files += [] if names else stray_files(cache, models)
    if as_json:
        print(json.dumps({"schema_version": SCHEMA_VERSION, "files": checked_data(files)}))
    elif files:
        print(checked_text(files))
    else:
        print(f"there is nothing in {cache.models_folder}", file=sys.stderr)
    if any(file.state in (FileState.DAMAGED, FileState.MISSING) for file in files):
        raise typer.Exit(ExitCode.FINDINGS)


def path(name: OneModelArgument = None) -> None:
    """Print where a model's files lie.

    Without a name: the folder of all models.
    """
    from yolo_gp.zoo import find_pretrained

    cache = visible_cache()
    if name is None:
        print(cache.models_folder)
        return
    model = find_pretrained(name)
    missing = [file.name for file in model.files if not cache.holds(model, file)]
    if missing:
        raise WeightsError(
            f"{' and '.join(missing)} of {model.name} {'are' if missing[1:] else 'is'} not in the "
            f"cache\nhelp: `yolo-gp zoo pull {model.name}`"
        )
    for file in model.files:
        print(cache.path(model, file))


def rm(names: ModelArguments) -> None:
    """Delete models from the cache, unfinished downloads too."""
    cache = visible_cache()
    folders = [_held_name(cache, name) for name in dict.fromkeys(names)]
    for folder in folders:
        for removed in cache.remove(folder):
            print(f"removed {removed}")


def _held_name(cache: ModelCache, name: str) -> str:
    """The name under which the cache has something: a model's, or one that is no model's today."""
    from yolo_gp.zoo import find_pretrained

    if cache.folder(name).is_dir():
        return name
    found = find_pretrained(name).name
    if not cache.folder(found).is_dir():
        raise UsageError(f"nothing of {found} is in the cache, {cache.models_folder}")
    return found


def add(file: FileArgument, name: NameOption = None) -> None:
    """Add a file that was fetched by hand.

    It is put into the cache once its hash, or its exact size and header, show what it is.

    \b
    Example:
      yolo-gp zoo add Downloads/yolov4-tiny.weights
    """
    from yolo_gp.cache import add_file
    from yolo_gp.zoo import find_pretrained, pretrained_models

    cache = visible_cache()
    models = [find_pretrained(name)] if name else list(pretrained_models().values())
    added = add_file(cache, file, models)
    print(f"{file} is {added.file.name} of {added.model.name}; licence: {added.file.licence}")
    print(added.path)
    missing = [other.name for other in added.model.files if not cache.holds(added.model, other)]
    if missing:
        print(f"{', '.join(missing)} of {added.model.name} is still missing", file=sys.stderr)
