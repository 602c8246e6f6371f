"""What is known of the vectors of blocks, from those coded before and from the expected field: predictions and options.

See :mod:`lvc.model.motion`, which codes vectors by it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvc.kernels import vectors as kernels

Ints = npt.NDArray[np.int64]

OPTIONS = 5
"""Vectors that a block may take over where it does not take the predicted one: of four neighbours, and the expected."""
REACHES = (0, 2, 6, 16, 40)
"""In quarter samples: how far the known vectors are from the predicted one tells how far a vector will be. For the
horizontal component, sent last, the vertical difference counts, too, twice (measured over ten clips at three qualities,
tables by that instead of by whether neighbours agree: -3.7 % of the bits of differences, -0.3 % of all)."""
_REACHES = np.array(REACHES)
FAR = 1 << 40
"""Components of vectors that are not known."""


class Known(NamedTuple):
    """What is known of the vectors of n blocks.

    Attributes:
        guess: the predicted ones, [n, 2].
        near: number of known neighbours, 0...2 (2 means more), [n].
        agree: whether these are equal, 0 or 1, [n].
        options: others that may be taken over, all different, [OPTIONS, n, 2]; the first ``many`` [n] are meant.
        apart: how far components of these are from those of the predicted ones at most, [n, 2].
    """

    guess: Ints
    near: Ints
    agree: Ints
    options: Ints
    many: Ints
    apart: Ints

    def reach(self, component: int, vertical: Ints) -> Ints:
        """How many of REACHES are exceeded, [n].

        Args:
            vertical: differences from the predicted vectors, [n]; they do not count for the vertical component.
        """
        apart = self.apart[:, component]
        return np.asarray(_REACHES.searchsorted(apart + 2 * np.abs(vertical) if component else apart))

    def which(self, vectors: Ints) -> Ints:
        """Number of the option that each vector [n, 2] is, from 1 on; 0 where it is none."""
        found = np.empty(len(vectors), np.int64)
        kernels.which_of(self.options, self.many, vectors, found)
        return found

    def taken(self, which: Ints) -> Ints:
        """The predicted vectors, or the options of these numbers [n], [n, 2]."""
        found = self.guess.copy()
        kernels.take(self.options, which, found)
        return found


def known_vectors(field: Ints, past: Ints, y: Ints, x: Ints, size: int) -> Known:
    """What is known of n blocks of a size from those coded before, and from the expected field.

    Args:
        field: with a border of one block all around it, [rows + 2, cols + 2, 2], FAR where nothing is known.
        past: the expected field, [rows, cols, 2].
        y, x: first 8x8 block of each, [n].
    """
    n = len(y)
    guess, near, agree = np.empty((n, 2), np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    options, many, apart = np.zeros((OPTIONS, n, 2), np.int64), np.empty(n, np.int64), np.empty((n, 2), np.int64)
    kernels.know(field, past, y, x, size, FAR, guess, near, agree, options, many, apart)
    return Known(guess, near, agree, options, many, apart)
