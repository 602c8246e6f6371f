"""Which blocks are skipped: those where little would be won by coding what the prediction misses.

Everything here is the encoder's freedom; :mod:`lvc.model.skip` fixes what a map costs and means. Batched, for training.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.model.codec import FrameCodec, Picture, Prediction
from lvc.model.quality import RATE_WEIGHT

WORTH = 0.08
"""A block is skipped where coding it would win less than this share of its distortion. In one picture alone 0 would be
right; but what is copied exactly stays as good a reference as it was."""
WORTH_BETWEEN = 0.03
"""The same where vectors point between samples: interpolating again and again blurs."""
NONZERO_BITS = 5.0
"""About what a latent of one step costs among zeros; each doubling costs two more."""
NOTHING_BITS = 0.1
"""What it costs at least to say of a block that all its latents are zero, so that exact predictions are skipped."""
BORDER_BITS = 1.0
"""About what a map costs for each border between a block that is skipped and one that is not."""
MAP_BITS = 8.0
"""About what it costs besides."""


@torch.no_grad()
def choose_skip(codec: FrameCodec, prediction: Prediction, is_whole: Tensor, target: Picture) -> Tensor:
    """The blocks to skip, from the transformed prediction error alone: no network is run.

    Args:
        prediction: of B pictures from a reference.
        is_whole: whether vectors point to whole samples, [B, H/8, W/8] bool.
        target: the source pictures.

    Returns:
        [B, 1, H/16, W/16], 1 where a block is skipped, else 0; all zero where the map would cost more than it wins.
    """
    z = codec.transform(target.y - prediction.picture.y, target.uv - prediction.picture.uv)
    size = (z / codec.steps(prediction.quality)).abs()
    error = size.square()
    left = 1 / 12 + RATE_WEIGHT * (NONZERO_BITS + 2 * torch.log2(size.clamp_min(0.5)))
    won = (error - left).clamp_min(0).sum(1, keepdim=True)
    share = torch.where(F.avg_pool2d(is_whole.float()[:, None], 2) == 1, WORTH, WORTH_BETWEEN)
    benefit = share * error.sum(1, keepdim=True) - won + RATE_WEIGHT * NOTHING_BITS
    skip = (benefit > 0).float()
    borders = (skip[..., 1:] - skip[..., :-1]).abs().sum((1, 2, 3)) + (skip[..., 1:, :] - skip[..., :-1, :]).abs().sum(
        (1, 2, 3)
    )
    enough = (benefit * skip).sum((1, 2, 3)) > RATE_WEIGHT * (MAP_BITS + BORDER_BITS * borders)
    chosen: Tensor = skip * enough.float()[:, None, None, None]
    return chosen
