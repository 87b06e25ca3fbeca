"""A tree of classes, as YOLO9000's: an animal is a dog or a cat, a dog a terrier or a hound.

Legend: C nodes, which are the classes; any leading dimensions.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yolo_gp.errors import Source, shown
from yolo_gp.layers.named_files import BadFile, NamedFile, line_span, parse_file
from yolo_gp.numerals import parse_integer
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule

if TYPE_CHECKING:
    from torch import Tensor

_SURE = 0.5  # a node more probable than this is the answer, unless one further down is too


@dataclass(frozen=True, slots=True)
class ClassTree:
    """Which class is a kind of which.

    A group is a run of nodes with the same parent: they exclude each other.

    Fields:
        names: of the nodes.
        parents: the number of each node's parent, which is smaller than its own; -1 for a root.

    Source: Darknet src/tree.c; darknet.md 3.6.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.parents)

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """How many nodes each group has, in file order."""
        return tuple(len(list(run)) for _, run in itertools.groupby(self.parents))

    @property
    def leaves(self) -> tuple[int, ...]:
        """The nodes that are nobody's parent."""
        return tuple(sorted(set(range(self.size)) - set(self.parents)))

    def softmax(self, logits: Tensor) -> Tensor:
        """The probability of each node if its parent is right: softmax over each group of (..., C).

        Source: Darknet src/softmax_layer.c.
        """
        import torch

        sizes = self.group_sizes
        of_nodes = [number for number, size in enumerate(sizes) for _ in range(size)]
        group = torch.tensor(of_nodes, device=logits.device).expand(logits.shape)
        grouped = (*logits.shape[:-1], len(sizes))
        lowest = logits.new_full(grouped, -torch.inf)
        largest = lowest.scatter_reduce(-1, group, logits.detach(), "amax")
        powers = (logits - largest.gather(-1, group)).exp()
        sums = powers.new_zeros(grouped).scatter_add(-1, group, powers)
        return powers / sums.gather(-1, group)

    def absolute(self, conditional: Tensor) -> Tensor:
        """The probability of each node: the product of (..., C) along the way from its root.

        Source: Darknet src/tree.c, hierarchy_predictions.
        """
        import torch

        root = self.size  # stands for the parent of a root, and for its own
        above = [root if parent < 0 else parent for parent in self.parents] + [root]
        product = torch.cat((conditional, torch.ones_like(conditional[..., :1])), dim=-1)
        while any(node != root for node in above):
            index = torch.tensor(above, device=conditional.device)
            product = product * product.index_select(-1, index)
            above = [above[node] for node in above]  # twice as far up
        return product[..., : self.size]

    def answers(self, absolute: Tensor) -> Tensor:
        """The last node, if any, whose absolute probability (..., C) exceeds 1/2: (..., C) bool.

        The nodes that do stand one below the other, so that the last is the most precise.
        Source: Darknet src/region_layer.c, get_region_boxes.
        """
        import torch

        number = torch.arange(1, self.size + 1, device=absolute.device)
        last = (number * (absolute > _SURE)).amax(-1, keepdim=True)
        return number == last


def parse_tree(options: Options, classes: int | None) -> NamedFile[ClassTree] | None:
    """Read `tree`, the name of a file with a line for each node: its name, and its parent's number.

    Args:
        classes: how many nodes it must have; None for any number.
    """
    absence = "shapes and costs can do without, results cannot"
    found = parse_file(options, "tree", absence, _read_tree)
    tree = found.content if found else None
    if tree and classes is not None and tree.size != classes and options.trusts("classes"):
        options.error(
            Rule.BAD_FILE,
            "tree",
            f"[{options.kind}] tree={shown(options.span_of('tree').text)} has {tree.size} nodes, "
            f"but classes={classes}",
            expected="a line for each class",
            help=f"set classes={tree.size}, and the filters before to match, if the tree is right",
        )
    return found


def _read_tree(source: Source) -> ClassTree:
    names, parents = [], []
    for number, line in enumerate(source.lines, start=1):
        words = line.split()
        parent = parse_integer(words[1]) if len(words) == 2 else None
        if parent is None:
            raise BadFile(
                line_span(source, number),
                f"a line of a class tree is a name and a number; this one is {shown(line)!r}",
                "NAME PARENT, the parent's line counted from 0, or -1 for none",
            )
        node = number - 1
        if not -1 <= parent < node:
            raise BadFile(
                line_span(source, number),
                f"node {node} of the class tree, {shown(words[0])}, has parent {parent}",
                "the number of an earlier line, counted from 0, or -1 for none",
            )
        names.append(words[0])
        parents.append(parent)
    if len(parents) > MAX_CHANNELS:
        raise BadFile(
            line_span(source, MAX_CHANNELS + 1),
            f"the class tree has {len(parents)} nodes",
            f"at most {MAX_CHANNELS}",
        )
    return ClassTree(tuple(names), tuple(parents))


def parse_class_map(options: Options, classes: int) -> NamedFile[tuple[int, ...]] | None:
    """Read `map`, the name of a file with the tree's node for each class of another list."""

    def read(source: Source) -> tuple[int, ...]:
        return _read_map(source, classes if options.trusts("classes") else MAX_CHANNELS)

    return parse_file(options, "map", "boxes are named by the classes of the tree only", read)


def _read_map(source: Source, classes: int) -> tuple[int, ...]:
    nodes = []
    for number, line in enumerate(source.lines, start=1):
        node = parse_integer(line.strip())
        if node is None or not 0 <= node < classes:
            raise BadFile(
                line_span(source, number),
                f"a line of a class map is the number of a class; this one is {shown(line)!r}",
                f"0 to {classes - 1}",
            )
        nodes.append(node)
    return tuple(nodes)
