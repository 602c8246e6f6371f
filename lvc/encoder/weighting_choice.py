"""Whether a reference may be like a picture only after it was made darker, brighter or flatter: in fades and flashes.

Looked for at an eighth of the resolution, where a few samples of motion hardly matter: it only has to find the few
pictures for which a second motion search, in the weighted reference, is worth its time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.model.prediction import MIDDLE, Picture
from lvc.model.weighting import GAIN_MAX, OFFSET_MAX, OFFSET_MIN, UNIT, Weighting

_SCALE = 8
_CELL, _RADIUS = 4, 3
"""Blocks that are compared, and how far they are looked for, in samples at that resolution."""
_LEAST_OFFSET, _LEAST_GAIN = 2.0, 0.02
"""Means and contrasts that differ by less, in 10-bit grey levels and as a share, are taken for equal."""
_LEAST_CHROMA = 8.0
"""The same for means of chroma, in 10-bit grey levels: what comes into sight changes them, too."""
_FLAT = 2.0
"""A standard deviation in 10-bit grey levels, below which a reference has no contrast to be multiplied."""
_SHARE = 0.8
"""Of the difference must be left at most (in fades and flashes of four clips: 0 to 0.8; where nothing fades 0.94 and
more, but for pictures of a few dozen blocks)."""
_LEAST_WON = 0.5
"""So much of it must go, in 10-bit grey levels."""


@torch.no_grad()
def likely_weighting(target: Picture, reference: Picture) -> Weighting | None:
    """How a reference would have to be weighted to be like a picture, both [1, ...]; None: not at all."""
    wanted, small = F.avg_pool2d(target.y, _SCALE), F.avg_pool2d(reference.y, _SCALE)
    mean, old_mean = (float(each.double().mean()) for each in (wanted, small))
    contrast, old_contrast = (float(each.double().std(correction=0)) for each in (wanted, small))
    ratio = contrast / old_contrast if old_contrast > _FLAT else 1.0
    if abs(mean - old_mean) < _LEAST_OFFSET and abs(ratio - 1) < _LEAST_GAIN:
        return None
    gain = min(round(UNIT * ratio), GAIN_MAX)
    offset = _offset(mean - old_mean * gain / UNIT)
    before, after = (_left(wanted, each) for each in (small, small * (gain / UNIT) + offset))
    if after >= min(_SHARE * before, before - _LEAST_WON):
        return None
    chroma, old_chroma = ((each.uv.double().mean((0, 2, 3)) - MIDDLE).tolist() for each in (target, reference))
    moved = [new - old * gain / UNIT for new, old in zip(chroma, old_chroma, strict=True)]
    u_offset, v_offset = (_offset(each) if abs(each) >= _LEAST_CHROMA else 0 for each in moved)
    return Weighting(gain, offset, u_offset, v_offset)


def _offset(wanted: float) -> int:
    return min(max(round(wanted), OFFSET_MIN), OFFSET_MAX)


def _left(target: Tensor, reference: Tensor) -> float:
    """Mean absolute difference of a small picture and the best matches of its blocks."""
    height, width = target.shape[2:]
    around = F.pad(reference, (_RADIUS,) * 4, mode="replicate")[0, 0]
    places = range(2 * _RADIUS + 1)
    ways = torch.stack([around[y : y + height, x : x + width] for y in places for x in places])
    cells = F.avg_pool2d((ways - target[0]).abs_(), _CELL, ceil_mode=True, count_include_pad=False)
    return float(cells.amin(0).double().mean())
