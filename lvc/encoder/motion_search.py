"""Motion search: block sizes and vectors by what is left to code plus lambda times rate.

First by sums of absolute differences, then, from half samples on and for the decision on block sizes, by sums of
absolute Hadamard coefficients, which follow the bits better.

Everything here is the encoder's freedom; only :mod:`lvc.model.motion` fixes what a field costs and means. Batched:
one call searches every picture of a batch.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.exact.warp import BLOCK, FIRST, LAST
from lvc.model.motion import Floats, Ints, cells_of
from lvc.model.quality import nominal_step

VECTOR_MAX = 2047
"""Largest component of a vector, in quarter samples."""
LEVELS = 4
"""Block sizes 8, 16, 32 and 64."""
MEAN_SHARE = 0.3
"""How much of a block's mean difference counts in a sum of absolute differences: a change of brightness is one latent,
not a reason to look elsewhere (measured: -1.9 % rate over three clips against counting all of it)."""
LAMBDA_PER_STEP = 3.2
"""Lagrangian in 10-bit grey levels of summed absolute difference per bit, per nominal step (8-bit grey levels)."""
HADAMARD_SHARE = 1.28
"""What a sum of absolute orthonormal Hadamard coefficients counts, where a sum of absolute differences counts 1.
Measured over four clips: such sums from half samples on -3.1 % rate with 1, -0.7 % more with 1.2."""


_FURTHEST_RADIUS = 16


@dataclass(frozen=True)
class SearchEffort:
    """How hard to look.

    Attributes:
        radius: full search range at quarter resolution, in samples of that resolution.
        wide_radius: the same at 1/16 resolution, 0 for none.
        propagations: rounds of trying the neighbours' vectors.
        diagonal: refine in four directions ("none"), also in the one between the better two of them ("one"), or in
            all eight ("all").
    """

    radius: int = 7
    wide_radius: int = 5
    propagations: int = 1
    diagonal: str = "one"

    def over(self, pictures: int) -> "SearchEffort":
        """For a reference so many pictures away: what moves has gone further (measured with anchors every four
        pictures, against the same search everywhere: -17 % rate on moving trees, -8 % on bicycles).
        """
        radius = max(self.radius, min(_FURTHEST_RADIUS, self.radius + 3 * (pictures - 1)))
        return replace(self, radius=radius, wide_radius=self.wide_radius and self.wide_radius + 2 * (pictures > 1))


FAST = SearchEffort(radius=5, wide_radius=4, diagonal="none")
MEDIUM = SearchEffort()
SLOW = SearchEffort(radius=10, wide_radius=7, propagations=3, diagonal="all")
TRAINING = SearchEffort(radius=5, wide_radius=0, diagonal="none")


@functools.cache
def _hadamard(device: torch.device) -> Tensor:
    """Orthonormal Hadamard transform of 8x8 samples times HADAMARD_SHARE, [64, 64]."""
    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    eight = torch.kron(torch.kron(two, two), two)
    return torch.kron(eight, eight).to(device) * (HADAMARD_SHARE / 8)


def misses_of(difference: Tensor, means: bool = True) -> Tensor:
    """Sums of absolute Hadamard coefficients of each 8x8 block, [B, 1, H, W] to [B, 1, H/8, W/8].

    Args:
        means: whether they count, too.
    """
    rows = _hadamard(difference.device)[0 if means else 1 :, :, None, None]
    return F.conv2d(F.pixel_unshuffle(difference, BLOCK), rows).abs_().sum(1, keepdim=True)


class Matcher:
    """What each 8x8 block misses, for any field.

    Args:
        target: [B, 1, H, W] luma.
        planes: interpolated reference, from :func:`lvc.exact.warp.phases`.
        fine: Hadamard coefficients instead of differences on every second row, means counted in part.
    """

    def __init__(self, target: Tensor, planes: Tensor, fine: bool) -> None:
        b, _, height, width = target.shape
        self._fine = fine
        every = 1 if fine else 2
        self.rows, self.cols = height // BLOCK, width // BLOCK
        device = self.device = target.device
        blocks = target.view(b, self.rows, BLOCK, self.cols, BLOCK)[:, :, ::every]
        self._target = blocks.transpose(2, 3).reshape(b * self.rows * self.cols, BLOCK * BLOCK // every)
        hp, wp = planes.shape[-2:]
        self._area, self._wp = hp * wp, wp
        self._flat = planes.reshape(-1)
        # places are 32 bits wide where that is enough: there are many of them
        self._type = torch.int32 if self._flat.numel() < 1 << 31 else torch.int64
        within = torch.arange(0, BLOCK, every, device=device)[:, None] * wp + torch.arange(BLOCK, device=device)
        self._within = within.flatten().to(self._type)
        y = torch.arange(self.rows, device=device)[None, :, None] * BLOCK
        x = torch.arange(self.cols, device=device)[None, None, :] * BLOCK
        self._y, self._x = y.expand(b, -1, self.cols).flatten(), x.expand(b, self.rows, -1).flatten()
        self._start = torch.arange(b, device=device).repeat_interleave(self.rows * self.cols) * (16 * self._area)
        self._lowest, self._furthest = height + LAST + 1 - BLOCK, width + LAST + 1 - BLOCK

    def __call__(self, field: Tensor) -> Tensor:
        """[B, H/8, W/8] sums over 64 samples for field [B, H/8, W/8, 2]."""
        every = slice(None)
        return self._at(every, field.reshape(-1, 2)).view(field.shape[:-1])

    def blocks(self, y: Tensor, x: Tensor, vectors: Tensor) -> Tensor:
        """The same [n] of some blocks of the first picture of the batch.

        Args:
            y, x: their rows and columns, [n] int64.
            vectors: [n, 2].
        """
        return self._at(y * self.cols + x, vectors)

    def _at(self, which: Tensor | slice, vectors: Tensor) -> Tensor:
        v, h = vectors[:, 0], vectors[:, 1]
        row = (self._y[which] + (v >> 2)).clamp_(FIRST, self._lowest) - FIRST
        col = (self._x[which] + (h >> 2)).clamp_(FIRST, self._furthest) - FIRST
        place = self._start[which] + ((v & 3) * 4 + (h & 3)) * self._area + row * self._wp + col
        index = place.to(self._type)[:, None] + self._within
        found = self._flat.index_select(0, index.view(-1)).view(-1, len(self._within))
        found.sub_(self._target[which])
        if self._fine:
            coefficients = found @ _hadamard(found.device)  # it is symmetric
            return coefficients.abs_().sum(1)
        return _summed(found)


def _summed(difference: Tensor) -> Tensor:
    """Absolute differences [n, samples on every second row], summed as if there were all rows."""
    mean = difference.mean(1, keepdim=True)
    plain = difference.abs().sum(1)
    levelled: Tensor = difference.sub_(mean).abs_().sum(1)
    return levelled * (2 * (1 - MEAN_SHARE)) + plain * (2 * MEAN_SHARE)


class RateChooser:
    """Takes the predicted vector where what it saves in bits is worth its worse match: the search knows rates only
    roughly, since what a vector is predicted from is decided after it.

    Implements :class:`lvc.model.motion.Chooser` for one picture.

    Args:
        target, planes, quality, weights: as in :func:`block_sizes`, for a batch of one; weights [H/8, W/8].
        field: the one that is wanted, [1, H/8, W/8, 2].
    """

    def __init__(
        self, target: Tensor, planes: Tensor, quality: Tensor, field: Tensor, weights: Floats | None = None
    ) -> None:
        self._matcher = Matcher(target, planes, fine=True)
        self._weights = weights
        self._wanted = self._matcher(field)[0].cpu().numpy()
        self._price = LAMBDA_PER_STEP * float(nominal_step(quality))

    def __call__(self, y: Ints, x: Ints, size: int, wanted: Ints, guess: Ints, extra_bits: Floats) -> Ints:
        """See the protocol."""
        at = np.flatnonzero(extra_bits > 0)
        if not len(at):
            return wanted
        block, cell_y, cell_x = cells_of(y[at], x[at], size, self._matcher.rows, self._matcher.cols)
        cells = (torch.from_numpy(each).to(self._matcher.device) for each in (cell_y, cell_x, guess[at][block]))
        worse = self._matcher.blocks(*cells).cpu().numpy() - self._wanted[cell_y, cell_x]
        if self._weights is not None:
            worse = worse * self._weights[cell_y, cell_x]
        worth = np.bincount(block, worse, len(at)) <= self._price * extra_bits[at]
        chosen = wanted.copy()
        chosen[at[worth]] = guess[at[worth]]
        return chosen


def vector_bits(vector: Tensor, guess: Tensor) -> Tensor:
    """About what a vector costs given its prediction: [..., 2] each, bits [...]."""
    difference = (vector - guess).abs().float()
    bits = 2.0 * torch.log2(1 + difference).sum(-1)
    return torch.where(bits > 0, bits + 2.5, 0.3)


def neighbour_median(field: Tensor, fifth: Tensor) -> Tensor:
    """Component-wise median of the four neighbours and a fifth vector, [B, h, w, 2]."""
    padded = F.pad(field.permute(0, 3, 1, 2).float(), (1, 1, 1, 1), mode="replicate").to(field.dtype)
    h, w = field.shape[1:3]
    around = [fifth.permute(0, 3, 1, 2)]
    around += [padded[:, :, dy : dy + h, dx : dx + w] for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2))]
    return torch.stack(around).median(0).values.permute(0, 2, 3, 1)


def _full_search(target: Tensor, reference: Tensor, scale: int, radius: int, block: int) -> Tensor:
    """Whole-picture search at 1/scale resolution; one vector per ``block`` luma samples, quarter-sample units.

    Returns:
        [B, H/block, W/block, 2] int64.
    """
    small, ref = F.avg_pool2d(target, scale), F.avg_pool2d(reference, scale)
    h, w = small.shape[2:]
    size = 2 * radius + 1
    padded = F.pad(ref, (radius, radius, radius, radius), mode="replicate")
    side = block // scale
    penalty = 0.02 * torch.arange(-radius, radius + 1, device=target.device).abs().float()
    best = best_at = None
    for dy in range(size):
        windows = padded[:, 0, dy : dy + h].unfold(2, w, 1)  # [B, h, size, w]
        difference = (windows - small[:, 0, :, None]).abs_().permute(0, 2, 1, 3)
        cost = F.avg_pool2d(difference, side, ceil_mode=True) + (penalty + penalty[dy])[None, :, None, None]
        value, at = cost.min(1)
        if best is None or best_at is None:
            best, best_at = value, at + dy * size
        else:
            best_at = torch.where(value < best, at + dy * size, best_at)
            best = torch.minimum(best, value)
    if best_at is None:
        raise ValueError("a search needs a radius")
    vector = torch.stack([best_at // size - radius, best_at % size - radius], -1)
    return vector * (4 * scale)


def _spread(field: Tensor, factor: int, like: tuple[int, int]) -> Tensor:
    return field.repeat_interleave(factor, 1).repeat_interleave(factor, 2)[:, : like[0], : like[1]]


def _pool(cost: Tensor, factor: int) -> Tensor:
    """Sum blocks of factor x factor, zero beyond the border: [B, h, w] to [B, ceil(h/f), ceil(w/f)]."""
    h, w = cost.shape[1:]
    padded = F.pad(cost, (0, -w % factor, 0, -h % factor))
    return F.avg_pool2d(padded[:, None], factor)[:, 0] * (factor * factor)


_CROSS = ((-1, 0), (1, 0), (0, -1), (0, 1))
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))


class _Candidates:
    """The best vector of every 16x16 block so far.

    Attributes:
        field: [B, H/16, W/16, 2].
        match: what decides.
    """

    def __init__(self, match: Matcher, price: Tensor, batch: int) -> None:
        self.match, self._price = match, price
        self._shape = (match.rows, match.cols)
        self.pairs = (-(-match.rows // 2), -(-match.cols // 2))
        self.field = torch.zeros(batch, *self.pairs, 2, dtype=torch.int64, device=match.device)
        self._guess = self._moved = self.field
        self._best = self._cost(self.field)

    def _cost(self, field: Tensor) -> Tensor:
        missed = _pool(self.match(_spread(field, 2, self._shape)), 2)
        return missed + self._price * vector_bits(field, self._guess)

    def expect(self, moved: Tensor) -> None:
        """Vectors are predicted from this field, and by :meth:`recentre` from their neighbours, too."""
        self._moved, self._guess = moved, moved
        self._best = self._cost(self.field)

    def consider(self, candidate: Tensor) -> Tensor:
        """Take vectors [B, H/16, W/16, 2] where they are better; gives what they cost, [B, H/16, W/16]."""
        candidate = candidate.clamp(-VECTOR_MAX, VECTOR_MAX)
        cost = self._cost(candidate)
        self.field = torch.where((cost < self._best)[..., None], candidate, self.field)
        self._best = torch.minimum(self._best, cost)
        return cost

    def recentre(self) -> None:
        """Predict vectors from the field as it is now."""
        bits = vector_bits(self.field, self._guess)
        self._guess = neighbour_median(self.field, self._moved)
        self._best = self._best + self._price * (vector_bits(self.field, self._guess) - bits)

    def propagate(self) -> None:
        """Try the neighbours' vectors."""
        rows, cols = self.pairs
        swapped = self.field.permute(0, 3, 1, 2).double()
        padded = F.pad(swapped, (1, 1, 1, 1), mode="replicate").long().permute(0, 2, 3, 1)
        for dy, dx in _CROSS:
            self.consider(padded[:, 1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + cols])
        self.recentre()

    def refine(self, step: int, diagonal: str) -> None:
        """Try vectors a step away."""
        centre = self.field

        def move(dy: int, dx: int) -> Tensor:
            return self.consider(centre + torch.tensor([dy * step, dx * step], device=centre.device))

        up, down, left, right = (move(dy, dx) for dy, dx in _CROSS)
        if diagonal == "all":
            for dy, dx in _DIAGONAL:
                move(dy, dx)
        elif diagonal == "one":
            better = torch.stack([torch.where(up < down, -step, step), torch.where(left < right, -step, step)], -1)
            self.consider(centre + better)

    def decide_by(self, match: Matcher) -> None:
        """From here on by another measure."""
        self.match = match
        self._best = self._cost(self.field)


