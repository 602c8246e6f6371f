"""What each block is predicted from: one of its references, both or nothing."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.encoder.block_choice import lagrangian, rows_of
from lvc.encoder.motion_search import VECTOR_WEIGHT, misses_of
from lvc.exact.places import places
from lvc.model.modes import BLOCK, BOTH, FIRST, NONE, SECOND, Modes
from lvc.model.motion import Floats
from lvc.model.quality import RATE_WEIGHT

BOTH_WEIGHT = 0.5
"""How much a mismatch of one of two predictions counts that are averaged."""
ONE_BITS = 2.0
"""About what it costs more to name one reference instead of both."""


NONE_BITS = 35.0
"""About what it costs more to code a block from nothing than its luma without the mean: means, colour, no memory."""


@torch.no_grad()
def choose_modes(target: Tensor, first: Tensor, second: Tensor | None, quality: Tensor) -> Tensor:
    """The modes with the least left to code plus lambda times rate.

    Args:
        target: luma of the source, [B, 1, H, W].
        first, second: the predictions, likewise; no second one where there is one reference.
        quality: [B].

    Returns:
        [B, 1, H/16, W/16] int64, see :mod:`lvc.model.modes`.
    """

    def missed(guess: Tensor) -> Tensor:
        return F.avg_pool2d(misses_of(target - guess, quality), 2) * 4

    best = missed(first)
    modes = torch.full(best.shape, FIRST, device=target.device)
    if second is not None:
        other = missed(second)
        modes = torch.where(other < best, SECOND, modes)
        best = torch.minimum(best, other) + ONE_BITS * VECTOR_WEIGHT
        both = missed((first + second) * 0.5)
        modes = torch.where(both <= best, BOTH, modes)
        best = torch.minimum(best, both)
    alone = F.avg_pool2d(misses_of(target, quality, means=False), 2) * 4
    hopeful = (alone < best).flatten()
    at = places(hopeful)
    if isinstance(at, slice) or len(at):
        guess = _mixed(first, second, modes)
        missed_now = lagrangian(rows_of(target - guess, quality)[at])
        blocks = rows_of(target, quality)[at]
        anew = lagrangian(blocks - blocks.mean(1, keepdim=True)) + RATE_WEIGHT * NONE_BITS
        modes.view(-1)[at] = torch.where(hopeful[at] & (anew < missed_now), NONE, modes.view(-1)[at])
    return modes


def _mixed(first: Tensor, second: Tensor | None, modes: Tensor) -> Tensor:
    if second is None:
        return first
    mode = modes.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)
    return torch.where(mode == BOTH, (first + second) * 0.5, torch.where(mode == FIRST, first, second))


def weights_of(modes: Modes, number: int) -> Floats:
    """How much the vectors into a reference matter, for each 8x8 block [2 rows, 2 cols].

    Args:
        modes: [rows, cols].
        number: 0 or 1, of the reference.
    """
    weights = np.where(modes == BOTH, BOTH_WEIGHT, np.where(modes == number, 1.0, 0.0))
    return weights.repeat(2, 0).repeat(2, 1)
