"""What blocks need to know of their neighbours where choosing as they do is cheaper.

The two halves of a checkerboard choose by turns: all blocks of a half at once, given those of the other half.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.exact.places import is_compiled
from lvc.kernels import agreement as kernels

TURNS = 4


@functools.cache
def _prices(prices: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    """The same as a tensor, which is only moved to the device once."""
    return torch.tensor(prices, device=device)


def agreed(costs: Tensor, prices: tuple[tuple[float, ...], ...]) -> Tensor:
    """The choices with the smallest sum of what they cost and what it costs to differ from neighbours.

    Args:
        costs: of each of n choices for each block, [n, B, 1, rows, cols].
        prices: for each choice what is added where none, one ... all of the four neighbours have made it, [n][5].

    Returns:
        [B, 1, rows, cols] int64, 0...n - 1.
    """
    added = _prices(prices, costs.device)
    if is_compiled(costs):
        found = torch.empty(costs.shape[1:], dtype=torch.int64)
        for number, each in enumerate(found.numpy()[:, 0]):
            kernels.agree(costs.numpy()[:, number, 0], added.numpy(), TURNS, each)
        return found
    row, col = (torch.arange(size, device=costs.device) for size in costs.shape[-2:])
    half = (row[:, None] + col) % 2
    chosen = costs.argmin(0)
    for turn in range(TURNS):
        agree = [around((chosen == choice).float()).long() for choice in range(len(costs))]
        total = torch.stack([cost + each[n] for cost, each, n in zip(costs, added, agree, strict=True)])
        chosen = torch.where(half == turn % 2, total.argmin(0), chosen)
    return chosen


def around(flags: Tensor) -> Tensor:
    """How many of its four neighbours are 1.0, for each block; outside the picture counts as the block itself.

    Args:
        flags: 1.0 or 0.0, [n, m, rows, cols].
    """
    padded = F.pad(flags, (1, 1, 1, 1), mode="replicate")
    above, below = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    return above + below + left + right
