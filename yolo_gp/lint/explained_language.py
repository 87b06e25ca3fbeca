"""Paragraphs on the rules about the text, its keys and its values: 0xx and 1xx."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.rules import Rule

LANGUAGE: Mapping[Rule, str] = {
    Rule.NOT_A_CFG: """A cfg is a text of sections, [net] first. Binary data, UTF-16, more than a
        megabyte, or a text without a section is none. Often a .weights file, or a web page that was
        saved in place of the cfg, stands where the cfg should.""",
    Rule.FIRST_SECTION: """Darknet takes the first section for [net], which has the input's size,
        and refuses the file if it is another one; it crashes on a key before any section. A second
        [net] further down is an unknown layer to it. Put one [net] at the top.""",
    Rule.BAD_HEADER: """Darknet takes all of a line that starts with [ for the section's name. A
        missing bracket, an empty name or text behind the bracket makes a name that it does not
        know, and an empty layer of the section.""",
    Rule.NO_EQUALS: """A line that is neither a header, nor key=value, nor a comment has no effect
        in Darknet, without a word: `stride 2` or `stride: 2` leaves the stride at 1. Write an =, or
        # before a remark.""",
    Rule.EMPTY_VALUE: """Darknet drops a line with nothing behind its =, and takes the key's
        default. Write the value, or remove the line. --fix makes a comment of a line that nothing
        depends on.""",
    Rule.ENCODING: """Outside comments a cfg consists of ASCII characters in practice. A byte that
        is no UTF-8 text in a key or a value comes from another encoding or from a damaged file, and
        what was meant cannot be known.""",
    Rule.UNKNOWN_SECTION: """No layer is of that kind. Darknet prints a line about it, puts an empty
        layer in its place, and fails later with an unrelated message. Kinds are case-sensitive.
        --fix mends a name that is one letter off.""",
    Rule.UNKNOWN_KEY: """The section does not know the key. Darknet says so among hundreds of other
        lines, or, in [net], not at all, and takes the default of the key that was meant:
        `filter=64` leaves a convolution with one filter. In sections of our own it is an error.""",
    Rule.REPEATED_KEY: """A key stands twice in one section. Darknet takes the first, OpenCV and
        most Python readers the last, so tools make different networks of the file. A published
        efficientnet_b0.cfg sets its decay twice. --fix makes a comment of the line that does not
        count.""",
    Rule.BAD_NUMBER: """Darknet reads the leading digits of a text and takes the rest for nothing:
        3x2 is 3, 1e3 is 1 where a whole number is wanted, abc is 0, and a comma at the end of a
        list is one more 0. What was meant is not known, so it is an error here.""",
    Rule.OUT_OF_RANGE: """The number is one that the layer cannot work with, such as a negative
        size, a group count of 0, or a list that is too short for its neighbour. Darknet mostly does
        not check, and crashes or reads memory that is not its own.""",
    Rule.UNKNOWN_NAME: """A key that takes one of several names has another. Darknet goes on with
        something else without stopping: an unknown activation becomes ReLU, an unknown policy
        constant, an unknown nms_kind the default. --fix mends an activation that is one letter
        off.""",
    Rule.MISSING_KEY: """The section cannot do without the key: [net] without a size, [route]
        without layers, policy=steps without steps. Darknet stops there, mostly without naming the
        line.""",
    Rule.NO_EFFECT: """Beside another key of the same section this one does nothing, such as more
        scales than steps. Remove it, or the other one, so that the file says what it does.""",
    Rule.UNSUPPORTED: """Some Darknet knows the section or the key, and its results depend on it,
        but this version cannot compute it. Rather than run another network than the one described,
        it stops.""",
    Rule.SILENT_DEFAULT: """A key is absent, and its default is seldom what one expects: a
        convolution without activation is logistic in Darknet and linear in OpenCV, and anchors that
        are not listed are all 0.5 wide and high. Write the key.""",
    Rule.NOT_PLAIN: """`yolo-gp expand` writes a network with sections of ours as a cfg for Darknet.
        This layer or key has no equivalent there. `lint` does not look for it.""",
    Rule.MISSING_FILE: """A key of the section names a file, such as the tree of a hierarchy of
        classes, that is not there. Paths are relative to the working directory, as in Darknet, or
        to the cfg's folder. Without it some of the network's answers cannot be given.""",
    Rule.BAD_FILE: """A file that a key of the section names is there, but its lines are not what
        they should be: a tree needs a name and the number of the parent on each line, a map one
        number. Darknet reads on with whatever it finds.""",
    Rule.OTHER_DIALECT: """The torch code of YOLOR and PyTorch_YOLOv4 reads cfg files too, with
        sections, keys and activations of its own, and with other rules for some of Darknet's. A
        file is read in one of the two dialects; `dialect=yolor` in [net], or --dialect, says which.
        This one uses something of the other.""",
}
