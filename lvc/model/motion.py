"""The syntax of motion fields: blocks of 64, 32, 16 and 8 luma samples, coded from large to small.

At each size all split flags come first, then the vectors of the blocks that stay whole, in four rounds, by even and odd
rows and columns: the second round sees neighbours at its corners, the last two on all four sides. A vector is predicted
by the component-wise median of the neighbours known so far and of the field that is expected, moved by what the
whole picture moves more than it did (one vector, sent first); often it equals the prediction, one cheap flag. If not,
it may be taken over from one of those neighbours or from the expected field; only else its difference is sent.
Everything within one round is independent, so a round is a handful of array operations and range coder calls.

Where a picture has two references (see :mod:`lvc.model.modes`), nothing is sent of blocks that do not use this one:
they stay whole, and their vectors are the predictions.

One function serves both directions, see :mod:`lvc.rangecoder`. Vectors are (vertical, horizontal), quarter samples.
"""

import functools
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lvc.kernels import vectors as kernels
from lvc.model.known_vectors import FAR, OPTIONS, Ints, Known, known_vectors
from lvc.model.modes import fresh_tables
from lvc.rangecoder import Coder, Symbols, Table, code_by, groups

Floats = npt.NDArray[np.float64]

LEVELS = (3, 2, 1, 0)
"""log2 of the block size in units of 8 samples, in coding order."""
ROUNDS = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Order of the blocks of one size: is the row odd, is the column odd."""
_ROUND_OF = np.array([ROUNDS.index(divmod(parity, 2)) for parity in range(4)])
SMALL = 24
"""Differences of up to +-SMALL quarter samples have a symbol of their own."""
LENGTHS = 13
"""Larger ones: a symbol for their number of bits, then the bits; at most 2^13 - 1 beyond SMALL."""
VECTOR_LIMIT = 4095
"""Components of a vector lie within +-VECTOR_LIMIT; decoders limit what they read."""
_WIDTHS = (2.5, 3.0, 4.0, 6.0, 9.0, 12.0)
"""About how wide differences are scattered where so many of REACHES are exceeded."""
INCREMENT = 24


def _difference_counts(width: float) -> Ints:
    """Starting counts: a two-sided exponential, then long differences."""
    size = np.abs(np.arange(-SMALL, SMALL + 1))
    small = 1500 * np.exp(-size / width)
    large = 40 * 0.7 ** np.arange(LENGTHS)
    counts: Ints = np.maximum(np.concatenate([small, large, large]), 2).astype(np.int64)
    return counts


@dataclass
class MotionTables:
    """Adaptive tables of one group of pictures.

    split: [level - 1][was split there before]; same: [neighbours known: 0, 1, 2...4][do they agree];
    difference: [component][number of REACHES exceeded]; shift: [component] of the whole picture;
    modes: see :mod:`lvc.model.modes`; which: [options - 1], the number of the vector that is taken over from 1 on, 0
    where none is.
    """

    split: list[list[Table]] = field(
        default_factory=lambda: [[Table([90, 10], INCREMENT), Table([30, 70], INCREMENT)] for _ in range(3)]
    )
    same: list[list[Table]] = field(
        default_factory=lambda: [[Table([40, 60], INCREMENT), Table([20, 80], INCREMENT)] for _ in range(3)]
    )
    difference: list[list[Table]] = field(
        default_factory=lambda: [[Table(_difference_counts(w), INCREMENT) for w in _WIDTHS] for _ in range(2)]
    )
    shift: list[Table] = field(default_factory=lambda: [Table(_difference_counts(3.0), INCREMENT) for _ in range(2)])
    modes: list[Table] = field(default_factory=lambda: fresh_tables(1))
    which: list[Table] = field(
        default_factory=lambda: [Table([60, *[40 // n] * n], INCREMENT) for n in range(1, OPTIONS + 1)]
    )

    @classmethod
    def fresh(cls, references: int) -> "MotionTables":
        """Of pictures with so many references."""
        return cls(modes=fresh_tables(references))

    def all(self) -> list[Table]:
        """Every table, in a fixed order."""
        rows = (*self.split, *self.same, *self.difference, self.shift, self.modes, self.which)
        return [table for row in rows for table in row]


@dataclass
class MotionField:
    """Vectors [rows, cols, 2] and block levels [rows, cols] (0: 8x8 ... 3: 64x64), one entry per 8x8 luma block."""

    vectors: Ints
    levels: Ints

    def scaled(self, part: int, whole: int) -> "MotionField":
        """Vectors times part / whole, rounded (halves upwards): the motion over another stretch of time."""
        return MotionField((2 * part * self.vectors + whole) // (2 * whole), self.levels)


class Chooser(Protocol):
    """An encoder that decides block by block, when it is known what the vectors cost."""

    def __call__(self, y: Ints, x: Ints, size: int, wanted: Ints, known: Known, tables: MotionTables) -> Ints:
        """The vectors to code.

        Args:
            y, x: first 8x8 block of n blocks of the same size, [n].
            size: in 8x8 blocks, 1 to 8.
            wanted: the vectors that were searched, [n, 2].
            known: what is known of them.
            tables: as they are now.
        """
        ...


def symbols_of(values: Symbols) -> tuple[Symbols, Symbols, Symbols]:
    """Symbols of signed integers, how many bits follow each, and what stands in them (1 and more where long)."""
    size = np.abs(values)
    beyond = size - SMALL
    length = np.floor(np.log2(np.maximum(beyond, 1))).astype(np.int64)
    long_symbol = 2 * SMALL + 1 + length + np.where(values < 0, LENGTHS, 0)
    return np.where(size <= SMALL, values + SMALL, long_symbol), length, beyond


def _code_difference(coder: Coder, table: Table, values: Symbols | None, count: int) -> Symbols:
    """Signed integers: small ones by a symbol, larger ones by length and bits."""
    symbols = beyond = None
    if values is not None:
        if bool((np.abs(values) <= SMALL).all()):  # nearly always, in a third of the time
            coder.code(table, values + SMALL, count)
            return values
        symbols, _, beyond = symbols_of(values)
    symbols = coder.code(table, symbols, count)
    result = symbols - SMALL
    for index in (symbols > 2 * SMALL).nonzero()[0]:
        code = int(symbols[index]) - 2 * SMALL - 1
        length, negative = code % LENGTHS, code >= LENGTHS
        low = np.zeros(1, dtype=np.int64)
        if length:
            given = None if beyond is None else beyond[index : index + 1] - (1 << length)
            low = coder.raw(given, 1, length)
        distance = SMALL + (1 << length) + int(low[0])
        result[index] = -distance if negative else distance
    return result


def cells_of(y: Ints, x: Ints, size: int, rows: int, cols: int) -> tuple[Ints, Ints, Ints]:
    """The 8x8 blocks that lie in n larger ones and in the picture: which of the n, row, column."""
    dy, dx = np.indices((size, size)).reshape(2, -1)
    cell_y, cell_x = (y[:, None] + dy).ravel(), (x[:, None] + dx).ravel()
    inside = ((cell_y < rows) & (cell_x < cols)).nonzero()[0]
    return inside // (size * size), cell_y[inside], cell_x[inside]


def _code_shift(coder: Coder, tables: MotionTables, past: Ints, wanted: Ints | None) -> Ints:
    """How much more the picture moves as a whole than expected, [2]: the median over blocks [n, 2]."""
    shift = np.zeros(2, dtype=np.int64)
    for component in range(2):
        given = None
        if wanted is not None:
            middle = np.median(wanted[:, component] - past[:, component]) if len(wanted) else 0
            given = np.array([int(np.clip(round(float(middle)), -VECTOR_LIMIT, VECTOR_LIMIT))])
        shift[component] = _code_difference(coder, tables.shift[component], given, 1)[0]
    return shift


def _code_vectors(coder: Coder, tables: MotionTables, wanted: Ints | None, known: Known) -> Ints:
    """Vectors [n, 2] of n independent blocks."""
    equal = None if wanted is None else (wanted == known.guess).all(1).astype(np.int64)
    same = [table for row in tables.same for table in row]
    is_same = code_by(coder.code, same, 2 * known.near + known.agree, equal)
    choice = None if wanted is None else known.which(wanted)
    which = code_by(coder.code, tables.which, np.where(is_same, -1, known.many - 1), choice)
    vectors, is_sent = known.taken(which), (is_same | which) == 0
    difference, code = np.zeros(len(vectors), dtype=np.int64), functools.partial(_code_difference, coder)
    for component in range(2):
        given = None if wanted is None else wanted[:, component] - known.guess[:, component]
        keys = np.where(is_sent, known.reach(component, difference), -1)
        difference = code_by(code, tables.difference[component], keys, given)
        vectors[:, component] += difference
    return _limited(vectors)


def _limited(vectors: Ints) -> Ints:
    """Within +-VECTOR_LIMIT; ``clip`` takes ten times as long for a few of them."""
    return np.minimum(np.maximum(vectors, -VECTOR_LIMIT), VECTOR_LIMIT)


def code_field(
    coder: Coder,
    tables: MotionTables,
    rows: int,
    cols: int,
    past: MotionField | None,
    wanted: MotionField | None,
    choose: Chooser | None = None,
    used: npt.NDArray[np.bool_] | None = None,
) -> MotionField:
    """Write or read the motion field of one picture.

    Args:
        rows, cols: of 8x8 luma blocks.
        past: the field that is expected (see :class:`lvc.model.group.MotionMemory`), None where nothing is known.
        wanted: what to write; None when reading.
        choose: when writing, may take what is known already instead; what was written is returned.
        used: of which 8x8 blocks the vectors matter, [rows, cols]; None: of all.

    Raises:
        FormatError: when reading what no encoder wrote.
    """
    if past is None:
        past = MotionField(np.zeros((rows, cols, 2), np.int64), np.full((rows, cols), LEVELS[0], np.int64))
    if used is None:
        used = np.ones((rows, cols), dtype=bool)
    shift = _code_shift(coder, tables, past.vectors[used], None if wanted is None else wanted.vectors[used])
    moved = _limited(past.vectors + shift)
    bordered = np.full((rows + 2, cols + 2, 2), FAR)
    vectors = bordered[1:-1, 1:-1]
    levels = np.zeros((rows, cols), dtype=np.int64)
    active = np.ones((rows, cols), dtype=bool)  # not yet covered by a block
    for level in LEVELS:
        size = 1 << level
        y, x, rounds, matters, was_split = kernels.blocks(active, used, past.levels, level, _ROUND_OF)
        if level:
            given = None if wanted is None else (wanted.levels[y, x] < level).astype(np.int64)
            split = code_by(coder.code, tables.split[level - 1], np.where(matters, was_split, -1), given)
            rounds = np.where(split, -1, rounds)
        silent, sent = (groups(np.where(matters == each, rounds, -1), len(ROUNDS)) for each in (0, 1))
        for at, guessed in zip(sent, silent, strict=True):
            sides = []
            if len(guessed):
                known = known_vectors(bordered, moved, y[guessed], x[guessed], size)
                sides.append((guessed, known.guess))
            if len(at):
                by, bx = y[at], x[at]
                known = known_vectors(bordered, moved, by, bx, size)
                given = None if wanted is None else wanted.vectors[by, bx]
                if given is not None and choose is not None:
                    given = choose(by, bx, size, given, known, tables)
                sides.append((at, _code_vectors(coder, tables, given, known)))
            for where, found in sides:
                kernels.place(y[where], x[where], size, level, found, vectors, levels, active)
    return MotionField(vectors.copy(), levels)
