"""Sections of Darknet's that mean something else in the YOLOR dialect, against NumPy and by hand.

`[BatchNorm2d]`, which only that dialect has, makes a file one of it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from yolo_gp.dialect import Dialect
from yolo_gp.errors import CfgError, UsageError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.yolo import Yolo
from yolo_gp.losses.modern_yolo import yolo_losses
from yolo_gp.losses.network_loss import darknet_loss
from yolo_gp.losses.targets import Targets
from yolo_gp.network import compile_network, fold_batch_norm, initialise

Array = NDArray[np.float32]
NORMED = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=linear\n"


def compiled(
    sections: str, size: tuple[int, int], dialect: Dialect | None = Dialect.YOLOR
) -> Graph:
    net = f"[net]\nchannels=2\nheight={size[0]}\nwidth={size[1]}\n"
    return compile_text(net + sections, "test.cfg", dialect=dialect)


def built(graph: Graph) -> fx.GraphModule:
    network = compile_network(graph)
    initialise(network, 1)
    return network


def random_map(size: tuple[int, int], shift: float = 0.0) -> Tensor:
    return torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(3)) + shift


def output(sections: str, x: Tensor) -> Array:
    graph = compiled(sections, (x.shape[2], x.shape[3]))
    with torch.no_grad():
        found: Array = built(graph)(x)[0].numpy()
    assert found.shape[1:] == (graph.nodes[-1].output_shape.channels, *found.shape[2:])
    assert found.shape[2:] == graph.nodes[-1].output_shape.size
    return found


# -- batch norm ------------------------------------------------------------------------------------


def spoil_statistics(norm: nn.BatchNorm2d) -> None:
    """Variances so small that the epsilon beside them shows."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.uniform_(-1, 1, generator=generator)
        norm.running_var.uniform_(1e-5, 1e-3, generator=generator)
        norm.weight.uniform_(0.5, 2, generator=generator)
        norm.bias.uniform_(-1, 1, generator=generator)


