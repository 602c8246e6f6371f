"""Means and sums over the samples of squares, see :mod:`lvc.encoder.motion_search`, :mod:`lvc.encoder.temporal_filter`
and :mod:`lvc.encoder.block_choice`.
"""

import numpy as np
import numpy.typing as npt

from lvc.kernels import compiled

Floats = npt.NDArray[np.float32]


@compiled
def quarter(plane: Floats, out: Floats) -> None:
    """Of each 4x4 samples that do not overlap, [h, w] to [h / 4, w / 4], rounded down."""
    height, width = out.shape
    for y in range(height):
        a, b, c, d = plane[4 * y], plane[4 * y + 1], plane[4 * y + 2], plane[4 * y + 3]
        row = out[y]
        for x in range(width):
            total = np.float32(0)
            for n in range(4 * x, 4 * x + 4):
                total += (a[n] + b[n]) + (c[n] + d[n])
            row[x] = total * np.float32(1 / 16)


@compiled
def add_squares(one: Floats, other: Floats, out: Floats) -> None:
    """Add the squared differences in each of the squares that planes [h, w] are cut into to [h / side, w / side]."""
    side = one.shape[1] // out.shape[1]
    column = np.empty(one.shape[1], np.float32)
    for y in range(len(out)):
        column[:] = 0
        for line in range(y * side, (y + 1) * side):
            first, second = one[line], other[line]
            for x in range(len(column)):
                difference = first[x] - second[x]
                column[x] += difference * difference
        row = out[y]
        for x in range(len(row)):
            for n in range(x * side, (x + 1) * side):
                row[x] += column[n]


@compiled
def mean_square(one: Floats, other: Floats, margin: int, out: Floats) -> None:
    """Of the squared differences around each sample that lie in the plane: of those of its column first.

    Args:
        one, other, out: [h, w].
        margin: how far others are away at most, by rows and by columns.
    """
    height, width = one.shape
    squares = np.empty((height, width), np.float32)
    for y in range(height):
        first, second, row = one[y], other[y], squares[y]
        for x in range(width):
            difference = first[x] - second[x]
            row[x] = difference * difference
    column = np.zeros(width + 2 * margin, np.float32)
    middle = column[margin : margin + width]
    for y in range(height):
        top, bottom = max(y - margin, 0), min(y + margin + 1, height)
        middle[:] = 0
        for line in range(top, bottom):
            row = squares[line]
            for x in range(width):
                middle[x] += row[x]
        row = out[y]
        row[:] = 0
        for shift in range(2 * margin + 1):
            for x in range(width):
                row[x] += column[x + shift]
        for x in range(width):
            across = min(x + margin + 1, width) - max(x - margin, 0)
            row[x] /= np.float32((bottom - top) * across)
