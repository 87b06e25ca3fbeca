"""The code of every kind of finding. Codes are stable: users silence and search by them."""

from __future__ import annotations

import enum


class Rule(enum.Enum):
    """A kind of finding: its code and one line on what it is about.

    0xx reading the text, 1xx keys and values, 2xx references and shapes, 3xx heads, 4xx places
    where Darknet itself would do something else (each is a row of docs/darknet-differences.md).
    """

    NOT_A_CFG = "YG001", "the file is no cfg text: binary, too large, or without a section"
    FIRST_SECTION = "YG002", "a cfg starts with [net], and has one [net] only"
    BAD_HEADER = "YG003", "a section header is not of the form [kind]"
    NO_EQUALS = "YG004", "a line is neither a header nor key=value"
    EMPTY_VALUE = "YG005", "a key has no value"
    ENCODING = "YG006", "bytes outside a comment are not UTF-8 text"

    UNKNOWN_SECTION = "YG101", "no layer kind of that name"
    UNKNOWN_KEY = "YG102", "the section does not know the key"
    REPEATED_KEY = "YG103", "a key stands twice in one section; the first counts"
    BAD_NUMBER = "YG104", "a value is not the number it should be"
    OUT_OF_RANGE = "YG105", "a number lies outside its range"
    UNKNOWN_NAME = "YG106", "a value is none of the names the key takes"
    MISSING_KEY = "YG107", "a required key is absent"
    NO_EFFECT = "YG108", "a key has no effect beside another one"
    UNSUPPORTED = "YG109", "Darknet knows it, this version does not"
    SILENT_DEFAULT = "YG110", "an absent key gets a default that surprises"
    NOT_PLAIN = "YG111", "plain Darknet cfg has no equivalent"

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

    def __init__(self, code: str, summary: str) -> None:
        self.code = code
        self.summary = summary
