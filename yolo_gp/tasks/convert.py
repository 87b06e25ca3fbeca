"""Weights from one format into another, or from one network into another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from yolo_gp.cache import ModelCache
from yolo_gp.errors import CfgError, DataError, Diagnostic, UsageError, WeightsError, shown
from yolo_gp.files import os_reason
from yolo_gp.graph import Graph, read_graph
from yolo_gp.network import compile_network, initialise
from yolo_gp.plain import write_plain
from yolo_gp.tasks.export_onnx import OnnxReport, OnnxSettings, export_onnx
from yolo_gp.tasks.models import Model, ModelSource, load_model
from yolo_gp.weights.checkpoint import save_checkpoint
from yolo_gp.weights.checkpoint_info import describe
from yolo_gp.weights.darknet import save_weights
from yolo_gp.weights.formats import WeightsFormat, format_of_suffix
from yolo_gp.weights.layout import (
    WeightsDialect,
    check_cutoff,
    kinds_that_differ,
    network_tensors,
    tensors_left_out,
)
from yolo_gp.weights.state_dicts import save_state_dict
from yolo_gp.weights.tensors import DTYPES
from yolo_gp.weights.transfer import plan_transfer
from yolo_gp.weights.transfer_plan import TransferPlan
from yolo_gp.weights.transferring import apply_transfer
from yolo_gp.zoo import find_cfg

_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertSettings:
    """What to convert, and into what.

    Fields:
        model: the weights to read; `weights` must be set, `size` only for ONNX.
        target: the file to write; its suffix says the format.
        dtype: how numbers are stored: float32, float16 or bfloat16.
        cutoff: keep the sections before this number only.
        to: another cfg, by path or name: the result is for it, with what fits moved over.
        mapping: layers of the model to layers of `to`, as written; see `plan_transfer`.
        onnx: what an ONNX file returns; None for boxes and scores of all places.
        weights_dialect: whose Darknet is to read a `.weights` file.
    """

    model: ModelSource
    target: Path
    dtype: str = "float32"
    cutoff: int | None = None
    to: str | Path | None = None
    mapping: Mapping[int, int] | None = None
    onnx: OnnxSettings | None = None
    weights_dialect: WeightsDialect = "alexeyab"

    def __post_init__(self) -> None:
        if self.model.weights is None:
            raise UsageError("there is nothing to convert without a weights file")
        if self.dtype not in DTYPES:
            raise UsageError(f"dtype {self.dtype} is none of {', '.join(DTYPES)}")
        if self.mapping is not None and self.to is None:
            raise UsageError(
                "--map says what goes where in another cfg\nexpected: --to CFG with it"
            )
        self._check_format()

    def _check_format(self) -> None:
        if self.format in ("darknet", "onnx") and self.dtype != "float32":
            raise UsageError(
                f"{self.target} cannot hold {self.dtype}: {self.format} files are float32\n"
                "help: write .safetensors or .pt"
            )
        if self.format != "darknet" and self.weights_dialect != "alexeyab":
            raise UsageError(
                f"{self.target} names its tensors, so none of them is in {self.weights_dialect}'s "
                "order\nexpected: a file that ends in .weights"
            )
        if self.format == "onnx" and self.cutoff is not None and self.to is None:
            raise UsageError(
                "a part of a network cannot be written as ONNX\nhelp: leave --cutoff out"
            )
        if self.format != "onnx" and self.model.size is not None:
            raise UsageError(
                "--size is for ONNX files only: weights are the same at every input size"
            )
        if self.format != "onnx" and self.onnx is not None:
            raise UsageError("--nms, --raw, --conf and --iou are for ONNX files only")

    @property
    def format(self) -> WeightsFormat:
        """The format to write.

        Raises:
            UsageError: the target's suffix names none.
        """
        named = format_of_suffix(self.target)
        if named is None:
            raise UsageError(
                f"{self.target} names no format to write\n"
                "expected: a file that ends in .weights, .safetensors, .pt, .pth or .onnx"
            )
        return named


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What was written.

    Fields:
        tensors: how many the file holds; None for ONNX.
        bytes: the file's size.
        fingerprint: of the network that the file is for.
        cutoff: the file holds the sections before this number only; None for all.
        plan: what moved into another network, and what did not; None without `to`.
        report: of the export and its check; None for other formats.
        warnings: about the cfg that the file is for.
        notes: what the user should know besides.
    """

    path: Path
    format: WeightsFormat
    tensors: int | None = None
    bytes: int
    fingerprint: str
    cutoff: int | None = None
    plan: TransferPlan | None = None
    report: OnnxReport | None = None
    warnings: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """One line on the file; for ONNX, behind it, how far it is from torch."""
        tensors = f"{self.tensors} tensors, " if self.tensors is not None else ""
        part = f", sections 0 to {self.cutoff - 1} only" if self.cutoff is not None else ""
        line = (
            f"wrote {self.path}: {self.format}, {tensors}{self.bytes} bytes, "
            f"fingerprint {self.fingerprint[:8]}{part}"
        )
        return f"{line}\n{self.report.to_text()}" if self.report else line


