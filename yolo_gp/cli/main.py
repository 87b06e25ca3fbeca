"""`yolo-gp`: the commands, and what becomes of errors."""

from __future__ import annotations

import os
import sys

import typer

from yolo_gp import __version__
from yolo_gp.cli.analyze import analyze
from yolo_gp.cli.classify import classify
from yolo_gp.cli.compare import compare
from yolo_gp.cli.convert import convert
from yolo_gp.cli.data import data
from yolo_gp.cli.detect import detect
from yolo_gp.cli.diff import diff
from yolo_gp.cli.doctor import doctor
from yolo_gp.cli.expand import expand
from yolo_gp.cli.fmt import fmt
from yolo_gp.cli.graph import graph
from yolo_gp.cli.info import info
from yolo_gp.cli.lint import lint
from yolo_gp.cli.make import make
from yolo_gp.cli.new import new
from yolo_gp.cli.reference import reference
from yolo_gp.cli.set import set_options
from yolo_gp.cli.study import study
from yolo_gp.cli.train import train
from yolo_gp.cli.transform import transform
from yolo_gp.cli.val import val
from yolo_gp.cli.zoo import zoo
from yolo_gp.errors import ExitCode, YoloGpError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Compile Darknet cfg files to torch, look at them, run them.",
)
app.command()(detect)
app.command()(classify)
app.command()(val)
app.command()(train)
app.command()(study)
app.command()(info)
app.command()(graph)
app.command()(analyze)
app.command()(expand)
app.command()(transform)
app.command()(new)
app.command("set")(set_options)
app.command()(lint)
app.command()(fmt)
app.command()(diff)
app.command()(reference)
app.command()(convert)
app.command()(compare)
app.command()(doctor)
app.add_typer(data, name="data")
app.add_typer(make, name="make")
app.add_typer(zoo, name="zoo")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"yolo-gp {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Compile Darknet cfg files to torch, look at them, run them."""


def run() -> None:
    """The entry point: our own errors become a message and an exit code, others a traceback."""
    try:
        app()
    except YoloGpError as error:
        print(f"{_lead(error)}{error}", file=sys.stderr)
        sys.exit(int(error.exit_code))
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(int(ExitCode.OK))


def _lead(error: YoloGpError) -> str:
    return "" if error.exit_code is ExitCode.CFG else "error: "
