"""A network ready to detect: compiled, weighted, folded, with the conventions it runs under."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from yolo_gp.cache import ModelCache
from yolo_gp.data.letterbox import ImagePlacement, prepare
from yolo_gp.detections import Candidates, Detections, NmsRule
from yolo_gp.errors import DataError, UsageError
from yolo_gp.graph import Graph
from yolo_gp.network import read_as_sequences, reset_state
from yolo_gp.postprocess import detections, join_candidates
from yolo_gp.presets import Preset, find_preset
from yolo_gp.tasks.inference import ImageLike, as_array, find_device, find_dtype, made_ready
from yolo_gp.tasks.models import ModelSource, load_model


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSettings:
    """What to run, and how.

    Fields:
        model: the cfg, its weights, its class names.
        preset: the conventions, by name or as varied by the caller.
        device: a torch device, such as "cpu", "cuda" or "cuda:1".
        dtype: numbers that the network computes with.
    """

    model: ModelSource
    preset: str | Preset = "darknet"
    device: str = "cpu"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        find_dtype(self.dtype)


class Detector:
    """Finds objects in images.

    Attributes:
        graph: the network's description at its input size.
        network: the torch module, on its device; folded and packed, so for inference only.
        preset: the conventions in force.
        names: class names by id; empty if none are known.
        device: where the network computes.
        dtype: numbers it computes with.
    """

    def __init__(
        self,
        graph: Graph,
        network: fx.GraphModule,
        preset: Preset,
        *,
        names: tuple[str, ...] = (),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take over a compiled, weighted network: its batch norms are folded in place.

        Raises:
            UsageError: the network has no detection head.
            DataError: `names` are not as many as the classes.
            CfgError: a file that the cfg names is missing.
        """
        self.graph = graph.naming(len(names))
        for node in graph.nodes:
            node.layer.require_files()
        self.preset = _honouring_letter_box(preset, graph)
        self.names = names
        self._check_heads()
        self.device = torch.device(device)
        self.dtype = dtype
        self.network = made_ready(network, graph, self.device, dtype)

    @classmethod
    def load(cls, settings: DetectorSettings, *, cache: ModelCache | None = None) -> Detector:
        """Compile a cfg, load its weights, and make it ready.

        Args:
            cache: where pretrained models lie or are pulled to; by default as the environment says.

        Raises:
            CfgError, WeightsError, UsageError, DataError: what does not fit, and where.
        """
        device = find_device(settings.device)
        preset = settings.preset
        preset = find_preset(preset) if isinstance(preset, str) else preset
        model = load_model(settings.model, cache=cache)
        detector = cls(
            model.graph,
            model.network,
            preset,
            names=model.names,
            device=device,
            dtype=find_dtype(settings.dtype),
        )
        detector.notes = model.notes
        return detector

    notes: tuple[str, ...] = ()
    """What the user should know about where the weights come from."""

    @property
    def channels(self) -> int:
        """Channels of the images it takes: 1 grey, 3 RGB."""
        return self.graph.input_shape.channels

    def detect(self, image: ImageLike) -> Detections:
        """The objects in one image.

        Args:
            image: a path, a Pillow image, or an array (H, W, 3) RGB or (H, W) grey, uint8.

        Returns:
            Detections, boxes in pixels of the (upright) image, highest confidence first.

        Raises:
            DataError: the image cannot be read.
        """
        return self.detect_batch([as_array(image, self.channels)])[0]

    def detect_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """The objects in each of several images (H, W, C) uint8, in one pass where sizes allow.

        Images that a rectangular preset gives different shapes go through one shape at a time.
        """
        prepared = [
            prepare(image, self.graph.input_shape.size, self.preset, self.graph.stride)
            for image in images
        ]
        found: list[Detections | None] = [None] * len(prepared)
        shapes = {tensor.shape for tensor, _ in prepared}
        for shape in shapes:
            members = [i for i, (tensor, _) in enumerate(prepared) if tensor.shape == shape]
            batch = torch.stack([prepared[i][0] for i in members])
            candidates = self.candidates(batch)
            for i, proposed in zip(members, candidates, strict=True):
                found[i] = self._select(proposed, prepared[i][1])
        return [detected for detected in found if detected is not None]

    @property
    def remembers(self) -> bool:
        """Whether the network has recurrent layers, which `detect_video` is for."""
        return bool(self.graph.recurrent_nodes)

    def detect_video(
        self, images: Sequence[NDArray[np.uint8]], video: Hashable
    ) -> list[Detections]:
        """The objects in consecutive frames of one size; recurrent layers remember earlier ones.

        Args:
            video: tells videos apart: what another one has left behind is forgotten.
        """
        if video != self._video:
            reset_state(self.network)
            self._video = video
        read_as_sequences(self.network, time_steps=len(images), carry_state=True)
        try:
            return self.detect_batch(images)
        finally:
            read_as_sequences(self.network)

    _video: Hashable = None

    def candidates(self, batch: Tensor) -> list[Candidates]:
        """What all heads propose for a batch (N, C, H, W) in 0..1, image by image."""
        return self.decode(self.maps(batch), batch.shape[2:], self.preset.confidence)

    @torch.inference_mode()
    def maps(self, batch: Tensor) -> tuple[Tensor, ...]:
        """The raw maps (N, C, H, W) that the heads read of a batch (N, C, H, W) in 0..1."""
        batch = batch.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
        maps: tuple[Tensor, ...] = self.network(batch)
        return maps

    @torch.inference_mode()
    def decode(
        self, maps: Sequence[Tensor], input_size: Sequence[int], threshold: float
    ) -> list[Candidates]:
        """What all heads propose, image by image, from the maps of a batch.

        Args:
            input_size: (height, width) of the batch in pixels.
            threshold: a class is proposed where its confidence exceeds this.
        """
        size = (int(input_size[0]), int(input_size[1]))
        count = len(maps[0])
        by_head: list[list[Candidates]] = []
        for node, head in self.graph.heads:
            own, maps = maps[: len(node.inputs)], maps[len(node.inputs) :]
            by_head.append(head.decode(own, size, threshold))
        return [join_candidates([head[i] for head in by_head]) for i in range(count)]

    @property
    def num_classes(self) -> int:
        """How many classes every head tells apart."""
        return self.graph.heads[0][1].num_classes

    @property
    def nms_rule(self) -> NmsRule:
        """The suppression that the last head asks for."""
        return self.graph.heads[-1][1].nms_rule

    @functools.cached_property
    def proposes_masks(self) -> bool:
        """Whether a head proposes instance masks."""
        shapes = [self.graph.shape_of(edge.source) for edge in self.graph.output_edges]
        silent = [torch.zeros(1, s.channels, s.height, s.width) for s in shapes]
        return bool(self.decode(silent, self.graph.input_shape.size, 1.0)[0].mask_recipes)

    def _select(self, proposed: Candidates, placement: ImagePlacement) -> Detections:
        return detections(
            proposed, placement, self.preset, self.nms_rule, self.names, self.class_filter
        )

    class_filter: frozenset[int] | None = None
    """Ids of the classes to report; None reports all."""

    def _check_heads(self) -> None:
        counts = sorted({head.num_classes for _, head in self.graph.heads})
        file = self.graph.spec.net.span.file
        if not counts:
            raise UsageError(
                f"{file} has no detection head, so there is nothing to detect with\n"
                "expected: a cfg with a detection head, such as [yolo] or [anchor_free]\n"
                "help: `yolo-gp classify` runs a network that says what a whole image shows"
            )
        if len(counts) > 1:
            raise UsageError(f"the heads of {file} disagree on classes: {counts}")
        if self.names and len(self.names) != counts[0]:
            raise DataError(
                f"{len(self.names)} class names are given, but {file} has classes={counts[0]}\n"
                f"expected: {counts[0]} lines in the names file, blank ones count"
            )


def _honouring_letter_box(preset: Preset, graph: Graph) -> Preset:
    """Darknet letterboxes if the cfg says letter_box=1, with grey 0.5."""
    if graph.letter_box and preset.name == "darknet":
        return replace(preset, resize="letterbox")
    return preset
