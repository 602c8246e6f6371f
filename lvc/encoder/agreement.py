"""What blocks need to know of their neighbours where choosing as they do is cheaper.

The two halves of a checkerboard choose by turns: all blocks of a half at once, given those of the other half.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor


@functools.cache
def prices(bits: tuple[float, ...], device: torch.device) -> Tensor:
    """The same as a tensor, which is only moved to the device once."""
    return torch.tensor(bits, device=device)


def checkerboard(blocks: Tensor) -> Tensor:
    """To which half each block belongs, 0 or 1, [rows, cols].

    Args:
        blocks: [..., rows, cols].
    """
    row, col = (torch.arange(size, device=blocks.device) for size in blocks.shape[-2:])
    return (row[:, None] + col) % 2


def around(flags: Tensor) -> Tensor:
    """How many of its four neighbours are 1.0, for each block; outside the picture counts as the block itself.

    Args:
        flags: 1.0 or 0.0, [n, m, rows, cols].
    """
    padded = F.pad(flags, (1, 1, 1, 1), mode="replicate")
    above, below = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    return above + below + left + right
