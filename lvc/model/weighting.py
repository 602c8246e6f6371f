"""Weighted prediction: a reference that is darker, brighter or flatter than it was, for fades, flashes and exposure.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

from typing import NamedTuple

import numpy as np

from lvc.model.prediction import MIDDLE, PEAK, Memory, Picture
from lvc.rangecoder import Coder, Table

UNIT = 256
"""A gain of one."""
_GAIN_BITS = 10
GAIN_MAX = (1 << _GAIN_BITS) - 1
_OFFSET_BITS = 11
OFFSET_MIN, OFFSET_MAX = -(1 << _OFFSET_BITS - 1), (1 << _OFFSET_BITS - 1) - 1
INCREMENT = 24


class Weighting(NamedTuple):
    """What luma is multiplied by, in 256ths, 0...GAIN_MAX, and what is then added to it, OFFSET_MIN...OFFSET_MAX.

    Chroma, counted from the middle, is multiplied by the same.
    """

    gain: int
    offset: int

    def of(self, picture: Picture) -> Picture:
        """A picture so changed, 10-bit integers as before."""
        gain = self.gain / UNIT
        y = ((picture.y * gain).round_() + self.offset).clamp_(0, PEAK)
        uv = (((picture.uv - MIDDLE) * gain).round_() + MIDDLE).clamp_(0, PEAK)
        return Picture(y, uv)


def fresh_weighting_tables() -> list[Table]:
    """For pictures with one reference and with two: whether a reference is weighted."""
    return [Table([250, 6], INCREMENT) for _ in range(2)]


def code_weighting(coder: Coder, table: Table, wanted: Weighting | None) -> Weighting | None:
    """Write or read how a reference is weighted; None for not at all, and when reading."""
    if not coder.code(table, np.array([wanted is not None]).astype(np.int64), 1)[0]:
        return None
    gain, offset = wanted or (0, 0)
    found = coder.raw(np.array([gain]), 1, _GAIN_BITS), coder.raw(np.array([offset - OFFSET_MIN]), 1, _OFFSET_BITS)
    return Weighting(int(found[0][0]), int(found[1][0]) + OFFSET_MIN)


def weighted(memory: Memory, weighting: Weighting | None) -> Memory:
    """What a reference has left, its picture weighted."""
    return memory if weighting is None else memory._replace(picture=weighting.of(memory.picture))
