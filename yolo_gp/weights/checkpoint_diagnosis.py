"""Why a safetensors file of ours does not fit a cfg. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from yolo_gp.errors import CfgError, WeightsError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.weights.checkpoint_info import CheckpointInfo, StoredShape, read_info, read_shapes
from yolo_gp.weights.evidence import Cause, Guess, Place, classes_text, error_guess, first_layers
from yolo_gp.weights.layout import NetworkTensor, network_tensors, shape_text
from yolo_gp.weights.stored import StoredTensor, by_our_name, match_tensors


def checkpoint_guesses(graph: Graph, path: Path) -> tuple[Guess, ...]:
    """Why the file's tensors, by name and shape, are not the network's; empty if they are."""
    try:
        info, shapes = read_info(path), read_shapes(path)
    except WeightsError as error:
        return (error_guess(Cause.OTHER_FORMAT, path, error),)
    wanted = network_tensors(graph, info.cutoff)
    try:
        match_tensors(path, [_stored(shape) for shape in shapes], wanted)
    except WeightsError:
        return (*_origin(graph, info), _first_misfit(wanted, shapes))
    return tuple(_prefix(graph, info))


def _stored(shape: StoredShape) -> StoredTensor:
    ours = by_our_name(shape.name, shape.shape)
    return ours or StoredTensor(shape.name, -1, shape.name, shape.shape)


def _origin(graph: Graph, info: CheckpointInfo) -> Iterator[Guess]:
    """What the file says of the network that it was made from, where that is another."""
    try:
        other = compile_text(info.cfg, f"{info.cfg_name}.cfg")
    except CfgError:
        return
    if other.fingerprint == graph.fingerprint:
        return
    here, there = _class_counts(graph), _class_counts(other)
    if here != there and len(here) == len(there) == 1:
        (own,), (theirs,) = here, there
        yield Guess(
            Cause.CLASSES,
            f"it was made from {info.cfg_name}.cfg for {classes_text(theirs)}; the cfg says "
            f"{classes_text(own)}",
            help="move the weights: yolo-gp convert WEIGHTS OUT --to CFG",
            classes=theirs,
        )
    else:
        yield Guess(
            Cause.OTHER_CFG,
            f"it was made from {info.cfg_name}.cfg, which describes another network",
            help="that cfg is inside the file",
            names=(info.cfg_name,),
        )


def _class_counts(graph: Graph) -> set[int]:
    return {head.num_classes for _, head in graph.heads}


def _first_misfit(wanted: tuple[NetworkTensor, ...], shapes: tuple[StoredShape, ...]) -> Guess:
    held = {shape.name: shape.shape for shape in shapes}
    for tensor in wanted:
        found = held.get(tensor.name)
        if found != tensor.block.shape:
            there = "no such tensor" if found is None else f"one of {shape_text(found)}"
            return Guess(
                Cause.TENSORS,
                f"the cfg asks for {tensor.name} of {shape_text(tensor.block.shape)}, the file has "
                f"{there}",
                place=Place(tensor),
            )
    extra = [name for name in held if name not in {tensor.name for tensor in wanted}]
    return Guess(
        Cause.TENSORS,
        f"the file has {len(extra)} tensors that the cfg does not ask for, such as {extra[0]}",
    )


def _prefix(graph: Graph, info: CheckpointInfo) -> Iterator[Guess]:
    if info.cutoff is None or info.cutoff >= len(graph.spec.layers):
        return
    missing = [t for t in network_tensors(graph) if t.node.written >= info.cutoff]
    if missing:
        yield Guess(
            Cause.PREFIX,
            f"it holds {first_layers(info.cutoff)} only",
            help=f"such a file is a start for training: give it with a cutoff of {info.cutoff}",
            place=Place(missing[0]),
        )
