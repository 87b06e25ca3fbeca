"""The network to train: a cfg made to fit the data, with the weights it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, fx, nn

from yolo_gp.adjusting.classes import with_classes
from yolo_gp.adjusting.input_size import with_input_size
from yolo_gp.cache import ModelCache
from yolo_gp.darknet_cpu import adapt, with_overwritten_deltas
from yolo_gp.dialect import Dialect, parse_dialect
from yolo_gp.edits import Edits
from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph, compile_text, read_content
from yolo_gp.network import compile_network, initialise, to_channels_last
from yolo_gp.nodes import module_name
from yolo_gp.tasks.models import Model, ModelSource, load_model
from yolo_gp.tasks.train_settings import TrainSettings
from yolo_gp.training.head_biases import initialise_head_biases
from yolo_gp.training.section_keys import set_training_mode
from yolo_gp.weights.layout import check_cutoff
from yolo_gp.weights.loading import embedded_info, load_any
from yolo_gp.weights.transfer import plan_transfer
from yolo_gp.weights.transferring import apply_transfer
from yolo_gp.zoo import find_cfg


@dataclass(frozen=True, slots=True)
class CfgText:
    """A cfg and what messages call it.

    Fields:
        name: the file's name without suffix.
        dialect: the one to read it in; None for the one that it tells itself.
    """

    content: bytes
    file: str
    name: str
    dialect: Dialect | None = None

    def compiled(self, *, strict: bool = False) -> Graph:
        """Its graph.

        Raises:
            CfgError: with every finding.
        """
        return compile_text(self.content, self.file, strict=strict, dialect=self.dialect)


@dataclass(frozen=True, slots=True)
class BuiltNetwork:
    """A network ready to learn.

    Fields:
        all_learn: every parameter that learns gets a gradient in each pass.
        report: what moved from the weights to start from; None without any.
    """

    network: fx.GraphModule
    all_learn: bool
    report: str | None


def read_cfg(settings: TrainSettings, cache: ModelCache | None = None) -> CfgText:
    """The cfg that the settings name: a file, or the one inside the weights.

    Raises:
        UsageError, WeightsError: there is none.
    """
    dialect = parse_dialect(settings.dialect)
    if settings.cfg is not None:
        path = find_cfg(settings.cfg, cache)
        return CfgText(read_content(path), str(path), path.stem, dialect)
    assert settings.weights is not None
    path = Path(settings.weights)
    if not path.exists():  # the name of a pretrained model
        path = find_cfg(settings.weights, cache)
        return CfgText(read_content(path), str(path), path.stem, dialect)
    info = embedded_info(path)
    if info is None:
        raise UsageError(
            f"{path} holds no cfg, so it does not say what network it is for\n"
            "expected: --cfg CFG with it"
        )
    return CfgText(info.cfg.encode(), f"<{path}>", info.cfg_name, dialect)


def fitted(cfg: CfgText, graph: Graph, classes: int, size: tuple[int, int] | None) -> CfgText:
    """The cfg with so many classes and that input size, (height, width) in pixels.

    If only the settings say what dialect it is in, its [net] says so now.

    Raises:
        UsageError: it has no heads, or their classes cannot be changed.
    """
    if not graph.heads:
        raise UsageError(
            f"{cfg.file} has no detection head, so there is nothing to train\n"
            "expected: a cfg with at least one [yolo] or [anchor_free]"
        )
    content = with_classes(cfg.content, graph.spec, classes)
    if size is not None and size != graph.input_shape.size:
        content = with_input_size(content, size)
    if not graph.spec.tells_dialect:
        edits = Edits(content)
        edits.insert_after(graph.spec.net.span.line, [f"dialect={graph.dialect.value}"])
        content = edits.content()
    return CfgText(content, cfg.file, cfg.name)


def start_weights(
    settings: TrainSettings, cfg: CfgText, cache: ModelCache | None = None
) -> Model | None:
    """The network that the run starts from, as it was trained; None to start from random.

    A file that does not say what network it is for is taken for the cfg's own.

    Raises:
        UsageError, CfgError, WeightsError: there is none, or it does not fit the cfg.
    """
    if settings.weights is None:
        return None
    path = Path(settings.weights)
    if not path.exists() or embedded_info(path) is not None:
        return load_model(ModelSource(weights=settings.weights), accept_partial=True, cache=cache)
    graph = cfg.compiled()
    network = compile_network(graph)
    initialise(network, settings.seed)
    loaded = load_any(path, graph, network, accept_partial=True)
    return Model(
        graph, network, loaded.class_names, loaded.header, cfg.name, loaded.cutoff, loaded.notes
    )


def build_network(graph: Graph, settings: TrainSettings, source: Model | None) -> BuiltNetwork:
    """The torch network to train, in training mode, on the CPU.

    Its weights are the source's where these fit, and drawn from the seed elsewhere.

    Raises:
        UsageError: the cutoff or the sections to freeze are out of range.
    """
    compiled = with_overwritten_deltas(graph) if settings.darknet_cpu else graph
    network = compile_network(compiled)
    initialise(network, settings.seed)
    if settings.recipe == "modern":
        initialise_head_biases(graph, network)
    report = None if source is None else move_weights(source, graph, network, settings.cutoff)
    set_training_mode(graph, network)
    freeze(graph, network, settings.freeze)
    if settings.darknet_cpu:
        adapt(compiled, network)
    to_channels_last(network)
    return BuiltNetwork(network, all_weights_learn(compiled), report)


def all_weights_learn(graph: Graph) -> bool:
    """Whether every layer with weights gets a gradient, as far as the connections go."""
    reached = {edge.source for edge in graph.output_edges if not edge.detached}
    for node in reversed(graph.nodes):
        if node.index in reached:
            reached.update(edge.source for edge in node.inputs if not edge.detached)
    return all(node.index in reached for node in graph.nodes if node.cost.params)


def move_weights(source: Model, graph: Graph, network: fx.GraphModule, cutoff: int | None) -> str:
    """Copy what of the source's weights the network can take; a report of it.

    Raises:
        UsageError: the cutoff is out of range.
    """
    check_cutoff(source.graph, cutoff)
    limits = [limit for limit in (cutoff, source.cutoff) if limit is not None]
    plan = plan_transfer(source.graph, graph, cutoff=min(limits, default=None))
    apply_transfer(plan, source.network, network)
    return plan.to_text()


def freeze(graph: Graph, network: fx.GraphModule, count: int) -> None:
    """Let the sections before number `count` keep their weights and their statistics.

    Raises:
        UsageError: there are not so many sections.
    """
    sections = len(graph.spec.layers)
    if count >= sections:
        raise UsageError(
            f"--freeze {count} leaves nothing to train: there are {sections} sections\n"
            f"expected: 0 to {sections - 1}"
        )
    for node in graph.nodes:
        if node.written < count:
            module = network.get_submodule(module_name(node))
            module.requires_grad_(False)
            module.eval()


def set_bn_momentum(network: nn.Module, momentum: float) -> None:
    """Let running statistics take that share of each batch."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = momentum


def evaluated_copy(
    graph: Graph, values: Mapping[str, Tensor], device: torch.device
) -> fx.GraphModule:
    """A network of its own for detection, with those values."""
    network = compile_network(graph, device)
    network.load_state_dict(dict(values))
    return network
