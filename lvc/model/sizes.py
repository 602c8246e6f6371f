"""The map of transform sizes: whether a 16x16 block of luma is transformed whole, as 8x8 or as 4x4 blocks.

Smooth parts are best taken whole, sharp ones (text, edges that were moved not quite right) in small pieces. A block may
also be wide: cut into 4x4 blocks, and none of its latents is taken for certain to be nothing, however sure the prior
is; what no network has foreseen could not be sent otherwise. Each block that is not skipped has a symbol, in four
rounds, by even and odd rows and columns: the second round knows the neighbours at its corners, the last two those on
all four sides.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lvc.model.motion import ROUNDS
from lvc.model.skip import Flags
from lvc.model.transform import SIZES
from lvc.rangecoder import Coder, Table, code_by

Sizes = npt.NDArray[np.int64]

WIDE = SIZES
"""The symbol of wide blocks; their transforms are the smallest ones."""
WIDE_SCALE = -512
"""Least log-scale of latents in wide blocks, in units of 1/LOG_STEP: two octaves below a step."""
INCREMENT = 24
_SIDES = ((0, 1), (2, 1), (1, 0), (1, 2))
_CORNERS = ((0, 0), (0, 2), (2, 0), (2, 2))
_NEAR = 5
_WIDE_COUNT = 1


def _fresh(intra: bool) -> list[Table]:
    rows = [(60, 25, 15), (75, 17, 8), (60, 28, 12), (40, 40, 20), (25, 45, 30), (10, 30, 60)]
    if not intra:
        rows = [(55, 25, 20), (75, 15, 10), (55, 25, 20), (40, 30, 30), (25, 35, 40), (10, 25, 65)]
    first, *near = ([*row, _WIDE_COUNT] for row in rows)
    return [Table(row, INCREMENT) for row in (first, *near, *near)]


@dataclass
class SizeTables:
    """Adaptive tables of one group of pictures.

    kinds: of intra pictures, of all others: [round 0; rounds 1 and later: how small the transforms of the neighbours
    are, 0...4].
    """

    kinds: list[list[Table]] = field(default_factory=lambda: [_fresh(intra) for intra in (True, False)])

    def all(self) -> list[Table]:
        """Every table, in a fixed order."""
        return [table for tables in self.kinds for table in tables]


def code_sizes(coder: Coder, tables: SizeTables, intra: bool, skip: Flags, wanted: Sizes | None) -> Sizes:
    """Write or read the transform sizes of one picture.

    Args:
        intra: kind of the picture.
        skip: its skip map, [rows, cols].
        wanted: what to write, [rows, cols], 0...WIDE; None when reading.

    Returns:
        [rows, cols], 0 where a block is skipped.

    Raises:
        FormatError: when reading what no encoder wrote.
    """
    rows, cols = skip.shape
    sizes = np.zeros((rows, cols), dtype=np.int64)
    odd_rows, odd_cols = (axis % 2 for axis in np.indices((rows, cols)))
    first, *near = tables.kinds[0 if intra else 1]
    given = None if wanted is None else wanted.ravel()
    for number, (odd_row, odd_col) in enumerate(ROUNDS):
        mine = (odd_rows == odd_row) & (odd_cols == odd_col) & ~skip
        padded = np.pad(np.minimum(sizes, SIZES - 1), 1)
        places = _CORNERS if number == 1 else _SIDES
        total = np.sum([padded[y : y + rows, x : x + cols] for y, x in places], 0)
        context = 0 * total if number == 0 else (total + 1) // (SIZES - 1)
        choices = [first] if number == 0 else near[:_NEAR] if number == 1 else near[_NEAR:]
        sizes += code_by(coder.code, choices, np.where(mine, context, -1).ravel(), given).reshape(sizes.shape)
    return sizes
