"""What every layer kind answers: the `Layer` protocol, with defaults for facets that few need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self, TypeGuard, runtime_checkable

from yolo_gp.cost import Cost
from yolo_gp.detections import Candidates, NmsRule
from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span, shown
from yolo_gp.layers.anchors import Anchors
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.layers.class_tree import ClassTree
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.training_keys import SectionTraining, parse_section_training
from yolo_gp.options import Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, format_size

if TYPE_CHECKING:
    from torch import Tensor, nn


GradientStop = Literal["none", "identity", "block"]
"""`identity`: the edges from its sources, the first input excepted. `block`: every edge from its
only source, or from before it, into the layers between that source and itself.  Source: ELAN paper,
Fig. 9."""

GRADIENT_STOPS: tuple[GradientStop, ...] = ("none", "identity", "block")


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
class Filters:
    """The filters of a convolution or a connected layer, as counts of parameters see them.

    Fields:
        count: filters; each has a bias of its own, be it only once batch norm is folded in.
        weights: the numbers of all filters together, without biases and batch norm.
        batch_norm: a batch norm follows.
    """

    count: int
    weights: int
    batch_norm: bool


@dataclass(frozen=True, slots=True)
class PlainSection:
    """A section of Darknet's own, by which a layer is written in a cfg without our extensions.

    Fields:
        kind: the section's name.
        options: keys and values in the order they are written.
        reads_key: the option that lists the layers it reads; None if it reads the previous one.
        reads: n >= 0 for the layer's input number n, -n for the section n before this one.
    """

    kind: str
    options: tuple[tuple[str, str], ...] = ()
    reads_key: str | None = None
    reads: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CommonKeys:
    """Keys that every section but [net] takes (darknet.md 2.0).

    Fields:
        name: what other sections call it by, as @name (ours, not Darknet's).
        dont_load: the section takes nothing from a `.weights` file.
        dont_load_scales: scale, mean and variance of its batch norm are not in the file.
        training: how the section learns.
        dialect: the one that the file is read in.
        before_head: the next section is a head that takes the sigmoids itself, whatever its keys
            say, so that what it reads must be linear.
    """

    name: str | None = None
    dont_load: bool = False
    dont_load_scales: bool = False
    training: SectionTraining = field(default_factory=SectionTraining)
    dialect: Dialect = Dialect.DARKNET
    before_head: bool = False

    @classmethod
    def parse(cls, options: Options, *, ours: bool, before_head: bool = False) -> CommonKeys:
        """Sections of our own (`ours`) have no weights of their own, so they take a name only."""
        name = options.name("name")
        if ours:
            return cls(name=name, dialect=options.dialect)
        return cls(
            name=name,
            dialect=options.dialect,
            before_head=before_head,
            dont_load=options.flag("dontload"),
            dont_load_scales=options.flag("dontloadscales"),
            training=parse_section_training(options),
        )


TRAINING_ONLY = "acts in training only"
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
    TRAINING_ONLY,
)
STREAM_KEYS: Mapping[str, str] = dict.fromkeys(
    ("stream", "wait_stream"), "schedules CUDA streams, results are the same"
)


def training_only(*keys: str) -> Mapping[str, str]:
    """`ignored` entries for keys that act in training only."""
    return dict.fromkeys(keys, TRAINING_ONLY)


@dataclass(frozen=True, slots=True)
class DenseCandidates:
    """What a head says of all its K places, whatever their scores, in the order of its candidates.

    Fields:
        boxes_cxcywh_norm: (N, K, 4); centre and size, relative to the network input.
        scores: (N, K, C); confidence per class (objectness included).
        coefficients: (N, K, M) mask coefficients; None for a head without masks.
    """

    boxes_cxcywh_norm: Tensor
    scores: Tensor
    coefficients: Tensor | None = None


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
        training_fields: names of fields that act in training only.
        width_key: the key of the section that says how many channels its output has; None for a
            kind that does not choose.
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
    training_fields: ClassVar[frozenset[str]] = frozenset()
    width_key: ClassVar[str | None] = None
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


def check_equal_sizes(
    inputs: Sequence[PartialShape], position: int, span: Span, what: str, expected: str
) -> None:
    """Raise a ShapeProblem, at `span`, if an input is not as large as the first.

    Args:
        what: how the message begins, such as "[route] joins maps of different size".
    """
    first, source = inputs[0].size, inputs[position].size
    if source is None or first is None or source == first:
        return
    raise ShapeProblem(
        Rule.SIZE_MISMATCH,
        span,
        f"{what}: {{0}} is {format_size(first)}, {{{position}}} is {format_size(source)}",
        expected=expected,
        wanted_size=first,
    )


def same_shape(inputs: Sequence[PartialShape]) -> PartialShape:
    """The output shape of a layer that keeps its first input's shape."""
    return inputs[0]
