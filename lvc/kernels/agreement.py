"""Choices that agree with those of neighbours; see :mod:`lvc.encoder.agreement`."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import compiled

Floats = npt.NDArray[np.float32]


@compiled
def agree(costs: Floats, prices: Floats, turns: int, chosen: npt.NDArray[np.int64]) -> None:
    """The choices with the smallest sum of what they cost and what it costs to differ from neighbours.

    Args:
        costs: of each of n choices for each block, [n, rows, cols].
        prices: [n, 5], what is added where none, one ... all of the four neighbours have made a choice.
        turns: how often half of the blocks choose anew.
        chosen: [rows, cols], result.
    """
    choices, rows, cols = costs.shape
    for y in range(rows):
        for x in range(cols):
            chosen[y, x] = 0
            for choice in range(1, choices):
                if costs[choice, y, x] < costs[chosen[y, x], y, x]:
                    chosen[y, x] = choice
    for turn in range(turns):
        for y in range(rows):
            for x in range((y + turn) % 2, cols, 2):
                above, below = chosen[max(y - 1, 0), x], chosen[min(y + 1, rows - 1), x]
                left, right = chosen[y, max(x - 1, 0)], chosen[y, min(x + 1, cols - 1)]
                best, least = 0, np.float32(np.inf)
                for choice in range(choices):
                    alike = (above == choice) + (below == choice) + (left == choice) + (right == choice)
                    cost = costs[choice, y, x] + prices[choice, alike]
                    if cost < least:
                        best, least = choice, cost
                chosen[y, x] = best
