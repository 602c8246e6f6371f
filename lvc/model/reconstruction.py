"""From a prediction and the residual of its latents to the decoded picture, and what it leaves for later ones."""

import numpy as np
import torch
from torch import Tensor

from lvc.exact.layers import clamp
from lvc.exact.places import enlarged, is_compiled
from lvc.exact.product import ACT_MAX
from lvc.kernels import reconstruction as kernels
from lvc.kernels import shared
from lvc.model.networks import PIXELS, Decoder, fold, unfold
from lvc.model.prediction import MIDDLE, PEAK, Memory, Picture, Prediction

RESIDUAL_FRACTION = 8.0
"""The inverse transform delivers eighths of a 10-bit grey level."""
HEAD_FRACTION = 2.0
"""The head delivers halves; finer ones would need larger weights, which take long to learn."""
MAGNITUDE_UNIT = 16.0
"""Magnitudes of latents are kept in sixteenths of their steps."""
_SIDES = 8, 4
"""Of the squares of luma and of chroma that are folded."""


def unchanged(prediction: Prediction) -> Memory:
    """What a picture is that has no latents, where networks are not asked."""
    return Memory(_limited(*prediction.picture), prediction.past.state, torch.zeros_like(prediction.past.magnitudes))


def reconstruct(
    prediction: Prediction, residual: Picture, latents: Tensor, step: Tensor, decoder: Decoder, exact: bool
) -> Memory:
    """The decoded picture, the new state and the magnitudes.

    Args:
        residual: of the latents, in RESIDUAL_FRACTION of a grey level.
        latents: [B, 384, H/16, W/16].
        step: of quantisation, [B, 384, 1, 1] or of each block.
        decoder: the network, of this kind of pictures.
        exact: integers alone.
    """
    if exact and is_compiled(latents):
        return _compiled(prediction, residual, latents, step, decoder)
    dy, duv = residual
    y = torch.add(prediction.picture.y, dy, alpha=1 / RESIDUAL_FRACTION)
    uv = torch.add(prediction.picture.uv, duv, alpha=1 / RESIDUAL_FRACTION)
    ry, ruv = clamp(dy), clamp(duv)
    iy, iuv = clamp(y - MIDDLE), clamp(uv - MIDDLE)
    if exact:
        iy, iuv = iy.round_(), iuv.round_()
    state, head = decoder(fold(iy, iuv), fold(ry, ruv), prediction.c8, prediction.qualities, prediction.extent.fine)
    hy, huv = unfold(head)
    y, uv = torch.add(y, hy, alpha=1 / HEAD_FRACTION), torch.add(uv, huv, alpha=1 / HEAD_FRACTION)
    if exact:
        y, uv = y.round_(), uv.round_()
    if prediction.skip is not None:
        skip = prediction.skip.bool()
        y = torch.where(enlarged(skip, 16), prediction.picture.y, y)
        uv = torch.where(enlarged(skip, 8), prediction.picture.uv, uv)
    if exact:
        magnitudes = (latents.abs().double() * MAGNITUDE_UNIT / step.double()).round().float()
    else:
        magnitudes = latents.abs() / step * MAGNITUDE_UNIT
    return Memory(_limited(y, uv), _kept(prediction, state), magnitudes.clamp(0, ACT_MAX))


def _compiled(prediction: Prediction, residual: Picture, latents: Tensor, step: Tensor, decoder: Decoder) -> Memory:
    """The same by :mod:`lvc.kernels`, in one pass before the network and in one after it."""
    b, channels, h, w = latents.shape
    shape = b, PIXELS, 2 * h, 2 * w
    entering, missed = torch.empty(shape), torch.empty(shape)
    known = [part.contiguous().numpy() for part in prediction.picture]
    given = [part.numpy() for part in residual]
    sums = [np.empty(part.shape, np.float32) for part in known]
    parts = (slice(0, 64), slice(64, PIXELS))
    how = 1 / RESIDUAL_FRACTION, MIDDLE, ACT_MAX
    for n in range(b):
        for kind, part in enumerate(parts):
            read = entering.numpy()[n, part], missed.numpy()[n, part]
            shared(kernels.enter, 2 * h, known[kind][n], given[kind][n], _SIDES[kind], *how, sums[kind][n], *read)
    state, head = decoder(entering, missed, prediction.c8, prediction.qualities, prediction.extent.fine)
    skip = np.zeros((b, h, w), np.float32) if prediction.skip is None else prediction.skip[:, 0].contiguous().numpy()
    picture = Picture(*(torch.empty(part.shape) for part in known))
    magnitudes, steps = torch.zeros(latents.shape), step.expand(latents.shape).numpy()
    added = head.contiguous().numpy()
    for n in range(b):
        for kind, part in enumerate(parts):
            what = sums[kind][n], added[n, part], skip[n], known[kind][n], _SIDES[kind], 1 / HEAD_FRACTION, PEAK
            shared(kernels.leave, 2 * h, *what, picture[kind].numpy()[n])
        sizes = latents.numpy()[n].reshape(channels, -1), steps[n].reshape(channels, -1)
        kernels.magnitudes(*sizes, MAGNITUDE_UNIT, ACT_MAX, magnitudes.numpy()[n].reshape(channels, -1))
    return Memory(picture, _kept(prediction, state), magnitudes)


def _kept(prediction: Prediction, state: Tensor) -> Tensor:
    """The new state, but that of the past in skipped blocks."""
    if prediction.skip is None:
        return state
    return torch.where(enlarged(prediction.skip.bool(), 2), prediction.past.state, state)


def _limited(y: Tensor, uv: Tensor) -> Picture:
    return Picture(y.clamp(0, PEAK), uv.clamp(0, PEAK))
