"""About what it costs to code a residual, before any network has seen it."""

import torch
from torch import Tensor

from lvc.model.quality import RATE_WEIGHT

NONZERO_BITS = 5.0
"""About what a latent of one step costs among zeros; each doubling costs two more."""


def coding_cost(latents: Tensor) -> Tensor:
    """Distortion plus lambda times rate of latents that are coded, in squared steps; a new tensor.

    Args:
        latents: in steps, any shape.
    """
    return latents.abs().clamp_min_(0.5).log2_().mul_(2 * RATE_WEIGHT).add_(1 / 12 + RATE_WEIGHT * NONZERO_BITS)


def lagrangian_of(latents: Tensor) -> Tensor:
    """The same of latents that are coded or left out, whichever is cheaper.

    Args:
        latents: in steps, any shape; overwritten.
    """
    return torch.minimum(coding_cost(latents), latents.square_())
