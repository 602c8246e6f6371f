"""What exact layers do besides products of matrices, in one go; see :mod:`lvc.exact.layers`.

Each is too short to be shared among threads: 0.2 ms and less at 640x352.
"""

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.int8]
Words = npt.NDArray[np.int32]
Runs = npt.NDArray[np.int64]
Taps = tuple[np.float32, ...]


@compiled
def halve(columns: Floats, halves: Bytes) -> None:
    """Write activations [k, n], -2048...2047, as two bytes each, [k, 2 n]: sixteenths, then what is left of them."""
    count = columns.shape[1]
    for channel in range(len(columns)):
        row, high, low = columns[channel], halves[channel, :count], halves[channel, count:]
        for n in range(count):
            high[n] = np.int8(np.int32(row[n]) >> np.int32(4))
        for n in range(count):  # two loops become vector instructions, one does not
            low[n] = np.int8(np.int32(row[n]) & np.int32(15))


@compiled
def join(products: Words, grid: Floats, sums: Floats) -> None:
    """Make sums [m, n] of the products of both halves, [m, 2 n], which float32 holds exactly.

    Args:
        grid: what products of each row are multiples of, [m].
    """
    count = sums.shape[1]
    for channel in range(len(sums)):
        high, low, into = products[channel, :count], products[channel, count:], sums[channel]
        whole, part = grid[channel] * np.float32(16), grid[channel]
        for n in range(count):
            into[n] = np.float32(high[n]) * whole + np.float32(low[n]) * part


@compiled
def finish(sums: Floats, offsets: Floats, is_leaky: bool, most: float) -> None:
    """Make activations of sums, in place.

    Args:
        sums: [C, n].
        offsets: of each channel.
        is_leaky: whether negative ones are divided by eight.
        most: largest activation.
    """
    slope, limit = np.float32(0.125 if is_leaky else 1.0), np.float32(most)
    for channel in range(len(offsets)):
        row, offset = sums[channel], offsets[channel]
        for n in range(len(row)):
            value = row[n] + offset
            value = max(value, value * slope)
            row[n] = (min(max(value, -limit), limit) + ROUND) - ROUND


@compiled
def finish_and_add(sums: Floats, offsets: Floats, most: float, given: Floats, out: Floats, start: int) -> None:
    """Make activations of sums and add what is given.

    Args:
        sums: [C, n].
        offsets: of each channel.
        most: largest activation.
        given, out: [C, N]; positions from ``start`` on are meant.
    """
    limit = np.float32(most)
    for channel in range(len(offsets)):
        row, offset = sums[channel], offsets[channel]
        added, into = given[channel, start : start + len(row)], out[channel, start : start + len(row)]
        for n in range(len(row)):
            value = (min(max(row[n] + offset, -limit), limit) + ROUND) - ROUND
            into[n] = min(max(value + added[n], -limit), limit)


@compiled
def _taps(weights: Floats) -> Taps:
    """Weights [3, 3] by rows, as numbers that stay in registers."""
    w = weights
    return w[0, 0], w[0, 1], w[0, 2], w[1, 0], w[1, 1], w[1, 2], w[2, 0], w[2, 1], w[2, 2]


@compiled
def _filter(
    up: Floats, here: Floats, down: Floats, taps: Taps, offset: np.float32, limit: np.float32, out: Floats
) -> None:
    """Activations of a run of places from three rows that begin one place before it."""
    a, b, c, d, e, f, g, h, i = taps
    for n in range(len(out)):
        value = (a * up[n] + b * up[n + 1]) + (c * up[n + 2] + d * here[n])
        value += (e * here[n + 1] + f * here[n + 2]) + (g * down[n] + h * down[n + 1])
        value += i * down[n + 2] + offset
        out[n] = (min(max(value, -limit), limit) + ROUND) - ROUND


@compiled
def depthwise(x: Floats, weights: Floats, offsets: Floats, most: float, out: Floats) -> None:
    """Filter each channel, 3x3 with zeros around, to activations.

    Args:
        x, out: [C, h, w].
        weights: [C, 3, 3].
        offsets: of each channel.
        most: largest activation.
    """
    height, width = x.shape[1:]
    # rows with a zero on both sides lie one behind the other: so all of a channel is one long loop
    wide = width + 2
    padded, found = np.zeros((height + 2) * wide, np.float32), np.empty(height * wide - 2, np.float32)
    limit = np.float32(most)
    for channel in range(len(offsets)):
        for y in range(height):
            row = padded[(y + 1) * wide + 1 : (y + 1) * wide + 1 + width]
            for n in range(width):
                row[n] = x[channel, y, n]
        _filter(padded, padded[wide:], padded[2 * wide :], _taps(weights[channel]), offsets[channel], limit, found)
        for y in range(height):
            row = found[y * wide : y * wide + width]
            for n in range(width):
                out[channel, y, n] = row[n]


@compiled
def depthwise_near(
    x: Floats, width: int, runs: Runs, weights: Floats, offsets: Floats, most: float, out: Floats
) -> None:
    """The same in some places, see :mod:`lvc.exact.near`.

    Args:
        x: [C, h w].
        runs: first place and number of places of each run in a row, [k, 2]; n places in all.
        weights: [C, 3, 3].
        offsets: of each channel.
        most: largest activation.
        out: [C, n].
    """
    height, wide = x.shape[1] // width, width + 2
    first, last = max(runs[0, 0] // width - 1, 0), min(runs[-1, 0] // width + 2, height)
    padded = np.zeros((height + 2) * wide, np.float32)
    limit = np.float32(most)
    for channel in range(len(offsets)):
        taps, at = _taps(weights[channel]), 0
        for y in range(first, last):
            row, source = padded[(y + 1) * wide + 1 :], x[channel, y * width :]
            for n in range(width):
                row[n] = source[n]
        for run in range(len(runs)):
            start, count = runs[run]
            above = start + 2 * (start // width)
            up, here, down = padded[above:], padded[above + wide :], padded[above + 2 * wide :]
            _filter(up, here, down, taps, offsets[channel], limit, out[channel, at : at + count])
            at += count


@compiled
def finish_and_add_near(sums: Floats, offsets: Floats, most: float, runs: Runs, planes: Floats) -> None:
    """Make activations of sums and add them in some places.

    Args:
        sums: [C, n].
        offsets: of each channel.
        most: largest activation.
        runs: of n places in all.
        planes: [C, h w], changed in place.
    """
    limit = np.float32(most)
    for channel in range(len(offsets)):
        offset, at = offsets[channel], 0
        for run in range(len(runs)):
            start, count = runs[run]
            row, into = sums[channel, at : at + count], planes[channel, start : start + count]
            for n in range(count):
                value = (min(max(row[n] + offset, -limit), limit) + ROUND) - ROUND
                into[n] = min(max(value + into[n], -limit), limit)
            at += count
