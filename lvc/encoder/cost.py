"""About what it costs to code a residual, before any network has seen it."""

import torch
from torch import Tensor

from lvc.model.quality import RATE_WEIGHT

NONZERO_BITS = 5.0
"""About what a latent of one step costs among zeros; each doubling costs two more."""
_ONE = 1 << 23
"""A doubling of a float's bits, read as an integer: between powers of two these grow in proportion, which is their
logarithm but for 0.09 at most, and four times as fast."""
_BIAS = 127 - 0.057
"""What the logarithm is less than that: the exponent's bias, and in the mean between powers of two."""
PER_POWER = 2 * RATE_WEIGHT / _ONE
LEAST = 1 / 12 + RATE_WEIGHT * (NONZERO_BITS - 2 * _BIAS)
"""What a latent costs, in squared steps: by what its bits are as an integer, and besides."""


def coding_cost(latents: Tensor) -> Tensor:
    """Distortion plus lambda times rate of latents that are coded, in squared steps; a new tensor.

    Args:
        latents: float32, in steps, any shape.
    """
    powers = latents.abs().clamp_min_(0.5)
    powers.copy_(powers.view(torch.int32))  # each number becomes what its bits are as an integer, where it stands
    return powers.mul_(PER_POWER).add_(LEAST)


def lagrangian_of(latents: Tensor) -> Tensor:
    """The same of latents that are coded or left out, whichever is cheaper.

    Args:
        latents: in steps, any shape; overwritten.
    """
    coded = coding_cost(latents)
    return torch.minimum(coded, latents.square_(), out=coded)
