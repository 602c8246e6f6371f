"""Blocks of pictures between their samples, see :mod:`lvc.exact.warp`, alone or overlapped, see
:mod:`lvc.exact.overlap`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled

Floats = npt.NDArray[np.float32]


def _reader(block: int, taps: int) -> Callable[..., Any]:
    """For blocks of so many samples to a side and filters of so many taps."""
    size, before = block + taps - 1, taps // 2 - 1
    across_length, length = size * size - taps + 1, (block - 1) * size + block  # as in an _overlapper

    @compiled
    def read(
        planes: Floats,
        border: int,
        shape: tuple[int, int],
        which: npt.NDArray[np.int64],
        vectors: npt.NDArray[np.int64],
        filters: Floats,
        chosen: npt.NDArray[np.int64],
        peak: np.float32,
        out: Floats,
        first: int,
        last: int,
    ) -> None:
        """Blocks ``first`` to ``last - 1`` of n.

        Args:
            planes: [B, C, H + 2 border, W + 2 border], pictures with their borders repeated so far: by block + taps - 1
                or more samples.
            shape: rows and columns of blocks in a picture.
            which: number of each block in the batch, by rows, [n].
            vectors: [n, 2], as many positions between samples as there are filters.
            filters: [sets, positions, taps].
            chosen: the set of each picture, [B].
            out: [n, C, block, block].
        """
        window, rows = np.empty(size * size, np.float32), np.empty(size * size, np.float32)
        found = np.empty(length, np.float32)
        lowest, furthest, positions = planes.shape[2] - size, planes.shape[3] - size, filters.shape[1]
        for n in range(first, last):
            picture, number = which[n] // (shape[0] * shape[1]), which[n] % (shape[0] * shape[1])
            v, h = vectors[n, 0], vectors[n, 1]
            top = max(0, min(number // shape[1] * block + v // positions - before + border, lowest))
            left = max(0, min(number % shape[1] * block + h // positions - before + border, furthest))
            down, across = filters[chosen[picture], v % positions], filters[chosen[picture], h % positions]
            for channel in range(planes.shape[1]):
                for r in range(size):
                    for c in range(size):
                        window[r * size + c] = planes[picture, channel, top + r, left + c]
                for at in range(across_length):
                    value = np.float32(0)
                    for k in range(taps):
                        value += across[k] * window[at + k]
                    rows[at] = value
                for at in range(length):
                    value = np.float32(0)
                    for k in range(taps):
                        value += down[k] * rows[at + k * size]
                    found[at] = max(min((value + ROUND) - ROUND, peak), np.float32(0))
                for r in range(block):
                    for c in range(block):
                        out[n, channel, r, c] = found[r * size + c]

    return read


def _overlapper(block: int, taps: int) -> Callable[..., Any]:
    """For blocks of so many samples to a side and filters of so many taps."""
    size, before = block + taps - 1, taps // 2 - 1
    # what is computed of a block lies in rows as long as those of its window: so each step is one long loop, which is
    # worth the samples beyond the block
    across_length, length = size * size - taps + 1, (block - 1) * size + block

    @compiled
    def overlap(
        reference: Floats,
        border: int,
        field: npt.NDArray[np.int64],
        used: npt.NDArray[np.bool_],
        filters: Floats,
        weights: Floats,
        peak: np.float32,
        own: Floats,
        out: Floats,
        first: int,
        last: int,
    ) -> None:
        """Rows of blocks ``first`` to ``last - 1`` of one plane, as all vectors together predict it.

        Args:
            reference: [H + 2 border, W + 2 border], the plane with its border repeated so far: by block + taps - 1 or
                more samples.
            field: [h, w, 2], as many positions between samples as there are filters.
            used: [h, w]; others are given their ``own``, or zeros.
            filters: [positions, taps] of the set in use.
            weights: [4, block * size]: above, below, left, right; or empty: no block is overlapped.
            own: [H, W], or empty.
            out: [H, W].
        """
        window, rows = np.empty(size * size, np.float32), np.empty(size * size, np.float32)
        # of a whole vector only the block itself is written
        mine, other, total = np.zeros(length, np.float32), np.zeros(length, np.float32), np.zeros(length, np.float32)
        lowest, furthest = reference.shape[0] - size, reference.shape[1] - size
        height, width = used.shape
        positions = len(filters)
        is_plain = filters[0, before] == 1  # whole vectors show samples as they are
        for i in range(first, last):
            for j in range(width):
                if not used[i, j]:
                    for r in range(i * block, (i + 1) * block):
                        for c in range(j * block, (j + 1) * block):
                            out[r, c] = own[r, c] if own.size else np.float32(0)
                    continue
                for side in range(-1, len(weights)):
                    ii = i + (1 if side == 1 else -1 if side == 0 else 0)
                    jj = j + (1 if side == 3 else -1 if side == 2 else 0)
                    if side >= 0:
                        if ii < 0 or jj < 0 or ii >= height or jj >= width or not used[ii, jj]:
                            continue
                        if field[ii, jj, 0] == field[i, j, 0] and field[ii, jj, 1] == field[i, j, 1]:
                            continue
                    elif own.size:
                        for r in range(block):
                            for c in range(block):
                                mine[r * size + c] = total[r * size + c] = own[i * block + r, j * block + c]
                        continue
                    v, h = field[ii, jj, 0], field[ii, jj, 1]
                    # further out than the border is repeated all samples are the same
                    top = max(0, min(i * block + v // positions - before + border, lowest))
                    left = max(0, min(j * block + h // positions - before + border, furthest))
                    if is_plain and v % positions == 0 and h % positions == 0:
                        for r in range(block):
                            for c in range(block):
                                value = (reference[top + before + r, left + before + c] + ROUND) - ROUND
                                other[r * size + c] = max(min(value, peak), np.float32(0))
                    else:
                        for r in range(size):
                            for c in range(size):
                                window[r * size + c] = reference[top + r, left + c]
                        across, down = filters[h % positions], filters[v % positions]
                        if is_plain and h % positions == 0:
                            for n in range(across_length):
                                rows[n] = window[n + before]
                        else:
                            for n in range(across_length):
                                value = np.float32(0)
                                for k in range(taps):
                                    value += across[k] * window[n + k]
                                rows[n] = value
                        for n in range(length):
                            value = np.float32(0)
                            for k in range(taps):
                                value += down[k] * rows[n + k * size]
                            other[n] = max(min((value + ROUND) - ROUND, peak), np.float32(0))
                    if side < 0:
                        for n in range(length):
                            mine[n] = total[n] = other[n]
                    else:
                        for n in range(length):
                            total[n] += (other[n] - mine[n]) * weights[side, n]
                for r in range(block):
                    for c in range(block):
                        out[i * block + r, j * block + c] = (total[r * size + c] + ROUND) - ROUND

    return overlap


overlap_luma = _overlapper(8, 8)
overlap_chroma = _overlapper(4, 4)
read_luma = _reader(8, 8)
read_chroma = _reader(4, 4)