def convert(settings: ConvertSettings, *, cache: ModelCache | None = None) -> Converted:
    """Read weights, and write them in another format or for another network.

    The file appears whole or not at all.

    Args:
        cache: where pretrained models lie or are pulled to; by default as the environment says.

    Raises:
        CfgError, WeightsError, UsageError, DataError: what does not fit, and where.
    """
    _check_is_other_file(settings)
    partly = settings.format != "onnx" or settings.to is not None
    model = load_model(settings.model, accept_partial=partly, cache=cache)
    check_cutoff(model.graph, settings.cutoff)
    plan = None
    if settings.to is not None:
        model, plan = _moved(model, settings)
    else:
        model = _shortened(model, settings.cutoff)
    _check_names(model)
    written = _write(model, settings)
    return replace(written, plan=plan, notes=(*model.notes, *written.notes))


def _check_is_other_file(settings: ConvertSettings) -> None:
    source, target = Path(str(settings.model.weights)), settings.target
    try:
        same = target.exists() and source.exists() and source.samefile(target)
    except OSError as error:
        raise WeightsError(f"cannot read weights {source}: {os_reason(error)}") from error
    if same:
        raise UsageError(
            f"{source} and {target} are one file, which may lose something by the conversion\n"
            "expected: another file to write"
        )


def _shortened(model: Model, cutoff: int | None) -> Model:
    if cutoff is None:
        return model
    if model.cutoff is not None and cutoff > model.cutoff:
        raise UsageError(
            f"cutoff {cutoff} is more than the weights hold: the first {model.cutoff} sections"
        )
    whole = len(network_tensors(model.graph)) == len(network_tensors(model.graph, cutoff))
    return replace(model, cutoff=None if whole else cutoff)


def _moved(model: Model, settings: ConvertSettings) -> tuple[Model, TransferPlan]:
    """What of the model fits into another network, there; the rest of that is random."""
    path = find_cfg(str(settings.to))
    source = settings.model
    graph = read_graph(path, input_size=source.size, strict=source.strict, dialect=source.dialect)
    cutoffs = [cutoff for cutoff in (settings.cutoff, model.cutoff) if cutoff is not None]
    plan = plan_transfer(
        model.graph, graph, cutoff=min(cutoffs, default=None), mapping=settings.mapping
    )
    if not plan.moves:
        raise WeightsError(
            f"nothing of {settings.model.weights} fits into {path}\n{plan.to_text()}\n"
            "help: say with --map what goes where"
        )
    network = compile_network(graph)
    initialise(network, seed=0)
    apply_transfer(plan, model.network, network)
    notes = list(model.notes)
    if plan.not_moved:
        notes.append("layers that got nothing hold random numbers, as before a training")
    names = model.names
    if names and not settings.model.names and not _fits(names, graph):
        names = ()
        notes.append("class names are left out: the other cfg has another number of classes")
    return Model(graph, network, names, cfg_name=path.stem, notes=tuple(notes)), plan


