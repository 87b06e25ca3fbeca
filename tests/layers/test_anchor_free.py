"""[anchor_free] decoded one number at a time (zoo.md B.2)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from yolo_gp.detections import NmsRule
from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.base import Head
from yolo_gp.network import compile_network, initialise

CLASSES = 3
BINS = 5
MASKS = 4
BRANCHES = (
    f"[conv]\nfilters={4 * BINS}\nsize=8\nstride=8\nactivation=linear\n"
    f"[route]\nlayers=0\n[conv]\nfilters={CLASSES}\nsize=8\nstride=8\nactivation=linear\n"
    f"[route]\nlayers=0\n[conv]\nfilters={MASKS}\nsize=8\nstride=8\nactivation=linear\n"
)
NET = "[net]\nchannels=3\nheight=32\nwidth=48\n"
PLAIN = f"[anchor_free]\nfrom=1,3\nclasses={CLASSES}\nbins={BINS}\n"
WITH_MASKS = (
    f"[anchor_free]\nfrom=1,3,5\nclasses={CLASSES}\nbins={BINS}\nmasks={MASKS}\nprototypes=0\n"
)


def graph_of(section: str) -> Graph:
    first = f"[conv]\nfilters={MASKS}\nsize=3\npad=1\nactivation=leaky\n"
    return compile_text(NET + first + BRANCHES + section, "free.cfg")


def head_of(section: str) -> Head:
    ((_, head),) = graph_of(section).heads
    return head


def random_map(channels: int, grid: tuple[int, int], batch: int, seed: int) -> Tensor:
    return torch.randn(batch, channels, *grid, generator=torch.Generator().manual_seed(seed))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def expectation(logits: list[float]) -> float:
    """The mean of 0, 1, 2 ... under the softmax of the logits."""
    powers = [math.exp(value) for value in logits]
    return sum(number * power for number, power in enumerate(powers)) / sum(powers)


Row = tuple[list[float], list[float], int]


def decoded(
    box: Tensor, classes: Tensor, input_size: tuple[int, int], threshold: float
) -> list[Row]:
    """Box, scores and cell number of each candidate of one image, in order."""
    rows, columns = box.shape[1:]
    stride_y, stride_x = input_size[0] / rows, input_size[1] / columns  # input pixels per cell
    found = []
    for row in range(rows):
        for column in range(columns):
            scores = [sigmoid(value) for value in classes[:, row, column].tolist()]
            if not any(score > threshold for score in scores):
                continue
            logits = box[:, row, column].tolist()
            left, top, right, bottom = (
                expectation(logits[side * BINS : (side + 1) * BINS]) for side in range(4)
            )
            x1, x2 = (column + 0.5 - left) * stride_x, (column + 0.5 + right) * stride_x
            y1, y2 = (row + 0.5 - top) * stride_y, (row + 0.5 + bottom) * stride_y
            height, width = input_size
            norm = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height]
            norm += [(x2 - x1) / width, (y2 - y1) / height]
            kept = [score if score > threshold else 0.0 for score in scores]
            found.append((norm, kept, row * columns + column))
    return found


@pytest.mark.parametrize(
    ("grid", "input_size"), [((3, 5), (96, 160)), ((7, 2), (64, 80)), ((1, 1), (32, 64))]
)
@pytest.mark.parametrize("section", [PLAIN, WITH_MASKS])
def test_boxes_scores_and_coefficients_are_those_of_the_formulas_row_by_row(
    section: str, grid: tuple[int, int], input_size: tuple[int, int]
) -> None:
    box, classes = random_map(4 * BINS, grid, 2, 1), random_map(CLASSES, grid, 2, 2) + 0.5
    masks, prototypes = random_map(MASKS, grid, 2, 3), random_map(MASKS, (9, 11), 2, 4)
    maps = [box, classes, masks, prototypes] if section == WITH_MASKS else [box, classes]
    candidates = head_of(section).decode(maps, input_size, 0.6)
    assert len(candidates) == 2
    for image, found in enumerate(candidates):
        expected = decoded(box[image], classes[image], input_size, 0.6)
        assert expected
        boxes, scores, cells = (torch.tensor(column) for column in zip(*expected, strict=True))
        torch.testing.assert_close(found.boxes_cxcywh_norm, boxes, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.scores, scores, rtol=1e-5, atol=1e-6)
        if section == PLAIN:
            assert found.mask_recipes == ()
            continue
        (recipe,) = found.mask_recipes
        assert torch.equal(recipe.coefficients, masks[image].flatten(1).T[cells])
        assert torch.equal(recipe.prototypes, prototypes[image])


@pytest.mark.parametrize("section", [PLAIN, WITH_MASKS])
def test_all_cells_are_decoded_as_candidates_are_whatever_their_scores(section: str) -> None:
    box, classes = random_map(4 * BINS, (3, 5), 2, 1), random_map(CLASSES, (3, 5), 2, 2)
    masks, prototypes = random_map(MASKS, (3, 5), 2, 3), random_map(MASKS, (9, 11), 2, 4)
    maps = [box, classes, masks, prototypes] if section == WITH_MASKS else [box, classes]
    found = head_of(section).decode_all(maps, (96, 160))
    for image in range(2):
        expected = decoded(box[image], classes[image], (96, 160), threshold=-1)
        boxes, scores, cells = (torch.tensor(column) for column in zip(*expected, strict=True))
        assert cells.tolist() == list(range(15))
        torch.testing.assert_close(found.boxes_cxcywh_norm[image], boxes, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.scores[image], scores, rtol=1e-5, atol=1e-6)
        if section == PLAIN:
            assert found.coefficients is None
        else:
            assert found.coefficients is not None
            assert torch.equal(found.coefficients[image], masks[image].flatten(1).T)


def test_a_peak_at_one_bin_puts_the_side_that_many_cells_away() -> None:
    box = torch.zeros(1, 4 * BINS, 2, 4)
    for side, distance in enumerate((1, 0, 3, 2)):  # left, top, right, bottom
        box[0, side * BINS + distance] = 100.0
    classes = torch.full((1, CLASSES, 2, 4), -9.0)
    classes[0, 1, 1, 2] = 9.0  # row 1, column 2
    (found,) = head_of(PLAIN).decode([box, classes], (64, 256), 0.5)
    # Cells of 32 x 64 pixels; the centre is (2.5 * 64, 1.5 * 32) = (160, 48).
    # x from 160 - 64 to 160 + 3 * 64, y from 48 to 48 + 2 * 32.
    expected = [(96 + 352) / 2 / 256, (48 + 112) / 2 / 64, 256 / 256, 64 / 64]
    assert found.boxes_cxcywh_norm.tolist() == [pytest.approx(expected)]


def test_a_score_that_only_equals_the_threshold_is_no_candidate() -> None:
    classes = torch.full((1, CLASSES, 1, 3), -9.0)
    classes[0, 0, 0, 0] = 0.0  # sigmoid(0) = 0.5 exactly
    classes[0, :, 0, 1] = torch.tensor([0.0, 1.0, 0.0])
    (found,) = head_of(PLAIN).decode([torch.zeros(1, 4 * BINS, 1, 3), classes], (32, 96), 0.5)
    assert found.scores.tolist() == [[0.0, pytest.approx(sigmoid(1.0)), 0.0]]
    assert found.boxes_cxcywh_norm[0, 0].item() == pytest.approx(1.5 / 3)


def test_a_score_that_is_no_number_is_no_candidate() -> None:
    classes = torch.full((1, CLASSES, 1, 2), torch.nan)
    classes[0, 1, 0, 1] = 2.0
    (found,) = head_of(PLAIN).decode([torch.zeros(1, 4 * BINS, 1, 2), classes], (32, 64), 0.5)
    assert found.scores.tolist() == [[0.0, pytest.approx(sigmoid(2.0)), 0.0]]


def test_nothing_above_the_threshold_gives_no_candidates() -> None:
    maps = [
        torch.zeros(2, 4 * BINS, 2, 3),
        torch.full((2, CLASSES, 2, 3), -9.0),
        torch.zeros(2, MASKS, 2, 3),
        torch.zeros(2, MASKS, 4, 6),
    ]
    for found in head_of(WITH_MASKS).decode(maps, (32, 48), 0.5):
        assert found.boxes_cxcywh_norm.shape == (0, 4)
        assert found.scores.shape == (0, CLASSES)
        assert found.mask_recipes[0].coefficients.shape == (0, MASKS)


def test_half_precision_maps_are_decoded_in_single_precision() -> None:
    box, classes = random_map(4 * BINS, (3, 5), 1, 1).half(), random_map(CLASSES, (3, 5), 1, 2)
    (found,) = head_of(PLAIN).decode([box, classes.half()], (96, 160), 0.4)
    (expected,) = head_of(PLAIN).decode([box.float(), classes.half().float()], (96, 160), 0.4)
    assert found.boxes_cxcywh_norm.dtype == found.scores.dtype == torch.float32
    assert torch.equal(found.boxes_cxcywh_norm, expected.boxes_cxcywh_norm)


def test_the_network_returns_the_branches_then_the_prototypes() -> None:
    network = compile_network(graph_of(WITH_MASKS))
    initialise(network, seed=1)
    maps = network(torch.rand(2, 3, 32, 48))
    assert [tuple(each.shape) for each in maps] == [
        (2, 4 * BINS, 4, 6),
        (2, CLASSES, 4, 6),
        (2, MASKS, 4, 6),
        (2, MASKS, 32, 48),
    ]


@pytest.mark.parametrize("section", [PLAIN, WITH_MASKS])
def test_a_layer_that_reads_a_head_gets_distances_scores_and_coefficients(section: str) -> None:
    graph = graph_of(f"{section}[conv]\nfilters=1\nactivation=linear\n")
    node, _ = graph.heads[0]
    network = compile_network(graph)
    initialise(network, seed=1)
    with torch.no_grad():
        maps = network(torch.rand(2, 3, 32, 48))
        activated = network.get_submodule(f"anchor_free_{node.index}")(*maps)
    channels = 4 + CLASSES + (MASKS if section == WITH_MASKS else 0)
    assert activated.shape == (2, channels, 4, 6)
    assert (node.output_shape.channels, node.output_shape.size) == (channels, (4, 6))
    for n, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(6)).tolist():
        logits = maps[0][n, :, y, x].tolist()
        expected = [expectation(logits[side * BINS : (side + 1) * BINS]) for side in range(4)]
        expected += [sigmoid(value) for value in maps[1][n, :, y, x].tolist()]
        expected += maps[2][n, :, y, x].tolist() if section == WITH_MASKS else []
        assert activated[n, :, y, x].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_head_itself_costs_nothing() -> None:
    cost = graph_of(WITH_MASKS).heads[0][0].cost
    assert (cost.params, cost.macs, cost.darknet_operations) == (0, 0, 0)


def level(channels: int) -> tuple[str, int]:
    """One level of the head of zoo.md B.2 on the layer before; its text and number of sections."""

    def branch(width: int, filters: int) -> str:
        conv = "[convolutional]\nbatch_normalize=1\nsize=3\npad=1\nactivation=swish\n"
        last = f"[convolutional]\nfilters={filters}\nactivation=linear\n"
        return 2 * f"{conv}filters={width}\n" + last

    text = (
        f"[convolutional]\nfilters={channels}\nactivation=linear\n"
        f"{branch(64, 64)}[route]\nlayers=-4\n{branch(256, 80)}[route]\nlayers=-8\n{branch(64, 32)}"
    )
    return text, 12


def test_the_levels_of_the_zoo_cost_what_it_says() -> None:
    # zoo.md B.2: without masks 27.46 G; the mask branches and the prototypes' 38.17 G give 69.58 G
    # on 256 at 80 x 80, 512 at 40 x 40 and 1024 at 20 x 20. Mask branches: 69.58 - 27.46 - 38.17.
    # Of the MACs only those of the branches count here, not those of the layer that feeds them.
    flops = mask_flops = 0
    for channels, size in ((256, 80), (512, 40), (1024, 20)):
        text, sections = level(channels)
        net = f"[net]\nchannels=3\nheight={size}\nwidth={size}\n"
        prototypes = "[route]\nlayers=0\n[convolutional]\nfilters=32\nactivation=linear\n"
        head = "[anchor_free]\nfrom=3,7,11\nclasses=80\nmasks=32\nprototypes=-1\n"
        graph = compile_text(net + text + prototypes + head, "level.cfg")
        branches = [node.cost.flops for node in graph.nodes[1:sections]]
        flops += sum(branches)
        mask_flops += sum(branches[8:])
        assert graph.nodes[-1].cost.flops == 0
    assert (flops - mask_flops) / 1e9 == pytest.approx(27.46, abs=0.005)
    assert mask_flops / 1e9 == pytest.approx(69.58 - 27.46 - 38.17, abs=0.015)


def test_the_label_says_classes_bins_and_masks() -> None:
    assert head_of(PLAIN).label() == "3 classes, 5 bins"
    assert head_of(WITH_MASKS).label() == "3 classes, 5 bins, 4 masks"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", NmsRule("iou")),
        ("nms_kind=default\n", NmsRule("iou")),
        ("nms_kind=greedynms\n", NmsRule("diou", 0.6)),
        ("nms_kind=diounms\nbeta_nms=0.5\n", NmsRule("diou", 0.5)),
    ],
)
def test_nms_kind_means_what_it_means_to_yolo(keys: str, expected: NmsRule) -> None:
    assert head_of(PLAIN + keys).nms_rule == expected


def test_bins_are_sixteen_unless_said() -> None:
    text = (
        f"{NET}[conv]\nfilters=64\nactivation=linear\n[conv]\nfilters=2\nactivation=linear\n"
        "[anchor_free]\nfrom=-2,-1\nclasses=2\n"
    )
    ((_, head),) = compile_text(text, "free.cfg").heads
    assert head.label() == "2 classes, 16 bins"


def errors_of(section: str) -> list[str]:
    """What is said about a head on a box, a class and a coefficient map: 20, 3 and 4 channels."""
    with pytest.raises(CfgError) as caught:
        graph_of(section)
    return [diagnostic.render() for diagnostic in caught.value.diagnostics]


def at(line: int, text: str, marked: str) -> str:
    """The quoted line of a message, the marked part underlined."""
    before = text.index(marked)
    return f"   {line} | {text}\n      | {' ' * before}{'^' * len(marked)}\n"


ORDER = "from lists the box, the class and the mask branch, in this order"
HEADER = 29  # line of [anchor_free]


def test_a_box_branch_of_other_channels_is_refused() -> None:
    (error,) = errors_of(PLAIN.replace(f"bins={BINS}", "bins=16"))
    assert error == (
        f"free.cfg:{HEADER + 1}:6: error: [anchor_free] needs 4 * bins = 4 * 16 = 64 channels in "
        "its box branch, but layer 1 gives 20 [YG301]\n"
        f"{at(HEADER + 1, 'from=1,3', '1')}"
        "expected: filters=64 in the section at line 10\n"
        f"help: set filters=64 there, or mend bins=16 here; {ORDER}"
    )


def test_a_class_branch_of_other_channels_is_refused() -> None:
    (error,) = errors_of(PLAIN.replace(f"classes={CLASSES}", "classes=80"))
    assert error == (
        f"free.cfg:{HEADER + 1}:8: error: [anchor_free] needs classes = 80 channels in its class "
        "branch, but layer 3 gives 3 [YG301]\n"
        f"{at(HEADER + 1, 'from=1,3', '3')}"
        "expected: filters=80 in the section at line 17\n"
        f"help: set filters=80 there, or mend classes=80 here; {ORDER}"
    )


def test_a_mask_branch_of_other_channels_is_refused() -> None:
    (error,) = errors_of(WITH_MASKS.replace(f"masks={MASKS}", "masks=32"))
    assert error == (
        f"free.cfg:{HEADER + 1}:10: error: [anchor_free] needs masks = 32 channels in its mask "
        "branch, but layer 5 gives 4 [YG301]\n"
        f"{at(HEADER + 1, 'from=1,3,5', '5')}"
        "expected: filters=32 in the section at line 24\n"
        f"help: set filters=32 there, or mend masks=32 here; {ORDER}"
    )


def test_prototypes_that_are_not_as_many_as_the_coefficients_are_refused() -> None:
    (error,) = errors_of(WITH_MASKS.replace("prototypes=0", "prototypes=3"))
    assert error == (
        f"free.cfg:{HEADER + 5}:12: error: [anchor_free] needs masks = 4 prototypes, but layer 3 "
        "gives 3 channels [YG203]\n"
        f"{at(HEADER + 5, 'prototypes=3', '3')}"
        "expected: filters=4 in the section at line 17\n"
        "help: set filters=4 there, or mend masks=4 here"
    )


def test_branches_of_different_size_are_refused() -> None:
    text = "[maxpool]\nsize=2\nstride=2\n" + PLAIN.replace("from=1,3", "from=1,-1")
    last_filters = MASKS  # the pool reads the coefficients
    (error,) = errors_of(text.replace(f"classes={CLASSES}", f"classes={last_filters}"))
    assert error == (
        f"free.cfg:{HEADER + 4}:8: error: [anchor_free] reads branches of different size: layer 1 "
        "is 4x6, layer 6 is 2x3 [YG202]\n"
        f"{at(HEADER + 4, 'from=1,-1', '-1')}"
        "expected: branches of equal height and width\n"
        "help: the input, 32x48, is no multiple of 32, so maps that were halved and doubled again "
        "differ"
    )


@pytest.mark.parametrize(
    ("section", "layers", "message", "expected"),
    [
        (PLAIN, "1", "names 1 layers, but with masks=0 it reads 2", "<box branch>,<class branch>"),
        (
            PLAIN,
            "1,3,5",
            "names 3 layers, but with masks=0 it reads 2",
            "<box branch>,<class branch>",
        ),
        (
            WITH_MASKS,
            "1,3",
            "names 2 layers, but with masks=4 it reads 3",
            "<box branch>,<class branch>,<mask branch>",
        ),
    ],
)
def test_more_or_fewer_branches_than_it_reads_are_refused(
    section: str, layers: str, message: str, expected: str
) -> None:
    first, _, rest = section.partition("from=")
    (error,) = errors_of(f"{first}from={layers}\n{rest.partition(chr(10))[2]}")
    assert error == (
        f"free.cfg:{HEADER + 1}:6: error: [anchor_free] from {message} [YG304]\n"
        f"{at(HEADER + 1, f'from={layers}', layers)}"
        f"expected: from={expected}"
    )


@pytest.mark.parametrize(
    ("line", "message", "expected"),
    [
        (f"from=1,3\nclasses={CLASSES}\nbins=1", "bins=1 is out of range [YG105]", "2 to 16384"),
        ("from=1,3\nclasses=0", "classes=0 is out of range [YG105]", "1 to 65536"),
        ("from=1,3", "has no classes [YG107]", "classes=an integer"),
        (
            f"classes={CLASSES}",
            "has no from [YG107]",
            "from=the layers to read, such as -1 (the previous one) or 12",
        ),
        (
            f"from=1,3\nclasses={CLASSES}\nbins={BINS}\nnms_kind=cornersnms",
            "nms_kind=cornersnms is no nms_kind that exists [YG106]",
            "one of default, diounms, greedynms",
        ),
        (
            f"from=1,3\nclasses={CLASSES}\nbins={BINS}\nbeta_nms=0.5",
            "beta_nms has no effect with nms_kind=default [YG108]",
            "nms_kind=diounms, or no beta_nms",
        ),
        (
            f"from=1,3\nclasses={CLASSES}\nbins={BINS}\nprototypes=0",
            "prototypes has no effect with masks=0 [YG108]",
            "masks=N, how many mask coefficients belong to a box, or no prototypes",
        ),
        (
            f"from=1,3,5\nclasses={CLASSES}\nbins={BINS}\nmasks=4",
            "has no prototypes [YG107]",
            "prototypes=the layer whose output holds the prototypes of the masks",
        ),
    ],
)
def test_a_key_that_is_wrong_missing_or_without_effect_is_one_error(
    line: str, message: str, expected: str
) -> None:
    (error,) = errors_of(f"[anchor_free]\n{line}\n")
    lines = error.splitlines()
    assert lines[0].partition(": error: ")[2] == f"[anchor_free] {message}"
    assert lines[3] == f"expected: {expected}"


def test_a_key_nobody_knows_is_an_error_since_the_section_is_ours() -> None:
    (error,) = errors_of(f"{PLAIN}anchors=10,13\n")
    assert error.splitlines()[0].startswith(f"free.cfg:{HEADER + 4}:1: error: ")
