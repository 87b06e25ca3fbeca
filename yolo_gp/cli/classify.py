"""`yolo-gp classify`: what whole images show."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import (
    BatchOption,
    CfgOption,
    DeviceOption,
    DialectOption,
    DtypeOption,
    JsonOption,
    NamesOption,
    OfflineOption,
    RandomWeightsOption,
    SizeOption,
    SourcesArgument,
    StrictOption,
    WeightsOption,
    parse_size,
    print_notes,
    print_warnings,
)
from yolo_gp.cli.inputs import exit_with_failures, progress
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect
from yolo_gp.errors import UsageError

if TYPE_CHECKING:
    from yolo_gp.tasks.classify_report import ClassifyReport

_Top = Annotated[
    int, typer.Option("--top", min=1, help="How many classes to show of each image, best first.")
]
_Csv = Annotated[bool, typer.Option("--csv", help="Print CSV: a line for each image and class.")]


def classify(
    sources: SourcesArgument,
    cfg: CfgOption = None,
    weights: WeightsOption = None,
    names: NamesOption = None,
    top: _Top = 5,
    size: SizeOption = None,
    batch: BatchOption = 8,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
    as_csv: _Csv = False,
    dialect: DialectOption = None,
    strict: StrictOption = False,
    random_weights: RandomWeightsOption = False,
    offline: OfflineOption = False,
) -> None:
    """Say what whole images show: the classes of highest score.

    An image goes in as Darknet puts it in: resized until its shorter side equals the network's
    width, then its middle cut out.

    \b
    Examples:
      yolo-gp classify --cfg darknet19.cfg --weights darknet19.weights --names imagenet.names a.jpg
      yolo-gp classify --weights mine.safetensors photos/ --top 1 --csv
    """
    from yolo_gp.tasks.classifier import Classifier, ClassifierSettings
    from yolo_gp.tasks.classify import classify_all
    from yolo_gp.tasks.classify_report import ClassifyReport
    from yolo_gp.tasks.models import ModelSource
    from yolo_gp.tasks.sources import open_sources

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other; give one")
    model = ModelSource(
        cfg=cfg,
        weights=weights,
        names=names,
        size=parse_size(size),
        strict=strict,
        dialect=parse_dialect(dialect),
        random_weights=random_weights,
    )
    settings = ClassifierSettings(model=model, device=device, dtype=dtype)
    classifier = Classifier.load(settings, cache=visible_cache(offline=offline))
    print_warnings(classifier.graph.warnings)
    print_notes(classifier.notes)
    opened = open_sources(sources, stdin=sys.stdin, channels=classifier.channels)
    report = ClassifyReport()
    with progress(opened.count_hint()) as advance:
        classify_all(classifier, opened, top=top, batch_size=batch, report=report, advance=advance)
    _print(report, as_json=as_json, as_csv=as_csv)
    exit_with_failures(report.failures, some_succeeded=bool(report.images))


def _print(report: ClassifyReport, *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        print(report.to_json())
    elif as_csv:
        print(report.to_csv())
    elif report.images:
        print(report.to_table())
