"""Where to compute: only what is needed, or everything where asking what that is would take longer."""

import torch
from torch import Tensor

_EVERYWHERE = False
"""Set in tests, to see on any machine what CUDA does."""


def places(mask: Tensor) -> Tensor | slice:
    """Indices [k] of the true entries of a mask [n]; all entries on a device that runs behind the program.

    On such a device (CUDA) indices mean to wait until it has caught up, and what is computed cannot be captured as a
    graph. Callers must give the same results whether or not entries that are not true are among the places.
    """
    if mask.is_cuda or _EVERYWHERE:
        return slice(None)
    return torch.nonzero(mask)[:, 0]
