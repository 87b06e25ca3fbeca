"""Weights of any format into a compiled network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import fx

from yolo_gp.dialect import Dialect
from yolo_gp.errors import UsageError, WeightsError
from yolo_gp.graph import Graph
from yolo_gp.weights.checkpoint import load_checkpoint
from yolo_gp.weights.checkpoint_info import CheckpointInfo, read_info
from yolo_gp.weights.darknet import load_prefix, load_weights
from yolo_gp.weights.formats import WeightsFormat, detect_format
from yolo_gp.weights.header import WeightsHeader
from yolo_gp.weights.layout import WeightsDialect, kinds_that_differ
from yolo_gp.weights.state_dicts import load_state_dict, open_torch_file
from yolo_gp.weights.tensors import adopt_epsilon, has_batch_norms


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedWeights:
    """What a network was filled from.

    Fields:
        format: of the file.
        header: Darknet's, if the numbers come from a `.weights` file, however many times converted.
        class_names: by id, as the file holds them; empty if it holds none.
        cutoff: only the sections before this number were filled; None for all.
        notes: what the user should know.
    """

    format: WeightsFormat
    header: WeightsHeader | None = None
    class_names: tuple[str, ...] = ()
    cutoff: int | None = None
    notes: tuple[str, ...] = ()


def embedded_info(path: Path) -> CheckpointInfo | None:
    """The cfg and the names inside a weights file of ours; None if it holds no cfg.

    Raises:
        WeightsError: the file cannot be read, or is an ONNX model.
    """
    match detect_format(path):
        case "safetensors":
            return read_info(path)
        case "torch":
            return open_torch_file(path).info
        case "onnx":
            raise _onnx_error(path)
        case "darknet":
            return None


def _onnx_error(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} is an ONNX model, whose weights cannot be read back\n"
        "help: use the weights that it was made from"
    )


def load_any(
    path: Path,
    graph: Graph,
    network: fx.GraphModule,
    *,
    accept_partial: bool = False,
    batch_norm_epsilon: float | None = None,
    weights_dialect: WeightsDialect | None = None,
) -> LoadedWeights:
    """Fill a compiled network from a weights file, whose content tells its format.

    Args:
        accept_partial: a file may hold the first sections only; the others stay as they are.
        batch_norm_epsilon: of the code the weights were trained with, if not Darknet's.
        weights_dialect: whose Darknet wrote a `.weights` file; None for AlexeyAB's, with a note in
            doubt.

    Raises:
        WeightsError: the file cannot be read, or its tensors are not the network's.
        UsageError: a dialect is given for a file of another format.
    """
    found = detect_format(path)
    if weights_dialect is not None and found != "darknet":
        raise UsageError(
            f"{path} is a {found} file, which names its tensors, so no dialect orders them\n"
            "expected: a Darknet .weights file"
        )
    match found:
        case "darknet":
            loaded = _load_darknet(path, graph, network, accept_partial, weights_dialect)
        case "safetensors":
            loaded = _of_info("safetensors", load_checkpoint(path, graph, network), graph)
        case "torch":
            loaded = _load_torch(path, graph, network, foreign_note=batch_norm_epsilon is None)
        case "onnx":
            raise _onnx_error(path)
    if loaded.cutoff is not None:
        loaded = _as_part(path, graph, loaded, accept_partial)
    if batch_norm_epsilon is None:
        return loaded
    adopt_epsilon(graph, network, batch_norm_epsilon)
    note = (
        f"batch norms were trained with epsilon {batch_norm_epsilon:g}: the difference to "
        f"{_whose(graph.dialect)} {graph.dialect.batch_norm_epsilon:g} was added to the running "
        "variances"
    )
    return replace(loaded, notes=(*loaded.notes, note))


def _as_part(
    path: Path, graph: Graph, loaded: LoadedWeights, accept_partial: bool
) -> LoadedWeights:
    what = f"{path} holds the first {loaded.cutoff} sections only"
    if not accept_partial:
        raise WeightsError(
            f"{what}, so it does not run\n"
            f"expected: weights of all {len(graph.spec.layers)} sections\n"
            "help: a part starts a training; `yolo-gp convert` takes it too"
        )
    note = f"{what}: it starts a training, but does not run"
    return replace(loaded, notes=(*loaded.notes, note))


def _load_darknet(
    path: Path,
    graph: Graph,
    network: fx.GraphModule,
    accept_partial: bool,
    dialect: WeightsDialect | None,
) -> LoadedWeights:
    cutoff, order = None, dialect or "alexeyab"
    if accept_partial:
        header, cutoff = load_prefix(path, graph, network, order)
    else:
        header = load_weights(path, graph, network, order)
    notes = _dialect_notes(path, graph, header) if dialect is None else ()
    return LoadedWeights(format="darknet", header=header, cutoff=cutoff, notes=notes)


def _dialect_notes(path: Path, graph: Graph, header: WeightsHeader) -> tuple[str, ...]:
    kinds = " and ".join(f"[{kind}]" for kind in kinds_that_differ(graph))
    if not kinds or not header.is_of_pjreddie:
        return ()
    return (
        f"{path} has version 0.2.0, which pjreddie's Darknet writes, and it orders {kinds} "
        "otherwise; AlexeyAB's order was taken; `yolo-gp convert --weights-dialect pjreddie` takes "
        "the other",
    )


def _load_torch(
    path: Path, graph: Graph, network: fx.GraphModule, *, foreign_note: bool
) -> LoadedWeights:
    file = open_torch_file(path)
    load_state_dict(file, graph, network)
    if file.info:
        return _of_info("torch", file.info, graph)
    is_theirs = graph.dialect is Dialect.YOLOR
    if is_theirs or not (file.foreign and foreign_note and has_batch_norms(graph)):
        return LoadedWeights(format="torch")
    theirs, own = Dialect.YOLOR.batch_norm_epsilon, graph.dialect.batch_norm_epsilon
    note = (
        f"the code that names tensors so has epsilon {theirs:g} in its batch norms, "
        f"Darknet {own:g}; the numbers are taken as they are, so outputs differ a "
        f"little; `yolo-gp convert --batch-norm-epsilon {theirs:g}` makes up for it, and "
        "--dialect yolor reads the cfg as that code does"
    )
    return LoadedWeights(format="torch", notes=(note,))


def _whose(dialect: Dialect) -> str:
    return "Darknet's" if dialect is Dialect.DARKNET else "YOLOR's"


def _of_info(format_: WeightsFormat, info: CheckpointInfo, graph: Graph) -> LoadedWeights:
    notes: tuple[str, ...] = ()
    if info.fingerprint != graph.fingerprint:
        notes = (
            f"the weights were written for another network than this cfg's ({info.cfg_name}, "
            f"fingerprint {info.fingerprint[:8]}, here {graph.fingerprint[:8]}); all tensors fit",
        )
    return LoadedWeights(
        format=format_,
        header=info.darknet_header,
        class_names=info.class_names,
        cutoff=info.cutoff,
        notes=notes,
    )
