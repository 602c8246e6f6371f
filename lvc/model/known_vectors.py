"""What is known of the vectors of blocks, from those coded before and from the expected field: predictions and options.

See :mod:`lvc.model.motion`, which codes vectors by it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

OPTIONS = 5
"""Vectors that a block may take over where it does not take the predicted one: of four neighbours, and the expected."""
REACHES = (0, 2, 6, 16, 40)
"""In quarter samples: how far the known vectors are from the predicted one tells how far a vector will be. For the
horizontal component, sent last, the vertical difference counts, too, twice (measured over ten clips at three qualities,
tables by that instead of by whether neighbours agree: -3.7 % of the bits of differences, -0.3 % of all)."""
FAR = 1 << 40
"""Components of vectors that are not known."""
_UNKNOWN = FAR * (1 << 16) + FAR
_BEFORE = np.tri(OPTIONS, k=-1, dtype=bool)[..., None]
"""Whether an option comes before another one, [the other one, the option, 1]."""


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

    @classmethod
    def of(cls, guess: Ints, near: Ints, agree: Ints, options: Ints, many: Ints) -> "Known":
        """With what follows from the others."""
        real = np.arange(OPTIONS)[:, None, None] < many[:, None]
        return cls(guess, near, agree, options, many, np.where(real, np.abs(options - guess), 0).max(0))

    def pick(self, at: Ints) -> "Known":
        """Of some of the blocks."""
        some = (self.guess[at], self.near[at], self.agree[at], self.options[:, at], self.many[at], self.apart[at])
        return Known(*some)

    def reach(self, component: int, vertical: Ints) -> Ints:
        """How many of REACHES are exceeded, [n].

        Args:
            vertical: differences from the predicted vectors, [n]; they do not count for the vertical component.
        """
        apart = self.apart[:, component]
        return np.asarray(np.searchsorted(REACHES, apart + 2 * np.abs(vertical) if component else apart))

    def which(self, vectors: Ints) -> Ints:
        """Number of the option that each vector [n, 2] is, from 1 on; 0 where it is none."""
        equal = (_keys(self.options) == _keys(vectors)) & (np.arange(OPTIONS)[:, None] < self.many)
        return np.asarray(np.where(equal.any(0), equal.argmax(0) + 1, 0))


def _keys(vectors: Ints) -> Ints:
    """One number for each vector [..., 2], by which they compare at once."""
    return np.asarray(vectors[..., 0] * (1 << 16) + vectors[..., 1])


def _others(guess: Ints, vectors: Ints) -> tuple[Ints, Ints]:
    """Vectors [OPTIONS, n, 2] without those that are not known, the guess, and repetitions; and how many are left."""
    keys = _keys(vectors)
    new = (keys != _UNKNOWN) & (keys != _keys(guess))
    new &= ~((keys[:, None] == keys) & _BEFORE).any(1)
    order = np.argsort(~new, axis=0, kind="stable")
    return vectors[order, np.arange(len(guess))], new.sum(0)


def known_vectors(field: Ints, past: Ints, y: Ints, x: Ints, size: int) -> Known:
    """What is known of n blocks of a size from those coded before, and from the expected field.

    Args:
        field: with a border of one block all around it, [rows + 2, cols + 2, 2], FAR where nothing is known.
        past: the expected field, [rows, cols, 2].
        y, x: first 8x8 block of each, [n].
    """
    rows, cols = past.shape[:2]
    middle_y, middle_x = np.minimum(y + size // 2, rows - 1), np.minimum(x + size // 2, cols - 1)
    above, below, left, right = y - 1, np.minimum(y + size, rows), x - 1, np.minimum(x + size, cols)

    def look(at_y: tuple[Ints, ...], at_x: tuple[Ints, ...]) -> Ints:
        return np.asarray(field[np.concatenate(at_y) + 1, np.concatenate(at_x) + 1]).reshape(4, -1, 2)

    around = look((middle_y, above, middle_y, below), (left, middle_x, right, middle_x))
    count = (around[..., 0] != FAR).sum(0)
    lonely = (count == 0).nonzero()[0]
    if len(lonely):
        corners = (above, above, below, below), (left, right, left, right)
        around[:, lonely] = look(*(tuple(each[lonely] for each in axis) for axis in corners))
        count[lonely] = (around[:, lonely, 0] != FAR).sum(0)
    even = count % 2 == 0  # the past makes the number of candidates odd
    temporal = past[middle_y, middle_x]
    stack = np.concatenate([around, np.where(even[:, None], temporal, FAR)[None]])
    highest = np.where(around == FAR, -FAR, around).max(0)
    agree = ((around.min(0) == highest).all(1) | (count == 0)).astype(np.int64)
    stack.sort(axis=0)
    guess = stack[(count + even) // 2, np.arange(len(y))]
    options, many = _others(guess, np.concatenate([around, temporal[None]]))
    return Known.of(guess, np.minimum(count, 2), agree, options, many)
