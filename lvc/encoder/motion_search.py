"""Motion search: the vectors by which the least is left to code, lambda times their rate counted.

First by sums of absolute differences, then, from half samples on (and later on block sizes, see
:mod:`lvc.encoder.motion_blocks`), by what Hadamard coefficients would cost, see :mod:`lvc.encoder.matching`.

Everything here is the encoder's freedom; only :mod:`lvc.model.motion` fixes what a field costs and means. Batched:
one call searches every picture of a batch.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.encoder.cost import LEAST, PER_POWER
from lvc.encoder.matching import MEAN_SHARE, VECTOR_WEIGHT, Matcher, steps_of
from lvc.exact.places import is_compiled, places
from lvc.exact.warp import BLOCK, BORDER, LUMA, filter_sets
from lvc.kernels import searching, shared, windows
from lvc.model.motion import VECTOR_LIMIT
from lvc.model.quality import RATE_WEIGHT, nominal_step

VECTOR_MAX = 2047
"""Largest component of a vector, in quarter samples."""
LAMBDA_PER_STEP = 3.2
"""Lagrangian in 10-bit grey levels of summed absolute difference per bit, per nominal step (8-bit grey levels)."""
_FURTHEST_RADIUS = 16
_STEP_PRICE = 0.02
"""What a sample of distance costs in a full search, in mean absolute differences."""


@dataclass(frozen=True)
class SearchEffort:
    """How hard to look.

    Attributes:
        radius: full search range at quarter resolution, in samples of that resolution.
        wide_radius: the same at 1/16 resolution, 0 for none.
        propagations: rounds of trying the neighbours' vectors.
        diagonal: refine in four directions ("none"), also in the one between the better two of them ("one"), or in
            all eight ("all").
        transforms: from half samples on by Hadamard coefficients, not by absolute differences.
    """

    radius: int = 7
    wide_radius: int = 5
    propagations: int = 1
    diagonal: str = "one"
    transforms: bool = True

    def over(self, pictures: int) -> "SearchEffort":
        """For a reference so many pictures away: what moves has gone further (measured with anchors every four
        pictures, against the same search everywhere: -17 % rate on moving trees, -8 % on bicycles).
        """
        radius = max(self.radius, min(_FURTHEST_RADIUS, self.radius + 3 * (pictures - 1)))
        return replace(self, radius=radius, wide_radius=self.wide_radius and self.wide_radius + 2 * (pictures > 1))


FAST = SearchEffort(radius=5, wide_radius=4, diagonal="none")
MEDIUM = SearchEffort()
SLOW = SearchEffort(radius=10, wide_radius=7, propagations=3, diagonal="all")
LOOK = SearchEffort(radius=5, wide_radius=4, diagonal="none", transforms=False)
TRAINING = SearchEffort(radius=5, wide_radius=0, diagonal="none")


def vector_bits(vector: Tensor, guess: Tensor) -> Tensor:
    """About what a vector costs given its prediction: [..., 2] each, bits [...]."""
    difference = (vector - guess).abs().float()
    bits = 2.0 * torch.log2(1 + difference).sum(-1)
    return torch.where(bits > 0, bits + 2.5, 0.3)


def neighbours(field: Tensor) -> list[Tensor]:
    """The vectors above, below, left and right of each one, [B, h, w, 2]; at the border its own."""
    h, w = field.shape[1:3]
    # replicate padding takes no integers; components are far below 2^24
    padded = F.pad(field.permute(0, 3, 1, 2).float(), (1, 1, 1, 1), mode="replicate").to(field.dtype)
    padded = padded.permute(0, 2, 3, 1)
    return [padded[:, 1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w] for dy, dx in _CROSS]


def neighbour_median(field: Tensor, fifth: Tensor) -> Tensor:
    """Component-wise median of the four neighbours and a fifth vector, [B, h, w, 2]."""
    return torch.stack([fifth, *neighbours(field)]).median(0).values


def _quartered(plane: Tensor) -> Tensor:
    """Means of 4x4 samples: [B, 1, h, w] to [B, 1, h / 4, w / 4], rounded down."""
    if not is_compiled(plane):
        return F.avg_pool2d(plane, 4)
    out = torch.empty(len(plane), 1, plane.shape[2] // 4, plane.shape[3] // 4)
    for each, into in zip(plane[:, 0], out[:, 0], strict=True):
        windows.quarter(each.numpy(), into.numpy())
    return out


def _full_search(small: Tensor, ref: Tensor, scale: int, radius: int) -> Tensor:
    """Whole-picture search at 1/scale resolution; one vector per ``4 * scale`` luma samples, quarter-sample units.

    Args:
        small, ref: what is searched and where, at that resolution, [B, 1, h, w].

    Returns:
        [B, ceil(h / 4), ceil(w / 4), 2] int64.
    """
    h, w = small.shape[2:]
    size, side = 2 * radius + 1, searching.SIDE
    padded = F.pad(ref, (radius, radius, radius, radius), mode="replicate")
    if is_compiled(small):
        found = torch.empty(len(small), -(-h // side), -(-w // side), 2, dtype=torch.int64)
        for each, around, into in zip(small[:, 0], padded[:, 0], found, strict=True):
            searching.full_search(each.numpy(), around.numpy(), radius, _STEP_PRICE, into.numpy())
        return found * (4 * scale)
    penalty = _STEP_PRICE * torch.arange(-radius, radius + 1, device=small.device).abs().float()
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


def spread(field: Tensor, factor: int, like: tuple[int, int]) -> Tensor:
    """Each entry for factor x factor blocks, [B, h, w, ...] to [B, *like, ...]."""
    return field.repeat_interleave(factor, 1).repeat_interleave(factor, 2)[:, : like[0], : like[1]]


def pool(cost: Tensor, factor: int) -> Tensor:
    """Sum blocks of factor x factor, zero beyond the border: [B, h, w] to [B, ceil(h/f), ceil(w/f)]."""
    h, w = cost.shape[1:]
    padded = F.pad(cost, (0, -w % factor, 0, -h % factor))
    return F.avg_pool2d(padded[:, None], factor)[:, 0] * (factor * factor)


_CROSS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Above, below, left and right."""
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))


