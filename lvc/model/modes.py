"""What a block of a picture with references is predicted from.

One symbol for each block of 16x16 luma samples: FIRST, SECOND or BOTH, which is the mean of the two, or NONE, which
is as in an intra picture: what has come into sight has no past. In two rounds, the halves of a checkerboard; in the
second round it counts how many of the four neighbours have the mode to count: BOTH in pictures between two, NONE in
those with one reference, where SECOND and BOTH never occur.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lvc.errors import FormatError
from lvc.rangecoder import Coder, Table, code_by

Modes = npt.NDArray[np.int64]

FIRST, SECOND, BOTH, NONE = 0, 1, 2, 3
BLOCK = 16
INCREMENT = 24


def fresh_tables(references: int) -> list[Table]:
    """Of the first round, then of the second by how many neighbours have the mode to count, 0...4."""
    if references == 1:
        shares = [3, 1, 15, 40, 60, 80]
        rows = [[100 - share, 1, 1, share] for share in shares]
    else:
        rows = [[20, 20, 60, 1]] + [[45 - 9 * n, 45 - 9 * n, 10 + 20 * n, 1] for n in range(5)]
    return [Table(row, INCREMENT) for row in rows]


def code_modes(coder: Coder, tables: list[Table], references: int, rows: int, cols: int, wanted: Modes | None) -> Modes:
    """Write or read the modes of one picture.

    Args:
        tables: from :func:`fresh_tables`, adapted.
        references: 1 or 2.
        rows, cols: of 16x16 blocks.
        wanted: what to write, [rows, cols]; None when reading.

    Raises:
        FormatError: when reading what no encoder wrote.
    """
    counted = NONE if references == 1 else BOTH
    modes = np.zeros((rows, cols), dtype=np.int64)
    second = np.indices((rows, cols)).sum(0) % 2 == 1
    context, given = np.where(second, -1, 0), None if wanted is None else wanted.ravel()
    for _ in range(2):
        modes += code_by(coder.code, tables, context.ravel(), given).reshape(modes.shape)
        padded = np.pad(modes == counted, 1).astype(np.int64)  # the first half is known now
        around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        context = np.where(second, 1 + around, -1)
    if references == 1 and bool(((modes == SECOND) | (modes == BOTH)).any()):
        raise FormatError("a block is predicted from a second reference where there is one")
    return modes


def used(modes: Modes, number: int) -> npt.NDArray[np.bool_]:
    """Which 8x8 blocks are predicted from a reference, [2 rows, 2 cols].

    Args:
        modes: [rows, cols].
        number: 0 or 1, of the reference.
    """
    blocks = (modes == number) | (modes == BOTH)
    return np.asarray(blocks.repeat(2, 0).repeat(2, 1))


def used_in_batch(modes: Tensor, number: int) -> Tensor:
    """The same of a batch: modes [B, 1, rows, cols] to bool [B, 2 rows, 2 cols]."""
    blocks = (modes == number) | (modes == BOTH)
    return blocks[:, 0].repeat_interleave(2, 1).repeat_interleave(2, 2)
