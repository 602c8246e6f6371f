"""Weighted prediction: a reference that is darker, brighter or flatter than it was, for fades, flashes and exposure.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

from typing import NamedTuple

import numpy as np
import torch

from lvc.model.prediction import MIDDLE, PEAK, Memory, Picture
from lvc.rangecoder import Coder, Table

UNIT = 256
"""A gain of one."""
_GAIN_BITS = 10
GAIN_MAX = (1 << _GAIN_BITS) - 1
_OFFSET_BITS = 11
OFFSET_MIN, OFFSET_MAX = -(1 << _OFFSET_BITS - 1), (1 << _OFFSET_BITS - 1) - 1
INCREMENT = 24
_LUMA, _WITH_CHROMA = 1, 2


class Weighting(NamedTuple):
    """What luma is multiplied by, in 256ths, 0...GAIN_MAX, and what is then added to it, OFFSET_MIN...OFFSET_MAX.

    Chroma, counted from the middle, is multiplied by the same, and has offsets of its own.
    """

    gain: int
    offset: int
    u_offset: int = 0
    v_offset: int = 0

    def of(self, picture: Picture) -> Picture:
        """A picture so changed, 10-bit integers as before."""
        gain = self.gain / UNIT
        y = ((picture.y * gain).round_() + self.offset).clamp_(0, PEAK)
        offsets = torch.tensor([self.u_offset, self.v_offset]).to(picture.uv).view(1, 2, 1, 1)
        uv = (((picture.uv - MIDDLE) * gain).round_() + (MIDDLE + offsets)).clamp_(0, PEAK)
        return Picture(y, uv)


def fresh_weighting_tables() -> list[Table]:
    """For pictures with one reference and with two: whether a reference is weighted, also with offsets of chroma."""
    return [Table([250, 4, 2], INCREMENT) for _ in range(2)]


def code_weighting(coder: Coder, table: Table, wanted: Weighting | None) -> Weighting | None:
    """Write or read how a reference is weighted; None for not at all, and when reading."""
    gain, *offsets = wanted or (0, 0, 0, 0)
    kind = 0 if wanted is None else _WITH_CHROMA if any(offsets[1:]) else _LUMA
    kind = int(coder.code(table, np.array([kind]), 1)[0])
    if not kind:
        return None
    gain = int(coder.raw(np.array([gain]), 1, _GAIN_BITS)[0])
    count = 3 if kind == _WITH_CHROMA else 1
    found = coder.raw(np.array(offsets[:count]) - OFFSET_MIN, count, _OFFSET_BITS) + OFFSET_MIN
    return Weighting(gain, *found.tolist())


def weighted(memory: Memory, weighting: Weighting | None) -> Memory:
    """What a reference has left, its picture weighted."""
    return memory if weighting is None else memory._replace(picture=weighting.of(memory.picture))
