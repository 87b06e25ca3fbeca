"""Memory of a forward pass, counted by hand."""

from __future__ import annotations

from yolo_gp.analysis.memory import Memory, memory
from yolo_gp.graph import Graph, compile_text

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


def compiled(text: str) -> Graph:
    return compile_text(text, "memory.cfg")


def needed(text: str) -> Memory:
    return memory(compiled(text))


def test_the_peak_is_where_most_maps_live_at_once() -> None:
    # Maps of 4x4: input 16, layer 0: 32, layer 1: 48, layer 2 is layer 1's map, layer 3: 16,
    # layer 4: 48. Layer 0 lives until layer 4.
    # At layer 0: 16 + 32 = 48; 1: 32 + 48 = 80; 3: 32 + 48 + 16 = 96; 4: 32 + 16 + 48 = 96.
    found = needed(CHAIN)
    assert (found.peak_activations, found.peak_layer) == (96 * 4, 3)


def test_weights_count_every_float_of_the_file() -> None:
    # 1x1 convolutions with bias: 1*2+2, 2*3+3, 3*1+1.
    assert needed(CHAIN).weights == 4 * (4 + 9 + 4)


def test_access_sums_what_each_layer_reads_and_writes() -> None:
    # Maps read, weights and biases read, map written; the route to one layer moves nothing.
    layers = [16 + 4 + 32, 32 + 9 + 48, 0, 48 + 4 + 16, (16 + 32) + 0 + 48]
    assert needed(CHAIN).access == 4 * sum(layers)


def test_access_reads_a_batch_norm_folded_in_and_shared_weights_each_time() -> None:
    # One 1x1 convolution of 4 channels to 4 with batch norm, used twice on 2x2 pixels: each time
    # 16 in, 16 weights and 4 biases, 16 out. The file holds 16 + 4*4 numbers, once.
    shared = "[convolutional]\nbatch_normalize=1\nfilters=4\nactivation=linear\n"
    net = "[net]\nwidth=2\nheight=2\nchannels=4\n"
    found = needed(f"{net}{shared}{shared}share_index=0\n")
    assert found.access == 4 * 2 * (16 + 20 + 16)
    assert found.weights == 4 * 32


def test_access_of_a_pointwise_convolution_is_the_formula_of_shufflenet_v2() -> None:
    # h w (c1 + c2) + c1 c2, and one bias per filter.
    text = "[net]\nwidth=6\nheight=5\nchannels=7\n[convolutional]\nfilters=11\nactivation=linear\n"
    assert needed(text).access == 4 * (5 * 6 * (7 + 11) + 7 * 11 + 11)


def test_access_of_a_sum_reads_every_addend_and_its_weights() -> None:
    layers = "[convolutional]\nfilters=2\nactivation=linear\n" * 2
    net = "[net]\nwidth=3\nheight=3\nchannels=2\n"
    weights = "weights_type=per_channel\nweights_normalization=relu\n"
    before = needed(net + layers).access
    # Two addends of 2 channels at 3x3, a weight for each of 2x2, one sum.
    assert needed(f"{net}{layers}[shortcut]\nfrom=-2\n{weights}").access == before + 4 * (
        18 + 18 + 4 + 18
    )


STAGE_INPUT = """[net]
width=8
height=8
channels=3
[convolutional]
filters=64
activation=linear
"""
RESIDUAL = """[convolutional]
batch_normalize=1
filters=32
activation=leaky
[convolutional]
batch_normalize=1
filters=64
size=3
pad=1
activation=leaky
[shortcut]
from=-3
"""


def test_csp_halves_the_weights_of_the_blocks_and_brings_the_peak_to_two_thirds() -> None:
    # ELAN paper, 4.2, on a Darknet-53 stage of c = 64 channels with three blocks. In a block, the
    # input, the sum's other addend and the sum live together: 3 c. In a CSP stage they are half as
    # wide, and the other half of the map waits beside them: 3 c/2 + c/2 = 2 c.
    plain = compiled(STAGE_INPUT + 3 * RESIDUAL)
    csp = compiled(STAGE_INPUT + "[csp]\nfilters=64\nrepeat=3\n")
    assert memory(plain).peak_activations == 4 * 3 * 64 * 64
    assert memory(csp).peak_activations == 4 * 2 * 64 * 64
    # Weights of a block: c c/2 + 9 c/2 c = 5 c^2; in the CSP stage (c/2)^2 + 9 (c/2)^2. Beside its
    # blocks the stage has two entries and two transitions, c c/2 + c c/2 + (c/2)^2 + c c.
    c = 64
    assert block_weights(plain) == 3 * 5 * c * c
    assert block_weights(csp) == 3 * 5 * c * c // 2 + 2 * c * c // 2 + c * c // 4 + c * c


def block_weights(graph: Graph) -> int:
    """Weights of the convolutions after the first layer."""
    filters = [node.layer.filters(node.input_shapes) for node in graph.nodes[1:]]
    return sum(found.weights for found in filters if found)