class _Candidates:
    """The best vector of every 16x16 block so far.

    Attributes:
        field: [B, H/16, W/16, 2].
        match: what decides, blocks in groups of four.
    """

    def __init__(self, match: Matcher, price: Tensor, batch: int) -> None:
        self.match, self._price = match, price
        self.pairs = rows, cols = match.rows // 2, match.cols // 2
        self.field = torch.zeros(batch, rows, cols, 2, dtype=torch.int64, device=match.device)
        self._guess = self._moved = self.field
        self._best = self._cost(self.field)

    def _missed(self, at: Tensor | slice, field: Tensor) -> Tensor:
        """Of some blocks [n], given by their places in the batch."""
        vectors = field.reshape(-1, 2)
        cells: Tensor | slice = slice(None)
        if not isinstance(at, slice) and len(at) < len(vectors):
            vectors = vectors.index_select(0, at)
            cells = (at[:, None] * 4 + torch.arange(4, device=at.device)).view(-1)
        four = vectors[:, None].expand(-1, 4, -1).reshape(-1, 2)
        return self.match.of(cells, four).view(-1, 4).sum(1)

    def _cost(self, field: Tensor) -> Tensor:
        missed = self._missed(slice(None), field).view(field.shape[:-1])
        return missed + self._price * vector_bits(field, self._guess)

    def expect(self, moved: Tensor) -> None:
        """Vectors are predicted from this field, and by :meth:`recentre` from their neighbours, too."""
        self._moved, self._guess = moved, moved
        self._best = self._cost(self.field)

    def consider(self, candidate: Tensor) -> Tensor:
        """Take vectors [B, H/16, W/16, 2] where they are better; gives what they cost, [B, H/16, W/16]."""
        candidate = candidate.clamp(-VECTOR_MAX, VECTOR_MAX)
        at = places((candidate != self.field).any(-1).view(-1))
        bits = vector_bits(candidate, self._guess)
        if isinstance(at, slice):
            cost = self._missed(at, candidate).view_as(self._best) + self._price * bits
        elif len(at):
            missed = self._missed(at, candidate)
            cost = self._best.reshape(-1).index_copy(0, at, missed + (self._price * bits).reshape(-1)[at])
            cost = cost.view_as(self._best)
        else:
            return self._best
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
        for candidate in neighbours(self.field):
            self.consider(candidate)
        self.recentre()

    def refine(self, step: int, diagonal: str) -> None:
        """Try vectors a step away."""
        centre = self.field

        def move(dy: int, dx: int) -> Tensor:
            return self.consider(torch.stack([centre[..., 0] + dy * step, centre[..., 1] + dx * step], -1))

        up, down, left, right = (move(dy, dx) for dy, dx in _CROSS)
        if diagonal == "all":
            for dy, dx in _DIAGONAL:
                move(dy, dx)
        elif diagonal == "one":
            better = torch.stack([torch.where(up < down, -step, step), torch.where(left < right, -step, step)], -1)
            self.consider(centre + better)

    def decide_by(self, match: Matcher, price: Tensor) -> None:
        """From here on by another measure, of which a bit is worth so much, [B, 1, 1]."""
        self.match, self._price = match, price
        self._best = self._cost(self.field)


