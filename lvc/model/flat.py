"""Pictures whose chroma is of one colour, and intra pictures all of which is: films in black and white, black pictures.

What is flat is sent once, and it is exact.

One function serves both directions, see :mod:`lvc.rangecoder`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from lvc.model.prediction import MIDDLE, Memory, Picture
from lvc.rangecoder import Coder, Table

Chroma = tuple[int, int]
"""U, V, 10-bit."""
GREY: Chroma = (int(MIDDLE), int(MIDDLE))
_BITS = 10
INCREMENT = 24
_CHROMA, _ALL = 1, 2


class Flat(NamedTuple):
    """The one value of all samples of luma, None where there are more, and those of chroma."""

    luma: int | None
    chroma: Chroma


def flat_parts(picture: Picture) -> Flat | None:
    """What is flat in a picture [1, ...]; None where its chroma is not."""
    y, u, v = (
        int(plane[0, 0]) if bool((plane == plane[0, 0]).all()) else None
        for plane in (picture.y[0, 0], picture.uv[0, 0], picture.uv[0, 1])
    )
    return None if u is None or v is None else Flat(y, (u, v))


def fresh_flat_tables() -> list[Table]:
    """Of intra pictures, where all may be flat, and of others."""
    return [Table([250, 6, 6], INCREMENT), Table([250, 6], INCREMENT)]


def code_flat(coder: Coder, table: Table, known: Chroma | None, wanted: Flat | None) -> Flat | None:
    """Write or read what is flat; None for nothing, and when reading.

    Args:
        known: the chroma that a picture with references has, if it is flat; None for intra pictures, which send it.
    """
    kind = 0 if wanted is None else _CHROMA if wanted.luma is None else _ALL
    kind = int(coder.code(table, np.array([kind]), 1)[0])
    if not kind:
        return None
    luma, chroma = wanted or Flat(None, GREY)
    if known is None:
        u, v = coder.raw(np.array(chroma), 2, _BITS).tolist()
        known = u, v
    return Flat(int(coder.raw(np.array([luma or 0]), 1, _BITS)[0]) if kind == _ALL else None, known)


def painted(memory: Memory, flats: Sequence[Flat | None]) -> Memory:
    """What pictures leave, [B, ...], with what is flat in each of them."""
    if not any(flats):
        return memory
    y, uv = (plane.clone() for plane in memory.picture)
    for number, flat in enumerate(flats):
        if flat is not None:
            uv[number] = torch.tensor(flat.chroma).to(uv).view(2, 1, 1)
            if flat.luma is not None:
                y[number] = float(flat.luma)
    return memory._replace(picture=Picture(y, uv))
