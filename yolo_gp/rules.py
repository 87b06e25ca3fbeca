"""The code of every kind of finding. Codes are stable: users silence and search by them."""

from __future__ import annotations

import enum


class Rule(enum.Enum):
    """A kind of finding: its code and one line on what it is about.

    0xx reading the text, 1xx keys and values, 2xx references and shapes, 3xx heads, 4xx places
    where Darknet itself would do something else (each is a row of docs/darknet-differences.md),
    5xx what only `yolo-gp lint` looks for. Each has its paragraph in lint/explanations.py.
    """

    NOT_A_CFG = "YG001", "the file is no cfg text: binary, too large, or without a section"
    FIRST_SECTION = "YG002", "a cfg starts with [net], and has one [net] only"
    BAD_HEADER = "YG003", "a section header is not of the form [kind]"
    NO_EQUALS = "YG004", "a line is neither a header nor key=value"
    EMPTY_VALUE = "YG005", "a key has no value"
    ENCODING = "YG006", "bytes outside a comment are not UTF-8 text"

    UNKNOWN_SECTION = "YG101", "no layer kind of that name"
    UNKNOWN_KEY = "YG102", "the section does not know the key"
    REPEATED_KEY = "YG103", "a key stands twice in one section; one of the two counts"
    BAD_NUMBER = "YG104", "a value is not the number it should be"
    OUT_OF_RANGE = "YG105", "a number lies outside its range"
    UNKNOWN_NAME = "YG106", "a value is none of the names the key takes"
    MISSING_KEY = "YG107", "a required key is absent"
    NO_EFFECT = "YG108", "a key has no effect beside another one"
    UNSUPPORTED = "YG109", "Darknet knows it, this version does not"
    SILENT_DEFAULT = "YG110", "an absent key gets a default that surprises"
    NOT_PLAIN = "YG111", "plain Darknet cfg has no equivalent"
    MISSING_FILE = "YG112", "a file that a section names is not there"
    BAD_FILE = "YG113", "a file that a section names does not hold what it should"
    OTHER_DIALECT = "YG114", "a section, key or value of another dialect of the cfg language"

    BAD_REFERENCE = "YG201", "a layer reference points to no earlier layer"
    SIZE_MISMATCH = "YG202", "maps that are joined differ in height or width"
    CHANNEL_MISMATCH = "YG203", "channel counts do not fit together"
    EMPTY_OUTPUT = "YG204", "the layer would produce an empty map"
    EMPTY_GROUP = "YG205", "a group of channels is empty or does not exist"
    TOO_LARGE = "YG206", "a layer or the whole network exceeds what can be built"
    SHARED_LAYER = "YG207", "share_index names a layer whose weights cannot be shared"

    REPEATED_NAME = "YG208", "two sections have the same name="
    STOPPED_GRADIENT = "YG209", "stop_gradient=block finds no block to stop the gradient into"

    HEAD_FILTERS = "YG301", "channels before a head are not what the head needs"
    HEAD_MASK = "YG302", "a mask names an anchor that does not exist"
    HEAD_ANCHORS = "YG303", "anchors are fewer than num says, or no pairs"
    HEAD_BRANCHES = "YG304", "a head is given more or fewer branches than it reads"

    BYTE_ORDER_MARK = "YG401", "a byte-order mark, on which Darknet crashes"
    LINE_ENDS = "YG402", "line ends that Darknet does not split at"
    INLINE_COMMENT = "YG403", "a comment behind a value, which Darknet reads as part of it"
    RELU6 = "YG404", "relu6, which is zero everywhere on AlexeyAB's CPU build"
    ACTIVATION_ZERO = "YG405", "an activation that is zero on AlexeyAB's CPU build in this section"
    POINTWISE_PADDING = "YG406", "a padded or unevenly strided 1x1 convolution, garbage in Darknet"
    PLAIN_SHORTCUT_WEIGHTS = "YG407", "weights_type without weights_normalization, fatal in Darknet"
    RESIZED_SHORTCUT = "YG408", "shortcut between maps of different size, fatal in AlexeyAB's"
    SPATIAL_SOFTMAX = "YG409", "spatial softmax, ignored on AlexeyAB's CPU build"
    NO_SPATIAL_LAYER = "YG410", "a network without any spatial layer, fatal in AlexeyAB's"
    SURPLUS_ANCHORS = "YG411", "more anchors than num says; Darknet ignores the rest"
    NMS_NAME = "YG412", "an nms_kind that Darknet reads as default"

    MISSING_COMMA = "YG413", "two numbers of a list with a blank between them, one in Darknet"
    ANTIALIASED_SOURCE = "YG414", "a section names an antialiased one, which Darknet misreads"
    UNSHARED_WEIGHTS = "YG415", "share_index over different input channels, fatal in Darknet"
    COORDCONV = "YG416", "coordconv, which no Darknet computes"
    PJREDDIES_KEY = "YG417", "a key of pjreddie's Darknet, which AlexeyAB's ignores"
    BLANK_SECTION = "YG418", "[blank], which no Darknet computes"
    ISEG_MAP = "YG419", "[iseg], of whose map no instances are made"
    RAW_SCORES = "YG420", "[region] without softmax, whose class scores are raw in AlexeyAB's"
    GPU_BUILD_ONLY = "YG421", "what AlexeyAB's GPU build computes, and its CPU build does not"

    UNUSED_OUTPUT = "YG501", "a layer's output reaches nothing that the network returns"
    CLASSES_DISAGREE = "YG502", "heads tell different numbers of classes apart"
    CLASS_LIST = "YG503", "the classes are not as many as a names or .data file says"
    UNEVEN_INPUT = "YG504", "the input size is no multiple of a head's stride"
    ANCHOR_UNIT = "YG505", "anchors in another unit than the head takes"
    ANCHOR_TOO_LARGE = "YG506", "anchors are much larger than the input"
    ANCHOR_INPUT = "YG507", "published anchors, made for another input size"
    ANCHOR_USE = "YG508", "an anchor belongs to no head, or to several"
    ANCHOR_ORDER = "YG509", "a coarse head has smaller anchors than a finer one"
    ANCHORS_DISAGREE = "YG510", "heads list different anchors"
    HEAD_ACTIVATION = "YG511", "the map before a head is not activated as the head expects"
    HEAD_BATCH_NORM = "YG512", "batch norm right before a head"

    TEST_BATCH = "YG520", "batch and subdivisions are left at 1, with which Darknet cannot train"
    BATCH_PARTS = "YG521", "batch is no multiple of subdivisions"
    LATE_STEP = "YG522", "the learning rate changes after the end of the training"
    LONG_BURN_IN = "YG523", "burn_in lasts longer than what comes after it"
    SHORT_TRAINING = "YG524", "max_batches is below Darknet's advice for so many classes"
    UNREAD_BY_POLICY = "YG525", "a key of [net] that its policy does not read"
    CLASSIFIER_KEY = "YG526", "an augmentation of classifiers in a detector"
    LAST_HEAD_COUNTS = "YG527", "heads disagree on a key of which the last head's counts"

    UNUSED_SILENCE = "YG590", "a `lint: ignore` comment silences nothing"
    UNKNOWN_SILENCE = "YG591", "a `lint:` comment that says nothing that lint knows"

    def __init__(self, code: str, summary: str) -> None:
        self.code = code
        self.summary = summary

    @property
    def lint_only(self) -> bool:
        """Whether only `yolo-gp lint` looks for it; the file compiles without a word."""
        return self.code.startswith("YG5")
