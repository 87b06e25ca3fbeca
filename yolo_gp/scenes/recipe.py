"""What scenes are made of, in numbers. Change these to make them harder or easier.

A side is the longer side of an object's box; shares are of the image's shorter side, so at
320x320 a share of .1 is 32 pixels. Colours and distances between them are in 0..255 levels.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SizeBand:
    """Objects of one range of sizes.

    Fields:
        sides: lowest and highest side, as a share of the image; spread evenly by factor.
        counts: how often an image gets 0, 1, 2 ... of them: weights that need not add up to 1.
    """

    sides: tuple[float, float]
    counts: tuple[float, ...]


# Sizes decide which head can find an object. Heads at strides 16 and 32 divide the work at about
# 45 pixels (nearest anchor), at the latest at 150 (four times the finer head's largest anchor).
BANDS = (
    SizeBand((0.08, 0.14), (0.30, 0.45, 0.20, 0.05)),  # fine head only
    SizeBand((0.16, 0.32), (0.45, 0.45, 0.10)),  # either head
    SizeBand((0.46, 0.80), (0.04, 0.36, 0.45, 0.15)),  # coarse head only: half of all objects
)
SMALLEST_SIDE = 12  # pixels; whatever the image's size, no object starts out smaller

# Shapes: how far the same class may differ from itself.
STRETCH = 1.25  # one axis at most so much longer than the other, before the rotation
HOLES = (0.5, 0.68)  # a ring's inner diameter; near 0 a ring would be a circle
STAR_WAISTS = (0.38, 0.48)  # a star's inner radius; .81 would be a decagon
ARMS = (0.28, 0.4)  # width of a cross's arms, of its side; 1 would be a square

# Places: what hides what.
SPILL = 0.2  # of its side, how far an object may reach beyond the image
LEAST_VISIBLE = 0.6  # of its silhouette, beyond the image included; nothing is hidden further
TRIES = 12  # places tried for a shape; then it is left out
DEPTH_NOISE = 0.35  # small things lie above large ones but for this; 0 always, 2 hardly ever

# Clutter: silhouettes of no class, below and above the objects.
CLUTTER = (0, 5)  # how many an image gets
CLUTTER_SIDES = (0.06, 0.35)

# Colours.
SATURATIONS = (0.2, 1.0)  # 0 is grey; what colours are drawn with, before contrast chooses
CONTRASTS = (60.0, 170.0)  # distance of a shape's colour from what lies beneath it
CONTRAST_SKEW = 1.2  # 1 spreads contrasts evenly, more makes low ones frequent
FILL_DEPTH = 0.3  # of the contrast, how far a fill's own texture strays from its colour
BACKGROUND_DEPTHS = (6.0, 40.0)  # how far a background's colours lie apart
PERIODS = (5.0, 60.0)  # pixels: stripes, squares of a checker, cells of the noise
FILLS = {"plain": 3, "gradient": 3, "stripes": 2, "checker": 1, "noise": 2, "marble": 1}
BACKGROUNDS = {"plain": 2, "gradient": 3, "stripes": 1, "checker": 1, "noise": 4, "marble": 2}
SECOND_BACKGROUND = 0.3  # share of images whose background is two textures, side by side
SHADOWS = 0.25  # share of shapes that throw one

# Camera.
BLURS = (0.0, 1.2)  # pixels: each becomes the mean of a square that reaches so far around it
SHARP = 0.4  # share of images without blur
NOISES = (0.0, 10.0)  # levels, standard deviation
QUALITIES = (50, 95)  # of JPEG

# Scenes are numbered: training images from 0, validation images from here on.
FIRST_VAL = 1_000_000