@torch.no_grad()
def search(
    target: Tensor,
    reference: Tensor,
    planes: Tensor,
    previous: Tensor | None,
    quality: Tensor,
    effort: SearchEffort = MEDIUM,
    weight: float = VECTOR_WEIGHT,
) -> Tensor:
    """Find a vector for every 16x16 block.

    Args:
        target: [B, 1, H, W] luma of the picture to predict, 10-bit.
        reference: [B, 1, H, W] reconstructed luma of the reference picture.
        planes: the same, from :func:`lvc.exact.warp.readable`.
        previous: the field that is expected, [B, H/8, W/8, 2], or None.
        quality: [B].
        weight: what a bit of a vector counts.

    Returns:
        Field [B, H/8, W/8, 2] int64 in quarter samples.
    """
    # zero, the expected field, coarse full searches; then neighbours, then finer and finer steps
    rows, cols = target.shape[2] // BLOCK, target.shape[3] // BLOCK
    small, around = _quartered(target), _quartered(reference)
    found = _full_search(small, around, 4, effort.radius)
    nothing = torch.zeros_like(found)
    past = nothing if previous is None else previous[:, ::2, ::2]
    moved = past + (found - past).flatten(1, 2).median(1).values[:, None, None]
    candidates = [nothing, past, moved, found]
    if effort.wide_radius:
        coarse = _full_search(_quartered(small), _quartered(around), 16, effort.wide_radius)
        candidates.append(spread(coarse, 4, (rows // 2, cols // 2)))
    ways = _compiled if planes.ndim == 4 else _batched
    return spread(ways(target, planes, candidates, moved, quality, effort, weight), 2, (rows, cols))


def _batched(
    target: Tensor,
    planes: Tensor,
    candidates: list[Tensor],
    moved: Tensor,
    quality: Tensor,
    effort: SearchEffort,
    weight: float,
) -> Tensor:
    """The best of candidates [B, H/16, W/16, 2], and of what lies around them; all blocks at once, step by step."""
    price = (LAMBDA_PER_STEP * nominal_step(quality))[:, None, None]
    best = _Candidates(Matcher(target, planes, grouped=True), price, len(target))
    best.expect(moved)
    for candidate in candidates[1:]:
        best.consider(candidate)
    best.recentre()
    for step in (8, 4):
        best.refine(step, effort.diagonal)
    for _ in range(effort.propagations):
        best.propagate()
    if effort.transforms:
        best.decide_by(Matcher(target, planes, quality, grouped=True), torch.full_like(price, weight))
    for step in (2, 1):
        best.refine(step, effort.diagonal)
    return best.field


_DIAGONALS = {"none": searching.NONE, "one": searching.ONE, "all": searching.ALL}
LOGARITHMS = np.log2(np.arange(1, 3 * VECTOR_MAX + VECTOR_LIMIT, dtype=np.float32))
"""Of 1, 2, ...: as far as vectors can be from what they are predicted from."""


def _compiled(
    target: Tensor,
    planes: Tensor,
    candidates: list[Tensor],
    moved: Tensor,
    quality: Tensor,
    effort: SearchEffort,
    weight: float,
) -> Tensor:
    """The same by :mod:`lvc.kernels`, all steps for each block."""
    field, guess = torch.empty_like(moved), moved
    coarse = (LAMBDA_PER_STEP * nominal_step(quality)).tolist()
    # here by squared steps, not by bits
    fine, scales = RATE_WEIGHT * weight, (1 / steps_of(quality)).tolist()

    def look(candidates: list[Tensor], steps: tuple[int, ...], is_fine: bool) -> Tensor:
        tried, best = torch.stack(candidates), torch.empty_like(field)
        for number in range(len(target)):
            what = target[number, 0].numpy(), planes[number, 0].numpy(), BORDER, filter_sets(LUMA)[0]
            where = best[number].numpy(), guess[number].contiguous().numpy(), tried[:, number].contiguous().numpy()
            prices = searching.Prices(
                is_fine,
                np.float32(fine if is_fine else coarse[number]),
                np.float32(scales[number] / BLOCK),
                *(np.float32(each) for each in (PER_POWER, LEAST, MEAN_SHARE)),
            )
            how = np.array(steps, np.int64), _DIAGONALS[effort.diagonal], prices, LOGARITHMS, VECTOR_MAX
            shared(searching.search, len(best[number]), *what, *where, *how)
        return best

    field = look(candidates, (), False)
    _, guess = surround(field, moved)
    field = look([field], (8, 4), False)
    for _ in range(effort.propagations):
        five, _ = surround(field, moved)
        field = look(list(five), (), False)
        _, guess = surround(field, moved)
    return look([field], (2, 1), effort.transforms)


def surround(field: Tensor, fifth: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors [B, h, w, 2] with their :func:`neighbours`, [5, B, h, w, 2], and the :func:`neighbour_median`; by
    :mod:`lvc.kernels`.
    """
    five, middle = torch.empty(5, *field.shape, dtype=field.dtype), torch.empty_like(field)
    for number, (each, last) in enumerate(zip(field, fifth, strict=True)):
        searching.surround(each.numpy(), last.numpy(), five[:, number].numpy(), middle[number].numpy())
    return five, middle
