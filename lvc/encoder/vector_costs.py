"""What vectors cost, and which cost less: for encoders, while a field is coded."""

from typing import NamedTuple

import numpy as np

from lvc.kernels import vectors as kernels
from lvc.model.known_vectors import OPTIONS, REACHES, Ints, Known
from lvc.model.motion import LENGTHS, SMALL, Floats, MotionTables

_REACHES = np.array(REACHES)


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
    saved = np.empty((3 + OPTIONS, len(wanted)))
    kernels.savings(*prices, wanted, *known, _REACHES, SMALL, LENGTHS, saved)
    halves = np.where(np.eye(2, dtype=bool)[:, None], known.guess, wanted)
    return np.concatenate([known.guess[None], known.options, halves]), saved
