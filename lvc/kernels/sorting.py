"""Sorting by small keys."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import brief

Ints = npt.NDArray[np.int64]


@brief
def by_key(keys: Ints, order: Ints, ends: Ints) -> None:
    """Where things are whose keys are 0, then those with 1, and so on; things of the same key stay in order.

    Args:
        keys: [n], each less than k; things with negative ones are left out.
        order: [n], result; as many of them as there are things.
        ends: where in it those of each key end, [k], result.
    """
    ends[:] = 0
    for key in keys:
        if key >= 0:
            ends[key] += 1
    total = 0
    for key in range(len(ends)):
        count = ends[key]
        ends[key] = total
        total += count
    for n in range(len(keys)):
        if keys[n] >= 0:
            order[ends[keys[n]]] = n
            ends[keys[n]] += 1