@torch.no_grad()
def search(
    target: Tensor,
    reference: Tensor,
    planes: Tensor,
    previous: Tensor | None,
    quality: Tensor,
    effort: SearchEffort = MEDIUM,
) -> Tensor:
    """Find a vector for every 16x16 block.

    Args:
        target: [B, 1, H, W] luma of the picture to predict, 10-bit.
        reference: [B, 1, H, W] reconstructed luma of the reference picture.
        planes: its interpolation, from :func:`lvc.exact.warp.phases`.
        previous: the field that is expected, [B, H/8, W/8, 2], or None.
        quality: [B].

    Returns:
        Field [B, H/8, W/8, 2] int64 in quarter samples.
    """
    price = (LAMBDA_PER_STEP * nominal_step(quality))[:, None, None]
    best = _Candidates(Matcher(target, planes, fine=False), price, len(target))
    # zero, the expected field, coarse full searches; then neighbours, then finer and finer steps
    found = _full_search(target, reference, 4, effort.radius, 16)
    past = best.field if previous is None else previous[:, ::2, ::2]
    moved = past + (found - past).flatten(1, 2).median(1).values[:, None, None]
    candidates = [past, moved, found]
    if effort.wide_radius:
        coarse = _full_search(target, reference, 16, effort.wide_radius, 64)
        candidates.append(_spread(coarse, 4, best.pairs))
    best.expect(moved)
    for candidate in candidates:
        best.consider(candidate)
    best.recentre()
    for step in (8, 4):
        best.refine(step, effort.diagonal)
    for _ in range(effort.propagations):
        best.propagate()
    best.decide_by(Matcher(target, planes, fine=True))
    for step in (2, 1):
        best.refine(step, effort.diagonal)
    return _spread(best.field, 2, (best.match.rows, best.match.cols))


