"""Which blocks are skipped, and into what size of transforms the others are cut.

A block is skipped where little would be won by coding what the prediction misses; of the sizes that wins which gives
the smallest sum of distortion and lambda times rate. Everything here is the encoder's freedom; :mod:`lvc.model.skip`
and :mod:`lvc.model.sizes` fix what the maps cost and mean. Batched, for training.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.encoder.agreement import agreed
from lvc.encoder.cost import coding_cost, lagrangian_of
from lvc.exact.places import is_compiled, places
from lvc.exact.warp import to_blocks
from lvc.kernels import windows
from lvc.model.codec import FrameCodec
from lvc.model.prediction import Picture, Prediction
from lvc.model.quality import RATE_WEIGHT, nominal_step
from lvc.model.sizes import WIDE
from lvc.model.transform import SIZES, split_dct

WORTH = 0.08
"""A block is skipped where coding it would win less than this share of its distortion. In one picture alone 0 would be
right; but what is copied exactly stays as good a reference as it was."""
WORTH_BETWEEN = 0.03
"""The same where vectors point between samples: interpolating again and again blurs."""
NOTHING_BITS, NOTHING_BITS_BETWEEN = 0.1, 3.0
"""What it costs at least to say of a block that all its latents are zero, in anchors and in pictures between two.
Networks make a prediction better even where nothing is sent, and in anchors all later pictures profit from that
(measured with 1.5 to 4 there, too: +4.6 to +5.4 % over five clips; with 3 between against 0.1: -0.3 %, and -2.4 % over
two clips of 1280x704 at low quality)."""
EXACT_BITS = 12.0
"""The same of a block that is predicted exactly, such as one of black: networks can only make it worse."""
AGREE_BITS = (5.0, 3.0, 1.0, -1.0, -3.0)
"""About what it costs more to skip a block than not to where none, one ... all of its four neighbours are skipped, in
pictures between two (measured over five clips: -0.4 % rate; nearly twice as much -0.2 %; in anchors, too: -0.4 %)."""
_AGREE_PRICES = ((0.0,) * 5, tuple(RATE_WEIGHT * bits for bits in AGREE_BITS))
BORDER_BITS = 1.0
"""About what a map costs for each border between a block that is skipped and one that is not."""
MAP_BITS = 8.0
"""About what it costs besides."""
SIZE_BITS = (0.5, 12.0, 15.0)
"""What each size of transforms costs more than its latents: to say it, and, by far most of it, because networks foresee
the latents of whole blocks better (measured: 12 and 15 instead of what saying costs, -1 % over six clips)."""

WIDE_BITS = 150.0
"""About what a wide block costs more than another one."""
WIDE_SHARE = 0.01
"""Of a picture's bits: blocks are only made wide where this is worth more, since all of the picture is coded again."""
UNDONE_SHARE = 0.01
"""The same of skipping blocks after all."""


class Blocks(NamedTuple):
    """Maps of 16x16 blocks, [B, 1, H/16, W/16].

    skip: 1 where a block is skipped, else 0; all zero where the map would cost more than it wins.
    sizes: of transforms, or WIDE, see :mod:`lvc.model.sizes`; 0 where a block is skipped.
    missed: what the prediction misses, so transformed: [B, 384, H/16, W/16] in latent units, for blocks not skipped.
    """

    skip: Tensor
    sizes: Tensor
    missed: Tensor


@functools.cache
def _transforms(device: torch.device) -> Tensor:
    """Orthonormal cosine transforms of each size, [SIZES, 256, 256]: what is learned besides must not sway the choice
    (measured: a trace of the mean in other latents of the learned ones is enough that all blocks are cut).
    """
    return torch.stack([split_dct(1 << size) for size in range(SIZES)]).float().to(device)


def lagrangian(blocks: Tensor, size: int = 0) -> Tensor:
    """Distortion plus lambda times rate of coding blocks, in squared steps, [n].

    Args:
        blocks: 16x16 luma residuals in steps, [n, 256].
        size: of the transforms.
    """
    latents = blocks @ _transforms(blocks.device)[size].t()
    return lagrangian_of(latents).sum(1)


