"""Flags of `yolo-gp train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Annotated images: COCO .json, YOLO .yaml, Darknet .data, a .txt list, or a folder.",
    ),
]
ValDataOption = Annotated[
    str | None,
    typer.Option("--val-data", help="Images to measure on; by default the val part of --data."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="Weights to start from: a file or the name of a pretrained model; what does not fit "
        "is left out and said. By default random.",
    ),
]
CutoffOption = Annotated[
    int | None, typer.Option("--cutoff", help="Take the first N sections of --weights only.")
]
RecipeOption = Annotated[
    str,
    typer.Option("--recipe", help="darknet: as [net] and [yolo] say; modern: as YOLOR trains."),
]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", help="How long, in passes of the data.")
]
IterationsOption = Annotated[
    int | None, typer.Option("--iterations", help="How long, in updates of the weights.")
]
BatchOption = Annotated[
    int | None, typer.Option("--batch", help="Images for an update, of all processes together.")
]
SubdivisionsOption = Annotated[
    int | None,
    typer.Option("--subdivisions", help="Parts of the batch that go through one after the other."),
]
AutoBatchOption = Annotated[
    bool, typer.Option("--auto-batch", help="Choose --subdivisions by the memory that is free.")
]
LrOption = Annotated[float | None, typer.Option("--lr", help="The highest learning rate.")]
CloseMosaicOption = Annotated[
    int | None,
    typer.Option(
        "--close-mosaic",
        help="No mosaics in the last N epochs of the modern recipe; by default 10, at most a fifth "
        "of all.",
    ),
]
FreezeOption = Annotated[
    int, typer.Option("--freeze", help="Keep weights and statistics of the first N sections.")
]
BnMomentumOption = Annotated[
    float | None,
    typer.Option("--bn-momentum", help="Share of a batch in batch norms' running statistics."),
]
SyncBnOption = Annotated[
    bool, typer.Option("--sync-bn", help="Batch norms see all processes' images as one batch.")
]
DarknetCpuOption = Annotated[
    bool, typer.Option("--darknet-cpu", help="Train as Darknet's CPU build, faults included.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="cpu, cuda, cuda:1, mps; cuda: each process has its own.")
]
DtypeOption = Annotated[
    str,
    typer.Option("--dtype", help="float32, amp or bfloat16; auto is amp on a GPU, else float32."),
]
NoValOption = Annotated[bool, typer.Option("--no-val", help="Do not measure accuracy.")]
ValEveryOption = Annotated[
    int | None,
    typer.Option(
        "--val-every",
        help="Epochs between measurements; by default they take up to a sixth of all images.",
    ),
]
PatienceOption = Annotated[
    int, typer.Option("--patience", help="Stop after N epochs without a higher AP; 0 does not.")
]
NonFiniteOption = Annotated[
    str, typer.Option("--non-finite", help="What a loss that is no number does: stop or skip.")
]
WorkersOption = Annotated[
    int, typer.Option("--workers", help="Processes that load images; 0 loads in between.")
]
CacheOption = Annotated[
    str, typer.Option("--cache", help="Keep decoded images: none, memory or disk.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of all random numbers.")]
SaveDirOption = Annotated[
    Path | None,
    typer.Option("--save-dir", help="New or empty folder for results; runs/train/N by default."),
]
ResumeOption = Annotated[
    Path | None,
    typer.Option("--resume", metavar="DIR", help="Go on with the interrupted run in this folder."),
]
PlotsOption = Annotated[
    bool, typer.Option("--plots", help="Also write curves, a batch and the labels as PNG.")
]
TensorboardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Also log for TensorBoard, which must be installed.")
]
