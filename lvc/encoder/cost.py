"""About what it costs to code a residual, before any network has seen it."""

import torch
from torch import Tensor

from lvc.model.quality import RATE_WEIGHT

NONZERO_BITS = 5.0
"""About what a latent of one step costs among zeros; each doubling costs two more."""


def bits_of(magnitude: Tensor) -> Tensor:
    """About what latents that are not zero cost; magnitudes in steps."""
    return NONZERO_BITS + 2 * torch.log2(magnitude.abs().clamp_min(0.5))


def lagrangian_of(latents: Tensor) -> Tensor:
    """Distortion plus lambda times rate of each latent in squared steps, coded or left out, whichever is cheaper.

    Args:
        latents: in steps, any shape; overwritten.
    """
    coded = latents.abs().clamp_min_(0.5).log2_().mul_(2 * RATE_WEIGHT).add_(1 / 12 + RATE_WEIGHT * NONZERO_BITS)
    return torch.minimum(coded, latents.square_())
