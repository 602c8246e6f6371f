"""Which set of loop filters a picture has, see :mod:`lvc.exact.loop_filter`: one symbol behind its latents.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

import numpy as np

from lvc.exact.loop_filter import SETS
from lvc.rangecoder import Coder, Table

KINDS = 3
"""Intra pictures, predicted ones and those between two have a table each."""
INCREMENT = 24


def fresh_filter_tables() -> list[Table]:
    """For each kind of pictures: no filter, or one of the sets."""
    return [Table([40, *[20] * SETS], INCREMENT) for _ in range(KINDS)]


def code_filter(coder: Coder, table: Table, wanted: int | None) -> int:
    """Write or read the number of a set, from 1 on; 0 for none.

    Args:
        wanted: None when reading.
    """
    return int(coder.code(table, None if wanted is None else np.array([wanted]), 1)[0])
