"""Motion compensation with integer taps and integer weights: exact in float32, differentiable for training.

A motion field holds one vector per 8x8 luma block, (vertical, horizontal) in quarter luma samples: the block at
(y, x) is predicted from the reference at (y + v/4, x + h/4), and in 4:2:0 chroma planes at eighths. Each picture takes
one of two sets of filters: sharp ones keep detail, smooth ones take noise away.
"""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.exact.places import in_pieces, is_compiled, picked
from lvc.kernels import interpolation, shared, warping

BLOCK = 8
MARGIN = 16
"""Samples by which a reference is extended on every side before it is interpolated."""
BORDER = 24
"""The same where it is interpolated as it is read: more than the window of a block of 16x16 has to a side."""
PIECE = 1 << 12
"""Blocks that are read at a time: what has to be gathered for one is several times as large as the block itself, and
stays in a cache (measured for luma of 1280x720: 9 ms instead of 13 with four times as many)."""
FIRST, LAST = -13, 11
"""Whole-sample positions kept outside the picture: FIRST before its start, LAST after its end. Blocks at either end lie
where all samples of a row or column are the same, so that blocks further out need not be kept."""

Taps = tuple[tuple[int, ...], ...]
"""A filter for each position between samples: weights in 64ths, as many of samples before it as of samples after."""
_SHARP = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
_SMOOTH = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (0, 0, -4, 54, 16, -2, 0, 0),
    (0, 0, -4, 36, 36, -4, 0, 0),
    (0, 0, -2, 16, 54, -4, 0, 0),
)
LUMA = (_SHARP, _SMOOTH)
"""The luma filters of ITU-T H.265 (8.5.3.3.3), and its chroma filters at quarters."""
_SHARP_CHROMA = (
    (0, 64, 0, 0),
    (-1, 57, 9, -1),
    (-2, 51, 17, -2),
    (-3, 44, 26, -3),
    (-3, 35, 35, -3),
    (-3, 26, 44, -3),
    (-2, 17, 51, -2),
    (-1, 9, 57, -1),
)
_BILINEAR = tuple((0, 64 - 8 * at, 8 * at, 0) for at in range(8))
CHROMA = (_SHARP_CHROMA, _BILINEAR)
"""At eighths: half way from H.265's to bilinear ones, and these (measured over ten clips: its own luma filters at
quarters +1.5 %, its chroma filters at eighths +0.5 %, bilinear ones everywhere -0.1 %)."""


def _shifted_sum(x: Tensor, axis: int, length: int, taps: tuple[int, ...]) -> Tensor:
    """One filter along one axis as shifted, scaled copies: no library may choose an inexact algorithm for it."""
    return torch.stack([x.narrow(axis, k, length) * (tap / 64) for k, tap in enumerate(taps) if tap]).sum(0)


def phases(reference: Tensor, peak: float = 1023.0, rounding: bool = True) -> Tensor:
    """All sixteen quarter-sample positions of a picture, by sharp luma filters.

    Sums stay under 1023 * 112 * 112 < 2^24, so float32 is exact; one rounding at the end.

    Args:
        reference: [B, C, H, W], integers 0...peak.
        rounding: off in training.

    Returns:
        [B, C, 16, H + 25, W + 25]; index 4 * (vertical quarter) + horizontal quarter; position (0, 0) is FIRST.
    """
    height, width = reference.shape[2:]
    height, width = height + LAST - FIRST + 1, width + LAST - FIRST + 1
    padded = F.pad(reference, (MARGIN, MARGIN, MARGIN, MARGIN), mode="replicate")
    across = [_shifted_sum(padded, 3, width, taps) for taps in _SHARP]
    stack = torch.stack([_shifted_sum(a, 2, height, taps) for taps in _SHARP for a in across], 2)
    return _limited(stack, peak, rounding)


def _limited(samples: Tensor, peak: float, rounding: bool) -> Tensor:
    """Samples that nothing else holds, within 0...peak, and integers if they are to be rounded."""
    return samples.round_().clamp_(0, peak) if rounding else samples.clamp(0, peak)


def readable(luma: Tensor) -> Tensor:
    """What searches read of a reference, and :func:`sample` of luma: its :func:`phases`, or, where blocks are
    interpolated as they are read, itself, with its border repeated by BORDER samples, [B, 1, H + ..., W + ...].
    """
    return F.pad(luma, (BORDER,) * 4, mode="replicate") if is_compiled(luma) else phases(luma)


