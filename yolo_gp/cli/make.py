"""`yolo-gp make`: things made to order, from nothing."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from yolo_gp.cli.flags import OutOption, write_cfg

make = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Make things from nothing: family."
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
