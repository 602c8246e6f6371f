"""The skip map: blocks of 16x16 luma samples that are their motion-compensated prediction and nothing else.

A skipped block has no latents, its samples and its state are those of the reference, moved, and no network touches
them: what has been coded well once stays so, and costs a fraction of a bit. First comes one flag for the picture, is
anything skipped; then one for each block in two rounds, the halves of a checkerboard. How likely a flag is depends on
the map of the picture coded before and, in the second round, on the four neighbours.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lvc.rangecoder import Coder, Table

Flags = npt.NDArray[np.bool_]

BLOCK = 16
INCREMENT = 24


def _likely(*shares: float) -> list[Table]:
    """Tables of flags that are set with these probabilities."""
    return [Table([round(100 * (1 - share)), round(100 * share)], INCREMENT) for share in shares]


@dataclass
class SkipTables:
    """Adaptive tables of one group of pictures.

    used: of the flag for the picture; first: [was it skipped in the picture coded before: 0, 1][were none, some, all of
    its neighbours]; second: [was it skipped][how many of its neighbours are, 0...4].
    """

    used: list[Table] = field(default_factory=lambda: _likely(0.5))
    first: list[Table] = field(default_factory=lambda: _likely(0.05, 0.2, 0.5, 0.3, 0.6, 0.9))
    second: list[Table] = field(default_factory=lambda: _likely(0.02, 0.1, 0.3, 0.6, 0.85, 0.1, 0.3, 0.5, 0.8, 0.95))

    def all(self) -> list[Table]:
        """Every table, in a fixed order."""
        return [*self.used, *self.first, *self.second]

    def adapt(self) -> None:
        """After each picture."""
        for table in self.all():
            table.adapt()


def _around(flags: Flags) -> npt.NDArray[np.int64]:
    """How many of the four neighbours are set, [rows, cols]; outside the picture counts as the block itself, so far."""
    padded = np.pad(flags, 1, mode="edge").astype(np.int64)
    return np.asarray(padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:])


def code_skip(
    coder: Coder, tables: SkipTables, rows: int, cols: int, past: Flags | None, wanted: Flags | None
) -> Flags:
    """Write or read the skip map of one predicted picture.

    Args:
        rows, cols: of 16x16 blocks.
        past: map of the picture coded before in this group; None for the first predicted one.
        wanted: what to write, [rows, cols]; None when reading.

    Returns:
        [rows, cols].

    Raises:
        FormatError: when reading what no encoder wrote.
    """
    flags = np.zeros((rows, cols), dtype=bool)
    given = None if wanted is None else np.array([wanted.any()], dtype=np.int64)
    if not coder.code(tables.used[0], given, 1)[0]:
        return flags
    past = np.zeros_like(flags) if past is None else past
    second = np.indices((rows, cols)).sum(0) % 2 == 1
    near = _around(past)
    context = past * 3 + (near > 0) + (near == 4)
    for half, contexts in ((~second, tables.first), (second, tables.second)):
        if half is second:
            context = past * 5 + _around(flags)  # of the neighbours all are known, of the second half nothing is
        for index, table in enumerate(contexts):
            at = half & (context == index)
            given = None if wanted is None else wanted[at].astype(np.int64)
            flags[at] = coder.code(table, given, int(at.sum())) == 1
    return flags
