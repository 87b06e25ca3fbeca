"""Memory of a forward pass, counted by hand."""

from __future__ import annotations

from yolo_gp.analysis.memory import memory
from yolo_gp.graph import compile_text

CHAIN = """[net]
width=4
height=4
channels=1
[convolutional]
filters=2
activation=linear
[convolutional]
filters=3
activation=linear
[route]
layers=-1
[convolutional]
filters=1
activation=linear
[route]
layers=-1,0
"""


def test_the_peak_is_where_most_maps_live_at_once() -> None:
    # Maps of 4x4: input 16, layer 0: 32, layer 1: 48, layer 2 is layer 1's map, layer 3: 16,
    # layer 4: 48. Layer 0 lives until layer 4.
    # At layer 0: 16 + 32 = 48; 1: 32 + 48 = 80; 3: 32 + 48 + 16 = 96; 4: 32 + 16 + 48 = 96.
    found = memory(compile_text(CHAIN, "chain.cfg"))
    assert (found.peak_activations, found.peak_layer) == (96 * 4, 3)


def test_weights_count_every_float_of_the_file() -> None:
    # 1x1 convolutions with bias: 1*2+2, 2*3+3, 3*1+1.
    assert memory(compile_text(CHAIN, "chain.cfg")).weights == 4 * (4 + 9 + 4)