def sample(planes: Tensor, field: Tensor, block: int) -> Tensor:
    """Read a predicted picture out of a reference.

    Args:
        planes: [B, C, 16, H + 25, W + 25] from :func:`phases`, or from :func:`readable` of luma.
        field: [B, H / block, W / block, 2] int64, quarter samples of these planes.
        block: samples that share a vector; BLOCK for luma that is interpolated now.

    Returns:
        [B, C, H, W].
    """
    if planes.ndim == 4:
        return _interpolated(planes, field)
    b, c, _, hp, wp = planes.shape
    rows, cols = field.shape[1], field.shape[2]
    height, width = rows * block, cols * block
    v, h = field[..., 0], field[..., 1]
    # per block: offset of its vector; per sample: clamped whole-sample row and column
    y = torch.arange(height, device=field.device).view(1, rows, block, 1)
    x = torch.arange(width, device=field.device).view(1, 1, cols, block)
    row = ((v >> 2)[:, :, None, :] + y).clamp_(FIRST, height + LAST).sub_(FIRST)  # [B, rows, block, cols]
    col = ((h >> 2)[:, :, :, None] + x).clamp_(FIRST, width + LAST).sub_(FIRST)  # [B, rows, cols, block]
    phase = ((v & 3) * 4 + (h & 3)) * (hp * wp)
    row = row * wp + phase[:, :, None, :]
    index = row[..., None] + col[:, :, None, :, :]  # [B, rows, block, cols, block]
    index = index.reshape(b, 1, height * width)
    flat = planes.reshape(b, c, -1)
    if b == 1 and not flat.requires_grad:
        return flat[0].index_select(1, index.view(-1)).view(1, c, height, width)
    return flat.gather(2, index.expand(b, c, -1)).view(b, c, height, width)


def _interpolated(bordered: Tensor, field: Tensor) -> Tensor:
    """Luma from :func:`readable`, by :mod:`lvc.kernels`."""
    b, rows, cols = field.shape[:3]
    out, everywhere = torch.empty(b, 1, rows * BLOCK, cols * BLOCK), np.ones((rows, cols), dtype=bool)
    nothing = np.zeros((0, 0), np.float32)
    for into, given, vectors in zip(out[:, 0], bordered[:, 0], field, strict=True):
        what = given.numpy(), BORDER, vectors.contiguous().numpy(), everywhere, filter_sets(LUMA)[0], nothing
        shared(interpolation.overlap_luma, rows, *what, np.float32(1023), nothing, into.numpy())
    return out


@functools.cache
def filter_sets(sets: tuple[Taps, ...]) -> npt.NDArray[np.float32]:
    """The filters for :mod:`lvc.kernels`, [sets, positions, taps]."""
    return np.array(sets, dtype=np.float32) / np.float32(64)


@functools.cache
def _filters(sets: tuple[Taps, ...], device: torch.device) -> Tensor:
    """All filters of all sets, one after the other, [sets * positions, taps]; multiples of 1/64."""
    return torch.tensor(sets, dtype=torch.float32, device=device).flatten(0, 1) / 64


@functools.cache
def _filter_matrices(sets: tuple[Taps, ...], block: int, device: torch.device) -> Tensor:
    """Each of them as a matrix from block + taps - 1 samples to block results, [sets * positions, ...]."""
    filters = _filters(sets, device)
    taps = filters.shape[1]
    matrices = torch.zeros(len(filters), block + taps - 1, block, device=device)
    for at in range(block):
        matrices[:, at : at + taps, at] = filters
    return matrices


class _Places(NamedTuple):
    """Of all blocks [n] of a batch: row and column of the first sample of its window, where its picture begins among
    all samples, and the number of the first filter of its set.
    """

    y: Tensor
    x: Tensor
    start: Tensor
    sets: Tensor


