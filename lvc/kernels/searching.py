"""Motion search, block by block: see :mod:`lvc.encoder.motion_search` and :mod:`lvc.encoder.matching` for reasons."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled
from lvc.kernels.costs import coding_costs, hadamard, summed

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_PEAK = np.float32(1023)
_WIDE = 23
"""Samples that a filtered block of 16 takes to a side."""
_TOGETHER = 16
"""Blocks that are searched side by side: four vectors at a time are compared, of one or of several of them."""
NONE, ONE, ALL = 0, 1, 2
"""Diagonal steps: none, the one between the better two of the others, all four."""


class Prices(NamedTuple):
    """What is good about a vector.

    is_fine: by Hadamard coefficients, else by absolute differences on every second row.
    of_bit: of a bit, in squared steps where ``is_fine``, else in grey levels.
    scale: of eightfold coefficients, to quantisation steps.
    per_power, least: see :func:`lvc.kernels.costs.coding_costs`.
    mean_share: see :data:`lvc.encoder.matching.MEAN_SHARE`.
    """

    is_fine: bool
    of_bit: np.float32
    scale: np.float32
    per_power: np.float32
    least: np.float32
    mean_share: np.float32


class _Work(NamedTuple):
    """Memory for four blocks of 16x16 samples, a lane for each quarter of them.

    values: differences, [64 * 16]; powers: as many.
    rows, shown: a block, filtered one way and both ways.
    means, plain, totals: of each lane.
    answers: what each block's cost is for.
    """

    values: Floats
    powers: Floats
    rows: Floats
    shown: Floats
    means: Floats
    plain: Floats
    totals: Floats
    answers: Ints


@compiled
def _memory() -> _Work:
    return _Work(
        np.zeros(1024, np.float32),
        np.zeros(1024, np.float32),
        np.empty(_WIDE * 16, np.float32),
        np.empty(256, np.float32),
        np.empty(16, np.float32),
        np.empty(16, np.float32),
        np.empty(16, np.float32),
        np.zeros(4, np.int64),
    )


@compiled
def _show(reference: Floats, filters: Floats, y: int, x: int, v: int, h: int, every: int, work: _Work) -> None:
    """Every ``every``-th row of 16x16 samples between those of a reference, of which 23x23 begin at ``y``, ``x``."""
    rows, shown = work.rows, work.shown
    a, b, c, d, e, f, g, i = filters[h & 3]
    begin, end, leap = (0, _WIDE, 1) if v & 3 else (3, 19, every)
    for r in range(begin, end, leap):
        given, into = reference[y + r, x : x + _WIDE], rows[r * 16 : r * 16 + 16]
        if h & 3:
            for n in range(16):
                sample = (a * given[n] + b * given[n + 1]) + (c * given[n + 2] + d * given[n + 3])
                sample += (e * given[n + 4] + f * given[n + 5]) + (g * given[n + 6] + i * given[n + 7])
                into[n] = sample
        else:
            for n in range(16):
                into[n] = given[n + 3]
    a, b, c, d, e, f, g, i = filters[v & 3]
    for r in range(0, 256, 16 * every):
        into = shown[r : r + 16]
        if v & 3:
            given = rows[r : r + 128]
            for n in range(16):
                sample = (a * given[n] + b * given[n + 16]) + (c * given[n + 32] + d * given[n + 48])
                sample += (e * given[n + 64] + f * given[n + 80]) + (g * given[n + 96] + i * given[n + 112])
                into[n] = max(min((sample + ROUND) - ROUND, _PEAK), np.float32(0))
        else:
            given = rows[r + 48 : r + 64]
            for n in range(16):
                into[n] = max(min((given[n] + ROUND) - ROUND, _PEAK), np.float32(0))


@compiled
def _ask(
    target: Floats,
    reference: Floats,
    border: int,
    filters: Floats,
    block: tuple[int, int],
    vector: tuple[int, int],
    every: int,
    slot: int,
    answer: int,
    work: _Work,
) -> None:
    """Fill four lanes with what a block differs by from what a vector shows, on every ``every``-th row."""
    values, shown, (v, h) = work.values, work.shown, vector
    top, left = block[0] * 16, block[1] * 16
    y = max(0, min(top + (v >> 2) - 3 + border, reference.shape[0] - _WIDE))
    x = max(0, min(left + (h >> 2) - 3 + border, reference.shape[1] - _WIDE))
    work.answers[slot] = answer
    is_whole = (v | h) & 3 == 0
    if not is_whole:
        _show(reference, filters, y, x, v, h, every, work)
    for part in range(4):
        i, j = (part >> 1) * 8, (part & 1) * 8
        lane = slot * 4 + part
        for r in range(8 // every):
            row = i + every * r
            for c in range(8):
                sample = reference[y + 3 + row, x + 3 + j + c] if is_whole else shown[row * 16 + j + c]
                values[(r * 8 + c) * 16 + lane] = sample - target[top + row, left + j + c]


@compiled
def _answer(slots: int, prices: Prices, work: _Work, costs: Floats) -> None:
    """What the blocks in the first ``slots`` slots cost, written to where it belongs."""
    values, powers, totals = work.values, work.powers, work.totals
    if prices.is_fine:
        hadamard(values)
        for n in range(1024):
            values[n] *= prices.scale
        coding_costs(values, powers, prices.per_power, prices.least)
        for lane in range(16):
            totals[lane] = values[lane]
    else:
        means, plain, share = work.means, work.plain, np.float32(2) * prices.mean_share
        for n in range(512):
            powers[n] = values[n]
        summed(powers)
        for lane in range(16):
            means[lane] = powers[lane] * np.float32(1 / 32)
        for n in range(512):
            powers[n] = abs(values[n])
        summed(powers)
        for lane in range(16):
            plain[lane] = powers[lane]
        for start in range(0, 512, 16):
            for lane in range(16):
                powers[start + lane] = abs(values[start + lane] - means[lane])
        summed(powers)
        for lane in range(16):
            totals[lane] = powers[lane] * (np.float32(2) - share) + plain[lane] * share
    for slot in range(slots):
        four = totals[4 * slot : 4 * slot + 4]
        costs[work.answers[slot]] = (four[0] + four[1]) + (four[2] + four[3])


@compiled
def _straight(k: int) -> tuple[int, int]:
    """Up, down, left, right."""
    return (1 if k == 1 else -1 if k == 0 else 0), (1 if k == 3 else -1 if k == 2 else 0)


@compiled
def _oblique(k: int) -> tuple[int, int]:
    """Up or down and left or right."""
    return (1 if k >= 2 else -1), (1 if k % 2 else -1)


@compiled
def search(
    target: Floats,
    reference: Floats,
    border: int,
    filters: Floats,
    field: Ints,
    guess: Ints,
    candidates: Ints,
    steps: Ints,
    diagonal: int,
    prices: Prices,
    logarithms: Floats,
    furthest: int,
    first: int,
    last: int,
) -> None:
    """Find better vectors for rows ``first`` to ``last - 1`` of 16x16 blocks.

    Args:
        target: [H, W].
        reference: [H + 2 border, W + 2 border], its border repeated so far; at least 23 samples.
        filters: of the positions between samples, [4, 8].
        field: what is found, [h, w, 2].
        guess: what vectors are predicted from, [h, w, 2].
        candidates: [k, h, w, 2], looked at before steps are taken from the best of them.
        steps: in quarter samples; four directions each, then ``diagonal`` ones.
        logarithms: binary ones of 1, 2, ...; what is further away costs no more than the last.
        furthest: largest component of a vector.
    """
    work, slot = _memory(), 0
    most = max(4, len(candidates))
    tried, costs, every = np.empty((_TOGETHER, most, 2), np.int64), np.empty(_TOGETHER * most, np.float32), 2
    missed, best = np.zeros((_TOGETHER, 4), np.float32), np.empty(_TOGETHER, np.float32)
    centres = np.zeros((_TOGETHER, 2), np.int64)
    if prices.is_fine:
        every = 1
    for by in range(first, last):
        for start in range(0, field.shape[1], _TOGETHER):
            count = min(_TOGETHER, field.shape[1] - start)
            best[:] = np.inf
            for number in range(1 + 2 * len(steps)):
                ways = len(candidates) if number == 0 else 4
                is_diagonal = number > 0 and number % 2 == 0
                if is_diagonal:
                    ways = 0 if diagonal == NONE else 1 if diagonal == ONE else 4
                step = steps[max(0, number - 1) // 2] if number else 0
                costs[:] = np.inf
                for n in range(count):
                    bx = start + n
                    if number % 2 == 1:  # steps are taken from here
                        centres[n, 0], centres[n, 1] = field[by, bx, 0], field[by, bx, 1]
                    for k in range(ways):
                        if number == 0:
                            v, h = candidates[k, by, bx, 0], candidates[k, by, bx, 1]
                        else:
                            if not is_diagonal:
                                down, across = _straight(k)
                            elif diagonal == ONE:
                                down = -1 if missed[n, 0] < missed[n, 1] else 1
                                across = -1 if missed[n, 2] < missed[n, 3] else 1
                            else:
                                down, across = _oblique(k)
                            v, h = centres[n, 0] + down * step, centres[n, 1] + across * step
                        v, h = min(max(v, -furthest), furthest), min(max(h, -furthest), furthest)
                        tried[n, k, 0], tried[n, k, 1] = v, h
                        is_new = True
                        for before in range(k):
                            is_new = is_new and (tried[n, before, 0] != v or tried[n, before, 1] != h)
                        if is_new:
                            _ask(target, reference, border, filters, (by, bx), (v, h), every, slot, n * most + k, work)
                            slot += 1
                            if slot == 4:
                                _answer(slot, prices, work, costs)
                                slot = 0
                if slot:
                    _answer(slot, prices, work, costs)
                    slot = 0
                for n in range(count):
                    bx = start + n
                    for k in range(ways):
                        v, h = tried[n, k, 0], tried[n, k, 1]
                        down = min(abs(v - guess[by, bx, 0]), len(logarithms) - 1)
                        across = min(abs(h - guess[by, bx, 1]), len(logarithms) - 1)
                        rate = np.float32(2) * (logarithms[down] + logarithms[across])
                        rate = rate + np.float32(2.5) if rate > 0 else np.float32(0.3)
                        cost = costs[n * most + k] + prices.of_bit * rate
                        if number % 2 == 1:
                            missed[n, k] = cost
                        if cost < best[n]:
                            best[n], field[by, bx, 0], field[by, bx, 1] = cost, v, h


@compiled
def full_search(small: Floats, padded: Floats, side: int, radius: int, step_price: float, found: Ints) -> None:
    """Search everywhere around each block.

    Args:
        small: [h, w].
        padded: reference, [h + 2 radius, w + 2 radius].
        side: of a block; those at the far borders may be smaller.
        step_price: of each sample of distance, either way.
        found: [ceil(h / side), ceil(w / side), 2], in samples.
    """
    size = 2 * radius + 1
    sums, penalty = np.empty(size, np.float32), np.empty(size, np.float32)
    for n in range(size):
        penalty[n] = np.float32(step_price) * np.float32(abs(n - radius))
    for by in range(found.shape[0]):
        for bx in range(found.shape[1]):
            bottom, right = min((by + 1) * side, small.shape[0]), min((bx + 1) * side, small.shape[1])
            share = np.float32(1.0 / ((bottom - by * side) * (right - bx * side)))
            best = np.float32(np.inf)
            for down in range(size):
                sums[:] = 0
                for i in range(by * side, bottom):
                    for j in range(bx * side, right):
                        sample, row = small[i, j], padded[i + down, j : j + size]
                        for n in range(size):
                            sums[n] += abs(row[n] - sample)
                for n in range(size):
                    cost = sums[n] * share + (penalty[n] + penalty[down])
                    if cost < best:
                        best = cost
                        found[by, bx, 0], found[by, bx, 1] = down - radius, n - radius