def normalised(x: Tensor, norm: nn.BatchNorm2d) -> Array:
    """scale (x - mean) / sqrt(variance + 1e-4) + bias."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale, bias, mean, variance = (
        values.detach().double().numpy().reshape(1, -1, 1, 1)
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    result: Array = scale * (x.double().numpy() - mean) / np.sqrt(variance + 1e-4) + bias
    return result


def norm_of(network: nn.Module) -> nn.BatchNorm2d:
    (norm,) = (part for part in network.modules() if isinstance(part, nn.BatchNorm2d))
    return norm


@pytest.mark.parametrize("folded", [False, True])
def test_the_batch_norm_of_a_convolution_has_an_epsilon_of_1e_4(folded: bool) -> None:
    graph = compiled(NORMED, (4, 6))
    network = built(graph)
    norm = norm_of(network)
    spoil_statistics(norm)
    x = random_map((4, 6))
    with torch.no_grad():
        (weight,) = (p for name, p in network.named_parameters() if name.endswith("n.weight"))
        expected = normalised(F.conv2d(x, weight, padding=1), norm)
        if folded:
            fold_batch_norm(network, graph)
        assert np.allclose(network(x)[0].numpy(), expected, rtol=1e-4, atol=1e-3)
        darknets = built(compiled(NORMED, (4, 6), Dialect.DARKNET))
        if not folded:
            darknets.load_state_dict(network.state_dict())
            assert not np.allclose(darknets(x)[0].numpy(), expected, rtol=1e-2, atol=1e-2)


def test_a_section_of_its_own_normalises_the_map_before() -> None:
    graph = compiled("[BatchNorm2d]\n", (4, 6), None)
    network = built(graph)
    spoil_statistics(norm_of(network))
    x = random_map((4, 6))
    with torch.no_grad():
        found = network(x)[0].numpy()
    assert np.allclose(found, normalised(x, norm_of(network)), rtol=1e-4, atol=1e-3)
    assert graph.total.params == 2 * 2


@pytest.mark.parametrize("sections", ["[BatchNorm2d]\n", NORMED])
def test_a_batch_moves_running_means_by_three_percent(sections: str) -> None:
    network = built(compiled(sections, (4, 6)))
    norm = norm_of(network)
    seen: list[Tensor] = []
    norm.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    network.train()
    network(random_map((4, 6), shift=5.0))
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, 0.03 * seen[0].mean((0, 2, 3)), rtol=1e-4)


# -- pools, reorg, shortcut ------------------------------------------------------------------------


def pooled(x: Tensor, size: int, stride: int, padding: int) -> Array:
    """The largest value of each window that slides over the map, `padding` pixels beyond it."""
    array = x.numpy()
    height, width = array.shape[2:]
    tops = range(-padding, height + padding - size + 1, stride)
    lefts = range(-padding, width + padding - size + 1, stride)
    result = np.empty((*array.shape[:2], len(tops), len(lefts)), np.float32)
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            rows = slice(max(top, 0), max(top + size, 0))
            columns = slice(max(left, 0), max(left + size, 0))
            result[:, :, row, column] = array[:, :, rows, columns].max((2, 3))
    return result


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [(5, 1, 2), (3, 2, 1), (2, 2, 0), (4, 2, 1), (3, 1, 1), (9, 1, 4)],
)
def test_a_max_pool_is_padded_by_half_its_size_less_one_on_both_sides(
    size: int, stride: int, padding: int
) -> None:
    x = random_map((7, 9))
    found = output(f"[maxpool]\nsize={size}\nstride={stride}\n", x)
    assert np.array_equal(found, pooled(x, size, stride, padding))


def test_a_padding_of_its_own_has_no_effect() -> None:
    x = random_map((7, 9))
    graph = compiled("[maxpool]\nsize=3\nstride=1\npadding=0\n", (7, 9))
    assert graph.warnings == ()
    with torch.no_grad():
        assert np.array_equal(built(graph)(x)[0].numpy(), pooled(x, 3, 1, 1))


def test_a_pool_of_2_by_2_with_stride_1_sees_zeros_right_and_below() -> None:
    x = random_map((3, 4), shift=-9.0)  # all negative, so that a zero is the largest value
    padded = np.zeros((2, 2, 4, 5), np.float32)
    padded[:, :, :3, :4] = x.numpy()
    windows = [padded[:, :, i : i + 3, j : j + 4] for i in (0, 1) for j in (0, 1)]
    found = output("[maxpool]\nsize=2\nstride=1\n", x)
    assert np.array_equal(found, np.max(windows, axis=0))
    assert not found[:, :, -1].any()
    assert not found[:, :, :, -1].any()


def test_a_local_average_counts_the_zeros_around_the_map() -> None:
    x = random_map((7, 9))
    found = output("[local_avgpool]\nsize=3\nstride=2\n", x)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    # The window's top left pixel is the padding's corner, 0; its sum has 4 pixels of the map.
    assert np.allclose(found[:, :, 0, 0], padded[:, :, :3, :3].sum((2, 3)) / 9, rtol=1e-5)
    expected = F.avg_pool2d(x, 3, 2, 1, count_include_pad=True).numpy()
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_reorg_joins_every_second_pixel_in_columns_first() -> None:
    x = random_map((4, 6))
    a = x.numpy()
    even, odd = slice(0, None, 2), slice(1, None, 2)
    order = ((even, even), (odd, even), (even, odd), (odd, odd))  # (rows, columns)
    parts = [a[:, :, rows][:, :, :, columns] for rows, columns in order]
    assert np.array_equal(output("[reorg]\n", x), np.concatenate(parts, axis=1))


def test_reorg_heeds_no_stride_and_says_so() -> None:
    graph = compiled("[reorg]\nstride=4\n", (8, 8))
    assert str(graph.nodes[0].output_shape) == "8 x 4 x 4"
    (warning,) = graph.warnings
    assert warning.message == (
        "[reorg] stride=4 has no effect in the YOLOR dialect, whose reorg halves the map"
    )
    with pytest.raises(CfgError, match=r"\[reorg\] stride=2 does not divide the input, which is"):
        compiled("[reorg]\n", (7, 8))


SUM = "[maxpool]\nsize=3\nstride=1\n[maxpool]\nsize=1\nstride=1\n[shortcut]\nfrom=0\n"


def test_a_shortcut_has_no_activation() -> None:
    x = random_map((4, 6))
    found = output(f"{SUM}activation=leaky\n", x)
    assert np.array_equal(found, 2 * pooled(x, 3, 1, 1))
    assert (found < 0).any()


def test_a_shortcut_adds_maps_of_one_size_only() -> None:
    small = "[maxpool]\nsize=2\nstride=2\n[shortcut]\nfrom=0\n"
    with pytest.raises(CfgError) as caught:
        compiled(f"[maxpool]\nsize=1\nstride=1\n{small}", (4, 6))
    assert "layer 1 is 2x3, layer 0 is 4x6 [YG202]" in str(caught.value)
    assert "\nexpected: equal sizes\n" in str(caught.value)


def test_a_weighted_shortcut_takes_sigmoids_of_its_weights() -> None:
    sections = (
        "[maxpool]\nsize=3\nstride=1\n[maxpool]\nsize=5\nstride=1\n[maxpool]\nsize=1\nstride=1\n"
        "[shortcut]\nfrom=0,1\nweights_type=per_feature\nweights_normalization=softmax\n"
    )
    graph = compiled(sections, (4, 6))
    assert graph.warnings == ()
    network = built(graph)
    (weight,) = network.parameters()
    assert not weight.any()  # where all start alike: 2 / 3 of sigmoid(0) is a third each
    x = random_map((4, 6))
    first = pooled(x, 3, 1, 1)
    second = pooled(torch.from_numpy(first), 5, 1, 2)  # read twice: as layer 1 and as layer 2
    with torch.no_grad():
        weight.copy_(torch.tensor([1.0, -2.0, 0.5]).reshape(weight.shape))
        found = network(x)[0].numpy()
    factors = [2 / 3 / (1 + math.exp(-w)) for w in (1.0, -2.0, 0.5)]
    expected = second * factors[0] + first * factors[1] + second * factors[2]
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)


# -- [yolo] ----------------------------------------------------------------------------------------

HEAD = "[convolutional]\nfilters=14\nsize=8\nstride=8\nactivation={}\n" + (
    "[yolo]\nclasses=2\nnum=3\nanchors=1,1, 10,20, 6,3\nmask=1,2\n"
)
SIZE = (16, 24)  # cells of 8 pixels: 2 rows, 3 columns
LN3 = math.log(3)  # of sigmoid .75


def head_of(graph: Graph) -> Yolo:
    ((_, head),) = graph.heads
    assert isinstance(head, Yolo)
    return head


def test_boxes_are_decoded_by_two_sigmoids_worked_out_by_hand() -> None:
    raw = torch.full((1, 14, 2, 3), -20.0)
    # Anchor 10 x 20, row 1, column 2. Sigmoids: x .75, y .5, w .75, h .5, object .5, class 1 .75.
    raw[0, :7, 1, 2] = torch.tensor([LN3, 0.0, LN3, 0.0, 0.0, -20.0, LN3])
    head = head_of(compiled(HEAD.format("linear"), SIZE))
    (found,) = head.decode([raw], SIZE, threshold=0.1)
    # x = (2 * .75 - .5 + 2) / 3 = 1, y = (2 * .5 - .5 + 1) / 2 = .75
    # w = (2 * .75)^2 * 10 / 24 = .9375, h = (2 * .5)^2 * 20 / 16 = 1.25
    assert torch.allclose(found.boxes_cxcywh_norm, torch.tensor([[1.0, 0.75, 0.9375, 1.25]]))
    assert torch.allclose(found.scores, torch.tensor([[0.0, 0.375]]))
    dense = head.decode_all([raw], SIZE)
    place = (1 * 3 + 2) * 2  # of cell 5, first of two anchors
    assert torch.allclose(dense.boxes_cxcywh_norm[0, place], found.boxes_cxcywh_norm[0])


@pytest.mark.parametrize("keys", ["scale_x_y=1.05\n", "new_coords=1\n", "scale_x_y=3\nfrom=1,2\n"])
def test_no_key_changes_that(keys: str) -> None:
    raw = torch.randn(2, 14, 2, 3, generator=torch.Generator().manual_seed(5))
    plain, other = (
        head_of(compiled(HEAD.format("linear") + more, SIZE)).decode_all([raw], SIZE)
        for more in ("", keys)
    )
    assert torch.equal(plain.boxes_cxcywh_norm, other.boxes_cxcywh_norm)
    assert torch.equal(plain.scores, other.scores)


def test_the_network_returns_what_the_convolution_gives_before_any_sigmoid() -> None:
    graph = compiled(HEAD.format("logistic"), SIZE)
    network = built(graph)
    weight, bias = network.parameters()
    x = random_map(SIZE)
    with torch.no_grad():
        assert torch.allclose(network(x)[0], F.conv2d(x, weight, bias, stride=8), atol=1e-5)


def test_a_layer_that_reads_the_head_gets_the_map_with_all_sigmoids_applied() -> None:
    graph = compiled(HEAD.format("linear") + "[maxpool]\nsize=1\nstride=1\n", SIZE)
    head = head_of(graph)
    raw = torch.randn(1, 14, 2, 3, generator=torch.Generator().manual_seed(6))
    shape = graph.nodes[1].output_shape
    found = head.module([shape], shape)(raw).reshape(1, 2, 7, 2, 3)
    expected = raw.sigmoid().reshape(1, 2, 7, 2, 3)
    expected[:, :, :2] = expected[:, :, :2] * 2 - 0.5
    assert torch.allclose(found, expected, atol=1e-6)


def test_the_head_trains_as_darknets_of_new_coords_whose_map_has_the_sigmoids() -> None:
    theirs = head_of(compiled(HEAD.format("linear"), SIZE))
    keys = "new_coords=1\nscale_x_y=2\n"
    darknets = head_of(compiled(HEAD.format("logistic") + keys, SIZE, Dialect.DARKNET))
    targets = Targets(
        image=torch.tensor([0, 1]),
        class_ids=torch.tensor([0, 1]),
        boxes_cxcywh_norm=torch.tensor([[0.4, 0.6, 0.3, 0.5], [0.8, 0.3, 0.4, 0.3]]),
    )
    raw = torch.randn(2, 14, 2, 3, generator=torch.Generator().manual_seed(7)).requires_grad_()
    found = yolo_losses(theirs, (raw,), targets, SIZE)
    wanted = yolo_losses(darknets, (raw.sigmoid(),), targets, SIZE)
    for name in ("box", "objectness", "classes"):
        own, other = getattr(found, name), getattr(wanted, name)
        assert own > 0.1
        assert torch.allclose(own, other, rtol=1e-4)
        gradients = [torch.autograd.grad(loss, raw, retain_graph=True)[0] for loss in (own, other)]
        assert torch.allclose(*gradients, rtol=1e-3, atol=1e-5)


def test_darknets_recipe_does_not_train_it() -> None:
    with pytest.raises(UsageError) as caught:
        darknet_loss(compiled(HEAD.format("linear"), SIZE))
    assert str(caught.value).splitlines()[0] == (
        "the darknet recipe cannot train layer 1, [yolo] of the YOLOR dialect"
    )
