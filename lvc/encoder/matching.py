"""How well blocks of a picture match what vectors show in a reference: what is left to code of them.

By sums of absolute differences, or by what Hadamard coefficients would cost: little as long as they are too small to be
coded, hardly more for a large one than for a middling one.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.encoder.cost import LEAST, PER_POWER, lagrangian_of
from lvc.exact.folding import pixel_unshuffle
from lvc.exact.places import in_pieces, is_compiled, picked
from lvc.exact.warp import BLOCK, BORDER, FIRST, LAST, LUMA, filter_sets
from lvc.kernels import shared
from lvc.kernels.matching import Sight, misses
from lvc.model.quality import RATE_WEIGHT, nominal_step

MEAN_SHARE = 0.3
"""How much of a block's mean difference counts in a sum of absolute differences: a change of brightness is one latent,
not a reason to look elsewhere (measured: -1.9 % rate over three clips against counting all of it)."""
VECTOR_WEIGHT = 2.0
"""What a bit of motion counts where a bit of coefficients counts 1. Measured over four clips: coefficients by what they
cost instead of by their magnitudes -1.0 % rate with 2, -0.7 % with 2.8, 0.0 with 1.4, +1.7 % with 1."""
_QUALITIES = (30, 45, 50, 57, 70)
_ANCHOR_WEIGHTS = (VECTOR_WEIGHT, 2.7, 3.2, 3.2, VECTOR_WEIGHT)
_BETWEEN_WEIGHTS = (VECTOR_WEIGHT, 2.7, 4.4, 4.4, VECTOR_WEIGHT)
"""What a bit of a vector counts at these qualities of a file, in anchors and in pictures between two: vectors are to
take less than a tenth of a file from 50 on, and do so by themselves at high qualities. Modes are decided by
VECTOR_WEIGHT everywhere. Measured over ten whole clips at 50: 9.6 instead of 11.4 % of the bits, about +0.6 % rate
(4.0 in both: 9.2 %, +1.1 %; 3.8 in pictures between alone: 10.4 %, +0.1 %)."""
_PIECE = 1 << 12
"""Blocks that are matched at a time: as many as stay in a cache (measured at 1280x720: a fifth off the time of the
search, a quarter off that of the block sizes)."""


@functools.cache
def _hadamard(device: torch.device) -> Tensor:
    """Orthonormal Hadamard transform of 8x8 samples, [64, 64]."""
    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    eight = torch.kron(torch.kron(two, two), two)
    return torch.kron(eight, eight).to(device) / 8


def misses_of(difference: Tensor, quality: Tensor, means: bool = True) -> Tensor:
    """About what each 8x8 block costs, in bits (and distortion in what a bit is worth), [B, 1, H/8, W/8].

    Args:
        difference: [B, 1, H, W] in 10-bit grey levels.
        quality: [B].
        means: whether the means of blocks count, too.
    """
    if is_compiled(difference):
        return _compiled(difference, quality, means)
    rows = _hadamard(difference.device)[0 if means else 1 :, :, None, None]
    coefficients = F.conv2d(pixel_unshuffle(difference, BLOCK), rows) / steps_of(quality)[:, None, None, None]
    return lagrangian_of(coefficients).sum(1, keepdim=True) * (1 / RATE_WEIGHT)


def _compiled(difference: Tensor, quality: Tensor, means: bool) -> Tensor:
    """The same by :mod:`lvc.kernels`."""
    b, _, height, width = difference.shape
    found, prices = torch.empty(b, 1, height // BLOCK, width // BLOCK), (PER_POWER, LEAST, 1 / RATE_WEIGHT, means)
    for n, step in enumerate(steps_of(quality).tolist()):
        given, into = difference[n, 0].contiguous().numpy(), found[n, 0].numpy()
        shared(misses, len(into), given, step, *prices, into)
    return found


def vector_weight(quality: float, between: bool) -> float:
    """What a bit of a vector counts where a bit of coefficients counts 1.

    Args:
        quality: that of the file, 1...100, not of a picture.
        between: in pictures between two, which have little to code but vectors; else in anchors.
    """
    return float(np.interp(quality, _QUALITIES, _BETWEEN_WEIGHTS if between else _ANCHOR_WEIGHTS))


def steps_of(quality: Tensor) -> Tensor:
    """In 10-bit grey levels."""
    return 4 * nominal_step(quality)


def sights(target: Tensor, planes: Tensor, quality: Tensor, share: Tensor | None) -> list[Sight]:
    """For :mod:`lvc.kernels.matching`, of each picture; see :class:`Matcher` for what it is made of, ``planes`` from
    :func:`lvc.exact.warp.readable`.
    """
    b, _, height, width = target.shape
    scales = torch.ones(b, height // BLOCK, width // BLOCK) if share is None else share
    scales = (scales / (steps_of(quality) * BLOCK)[:, None, None]).contiguous()
    costs = np.float32(PER_POWER), np.float32(LEAST), np.float32(1 / RATE_WEIGHT)
    return [
        Sight(luma.contiguous().numpy(), around.numpy(), BORDER, filter_sets(LUMA)[0], scale.numpy(), *costs)
        for luma, around, scale in zip(target[:, 0], planes[:, 0], scales, strict=True)
    ]


class Matcher:
    """What each 8x8 block misses, for any field.

    Args:
        target: [B, 1, H, W] luma.
        planes: reference, from :func:`lvc.exact.warp.phases`.
        fine: qualities [B]: what Hadamard coefficients cost, as in :func:`misses_of`; None: sums of absolute
            differences on every second row, means counted in part.
        share: of the difference that is left to code in each block, [B, H/8, W/8]; None: all. Only with ``fine``.
        grouped: blocks are numbered by groups of four, 16x16 samples, instead of by rows; only for :meth:`of`.
    """

    def __init__(
        self,
        target: Tensor,
        planes: Tensor,
        fine: Tensor | None = None,
        share: Tensor | None = None,
        grouped: bool = False,
    ) -> None:
        b, _, height, width = target.shape
        self.rows, self.cols = height // BLOCK, width // BLOCK
        device = self.device = target.device
        group = 2 if grouped else 1
        across = (self.rows // group, group, self.cols // group, group)

        def ordered(of_blocks: Tensor) -> Tensor:
            """[b, rows, cols, ...] to [b * rows * cols, ...]."""
            rest = of_blocks.shape[3:]
            return of_blocks.reshape(b, *across, *rest).transpose(2, 3).reshape(-1, *rest)

        y = torch.arange(self.rows, device=device)[None, :, None] * BLOCK
        x = torch.arange(self.cols, device=device)[None, None, :] * BLOCK
        self._y, self._x = (ordered(each.expand(b, self.rows, self.cols)) for each in (y, x))
        self._scale = None if fine is None else (1 / steps_of(fine)).repeat_interleave(self.rows * self.cols)[:, None]
        if self._scale is not None and share is not None:
            self._scale = self._scale * ordered(share)[:, None]
        every = 2 if fine is None else 1
        blocks = target.view(b, self.rows, BLOCK, self.cols, BLOCK)[:, :, ::every].transpose(2, 3)
        self._target = ordered(blocks).flatten(1)
        hp, wp = planes.shape[-2:]
        self._area, self._wp = hp * wp, wp
        # what begins at any sample and is as wide as a block
        self._rows = planes.reshape(-1).as_strided((planes.numel() - BLOCK + 1, BLOCK), (1, 1))
        # places are 32 bits wide where that is enough: there are many of them
        self._type = torch.int32 if planes.numel() < 1 << 31 else torch.int64
        self._within = (torch.arange(0, BLOCK, every, device=device) * wp).to(self._type)
        self._start = torch.arange(b, device=device).repeat_interleave(self.rows * self.cols) * (16 * self._area)
        self._lowest, self._furthest = height + LAST + 1 - BLOCK, width + LAST + 1 - BLOCK

    def __call__(self, field: Tensor) -> Tensor:
        """[B, H/8, W/8] sums over 64 samples for field [B, H/8, W/8, 2]."""
        return self.of(slice(None), field.reshape(-1, 2)).view(field.shape[:-1])

    def changed(self, field: Tensor, before: Tensor, known: Tensor, where: Tensor | None = None) -> Tensor:
        """The same, where it is known for another field; looked at are only blocks of other vectors.

        Args:
            where: bool [B, H/8, W/8]; others stay as they are known to be.
        """
        differ = (field != before).any(-1)
        at = (differ if where is None else differ & where).view(-1).nonzero()[:, 0]
        if not len(at):
            return known
        found = self.of(at, field.reshape(-1, 2)[at])
        return known.reshape(-1).index_copy(0, at, found).view_as(known)

    def blocks(self, y: Tensor, x: Tensor, vectors: Tensor) -> Tensor:
        """The same [n] of some blocks of the first picture of the batch.

        Args:
            y, x: their rows and columns, [n] int64.
            vectors: [n, 2].
        """
        return self.of(y * self.cols + x, vectors)

    def of(self, which: Tensor | slice, vectors: Tensor) -> Tensor:
        """The same [n] of some blocks of the batch, given by their places [n] in it."""
        return in_pieces(self._of, _PIECE, which, vectors)

    def _of(self, which: Tensor | slice, vectors: Tensor) -> Tensor:
        v, h = vectors[:, 0], vectors[:, 1]
        row = (picked(self._y, which) + (v >> 2)).clamp_(FIRST, self._lowest) - FIRST
        col = (picked(self._x, which) + (h >> 2)).clamp_(FIRST, self._furthest) - FIRST
        place = picked(self._start, which) + ((v & 3) * 4 + (h & 3)) * self._area + row * self._wp + col
        index = place.to(self._type)[:, None] + self._within
        found = self._rows.index_select(0, index.view(-1)).view(-1, len(self._within) * BLOCK)
        found.sub_(picked(self._target, which))
        if self._scale is None:
            return _summed(found)
        coefficients = found @ _hadamard(found.device)  # it is symmetric
        return lagrangian_of(coefficients.mul_(picked(self._scale, which))).sum(1) * (1 / RATE_WEIGHT)


def _summed(difference: Tensor) -> Tensor:
    """Absolute differences [n, samples on every second row], summed as if there were all rows."""
    mean = difference.mean(1, keepdim=True)
    plain = difference.abs().sum(1)
    levelled: Tensor = difference.sub_(mean).abs_().sum(1)
    return levelled * (2 * (1 - MEAN_SHARE)) + plain * (2 * MEAN_SHARE)
