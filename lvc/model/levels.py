"""The quality map: blocks that are finer or coarser than their picture.

A viewer sees errors in some places more than in others. In a picture with a quality map each 16x16 block has a level,
and with it a quality of its own, QUALITIES_PER_LEVEL finer for each level up: steps and networks are those of this
quality. Pictures without a map have level 0 everywhere.

A block is expected to have the level of what it is predicted from. In an intra picture levels come from coarse to
fine: those of a wide grid first, then those halfway between these, and so on, each expected to be the mean of its
neighbours on the grid as far as they are known. What is coded is the difference. Skipped blocks have nothing coded and
keep the level that they are expected to have.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lvc.errors import FormatError
from lvc.model.modes import SECOND, Modes
from lvc.model.motion import ROUNDS
from lvc.model.skip import BLOCK, Flags
from lvc.rangecoder import Coder, Table

Levels = npt.NDArray[np.int64]
Choose = Callable[[Flags, Levels], Levels]
"""Chooses the levels [n] of the blocks that are set in a map [rows, cols], given those that are expected, [n]."""

LEVEL_MAX = 8
QUALITIES_PER_LEVEL = 4
"""Steps that differ by a little more than a quarter of an octave."""
INCREMENT = 24
_SAMPLES = 4 * BLOCK
"""Vectors are in quarter samples."""
_CORNERS = ((0, 0), (0, 2), (2, 0), (2, 2))
_SIDES = ((0, 1), (2, 1), (1, 0), (1, 2))
_SIZES = (8, 4, 2, 1)
"""Widths of the grids, in blocks."""
_COUNTS = (
    (190, 10, 30, 20, 20, 15, 10, 5, 2, 1, 1, 1, 1, 1, 1, 1, 1),
    (250, 8, 15, 15, 8, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (270, 6, 9, 6, 5, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
)
"""Starting counts of differences 0, 1 ... to either side (counted in 40 crops of training clips, rounded): of the first
blocks of intra pictures, of their others, of predicted pictures."""


def quality_of(quality: Tensor, levels: Tensor) -> Tensor:
    """Of blocks, 1...100, given that of the picture."""
    return (quality + QUALITIES_PER_LEVEL * levels).clamp(1, 100)


def _fresh() -> list[Table]:
    return [Table([*counts[:0:-1], *counts], INCREMENT) for counts in _COUNTS]


@dataclass
class LevelTables:
    """Adaptive tables of one group of pictures, of differences from -2 LEVEL_MAX on.

    tables: of the first blocks of intra pictures, of their others, of predicted pictures.
    """

    tables: list[Table] = field(default_factory=_fresh)

    def all(self) -> list[Table]:
        """Every table, in a fixed order."""
        return self.tables


def moved_levels(levels: Sequence[Levels | None], fields: Sequence[npt.NDArray[np.int64]], modes: Modes) -> Levels:
    """The levels that the blocks of a predicted picture are expected to have.

    Args:
        levels: of its one or two references, [rows, cols]; None where they have no map.
        fields: its motion into them, [2 rows, 2 cols, 2] quarter samples.
        modes: of its blocks; the first reference counts except where only the second one is used.

    Returns:
        [rows, cols]: that of the block in which the place lies to which the vector of the upper left 8x8 block moves
        the middle.
    """
    rows, cols = modes.shape
    expected = np.zeros((rows, cols), dtype=np.int64)
    for number, (known, vectors) in enumerate(zip(levels, fields, strict=True)):
        if known is None:
            continue
        row, col = np.indices((rows, cols))
        vector = vectors[::2, ::2]
        y = np.clip(row + (vector[..., 0] + _SAMPLES // 2) // _SAMPLES, 0, rows - 1)
        x = np.clip(col + (vector[..., 1] + _SAMPLES // 2) // _SAMPLES, 0, cols - 1)
        at = (modes == SECOND) == (number == 1)
        expected[at] = known[y, x][at]
    return expected


def code_levels(
    coder: Coder, tables: LevelTables, skip: Flags, expected: Levels | None, choose: Choose | None
) -> Levels:
    """Write or read the quality map of one picture.

    Args:
        skip: its skip map, [rows, cols].
        expected: from :func:`moved_levels`; None in an intra picture.
        choose: gives the levels to write; None when reading.

    Returns:
        [rows, cols]; skipped blocks have the level that is expected.

    Raises:
        FormatError: when reading what no encoder wrote.
    """
    if expected is not None:
        levels, at = expected.copy(), ~skip
        levels[at] = _code(coder, tables.tables[-1], expected[at], at, choose)
        return levels
    rows, cols = skip.shape
    levels, known = np.zeros((2, rows, cols), dtype=np.int64)
    y, x = np.indices((rows, cols))
    for size in _SIZES:
        for number, (odd_row, odd_col) in enumerate(ROUNDS):
            if number == 0 and size < _SIZES[0]:
                continue  # known already
            at = (y % (2 * size) == odd_row * size) & (x % (2 * size) == odd_col * size)
            guess = _mean(levels, known, size, _CORNERS if number == 1 else _SIDES)[at]
            table = tables.tables[0 if number == 0 else 1]
            levels[at] = _code(coder, table, guess, at, choose)
            known[at] = 1
    return levels


def _mean(levels: Levels, known: Levels, size: int, around: tuple[tuple[int, int], ...]) -> Levels:
    """Of those blocks ``size`` away that are known, halves upwards, [rows, cols]; 0 where none is."""
    rows, cols = levels.shape
    padded, there = np.pad(levels, size), np.pad(known, size)
    places = [(slice(y * size, y * size + rows), slice(x * size, x * size + cols)) for y, x in around]
    total = np.sum([padded[place] for place in places], 0)
    count = np.maximum(np.sum([there[place] for place in places], 0), 1)
    return np.asarray((2 * total + count) // (2 * count))


def _code(coder: Coder, table: Table, expected: Levels, at: Flags, choose: Choose | None) -> Levels:
    """Levels of some blocks, [n]."""
    given = None if choose is None else choose(at, expected) - expected + 2 * LEVEL_MAX
    found: Levels = coder.code(table, given, len(expected)) - 2 * LEVEL_MAX + expected
    if bool((np.abs(found) > LEVEL_MAX).any()):
        raise FormatError(f"a block has a level beyond {LEVEL_MAX}")
    return found
