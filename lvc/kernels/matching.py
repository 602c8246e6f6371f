"""How well 8x8 blocks match what vectors show in a reference, and what follows: sizes of blocks, and cheaper vectors.

See :mod:`lvc.encoder.motion_blocks` for reasons.

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
_LANES = 16
_TRIED = 13
"""Vectors of a block at most: its own, those of four neighbours, four each for two larger sizes."""


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


class _Work(NamedTuple):
    """Memory for sixteen blocks: their differences, what comes of them, and what each answer is for."""

    values: Floats
    powers: Floats
    scales: Floats
    answers: Ints
    window: Floats
    rows: Floats
    shown: Floats


@compiled
def _memory() -> _Work:
    return _Work(
        np.zeros(1024, np.float32),
        np.empty(1024, np.float32),
        np.zeros(_LANES, np.float32),
        np.zeros(_LANES, np.int64),
        np.empty(225, np.float32),
        np.empty(225, np.float32),
        np.empty(120, np.float32),
    )


@compiled
def _ask(sight: Sight, work: _Work, lane: int, row: int, col: int, v: int, h: int, answer: int) -> None:
    """Fill a lane with what the 8x8 block ``row``, ``col`` differs by from what a vector shows."""
    wanted, seen, filters, border = sight.target, sight.reference, sight.filters, sight.border
    values, window, rows, shown = work.values, work.window, work.rows, work.shown
    i, j = row * 8, col * 8
    y = max(0, min(i + (v >> 2) - 3 + border, seen.shape[0] - 15))
    x = max(0, min(j + (h >> 2) - 3 + border, seen.shape[1] - 15))
    work.scales[lane], work.answers[lane] = sight.scales[row, col], answer
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
def _answer(sight: Sight, work: _Work, lanes: int, misses: Doubles) -> None:
    """Add what the blocks of the first ``lanes`` lanes miss to where it belongs."""
    values, scales = work.values, work.scales
    hadamard(values)
    for k in range(0, 1024, 16):
        for lane in range(16):
            values[k + lane] *= scales[lane]
    coding_costs(values, work.powers, sight.per_power, sight.least)
    for lane in range(lanes):
        misses[work.answers[lane]] += np.float64(values[lane] * sight.bits)


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
        for start in range(0, out.shape[1], _LANES):
            lanes = min(_LANES, out.shape[1] - start)
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


@compiled
def _rate(v: int, h: int, guess: Ints, logarithms: Floats) -> float:
    """See :func:`lvc.encoder.motion_search.vector_bits`."""
    if v == guess[0] and h == guess[1]:
        return 0.3
    most = len(logarithms) - 1
    powers = logarithms[min(abs(v - guess[0]), most)] + logarithms[min(abs(h - guess[1]), most)]
    return 2.5 + 2.0 * float(powers)


@compiled
def _slot(tried: Ints, known: Ints, cell: int, v: int, h: int) -> int:
    """Which of the vectors of a block this one is; a new one is added, and -1 given."""
    for slot in range(known[cell]):
        if tried[cell, slot, 0] == v and tried[cell, slot, 1] == h:
            return slot
    tried[cell, known[cell], 0], tried[cell, known[cell], 1] = v, h
    known[cell] += 1
    return -1


@compiled
def sizes(
    sight: Sight,
    field: Ints,
    guess: Ints,
    weight: float,
    logarithms: Floats,
    split: float,
    found: Ints,
    levels: Ints,
    first: int,
    last: int,
) -> None:
    """Decide on block sizes in rows ``first`` to ``last - 1`` of 64x64 samples.

    Args:
        field: a vector for every 16x16 block, [H/8, W/8, 2].
        guess: what vectors are predicted from, [H/16, W/16, 2].
        weight: what a bit of a vector counts.
        logarithms: see :func:`lvc.kernels.searching.search`.
        split: bits for four vectors instead of one.
        found, levels: results, see :func:`lvc.encoder.motion_blocks.block_sizes`, [H/8, W/8, ...].
    """
    rows, cols = levels.shape
    work, lane = _memory(), 0
    tried, known = np.empty((64, _TRIED, 2), np.int64), np.empty(64, np.int64)
    misses, costs = np.empty(64 * _TRIED), np.empty((4, 4))
    small, corners, sums = np.empty((8, 8, 2), np.int64), np.empty((4, 2), np.int64), np.empty(4)
    for top in range(first * 8, last * 8, 8):
        for left in range(0, cols, 8):
            bottom, right = min(top + 8, rows), min(left + 8, cols)
            misses[:], known[:] = 0, 0
            # 8x8 blocks take a neighbour's vector from outside their 16x16 block, or their own
            for y in range(top, bottom):
                for x in range(left, right):
                    if sight.scales[y, x] == 0:
                        continue
                    cell = (y - top) * 8 + x - left
                    for k in range(5):
                        i = max(y - 1, 0) if k == 1 else min(y + 1, rows - 1) if k == 2 else y
                        j = max(x - 1, 0) if k == 3 else min(x + 1, cols - 1) if k == 4 else x
                        if _slot(tried, known, cell, field[i, j, 0], field[i, j, 1]) < 0:
                            place = cell * _TRIED + known[cell] - 1
                            _ask(sight, work, lane, y, x, field[i, j, 0], field[i, j, 1], place)
                            lane += 1
                            if lane == _LANES:
                                _answer(sight, work, lane, misses)
                                lane = 0
            _answer(sight, work, lane, misses)
            lane = 0
            for by in range(top, bottom, 2):
                for bx in range(left, right, 2):
                    whole, parts, matters = 0.0, weight * split, False
                    expected = guess[by >> 1, bx >> 1]
                    for y in range(by, by + 2):
                        for x in range(bx, bx + 2):
                            cell = (y - top) * 8 + x - left
                            best_v, best_h = field[y, x, 0], field[y, x, 1]
                            best = misses[cell * _TRIED]
                            whole += best
                            if sight.scales[y, x] > 0:
                                matters = True
                                best += weight * _rate(best_v, best_h, expected, logarithms)
                            for slot in range(1, known[cell]):
                                v, h = tried[cell, slot, 0], tried[cell, slot, 1]
                                bits = max(2.0, _rate(v, h, expected, logarithms))
                                cost = misses[cell * _TRIED + slot] + weight * bits
                                if cost < best:
                                    best, best_v, best_h = cost, v, h
                            small[y - top, x - left, 0], small[y - top, x - left, 1] = best_v, best_h
                            parts += best
                    if matters:
                        whole += weight * _rate(field[by, bx, 0], field[by, bx, 1], expected, logarithms)
                    costs[(by - top) >> 1, (bx - left) >> 1] = min(whole, parts)
                    for y in range(by, by + 2):
                        for x in range(bx, bx + 2):
                            levels[y, x] = 0 if parts < whole else 1
                            for k in range(2):
                                found[y, x, k] = small[y - top, x - left, k] if parts < whole else field[y, x, k]
            # four of 16 to one of 32, four of 32 to one of 64
            for size in range(1, 3):
                factor = 2 << size
                step = factor // 2
                for turn in range(2):  # all are asked for, then they are decided on
                    for by in range(top, bottom, factor):
                        for bx in range(left, right, factor):
                            matters = False
                            for k in range(4):
                                i, j = min(by + (k >> 1) * step, rows - 1), min(bx + (k & 1) * step, cols - 1)
                                corners[k, 0], corners[k, 1] = found[i, j, 0], found[i, j, 1]
                            sums[:] = 0
                            for y in range(by, min(by + factor, rows)):
                                for x in range(bx, min(bx + factor, cols)):
                                    if sight.scales[y, x] == 0:
                                        continue
                                    matters = True
                                    cell = (y - top) * 8 + x - left
                                    for k in range(4):
                                        slot = _slot(tried, known, cell, corners[k, 0], corners[k, 1])
                                        if turn:
                                            sums[k] += misses[cell * _TRIED + slot]
                                        elif slot < 0:
                                            place = cell * _TRIED + known[cell] - 1
                                            _ask(sight, work, lane, y, x, corners[k, 0], corners[k, 1], place)
                                            lane += 1
                                            if lane == _LANES:
                                                _answer(sight, work, lane, misses)
                                                lane = 0
                            if not turn:
                                continue
                            best, best_at, children = np.inf, 0, weight
                            for k in range(4):
                                cost = sums[k]
                                if matters:
                                    rate = _rate(corners[k, 0], corners[k, 1], guess[by >> 1, bx >> 1], logarithms)
                                    cost += weight * rate
                                if cost < best:
                                    best, best_at = cost, k
                                i, j = by + (k >> 1) * step, bx + (k & 1) * step
                                if i < rows and j < cols:
                                    children += costs[(i - top) >> 1, (j - left) >> 1]
                            costs[(by - top) >> 1, (bx - left) >> 1] = min(best, children)
                            if best > children:
                                continue
                            for y in range(by, min(by + factor, rows)):
                                for x in range(bx, min(bx + factor, cols)):
                                    levels[y, x] = size + 1
                                    found[y, x, 0], found[y, x, 1] = corners[best_at, 0], corners[best_at, 1]
                    if not turn:
                        _answer(sight, work, lane, misses)
                        lane = 0


@compiled
def cheapest(
    sight: Sight, y: Ints, x: Ints, size: int, options: Ints, saved: Doubles, weight: float, chosen: Ints
) -> None:
    """Take the vectors of least cost for n blocks of a size.

    Args:
        y, x: first 8x8 block of each, [n].
        size: in 8x8 blocks.
        options: other vectors, [k, n, 2].
        saved: bits that each saves, [k, n]; only those above 0 are looked at.
        weight: what a bit of a vector counts.
        chosen: what there is to code, and the better ones then, [n, 2].
    """
    rows, cols = sight.scales.shape
    ways, count = len(options) + 1, len(y)
    misses, work, lane = np.zeros(ways * count), _memory(), 0
    for n in range(count):
        is_open = False
        for k in range(1, ways):
            is_open = is_open or saved[k - 1, n] > 0
        for k in range(ways if is_open else 0):
            if k and not saved[k - 1, n] > 0:
                continue
            v, h = (options[k - 1, n, 0], options[k - 1, n, 1]) if k else (chosen[n, 0], chosen[n, 1])
            for i in range(y[n], min(y[n] + size, rows)):
                for j in range(x[n], min(x[n] + size, cols)):
                    if sight.scales[i, j] == 0:
                        continue
                    _ask(sight, work, lane, i, j, v, h, n * ways + k)
                    lane += 1
                    if lane == _LANES:
                        _answer(sight, work, lane, misses)
                        lane = 0
    _answer(sight, work, lane, misses)
    for n in range(count):
        most = 0.0
        for k in range(1, ways):
            if saved[k - 1, n] > 0:
                won = weight * saved[k - 1, n] - (misses[n * ways + k] - misses[n * ways])
                if won > most:
                    most = won
                    chosen[n, 0], chosen[n, 1] = options[k - 1, n, 0], options[k - 1, n, 1]
