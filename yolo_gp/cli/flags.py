"""Flags that commands share, each declared once; and the values behind them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from yolo_gp.errors import Diagnostic, UsageError
from yolo_gp.files import write_atomically

CfgArgument = Annotated[
    str,
    typer.Argument(
        metavar="CFG",
        help="A cfg file, or the name of one that comes with yolo-gp or of a pretrained model.",
    ),
]
CfgOption = Annotated[
    str | None,
    typer.Option(
        "--cfg",
        help="A cfg file, or the name of one that comes with yolo-gp or of a pretrained model; "
        "not needed with weights that hold their cfg.",
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="Darknet .weights, .safetensors, a torch state dict, or the name of a pretrained "
        "model; by default the pretrained weights that belong to the cfg.",
    ),
]
DialectOption = Annotated[
    str | None,
    typer.Option(
        "--dialect",
        metavar="darknet|yolor",
        help="Whose language the cfg is in: Darknet's, or that of the torch code of YOLOR and "
        "PyTorch_YOLOv4. By default what its sections tell.",
    ),
]
NamesOption = Annotated[
    Path | None, typer.Option("--names", help="File with one class name a line.")
]
PresetOption = Annotated[
    str,
    typer.Option("--preset", help="Conventions: darknet, opencv, ultralytics or coco."),
]
ConfidenceOption = Annotated[
    float | None,
    typer.Option(
        "--conf", help="Report boxes above this confidence, 0 to 1; the preset's by default."
    ),
]
IouOption = Annotated[
    float | None,
    typer.Option(
        "--iou", help="Suppress boxes that overlap more than this; the preset's by default."
    ),
]
MaxDetectionsOption = Annotated[
    int | None, typer.Option("--max-det", help="At most so many boxes an image.")
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="HxW",
        help="Network input, height x width in pixels; the cfg's by default.",
    ),
]
RandomWeightsOption = Annotated[
    bool, typer.Option("--random-weights", help="Run untrained, to try things out.")
]
SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Image, video, folder, glob, URL, camera number, or - for a list on stdin.",
    ),
]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Images per forward pass.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, mps.")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="float32, float16 or bfloat16.")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Treat warnings about the cfg as errors.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, no table.")]

OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Fetch nothing; use what is in the cache.")
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="File to write the cfg to; standard output by default."),
]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """ "320x416", or "416" for a square, as (height, width).

    Raises:
        UsageError: another form, or a side that is 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,5})(?:[xX]([0-9]{1,5}))?", text.strip())
    if not match or int(match[1]) == 0 or (match[2] and int(match[2]) == 0):
        raise UsageError(
            f"--size {text} is no size\nexpected: HEIGHTxWIDTH in pixels, such as 320x416, or 416"
        )
    return int(match[1]), int(match[2] or match[1])


def print_warnings(warnings: Iterable[Diagnostic]) -> None:
    """Warnings about a cfg go to stderr; results alone go to stdout."""
    for warning in warnings:
        print(f"{warning.render()}\n", file=sys.stderr)


def print_notes(notes: Iterable[str]) -> None:
    """What the user should know about a model, on stderr, a line each."""
    for note in notes:
        print(note, file=sys.stderr)


def write_cfg(content: bytes, out: Path | None) -> None:
    """Put a cfg where `--out` says: into a file, whole or not at all, or to stdout.

    Raises:
        DataError: the file cannot be written.
    """
    if out is not None:
        write_atomically(out, content)
        return
    sys.stdout.buffer.write(content)  # bytes, since a comment may hold some that are no text
    sys.stdout.flush()
