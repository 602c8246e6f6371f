"""How much of a picture stays as it is, by a look at what comes."""

import numpy as np

from lvc.video import Frame

BLOCK = 16
SAME = 1.5
"""Mean absolute difference, in 8-bit grey levels, below which a block has not changed: grain and noise of a camera."""


def stillness(frame: Frame, later: Frame, bit_depth: int) -> float:
    """The share of whole 16x16 blocks of luma that are the same in a later frame, 0...1; 0 for the same frame."""
    rows, cols = (size // BLOCK for size in frame.planes[0].shape)
    if frame is later or not rows or not cols:
        return 0.0
    first, second = (each.planes[0][: rows * BLOCK, : cols * BLOCK].astype(np.int32) for each in (frame, later))
    changes = np.abs(first - second).reshape(rows, BLOCK, cols, BLOCK).mean((1, 3))
    return float((changes < SAME * (1 << (bit_depth - 8))).mean())