@torch.no_grad()
def block_sizes(
    target: Tensor, planes: Tensor, full: Tensor, quality: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Split 16x16 blocks and merge them, bottom-up, where the Lagrangian cost falls.

    Args:
        target, planes, quality: as in :func:`search`.
        full: the field that it found.
        weights: how much a mismatch counts, [B, H/8, W/8], 0 where vectors do not matter; None: 1.

    Returns:
        Field [B, H/8, W/8, 2], and the level of the block that each 8x8 block belongs to (0: 8x8 ... 3: 64x64),
        [B, H/8, W/8].
    """
    matcher = Matcher(target, planes, fine=True)
    price = (LAMBDA_PER_STEP * nominal_step(quality))[:, None, None]

    def misses(field: Tensor) -> Tensor:
        found = matcher(field)
        return found if weights is None else found * weights

    def rate(field: Tensor, guess: Tensor, size: int) -> Tensor:
        bits = price * vector_bits(field, guess)
        return bits if weights is None else torch.where(_pool(weights, size) > 0, bits, 0.0)

    rows, cols = shape = (matcher.rows, matcher.cols)
    pairs = full[:, ::2, ::2]
    field, guess = full, _spread(neighbour_median(pairs, pairs), 2, shape)
    single = misses(field)
    cost16 = _pool(single, 2) + rate(field[:, ::2, ::2], guess[:, ::2, ::2], 2)
    # 8x8 blocks take a neighbour's vector from outside their 16x16 block, or their own
    small, small_cost = field, single + rate(field, guess, 1)
    padded = F.pad(field.permute(0, 3, 1, 2).double(), (1, 1, 1, 1), mode="replicate").long().permute(0, 2, 3, 1)
    for dy, dx in _CROSS:
        candidate = padded[:, 1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + cols]
        value = misses(candidate) + price * vector_bits(candidate, guess).clamp_min(2.0)
        better = value < small_cost
        small = torch.where(better[..., None], candidate, small)
        small_cost = torch.minimum(small_cost, value)
    split_cost = _pool(small_cost, 2) + price * 3
    split = split_cost < cost16
    mask = _spread(split[..., None], 2, shape)
    field = torch.where(mask, small, field)
    level = torch.where(mask[..., 0], 0, 1)
    cost = torch.minimum(split_cost, cost16)
    for size in (1, 2):  # four of 16 to one of 32, four of 32 to one of 64
        factor = 2 << size
        children = _pool(cost, 2) + price
        whole = whole_field = None
        step = factor // 2
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            y = torch.arange(0, rows, factor, device=field.device) + dy * step
            x = torch.arange(0, cols, factor, device=field.device) + dx * step
            corner = field[:, y.clamp_max(rows - 1)][:, :, x.clamp_max(cols - 1)]
            spread = _spread(corner, factor, shape)
            value = _pool(misses(spread), factor) + rate(corner, guess[:, ::factor, ::factor], factor)
            if whole is None or whole_field is None:
                whole, whole_field = value, corner
            else:
                whole_field = torch.where((value < whole)[..., None], corner, whole_field)
                whole = torch.minimum(whole, value)
        if whole is None or whole_field is None:
            raise ValueError("no candidate for a larger block")
        merge = whole <= children
        mask = _spread(merge[..., None], factor, shape)
        field = torch.where(mask, _spread(whole_field, factor, shape), field)
        level = torch.where(mask[..., 0], size + 1, level)
        cost = torch.minimum(whole, children)
    return field, level