def rows_of(residual: Tensor, quality: Tensor) -> Tensor:
    """Luma [B, 1, H, W] in 10-bit grey levels as blocks in steps, [B * H/16 * W/16, 256].

    Args:
        quality: of the blocks, [B, 1, H/16, W/16], or of the pictures, [B, 1, 1, 1].
    """
    b, _, height, width = residual.shape
    steps = (4 * nominal_step(quality)).expand(b, 1, height // 16, width // 16).reshape(-1, 1)
    return to_blocks(residual, 16).flatten(1) / steps


def _choose_sizes(residual: Tensor, quality: Tensor, sizes: int) -> Tensor:
    """The size with the smallest Lagrangian of each block.

    Args:
        residual: luma [B, 1, H, W] in 10-bit grey levels.
        quality: as for :func:`rows_of`.
    """
    rows = rows_of(residual, quality)
    best = lagrangian(rows) + RATE_WEIGHT * SIZE_BITS[0]
    choice = torch.zeros_like(best)
    for size in range(1, sizes):
        at = places(best > RATE_WEIGHT * SIZE_BITS[size])  # others cannot win anything
        cost = lagrangian(rows[at], size) + RATE_WEIGHT * SIZE_BITS[size]
        choice[at] = torch.where(cost < best[at], float(size), choice[at])
        best[at] = torch.minimum(best[at], cost)
    b, _, height, width = residual.shape
    return choice.view(b, 1, height // 16, width // 16)


@torch.no_grad()
def choose_blocks(
    codec: FrameCodec,
    prediction: Prediction,
    is_whole: Tensor | None,
    target: Picture,
    sizes: int = len(SIZE_BITS),
    between: bool = False,
) -> Blocks:
    """Choose from the transformed prediction error alone: no network is run.

    Args:
        prediction: of B pictures.
        is_whole: whether vectors point to whole samples, [B, H/8, W/8] bool; None for intra pictures, which skip
            nothing.
        target: the source pictures.
        sizes: how many sizes there are to choose from, the largest ones.
        between: whether the picture lies between its two references.
    """
    choice = _choose_sizes(target.y - prediction.picture.y, prediction.local_quality, sizes)
    missed = codec.transformed(prediction, target, choice)
    if is_whole is None:
        return Blocks(torch.zeros_like(choice), choice, missed)
    magnitude = missed / codec.step_of(prediction)
    energy = magnitude.square()
    error = energy.sum(1, keepdim=True)
    won = (energy - coding_cost(magnitude)).clamp_min_(0).sum(1, keepdim=True)
    share = _least_share(is_whole)
    nothing_bits = NOTHING_BITS_BETWEEN if between else NOTHING_BITS
    benefit = share * error - won + RATE_WEIGHT * torch.where(error == 0, EXACT_BITS, nothing_bits)
    skip = (benefit > 0).float()
    if between:
        skip = agreed(torch.stack([torch.zeros_like(benefit), -benefit]), _AGREE_PRICES).float()
    enough = (benefit * skip).sum((1, 2, 3), dtype=torch.float64) > RATE_WEIGHT * _map_bits(skip)
    skip = skip * enough.float()[:, None, None, None]
    return Blocks(skip, choice * (1 - skip), missed)


def _least_share(is_whole: Tensor) -> Tensor:
    """Of the distortion of each block, which coding it has to win, [B, 1, H/16, W/16]."""
    return torch.where(F.avg_pool2d(is_whole.float()[:, None], 2) == 1, WORTH, WORTH_BETWEEN)


def _map_bits(skip: Tensor) -> Tensor:
    """About what maps of skipped blocks cost, [B]."""
    borders = (skip[..., 1:] - skip[..., :-1]).abs().sum((1, 2, 3))
    borders += (skip[..., 1:, :] - skip[..., :-1, :]).abs().sum((1, 2, 3))
    return MAP_BITS * (skip.amax((1, 2, 3)) > 0) + BORDER_BITS * borders


@torch.no_grad()
def undone_blocks(
    prediction: Prediction, is_whole: Tensor, target: Picture, coded: Picture, blocks: Blocks, bits: float
) -> Blocks | None:
    """The same with those skipped, too, that coding has made worse, or not better enough; None where that would win
    too little.

    Networks have learned to make predictions better by pictures of cameras. Where a prediction is nearly perfect, as it
    is of screens, they may make it worse.

    Args:
        is_whole: see :func:`choose_blocks`.
        coded: what has become of the picture by these blocks, [1, ...].
        bits: what they have cost.
    """
    unit = (4 * nominal_step(prediction.local_quality)).square()
    before, after = (_squared_errors(target, each) / unit for each in (prediction.picture, coded))
    benefit = (after - (1 - _least_share(is_whole)) * before) * (1 - blocks.skip)
    skip = torch.where(benefit > 0, 1.0, blocks.skip)
    map_bits = float(_map_bits(skip) - _map_bits(blocks.skip))
    won = float(benefit.clamp_min(0).sum(dtype=torch.float64)) - RATE_WEIGHT * map_bits
    if won <= RATE_WEIGHT * UNDONE_SHARE * bits:
        return None
    return Blocks(skip, blocks.sizes * (1 - skip), blocks.missed)


def _squared_errors(a: Picture, b: Picture) -> Tensor:
    """Of each block of 16x16 samples of luma and those of chroma, [B, 1, H/16, W/16]."""
    if is_compiled(a.y):
        found = torch.zeros(len(a.y), 1, a.y.shape[2] // 16, a.y.shape[3] // 16)
        for one, other in zip(a, b, strict=True):
            for n, channel in itertools.product(*(range(size) for size in one.shape[:2])):
                windows.add_squares(one[n, channel].numpy(), other[n, channel].numpy(), found[n, 0].numpy())
        return found
    luma = F.avg_pool2d((a.y - b.y).square(), 16) * 256
    return luma + F.avg_pool2d((a.uv - b.uv).square(), 8).sum(1, keepdim=True) * 64


def wide_blocks(lost: Sequence[tuple[Tensor, Tensor]], sizes: Tensor, bits: float) -> Tensor | None:
    """Which blocks to make wide, bool [1, 1, H/16, W/16]; None where too little would be won.

    Args:
        lost: see :class:`lvc.model.entropy.SymbolCoder`.
        sizes: of the blocks as they were coded, [1, 1, H/16, W/16].
        bits: what the picture has cost.
    """
    if not lost:
        return None
    block, value = (torch.cat(parts) for parts in zip(*lost, strict=True))
    if not len(block):
        return None
    won = torch.zeros(sizes.numel(), device=sizes.device)
    won.index_add_(0, block, value.square() - coding_cost(value))
    won -= RATE_WEIGHT * WIDE_BITS
    if float(won.clamp_min(0).sum(dtype=torch.float64)) <= RATE_WEIGHT * WIDE_SHARE * bits:
        return None
    return (won > 0).view_as(sizes)


@torch.no_grad()
def with_wide(codec: FrameCodec, prediction: Prediction, target: Picture, blocks: Blocks, wide: Tensor) -> Blocks:
    """The same with some blocks wide, see :func:`wide_blocks`."""
    sizes = torch.where(wide, float(WIDE), blocks.sizes)
    return Blocks(blocks.skip, sizes, codec.transformed(prediction, target, sizes))
