"""The loop filter: a small correction of decoded luma, sample by sample.

The networks see pictures folded to 1/8 resolution and leave noise and ringing between neighbouring samples. Each block
of 4x4 samples has a class, by how much the decoded samples bend there and in which direction, and each class has a
filter of thirteen taps, as in the adaptive loop filter of ITU-T H.266 (8.8.5), but out of a few sets of filters that
come with the model. Skipped blocks stay as they are.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.exact.places import is_compiled, places
from lvc.exact.warp import from_blocks, to_blocks
from lvc.kernels import loop_filtering

SETS = 3
"""How many sets of filters a model has."""
DIRECTIONS = 3
THRESHOLDS = (3, 8, 20, 50)
"""Mean bends, in 10-bit grey levels, from which on the next class begins."""
CLASSES = DIRECTIONS * (len(THRESHOLDS) + 1)
PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
"""Taps on both sides of a sample that share a weight: row and column."""
FRACTION = 256
"""Weights are in units of 1/FRACTION."""
WEIGHT_MAX = 127
_PAIRS, _THRESHOLDS = np.array(PAIRS), np.array(THRESHOLDS, dtype=np.float32)
BLOCK = 16
CELL = 4
_MARGIN = 2


class Seen(NamedTuple):
    """What the filter looks at, for n blocks of 16x16 samples.

    Attributes:
        at: their places [n] among all blocks of the batch, by rows.
        samples: [n, 16, 16], 10-bit integers.
        bends: what the sums of the pairs around each sample are more than twice the sample, [n, PAIRS, 16, 16].
        classes: [n, 4, 4] int64.
    """

    at: Tensor | slice
    samples: Tensor
    bends: Tensor
    classes: Tensor

    def pieces(self, size: int) -> Iterator["Seen"]:
        """So many blocks at a time; for :func:`filtered` alone."""
        for parts in zip(*(each.split(size) for each in self[1:]), strict=True):
            yield Seen(slice(None), *parts)


def look(luma: Tensor, skip: Tensor | None) -> Seen:
    """Look at all blocks that are not skipped.

    Args:
        luma: [B, 1, H, W], 10-bit integers, sizes multiples of BLOCK; the border is repeated.
        skip: [B, 1, H/16, W/16], 1 where a block is skipped; None: nowhere.
    """
    b, _, height, width = luma.shape
    rows, cols = height // BLOCK, width // BLOCK
    device = luma.device
    size = BLOCK + 2 * _MARGIN
    padded = F.pad(luma, (_MARGIN,) * 4, mode="replicate")
    if is_compiled(luma):
        return _compiled(padded, torch.arange(b * rows * cols) if skip is None else places((skip == 0).flatten()))
    tall, wide = padded.shape[2:]
    y = torch.arange(rows, device=device)[None, :, None] * (BLOCK * wide)
    x = torch.arange(cols, device=device)[None, None] * BLOCK
    start = (torch.arange(b, device=device)[:, None, None] * (tall * wide) + y + x).flatten()
    at = slice(None) if skip is None else places((skip == 0).flatten())
    flat = padded.reshape(-1)
    begin = start[at][:, None] + torch.arange(size, device=device) * wide
    window = flat.as_strided((len(flat) - size + 1, size), (1, 1)).index_select(0, begin.view(-1)).view(-1, size, size)

    def shifted(dy: int, dx: int) -> Tensor:
        return window[:, _MARGIN + dy : _MARGIN + dy + BLOCK, _MARGIN + dx : _MARGIN + dx + BLOCK]

    samples = shifted(0, 0)
    twice = samples * 2
    bends = window.new_empty(len(window), len(PAIRS), BLOCK, BLOCK)
    for number, (dy, dx) in enumerate(PAIRS):
        bend = torch.sub(shifted(dy, dx), twice, out=bends[:, number])
        bend.add_(shifted(-dy, -dx))
    cells = bends[:, :2].abs().view(-1, 2, CELL, CELL, CELL, CELL).sum((3, 5)) / (CELL * CELL)
    across, down = cells[:, 0], cells[:, 1]
    thresholds = torch.tensor(THRESHOLDS, dtype=torch.float32, device=device)
    strength = torch.bucketize(across + down, thresholds, right=True)
    direction = torch.where(across > 2 * down, 1, torch.where(down > 2 * across, 2, 0))
    if skip is not None and isinstance(at, slice):  # those that are skipped came along: nothing bends there
        bends = bends * (skip == 0).view(-1, 1, 1, 1)
    return Seen(at, samples, bends, strength * DIRECTIONS + direction)


def _compiled(padded: Tensor, at: Tensor | slice) -> Seen:
    """The same by :mod:`lvc.kernels`, of pictures with their borders, [B, 1, H + 2 _MARGIN, W + 2 _MARGIN]."""
    if isinstance(at, slice):
        raise ValueError("places are known on a CPU")
    samples, bends = torch.empty(len(at), BLOCK, BLOCK), torch.empty(len(at), len(PAIRS), BLOCK, BLOCK)
    classes = torch.empty(len(at), BLOCK // CELL, BLOCK // CELL, dtype=torch.int64)
    results = at.numpy(), samples.numpy(), bends.numpy(), classes.numpy()
    loop_filtering.look(padded.numpy()[:, 0], _MARGIN, _PAIRS, _THRESHOLDS, DIRECTIONS, *results)
    return Seen(at, samples, bends, classes)


def filtered(seen: Seen, weights: Tensor) -> Tensor:
    """The blocks [n, 16, 16] with the correction, 10-bit integers.

    Sums stay under 4 * 1023 * 127 * 6 < 2^24 steps of 1/FRACTION: exact in float32, one rounding at the end.

    Args:
        weights: [CLASSES, PAIRS] or those of each block, [n, CLASSES, PAIRS]; in float32, integers.
    """
    n = len(seen.samples)
    if is_compiled(weights):
        out, sets = torch.empty_like(seen.samples), weights.reshape(-1, CLASSES, len(PAIRS)).contiguous().numpy()
        samples, bends, classes = seen.samples.numpy(), seen.bends.numpy(), seen.classes.numpy()
        loop_filtering.correct(samples, bends, classes, sets, 1 / FRACTION, 1023.0, out.numpy())
        return out
    if weights.ndim == 2:
        chosen = weights.t().contiguous()[:, seen.classes]
    else:
        chosen = weights[torch.arange(n, device=weights.device)[:, None, None], seen.classes].permute(3, 0, 1, 2)
    chosen = chosen.repeat_interleave(CELL, 3)  # [PAIRS, n, 4, 16]
    cells = seen.bends.view(n, len(PAIRS), BLOCK // CELL, CELL, BLOCK)
    change = torch.zeros_like(cells[:, 0])
    for number, each in enumerate(chosen):
        change.addcmul_(cells[:, number], each[:, :, None])
    return (seen.samples + change.view(n, BLOCK, BLOCK) * (1 / FRACTION)).round_().clamp_(0, 1023)


def put_back(luma: Tensor, seen: Seen, blocks: Tensor) -> Tensor:
    """Pictures [B, 1, H, W] with these blocks in the place of those that were looked at; skipped ones as they were."""
    every = to_blocks(luma, BLOCK)
    if isinstance(seen.at, slice):
        every = blocks[:, None]
    else:
        every = every.index_copy(0, seen.at, blocks[:, None])
    return from_blocks(every, luma.shape[2] // BLOCK, luma.shape[3] // BLOCK)


def loop_filtered(luma: Tensor, skip: Tensor | None, sets: Tensor, which: Tensor) -> Tensor:
    """Pictures [B, 1, H, W], each corrected by its set of filters.

    Args:
        luma, skip: as for :func:`look`.
        sets: [SETS, CLASSES, PAIRS] float32.
        which: [B] int64; 0: none, that picture stays as it is.
    """
    none = torch.zeros_like(sets[:1])
    still = torch.zeros_like(luma[:, :, ::BLOCK, ::BLOCK]) if skip is None else skip
    unchanged = torch.where((which == 0)[:, None, None, None], 1.0, still)
    seen = look(luma, unchanged)
    blocks = luma.shape[2] * luma.shape[3] // (BLOCK * BLOCK)
    weights = torch.cat([none, sets])[which.repeat_interleave(blocks)[seen.at]]
    return put_back(luma, seen, filtered(seen, weights))
