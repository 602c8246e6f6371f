"""Where networks are computed: everywhere, or only near the places at which something is needed.

A skipped block takes nothing from the networks, and between anchors nearly all blocks are skipped. What networks would
give there need not be known, but for a little around the other blocks: each 3x3 filter reaches one place further. So
matrices are multiplied with the columns of these places alone, and each layer computes a little less around them than
the layer before. The numbers are the same as everywhere.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lvc.exact.frozen import Runs
from lvc.exact.layers import Conv
from lvc.exact.places import enlarged
from lvc.exact.qualities import Qualities
from lvc.kernels import nearness


class Everywhere:
    """All places of planes.

    Attributes:
        is_empty: nothing is needed anywhere.
    """

    is_empty = False

    def applied(self, layer: Conv, reach: int, planes: list[Tensor], quality: Qualities | None = None) -> Tensor:
        """What a layer makes of planes [B, C, h, w] within ``reach`` of the needed places, [B, C_out, h, w]; zero
        further away.
        """
        found = layer.in_one_go(planes, self.runs(reach), quality)
        if found is None:
            where = None if quality is None else self.qualities(reach, quality)
            found = self.put(reach, layer(self.joined(reach, *planes), where))
        return found

    def joined(self, reach: int, *planes: Tensor) -> Tensor:
        """Channels of planes [B, C, h, w] within ``reach`` of the needed places, as layers take them."""
        return torch.cat(planes, 1)

    def put(self, reach: int, given: Tensor) -> Tensor:
        """Planes of what layers have given within ``reach``; zero further away."""
        return given

    def runs(self, reach: int) -> Runs | None:
        """The places within ``reach``, see :data:`lvc.exact.frozen.Runs`; None for all."""
        return None

    def qualities(self, reach: int, quality: Qualities) -> Qualities:
        """Qualities of the places within ``reach``."""
        return quality


EVERYWHERE = Everywhere()


class Near(Everywhere):
    """Places near those that are needed, of planes of one picture on a CPU.

    Distances are the larger one of those by rows and by columns. What layers take and give has a column for each place,
    [1, C, 1, n].

    Args:
        needed: [h, w].
    """

    def __init__(self, needed: npt.NDArray[np.bool_]) -> None:
        self._height, self._width = needed.shape
        self._distances = np.empty((self._height, self._width), np.int32)
        nearness.measure(needed, self._distances)
        self._runs: dict[int, Runs] = {}
        self.is_empty = not needed.any()

    def joined(self, reach: int, *planes: Tensor) -> Tensor:
        """See :class:`Everywhere`."""
        runs = self.runs(reach)
        columns = torch.empty(1, sum(plane.shape[1] for plane in planes), 1, int(runs[:, 1].sum()))
        into, first = columns.numpy()[0, :, 0], 0
        for plane in planes:
            last = first + plane.shape[1]
            given = plane.contiguous().numpy()[0].reshape(last - first, -1)
            nearness.move(given, runs, into[first:last], True)
            first = last
        return columns

    def put(self, reach: int, given: Tensor) -> Tensor:
        """See :class:`Everywhere`."""
        planes = torch.zeros(1, given.shape[1], self._height, self._width)
        into, some = planes.numpy()[0].reshape(given.shape[1], -1), given.contiguous().numpy()[0, :, 0]
        nearness.move(into, self.runs(reach), some, False)
        return planes

    def runs(self, reach: int) -> Runs:
        """See :class:`Everywhere`."""
        if reach not in self._runs:
            self._runs[reach] = nearness.runs(self._distances, reach)
        return self._runs[reach]

    def qualities(self, reach: int, quality: Qualities) -> Qualities:
        """See :class:`Everywhere`."""
        if quality.where is None:
            return quality
        where = enlarged(quality.where, self._height // quality.where.shape[1])
        return quality._replace(where=self.joined(reach, where[:, None].float())[:, 0].long())


class Extent(NamedTuple):
    """Where networks are computed, at 1/8 and at 1/16 resolution."""

    fine: Everywhere = EVERYWHERE
    coarse: Everywhere = EVERYWHERE
