"""How the channels of a layer's inputs reach those of its output: what gradients run back along."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passes:
    """Channels that reach the output one to one: copied, added, scaled or pooled, never mixed.

    Fields:
        input: the number of the input among the layer's inputs.
        count: of channels.
        start: the first of them in the input.
        target: where the first of them arrives in the output.
    """

    input: int
    count: int
    start: int = 0
    target: int = 0


@dataclass(frozen=True, slots=True)
class Mixes:
    """All channels of an input, each reaching every output channel of its group.

    Input and output are cut into `groups` equal runs of channels.

    Fields:
        input: the number of the input among the layer's inputs.
        learned: the layer learns how to mix. Crossing it takes a gradient one timestamp.
        outputs: how many output channels they reach; None for all.
        target: the first of those.
    """

    input: int
    learned: bool
    groups: int = 1
    outputs: int | None = None
    target: int = 0


ChannelFlow = tuple[Passes | Mixes, ...]
"""Every way from an input to the output of a layer. Ways that meet in a channel add up."""