class Interpolator:
    """Reads blocks of a picture between its samples, interpolating only what is used.

    Args:
        reference: [B, C, H, W], integers 0...peak.
        filters: LUMA, for vectors in quarters of a sample and blocks of 8x8 samples, or CHROMA, for eighths and 4x4.
        smooth: which pictures take the second set of filters, [B] bool; None: none.
        peak: largest sample.
        rounding: off in training.

    Attributes:
        block: samples to a side of a block.
        padded: the reference, its border repeated by ``border`` samples to each side, [B, C, ...].
        border: as many as a window has to a side.
        sets: as ``filters``.
        chosen: number of the set of each picture, [B] int64.
        peak: likewise.
    """

    def __init__(
        self,
        reference: Tensor,
        filters: tuple[Taps, ...],
        smooth: Tensor | None = None,
        peak: float = 1023.0,
        rounding: bool = True,
    ) -> None:
        self.sets, self._positions = filters, len(filters[0])
        self.block = BLOCK if filters is LUMA else BLOCK // 2
        self.peak, self._rounding = peak, rounding
        self._taps = len(filters[0][0])
        self.border = self._size = size = self.block + self._taps - 1
        self._shape = reference.shape
        self.padded = F.pad(reference, (size, size, size, size), mode="replicate")
        none = torch.zeros(len(reference), dtype=torch.bool, device=reference.device)
        self.chosen = (none if smooth is None else smooth).to(torch.int64)

    @functools.cached_property
    def _places(self) -> _Places:
        b, _, height, width = self._shape
        device, size = self.padded.device, self._size
        rows, cols = height // self.block, width // self.block
        # first sample of each window, counted from the start of the padding
        before = size - self._taps // 2 + 1
        y = (torch.arange(rows, device=device) * self.block + before).repeat_interleave(cols).repeat(b)
        x = (torch.arange(cols, device=device) * self.block + before).repeat(b * rows)
        tall, wide = self.padded.shape[2:]
        start = torch.arange(b, device=device).repeat_interleave(rows * cols) * (tall * wide)
        sets = self.chosen.repeat_interleave(rows * cols) * self._positions
        return _Places(y, x, start, sets)

    def __call__(self, which: Tensor | slice, vectors: Tensor) -> Tensor:
        """Blocks [n, C, block, block].

        Args:
            which: their places [n] in the batch, by rows; ``slice(None)`` for all.
            vectors: [n, 2] int64, quarter luma samples.
        """
        if self.padded.requires_grad:
            return self._read(which, vectors)
        if self._rounding and is_compiled(self.padded):
            return self._compiled(which, vectors)
        return in_pieces(self._read, PIECE, which, vectors)

    def _compiled(self, which: Tensor | slice, vectors: Tensor) -> Tensor:
        """The same by :mod:`lvc.kernels`."""
        read = interpolation.read_luma if self.block == BLOCK else interpolation.read_chroma
        shape = self._shape[2] // self.block, self._shape[3] // self.block
        numbers = np.arange(len(vectors)) if isinstance(which, slice) else which.contiguous().numpy()
        out = torch.empty(len(vectors), self._shape[1], self.block, self.block)
        what = shape, numbers, vectors.contiguous().numpy(), filter_sets(self.sets), self.chosen.numpy()
        shared(read, len(vectors), self.padded.numpy(), self.border, *what, np.float32(self.peak), out.numpy())
        return out

    def _read(self, which: Tensor | slice, vectors: Tensor) -> Tensor:
        v, h = vectors[:, 0], vectors[:, 1]
        whole, part = self._positions.bit_length() - 1, self._positions - 1
        (tall, wide), places = self.padded.shape[2:], self._places
        # further out all samples are the same
        y = (picked(places.y, which) + (v >> whole)).clamp_(0, tall - self._size)
        x = (picked(places.x, which) + (h >> whole)).clamp_(0, wide - self._size)
        corner, first = picked(places.start, which) + y * wide + x, picked(places.sets, which)
        filtered = self._by_products if self.block == BLOCK else self._by_taps
        return _limited(filtered(corner, first + (v & part), first + (h & part)), self.peak, self._rounding)

    def _by_products(self, corner: Tensor, down: Tensor, across: Tensor) -> Tensor:
        """Each window times the matrices of its filters.

        Args:
            corner: places [n] of the first samples of windows.
            down, across: numbers [n] of their filters.
        """
        matrices = _filter_matrices(self.sets, self.block, corner.device)
        left, right = matrices.index_select(0, down).transpose(1, 2), matrices.index_select(0, across)
        each = torch.arange(self._size, device=corner.device)
        # windows are gathered row by row, but sample by sample where there are gradients: those of overlapping rows
        # would be as large as all of them together
        by_rows = not self.padded.requires_grad
        wide = self.padded.shape[3]
        within = each * wide if by_rows else (each[:, None] * wide + each).flatten()
        index = (corner[:, None] + within).flatten()
        channels = []
        for channel in range(self.padded.shape[1]):
            samples = self.padded[:, channel].reshape(-1)
            if by_rows:
                samples = samples.as_strided((len(samples) - self._size + 1, self._size), (1, 1))
            windows = samples.index_select(0, index).view(-1, self._size, self._size)
            channels.append(torch.bmm(left, torch.bmm(windows, right)))
        return channels[0][:, None] if len(channels) == 1 else torch.stack(channels, 1)

    def _by_taps(self, corner: Tensor, down: Tensor, across: Tensor) -> Tensor:
        """The same sample by sample for all windows at once, which is faster where they are small (measured for chroma
        of 640x352 on one thread: 1.4 ms instead of 3.2).
        """
        filters, block = _filters(self.sets, corner.device), self.block
        left, right = (filters.index_select(0, which).t().contiguous() for which in (down, across))
        each = torch.arange(self._size, device=corner.device)
        index = ((each[:, None] * self.padded.shape[3] + each).view(-1, 1) + corner).view(-1)
        channels = []
        for channel in range(self.padded.shape[1]):
            windows = self.padded[:, channel].reshape(-1).index_select(0, index).view(self._size, self._size, -1)
            rows = windows[:, :block] * right[0]
            for tap in range(1, self._taps):
                rows = rows.addcmul_(windows[:, tap : tap + block], right[tap])
            samples = rows[:block] * left[0]
            for tap in range(1, self._taps):
                samples = samples.addcmul_(rows[tap : tap + block], left[tap])
            channels.append(samples)
        return torch.stack(channels).permute(3, 0, 1, 2).contiguous()


