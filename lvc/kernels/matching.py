"""How well 8x8 blocks match what vectors show in a reference; see :mod:`lvc.encoder.matching` for what counts.

Sixteen blocks at a time are asked for, each with the place that its answer is for.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled
from lvc.kernels.costs import coding_costs, hadamard

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_PEAK = np.float32(1023)
LANES = 16
"""Blocks that are looked at together. Callers count those they have filled: a call that does is inlined, and faster."""


class Sight(NamedTuple):
    """What is matched with what.

    target: [H, W].
    reference: [H + 2 border, W + 2 border], its border repeated so far; at least 15 samples.
    filters: of the positions between samples, [4, 8].
    scales: of eightfold coefficients to quantisation steps, [H/8, W/8]; 0 where a mismatch does not matter.
    per_power, least: see :func:`lvc.kernels.costs.coding_costs`.
    bits: what a squared step is worth.
    """

    target: Floats
    reference: Floats
    border: int
    filters: Floats
    scales: Floats
    per_power: np.float32
    least: np.float32
    bits: np.float32


class Asked(NamedTuple):
    """Memory for sixteen blocks: their differences, what comes of them, and what each answer is for."""

    values: Floats
    powers: Floats
    scales: Floats
    places: Ints
    window: Floats
    rows: Floats
    shown: Floats


@compiled
def none_asked() -> Asked:
    return Asked(
        np.zeros(1024, np.float32),
        np.empty(1024, np.float32),
        np.zeros(LANES, np.float32),
        np.zeros(LANES, np.int64),
        np.empty(225, np.float32),
        np.empty(225, np.float32),
        np.empty(120, np.float32),
    )


@compiled
def ask(sight: Sight, asked: Asked, lane: int, row: int, col: int, v: int, h: int, place: int) -> None:
    """Fill a lane with what the 8x8 block ``row``, ``col`` differs by from what a vector shows."""
    wanted, seen, filters, border = sight.target, sight.reference, sight.filters, sight.border
    values, window, rows, shown = asked.values, asked.window, asked.rows, asked.shown
    i, j = row * 8, col * 8
    y = max(0, min(i + (v >> 2) - 3 + border, seen.shape[0] - 15))
    x = max(0, min(j + (h >> 2) - 3 + border, seen.shape[1] - 15))
    asked.scales[lane], asked.places[lane] = sight.scales[row, col], place
    if (v | h) & 3 == 0:
        for r in range(8):
            for c in range(8):
                values[(r * 8 + c) * 16 + lane] = seen[y + 3 + r, x + 3 + c] - wanted[i + r, j + c]
        return
    for r in range(15):
        for c in range(15):
            window[r * 15 + c] = seen[y + r, x + c]
    down, across = filters[v & 3], filters[h & 3]
    if h & 3:
        for n in range(218):
            sample = np.float32(0)
            for tap in range(8):
                sample += across[tap] * window[n + tap]
            rows[n] = sample
    else:
        for n in range(218):
            rows[n] = window[n + 3]
    if v & 3:
        for n in range(113):
            sample = np.float32(0)
            for tap in range(8):
                sample += down[tap] * rows[n + tap * 15]
            shown[n] = max(min((sample + ROUND) - ROUND, _PEAK), np.float32(0))
    else:
        for n in range(113):
            shown[n] = max(min((rows[n + 45] + ROUND) - ROUND, _PEAK), np.float32(0))
    for r in range(8):
        for c in range(8):
            values[(r * 8 + c) * 16 + lane] = shown[r * 15 + c] - wanted[i + r, j + c]


@compiled
def answer(sight: Sight, asked: Asked, lanes: int, misses: Doubles) -> None:
    """Add what the blocks of the first ``lanes`` lanes miss to where it belongs."""
    values, scales = asked.values, asked.scales
    hadamard(values)
    for k in range(0, 1024, 16):
        for lane in range(16):
            values[k + lane] *= scales[lane]
    coding_costs(values, asked.powers, sight.per_power, sight.least)
    for lane in range(lanes):
        misses[asked.places[lane]] += np.float64(values[lane] * sight.bits)


@compiled
def misses(
    difference: Floats,
    step: float,
    per_power: float,
    least: float,
    bits: float,
    means: bool,
    out: Floats,
    first: int,
    last: int,
) -> None:
    """What 8x8 blocks in rows ``first`` to ``last - 1`` miss.

    Args:
        difference: from what is predicted, [H, W].
        step: of quantisation, in grey levels.
        per_power, least, bits: see :class:`Sight`.
        means: whether the means of blocks count, too.
        out: [H/8, W/8].
    """
    values, powers = np.zeros(1024, np.float32), np.empty(1024, np.float32)
    size, factor, constant = np.float32(step), np.float32(per_power), np.float32(least)
    for row in range(first, last):
        for start in range(0, out.shape[1], LANES):
            lanes = min(LANES, out.shape[1] - start)
            for r in range(8):
                given = difference[row * 8 + r, start * 8 : (start + lanes) * 8]
                for lane in range(lanes):
                    for c in range(8):
                        values[(r * 8 + c) * 16 + lane] = given[lane * 8 + c]
            hadamard(values)
            for n in range(1024):
                values[n] = values[n] * np.float32(1 / 8) / size
            if not means:
                values[:16] = 0
            coding_costs(values, powers, factor, constant)
            for lane in range(lanes):
                out[row, start + lane] = values[lane] * np.float32(bits)
