"""What ``tune`` "ssim" does: errors where they are seen least.

Measures of structural similarity divide errors by the contrast around them, as eyes do. So a quality map makes blocks
coarser where a picture is busy and finer where it is smooth. All of it serves MS-SSIM, which looks at five scales; in
SSIM, at one, it wins nothing (over ten clips of 32 frames: -11.5 and +0.7 % rate, PSNR +13.9 %).

Measured in MS-SSIM on crops of five clips at four qualities, in which such maps alone gave -7.0 % rate: contrasts of
8x8 or 4x4 blocks, averaged, instead of those of whole blocks 0.1 % less; the smoothest part of a block alone 3 % less;
maps that were smoothed, to cost less, 1 to 4 % less; a third more or less strength hardly anything.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.model.levels import LEVEL_MAX, Choose, Levels
from lvc.model.quality import RATE_WEIGHT
from lvc.model.skip import BLOCK, Flags

LEVELS_PER_OCTAVE = 1.7
"""How many levels a block is coarser where its contrast is twice as high."""
LEAST_CONTRAST = 2.0
"""In 8-bit grey levels: below it all blocks are alike."""

RATE_WEIGHTS = tuple(share * RATE_WEIGHT for share in (0.8, 1.2, 2.0))
"""What a bit counts where indices are chosen, in the low, middle and high band: MS-SSIM sees high frequencies on the
finest of its five scales only, low ones on all (measured over ten clips: -1.7 % rate in MS-SSIM)."""


def kept_distance(quality: float) -> float:
    """How far from the wanted level an expected one may be to be kept, which costs least.

    The fewer bits a block has, the less it matters that they are right (measured: -0.1 % rate in MS-SSIM over five
    clips against 1 at every quality, -3.3 % on the one with the fewest bits; larger distances +0.9 %).
    """
    return min(3.0, max(1.0, 4.0 - quality / 20))


def wanted_levels(luma: Tensor) -> Tensor:
    """Levels that follow the contrast, fractions of them too; their mean is 0.

    Args:
        luma: of one picture, [1, 1, H, W] in 10-bit grey levels.

    Returns:
        [H/16, W/16].
    """
    grey = luma / 4
    mean = F.avg_pool2d(grey, BLOCK)
    variance = (F.avg_pool2d(grey.square(), BLOCK) - mean.square()).clamp_min(0)[0, 0]
    octaves = 0.5 * torch.log2(variance + LEAST_CONTRAST**2)
    mean_octave = float(octaves.double().cpu().numpy().mean())  # by numpy: the same with any number of threads
    return LEVELS_PER_OCTAVE * (mean_octave - octaves)


def exactly(levels: Tensor) -> Choose:
    """Chooses these levels, [1, 1, H/16, W/16]."""
    all_levels: Levels = levels[0, 0].cpu().numpy()
    return lambda at, _: np.asarray(all_levels[at])


def nearly(wanted: Tensor, distance: float) -> Choose:
    """Chooses levels near the wanted ones, [H/16, W/16]: the expected ones where these are within a distance."""
    levels = wanted.cpu().numpy()

    def choose(at: Flags, expected: Levels) -> Levels:
        here = levels[at]
        chosen = np.where(np.abs(here - expected) <= distance, expected, np.rint(here))
        return np.clip(chosen, -LEVEL_MAX, LEVEL_MAX).astype(np.int64)

    return choose
