"""What Darknet's older heads hand to a layer that reads them; imported when a network is built."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yolo_gp.layers.class_tree import ClassTree
from yolo_gp.layers.named_files import NamedFile


class RegionActivation(nn.Module):
    """`[region]`: the map (N, A (5 + C), H, W) with its sigmoids and its softmax applied.

    Classes take a softmax, over each group of the tree if there is one, else a sigmoid.
    """

    def __init__(self, anchors: int, softmax: bool, tree: NamedFile[ClassTree] | None) -> None:
        super().__init__()
        self.anchors = anchors
        self.softmax = softmax
        self.tree = tree

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.reshape(n, self.anchors, c // self.anchors, h, w)
        xy, wh, objectness, logits = torch.split(parts, [2, 2, 1, parts.shape[2] - 5], dim=2)
        classes = region_classes(logits.movedim(2, -1), self.softmax, self.tree).movedim(-1, 2)
        entries = (xy.sigmoid(), wh, objectness.sigmoid(), classes)
        return torch.cat(entries, dim=2).reshape(n, c, h, w)


def region_classes(logits: Tensor, softmax: bool, tree: NamedFile[ClassTree] | None) -> Tensor:
    """The class probabilities of `[region]`, given an object, from logits (..., C).

    With a tree, each node's given its parent.

    Raises:
        CfgError: the tree's file is not there.
    """
    if tree is not None:
        return tree.required().softmax(logits)
    return logits.softmax(-1) if softmax else logits.sigmoid()


class GaussianActivation(nn.Module):
    """`[Gaussian_yolo]`: the map (N, A (9 + C), H, W) with its sigmoids applied.

    An anchor's entries are x, its sigma, y, its sigma, w, its sigma, h, its sigma, objectness,
    classes. Sizes stay as they are.
    """

    def __init__(self, anchors: int, scale_x_y: float) -> None:
        super().__init__()
        self.anchors = anchors
        self.scale_x_y = scale_x_y

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.reshape(n, self.anchors, c // self.anchors, h, w)
        values = parts.sigmoid()
        shift = 0.5 * (self.scale_x_y - 1.0)
        xs, ys = (values[:, :, i : i + 1] * self.scale_x_y - shift for i in (0, 2))
        entries = (
            xs, values[:, :, 1:2], ys, values[:, :, 3:4],
            parts[:, :, 4:5], values[:, :, 5:6], parts[:, :, 6:7], values[:, :, 7:],
        )  # fmt: skip
        return torch.cat(entries, dim=2).reshape(n, c, h, w)


class DetectionActivation(nn.Module):
    """`[detection]`: the numbers of all cells, the classes of each made probabilities by softmax.

    The flattened map begins with C class scores for each of the cells.
    """

    def __init__(self, cells: int, classes: int, softmax: bool) -> None:
        super().__init__()
        self.cells = cells
        self.classes = classes
        self.softmax = softmax

    def forward(self, x: Tensor) -> Tensor:
        if not self.softmax:
            return x
        flat = x.flatten(1)
        scored = self.cells * self.classes
        scores = flat[:, :scored].reshape(-1, self.cells, self.classes).softmax(-1)
        return torch.cat((scores.flatten(1), flat[:, scored:]), dim=1).reshape(x.shape)


class TreeSoftmax(nn.Module):
    """`[softmax]` over the groups of a class tree: softmax(x / temperature) in each of them."""

    def __init__(self, tree: NamedFile[ClassTree], temperature: float) -> None:
        super().__init__()
        self.tree = tree
        self.temperature = temperature

    def forward(self, x: Tensor) -> Tensor:
        tree = self.tree.required()
        return tree.softmax(x.flatten(1) / self.temperature).reshape(x.shape)
