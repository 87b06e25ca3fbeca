"""What every layer kind answers: the `Layer` protocol, with defaults for facets that few need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, runtime_checkable

from yolo_gp.cost import Cost
from yolo_gp.detections import Candidates, NmsRule
from yolo_gp.errors import Span
from yolo_gp.options import Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import Tensor, nn


class ShapeProblem(Exception):
    """What a layer has to say about its inputs: raised, an error; returned, a warning.

    A layer does not know its index. In `message` and `help`, `{0}` stands for its first input as
    the user would name it ("layer 9"), `{0.line}` for the line of that layer's header.

    Args:
        span: the value to blame.
        wanted_size: the (height, width) that would have fitted; the graph names a layer with it.
    """

    def __init__(
        self,
        rule: Rule,
        span: Span,
        message: str,
        *,
        expected: str | None = None,
        help: str | None = None,
        wanted_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.span = span
        self.message = message
        self.expected = expected
        self.help = help
        self.wanted_size = wanted_size


@dataclass(frozen=True, slots=True)
class WeightBlock:
    """One tensor's floats in a `.weights` file.

    Fields:
        tensor: the tensor's name in the layer's torch module.
        shape: the tensor's shape in torch.
        transposed: the file holds the matrix (inputs x filters) rather than (filters x inputs).
        transposed_if_marked: so only in files whose header bears Darknet's transposed mark.
    """

    tensor: str
    shape: tuple[int, ...]
    transposed: bool = False
    transposed_if_marked: bool = False

    @property
    def count(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count


@dataclass(frozen=True, slots=True)
class CommonKeys:
    """Keys that every section but [net] takes (darknet.md 2.0).

    Fields:
        dont_load: the section takes nothing from a `.weights` file.
        dont_load_scales: scale, mean and variance of its batch norm are not in the file.
    """

    dont_load: bool = False
    dont_load_scales: bool = False


_TRAINING_ONLY = "acts in training only"
COMMON_IGNORED: Mapping[str, str] = dict.fromkeys(
    (
        "clip",
        "onlyforward",
        "dont_update",
        "burnin_update",
        "stopbackward",
        "train_only_bn",
        "learning_rate",
    ),
    _TRAINING_ONLY,
)
STREAM_KEYS: Mapping[str, str] = dict.fromkeys(
    ("stream", "wait_stream"), "schedules CUDA streams, results are the same"
)


def training_only(*keys: str) -> Mapping[str, str]:
    """`ignored` entries for keys that act in training only."""
    return dict.fromkeys(keys, _TRAINING_ONLY)


class Layer(Protocol):
    """One section of a network, typed and frozen. One class per kind, in a file of its own.

    Fields:
        kind: the section's canonical name.
        ignored: known keys that are skipped, each with the reason.
        span: where the section's header stands.
        common: the keys that all sections share.
    """

    kind: ClassVar[str]
    ignored: ClassVar[Mapping[str, str]] = {}

    @property
    def span(self) -> Span: ...

    @property
    def common(self) -> CommonKeys: ...

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Self:
        """Read the section; the only code that knows the words used in a cfg."""
        ...

    def sources(self) -> tuple[Reference, ...]:
        """The layers it reads, in the order of `inputs` below; by default the previous one."""
        return (Reference(-1, self.span),)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        """The output's shape, as far as the inputs' shapes are known.

        Raises:
            ShapeProblem: the layer cannot take these inputs.
        """
        ...

    def remarks(self, inputs: Sequence[PartialShape]) -> Sequence[ShapeProblem]:
        """Warnings that depend on the inputs' shapes."""
        return ()

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        """Parameters, multiply-adds and Darknet's operations for one image."""
        return Cost(activations=output.elements)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        """The torch module; its forward takes one tensor (N, C, H, W) per input."""
        ...

    def passes_input(self) -> bool:
        """Whether its output is (a part of) its only input's memory, rather than a new map."""
        return False

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        """The tensors a `.weights` file holds for this layer, in file order."""
        return ()

    def shares_weights_of(self) -> Reference | None:
        """The layer whose parameters this one uses in place of its own."""
        return None

    def sharing_problem(
        self, inputs: Sequence[PartialShape], other: Layer, other_inputs: Sequence[FeatureShape]
    ) -> str | None:
        """Why this layer cannot use `other`'s parameters; None if it can."""
        return f"it is [{other.kind}]"

    def label(self) -> str:
        """Its settings as one short column of the layer table, such as `3x3/2`."""
        return ""


@runtime_checkable
class Head(Layer, Protocol):
    """A layer that turns a map into boxes. The network returns the maps that heads read."""

    @property
    def num_classes(self) -> int: ...

    @property
    def nms_rule(self) -> NmsRule:
        """The suppression the cfg asks for."""
        ...

    def decode(
        self, maps: Sequence[Tensor], input_size: tuple[int, int], threshold: float
    ) -> list[Candidates]:
        """Candidates of each image of the batch.

        Args:
            maps: the raw tensors that the head reads, each (N, C, H, W).
            input_size: (height, width) of the network's input in pixels.
            threshold: cells whose objectness does not exceed it are dropped, and class scores
                that do not exceed it are 0.
        """
        ...


def same_shape(inputs: Sequence[PartialShape]) -> PartialShape:
    """The output shape of a layer that keeps its first input's shape."""
    return inputs[0]
