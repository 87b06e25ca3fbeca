"""Small heads of every kind, from cfg text, with the layers they read."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.anchor_free import AnchorFree
from yolo_gp.layers.yolo import Yolo
from yolo_gp.losses.targets import Targets

from .darknet_by_hand import Truth

SIZE = 64  # of the network input, in pixels; [yolo] maps are 4 x 4 cells of 16
ACTIVATED = "new_coords=1\nscale_x_y=2.0"
PLAIN = ""
STRETCHED = "scale_x_y=1.4"
MASKED = "new_coords=1\nscale_x_y=2.0\nmasks=2\nprototypes=@prototypes"
KINDS = (ACTIVATED, PLAIN, STRETCHED, MASKED)

_NET = f"[net]\nwidth={SIZE}\nheight={SIZE}\nchannels=3\n"
_ANCHORS = "anchors=10,14, 23,27, 40,20\nnum=3\n"


def conv(filters: int, stride: int, activation: str = "linear", name: str = "") -> str:
    named = f"name={name}\n" if name else ""
    return (
        f"[convolutional]\n{named}filters={filters}\nsize={stride}\nstride={stride}\n"
        f"activation={activation}\n"
    )


def yolo_graph(keys: str, *, classes: int = 2) -> Graph:
    masked = "masks=" in keys
    prototypes = conv(2, 4, name="prototypes") + "[route]\nlayers=-2\n" if masked else ""
    activation = "logistic" if keys == ACTIVATED else "linear"
    entries = 5 + classes + (2 if masked else 0)
    return compile_text(
        f"{_NET}{conv(3, 1)}{prototypes}{conv(3 * entries, 16, activation)}"
        f"[yolo]\nclasses={classes}\n{_ANCHORS}mask=0,1,2\n{keys}\n",
        "head.cfg",
    )


def yolo_head(keys: str, *, classes: int = 2) -> Yolo:
    head = yolo_graph(keys, classes=classes).heads[0][1]
    assert isinstance(head, Yolo)
    return head


def free_graph(*strides: int, classes: int = 2, bins: int = 5, masks: bool = False) -> Graph:
    text = _NET + conv(3, 1, name="image")
    keys = ""
    if masks:
        text += conv(2, 4, name="prototypes")
        keys = "masks=2\nprototypes=@prototypes\n"
    for stride in strides:
        branches = {"box": 4 * bins, "class": classes} | ({"mask": 2} if masks else {})
        for name, filters in branches.items():
            text += "[route]\nlayers=@image\n" + conv(filters, stride, name=f"{name}{stride}")
        names = ",".join(f"@{name}{stride}" for name in branches)
        text += f"[anchor_free]\nfrom={names}\nclasses={classes}\nbins={bins}\n{keys}"
    return compile_text(text, "free.cfg")


def free_heads(graph: Graph) -> list[AnchorFree]:
    return [head for _, head in graph.heads if isinstance(head, AnchorFree)]


def targets_of(*truths: Truth, masks: Tensor | None = None) -> Targets:
    return Targets(
        torch.tensor([t.image for t in truths], dtype=torch.long),
        torch.tensor([t.class_id for t in truths], dtype=torch.long),
        torch.tensor([t.box for t in truths], dtype=torch.float32).reshape(-1, 4),
        masks,
    )
