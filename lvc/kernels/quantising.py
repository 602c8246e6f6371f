"""The encoder's choice among the entries of a codebook; see :func:`lvc.model.codebook.choose`."""

import math

import numpy as np
import numpy.typing as npt

from lvc.kernels import compiled

Floats = npt.NDArray[np.float32]
_LANES = 32
"""Vectors that are compared with an entry at a time."""


@compiled
def _escape(wanted: Floats, price: float, rate_weight: float) -> float:
    """What a vector costs that is rounded and sent component by component."""
    distance, bits = np.float32(0), np.float32(0)
    for value in wanted:
        whole = np.rint(value)
        distance += (value - whole) * (value - whole)
        bits += np.float32(2)
        if whole != 0:
            bits += np.float32(2 * math.log2(abs(whole) + 1))
    return float(distance + bits * rate_weight) + price


@compiled
def choose(
    entries: Floats,
    prices: Floats,
    wanted: Floats,
    rate_weight: float,
    found: npt.NDArray[np.int64],
    first: int,
    last: int,
) -> None:
    """The entries of least cost for vectors ``first`` to ``last - 1``; the number of entries stands for the escape.

    Args:
        entries: [k, d], d from 1 to 4, in steps.
        prices: [k + 1], what each costs, the escape last, in squared steps.
        wanted: [n, d].
        rate_weight: what a bit counts, in squared steps.
        found: [n].
    """
    count, dimension = entries.shape
    # shorter vectors have components that are 0 everywhere
    far, twice = np.empty(count, np.float32), np.zeros((count, 4), np.float32)
    for entry in range(count):
        far[entry] = prices[entry]
        for part in range(dimension):
            twice[entry, part] = np.float32(-2) * entries[entry, part]
            far[entry] += entries[entry, part] * entries[entry, part]
    given = np.zeros((4, _LANES), np.float32)
    a, b, c, d = given[0], given[1], given[2], given[3]
    best, at = np.empty(_LANES, np.float32), np.empty(_LANES, np.int32)
    for start in range(first, last, _LANES):
        many = min(_LANES, last - start)
        for lane in range(many):
            for part in range(dimension):
                given[part, lane] = wanted[start + lane, part]
        best[:] = np.float32(np.inf)
        for entry in range(count):
            w, x, y, z = twice[entry, 0], twice[entry, 1], twice[entry, 2], twice[entry, 3]
            offset, number = far[entry], np.int32(entry)
            for lane in range(_LANES):
                cost = offset + ((a[lane] * w + b[lane] * x) + (c[lane] * y + d[lane] * z))
                is_less = cost < best[lane]
                best[lane] = cost if is_less else best[lane]
                at[lane] = number if is_less else at[lane]
        for lane in range(many):
            square = np.float32(0)
            for part in range(dimension):
                square += given[part, lane] * given[part, lane]
            escaped = _escape(wanted[start + lane], float(prices[count]), rate_weight)
            found[start + lane] = count if escaped < best[lane] + square else at[lane]


@compiled
def choose_number(
    entries: Floats,
    prices: Floats,
    wanted: Floats,
    rate_weight: float,
    found: npt.NDArray[np.int64],
    first: int,
    last: int,
) -> None:
    """The same for single numbers, which are compared with the nearest entry and the next one towards zero.

    Args:
        entries: [k, 1], rising.
        wanted: [n, 1].
    """
    count = len(entries)
    for n in range(first, last):
        value = wanted[n, 0]
        low, high = 0, count - 1
        while low < high:
            middle = (low + high) // 2
            if (entries[middle, 0] + entries[middle + 1, 0]) * np.float32(0.5) < value:
                low = middle + 1
            else:
                high = middle
        inward = min(max(low - (1 if value > 0 else -1 if value < 0 else 0), 0), count - 1)
        far, other = value - entries[low, 0], value - entries[inward, 0]
        cost, less = far * far + prices[low], other * other + prices[inward]
        best = inward if less < cost else low
        found[n] = count if _escape(wanted[n], float(prices[count]), rate_weight) < min(cost, less) else best