def to_blocks(picture: Tensor, block: int) -> Tensor:
    """[B, C, H, W] to [B * H/block * W/block, C, block, block]."""
    b, c, height, width = picture.shape
    blocks = picture.view(b, c, height // block, block, width // block, block)
    return blocks.permute(0, 2, 4, 1, 3, 5).reshape(-1, c, block, block)


def from_blocks(blocks: Tensor, rows: int, cols: int) -> Tensor:
    """Inverse of :func:`to_blocks`; rows and columns of blocks."""
    _, c, block, _ = blocks.shape
    picture = blocks.view(-1, rows, cols, c, block, block).permute(0, 3, 1, 4, 2, 5)
    return picture.reshape(-1, c, rows * block, cols * block)


def compensate(
    reference: Tensor,
    field: Tensor,
    filters: tuple[Taps, ...] = LUMA,
    smooth: Tensor | None = None,
    peak: float = 1023.0,
    rounding: bool = True,
) -> Tensor:
    """Predict pictures; with sharp luma filters the same as :func:`sample` of :func:`phases`.

    Args:
        reference, filters, smooth, peak, rounding: see :class:`Interpolator`.
        field: [B, h, w, 2] int64, quarter luma samples, a vector for each block.

    Returns:
        [B, C, H, W].
    """
    blocks = Interpolator(reference, filters, smooth, peak, rounding)(slice(None), field.reshape(-1, 2))
    return from_blocks(blocks, field.shape[1], field.shape[2])


def warp(x: Tensor, field: Tensor, shift: int, rounding: bool = True) -> Tensor:
    """Bilinear motion compensation of features, one vector per position.

    Args:
        x: [B, C, h, w], integers within +-ACT_MAX.
        field: [B, h, w, 2] int64 in units of 2^-shift positions.
        shift: 5 for 1/8 resolution, 6 for 1/16 (quarter luma samples); weights sum to 4^shift <= 4096, so sums stay
            under 2^24.

    Returns:
        [B, C, h, w], positions outside repeat the border.
    """
    b, c, height, width = x.shape
    if rounding and is_compiled(x):
        moved = torch.empty_like(x, memory_format=torch.contiguous_format)
        given, into = (each.contiguous().numpy().reshape(b, c, -1) for each in (x, moved))
        for source, target, vectors in zip(given, into, field.contiguous().numpy(), strict=True):
            shared(warping.warp, c, source, vectors, shift, target)
        return moved
    one = 1 << shift
    whole, part = field >> shift, field & (one - 1)
    y = whole[..., 0] + torch.arange(height, device=x.device)[None, :, None]
    z = whole[..., 1] + torch.arange(width, device=x.device)[None, None, :]
    y0, y1 = y.clamp(0, height - 1), (y + 1).clamp(0, height - 1)
    x0, x1 = z.clamp(0, width - 1), (z + 1).clamp(0, width - 1)
    fy, fx = part[..., 0], part[..., 1]
    base = torch.arange(b, device=x.device)[:, None, None] * (height * width)
    rows = x.permute(0, 2, 3, 1).reshape(-1, c)
    total = None
    for yy, xx, weight in (
        (y0, x0, (one - fy) * (one - fx)),
        (y0, x1, (one - fy) * fx),
        (y1, x0, fy * (one - fx)),
        (y1, x1, fy * fx),
    ):
        corner, share = rows.index_select(0, (base + yy * width + xx).view(-1)), weight.reshape(-1, 1).to(x.dtype)
        total = corner * share if total is None else torch.addcmul(total, corner, share)
    if total is None:
        raise ValueError("nothing to warp")
    total = total * (1.0 / (one * one))
    if rounding:
        total = total.round()
    return total.view(b, height, width, c).permute(0, 3, 1, 2)


def halve_field(field: Tensor) -> Tensor:
    """Field of 8x8 blocks to one of 16x16 blocks: the rounded mean of four vectors, same units."""
    f = field[:, 0::2, 0::2] + field[:, 0::2, 1::2] + field[:, 1::2, 0::2] + field[:, 1::2, 1::2]
    return (f + 2) >> 2
