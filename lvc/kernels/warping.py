"""Features moved by vectors, and predictions put together; see :mod:`lvc.exact.warp` and :mod:`lvc.model.codec`."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@compiled
def warp(x: Floats, field: Ints, shift: int, out: Floats, first: int, last: int) -> None:
    """Channels ``first`` to ``last - 1``, bilinear.

    Args:
        x, out: [C, h * w].
        field: [h, w, 2] in units of 2^-shift positions.
    """
    height, width = field.shape[:2]
    area, one = height * width, 1 << shift
    corners = np.empty((4, area), np.int64)
    shares = np.empty((4, area), np.float32)
    scale = np.float32(1.0 / (one * one))
    for i in range(height):
        for j in range(width):
            at = i * width + j
            y, z = i + (field[i, j, 0] >> shift), j + (field[i, j, 1] >> shift)
            fy, fx = field[i, j, 0] & (one - 1), field[i, j, 1] & (one - 1)
            y0, y1 = min(max(y, 0), height - 1) * width, min(max(y + 1, 0), height - 1) * width
            x0, x1 = min(max(z, 0), width - 1), min(max(z + 1, 0), width - 1)
            corners[0, at], corners[1, at], corners[2, at], corners[3, at] = y0 + x0, y0 + x1, y1 + x0, y1 + x1
            shares[0, at], shares[1, at] = (one - fy) * (one - fx) * scale, (one - fy) * fx * scale
            shares[2, at], shares[3, at] = fy * (one - fx) * scale, fy * fx * scale
    for channel in range(first, last):
        plane, moved = x[channel], out[channel]
        for at in range(area):
            total = plane[corners[0, at]] * shares[0, at] + plane[corners[1, at]] * shares[1, at]
            total += plane[corners[2, at]] * shares[2, at] + plane[corners[3, at]] * shares[3, at]
            moved[at] = (total + ROUND) - ROUND


@compiled
def mix(
    a: Floats, b: Floats, modes: Ints, factor: int, blank: Floats, out: Floats, apart: Floats, first: int, last: int
) -> None:
    """Rows of blocks ``first`` to ``last - 1`` of predictions from two references, and from nothing.

    Args:
        a, b, out: [C, h * factor, w * factor].
        modes: [h, w]: 0 as in a, 1 as in b, 2 the rounded mean, 3 nothing.
        blank: [C], what nothing looks like.
        apart: what a and b differ by where their mean is taken, else 0, as ``out``; or empty.
    """
    half = np.float32(0.5)
    width = modes.shape[1]
    for channel in range(len(a)):
        for i in range(first, last):
            for y in range(i * factor, (i + 1) * factor):
                from_a, from_b, row = a[channel, y], b[channel, y], out[channel, y]
                for j in range(width):
                    mode = modes[i, j]
                    for x in range(j * factor, (j + 1) * factor):
                        mean = ((from_a[x] + from_b[x]) * half + ROUND) - ROUND
                        one = from_a[x] if mode == 0 else from_b[x]
                        row[x] = mean if mode == 2 else blank[channel] if mode == 3 else one
                if apart.size:
                    left = apart[channel, y]
                    for j in range(width):
                        is_both = modes[i, j] == 2
                        for x in range(j * factor, (j + 1) * factor):
                            left[x] = from_a[x] - from_b[x] if is_both else np.float32(0)
