"""Which blocks are skipped, and into what size of transforms the others are cut.

A block is skipped where little would be won by coding what the prediction misses; of the sizes that wins which gives
the smallest sum of distortion and lambda times rate. Everything here is the encoder's freedom; :mod:`lvc.model.skip`
and :mod:`lvc.model.sizes` fix what the maps cost and mean. Batched, for training.
"""

from typing import NamedTuple

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
SIZE_BITS = (0.5, 1.5, 2.0)
"""About what each size of transforms costs to say."""


class Blocks(NamedTuple):
    """Maps of 16x16 blocks, [B, 1, H/16, W/16].

    skip: 1 where a block is skipped, else 0; all zero where the map would cost more than it wins.
    sizes: of transforms, see :mod:`lvc.model.sizes`; 0 where a block is skipped.
    """

    skip: Tensor
    sizes: Tensor


@torch.no_grad()
def choose_blocks(
    codec: FrameCodec, prediction: Prediction, is_whole: Tensor | None, target: Picture, sizes: int = len(SIZE_BITS)
) -> Blocks:
    """Choose from the transformed prediction error alone: no network is run.

    Args:
        prediction: of B pictures.
        is_whole: whether vectors point to whole samples, [B, H/8, W/8] bool; None for intra pictures, which skip
            nothing.
        target: the source pictures.
        sizes: how many sizes there are to choose from, the largest ones.
    """
    y, uv = target.y - prediction.picture.y, target.uv - prediction.picture.uv
    steps = codec.steps(prediction.quality)
    error = won = chosen = None
    for number, bits in enumerate(SIZE_BITS[:sizes]):
        magnitude = (codec.transform(y, uv, number) / steps).abs()
        energy = magnitude.square()
        left = 1 / 12 + RATE_WEIGHT * (NONZERO_BITS + 2 * torch.log2(magnitude.clamp_min(0.5)))
        wins = (energy - left).clamp_min_(0).sum(1, keepdim=True) - RATE_WEIGHT * (bits - SIZE_BITS[0])
        if won is None or error is None or chosen is None:
            error, won, chosen = energy.sum(1, keepdim=True), wins, torch.zeros_like(wins)
        else:
            chosen = torch.where(wins > won, float(number), chosen)
            won = torch.maximum(won, wins)
    if error is None or won is None or chosen is None:
        raise ValueError("there is no size to choose")
    if is_whole is None:
        return Blocks(torch.zeros_like(chosen), chosen)
    share = torch.where(F.avg_pool2d(is_whole.float()[:, None], 2) == 1, WORTH, WORTH_BETWEEN)
    benefit = share * error - won + RATE_WEIGHT * NOTHING_BITS
    skip = (benefit > 0).float()
    borders = (skip[..., 1:] - skip[..., :-1]).abs().sum((1, 2, 3)) + (skip[..., 1:, :] - skip[..., :-1, :]).abs().sum(
        (1, 2, 3)
    )
    enough = (benefit * skip).sum((1, 2, 3)) > RATE_WEIGHT * (MAP_BITS + BORDER_BITS * borders)
    skip = skip * enough.float()[:, None, None, None]
    return Blocks(skip, chosen * (1 - skip))
