"""A network ready to detect: compiled, weighted, folded, with the conventions it runs under."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, fx

from yolo_gp.cache import ModelCache
from yolo_gp.data.images import decode_image, with_channels
from yolo_gp.data.letterbox import ImagePlacement, prepare
from yolo_gp.detections import Candidates, Detections, NmsRule
from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import os_reason
from yolo_gp.graph import Graph
from yolo_gp.network import fold_batch_norm, pack_for_cpu, to_channels_last
from yolo_gp.postprocess import detections, join_candidates
from yolo_gp.presets import Preset, find_preset
from yolo_gp.tasks.models import ModelSource, load_model

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

ImageLike = str | Path | Image.Image | NDArray[np.uint8]


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
        """
        self.graph = graph
        self.preset = _honouring_letter_box(preset, graph)
        self.names = names
        self._check_heads()
        self.device = torch.device(device)
        self.dtype = dtype
        fold_batch_norm(network, graph)
        network.requires_grad_(False).to(self.device, dtype)
        to_channels_last(network)
        if self.device.type == "cpu" and dtype == torch.float32:
            pack_for_cpu(network, graph)
        self.network = network

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
                "expected: a cfg with at least one [yolo] or [anchor_free]"
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


def find_dtype(name: str) -> torch.dtype:
    """The numbers of that name, to compute with.

    Raises:
        UsageError: they are none that a network computes with.
    """
    if name not in _DTYPES:
        raise UsageError(f"dtype {name} is none of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def find_device(name: str) -> torch.device:
    """The torch device of that name.

    Raises:
        UsageError: no such device on this machine.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"device {name} cannot be used: {reason}\nhelp: use --device cpu"
        ) from error
    return device


def as_array(image: ImageLike, channels: int) -> NDArray[np.uint8]:
    """An image as (H, W, channels) uint8.

    Raises:
        DataError: it cannot be read, or is no 8-bit image.
    """
    if isinstance(image, str | Path):
        try:
            with Path(image).open("rb") as file:
                return decode_image(file, channels)
        except OSError as error:
            raise DataError(f"cannot read {image}: {os_reason(error)}") from error
        except DataError as error:
            raise DataError(f"{image}: {error}") from error
    if isinstance(image, Image.Image):
        return with_channels(np.asarray(image.convert("RGB")), channels)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] not in (3, 4):
        raise DataError(
            f"an image is an array (H, W, 3) or (H, W) of uint8; this one is "
            f"{image.shape} of {image.dtype}"
        )
    return with_channels(image, channels)
