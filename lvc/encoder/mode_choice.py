"""Which reference each block of a picture between two is predicted from."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.encoder.motion_search import LAMBDA_PER_STEP
from lvc.model.modes import BLOCK, BOTH
from lvc.model.quality import nominal_step

ONE_BITS = 2.0
"""About what it costs more to name one reference instead of both."""


@torch.no_grad()
def choose_modes(target: Tensor, first: Tensor, second: Tensor, quality: Tensor) -> Tensor:
    """The modes with the smallest sum of absolute differences plus lambda times rate.

    Args:
        target: luma of the source, [B, 1, H, W].
        first, second: the two predictions, likewise.
        quality: [B].

    Returns:
        [B, 1, H/16, W/16] int64, see :mod:`lvc.model.modes`.
    """
    price = (ONE_BITS * LAMBDA_PER_STEP * nominal_step(quality))[:, None, None, None]
    misses = [F.avg_pool2d((target - guess).abs(), BLOCK) * BLOCK**2 for guess in (first, second)]
    both = F.avg_pool2d((target - (first + second) * 0.5).abs(), BLOCK) * BLOCK**2
    one = (misses[1] < misses[0]).long()
    return torch.where(torch.minimum(*misses) + price < both, one, BOTH)
