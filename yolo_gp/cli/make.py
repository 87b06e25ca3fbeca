"""`yolo-gp make`: things made to order, from nothing."""

from __future__ import annotations

import enum
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from yolo_gp.cli.flags import OutOption, parse_size, write_cfg
from yolo_gp.errors import UsageError

make = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Make things from nothing: family, shapes."
)


class FamilyName(enum.StrEnum):
    """Families of networks that `yolo-gp make family` knows."""

    PLAIN = "plain"
    RESIDUAL = "residual"
    DENSE = "dense"
    SPARSE_RESIDUAL = "sparse-residual"
    SPARSE_DENSE = "sparse-dense"
    PRN = "prn"
    PRN_SHRINK = "prn-shrink"
    PRN_EXPAND = "prn-expand"
    PRN_BOTTLENECK = "prn-bottleneck"
    OSA = "osa"
    ELAN = "elan"


_Family = Annotated[FamilyName, typer.Argument(metavar="FAMILY", help=", ".join(FamilyName))]
_Layers = Annotated[int, typer.Option("--layers", help="Weight layers.")]
_Channels = Annotated[
    int, typer.Option("--channels", help="Channels of each layer; of the widest, if they differ.")
]
_Ratio = Annotated[float, typer.Option("--ratio", help="prn: share of the channels that is added.")]


@make.command()
def family(
    name: _Family,
    layers: _Layers,
    channels: _Channels = 64,
    ratio: _Ratio = 0.5,
    out: OutOption = None,
) -> None:
    """Write the cfg of a chain of layers joined as papers draw them, for `yolo-gp analyze`."""
    from yolo_gp.families import FamilySettings, family_cfg

    settings = FamilySettings(layers=layers, channels=channels, ratio=ratio)
    write_cfg(family_cfg(name, settings).encode(), out)


_Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="New folder; or a .png, for one picture alone.")
]
_Images = Annotated[int | None, typer.Option("--images", metavar="N", help="Scenes to train with.")]
_Val = Annotated[
    int | None,
    typer.Option("--val", metavar="M", help="Scenes to validate on; a tenth of N by default."),
]
_SceneSize = Annotated[
    str | None,
    typer.Option(
        "--size", metavar="HxW", help="Height x width of a scene in pixels; 320x320 by default."
    ),
]
_Seed = Annotated[int, typer.Option("--seed", help="Another number gives other scenes.")]
_Workers = Annotated[
    int | None, typer.Option("--workers", help="Processes; one for each core by default.")
]


@make.command()
def shapes(
    out: _Out,
    images: _Images = None,
    val: _Val = None,
    size: _SceneSize = None,
    seed: _Seed = 0,
    workers: _Workers = None,
) -> None:
    """Write scenes of six shapes, with boxes and masks in COCO form: data to train with at once.

    A box is that of an object's visible part; nothing is hidden so far that it cannot be told.
    Scene i of a seed is the same in every data set. A .png is the first validation scene.
    """
    height_width = parse_size(size) or (320, 320)
    if out.suffix.lower() == ".png":
        if images not in (None, 1) or val or workers is not None:
            raise UsageError(
                f"{out} is one picture, which --images, --val and --workers do not concern\n"
                "expected: a folder for more, or a picture without them"
            )
        _write_picture(out, seed, height_width)
        return
    if images is None:
        raise UsageError(
            "--images is not given\nexpected: --images N, or a name that ends in .png for one "
            "picture"
        )
    from tqdm import tqdm

    from yolo_gp.scenes.making import ShapesSettings, write_shapes

    settings = ShapesSettings(
        images=images,
        val=-(-images // 10) if val is None else val,
        size=height_width,
        seed=seed,
        workers=workers if workers is not None else os.cpu_count() or 1,
    )
    total = settings.images + settings.val
    with tqdm(total=total, unit="scene", disable=not sys.stderr.isatty(), leave=False) as bar:
        report = write_shapes(out, settings, advance=bar.update)
    print(
        f"{out}: {report.images:,} scenes to train with, {report.val:,} to validate on, "
        f"{report.objects:,} objects"
    )


def _write_picture(out: Path, seed: int, size: tuple[int, int]) -> None:
    from yolo_gp.scenes.making import write_picture

    objects = write_picture(out, seed=seed, size=size)
    print(f"{out}: {objects:,} objects")
