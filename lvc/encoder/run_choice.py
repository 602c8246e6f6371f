"""Whether a run of pictures is cheaper with pictures between its anchors or without, from as little of it as will do.

A cost is in bits: those of the file, and squared errors times what one is worth in bits.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lvc.video import Plane

ANCHOR_WEIGHT = 2.4
"""What the error of the last picture of a run counts in that beyond its own: later ones inherit it. Measured over ten
clips at three qualities, 25 frames: right decisions would bring 8.1 % against anchors only, those after the first run
bring 7.7 % with this weight, 7.3 % with 1 and 6.7 % with none."""
HARD = 0.5
"""Share of the bits of the intra picture from which on a picture eight pictures later is hard to predict. Over 57 other
clips at qualities 25 and 60 the first run was cheaper without pictures between in 9 % of cases, in half of these."""
PREDICTABLE_RUN, PREDICTABLE_QUALITY = 8, 70
"""For runs of so many pictures and up to this quality :func:`between_cost` holds: finer ones code noise."""
FINE = 80
"""From this quality on :func:`least_won` and :func:`alignment` count in full; from PREDICTABLE_QUALITY on in part."""
_BETWEEN = (0.9, 9.6, 1.4, 1.0, -7.5)
"""Weights in that, fitted to 67 clips at qualities 25 and 60, where what it tells is off by 2.8 % (standard deviation)
and on the wrong side in none of 19 hard cases."""


DOUBT = 0.05
"""Share by which a run that is not all coded has to look dearer than another to be given up, above PREDICTABLE_QUALITY:
where hardly anything changes, what each picture leaves to the next gets better and better (a picture of ten times the
same, quality 95: after two pictures it looks 0.2 % dearer without pictures between, in the end it is 12 % cheaper and
takes half the bytes)."""


LEAST_WON = 0.1
"""Share of the bits of the intra picture that has to be won without pictures between, above PREDICTABLE_QUALITY: where
a run costs next to nothing, how later ones add to what it leaves tells more than its cost. Measured over ten clips at
qualities 76, 82, 88 and 94, 33 frames of crops: wrong choices after the first run cost 0.82 instead of 0.96 % rate;
those for a screen are right then (6.1 and 2.7 % at 88 and 94), those for a red tree no longer (2.9 and 2.8 %)."""


QUALITY_ERROR = 0.055
"""By how much the natural logarithm of errors falls with each quality, where they are fine (0.05 to 0.06 over four
clips at qualities 76 to 94; in theory, without what rounding to samples adds, 0.09)."""


class Cost(NamedTuple):
    """Of one coded picture: its bits, its squared error in bits, and what of that later pictures may inherit."""

    bits: float
    error: float
    inherited: float

    @property
    def total(self) -> float:
        """Both."""
        return self.bits + self.error


def squared_error(source: Sequence[Plane], decoded: Sequence[Plane], bit_depth: int) -> float:
    """Summed squared error in 8-bit grey levels, chroma samples weighted 4 to 6 (four times as many, in luma's)."""
    y, u, v = (float(np.square(a.astype(np.float32) - b).sum()) for a, b in zip(source, decoded, strict=True))
    return (6 * y + 16 * (u + v)) / 8 / (1 << 2 * (bit_depth - 8))


def run_cost(costs: Sequence[Cost], length: int) -> float:
    """Cost of a run of that length, if the rest of it is like the first pictures, whose costs are given.

    The very first one may be much dearer than others: in a still scene it has all there is to improve. Without pictures
    between it is nearly always more that comes out in the end, since errors add up: of 67 clips at two qualities none
    came out more than 8 % cheaper than it looked after two pictures, and a fifth dearer is the rule.
    """
    totals = [cost.total for cost in costs]
    rest = totals[1:] or totals
    each = min(sum(totals) / len(totals), sum(rest) / len(rest))
    return sum(totals) + each * (length - len(totals)) + ANCHOR_WEIGHT * costs[-1].inherited


def doubt(quality: float) -> float:
    """See DOUBT; 0 where a cost can be told."""
    return DOUBT if quality > PREDICTABLE_QUALITY else 0.0


def least_won(quality: float, intra_bits: float) -> float:
    """See LEAST_WON, in bits; 0 where a cost can be told."""
    return LEAST_WON * intra_bits * _fineness(quality)


def alignment(quality: float, plain: Sequence[Cost], between: Sequence[Cost], before: float = 0.0) -> float:
    """Qualities by which pictures without others between are to be finer than the settings say (negative: coarser).

    It makes their errors as large as those with pictures between. Otherwise the same quality means up to 0.6 dB more or
    less, and curves fall where they change from one order to the other: ten clips, 17 frames of crops, quality 87 to
    88: -5 % bytes and -0.4 dB, with it -0.1 % and +0.1 dB.

    Args:
        quality: of the run, as in the settings.
        plain, between: of all pictures of the run in both orders.
        before: by how much those without pictures between were finer for this reason.
    """
    plain_error, between_error = (max(1.0, sum(cost.error for cost in costs)) for costs in (plain, between))
    return _fineness(quality) * (before + math.log(plain_error / between_error) / QUALITY_ERROR)


def _fineness(quality: float) -> float:
    """0 where a cost can be told, 1 from FINE on."""
    return min(1.0, max(0.0, (quality - PREDICTABLE_QUALITY) / (FINE - PREDICTABLE_QUALITY)))


def is_hard(anchor: Cost, intra_bits: float, quality: float, length: int) -> bool:
    """Whether to see first what a run costs without pictures between, by what its anchor takes with them.

    Args:
        anchor: of the last picture of the run, predicted from the one before the run.
        intra_bits: of the intra picture of its group.
        quality: of the run, as in the settings.
        length: of the run.
    """
    if length != PREDICTABLE_RUN or quality > PREDICTABLE_QUALITY:
        return False
    return anchor.bits > HARD * intra_bits


def between_cost(anchor: Cost, plain: Sequence[Cost]) -> float:
    """What a run is likely to cost with pictures between, in what :func:`run_cost` gives.

    Args:
        anchor: of its last picture, coded first.
        plain: of all its pictures, coded without.
    """
    known = anchor.bits, anchor.inherited, sum(p.bits for p in plain), sum(p.error for p in plain), plain[-1].error
    return sum(weight * value for weight, value in zip(_BETWEEN, known, strict=True))
