"""How much coarser the chroma of a group of pictures is: it has the steps of a lower quality, networks do not know.

Sent once, at the start of the group.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

import numpy as np

from lvc.rangecoder import Coder

_BITS = 4
DROP_MAX = (1 << _BITS) - 1


def code_chroma_drop(coder: Coder, wanted: int | None) -> int:
    """Write or read by how many qualities the chroma of a group is coarser, 0...DROP_MAX.

    Args:
        wanted: None when reading.
    """
    return int(coder.raw(None if wanted is None else np.array([wanted]), 1, _BITS)[0])
