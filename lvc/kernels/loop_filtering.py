"""What loop filters look at and what they give, see :mod:`lvc.exact.loop_filter`."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_BLOCK, _CELL = 16, 4


@compiled
def look(
    padded: Floats,
    margin: int,
    pairs: Ints,
    thresholds: Floats,
    directions: int,
    at: Ints,
    samples: Floats,
    bends: Floats,
    classes: Ints,
) -> None:
    """Samples of n blocks, how they bend and the classes of their cells.

    Args:
        padded: pictures with a border, [B, H + 2 margin, W + 2 margin].
        pairs: rows and columns from a sample to one of each pair, [k, 2].
        thresholds: of mean bends.
        directions: classes for each of these, and below.
        at: numbers of the blocks among all of the batch, [n].
        samples, bends, classes: results, see :class:`lvc.exact.loop_filter.Seen`.
    """
    rows, cols = (padded.shape[1] - 2 * margin) // _BLOCK, (padded.shape[2] - 2 * margin) // _BLOCK
    sums = np.empty((2, _CELL), np.float32)
    for n in range(len(at)):
        picture, place = padded[at[n] // (rows * cols)], at[n] % (rows * cols)
        top, left = place // cols * _BLOCK + margin, place % cols * _BLOCK + margin
        for y in range(_BLOCK):
            row, given = samples[n, y], picture[top + y, left : left + _BLOCK]
            for x in range(_BLOCK):
                row[x] = given[x]
            for pair in range(len(pairs)):
                down, right, into = pairs[pair, 0], pairs[pair, 1], bends[n, pair, y]
                one = picture[top + y + down, left + right : left + right + _BLOCK]
                other = picture[top + y - down, left - right : left - right + _BLOCK]
                for x in range(_BLOCK):
                    into[x] = one[x] - given[x] * np.float32(2) + other[x]
        for i in range(_CELL):
            sums[:] = 0
            for pair in range(2):
                for y in range(i * _CELL, (i + 1) * _CELL):
                    for j in range(_CELL):
                        for x in range(j * _CELL, (j + 1) * _CELL):
                            sums[pair, j] += abs(bends[n, pair, y, x])
            for j in range(_CELL):
                across, along = sums[0, j], sums[1, j]
                mean, strength = (across + along) * np.float32(1 / _CELL**2), 0
                for threshold in thresholds:
                    strength += mean >= threshold
                direction = 1 if across > 2 * along else 2 if along > 2 * across else 0
                classes[n, i, j] = strength * directions + direction


@compiled
def correct(
    samples: Floats, bends: Floats, classes: Ints, weights: Floats, fraction: float, most: float, out: Floats
) -> None:
    """Blocks with their corrections.

    Args:
        samples, bends, classes: see :class:`lvc.exact.loop_filter.Seen`.
        weights: of all blocks, [1, CLASSES, PAIRS], or those of each one, [n, ...]; whole numbers of ``fraction``.
        most: the largest sample.
        out: [n, 16, 16], result.
    """
    change, part, limit = np.empty(_BLOCK, np.float32), np.float32(fraction), np.float32(most)
    for n in range(len(samples)):
        sets = weights[n if len(weights) > 1 else 0]
        for y in range(_BLOCK):
            change[:] = 0
            for j in range(_CELL):
                chosen = sets[classes[n, y // _CELL, j]]
                for pair in range(len(chosen)):
                    weight, given = chosen[pair], bends[n, pair, y]
                    for x in range(j * _CELL, (j + 1) * _CELL):
                        change[x] += weight * given[x]
            row, into = samples[n, y], out[n, y]
            for x in range(_BLOCK):
                into[x] = min(max((row[x] + change[x] * part + ROUND) - ROUND, np.float32(0)), limit)
