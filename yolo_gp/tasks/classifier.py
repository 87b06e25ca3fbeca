"""A network ready to say what a whole image shows: compiled, weighted, folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from yolo_gp.cache import ModelCache
from yolo_gp.data.classifier_input import prepare_for_classifier
from yolo_gp.errors import DataError, UsageError
from yolo_gp.graph import Graph
from yolo_gp.layers.class_tree import ClassTree
from yolo_gp.tasks.frames import CHANNEL_COUNTS
from yolo_gp.tasks.inference import ImageLike, as_array, find_device, find_dtype, made_ready
from yolo_gp.tasks.models import ModelSource, load_model


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSettings:
    """What to run, and how.

    Fields:
        model: the cfg, its weights, its class names.
        device: a torch device, such as "cpu", "cuda" or "cuda:1".
        dtype: numbers that the network computes with.
    """

    model: ModelSource
    device: str = "cpu"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        find_dtype(self.dtype)


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How strongly a network holds that an image shows a class.

    Fields:
        name: of the class; its id in digits where no name is known.
        score: the network's output: a probability where it ends in a softmax, or in logistic
            activations; else any number.
    """

    class_id: int
    name: str
    score: float


class Classifier:
    """Says what whole images show.

    Attributes:
        graph: the network's description at its input size.
        network: the torch module, on its device; folded and packed, so for inference only.
        names: class names by id; empty if none are known.
        tree: which class is a kind of which; None if they all exclude each other.
        device: where the network computes.
        dtype: numbers it computes with.
    """

    def __init__(
        self,
        graph: Graph,
        network: fx.GraphModule,
        *,
        names: tuple[str, ...] = (),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take over a compiled, weighted network: its batch norms are folded in place.

        Raises:
            UsageError: the network is a detector, gives no list of classes, or takes no images.
            DataError: `names` are not as many as the classes.
            CfgError: a file that the cfg names is missing.
        """
        self.graph = graph
        for node in graph.nodes:
            node.layer.require_files()
        self.tree = _tree(graph)
        self.names = names or (self.tree.names if self.tree else ())
        self._check()
        self.device = torch.device(device)
        self.dtype = dtype
        self.network = made_ready(network, graph, self.device, dtype)

    @classmethod
    def load(cls, settings: ClassifierSettings, *, cache: ModelCache | None = None) -> Classifier:
        """Compile a cfg, load its weights, and make it ready.

        Args:
            cache: where pretrained models lie or are pulled to; by default as the environment says.

        Raises:
            CfgError, WeightsError, UsageError, DataError: what does not fit, and where.
        """
        device = find_device(settings.device)
        model = load_model(settings.model, cache=cache)
        classifier = cls(
            model.graph,
            model.network,
            names=model.names,
            device=device,
            dtype=find_dtype(settings.dtype),
        )
        classifier.notes = model.notes
        return classifier

    notes: tuple[str, ...] = ()
    """What the user should know about where the weights come from."""

    @property
    def channels(self) -> int:
        """Channels of the images it takes: 1 grey, 3 RGB, 4 RGBA."""
        return self.graph.input_shape.channels

    @property
    def num_classes(self) -> int:
        """How many classes it tells apart."""
        return self.graph.nodes[-1].output_shape.channels

    def classify(self, image: ImageLike, top: int = 5) -> tuple[ClassScore, ...]:
        """What an image shows: the `top` classes of highest score, best first.

        Args:
            image: a path, a Pillow image, or an array (H, W, 3) RGB or (H, W) grey, uint8.

        Raises:
            DataError: the image cannot be read.
        """
        return self.classify_batch([as_array(image, self.channels)], top)[0]

    def classify_batch(
        self, images: Sequence[NDArray[np.uint8]], top: int = 5
    ) -> list[tuple[ClassScore, ...]]:
        """`classify` for several images (H, W, C) uint8, in one pass through the network."""
        if not images:
            return []
        size = self.graph.input_shape.size
        scores = self.scores(torch.stack([prepare_for_classifier(i, size) for i in images]))
        best = best_first(scores)[:, :top]
        return [
            tuple(ClassScore(i, self.name(i), float(own[i])) for i in ids)
            for ids, own in zip(best.tolist(), scores, strict=True)
        ]

    @torch.inference_mode()
    def scores(self, batch: Tensor) -> Tensor:
        """The network's output (N, classes), float32, on the CPU, for a batch (N, C, H, W).

        With a tree of classes the probability of each, its parents' worked in.  Source: Darknet
        src/classifier.c predict_classifier.
        """
        batch = batch.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
        output: Tensor = self.network(batch)[0]
        scores = output.flatten(1).float().cpu()
        return self.tree.absolute(scores) if self.tree else scores

    def leaf_scores(self, batch: Tensor) -> Tensor:
        """`scores`, but 0 for classes that others are kinds of, as accuracy is measured.

        Source: Darknet src/classifier.c validate_classifier_single.
        """
        scores = self.scores(batch)
        if self.tree is None:
            return scores
        leaves = list(self.tree.leaves)
        kept = torch.zeros_like(scores)
        kept[:, leaves] = scores[:, leaves]
        return kept

    def name(self, class_id: int) -> str:
        """The name of a class; its id in digits where no name is known."""
        return self.names[class_id] if self.names else str(class_id)

    def _check(self) -> None:
        net, output = self.graph.spec.net, self.graph.nodes[-1].output_shape
        if self.graph.heads:
            kind = self.graph.heads[-1][1].kind
            raise UsageError(
                f"{net.span.file} is a detector: its [{kind}] finds boxes in an image\n"
                "expected: a network that gives one number for each class, such as one that ends "
                "in [avgpool] and [softmax]\n"
                "help: `yolo-gp detect` runs detectors"
            )
        if output.size != (1, 1):
            raise UsageError(
                f"{net.span.file} is no classifier: it ends in a map of {output}\n"
                "expected: one number for each class, as after [avgpool] or [connected]"
            )
        if self.channels not in CHANNEL_COUNTS:
            raise UsageError(
                f"{net.span.file} takes no images: its input is {self.graph.input_shape}\n"
                "expected: an input of 1 (grey), 3 (RGB) or 4 (RGBA) channels"
            )
        if self.names and len(self.names) != self.num_classes:
            raise DataError(
                f"{len(self.names)} class names are given, but {net.span.file} tells "
                f"{self.num_classes} classes apart\n"
                f"expected: {self.num_classes} lines in the names file, blank ones count"
            )


def _tree(graph: Graph) -> ClassTree | None:
    """The tree that the output's numbers are nodes of."""
    for node in reversed(graph.nodes):
        tree = node.layer.class_tree()
        if tree is not None or not node.layer.is_identity():
            return tree
    return None


def best_first(scores: Tensor) -> Tensor:
    """The class ids (N, classes) by falling score; of equal scores the lower id comes first."""
    return scores.argsort(dim=1, descending=True, stable=True)
