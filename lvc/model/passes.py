"""What is known of latents after a pass of the prior, and what the next pass reads of it."""

from typing import NamedTuple

import torch
from torch import Tensor

from lvc.exact.layers import clamp
from lvc.exact.places import is_compiled
from lvc.exact.product import ACT_MAX
from lvc.kernels import latents as kernels
from lvc.model.transform import LATENT_MAX

RESIDUAL_UNIT = 64.0
"""Quantised residuals are integers of 1/64 step."""


class Known(NamedTuple):
    """What has been decoded of a band, zero elsewhere, [B, n, h, w] each.

    residual, mean, read: activations, as the next pass reads them: residual in 1/64 step, mean and value in units of
    means.
    value: in latent units.
    """

    residual: Tensor
    mean: Tensor
    value: Tensor
    read: Tensor


def known(
    residual: Tensor, mean: Tensor, unit: Tensor, step: Tensor, mask: Tensor, before: Known | None, exact: bool
) -> Known:
    """What a pass has decoded.

    Args:
        residual: in 1/64 step, zero outside the mask, [B, n, h, w].
        mean: what was predicted, in ``unit``, [B, n, h, w].
        unit: of means, in latent units, [1, n, 1, 1].
        step: of quantisation, in latent units, [B, n, 1, 1], or of each block, [B, n, h, w].
        mask: 1 where this pass codes, [B, 1, h, w].
        before: what has been decoded of the band elsewhere; it may be changed.
        exact: all of it are whole numbers.
    """
    if exact and is_compiled(mean) and step.shape[2:] == (1, 1):
        return _compiled(residual, mean, unit, step, mask, before)
    centre, offset = mean * unit, residual * step * (1 / RESIDUAL_UNIT)
    value = (centre + (offset.round() if exact else offset)).clamp(-LATENT_MAX, LATENT_MAX) * mask
    read = value / unit
    found = Known(clamp(residual), mean * mask, value, clamp(read.round() if exact else read))
    if before is not None:
        found = Known(*(a + b for a, b in zip(before, found, strict=True)))
    return found


def _compiled(residual: Tensor, mean: Tensor, unit: Tensor, step: Tensor, mask: Tensor, before: Known | None) -> Known:
    """The same by :mod:`lvc.kernels`."""
    into = before or Known(*(torch.zeros(mean.shape) for _ in Known._fields))
    fields = [field.numpy().reshape(*mean.shape[:2], -1) for field in into]
    given, means, meant = (each.contiguous().numpy().reshape(*each.shape[:2], -1) for each in (residual, mean, mask))
    units, steps = unit.flatten().numpy(), step.flatten(1).contiguous().numpy()
    most = float(LATENT_MAX), float(ACT_MAX)
    for number in range(len(mean)):
        what = given[number], means[number], meant[number, 0], units, steps[number], 1 / RESIDUAL_UNIT
        kernels.know(*what, *most, *(field[number] for field in fields))
    return into
