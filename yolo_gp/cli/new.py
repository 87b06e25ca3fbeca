"""`yolo-gp new`: a cfg to start from."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import JsonOption, OutOption, parse_size, print_notes, write_cfg
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.errors import UsageError

if TYPE_CHECKING:
    from yolo_gp.tasks.starting import NewCfg, NewSettings

_Template = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="What to start from: a name that --list prints, its words in any order, or a cfg "
        "file of your own.",
    ),
]
_List = Annotated[
    bool,
    typer.Option("--list", help="List the templates, with what they cost at --size."),
]
_Classes = Annotated[
    int | None,
    typer.Option("--classes", help="How many; by default as many as --names or --data has."),
]
_Names = Annotated[Path | None, typer.Option("--names", help="File with one class name a line.")]
_Size = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="HxW",
        help="Network input, height x width in pixels; the template's by default.",
    ),
]
_Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Images to train on, to fit anchors to: COCO .json, YOLO .yaml, Darknet .data, a "
        ".txt list, or a folder.",
    ),
]
_Images = Annotated[
    Path | None,
    typer.Option("--images", help="Folder that a COCO .json's file names are relative to."),
]
_Epochs = Annotated[
    float | None,
    typer.Option("--epochs", help="Train for so many passes of --data; else by Darknet's advice."),
]
_DarknetData = Annotated[
    bool,
    typer.Option("--darknet-data", help="Also write what Darknet needs: .data, lists of images."),
]
_Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]


def new(
    template: _Template = None,
    list_all: _List = False,
    classes: _Classes = None,
    names: _Names = None,
    size: _Size = None,
    data: _Data = None,
    images: _Images = None,
    epochs: _Epochs = None,
    out: OutOption = None,
    darknet_data: _DarknetData = False,
    force: _Force = False,
    as_json: JsonOption = False,
) -> None:
    """Write a cfg to start from: a known network for your classes, input size and data.

    Worked out: the channels before each head, anchors (k-means over the boxes of --data, else the
    template's, scaled), max_batches and steps, subdivisions for a card of 8 GB. Sizes are height x
    width. A .names is written beside it if the data knows its classes.

    \b
    Examples:
      yolo-gp new --list --size 320x416
      yolo-gp new --template tiny-elan --data my-data.yaml --size 320x416 -o my.cfg
      yolo-gp new --template yolov4-tiny --classes 3 --names my.names -o my.cfg
    """
    if list_all or template == "list":
        _list(parse_size(size), classes, as_json=as_json)
        return
    if template is None:
        raise UsageError("--template is not given\nexpected: a name that --list prints")
    if as_json:
        raise UsageError("--json has no effect without --list\nexpected: --list, or no --json")
    from yolo_gp.tasks.starting import NewSettings

    settings = NewSettings(
        template=template,
        classes=classes,
        names=names,
        size=parse_size(size),
        data=data,
        images=images,
        epochs=epochs,
    )
    _make(settings, out, darknet_data=darknet_data, force=force)


def _list(size: tuple[int, int] | None, classes: int | None, *, as_json: bool) -> None:
    from yolo_gp.tasks.templates import list_templates, templates_data, templates_text

    listed = list_templates(size, classes)
    print(json.dumps(templates_data(listed)) if as_json else templates_text(listed))


def _make(settings: NewSettings, out: Path | None, *, darknet_data: bool, force: bool) -> None:
    from tqdm import tqdm

    from yolo_gp.tasks.starting import new_cfg
    from yolo_gp.tasks.starting_files import files_beside, require_absent, write_files

    if out is None and (darknet_data or force):
        raise UsageError("--darknet-data and --force are for files\nexpected: -o FILE with them")
    if out is not None and not force:
        require_absent([out])  # before all boxes are read
    with tqdm(unit="image", disable=not sys.stderr.isatty(), leave=False) as bar:
        cfg = new_cfg(settings, visible_cache(), bar.update)
    print_notes(cfg.notes)
    if out is None:
        write_cfg(cfg.content, None)
        return
    files = files_beside(cfg, settings, out, darknet_data=darknet_data)
    if not force:
        require_absent(files)
    write_files(files)
    print(_outcome(cfg, settings, out))
    for path in list(files)[1:]:
        print(path)


def _outcome(cfg: NewCfg, settings: NewSettings, out: Path) -> str:
    """What was made, and how to go on."""
    graph, count = cfg.graph, cfg.graph.heads[0][1].num_classes
    height, width = graph.input_shape.size
    text = (
        f"{out}: {count} class{'es' * (count != 1)}, input {height}x{width} (height x width), "
        f"{graph.total.params / 1e6:.2f} M parameters, {2 * graph.total.macs / 1e9:.2f} GFLOPs\n"
    )
    if not cfg.recipes:
        return f"{text}train it with Darknet: yolo-gp has no loss for its heads"
    recipe = "" if "darknet" in cfg.recipes else f" --recipe {cfg.recipes[0]}"
    data = "DATA" if settings.data is None else shlex.quote(settings.data)
    return f"{text}train it: yolo-gp train --cfg {shlex.quote(str(out))} --data {data}{recipe}"
