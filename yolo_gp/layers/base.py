"""What every layer kind answers: the `Layer` protocol, with defaults for facets that few need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeGuard, runtime_checkable

from yolo_gp.cost import Cost
from yolo_gp.detections import Candidates, NmsRule
from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span, shown
from yolo_gp.layers.anchors import Anchors
from yolo_gp.layers.answers import (
    GRADIENT_STOPS,
    CpuDelta,
    DenseCandidates,
    Filters,
    GradientStop,
    PlainSection,
    WeightBlock,
)
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.layers.class_tree import ClassTree
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import Tensor, nn


class Layer(Protocol):
    """One section of a network, typed and frozen. One class per kind, in a file of its own.

    Fields:
        kind: the section's canonical name.
        ignored: known keys that are skipped, each with the reason.
        ignored_in: further ones of a dialect.
        activates_in: dialects in which the kind, a head, takes the sigmoids itself, whatever its
            keys say.
        meanings: what each key says, as `yolo-gp reference` prints it: `KEY_MEANINGS` has those
            that say the same everywhere, every other key of `parse` and `ignored` needs its own.
        reader: who reads such a section.
        key_readers: who reads a key, where that is not `reader`.
        training_keys: keys among `ignored` that training reads.
        training_fields: names of fields that act in training only.
        width_key: the key of the section that says how many channels its output has; None for a
            kind that does not choose.
        cpu_delta: what Darknet's CPU build does with deltas when it trains.
        ours: no Darknet knows the kind, so an unknown key is an error.
        span: where the section's header stands.
        common: the keys that all sections share.
    """

    kind: ClassVar[str]
    ignored: ClassVar[Mapping[str, str]] = {}
    ignored_in: ClassVar[Mapping[Dialect, Mapping[str, str]]] = {}
    activates_in: ClassVar[frozenset[Dialect]] = frozenset()
    meanings: ClassVar[Mapping[str, str]] = {}
    reader: ClassVar[Reader] = "Darknet"
    key_readers: ClassVar[Mapping[str, Reader]] = {}
    training_keys: ClassVar[Collection[str]] = ()
    training_fields: ClassVar[frozenset[str]] = frozenset()
    width_key: ClassVar[str | None] = None
    cpu_delta: ClassVar[CpuDelta] = "cleared"
    ours: ClassVar[bool] = False

    @property
    def span(self) -> Span: ...

    @property
    def common(self) -> CommonKeys: ...

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Self:
        """Read the section; the only code that knows the words used in a cfg."""
        ...

    def sources(self) -> tuple[Reference, ...]:
        """The layers it reads, in the order of `inputs` below; by default the previous one.

        A layer that reads none gives one map for all images.
        """
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

    def filters(self, inputs: Sequence[FeatureShape]) -> Filters | None:
        """Its filters, own or shared; None for a layer that neither convolves nor connects."""
        return None

    def adds_maps(self) -> bool:
        """Whether it is a residual sum, which Darknet counts today but did not in 2019."""
        return False

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        """The torch module; its forward takes one tensor (N, C, H, W) per input.

        Without inputs it gives (1, C, H, W).
        """
        ...

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        """The ways from its inputs' channels to its output's; by default the first input's."""
        return (Passes(0, output.channels),)

    def stops_gradient(self) -> GradientStop:
        """Which of the edges around it carry no gradient."""
        return "none"

    def is_loss(self) -> bool:
        """Whether it is there for training, so that nobody needs to read it."""
        return False

    def is_identity(self) -> bool:
        """Whether its output at inference is its first input, unchanged."""
        return False

    def starts_as_identity(self) -> bool:
        """Whether its output, before any training, is about its first input."""
        return self.is_identity()

    def depends_on_dialect(self) -> bool:
        """Whether `common.dialect` changes its output, beyond what its other fields say."""
        return False

    def remembers(self) -> bool:
        """Whether its output can depend on maps that it was given before (recurrent layers)."""
        return False

    def passes_input(self) -> bool:
        """Whether its output is (a part of) its only input's memory, rather than a new map."""
        return False

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        """The tensors a `.weights` file holds for this layer, in file order: AlexeyAB's."""
        return ()

    def pjreddies_weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        """The same for a file of pjreddie's Darknet; it may lack tensors that start at zero."""
        return self.weight_order(inputs)

    def shares_weights_of(self) -> Reference | None:
        """The layer whose parameters this one uses in place of its own."""
        return None

    def sharing_problem(
        self, inputs: Sequence[PartialShape], other: Layer, other_inputs: Sequence[FeatureShape]
    ) -> str | None:
        """Why this layer cannot use `other`'s parameters; None if it can."""
        return f"it is [{other.kind}]"

    def with_own_weights(self, other: Layer) -> Layer | None:
        """The layer with parameters of its own, if that is what remains of sharing with `other`.

        None if the two sections do not agree in themselves.
        """
        return None

    def remark_to_reader(self, reference: Reference) -> ShapeProblem | None:
        """A warning for a section that names this one by `reference`, which {0} stands for."""
        return None

    def plain_sections(self, inputs: Sequence[FeatureShape]) -> tuple[PlainSection, ...]:
        """Sections of Darknet's own that compute the same, the last of them its output.

        Only kinds that no cfg for Darknet holds, or that macros expand to, need an answer; empty
        if there is none.

        Raises:
            ShapeProblem: Darknet can do the like, but not with these inputs.
        """
        return ()

    def beyond_darknet(self) -> str | None:
        """A key of its section for which Darknet has no equivalent, and which changes results."""
        return None

    def label(self) -> str:
        """Its settings as one short column of the layer table, such as `3x3/2`."""
        return ""

    def class_tree(self) -> ClassTree | None:
        """The tree whose nodes the numbers of its output are; None if there is none at hand."""
        return None

    def require_files(self) -> None:
        """Check that the files are there that it cannot compute without.

        Raises:
            CfgError: one is not.
        """
        return


