"""What becomes of the motion that was found: block sizes, and cheaper vectors where they are nearly as good.

Everything here is the encoder's freedom; only :mod:`lvc.model.motion` fixes what a field costs and means.
"""

import numpy as np
import torch
from torch import Tensor

from lvc.encoder.matching import VECTOR_WEIGHT, Matcher, sights
from lvc.encoder.motion_search import (
    LOGARITHMS,
    neighbour_median,
    neighbours,
    pool,
    spread,
    surround,
    vector_bits,
)
from lvc.encoder.vector_costs import VectorBits, cheaper
from lvc.kernels import blocks, shared
from lvc.kernels.matching import Sight
from lvc.model.known_vectors import Ints, Known
from lvc.model.motion import Floats, MotionTables, cells_of

SPLIT_BITS = 3.0
"""About what it costs to say that a 16x16 block is split."""


@torch.no_grad()
def block_sizes(
    target: Tensor,
    planes: Tensor,
    full: Tensor,
    quality: Tensor,
    share: Tensor | None = None,
    weight: float = VECTOR_WEIGHT,
) -> tuple[Tensor, Tensor]:
    """Split 16x16 blocks and merge them, bottom-up, where the Lagrangian cost falls.

    Args:
        target, planes, quality, weight: as in :func:`lvc.encoder.motion_search.search`.
        full: the field that it found.
        share: of a mismatch that is left to code, [B, H/8, W/8], 0 where vectors do not matter; None: 1.

    Returns:
        Field [B, H/8, W/8, 2], and the level of the block that each 8x8 block belongs to (0: 8x8 ... 3: 64x64),
        [B, H/8, W/8].
    """
    if planes.ndim == 4:
        return _compiled(target, planes, full, quality, share, weight)
    matcher = Matcher(target, planes, quality, share)
    matters = None if share is None else share > 0
    searched = matcher(full)

    def misses(field: Tensor) -> Tensor:
        return matcher.changed(field, full, searched, matters)

    def rate(field: Tensor, guess: Tensor, size: int) -> Tensor:
        bits = weight * vector_bits(field, guess)
        return bits if share is None else torch.where(pool(share, size) > 0, bits, 0.0)

    rows, cols = shape = (matcher.rows, matcher.cols)
    pairs = full[:, ::2, ::2]
    field, guess = full, spread(neighbour_median(pairs, pairs), 2, shape)
    single = misses(field)
    cost16 = pool(single, 2) + rate(field[:, ::2, ::2], guess[:, ::2, ::2], 2)
    # 8x8 blocks take a neighbour's vector from outside their 16x16 block, or their own
    small, small_cost = field, single + rate(field, guess, 1)
    for candidate in neighbours(field):
        value = misses(candidate) + weight * vector_bits(candidate, guess).clamp_min(2.0)
        better = value < small_cost
        small = torch.where(better[..., None], candidate, small)
        small_cost = torch.minimum(small_cost, value)
    split_cost = pool(small_cost, 2) + weight * SPLIT_BITS
    split = split_cost < cost16
    mask = spread(split[..., None], 2, shape)
    field = torch.where(mask, small, field)
    level = torch.where(mask[..., 0], 0, 1)
    cost = torch.minimum(split_cost, cost16)
    for size in (1, 2):  # four of 16 to one of 32, four of 32 to one of 64
        factor = 2 << size
        children = pool(cost, 2) + weight
        whole = whole_field = None
        step = factor // 2
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            y = torch.arange(0, rows, factor, device=field.device) + dy * step
            x = torch.arange(0, cols, factor, device=field.device) + dx * step
            corner = field[:, y.clamp_max(rows - 1)][:, :, x.clamp_max(cols - 1)]
            value = pool(misses(spread(corner, factor, shape)), factor)
            value = value + rate(corner, guess[:, ::factor, ::factor], factor)
            if whole is None or whole_field is None:
                whole, whole_field = value, corner
            else:
                whole_field = torch.where((value < whole)[..., None], corner, whole_field)
                whole = torch.minimum(whole, value)
        if whole is None or whole_field is None:
            raise ValueError("no candidate for a larger block")
        merge = whole <= children
        mask = spread(merge[..., None], factor, shape)
        field = torch.where(mask, spread(whole_field, factor, shape), field)
        level = torch.where(mask[..., 0], size + 1, level)
        cost = torch.minimum(whole, children)
    return field, level


