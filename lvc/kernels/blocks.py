"""Decisions about blocks and their vectors: see :mod:`lvc.encoder.motion_blocks` for reasons.

Blocks are counted in 8x8 samples. What of 64x64 samples has to be known is asked for before it is decided on, since
sixteen answers at a time are found. Who asks counts the filled lanes: a function that did would not be inlined,
and with the tuples of arrays that it takes each question cost twice as much.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvc.kernels import compiled
from lvc.kernels.matching import LANES, Asked, Sight, answer, ask, none_asked

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_TRIED = 13
"""Vectors of a block at most: its own, those of four neighbours, four each for two larger sizes."""


class Prices(NamedTuple):
    """In bits.

    of_bit: what a bit of a vector counts.
    split: of four vectors instead of one, before ``of_bit``.
    logarithms: binary ones of 1, 2, ...; what is further from the expected vector costs no more than the last.
    """

    of_bit: float
    split: float
    logarithms: Floats


class _Area(NamedTuple):
    """64x64 samples, or what of these lies in the picture; in blocks."""

    top: int
    left: int
    bottom: int
    right: int


class _Memory(NamedTuple):
    """What is known of the blocks of an area.

    tried, counts: vectors of each, the first its own, [64, _TRIED, 2], and how many, [64].
    misses: what it misses with each, [64 * _TRIED].
    costs: of 16x16 samples each, [4, 4], later of larger blocks.
    corners, sums: vectors of the parts of a larger block, [4, 2], and what it misses with each, [4].
    """

    asked: Asked
    tried: Ints
    counts: Ints
    misses: Doubles
    costs: Doubles
    corners: Ints
    sums: Doubles


@compiled
def _memory() -> _Memory:
    return _Memory(
        none_asked(),
        np.empty((64, _TRIED, 2), np.int64),
        np.empty(64, np.int64),
        np.empty(64 * _TRIED),
        np.empty((4, 4)),
        np.empty((4, 2), np.int64),
        np.empty(4),
    )


@compiled
def _rate(v: int, h: int, expected: Ints, logarithms: Floats) -> float:
    """See :func:`lvc.encoder.motion_search.vector_bits`."""
    down, across, most = abs(v - expected[0]), abs(h - expected[1]), len(logarithms) - 1
    if down == 0 and across == 0:
        return 0.3
    return 2.5 + 2.0 * float(logarithms[min(down, most)] + logarithms[min(across, most)])


@compiled
def _number(tried: Ints, counts: Ints, cell: int, v: int, h: int) -> int:
    """Of a vector among those that a block has tried, or how many these are."""
    for number in range(counts[cell]):
        if tried[cell, number, 0] == v and tried[cell, number, 1] == h:
            return number
    return int(counts[cell])


@compiled
def _is_new(tried: Ints, counts: Ints, cell: int, v: int, h: int) -> bool:
    """Whether a block has not tried a vector, as it has then."""
    number = _number(tried, counts, cell, v, h)
    if number < counts[cell]:
        return False
    tried[cell, number, 0], tried[cell, number, 1] = v, h
    counts[cell] += 1
    return True


@compiled
def _ask_single(sight: Sight, memory: _Memory, area: _Area, field: Ints) -> None:
    """Blocks take their own vector or that of a neighbour, which may lie outside of their 16x16 samples."""
    (rows, cols), asked, misses, lane = sight.scales.shape, memory.asked, memory.misses, 0
    tried, counts = memory.tried, memory.counts
    for y in range(area.top, area.bottom):
        for x in range(area.left, area.right):
            cell = (y - area.top) * 8 + x - area.left
            for k in range(5 if sight.scales[y, x] > 0 else 0):
                i = max(y - 1, 0) if k == 1 else min(y + 1, rows - 1) if k == 2 else y
                j = max(x - 1, 0) if k == 3 else min(x + 1, cols - 1) if k == 4 else x
                v, h = field[i, j, 0], field[i, j, 1]
                if _is_new(tried, counts, cell, v, h):
                    ask(sight, asked, lane, y, x, v, h, cell * _TRIED + counts[cell] - 1)
                    lane += 1
                    if lane == LANES:
                        answer(sight, asked, lane, misses)
                        lane = 0
    answer(sight, asked, lane, misses)


@compiled
def _decide_single(
    sight: Sight, memory: _Memory, area: _Area, field: Ints, guess: Ints, prices: Prices, found: Ints, levels: Ints
) -> None:
    """One vector for 16x16 samples, or four."""
    tried, counts, misses, logarithms = memory.tried, memory.counts, memory.misses, prices.logarithms
    for by in range(area.top, area.bottom, 2):
        for bx in range(area.left, area.right, 2):
            expected, matters = guess[by >> 1, bx >> 1], False
            whole, parts = 0.0, prices.of_bit * prices.split
            for y in range(by, by + 2):
                for x in range(bx, bx + 2):
                    cell, best_v, best_h = (y - area.top) * 8 + x - area.left, field[y, x, 0], field[y, x, 1]
                    least = misses[cell * _TRIED]
                    whole += least
                    if sight.scales[y, x] > 0:
                        matters = True
                        least += prices.of_bit * _rate(best_v, best_h, expected, logarithms)
                    for number in range(1, counts[cell]):
                        v, h = tried[cell, number, 0], tried[cell, number, 1]
                        bits = max(2.0, _rate(v, h, expected, logarithms))
                        cost = misses[cell * _TRIED + number] + prices.of_bit * bits
                        if cost < least:
                            least, best_v, best_h = cost, v, h
                    parts += least
                    found[y, x, 0], found[y, x, 1] = best_v, best_h
            if matters:
                whole += prices.of_bit * _rate(field[by, bx, 0], field[by, bx, 1], expected, logarithms)
            memory.costs[(by - area.top) >> 1, (bx - area.left) >> 1] = min(whole, parts)
            is_split = parts < whole
            for y in range(by, by + 2):
                for x in range(bx, bx + 2):
                    levels[y, x] = 0 if is_split else 1
                    if not is_split:
                        found[y, x, 0], found[y, x, 1] = field[y, x, 0], field[y, x, 1]


@compiled
def _look_at_corners(corners: Ints, found: Ints, by: int, bx: int, half: int) -> None:
    """The vectors that a larger block may have: those of its quarters, or of what of them lies in the picture."""
    rows, cols = found.shape[:2]
    for k in range(4):
        y, x = min(by + (k >> 1) * half, rows - 1), min(bx + (k & 1) * half, cols - 1)
        corners[k, 0], corners[k, 1] = found[y, x, 0], found[y, x, 1]


@compiled
def _ask_larger(sight: Sight, memory: _Memory, area: _Area, level: int, found: Ints) -> None:
    """Blocks of ``1 << level`` to a side."""
    size, asked, misses, lane = 1 << level, memory.asked, memory.misses, 0
    tried, counts, corners = memory.tried, memory.counts, memory.corners
    for by in range(area.top, area.bottom, size):
        for bx in range(area.left, area.right, size):
            _look_at_corners(corners, found, by, bx, size // 2)
            for y in range(by, min(by + size, area.bottom)):
                for x in range(bx, min(bx + size, area.right)):
                    cell = (y - area.top) * 8 + x - area.left
                    for k in range(4 if sight.scales[y, x] > 0 else 0):
                        v, h = corners[k, 0], corners[k, 1]
                        if _is_new(tried, counts, cell, v, h):
                            ask(sight, asked, lane, y, x, v, h, cell * _TRIED + counts[cell] - 1)
                            lane += 1
                            if lane == LANES:
                                answer(sight, asked, lane, misses)
                                lane = 0
    answer(sight, asked, lane, misses)


@compiled
def _decide_larger(
    sight: Sight, memory: _Memory, area: _Area, level: int, guess: Ints, prices: Prices, found: Ints, levels: Ints
) -> None:
    """One vector for a block of ``1 << level`` to a side, or its quarters as they are."""
    size, half, costs, misses = 1 << level, 1 << level - 1, memory.costs, memory.misses
    tried, counts, corners, sums = memory.tried, memory.counts, memory.corners, memory.sums
    for by in range(area.top, area.bottom, size):
        for bx in range(area.left, area.right, size):
            bottom, right = min(by + size, area.bottom), min(bx + size, area.right)
            _look_at_corners(corners, found, by, bx, half)
            sums[:] = 0
            matters = False
            for y in range(by, bottom):
                for x in range(bx, right):
                    if sight.scales[y, x] > 0:
                        matters, cell = True, (y - area.top) * 8 + x - area.left
                        for k in range(4):
                            number = _number(tried, counts, cell, corners[k, 0], corners[k, 1])
                            sums[k] += misses[cell * _TRIED + number]
            best, cost, parts = 0, np.inf, prices.of_bit
            for k in range(4):
                if matters:
                    rate = _rate(corners[k, 0], corners[k, 1], guess[by >> 1, bx >> 1], prices.logarithms)
                    sums[k] += prices.of_bit * rate
                if sums[k] < cost:
                    best, cost = k, sums[k]
                y, x = by + (k >> 1) * half, bx + (k & 1) * half
                if y < area.bottom and x < area.right:
                    parts += costs[(y - area.top) >> 1, (x - area.left) >> 1]
            costs[(by - area.top) >> 1, (bx - area.left) >> 1] = min(cost, parts)
            if cost <= parts:
                for y in range(by, bottom):
                    for x in range(bx, right):
                        levels[y, x] = level
                        found[y, x, 0], found[y, x, 1] = corners[best, 0], corners[best, 1]


@compiled
def sizes(
    sight: Sight, field: Ints, guess: Ints, prices: Prices, found: Ints, levels: Ints, first: int, last: int
) -> None:
    """Decide on block sizes in rows ``first`` to ``last - 1`` of 64x64 samples.

    Args:
        field: a vector for every 16x16 samples, [H/8, W/8, 2].
        guess: what vectors are predicted from, [H/16, W/16, 2].
        found, levels: results, see :func:`lvc.encoder.motion_blocks.block_sizes`, [H/8, W/8, ...].
    """
    rows, cols = levels.shape
    memory = _memory()
    for top in range(first * 8, last * 8, 8):
        for left in range(0, cols, 8):
            area = _Area(top, left, min(top + 8, rows), min(left + 8, cols))
            memory.counts[:], memory.misses[:] = 0, 0
            _ask_single(sight, memory, area, field)
            _decide_single(sight, memory, area, field, guess, prices, found, levels)
            for level in (2, 3):
                _ask_larger(sight, memory, area, level, found)
                _decide_larger(sight, memory, area, level, guess, prices, found, levels)


@compiled
def cheapest(
    sight: Sight, y: Ints, x: Ints, size: int, options: Ints, saved: Doubles, weight: float, chosen: Ints
) -> None:
    """Take the vectors of least cost for n blocks of a size.

    Args:
        y, x: where each begins, [n].
        size: to a side.
        options: other vectors, [k, n, 2].
        saved: bits that each saves, [k, n]; only those above 0 are looked at.
        weight: what a bit of a vector counts.
        chosen: what there is to code, and the better ones then, [n, 2].
    """
    rows, cols = sight.scales.shape
    ways, count = len(options) + 1, len(y)
    misses, asked, lane = np.zeros(ways * count), none_asked(), 0
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
                    if sight.scales[i, j] > 0:
                        ask(sight, asked, lane, i, j, v, h, n * ways + k)
                        lane += 1
                        if lane == LANES:
                            answer(sight, asked, lane, misses)
                            lane = 0
    answer(sight, asked, lane, misses)
    for n in range(count):
        most = 0.0
        for k in range(1, ways):
            if saved[k - 1, n] > 0:
                won = weight * saved[k - 1, n] - (misses[n * ways + k] - misses[n * ways])
                if won > most:
                    most = won
                    chosen[n, 0], chosen[n, 1] = options[k - 1, n, 0], options[k - 1, n, 1]
