"""Which of two references each block is predicted from."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.encoder.motion_search import LAMBDA_PER_STEP, misses_of
from lvc.model.modes import BOTH, Modes
from lvc.model.motion import Floats
from lvc.model.quality import nominal_step

BOTH_WEIGHT = 0.5
"""How much a mismatch of one of two predictions counts that are averaged."""
ONE_BITS = 2.0
"""About what it costs more to name one reference instead of both."""


@torch.no_grad()
def choose_modes(target: Tensor, first: Tensor, second: Tensor, quality: Tensor) -> Tensor:
    """The modes with the least left to code plus lambda times rate.

    Args:
        target: luma of the source, [B, 1, H, W].
        first, second: the two predictions, likewise.
        quality: [B].

    Returns:
        [B, 1, H/16, W/16] int64, see :mod:`lvc.model.modes`.
    """
    price = (ONE_BITS * LAMBDA_PER_STEP * nominal_step(quality))[:, None, None, None]

    def missed(guess: Tensor) -> Tensor:
        return F.avg_pool2d(misses_of(target - guess), 2) * 4

    misses = [missed(guess) for guess in (first, second)]
    one = (misses[1] < misses[0]).long()
    return torch.where(torch.minimum(*misses) + price < missed((first + second) * 0.5), one, BOTH)


def weights_of(modes: Modes, number: int) -> Floats:
    """How much the vectors into a reference matter, for each 8x8 block [2 rows, 2 cols].

    Args:
        modes: [rows, cols].
        number: 0 or 1, of the reference.
    """
    weights = np.where(modes == BOTH, BOTH_WEIGHT, np.where(modes == number, 1.0, 0.0))
    return weights.repeat(2, 0).repeat(2, 1)
