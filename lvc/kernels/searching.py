"""Motion search, block by block: see :mod:`lvc.encoder.motion_search` and :mod:`lvc.encoder.matching` for reasons."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled
from lvc.kernels.costs import coding_costs, hadamard

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_PEAK = np.float32(1023)
_WIDE, _STRIDE = 23, 24
"""Samples that a filtered block of 16 takes to a side, and how far apart its rows are kept."""
_ROWS, _SHOWN, _END = 576, 1152, 1536
"""Where in one array lies what is filtered along rows, along both, and where that ends: loops over one array at known
distances need no checks."""
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
    """Memory.

    values: differences of four blocks of 16x16 samples, a lane for each quarter of them, [64 * 16]; powers: as many.
    shown: a block, before and after filtering, see :func:`_show`.
    answers: what each of four blocks' cost is for.
    """

    values: Floats
    powers: Floats
    shown: Floats
    answers: Ints


@compiled
def _memory() -> _Work:
    return _Work(
        np.zeros(1024, np.float32),
        np.zeros(1024, np.float32),
        np.empty(_END, np.float32),
        np.zeros(4, np.int64),
    )


@compiled
def _show(
    reference: Floats, filters: Floats, corner: tuple[int, int], vector: tuple[int, int], every: int, shown: Floats
) -> None:
    """Every ``every``-th row of 16x16 samples between those of a reference.

    Args:
        corner: where the 23x23 samples begin that are read.
        shown: the result begins at _SHOWN, rows being _STRIDE apart.
    """
    (top, left), (v, h) = corner, vector
    begin, end, leap = (0, _WIDE, 1) if v & 3 else (3, 19, every)
    a, b, c, d, e, f, g, i = filters[h & 3]
    if h & 3:
        for r in range(begin, end, leap):
            given, at = reference[top + r, left : left + _WIDE], r * _STRIDE
            for n in range(_WIDE):
                shown[at + n] = given[n]
        for at in range(begin * _STRIDE, end * _STRIDE, leap * _STRIDE):
            for n in range(at, at + 16):
                sample = (a * shown[n] + b * shown[n + 1]) + (c * shown[n + 2] + d * shown[n + 3])
                sample += (e * shown[n + 4] + f * shown[n + 5]) + (g * shown[n + 6] + i * shown[n + 7])
                shown[n + _ROWS] = sample
    else:
        for r in range(begin, end, leap):
            given, at = reference[top + r, left + 3 : left + 19], r * _STRIDE + _ROWS
            for n in range(16):
                shown[at + n] = given[n]
    a, b, c, d, e, f, g, i = filters[v & 3]  # of rows, _STRIDE apart
    for at in range(_ROWS, _ROWS + 16 * _STRIDE, every * _STRIDE):
        if v & 3:
            for n in range(at, at + 16):
                sample = (a * shown[n] + b * shown[n + 24]) + (c * shown[n + 48] + d * shown[n + 72])
                sample += (e * shown[n + 96] + f * shown[n + 120]) + (g * shown[n + 144] + i * shown[n + 168])
                shown[n + _SHOWN - _ROWS] = max(min((sample + ROUND) - ROUND, _PEAK), np.float32(0))
        else:
            for n in range(at, at + 16):
                shown[n + _SHOWN - _ROWS] = max(min((shown[n + 72] + ROUND) - ROUND, _PEAK), np.float32(0))


@compiled
def _corner(reference: Floats, border: int, block: tuple[int, int], vector: tuple[int, int]) -> tuple[int, int]:
    """Where the 23x23 samples of a reference begin that a vector shows, and filters need."""
    y = max(0, min(block[0] * 16 + (vector[0] >> 2) - 3 + border, reference.shape[0] - _WIDE))
    x = max(0, min(block[1] * 16 + (vector[1] >> 2) - 3 + border, reference.shape[1] - _WIDE))
    return y, x


@compiled
def _eight(values: Floats, at: int) -> np.float32:
    """The sum of eight whole numbers, or of parts of such as float32 holds exactly."""
    low = (values[at] + values[at + 1]) + (values[at + 2] + values[at + 3])
    return np.float32(low + ((values[at + 4] + values[at + 5]) + (values[at + 6] + values[at + 7])))


@compiled
def _levelled(values: Floats, mean_share: np.float32) -> np.float32:
    """What 16x16 samples differ by on every second row, [8 * 16], summed as if on all of them.

    Args:
        values: what follows them is overwritten: one array at known distances, see :func:`lvc.kernels.costs.hadamard`.
    """
    share, total = np.float32(2) * mean_share, np.float32(0)
    for start in range(0, 128, 64):
        for n in range(start, start + 16):
            a, b, c, d = values[n], values[n + 16], values[n + 32], values[n + 48]
            values[n + 128] = (a + b) + (c + d)
            values[n + 256] = (abs(a) + abs(b)) + (abs(c) + abs(d))
        for n in range(start, start + 16, 8):
            values[n + 384 : n + 392] = _eight(values, n + 128) * np.float32(1 / 32)
        for n in range(start, start + 16):
            a, b, c, d, mean = values[n], values[n + 16], values[n + 32], values[n + 48], values[n + 384]
            values[n + 128] = (abs(a - mean) + abs(b - mean)) + (abs(c - mean) + abs(d - mean))
        left = _eight(values, start + 128) * (np.float32(2) - share) + _eight(values, start + 256) * share
        right = _eight(values, start + 136) * (np.float32(2) - share) + _eight(values, start + 264) * share
        total += left + right
    return total


@compiled
def _differ(
    target: Floats,
    reference: Floats,
    border: int,
    filters: Floats,
    block: tuple[int, int],
    vector: tuple[int, int],
    mean_share: np.float32,
    work: _Work,
) -> np.float32:
    """Absolute differences of a block from what a vector shows."""
    values, shown, (v, h) = work.values, work.shown, vector
    top, left = block[0] * 16, block[1] * 16
    y, x = _corner(reference, border, block, vector)
    if (v | h) & 3:
        _show(reference, filters, (y, x), vector, 2, shown)
        for r in range(8):
            wanted, given = target[top + 2 * r, left : left + 16], shown[_SHOWN + 2 * r * _STRIDE :]
            for n in range(16):
                values[r * 16 + n] = given[n] - wanted[n]
    else:
        for r in range(8):
            wanted, given = target[top + 2 * r, left : left + 16], reference[y + 3 + 2 * r, x + 3 : x + 19]
            for n in range(16):
                values[r * 16 + n] = given[n] - wanted[n]
    return _levelled(values, mean_share)


@compiled
def _ask(
    target: Floats,
    reference: Floats,
    border: int,
    filters: Floats,
    block: tuple[int, int],
    vector: tuple[int, int],
    slot: int,
    answer: int,
    work: _Work,
) -> None:
    """Fill four lanes with what a block differs by from what a vector shows."""
    values, shown, (v, h) = work.values, work.shown, vector
    top, left = block[0] * 16, block[1] * 16
    y, x = _corner(reference, border, block, vector)
    work.answers[slot] = answer
    is_whole = (v | h) & 3 == 0
    if not is_whole:
        _show(reference, filters, (y, x), vector, 1, shown)
    for part in range(4):
        i, j = (part >> 1) * 8, (part & 1) * 8
        lane = slot * 4 + part
        for r in range(8):
            row = i + r
            for c in range(8):
                sample = reference[y + 3 + row, x + 3 + j + c] if is_whole else shown[_SHOWN + row * _STRIDE + j + c]
                values[(r * 8 + c) * 16 + lane] = sample - target[top + row, left + j + c]


@compiled
def _answer(slots: int, prices: Prices, work: _Work, costs: Floats) -> None:
    """What the coefficients of the blocks in the first ``slots`` slots cost, written to where it belongs."""
    values = work.values
    hadamard(values)
    for n in range(1024):
        values[n] *= prices.scale
    coding_costs(values, work.powers, prices.per_power, prices.least)
    for slot in range(slots):
        four = values[4 * slot : 4 * slot + 4]
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
    tried, costs = np.empty((_TOGETHER, most, 2), np.int64), np.empty(_TOGETHER * most, np.float32)
    missed, best = np.zeros((_TOGETHER, 4), np.float32), np.empty(_TOGETHER, np.float32)
    centres = np.zeros((_TOGETHER, 2), np.int64)
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
                        if not is_new:
                            continue
                        place = n * most + k
                        if not prices.is_fine:
                            costs[place] = _differ(
                                target, reference, border, filters, (by, bx), (v, h), prices.mean_share, work
                            )
                        else:
                            _ask(target, reference, border, filters, (by, bx), (v, h), slot, place, work)
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
def surround(field: Ints, fifth: Ints, five: Ints, middle: Ints) -> None:
    """Vectors and those around them, and what vectors are predicted from.

    Args:
        field, fifth: [h, w, 2].
        five: the vectors themselves and those above, below, left and right of each, at the border its own,
            [5, h, w, 2].
        middle: component by component the median of these four and the fifth, [h, w, 2].
    """
    height, width = field.shape[:2]
    for y in range(height):
        for x in range(width):
            for part in range(2):
                a, b = field[max(y - 1, 0), x, part], field[min(y + 1, height - 1), x, part]
                c, d = field[y, max(x - 1, 0), part], field[y, min(x + 1, width - 1), part]
                five[0, y, x, part] = field[y, x, part]
                five[1, y, x, part], five[2, y, x, part], five[3, y, x, part], five[4, y, x, part] = a, b, c, d
                # of four the middle two, and the fifth between these
                low, high = max(min(a, b), min(c, d)), min(max(a, b), max(c, d))
                middle[y, x, part] = max(min(low, high), min(max(low, high), fifth[y, x, part]))


SIDE = 4
"""Samples to a side of the blocks of a full search."""


@compiled
def full_search(small: Floats, padded: Floats, radius: int, step_price: float, found: Ints) -> None:
    """Search everywhere around each block of SIDE to a side; those at the far borders may be smaller.

    A row of blocks at a time is compared with each place: loops are as long as the picture is wide.

    Args:
        small: [h, w].
        padded: reference, [h + 2 radius, w + 2 radius].
        step_price: of each sample of distance, either way.
        found: [ceil(h / SIDE), ceil(w / SIDE), 2], in samples.
    """
    (height, width), (rows, cols), size = small.shape, found.shape[:2], 2 * radius + 1
    missed, sums = np.zeros(cols * SIDE, np.float32), np.empty(cols, np.float32)
    shares, best, places = np.empty(cols, np.float32), np.empty(cols, np.float32), np.empty(cols, np.int32)
    for by in range(rows):
        top, bottom = by * SIDE, min((by + 1) * SIDE, height)
        best[:] = np.inf
        for bx in range(cols):
            shares[bx] = np.float32(1.0 / ((bottom - top) * (min((bx + 1) * SIDE, width) - bx * SIDE)))
        for place in range(size * size):
            down, across = place // size, place % size
            missed[:] = 0
            for i in range(top, bottom):
                row, wanted = padded[i + down, across : across + width], small[i]
                for j in range(width):
                    missed[j] += abs(row[j] - wanted[j])
            for bx in range(cols):
                four = missed[SIDE * bx] + missed[SIDE * bx + 1]
                sums[bx] = four + (missed[SIDE * bx + 2] + missed[SIDE * bx + 3])
            price = np.float32(step_price) * np.float32(abs(across - radius))
            price += np.float32(step_price) * np.float32(abs(down - radius))
            for bx in range(cols):
                cost = sums[bx] * shares[bx] + price
                places[bx] = place if cost < best[bx] else places[bx]
                best[bx] = min(cost, best[bx])
        for bx in range(cols):
            found[by, bx, 0], found[by, bx, 1] = places[bx] // size - radius, places[bx] % size - radius
