"""Exact layers on CPUs, by :mod:`lvc.kernels` and the fastest products that there are.

A layer that is exact does not change any more. What is taken of it is kept as arrays, since each call of PyTorch's
takes time; and where one thread makes products of words, a layer or a block is one call as a whole: it takes less time,
and meanwhile another thread has Python for itself.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lvc.errors import ModelError
from lvc.exact.places import enlarged
from lvc.exact.product import ACT_MAX, Matrix, best_words, is_shared, multiplied, multiplied_twice
from lvc.exact.qualities import Qualities, placed
from lvc.kernels import layers as kernels
from lvc.kernels import networks
from lvc.kernels.words import Pairs

Floats = npt.NDArray[np.float32]
Runs = npt.NDArray[np.int64]
"""Places of a plane, by rows: first place and number of places of each run in a row, [k, 2]."""
_ALL = np.empty((0, 2), np.int64)
_PLANES, _NOTHING = 3, np.empty((0, 0), np.float32)
"""Layers read no more planes than these."""
_MOST = float(ACT_MAX)
_POSITIONS = 1 << 11
"""Positions at which CPUs widen and narrow at a time: as many as stay in a cache (measured for 64 channels of 1280x720
on one thread: a block alone 7 ms instead of 17, 10 instead of 13 where memory is not given back in between)."""


class Frozen(NamedTuple):
    """What compiled loops and products take of an exact layer.

    matrix: weights, [C_out, C_in], or [C, 9] of a depth-wise one.
    offsets: what is added to sums, [C_out].
    knots: what is added at each knot of qualities, [KNOTS, C_out] whole numbers; None where there are none.
    act: whether there is a leaky slope.
    """

    matrix: Matrix
    offsets: Floats
    knots: Floats | None
    act: bool

    @property
    def filters(self) -> Floats:
        """Weights of a depth-wise layer, [C, 3, 3]."""
        found: Floats = self.matrix.floats.numpy().reshape(-1, 3, 3)
        return found

    def _by_quality(self, quality: Qualities | None) -> Floats | None:
        """What is added because of qualities, [B, n, C_out]; None where the layer does not depend on them."""
        if self.knots is None:
            return None
        if quality is None:
            raise ModelError("a quality-dependent layer was called without a quality")
        return np.asarray(np.rint((quality.weights.numpy()[..., None] * self.knots).sum(2)))

    def sums(self, x: Tensor) -> Tensor:
        """Products of planes [B, C_in, h, w] alone, [B, C_out, h, w]."""
        b, channels, height, width = x.shape
        columns = x.reshape(b, channels, -1)
        if b == 1:
            every = multiplied(self.matrix, columns[0])
        else:
            every = torch.stack([multiplied(self.matrix, each) for each in columns])
        return every.view(b, -1, height, width)

    def finish(self, sums: Tensor, quality: Qualities | None) -> Tensor:
        """Activations of such sums, in place."""
        planes, offsets = sums.numpy().reshape(len(sums), sums.shape[1], -1), [self.offsets] * len(sums)
        more = self._by_quality(quality)
        if more is not None and quality is not None:
            if quality.where is None:
                offsets = [self.offsets + each[0] for each in more]
            else:
                by_block = placed(torch.from_numpy(more), quality.where)
                sums.add_(enlarged(by_block, sums.shape[2] // by_block.shape[2]))
        for each, offset in zip(planes, offsets, strict=True):
            kernels.finish(each, offset, self.act, _MOST)
        return sums

    def in_one_go(self, planes: list[Tensor], runs: Runs | None, quality: Qualities | None) -> Tensor | None:
        """Activations [1, C_out, h, w] of planes of one picture, their channels joined; None where that is not best.

        Args:
            planes: [1, C, h, w] each, three at most, together C_in channels.
            runs: where they are computed, one at least, zero elsewhere; None: everywhere.
            quality: see :class:`~lvc.exact.layers.Conv`.
        """
        words = _words_of_one(self.matrix, planes[0], runs)
        if words is None or (quality is not None and quality.where is not None):
            return None
        more, out = self._by_quality(quality), torch.empty(1, len(self.offsets), *planes[0].shape[2:])
        offsets = self.offsets if more is None else self.offsets + more[0, 0]
        given = (*(_flat(plane) for plane in planes), *[_NOTHING] * (_PLANES - len(planes)))
        where = _ALL if runs is None else runs
        networks.layer(given, where, words, self.matrix.grid, offsets, self.act, _MOST, _flat(out))
        return out


def _flat(planes: Tensor) -> Floats:
    """Planes of one picture, [C, h w]."""
    found: Floats = planes.contiguous().numpy()[0].reshape(planes.shape[1], -1)
    return found


def _words_of_one(matrix: Matrix, x: Tensor, runs: Runs | None) -> Pairs | None:
    """The words of a matrix, where one thread is to make products with them for some places of planes."""
    words = best_words(matrix)
    if words is None or len(x) > 1:
        return None
    several = torch.get_num_threads() > 1
    if several and is_shared(matrix, x.shape[2] * x.shape[3] if runs is None else int(runs[:, 1].sum())):
        return None
    return words


def depthwise(layer: Frozen, x: Tensor, runs: Runs | None) -> Tensor:
    """Activations of a depth-wise layer: [B, C, h, w], or, where there are runs of n places, [1, C, 1, n]."""
    filters, planes = layer.filters, x.contiguous().numpy()
    if runs is not None:
        some = torch.empty(1, len(filters), 1, int(runs[:, 1].sum()))
        into, given = some.numpy()[0, :, 0], planes.reshape(len(filters), -1)
        kernels.depthwise_near(given, x.shape[3], runs, filters, layer.offsets, _MOST, into)
        return some
    found = torch.empty(x.shape)
    for into, given in zip(found.numpy(), planes, strict=True):
        kernels.depthwise(given, filters, layer.offsets, _MOST, into)
    return found


class FrozenBlock(NamedTuple):
    """The layers of a residual block."""

    spatial: Frozen
    widen: Frozen
    narrow: Frozen

    def apply(self, x: Tensor, runs: Runs | None) -> Tensor:
        """See :class:`lvc.exact.layers.Block`; in place where there are runs, one at least, and x is contiguous."""
        wide, narrow = (_words_of_one(layer.matrix, x, runs) for layer in (self.widen, self.narrow))
        if wide is not None and narrow is not None:
            return self._in_one_go(x.contiguous(), runs, wide, narrow)
        spatial = depthwise(self.spatial, x, runs)
        return self._everywhere(x, spatial) if runs is None else self._near(x, spatial, runs)

    def _in_one_go(self, x: Tensor, runs: Runs | None, wide: Pairs, narrow: Pairs) -> Tensor:
        out = x if runs is not None else torch.empty(x.shape)
        networks.block(
            x.numpy()[0],
            _ALL if runs is None else runs,
            self.spatial.filters,
            self.spatial.offsets,
            wide,
            self.widen.matrix.grid,
            self.widen.offsets,
            narrow,
            self.narrow.matrix.grid,
            self.narrow.offsets,
            _MOST,
            out.numpy()[0],
        )
        return out

    def _everywhere(self, x: Tensor, spatial: Tensor) -> Tensor:
        """So many places at a time as stay in a cache."""
        result, shape = torch.empty(x.shape), (*x.shape[:2], -1)
        given, into = x.contiguous().numpy().reshape(shape), result.numpy().reshape(shape)
        for number, columns in enumerate(spatial.view(shape)):
            for start in range(0, columns.shape[1], _POSITIONS):
                sums = self._sums(columns[:, start : start + _POSITIONS])
                kernels.finish_and_add(sums.numpy(), self.narrow.offsets, _MOST, given[number], into[number], start)
        return result

    def _near(self, x: Tensor, spatial: Tensor, runs: Runs) -> Tensor:
        """The same in some places, in place."""
        parts = [self._sums(part) for part in spatial[0, :, 0].split(_POSITIONS, 1)]
        sums, planes = parts[0] if len(parts) == 1 else torch.cat(parts, 1), x.numpy().reshape(x.shape[1], -1)
        kernels.finish_and_add_near(sums.numpy(), self.narrow.offsets, _MOST, runs, planes)
        return x

    def _sums(self, columns: Tensor) -> Tensor:
        """Of columns [C, n], [C, n]: what is to be added, without its offsets."""
        return multiplied_twice(self.widen.matrix, self.widen.offsets, self.narrow.matrix, columns)
