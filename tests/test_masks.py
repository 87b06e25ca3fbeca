"""Instance masks against a plain NumPy version, their run lengths against pycocotools, drawing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco
from torch import Tensor

from yolo_gp.data.letterbox import ImagePlacement, place
from yolo_gp.detections import Candidates, Detections, InstanceMask, MaskRecipe, NmsRule, Rle
from yolo_gp.masks import encode_rle, instance_masks
from yolo_gp.postprocess import detections, join_candidates
from yolo_gp.presets import PRESETS
from yolo_gp.tasks.draw import class_color, draw

DARKNET = PRESETS["darknet"]
LETTERBOX = replace(DARKNET, resize="letterbox")
PLACEMENTS = {
    "plain": place((37, 53), (64, 96), DARKNET, 32),
    "plain, larger image": place((150, 90), (64, 96), DARKNET, 32),
    "bars above and below": place((37, 90), (64, 96), LETTERBOX, 32),
    "bars left and right": place((120, 61), (64, 96), LETTERBOX, 32),
    "rectangular": place((37, 90), (96, 96), PRESETS["coco"], 32),
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def bilinear(grid: NDArray[np.float64], y: float, x: float) -> float:
    """The value of a grid at (y, x), measured in cells from the centre of the first one."""
    height, width = grid.shape
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    y0, x0 = math.floor(y), math.floor(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    upper = grid[y0, x0] * (1 - (x - x0)) + grid[y0, x1] * (x - x0)
    lower = grid[y1, x0] * (1 - (x - x0)) + grid[y1, x1] * (x - x0)
    return float(upper * (1 - (y - y0)) + lower * (y - y0))


def probabilities(
    coefficients: Tensor, prototypes: Tensor, box: list[float], placement: ImagePlacement
) -> NDArray[np.float64]:
    """The mask before the threshold: (H, W) of the image, 0 outside the box."""
    sums = np.zeros(prototypes.shape[1:])
    for weight, prototype in zip(coefficients.tolist(), prototypes.double().numpy(), strict=True):
        sums += weight * prototype
    cells = 1 / (1 + np.exp(-sums))
    whole = np.zeros(placement.image_size)
    for row, column in np.ndindex(whole.shape):
        y, x = row + 0.5, column + 0.5
        if box[0] <= x < box[2] and box[1] <= y < box[3]:
            y = placement.offset[0] + y * placement.scaled_size[0] / placement.image_size[0]
            x = placement.offset[1] + x * placement.scaled_size[1] / placement.image_size[1]
            y *= cells.shape[0] / placement.network_size[0]
            x *= cells.shape[1] / placement.network_size[1]
            whole[row, column] = bilinear(cells, y - 0.5, x - 0.5)
    return whole


def whole(mask: InstanceMask, image_size: tuple[int, int]) -> NDArray[np.bool_]:
    picture = np.zeros(image_size, dtype=bool)
    height, width = mask.inside.shape
    picture[mask.top : mask.top + height, mask.left : mask.left + width] = mask.inside.numpy()
    return picture


@pytest.mark.parametrize("placement", PLACEMENTS.values(), ids=PLACEMENTS.keys())
@pytest.mark.parametrize("stride", [4, 8])
def test_masks_are_those_of_the_plain_version(placement: ImagePlacement, stride: int) -> None:
    height, width = placement.image_size
    grid = placement.network_size[0] // stride, placement.network_size[1] // stride
    prototypes, coefficients = random(3, *grid), random(4, 3, seed=1)
    boxes = [
        [0.0, 0.0, float(width), float(height)],
        [3.5, 7.5, 20.5, 30.25],
        [-40.0, height / 2, width / 2, height + 99.0],
        [width - 9.2, 4.0, width - 8.3, 5.0],  # a pixel
    ]
    recipe = MaskRecipe(0, coefficients, prototypes)
    found = instance_masks([recipe], torch.arange(4), torch.tensor(boxes), placement)
    for mask, weights, box in zip(found, coefficients, boxes, strict=True):
        expected = probabilities(weights, prototypes, box, placement)
        clear = abs(expected - 0.5) > 1e-5  # float32 decides the rest either way
        assert clear.mean() > 0.99
        assert np.array_equal(whole(mask, (height, width)) & clear, (expected > 0.5) & clear)
    assert whole(found[0], (height, width)).any() and not whole(found[0], (height, width)).all()


def test_a_mask_is_computed_in_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    placement = PLACEMENTS["plain, larger image"]
    recipe = MaskRecipe(0, random(1, 3), random(3, 16, 24))
    box = torch.tensor([[0.0, 0.0, 90.0, 150.0]])
    (at_once,) = instance_masks([recipe], torch.tensor([0]), box, placement)
    monkeypatch.setattr("yolo_gp.masks._BLOCK", 90 * 7)
    (in_blocks,) = instance_masks([recipe], torch.tensor([0]), box, placement)
    assert torch.equal(at_once.inside, in_blocks.inside)


def test_exactly_one_half_is_outside() -> None:
    recipe = MaskRecipe(0, torch.zeros(1, 2), random(2, 4, 4))
    box = torch.tensor([[0.0, 0.0, 53.0, 37.0]])
    (mask,) = instance_masks([recipe], torch.tensor([0]), box, PLACEMENTS["plain"])
    assert mask.inside.shape == (37, 53) and not mask.inside.any()


def test_a_box_holds_the_pixels_whose_centres_it_contains() -> None:
    recipe = MaskRecipe(0, torch.ones(1, 1), torch.full((1, 2, 2), 9.0))
    # columns 2 (centre 2.5 is on the left edge) to 4 (5.5 is on the right edge), rows 3 and 4
    box = torch.tensor([[2.5, 2.6, 5.5, 5.4]])
    (mask,) = instance_masks([recipe], torch.tensor([0]), box, PLACEMENTS["plain"])
    assert (mask.top, mask.left, mask.inside.tolist()) == (3, 2, [[True] * 3] * 2)


@pytest.mark.parametrize(
    "box",
    [[60.0, 1, 70, 9], [-9.0, 1, -1, 9], [5.0, 5, 3, 9], [2.6, 2, 3.4, 9], [-3e38, 1, -1, 3e38]],
)
def test_a_box_without_a_pixel_of_the_image_has_an_empty_mask(box: list[float]) -> None:
    recipe = MaskRecipe(0, torch.ones(1, 1), torch.full((1, 2, 2), 9.0))
    boxes = torch.tensor([box])
    (mask,) = instance_masks([recipe], torch.tensor([0]), boxes, PLACEMENTS["plain"])
    assert mask.inside.numel() == 0
    found = Detections(boxes, torch.ones(1), torch.zeros(1).long(), (37, 53), (), (mask,))
    assert found.masks is not None and not found.masks.any()
    assert coco.area(as_coco(encode_rle(mask, (37, 53)))) == 0


def as_coco(rle: Rle) -> dict[str, object]:
    """A mask as pycocotools takes it."""
    return {"size": list(rle.size), "counts": rle.counts}


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools under NumPy 2
@pytest.mark.parametrize("seed", range(5))
def test_rle_decodes_to_the_mask(seed: int) -> None:
    random_state = np.random.default_rng(seed)
    size = (int(random_state.integers(1, 60)), int(random_state.integers(1, 60)))
    top, left = int(random_state.integers(size[0])), int(random_state.integers(size[1]))
    inside = random_state.random((size[0] - top, size[1] - left)) < 0.5
    mask = InstanceMask(torch.from_numpy(inside), top, left)
    rle = encode_rle(mask, size)
    assert rle.size == size
    assert np.array_equal(coco.decode(as_coco(rle)).astype(bool), whole(mask, size))
    assert coco.area(as_coco(rle)) == inside.sum()


# -- through postprocess -----------------------------------------------------------------------

WHOLE = ImagePlacement((64, 64), (64, 64), (64, 64), (0, 0), (0.0, 0.0))


def squares(rows: list[tuple[float, float, int]]) -> Candidates:
    """Boxes of 16 x 16 pixels by centre x, score and prototype, on a network input of 64 x 64.

    Prototype i is far above 0 in the 8 columns from 8 i, and as far below elsewhere.
    """
    boxes = torch.tensor([[x / 64, 0.5, 0.25, 0.25] for x, _, _ in rows])
    prototypes = torch.full((8, 64, 64), -9.0)
    for number in range(8):
        prototypes[number, :, 8 * number : 8 * number + 8] = 9.0
    coefficients = torch.eye(8)[[number for _, _, number in rows]]
    scores = torch.tensor([[score] for _, score, _ in rows])
    return Candidates(boxes, scores, (MaskRecipe(0, coefficients, prototypes),))


def columns_of(found: Detections) -> list[list[int]]:
    """For each detection the columns in which its mask has a pixel."""
    assert found.masks is not None
    return [mask.any(0).nonzero().flatten().tolist() for mask in found.masks]


def test_each_detection_keeps_the_mask_of_its_candidate() -> None:
    # By score: the third, the first; the second is suppressed, the fourth no number.
    rows = [(16.0, 0.5, 1), (16.0, 0.4, 2), (48.0, 0.9, 6), (float("nan"), 0.8, 3)]
    found = detections(squares(rows), WHOLE, DARKNET, NmsRule())
    assert found.confidences.tolist() == pytest.approx([0.9, 0.5])
    # Boxes from 40 to 56 and 8 to 24; prototype 6 from 48 to 56, prototype 1 from 8 to 16.
    assert columns_of(found) == [list(range(48, 56)), list(range(8, 16))]
    assert found.masks is not None
    assert (found.masks.dtype, found.masks.shape) == (torch.bool, (2, 64, 64))
    rows_inside = found.masks[0].any(1).nonzero().flatten().tolist()
    assert rows_inside == list(range(24, 40))


def test_candidates_that_are_not_finite_do_not_shift_the_masks_of_the_others() -> None:
    rows = [(float("inf"), 0.8, 3), (16.0, 0.5, 1), (48.0, 0.9, 6)]
    found = detections(squares(rows), WHOLE, DARKNET, NmsRule())
    assert columns_of(found) == [list(range(48, 56)), list(range(8, 16))]


def test_the_cap_caps_the_masks() -> None:
    capped = replace(DARKNET, max_detections=1)
    found = detections(squares([(16.0, 0.5, 1), (48.0, 0.9, 6)]), WHOLE, capped, NmsRule())
    assert columns_of(found) == [list(range(48, 56))]


def test_no_detections_of_a_head_with_masks_have_no_masks_but_a_shape() -> None:
    nothing = Candidates(
        torch.zeros(0, 4), torch.zeros(0, 3), (MaskRecipe(0, torch.zeros(0, 8), random(8, 4, 4)),)
    )
    found = detections(nothing, WHOLE, DARKNET, NmsRule())
    assert found.masks is not None and found.masks.shape == (0, 64, 64)


def test_without_recipes_there_are_no_masks() -> None:
    plain = Candidates(torch.tensor([[0.5, 0.5, 0.2, 0.2]]), torch.tensor([[0.9]]))
    found = detections(plain, WHOLE, DARKNET, NmsRule())
    assert len(found) == 1
    assert found.instance_masks is None and found.masks is None


def test_heads_keep_their_own_prototypes_when_joined() -> None:
    plain = Candidates(torch.tensor([[0.8, 0.1, 0.1, 0.1]]), torch.tensor([[0.7]]))
    coarse = replace(squares([(48.0, 0.9, 0)]), mask_recipes=())
    everywhere = MaskRecipe(0, torch.ones(1, 1), torch.full((1, 2, 2), 9.0))
    coarse = replace(coarse, mask_recipes=(everywhere,))
    joined = join_candidates([plain, squares([(16.0, 0.5, 1), (16.0, 0.3, 2)]), plain, coarse])
    assert [recipe.first for recipe in joined.mask_recipes] == [1, 4]
    again = join_candidates([plain, plain, joined])
    assert [recipe.first for recipe in again.mask_recipes] == [3, 6]
    found = detections(joined, WHOLE, DARKNET, NmsRule())
    assert found.confidences.tolist() == pytest.approx([0.9, 0.7, 0.5])
    # The head without masks gives an empty one.
    assert columns_of(found) == [list(range(40, 56)), [], list(range(8, 16))]


def test_half_precision_makes_the_same_masks() -> None:
    full = squares([(16.0, 0.5, 1), (48.0, 0.75, 6)])
    (recipe,) = full.mask_recipes
    halved = MaskRecipe(0, recipe.coefficients.half(), recipe.prototypes.half())
    half = Candidates(full.boxes_cxcywh_norm.half(), full.scores.half(), (halved,))
    a, b = (detections(each, WHOLE, DARKNET, NmsRule()) for each in (full, half))
    assert columns_of(a) == columns_of(b)


# -- drawing -----------------------------------------------------------------------------------

GREY = 100


def disc(size: tuple[int, int], radius: float) -> InstanceMask:
    """A disc in the middle of a cut-out from row 20, column 30."""
    rows, columns = np.indices(size)
    centre = (size[0] - 1) / 2, (size[1] - 1) / 2
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
    return InstanceMask(torch.from_numpy(inside), 20, 30)


def drawn(masks: tuple[InstanceMask, ...] | None, classes: list[int]) -> NDArray[np.uint8]:
    image = np.full((200, 260, 3), GREY, np.uint8)
    boxes = torch.tensor([[30.0, 20.0, 130.0, 120.0]] * len(classes))
    confidences = torch.linspace(0.9, 0.5, len(classes))
    found = Detections(boxes, confidences, torch.tensor(classes), (200, 260), (), masks)
    return draw(image, found)


def test_a_mask_changes_pixels_inside_it_only() -> None:
    mask = disc((100, 100), 40)
    inside = whole(mask, (200, 260))
    with_mask, without = drawn((mask,), [1]), drawn(None, [1])
    changed = (with_mask != without).any(2)
    assert np.array_equal(changed, inside)


def test_a_mask_is_filled_translucently_and_has_an_edge_in_the_class_colour() -> None:
    mask = disc((100, 100), 40)
    picture = drawn((mask,), [1])
    inside = whole(mask, (200, 260))
    color = np.array(class_color(1))
    opaque = (picture == color).all(2) & inside
    # The edge: pixels of the mask with a neighbour outside.
    framed = np.pad(inside, 1)
    surrounded = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    assert np.array_equal(opaque, inside & ~surrounded)
    middle = picture[inside & surrounded]
    assert abs(middle - (0.55 * GREY + 0.45 * color)).max() <= 1


def test_the_fill_lets_the_picture_shine_through() -> None:
    ramp = np.repeat(np.arange(0, 200, dtype=np.uint8)[None, :, None], 100, axis=0)
    mask = InstanceMask(torch.ones(100, 200, dtype=torch.bool), 0, 0)
    box = torch.tensor([[0.0, 0.0, 200.0, 100.0]])
    found = Detections(box, torch.ones(1), torch.tensor([0]), (100, 200), (), (mask,))
    row = draw(ramp, found)[90, 5:-5].astype(int)
    assert (np.diff(row, axis=0) >= 0).all() and (row[-1] - row[0] > 80).all()


def test_the_edge_of_a_mask_shows_over_the_fill_of_a_more_confident_one() -> None:
    large, small = disc((100, 100), 45), disc((100, 100), 20)
    picture = drawn((large, small), [1, 4])
    edge = (picture == np.array(class_color(4))).all(2) & whole(small, (200, 260))
    assert edge.sum() > 80


def test_edges_grow_with_the_image() -> None:
    def edge_of(scale: int) -> int:
        size = 100 * scale
        image = np.full((2 * size, 3 * size, 3), GREY, np.uint8)
        mask = InstanceMask(torch.ones(size, size, dtype=torch.bool), size // 2, size // 2)
        box = torch.tensor([[0.0, 0.0, 3.0 * size, 2.0 * size]])
        found = Detections(box, torch.ones(1), torch.tensor([3]), image.shape[:2], (), (mask,))
        row = draw(image, found)[size, size // 2 : size]
        return int((row == np.array(class_color(3))).all(1).sum())

    assert edge_of(1) == 1
    assert edge_of(8) >= 3


def test_a_mask_at_the_border_or_of_no_pixels_is_drawn_without_fault() -> None:
    corner = InstanceMask(torch.ones(100, 160, dtype=torch.bool), 100, 100)
    nothing = InstanceMask(torch.zeros(0, 0, dtype=torch.bool), 0, 0)
    picture = drawn((corner, nothing), [0, 1])
    assert (picture[150, 200] != GREY).any()
