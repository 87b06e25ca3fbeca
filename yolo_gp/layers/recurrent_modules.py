"""The recurrent layers in torch; imported when a network is built.

Shapes: N sequences, T steps, C channels, H rows, W columns. Maps are (T * N, C, H, W), step after
step: the first map of each sequence, then the second of each, as in Darknet's memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from yolo_gp.errors import UsageError
from yolo_gp.layers.activation_modules import Activation

State = tuple[Tensor, ...]


class Recurrent(nn.Module):
    """A layer whose output depends on the maps that it was given before.

    By default every map is a sequence of its own and starts at a state of zeros. In training every
    call starts there too.

    Attributes:
        time_steps: T of the batches to come.
        carries_state: a call goes on where the one before ended.
        state: where that was; None for zeros. It is no part of the state dict.
    """

    def __init__(self, state_channels: tuple[int, ...], *, flat: bool = False) -> None:
        """Remember maps of so many channels each, as large as the input; `flat` for 1 x 1."""
        super().__init__()
        self.state_channels = state_channels
        self.flat = flat
        self.time_steps = 1
        self.carries_state = False
        self.state: State | None = None

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The output for one step (N, C, H, W), and the state after it."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """
        Raises:
            UsageError: the batch is no multiple of `time_steps`, or has not the shape of the state.
        """
        if x.shape[0] % self.time_steps:
            raise UsageError(
                f"a batch of {x.shape[0]} maps is not {self.time_steps} time steps of as many "
                f"sequences\nexpected: a multiple of {self.time_steps}"
            )
        steps = x.chunk(self.time_steps)
        state = self._first_state(steps[0])
        outputs = []
        for each in steps:
            output, state = self.step(each, state)
            outputs.append(output)
        if self._goes_on:
            self.state = tuple(part.detach() for part in state)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    @property
    def _goes_on(self) -> bool:
        return self.carries_state and not self.training

    def _first_state(self, x: Tensor) -> State:
        size = (1, 1) if self.flat else x.shape[2:]
        shapes = [(x.shape[0], channels, *size) for channels in self.state_channels]
        if self.state is None or not self._goes_on:
            return tuple(x.new_zeros(shape) for shape in shapes)
        found = [tuple(part.shape) for part in self.state]
        if found != shapes:
            raise UsageError(
                f"a recurrent layer remembers {_shape_text(found[0])}, the batch asks for "
                f"{_shape_text(shapes[0])}\n"
                "expected: as many sequences, of the same size, as in the call before\n"
                "help: reset_state(network) before another sequence begins"
            )
        return tuple(part.to(x) for part in self.state)


def _shape_text(shape: tuple[int, ...]) -> str:
    count, *lengths = shape
    return f"{count} sequence{'s' * (count != 1)} of {' x '.join(map(str, lengths))}"


class Elman(Recurrent):
    """s = from_input(x) + from_state(s), y = to_output(s); with `shortcut`, s keeps its old value.

    Each part has an activation of its own.
    """

    def __init__(
        self, parts: Mapping[str, nn.Module], hidden: int, *, shortcut: bool, flat: bool
    ) -> None:
        super().__init__((hidden,), flat=flat)
        self.parts = nn.ModuleDict(parts)
        self.shortcut = shortcut

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        parts, (before,) = self.parts, state
        after = parts["from_input"](x) + parts["from_state"](before)
        if self.shortcut:
            after = after + before
        return parts["to_output"](after), (after,)


class Gru(Recurrent):
    """h = z h + (1 - z) candidate, see layers/gru.py; the output is h."""

    def __init__(self, parts: Mapping[str, nn.Module], outputs: int, activation: str) -> None:
        super().__init__((outputs,), flat=True)
        self.parts = nn.ModuleDict(parts)
        self.activation = Activation(activation, owns_input=True)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        parts, (h,) = self.parts, state
        z = torch.sigmoid(parts["input_z"](x) + parts["state_z"](h))
        r = torch.sigmoid(parts["input_r"](x) + parts["state_r"](h))
        candidate = self.activation(parts["input_h"](x) + parts["state_h"](r * h))
        h = z * h + (1 - z) * candidate
        return h, (h,)


class Lstm(Recurrent):
    """h = o squash(c), c = f c + i g, see layers/lstm.py and layers/conv_lstm.py.

    The parts are u* for the input, w* for h and, with a peephole, v* for c. With a bottleneck the
    input and h go through wf together, and u* read that.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        outputs: int,
        *,
        flat: bool,
        squash: str = "tanh",
        shortcut: bool = False,
        bound: float = 0.0,
    ) -> None:
        """`bound` keeps c within +-bound from one step to the next; 0 for no bound."""
        super().__init__((outputs, outputs), flat=flat)
        self.parts = nn.ModuleDict(parts)
        self.squash = Activation(squash)
        self.bound = bound
        self.bottleneck = "wi" not in parts
        self.peephole = "vf" in parts
        self.shortcut = shortcut

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        parts, (h, c) = self.parts, state
        if self.bottleneck:
            x = self.squash(parts["wf"](torch.cat((h, x), dim=1)))
            f, i, g, o = (parts[name](x) for name in ("uf", "ui", "ug", "uo"))
        else:
            f, i, g, o = (parts["u" + name](x) + parts["w" + name](h) for name in "figo")
        if self.peephole:
            f, i = f + parts["vf"](c), i + parts["vi"](c)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * self.squash(g)
        if self.peephole:
            o = o + parts["vo"](c)
        h = torch.sigmoid(o) * self.squash(c)
        if self.bound:
            c = c.clamp(-self.bound, self.bound)
        return self._with_shortcut(h, x), (h, c)

    def _with_shortcut(self, h: Tensor, x: Tensor) -> Tensor:
        """Darknet's partial residual connection: half of the channels."""
        if not self.shortcut:
            return h
        half = h.shape[1] // 2
        return torch.cat((h[:, :half] + x[:, :half], h[:, half:]), dim=1)
