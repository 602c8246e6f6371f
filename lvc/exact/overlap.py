"""Overlapped block motion compensation: neighbours' vectors have a say in what a block is predicted to be.

A vector is right for the middle of its block at best; nearer to a border the neighbour's may be as good, and the mean
of two guesses is less noisy than either. Every sample of an 8x8 block is a weighted mean of what the block's own vector
and those of the four blocks beside it predict (as in ITU-T H.263, annex F, but reaching over the whole block).
"""

import functools

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lvc.exact import warp
from lvc.exact.places import is_compiled, places
from lvc.exact.warp import Interpolator, from_blocks, to_blocks
from lvc.kernels import interpolation, shared

WHOLE = 64
"""What all weights of a sample sum to."""
LUMA = (16, 12, 8, 6, 4, 3, 2, 1)
"""Weights of a neighbour's vector, from the samples next to it on."""
CHROMA = (20, 15, 11, 8)
_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Above, below, left and right."""


@functools.cache
@torch.inference_mode(False)  # they may be asked for there first, and then in training
def _weights(ramp: tuple[int, ...], device: torch.device) -> Tensor:
    """Shares of the neighbours in the order of _SIDES, [4, block, block]."""
    down = torch.tensor(ramp, dtype=torch.float32, device=device)[:, None].expand(-1, len(ramp)) / WHOLE
    return torch.stack([down, down.flip(0), down.t(), down.t().flip(1)])


def beside(field: Tensor, dy: int, dx: int) -> Tensor:
    """What stands beside each entry of [B, h, w, ...] in a direction (-1, 0 or 1); at the border the entry itself."""
    for axis, step in ((1, dy), (2, dx)):
        last = field.shape[axis] - 1
        if step < 0:
            field = torch.cat([field.narrow(axis, 0, 1), field.narrow(axis, 0, last)], axis)
        elif step > 0:
            field = torch.cat([field.narrow(axis, 1, last), field.narrow(axis, last, 1)], axis)
    return field


def overlapped(
    read: Interpolator, field: Tensor, used: Tensor, own: Tensor | None = None, rounding: bool = True
) -> Tensor:
    """A picture as all vectors together predict it.

    Sums are multiples of 1/64 under 2^10, exact in float32; one rounding at the end.

    Args:
        read: of the reference.
        field: [B, h, w, 2] int64, quarter luma samples.
        used: which blocks are predicted from this reference, [B, h, w] bool: no others give or take. What is found for
            others does not matter; compiled loops leave them out.
        own: the picture as each block's own vector predicts it, where that is known, [B, C, H, W].
        rounding: off in training.

    Returns:
        [B, C, H, W].
    """
    ramp = LUMA if read.block == len(LUMA) else CHROMA
    if rounding and is_compiled(field):
        return _compiled(read, field, used, own, ramp)
    blocks = read(slice(None), field.reshape(-1, 2)) if own is None else to_blocks(own, read.block)
    weights = _weights(ramp, field.device)[:, None]
    others = torch.stack([beside(field, dy, dx) for dy, dx in _SIDES])
    counts = used & torch.stack([beside(used, dy, dx) for dy, dx in _SIDES]) & (others != field).any(-1)
    at = places(counts.flatten())
    if isinstance(at, slice):
        total = blocks
        for other, counted, weight in zip(others, counts, weights, strict=True):
            guess = read(at, torch.where(counted[..., None], other, field).reshape(-1, 2))
            total = total + (guess - blocks) * weight
    else:
        total, vectors = blocks.clone(), others.reshape(-1, 2)
        for piece in at.split(warp.PIECE):
            block, side = piece % len(blocks), piece // len(blocks)
            change = read(block, vectors.index_select(0, piece)).sub_(blocks.index_select(0, block))
            change.mul_(weights.index_select(0, side))
            total.index_add_(0, block, change)
    return from_blocks(total.round() if rounding else total, field.shape[1], field.shape[2])


def _compiled(read: Interpolator, field: Tensor, used: Tensor, own: Tensor | None, ramp: tuple[int, ...]) -> Tensor:
    """The same by :mod:`lvc.kernels`."""
    overlap = interpolation.overlap_luma if ramp is LUMA else interpolation.overlap_chroma
    filters, weights = warp.filter_sets(read.sets), _weights_in_windows(ramp, len(read.sets[0][0]))
    b, rows, cols = used.shape
    shape = b, read.padded.shape[1], rows * read.block, cols * read.block
    out = torch.empty(shape)
    planes, results, vectors, counted = (each.contiguous().numpy() for each in (read.padded, out, field, used))
    known = results[:, :, :0] if own is None else own.contiguous().numpy()
    for n, smooth in enumerate(read.chosen.tolist()):
        what = vectors[n], counted[n], filters[smooth], weights, np.float32(read.peak)
        for plane, mine, into in zip(planes[n], known[n], results[n], strict=True):
            shared(overlap, rows, plane, read.border, *what, mine, into)
    return out


@functools.cache
def _weights_in_windows(ramp: tuple[int, ...], taps: int) -> npt.NDArray[np.float32]:
    """Shares of the neighbours as rows of windows, [4, block * (block + taps - 1)]."""
    weights = _weights(ramp, torch.device("cpu")).numpy()
    return np.pad(weights, ((0, 0), (0, 0), (0, taps - 1))).reshape(len(weights), -1)
