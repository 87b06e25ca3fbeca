"""Who knows a section or a key; and the meanings of keys that say the same wherever they stand.

A kind's own keys have their meanings in its file (`Layer.meanings`). The page that
`yolo-gp reference` prints is made from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Reader = Literal["Darknet", "AlexeyAB", "pjreddie", "YOLOR", "yolo-gp"]
"""Who reads a kind or a key: AlexeyAB's and pjreddie's Darknet alike, one of them, the YOLOR
dialect of PyTorch_YOLOv4 and yolor, or nobody but us."""

KEY_MEANINGS: Mapping[str, str] = {
    "activation": "the function applied to every number of the output",
    "antialiasing": "the layer has stride 1 and a fixed blur after it has the stride",
    "batch_normalize": "1: batch normalisation between the weights and the activation, in place of "
    "a bias",
    "from": "the earlier layers to read beside the previous one",
    "stream": "the CUDA stream that Darknet runs the layer on",
    "wait_stream": "the CUDA stream that Darknet waits for before the layer",
    "stop_gradient": "`identity`: no gradient into the sources; `block`: none into the layers "
    "between the source and here, whose own weights still learn",
    "stride": "step of the window, both ways",
    "stride_x": "step of the window along a row",
    "stride_y": "step of the window down a column",
    # heads
    "classes": "number of classes",
    "num": "how many pairs `anchors` lists",
    "beta_nms": "exponent of the distance term, for `nms_kind=diounms`",
    "nms_kind": "what suppresses overlapping boxes: `default` plain IoU, `greedynms` distance-IoU "
    "with exponent 0.6, `diounms` with `beta_nms`",
    "masks": "mask coefficients behind the classes of each box; 0 for a head without masks",
    "prototypes": "the layer whose maps the mask coefficients combine",
}
"""Meanings of keys that say the same in every section; a kind's own `meanings` come before."""

KEY_READERS: Mapping[str, Reader] = {
    "antialiasing": "AlexeyAB",
    "stream": "AlexeyAB",
    "wait_stream": "AlexeyAB",
    "stop_gradient": "yolo-gp",
    "stride_x": "AlexeyAB",
    "stride_y": "AlexeyAB",
    "beta_nms": "AlexeyAB",
    "nms_kind": "AlexeyAB",
    "masks": "yolo-gp",
    "prototypes": "yolo-gp",
}
"""Who reads such a key, where that is not whoever reads the section."""

COMMON_MEANINGS: Mapping[str, str] = {
    "name": "what later sections call this one by, as @name; a letter, then letters, digits, _, - "
    "or .",
    "dontload": "1: the section takes nothing from a `.weights` file, which holds nothing for it",
    "dontloadscales": "1: the file holds no scale, mean and variance of its batch norm",
    "learning_rate": "the section's learning rate is the network's times this",
    "stopbackward": "1: nothing up to this section learns; n above 1: not before iteration n",
    "onlyforward": "1: no gradient passes this section",
    "dont_update": "the section learns after so many iterations only",
    "burnin_update": "the section learns after so many times `burn_in` iterations",
    "train_only_bn": "1: of everything up to this section, only the statistics of batch norms move",
    "clip": "weights are kept within plus and minus this; 0 for no bound",
}
"""Meanings of the keys that every section but [net] takes."""


def known_to(reader: Reader, *keys: str) -> dict[str, Reader]:
    """Entries of `key_readers`."""
    return dict.fromkeys(keys, reader)
