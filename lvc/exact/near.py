"""Where networks are computed: everywhere, or only near the places at which something is needed.

A skipped block takes nothing from the networks, and between anchors nearly all blocks are skipped. What networks would
give there need not be known, but for a little around the other blocks: each 3x3 filter reaches one place further. So
planes are taken apart into columns, one for each place, the nearest first; then what each layer has to know are the
first so many columns of the layer before. The numbers are the same as everywhere.
"""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lvc.exact.layers import Neighbours, Qualities
from lvc.exact.places import enlarged
from lvc.kernels import nearness


class Everywhere:
    """All places of planes, which stay as they are."""

    is_empty = False

    def taken(self, planes: Tensor, reach: int) -> Tensor:
        """What layers are given of planes [B, C, h, w] that know all within ``reach`` of the needed places."""
        return planes

    def nearest(self, taken: Tensor, reach: int) -> Tensor:
        """What is within ``reach``, of that which was taken within more."""
        return taken

    def put(self, taken: Tensor) -> Tensor:
        """Planes of what layers have given; zero further away."""
        return taken

    def neighbours(self, reach: int) -> Neighbours | None:
        """For each column within ``reach`` those of the nine places around it; None where planes are whole."""
        return None

    def qualities(self, quality: Qualities, reach: int) -> Qualities:
        """Qualities of the places within ``reach``."""
        return quality


EVERYWHERE = Everywhere()


class Near(Everywhere):
    """Places near those that are needed, of planes of one picture.

    Distances are the larger one of those by rows and by columns.

    Args:
        needed: [h, w].
        reach: the most that will be asked for.
    """

    def __init__(self, needed: npt.NDArray[np.bool_], reach: int) -> None:
        self._shape = needed.shape
        distances = np.empty(needed.shape, np.int32)
        nearness.measure(needed, reach + 1, distances)
        order = np.argsort(distances, axis=None, kind="stable")
        self._counts = np.bincount(distances.ravel(), minlength=reach + 2).cumsum()[: reach + 1]
        self._order = order[: self._counts[-1]]
        self.is_empty = len(self._order) == 0

    @functools.cached_property
    def _places(self) -> Tensor:
        return torch.from_numpy(self._order)

    @functools.cached_property
    def _table(self) -> Neighbours:
        table = np.empty((len(self._order), 9), np.int32)
        nearness.neighbours(self._order, self._shape[0], self._shape[1], table)
        return table

    def taken(self, planes: Tensor, reach: int) -> Tensor:
        """See :class:`Everywhere`: [1, C, h, w] to [1, C, 1, n]."""
        return planes.flatten(2).index_select(2, self._places[: self._counts[reach]])[:, :, None]

    def nearest(self, taken: Tensor, reach: int) -> Tensor:
        """See :class:`Everywhere`: [1, C, 1, n] to [1, C, 1, m]."""
        return taken[..., : self._counts[reach]]

    def put(self, taken: Tensor) -> Tensor:
        """See :class:`Everywhere`: [1, C, 1, n] to [1, C, h, w]."""
        channels, count = taken.shape[1], taken.shape[3]
        planes = torch.zeros(1, channels, self._shape[0] * self._shape[1])
        planes.index_copy_(2, self._places[:count], taken[:, :, 0])
        return planes.view(1, channels, *self._shape)

    def neighbours(self, reach: int) -> Neighbours:
        """See :class:`Everywhere`: [n, 9], by rows; the number of all columns where the picture ends."""
        return self._table[: self._counts[reach]]

    def qualities(self, quality: Qualities, reach: int) -> Qualities:
        """See :class:`Everywhere`."""
        if quality.where is None:
            return quality
        where = enlarged(quality.where, self._shape[0] // quality.where.shape[1])
        return quality._replace(where=self.taken(where[:, None], reach)[:, 0])


class Extent(NamedTuple):
    """Where networks are computed, at 1/8 and at 1/16 resolution."""

    fine: Everywhere = EVERYWHERE
    coarse: Everywhere = EVERYWHERE
