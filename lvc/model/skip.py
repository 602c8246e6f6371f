"""The skip map: blocks of 16x16 luma samples that are their motion-compensated prediction and nothing else.

A skipped block has no latents, its samples and its state are those of the reference, moved, and no network touches
them: what has been coded well once stays so, and costs a fraction of a bit. First comes one flag for the picture, is
anything skipped; then one for each block in two rounds, the halves of a checkerboard. How likely a flag is depends on
how the block is predicted; in the first round on the map of the reference that was coded last (measured on two clips at
two qualities: 0.2 % less than by that of the picture coded before), in the second on the four neighbours.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lvc.model.modes import BOTH, Modes
from lvc.model.motion import MotionField
from lvc.rangecoder import Coder, Table, code_by

Flags = npt.NDArray[np.bool_]
Kinds = npt.NDArray[np.int64]

BLOCK = 16
INCREMENT = 24
KINDS = 5
"""Small and large blocks of a picture with one reference; of pictures between two those that are predicted from one,
small and large ones that are from both (measured over ten clips at three qualities: -13 % of the map's bits)."""
_LARGE = 2
"""Level of blocks of 32x32 samples."""


def kinds_of(modes: Modes, fields: Sequence[MotionField]) -> Kinds:
    """How blocks are predicted, 0...KINDS - 1, [rows, cols].

    Args:
        modes: [rows, cols].
        fields: of the one reference or of both, [2 rows, 2 cols].
    """
    large = np.min([field.levels for field in fields], axis=0)[::2, ::2] >= _LARGE
    return np.asarray(large.astype(np.int64) if len(fields) == 1 else np.where(modes == BOTH, 3 + large, 2))


def _likely(*shares: float) -> list[Table]:
    """Tables of flags that are set with these probabilities."""
    return [Table([round(100 * (1 - share)), round(100 * share)], INCREMENT) for share in shares]


@dataclass
class SkipTables:
    """Adaptive tables of one group of pictures.

    used: of the flag for the picture; first: [kind][was it skipped in the past: 0, 1][were none, some,
    all of its neighbours]; second: [kind][how many of its neighbours are, 0...4].
    """

    used: list[Table] = field(default_factory=lambda: _likely(0.5))
    first: list[Table] = field(default_factory=lambda: _likely(*(0.05, 0.2, 0.5, 0.3, 0.6, 0.9) * KINDS))
    second: list[Table] = field(default_factory=lambda: _likely(*(0.05, 0.2, 0.4, 0.7, 0.9) * KINDS))

    def all(self) -> list[Table]:
        """Every table, in a fixed order."""
        return [*self.used, *self.first, *self.second]


def _around(flags: Flags) -> npt.NDArray[np.int64]:
    """How many of the four neighbours are set, [rows, cols]; outside the picture counts as the block itself, so far."""
    padded = np.pad(flags, 1, mode="edge").astype(np.int64)
    return np.asarray(padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:])


def code_skip(coder: Coder, tables: SkipTables, kinds: Kinds, past: Flags | None, wanted: Flags | None) -> Flags:
    """Write or read the skip map of one predicted picture.

    Args:
        kinds: from :func:`kinds_of`, of 16x16 blocks, [rows, cols].
        past: map of the reference that was coded last; None where that is an intra picture.
        wanted: what to write, [rows, cols]; None when reading.

    Returns:
        [rows, cols].

    Raises:
        FormatError: when reading what no encoder wrote.
    """
    flags = np.zeros(kinds.shape, dtype=bool)
    given = None if wanted is None else np.array([wanted.any()], dtype=np.int64)
    if not coder.code(tables.used[0], given, 1)[0]:
        return flags
    past = np.zeros_like(flags) if past is None else past
    second = np.indices(kinds.shape).sum(0) % 2 == 1
    near = _around(past)
    context = kinds * 6 + past * 3 + (near > 0) + (near == 4)
    for half, contexts in ((~second, tables.first), (second, tables.second)):
        if half is second:
            context = kinds * 5 + _around(flags)  # of the neighbours all are known, of the second half nothing is
        given = None if wanted is None else wanted.ravel().astype(np.int64)
        flags |= code_by(coder.code, contexts, np.where(half, context, -1).ravel(), given).reshape(flags.shape) == 1
    return flags
