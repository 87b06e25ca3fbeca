"""`yolo-gp data`: look at annotated data sets, check, convert, choose anchors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import JsonOption, parse_size
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yolo_gp.data.annotations import AnnotatedDataset
    from yolo_gp.data.checking import CheckReport

data = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Annotated data sets: check, stats, convert, anchors.",
)

SpecArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="COCO .json, YOLO .yaml, Darknet .data, a .txt list of images, or a folder with "
        "images and labels (YOLO txt, Pascal VOC).",
    ),
]
SplitOption = Annotated[
    str, typer.Option("--split", help="Part of a yaml, .data or folder: train, val, test.")
]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", help="Folder that a COCO .json's file names are relative to."),
]
_SHOWN = 50  # findings on the screen; --json has all


@data.command()
def check(
    spec: SpecArgument,
    split: SplitOption = "val",
    images: ImagesOption = None,
    names: Annotated[
        Path | None,
        typer.Option("--names", help="A model's class names, one a line, to compare with."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Notes count as problems.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what is wrong with images and annotations.

    Decodes every image and reads every annotation.

    Exit code 0 if nothing is, 1 if there are problems, 5 if the data cannot be opened. Notes are
    legal, but may not be meant; with --strict they count too.
    """
    from yolo_gp.data.checking import check_dataset, report_data
    from yolo_gp.data.opening import open_dataset
    from yolo_gp.files import read_names

    expected = read_names(names) if names else None
    dataset = open_dataset(spec, split=split, images=images, names=expected)
    with _progress(dataset) as advance:
        report = check_dataset(dataset, decode_images=True, advance=advance)
    if as_json:
        print(json.dumps(report_data(report)))
    else:
        _print_report(report)
    if report.problems or (strict and report.notes):
        raise typer.Exit(ExitCode.FINDINGS)


def _print_report(report: CheckReport) -> None:
    for found in report.most_severe(_SHOWN):
        print(found.render())
    if len(report.found) > _SHOWN:
        print(f"... and {len(report.found) - _SHOWN:,} more; --json lists all")
    print(
        f"{report.dataset}: {report.images:,} images, {report.objects:,} objects, "
        f"{len(report.problems):,} problems, {len(report.notes):,} notes"
    )


@data.command()
def stats(
    spec: SpecArgument,
    split: SplitOption = "val",
    images: ImagesOption = None,
    plots: Annotated[
        Path | None,
        typer.Option("--plots", help="Folder for pictures: classes.png, boxes.png, images.png."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Count classes, objects, sizes, shapes and positions."""
    from yolo_gp.data.opening import open_dataset
    from yolo_gp.data.statistics import dataset_statistics, statistics_data, statistics_text

    dataset = open_dataset(spec, split=split, images=images, masks=False)
    with _progress(dataset) as advance:
        found = dataset_statistics(dataset, advance=advance)
    if plots is not None:
        from yolo_gp.plots.dataset import plot_statistics

        for file in plot_statistics(found, plots):
            print(f"wrote {file}", file=sys.stderr)
    print(json.dumps(statistics_data(found)) if as_json else statistics_text(found))


@data.command()
def convert(
    spec: SpecArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the data set.")],
    to: Annotated[str, typer.Option("--to", metavar="coco|yolo|voc", help="Its format.")],
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            help="Part to convert, val by default; give it again for more parts. For a JSON file "
            "or a list only the new part's name.",
        ),
    ] = None,
    images: ImagesOption = None,
    polygons: Annotated[
        bool,
        typer.Option("--polygons", help="yolo: write outlines where there are any, not boxes."),
    ] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Hard-link images, do not copy them.")
    ] = False,
) -> None:
    """Write a data set anew in another format, with its images.

    \b
    Examples:
      yolo-gp data convert annotations/instances_val.json out --to yolo
      yolo-gp data convert my-set out --to coco --split train --split val
    """
    from yolo_gp.data.converting import ConvertSettings, convert, parse_format
    from yolo_gp.data.opening import open_dataset

    settings = ConvertSettings(format=parse_format(to), link=link, polygons=polygons)
    parts = split or ["val"]
    if len(parts) > 1 and Path(spec).suffix.lower() in (".json", ".txt"):
        raise UsageError(
            f"{spec} is one part, so {' and '.join(parts)} would hold the same images\n"
            "expected: one --split, its name in the new data set"
        )
    splits = {name: open_dataset(spec, split=name, images=images) for name in parts}
    with _progress(*splits.values()) as advance:
        report = convert(splits, out, settings, advance=advance)
    print(f"{out}: {report.images:,} images, {report.objects:,} objects")
    for what, count in sorted(report.left_out.items()):
        print(f"note: left out {count:,} {what}", file=sys.stderr)


@data.command()
def anchors(
    spec: SpecArgument,
    num: Annotated[
        int | None, typer.Option("--num", min=1, max=100, help="How many; --cfg's by default.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="HxW",
            help="Network input, height x width in pixels; --cfg's by default.",
        ),
    ] = None,
    cfg: Annotated[
        str | None, typer.Option("--cfg", help="A cfg whose own anchors are scored beside.")
    ] = None,
    split: SplitOption = "train",
    images: ImagesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit anchors to the boxes of a data set.

    Boxes are measured as images are resized without letterbox.

    Prints a line for a cfg, and how well the anchors fit: each box's best IoU with one of them,
    both at the same centre; its mean, and the share above .5.

    \b
    Examples:
      yolo-gp data anchors my-set.yaml --num 6 --size 416
      yolo-gp data anchors my-set.yaml --cfg yolov4-tiny
    """
    from yolo_gp.data.anchors import anchors_data, anchors_report, box_sizes, compare_anchors
    from yolo_gp.data.opening import open_dataset

    own, cfg_size = _cfg_anchors(cfg) if cfg else ((), None)
    target = parse_size(size) or cfg_size
    count = num or len(own)
    if target is None or not count:
        missing = "--size" if target is None else "--num"
        raise UsageError(f"{missing} is not given\nexpected: --num K and --size HxW, or --cfg CFG")
    dataset = open_dataset(spec, split=split, images=images, masks=False)
    with _progress(dataset) as advance:
        boxes = box_sizes(dataset, target, advance=advance)
    found = compare_anchors(boxes, count, target, own)
    print(json.dumps(anchors_data(found)) if as_json else anchors_report(found, cfg))


def _cfg_anchors(name: str) -> tuple[tuple[tuple[float, float], ...], tuple[int, int]]:
    """The anchors that a cfg's heads predict with, and its input size."""
    from yolo_gp.adjusting.head_anchors import used_anchors
    from yolo_gp.graph import read_graph
    from yolo_gp.zoo import find_cfg

    graph = read_graph(find_cfg(name, visible_cache()))
    found = used_anchors(graph)
    if not found:
        raise UsageError(f"{name} has no anchors\nexpected: a cfg with a [yolo] head")
    return found, graph.input_shape.size


@contextmanager
def _progress(*datasets: AnnotatedDataset) -> Iterator[Callable[[int], object]]:
    """A bar on stderr while images are gone through; none where stderr is no terminal."""
    from tqdm import tqdm

    total = sum(len(dataset.samples) for dataset in datasets)
    with tqdm(total=total, unit="image", disable=not sys.stderr.isatty(), leave=False) as bar:
        yield bar.update
