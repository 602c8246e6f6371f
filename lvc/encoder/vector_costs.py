"""What vectors cost, and which cost less: for encoders, while a field is coded."""

from typing import NamedTuple

import numpy as np

from lvc.model.known_vectors import OPTIONS, Ints, Known
from lvc.model.motion import Floats, MotionTables, symbols_of


class VectorBits(NamedTuple):
    """What the parts of a vector cost, by tables as they are between two pictures.

    Attributes:
        same: [known neighbours, whether they agree, whether it equals the prediction].
        which: by the number of the option that is taken over, 0 for none, [1 + OPTIONS, number of options].
        difference: [component, number of REACHES exceeded, symbol].
    """

    same: Floats
    which: Floats
    difference: Floats

    @classmethod
    def of(cls, tables: MotionTables) -> "VectorBits":
        """By these tables."""
        which = [
            np.zeros(1 + OPTIONS),
            *(np.pad(table.bits, (0, OPTIONS + 1 - len(table.bits))) for table in tables.which),
        ]
        return cls(
            np.array([[table.bits for table in row] for row in tables.same]),
            np.stack(which, 1),
            np.array([[table.bits for table in row] for row in tables.difference]),
        )


def cheaper(prices: VectorBits, wanted: Ints, known: Known) -> tuple[Ints, Floats]:
    """Vectors that cost less than those [n, 2] that are wanted, and how many bits less.

    Returns:
        The predicted ones, the options, and the wanted ones with the one and the other component as predicted,
        [k, n, 2]; what they save, [k, n], 0 where there is no such vector.
    """
    n = len(wanted)
    flags = prices.same[known.near, known.agree]
    differs, same = flags[:, 0], flags[:, 1]
    by_which = prices.which[:, known.many]
    costs = np.concatenate([same[None], differs + by_which[1:]])
    difference, which = wanted - known.guess, known.which(wanted)
    is_same = (difference == 0).all(1)
    sent = differs + by_which[0] + _difference_bits(prices.difference, difference, known)
    now = np.where(which > 0, np.take_along_axis(costs, which[None], 0)[0], sent)
    now = np.where(is_same, same, now)
    real = np.concatenate([np.ones((1, n), dtype=bool), np.arange(OPTIONS)[:, None] < known.many])
    saved = np.zeros((3 + OPTIONS, n))
    saved[: 1 + OPTIONS] = np.where(real, now - costs, 0.0)
    at = np.flatnonzero(~is_same & (which == 0) & (difference != 0).all(1))
    for component in range(2):
        half = difference[at] * (np.arange(2) != component)
        bits = differs[at] + by_which[0, at] + _difference_bits(prices.difference, half, known.pick(at))
        saved[1 + OPTIONS + component, at] = sent[at] - bits
    halves = np.where(np.eye(2, dtype=bool)[:, None], known.guess, wanted)
    return np.concatenate([known.guess[None], known.options, halves]), saved


def _difference_bits(by_reach: Floats, difference: Ints, known: Known) -> Floats:
    """What differences [n, 2] from the predicted vectors cost, [n].

    Args:
        by_reach: bits of each symbol, [component, number of REACHES exceeded, symbol].
    """
    symbols, length, _ = symbols_of(difference)
    vertical = difference[:, 0]
    bits = [by_reach[c, known.reach(c, vertical), symbols[:, c]] + length[:, c] for c in range(2)]
    return np.asarray(bits[0] + bits[1])
