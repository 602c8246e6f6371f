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

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lvc.model.modes import fresh_tables
from lvc.rangecoder import Coder, Symbols, Table

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEVELS = (3, 2, 1, 0)
"""log2 of the block size in units of 8 samples, in coding order."""
ROUNDS = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Order of the blocks of one size: is the row odd, is the column odd."""
SMALL = 24
"""Differences of up to +-SMALL quarter samples have a symbol of their own."""
LENGTHS = 13
"""Larger ones: a symbol for their number of bits, then the bits; at most 2^13 - 1 beyond SMALL."""
VECTOR_LIMIT = 4095
"""Components of a vector lie within +-VECTOR_LIMIT; decoders limit what they read."""
OPTIONS = 5
"""Vectors that a block may take over where it does not take the predicted one: of four neighbours, and the expected."""
REACHES = (0, 2, 6, 16, 40)
"""In quarter samples: how far the known vectors are from the predicted one tells how far a vector will be. For the
horizontal component, sent last, the vertical difference counts, too, twice (measured over ten clips at three qualities,
tables by that instead of by whether neighbours agree: -3.7 % of the bits of differences, -0.3 % of all)."""
_WIDTHS = (2.5, 3.0, 4.0, 6.0, 9.0, 12.0)
"""About how wide differences are scattered where so many of REACHES are exceeded."""
INCREMENT = 24
_FAR = 1 << 40
"""Components of vectors that are not known."""
_UNKNOWN = _FAR * (1 << 16) + _FAR


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

    def adapt(self) -> None:
        """After each picture."""
        for table in self.all():
            table.adapt()


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

    def __call__(self, y: Ints, x: Ints, size: int, wanted: Ints, options: Ints, saved: Floats) -> Ints:
        """The vectors to code.

        Args:
            y, x: first 8x8 block of n blocks of the same size, [n].
            size: in 8x8 blocks, 1 to 8.
            wanted: the vectors that were searched, [n, 2].
            options: vectors that may be cheaper, [k, n, 2], the predicted one first.
            saved: how many bits each of them costs less than the wanted one, [k, n]; 0 where it is none.
        """
        ...


def _symbols_of(values: Symbols) -> tuple[Symbols, Symbols, Symbols]:
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
        symbols, _, beyond = _symbols_of(values)
    symbols = coder.code(table, symbols, count)
    result = symbols - SMALL
    for index in np.flatnonzero(symbols > 2 * SMALL):
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
    dy, dx = (axis.ravel() for axis in np.mgrid[:size, :size])
    cell_y, cell_x = (y[:, None] + dy).ravel(), (x[:, None] + dx).ravel()
    inside = np.flatnonzero((cell_y < rows) & (cell_x < cols))
    return inside // (size * size), cell_y[inside], cell_x[inside]


class _Predicted(NamedTuple):
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
    def of(cls, guess: Ints, near: Ints, agree: Ints, options: Ints, many: Ints) -> "_Predicted":
        """With what follows from the others."""
        real = np.arange(OPTIONS)[:, None, None] < many[:, None]
        return cls(guess, near, agree, options, many, np.where(real, np.abs(options - guess), 0).max(0))

    def pick(self, at: Ints) -> "_Predicted":
        """Of some of the blocks."""
        some = (self.guess[at], self.near[at], self.agree[at], self.options[:, at], self.many[at], self.apart[at])
        return _Predicted(*some)

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
    for later in range(1, OPTIONS):
        for earlier in range(later):
            new[later] &= ~(new[earlier] & (keys[later] == keys[earlier]))
    order = np.argsort(~new, axis=0, kind="stable")
    return np.take_along_axis(vectors, order[..., None], 0), new.sum(0)


def _predict(vectors: Ints, known: npt.NDArray[np.bool_], past: Ints, y: Ints, x: Ints, size: int) -> _Predicted:
    """What is known of n blocks of a size from those coded before, and from the expected field."""
    rows, cols = known.shape
    middle_y, middle_x = np.minimum(y + size // 2, rows - 1), np.minimum(x + size // 2, cols - 1)
    sides = ((middle_y, x - 1), (y - 1, middle_x), (middle_y, x + size), (y + size, middle_x))
    corners = ((y - 1, x - 1), (y - 1, x + size), (y + size, x - 1), (y + size, x + size))

    def look(places: tuple[tuple[Ints, Ints], ...]) -> tuple[Ints, Ints]:
        """Vectors [4, n, 2], ``_FAR`` where not known, and the number of known ones [n]."""
        ny, nx = (np.stack(axis) for axis in zip(*places, strict=True))
        inside = (ny >= 0) & (ny < rows) & (nx >= 0) & (nx < cols)
        cy, cx = np.where(inside, ny, 0), np.where(inside, nx, 0)
        there = inside & known[cy, cx]
        return np.where(there[..., None], vectors[cy, cx], _FAR), there.sum(0)

    around, count = look(sides)
    lonely = count == 0
    if lonely.any():
        at_corners, corner_count = look(corners)
        around = np.where(lonely[:, None], at_corners, around)
        count = np.where(lonely, corner_count, count)
    even = count % 2 == 0  # the past makes the number of candidates odd
    temporal = past[middle_y, middle_x]
    stack = np.concatenate([around, np.where(even[:, None], temporal, _FAR)[None]])
    highest = np.where(around == _FAR, -_FAR, around).max(0)
    agree = ((around.min(0) == highest).all(1) | (count == 0)).astype(np.int64)
    stack.sort(axis=0)
    guess = np.take_along_axis(stack, ((count + even) // 2)[None, :, None].repeat(2, 2), 0)[0]
    options, many = _others(guess, np.concatenate([around, temporal[None]]))
    return _Predicted.of(guess, np.minimum(count, 2), agree, options, many)


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


def _code_vectors(coder: Coder, tables: MotionTables, wanted: Ints | None, known: _Predicted) -> Ints:
    """Vectors [n, 2] of n independent blocks."""
    n = len(known.guess)
    differs = np.zeros(n, dtype=np.int64)
    for c in range(3):
        for a in range(2):
            at = np.flatnonzero((known.near == c) & (known.agree == a))
            given = None if wanted is None else (wanted[at] != known.guess[at]).any(1).astype(np.int64)
            differs[at] = 1 - coder.code(tables.same[c][a], None if given is None else 1 - given, len(at))
    which = np.zeros(n, dtype=np.int64)
    choice = None if wanted is None else known.which(wanted)
    for m in range(1, OPTIONS + 1):
        at = np.flatnonzero((differs == 1) & (known.many == m))
        which[at] = coder.code(tables.which[m - 1], None if choice is None else choice[at], len(at))
    vectors = known.guess.copy()
    taken = np.flatnonzero(which)
    vectors[taken] = known.options[which[taken] - 1, taken]
    sent = np.flatnonzero((differs == 1) & (which == 0))
    rest, vertical = known.pick(sent), np.zeros(len(sent), dtype=np.int64)
    for component in range(2):
        reach = rest.reach(component, vertical)
        for number in np.unique(reach):
            at = sent[reach == number]
            given = None if wanted is None else wanted[at, component] - known.guess[at, component]
            vectors[at, component] += _code_difference(coder, tables.difference[component][number], given, len(at))
        vertical = vectors[sent, 0] - rest.guess[:, 0]
    return np.clip(vectors, -VECTOR_LIMIT, VECTOR_LIMIT)


def _cheaper(tables: MotionTables, wanted: Ints, known: _Predicted) -> tuple[Ints, Floats]:
    """Vectors that cost less than those [n, 2] that are wanted, by the tables as they are, and how many bits less.

    Returns:
        The predicted ones, the options, and the wanted ones with the one and the other component as predicted,
        [k, n, 2]; what they save, [k, n], 0 where there is no such vector.
    """
    n = len(wanted)
    flags = np.array([[table.bits for table in row] for row in tables.same])[known.near, known.agree]
    differs, same = flags[:, 0], flags[:, 1]
    rows = [np.zeros(1 + OPTIONS), *(np.pad(table.bits, (0, OPTIONS + 1 - len(table.bits))) for table in tables.which)]
    by_which = np.stack(rows, 1)[:, known.many]
    costs = np.concatenate([same[None], differs + by_which[1:]])
    difference, which = wanted - known.guess, known.which(wanted)
    is_same = (difference == 0).all(1)
    by_reach = np.array([[table.bits for table in row] for row in tables.difference])
    sent = differs + by_which[0] + _difference_bits(by_reach, difference, known)
    now = np.where(which > 0, np.take_along_axis(costs, which[None], 0)[0], sent)
    now = np.where(is_same, same, now)
    real = np.concatenate([np.ones((1, n), dtype=bool), np.arange(OPTIONS)[:, None] < known.many])
    saved = np.zeros((3 + OPTIONS, n))
    saved[: 1 + OPTIONS] = np.where(real, now - costs, 0.0)
    at = np.flatnonzero(~is_same & (which == 0) & (difference != 0).all(1))
    for component in range(2):
        half = difference[at] * (np.arange(2) != component)
        bits = differs[at] + by_which[0, at] + _difference_bits(by_reach, half, known.pick(at))
        saved[1 + OPTIONS + component, at] = sent[at] - bits
    halves = np.where(np.eye(2, dtype=bool)[:, None], known.guess, wanted)
    return np.concatenate([known.guess[None], known.options, halves]), saved


def _difference_bits(by_reach: Floats, difference: Ints, known: _Predicted) -> Floats:
    """What differences [n, 2] from the predicted vectors cost, [n].

    Args:
        by_reach: bits of each symbol, [component, number of REACHES exceeded, symbol].
    """
    symbols, length, _ = _symbols_of(difference)
    vertical = difference[:, 0]
    bits = [by_reach[c, known.reach(c, vertical), symbols[:, c]] + length[:, c] for c in range(2)]
    return np.asarray(bits[0] + bits[1])


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
    moved = np.clip(past.vectors + shift, -VECTOR_LIMIT, VECTOR_LIMIT)
    vectors = np.zeros((rows, cols, 2), dtype=np.int64)
    levels = np.zeros((rows, cols), dtype=np.int64)
    known = np.zeros((rows, cols), dtype=bool)
    active = np.ones((rows, cols), dtype=bool)  # not yet covered by a block
    for level in LEVELS:
        size = 1 << level
        y, x = (axis.ravel() * size for axis in np.mgrid[: -(-rows // size), : -(-cols // size)])
        here = active[y, x]
        y, x = y[here], x[here]
        tops_y, tops_x = range(0, rows, size), range(0, cols, size)
        matters = np.logical_or.reduceat(np.logical_or.reduceat(used, tops_y, 0), tops_x, 1)[y // size, x // size]
        if level:
            finest = np.minimum.reduceat(np.minimum.reduceat(past.levels, tops_y, 0), tops_x, 1)
            before = (finest[y // size, x // size] < level).astype(np.int64)
            split = np.zeros(len(y), dtype=np.int64)
            for context in range(2):
                at = np.flatnonzero((before == context) & matters)
                given = None if wanted is None else (wanted.levels[y[at], x[at]] < level).astype(np.int64)
                split[at] = coder.code(tables.split[level - 1][context], given, len(at))
            y, x, matters = y[split == 0], x[split == 0], matters[split == 0]
        for odd_y, odd_x in ROUNDS:
            mine = ((y // size & 1) == odd_y) & ((x // size & 1) == odd_x)
            by, bx = y[mine], x[mine]
            if not len(by):
                continue
            before_round = _predict(vectors, known, moved, by, bx, size)
            found, sent = before_round.guess.copy(), np.flatnonzero(matters[mine])
            sy, sx, predicted = by[sent], bx[sent], before_round.pick(sent)
            given = None if wanted is None else wanted.vectors[sy, sx]
            if given is not None and choose is not None:
                given = choose(sy, sx, size, given, *_cheaper(tables, given, predicted))
            found[sent] = _code_vectors(coder, tables, given, predicted)
            block, cy, cx = cells_of(by, bx, size, rows, cols)
            vectors[cy, cx] = found[block]
            levels[cy, cx] = level
            known[cy, cx] = True
            active[cy, cx] = False
    return MotionField(vectors, levels)
