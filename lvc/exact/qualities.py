"""What layers and steps know of the quality: interpolation between learned points, and which block has which."""

from typing import NamedTuple

import torch
from torch import Tensor

KNOTS = 8
"""Qualities 1...100 are interpolated between this many learned points."""


def quality_knots(quality: Tensor) -> Tensor:
    """Linear interpolation weights of each quality over the knots.

    Args:
        quality: [...], 1...100.

    Returns:
        [..., KNOTS], multiples of 1/4096 that sum to one, so that products with integer knots are exact.
    """
    position = (quality.double() - 1) * ((KNOTS - 1) / 99)
    knots = torch.arange(KNOTS, dtype=torch.float64, device=quality.device)
    hat = (1 - (position[..., None] - knots).abs()).clamp_min(0)
    return ((hat * 4096).round() / 4096).float()


class Qualities(NamedTuple):
    """What qualities there are in each picture of a batch, and where.

    weights: of n qualities over the knots, [B, n, KNOTS], see :func:`quality_knots`.
    where: the number of the quality of each block, [B, h, w] int64, 0...n - 1; None where n is 1.
    """

    weights: Tensor
    where: Tensor | None = None


def placed(values: Tensor, where: Tensor | None) -> Tensor:
    """What belongs to each quality, where it belongs to: [B, n, C] to [B, C, h, w]; to [B, C, 1, 1] without a place."""
    b, n, channels = values.shape
    if where is None:
        return values[:, 0, :, None, None]
    first = torch.arange(b, device=values.device)[:, None, None] * n
    return values.reshape(b * n, channels)[where + first].permute(0, 3, 1, 2)
