"""From what a user names to a network with its weights: cfg, weights file, class names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import fx

from yolo_gp.errors import UsageError, WeightsError
from yolo_gp.files import read_names
from yolo_gp.graph import Graph, read_graph
from yolo_gp.network import compile_network, initialise
from yolo_gp.weights.darknet import load_weights
from yolo_gp.weights.header import WeightsHeader
from yolo_gp.zoo import find_cfg, known_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """What names a model.

    Fields:
        cfg: a path, or the name of a packaged cfg.
        weights: a Darknet `.weights` file.
        names: a file with one class name a line.
        size: (height, width) of the network's input in pixels; None takes the cfg's.
        strict: warnings about the cfg are errors.
        random_weights: an untrained network, for trying things out; needs no weights.
    """

    cfg: str | Path
    weights: str | Path | None = None
    names: str | Path | None = None
    size: tuple[int, int] | None = None
    strict: bool = False
    random_weights: bool = False

    def __post_init__(self) -> None:
        if self.weights and self.random_weights:
            raise UsageError("weights and random weights exclude each other; give one")


@dataclass(frozen=True, slots=True)
class Model:
    """A network with its weights, on the CPU, in float32, not folded.

    Fields:
        names: class names by id; empty if none are known.
        header: of the Darknet weights it came from; None if it came from elsewhere.
    """

    graph: Graph
    network: fx.GraphModule
    names: tuple[str, ...] = ()
    header: WeightsHeader | None = None


def load_model(source: ModelSource) -> Model:
    """Compile a cfg and load its weights.

    Raises:
        CfgError, WeightsError, UsageError, DataError: what does not fit, and where.
    """
    path = find_cfg(str(source.cfg))
    graph = read_graph(path, input_size=source.size, strict=source.strict)
    names = read_names(Path(source.names)) if source.names else ()
    network = compile_network(graph)
    header = None
    if source.random_weights:
        initialise(network, seed=0)
    elif source.weights:
        header = load_weights(Path(source.weights), graph, network)
    else:
        raise WeightsError(_no_weights_text(path))
    return Model(graph, network, names, header)


def _no_weights_text(cfg: Path) -> str:
    known = known_weights(cfg.stem)
    text = f"no weights are given for {cfg}\nexpected: --weights FILE, a Darknet .weights file"
    if known:
        return (
            f"{text}\nhelp: weights for {known.name} ({known.bytes} bytes, {known.licence}) lie "
            f"at\n  {known.url}\n  sha256 {known.sha256}"
        )
    return (
        f"{text}\nhelp: take the file that was published with this cfg, or try the network out "
        "with --random-weights"
    )