def _fits(names: tuple[str, ...], graph: Graph) -> bool:
    return all(head.num_classes == len(names) for _, head in graph.heads)


def _check_names(model: Model) -> None:
    if model.names and not _fits(model.names, model.graph):
        counts = sorted({head.num_classes for _, head in model.graph.heads})
        raise DataError(
            f"{len(model.names)} class names are given, but {model.graph.spec.net.span.file} has "
            f"classes={', '.join(map(str, counts))}\n"
            "expected: one line for each class in the names file, blank ones count"
        )


def _write(model: Model, settings: ConvertSettings) -> Converted:
    dialect = settings.weights_dialect
    if model.header and (settings.model.weights_dialect or "alexeyab") != dialect:
        model = replace(model, header=model.header.adapted_to(dialect))
    path, graph, network = settings.target, model.graph, model.network
    tensors, report = None, None
    notes: tuple[str, ...] = ()
    info = describe(
        graph,
        cfg_name=model.cfg_name,
        class_names=model.names,
        header=model.header,
        cutoff=model.cutoff,
    )
    match settings.format:
        case "darknet":
            tensors = save_weights(path, graph, network, model.header, model.cutoff, dialect)
            notes = (*_darknet_notes(model), *_dialect_notes(graph, dialect))
        case "safetensors":
            tensors = save_checkpoint(path, graph, network, info, settings.dtype)
        case "torch":
            tensors = save_state_dict(path, graph, network, info, settings.dtype)
        case "onnx":
            report = export_onnx(model, path, settings.onnx or OnnxSettings())
    return Converted(
        path=path,
        format=settings.format,
        tensors=tensors,
        bytes=path.stat().st_size,
        fingerprint=graph.fingerprint,
        cutoff=model.cutoff,
        report=report,
        warnings=graph.warnings,
        notes=notes,
    )


def _darknet_notes(model: Model) -> tuple[str, ...]:
    """What a `.weights` file leaves out, and what Darknet needs beside it."""
    graph, notes = model.graph, []
    text = graph.cfg_text.encode()
    try:
        if write_plain(text, graph).content != text:
            notes.append(
                "Darknet cannot read the cfg as it is; the one that `yolo-gp expand` writes from "
                "it goes with these weights"
            )
    except CfgError as error:
        notes.append(f"no Darknet can run this network: {error.diagnostics[0].message}")
    left_out = len(tensors_left_out(graph, model.cutoff))
    if left_out:
        notes.append(
            f"{left_out} tensors are not in the file: the cfg says dontload or dontloadscales, so "
            "nobody would read them"
        )
    return tuple(notes)


def _dialect_notes(graph: Graph, dialect: WeightsDialect) -> tuple[str, ...]:
    kinds = " and ".join(f"[{kind}]" for kind in kinds_that_differ(graph))
    if not kinds:
        return ()
    return (f"{kinds}: written in the order of {dialect}'s Darknet; the other reads another",)


def read_mapping(path: Path) -> dict[int, int]:
    """Lines of two layer numbers, source and target; blank lines and those after "#" do not count.

    Raises:
        DataError: the file cannot be read, or a line is something else.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read map {path}: {os_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text, so it maps no layers") from error
    mapping: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not all(_NUMBER.fullmatch(word) for word in words):
            raise DataError(
                f"{path}:{number}: {shown(line.strip())!r} is no pair of layers\n"
                "expected: two numbers, a layer of the source and one of the target, such as 12 14"
            )
        source, target = map(int, words)
        if source in mapping:
            raise DataError(f"{path}:{number}: layer {source} of the source stands here twice")
        mapping[source] = target
    return mapping