@runtime_checkable
class Head(Layer, Protocol):
    """A layer that turns a map into boxes. The network returns the maps that heads read.

    Fields:
        per_class_keys: keys of its section that fit one list of classes only.
        anchors_in_cells: its anchors count cells of its map; otherwise pixels of the input.
        learns: `losses/` has a loss for it.
    """

    per_class_keys: ClassVar[tuple[str, ...]] = ("counters_per_class",)
    anchors_in_cells: ClassVar[bool] = False
    learns: ClassVar[bool] = True

    @property
    def num_classes(self) -> int: ...

    def map_channels(self, classes: int) -> tuple[int, ...]:
        """The channels of each map it reads, if it told so many classes apart."""
        ...

    def naming(self, count: int) -> Head:
        """The head with the one of its lists of classes that has so many; itself if none has."""
        return self

    def box_anchors(self) -> Anchors | None:
        """The anchors that its boxes are sized by; None for a head without."""
        return None

    def map_activation(self) -> str | None:
        """The activation that its map is to arrive with; None if it takes any."""
        return None

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
            threshold: candidates none of whose scores can exceed it are dropped, and class
                scores that do not exceed it are 0.
        """
        ...

    def decode_all(self, maps: Sequence[Tensor], input_size: tuple[int, int]) -> DenseCandidates:
        """`decode` without a threshold, for the whole batch, in operations that can be traced.

        Args:
            maps: as in `decode`; only N may be unknown to the tracer.
        """
        ...


def warn_of_pjreddies_key(options: Options, key: str) -> None:
    """Warn of a key that changes the network in pjreddie's Darknet only."""
    options.warning(
        Rule.PJREDDIES_KEY,
        key,
        f"[{options.kind}] {key}={shown(options.span_of(key).text)} acts in pjreddie's Darknet, "
        "and here; AlexeyAB's ignores it",
    )


def is_head(layer: object) -> TypeGuard[Head]:
    """Whether a layer is a head. isinstance says the same, but compares all members each time."""
    return Head in type(layer).__mro__


def single_source(options: Options) -> tuple[Reference, ...]:
    """Read `from` where Darknet takes one layer only."""
    references = options.references("from")
    if len(references) > 1:
        options.warning(
            Rule.NO_EFFECT,
            "from",
            f"[{options.kind}] from lists {len(references)} layers; {references[0]} counts, as in "
            f"{options.dialect.code}",
            expected="one layer",
        )
    return references[:1]


def parse_gradient_stop(options: Options) -> GradientStop:
    """Read `stop_gradient`."""
    name = options.choice("stop_gradient", "none", GRADIENT_STOPS)
    return next(stop for stop in GRADIENT_STOPS if stop == name)


def same_shape(inputs: Sequence[PartialShape]) -> PartialShape:
    """The output shape of a layer that keeps its first input's shape."""
    return inputs[0]
