"""Motion search, block by block: see :mod:`lvc.encoder.motion_search` and :mod:`lvc.encoder.matching` for reasons."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled
from lvc.kernels.costs import coding_costs, hadamard, summed

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_PEAK = np.float32(1023)
_WIDE = 23
"""Samples that a filtered block of 16 takes to a side."""
NONE, ONE, ALL = 0, 1, 2
"""Diagonal steps: none, the one between the better two of the others, all four."""


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
    is_fine: bool,
    price: float,
    scale: float,
    per_power: float,
    least: float,
    mean_share: float,
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
        is_fine: by Hadamard coefficients, else by absolute differences on every second row.
        price: of a bit, in squared steps where ``is_fine``, else in grey levels.
        scale: of eightfold coefficients, to quantisation steps.
        per_power, least: what a float's bits, read as an integer, cost each, and what is added, in squared steps.
        mean_share: see :data:`lvc.encoder.matching.MEAN_SHARE`.
        logarithms: binary ones of 1, 2, ...; what is further away costs no more than the last.
        furthest: largest component of a vector.
    """
    values, costs = np.zeros(1024, np.float32), np.zeros(1024, np.float32)
    means, plain, totals = np.empty(16, np.float32), np.empty(16, np.float32), np.empty(16, np.float32)
    tried, missed = np.zeros((4, 2), np.int64), np.zeros(4, np.float32)
    rows, shown = np.empty(_WIDE * 16, np.float32), np.empty(256, np.float32)
    low, right = reference.shape[0] - _WIDE, reference.shape[1] - _WIDE
    size, factor, constant = np.float32(scale), np.float32(per_power), np.float32(least)
    share = np.float32(2 * mean_share)
    rounds = (len(candidates) + 3) // 4
    for by in range(first, last):
        for bx in range(field.shape[1]):
            best, best_v, best_h = np.float32(np.inf), 0, 0
            centre_v = centre_h = 0
            for number in range(rounds + 2 * len(steps)):
                # up to four vectors are tried together
                count = 4
                if number < rounds:
                    count = min(4, len(candidates) - 4 * number)
                    for k in range(count):
                        tried[k, 0] = candidates[4 * number + k, by, bx, 0]
                        tried[k, 1] = candidates[4 * number + k, by, bx, 1]
                elif (number - rounds) % 2 == 0:
                    step = steps[(number - rounds) // 2]
                    centre_v, centre_h = best_v, best_h
                    for k in range(4):
                        tried[k, 0] = centre_v + (step if k == 1 else -step if k == 0 else 0)
                        tried[k, 1] = centre_h + (step if k == 3 else -step if k == 2 else 0)
                elif diagonal == NONE:
                    continue
                else:
                    step = steps[(number - rounds) // 2]
                    for k in range(4):
                        tried[k, 0] = centre_v + (step if k >= 2 else -step)
                        tried[k, 1] = centre_h + (step if k % 2 else -step)
                    if diagonal == ONE:
                        count = 1
                        tried[0, 0] = centre_v + (-step if missed[0] < missed[1] else step)
                        tried[0, 1] = centre_h + (-step if missed[2] < missed[3] else step)
                every = 1 if is_fine else 2
                for k in range(count):
                    v = tried[k, 0] = min(max(tried[k, 0], -furthest), furthest)
                    h = tried[k, 1] = min(max(tried[k, 1], -furthest), furthest)
                    row = max(0, min(by * 16 + (v >> 2) - 3 + border, low))
                    col = max(0, min(bx * 16 + (h >> 2) - 3 + border, right))
                    if (v | h) & 3 == 0:
                        for part in range(4):
                            i, j = (part >> 1) * 8, (part & 1) * 8
                            lane = k * 4 + part
                            for r in range(8 // every):
                                for c in range(8):
                                    sample = target[by * 16 + i + every * r, bx * 16 + j + c]
                                    seen = reference[row + 3 + i + every * r, col + 3 + j + c]
                                    values[(r * 8 + c) * 16 + lane] = seen - sample
                        continue
                    a, b, c, d, e, f, g, i = filters[h & 3]
                    for r in range(_WIDE):
                        given, into = reference[row + r, col : col + _WIDE], rows[r * 16 : r * 16 + 16]
                        for n in range(16):
                            sample = (a * given[n] + b * given[n + 1]) + (c * given[n + 2] + d * given[n + 3])
                            sample += (e * given[n + 4] + f * given[n + 5]) + (g * given[n + 6] + i * given[n + 7])
                            into[n] = sample
                    a, b, c, d, e, f, g, i = filters[v & 3]
                    for n in range(256):
                        sample = (a * rows[n] + b * rows[n + 16]) + (c * rows[n + 32] + d * rows[n + 48])
                        sample += (e * rows[n + 64] + f * rows[n + 80]) + (g * rows[n + 96] + i * rows[n + 112])
                        shown[n] = max(min((sample + ROUND) - ROUND, _PEAK), np.float32(0))
                    for part in range(4):
                        i, j = (part >> 1) * 8, (part & 1) * 8
                        lane = k * 4 + part
                        for r in range(8 // every):
                            for c in range(8):
                                sample = target[by * 16 + i + every * r, bx * 16 + j + c]
                                values[(r * 8 + c) * 16 + lane] = shown[(i + every * r) * 16 + j + c] - sample
                if is_fine:
                    hadamard(values)
                    for n in range(1024):
                        values[n] *= size
                    coding_costs(values, costs, factor, constant)
                    for lane in range(16):
                        totals[lane] = values[lane]
                else:
                    for n in range(512):
                        costs[n] = values[n]
                    summed(costs)
                    for lane in range(16):
                        means[lane] = costs[lane] * np.float32(1 / 32)
                    for n in range(512):
                        costs[n] = abs(values[n])
                    summed(costs)
                    for lane in range(16):
                        plain[lane] = costs[lane]
                    for start in range(0, 512, 16):
                        for lane in range(16):
                            costs[start + lane] = abs(values[start + lane] - means[lane])
                    summed(costs)
                    for lane in range(16):
                        totals[lane] = costs[lane] * (np.float32(2) - share) + plain[lane] * share
                for k in range(count):
                    v, h = tried[k, 0], tried[k, 1]
                    down = min(abs(v - guess[by, bx, 0]), len(logarithms) - 1)
                    across = min(abs(h - guess[by, bx, 1]), len(logarithms) - 1)
                    rate = np.float32(2) * (logarithms[down] + logarithms[across])
                    rate = rate + np.float32(2.5) if rate > 0 else np.float32(0.3)
                    cost = (totals[4 * k] + totals[4 * k + 1]) + (totals[4 * k + 2] + totals[4 * k + 3])
                    cost += np.float32(price) * rate
                    if number >= rounds and (number - rounds) % 2 == 0:
                        missed[k] = cost
                    if cost < best:
                        best, best_v, best_h = cost, v, h
            field[by, bx, 0], field[by, bx, 1] = best_v, best_h


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