def _compiled(
    target: Tensor, planes: Tensor, full: Tensor, quality: Tensor, share: Tensor | None, weight: float
) -> tuple[Tensor, Tensor]:
    """The same by :mod:`lvc.kernels`, each 64x64 block to its end."""
    found, levels = torch.empty(full.shape, dtype=torch.int64), torch.empty(full.shape[:3], dtype=torch.int64)
    pairs = full[:, ::2, ::2].contiguous()
    _, guess = surround(pairs, pairs)
    for n, sight in enumerate(sights(target, planes, quality, share)):
        given = full[n].contiguous().numpy(), guess[n].numpy()
        prices, results = blocks.Prices(weight, SPLIT_BITS, LOGARITHMS), (found[n].numpy(), levels[n].numpy())
        shared(blocks.sizes, -(-len(sight.scales) // 8), sight, *given, prices, *results)
    return found, levels


class RateChooser:
    """Takes a cheaper vector where what it saves in bits is worth its worse match: the search knows rates only roughly,
    since what a vector is predicted from is decided after it.

    Implements :class:`lvc.model.motion.Chooser` for one picture.

    Args:
        target, planes, quality, share, weight: as in :func:`block_sizes`, for a batch of one.
    """

    def __init__(
        self, target: Tensor, planes: Tensor, quality: Tensor, share: Tensor, weight: float = VECTOR_WEIGHT
    ) -> None:
        self._weight = weight
        what = target, planes, quality, share
        # as :func:`lvc.exact.warp.readable` gives them: for compiled loops, or interpolated
        self._matches: Sight | Matcher = sights(*what)[0] if planes.ndim == 4 else Matcher(*what)
        self._prices: VectorBits | None = None  # of the whole picture: tables adapt only after it

    def __call__(self, y: Ints, x: Ints, size: int, wanted: Ints, known: Known, tables: MotionTables) -> Ints:
        """See the protocol."""
        if self._prices is None:
            self._prices = VectorBits.of(tables)
        return self.best(y, x, size, wanted, *cheaper(self._prices, wanted, known))

    def best(self, y: Ints, x: Ints, size: int, wanted: Ints, options: Ints, saved: Floats) -> Ints:
        """The vectors [n, 2] of least cost.

        Args:
            y, x, size, wanted: see the protocol.
            options, saved: as :func:`lvc.encoder.vector_costs.cheaper` returns them.
        """
        if isinstance(self._matches, Sight):
            chosen = wanted.copy()
            blocks.cheapest(self._matches, y, x, size, options, saved, self._weight, chosen)
            return chosen
        number, at = np.nonzero(saved > 0)
        if not len(at):
            return wanted
        some = np.unique(at)
        every, vectors = np.concatenate([some, at]), np.concatenate([wanted[some], options[number, at]])
        missed = _misses(self._matches, y[every], x[every], size, vectors)
        misses = np.zeros(len(y))
        misses[some] = missed[: len(some)]
        won = np.zeros_like(saved)
        won[number, at] = self._weight * saved[number, at] - (missed[len(some) :] - misses[at])
        best = won.argmax(0)
        taken = np.flatnonzero(won.max(0) > 0)
        chosen = wanted.copy()
        chosen[taken] = options[best[taken], taken]
        return chosen


def _misses(matcher: Matcher, y: Ints, x: Ints, size: int, vectors: Ints) -> Floats:
    """What n blocks miss, [n]."""
    block, cell_y, cell_x = cells_of(y, x, size, matcher.rows, matcher.cols)
    cells = (torch.from_numpy(each).to(matcher.device) for each in (cell_y, cell_x, vectors[block]))
    missed = matcher.blocks(*cells).cpu().numpy()
    return np.asarray(np.bincount(block, missed, len(y)), dtype=np.float64)
