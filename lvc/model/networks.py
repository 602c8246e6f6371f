"""The networks around the transform: context, hyper-latent, prior, in-loop decoder (all exact), analysis (free)."""

from typing import cast

import torch
from torch import Tensor, nn

from lvc.exact.folding import pixel_shuffle, pixel_unshuffle
from lvc.exact.layers import UNIT, Block, Conv, clamp
from lvc.exact.near import EVERYWHERE, Everywhere, Extent
from lvc.exact.qualities import Qualities
from lvc.model.config import ModelConfig
from lvc.model.transform import BANDS, LATENTS, SIZES, dct_matrix

PIXELS = 96
"""Channels of a 4:2:0 picture folded to 1/8 resolution: 64 luma, 2 x 16 chroma."""
HYPER_CHANNELS = 8
HYPER_MAX = 15
HYPER_ROUNDING = 0.4
"""What is added to a magnitude of the hyper-latent before it is cut off: a little less than a half, since small numbers
are cheaper and nearly as good (measured over five clips: -0.5 % rate with 0.4, -0.2 % with 0.25)."""
CELL_REACH = 1
"""Within this distance of a block lie all four that share its hyper-latent."""
SIZE_PLANES = SIZES - 1
"""Planes that tell blocks with small transforms from others."""
Passes = tuple[tuple[int, int | None], ...]
"""Progressive passes of a prior: band, and which half of a checkerboard (None: all positions)."""
PASSES: Passes = ((0, 0), (0, 1), (1, 0), (1, 1), (2, None))
INTRA_PASSES: Passes = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1))
LOG_STEP = 256.0
"""Prior scales are binary logarithms in units of 1/LOG_STEP."""


def fold(y: Tensor, uv: Tensor) -> Tensor:
    """Picture [B, 1, H, W], [B, 2, H/2, W/2] to features [B, 96, H/8, W/8]."""
    return _laid_out(torch.cat([pixel_unshuffle(y, 8), pixel_unshuffle(uv, 4)], 1))


def _laid_out(features: Tensor) -> Tensor:
    """As layers read them fastest: what is trained or on a GPU with channels last, else as it is (measured for the
    context of 640x352 on one thread of a CPU: 9.7 ms instead of 11.4).
    """
    if features.is_cuda or torch.is_grad_enabled():
        return features.contiguous(memory_format=torch.channels_last)
    return features


def unfold(x: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse of :func:`fold`."""
    return pixel_shuffle(x[:, :64], 8), pixel_shuffle(x[:, 64:], 4)


def half_mask(half: int | None, like: Tensor) -> Tensor:
    """1 where a pass codes, [1, 1, h, w]: a checkerboard half, or everything."""
    height, width = like.shape[-2:]
    if half is None:
        return torch.ones(1, 1, height, width, device=like.device)
    y = torch.arange(height, device=like.device)[:, None]
    x = torch.arange(width, device=like.device)[None]
    return ((y + x) % 2 == half).float()[None, None]


@torch.no_grad()
def whiten(weight: Tensor, gain: float) -> None:
    """Start a layer that reads folded pictures from their DCT with levelled gains instead of from raw samples.

    Neighbouring samples are nearly equal, so random sums of them are mostly the mean; what is to be repaired or told
    apart is in the small differences.

    Args:
        weight: [C_out, 96, 1, 1] part of the weights, changed in place.
        gain: of the highest frequencies.
    """
    luma = torch.kron(dct_matrix(8), dct_matrix(8)).float()
    chroma = torch.kron(dct_matrix(4), dct_matrix(4)).float()
    basis = torch.block_diag(luma, chroma, chroma)

    def levels(size: int) -> Tensor:
        order = torch.arange(size)
        return (0.02 + (order[:, None] + order[None]) / (2 * size)).clamp_max(0.5).flatten() * (2 * gain)

    gains = torch.cat([levels(8), levels(4), levels(4)])
    random = torch.randn(weight.shape[0], PIXELS) / PIXELS**0.5
    weight.copy_(((random * gains) @ basis)[:, :, None, None])


def hyper_limit(x: Tensor) -> Tensor:
    """Integers within +-HYPER_MAX for a proposal of the hyper-latent."""
    return x.sign() * (x.abs() + HYPER_ROUNDING).floor().clamp_max(HYPER_MAX)


def size_planes(sizes: Tensor) -> Tensor:
    """Transform sizes [B, 1, h, w] as features [B, SIZE_PLANES, h, w]: 1.0 where a block has that size, else 0."""
    return _laid_out(torch.cat([(sizes == size).float() * UNIT for size in range(1, SIZES)], 1))


def _through(x: Tensor, where: Everywhere, reach: int, *stages: nn.Module) -> Tensor:
    """Apply residual blocks, or sequences of them, the last of which is asked for what is within ``reach``."""
    blocks = [block for stage in stages for block in (stage if isinstance(stage, nn.Sequential) else [stage])]
    for number, block in enumerate(blocks, 1):
        x = block(x, where.runs(reach + len(blocks) - number))
    return x


class Context(nn.Module):
    """What the prediction says: pictures, state and latents of the past, motion-compensated, to features.

    c8 at 1/8 resolution for the decoder network, c16 at 1/16 for the prior and the analysis.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        fine, coarse = config.fine, config.coarse
        self.enter = Conv(PIXELS + fine, fine, act=True, by_quality=True)
        whiten(self.enter.weight[:, :PIXELS], 3.0)
        self.apart = Conv(PIXELS, fine, act=True, by_quality=True)
        whiten(self.apart.weight, 3.0)
        self.join = Conv(fine, fine, gain=0.0)
        self.fine = nn.Sequential(*(Block(fine) for _ in range(config.context_blocks)))
        self.latents = Conv(LATENTS, fine, act=True)
        self.down = Conv(4 * fine + fine, coarse, act=True, by_quality=True)
        self.coarse = nn.Sequential(Block(coarse, 1), Block(coarse, 1))

    def forward(
        self,
        picture: Tensor,
        state: Tensor,
        latents: Tensor,
        quality: Qualities,
        apart: Tensor | None = None,
        where: Extent = Extent(),  # noqa: B008 -- immutable
        reaches: tuple[int, int] = (0, 0),
    ) -> tuple[Tensor, Tensor]:
        """See above.

        Args:
            picture: [B, 96, H/8, W/8] centred on 0.
            state: [B, fine, H/8, W/8].
            latents: magnitudes [B, 384, H/16, W/16].
            quality: of the pictures or of their blocks.
            apart: what two predictions that were averaged differ by, [B, 96, H/8, W/8], 0 elsewhere: the less they
                agree, the more is left to code.
            where, reaches: c8 and c16 are asked for within these distances of it; c8 also where c16 takes it from.
        """
        fine, coarse = where
        enough = reaches[1] + len(self.coarse)
        reach = max(reaches[0], 2 * enough)
        known = reach + len(self.fine)
        entered = self.enter(fine.joined(known, picture, state), fine.qualities(known, quality))
        if apart is not None:
            differing = self.apart(fine.joined(known, apart), fine.qualities(known, quality))
            entered = clamp(entered + self.join(differing))
        c8 = _through(fine.put(known, entered), fine, reach, self.fine)
        past = coarse.applied(self.latents, enough, [latents])
        down = coarse.applied(self.down, enough, [pixel_unshuffle(c8, 2), past], quality)
        return c8, _through(down, coarse, reaches[1], self.coarse)


def _those(*planes: Tensor | None) -> list[Tensor]:
    """All that is there: intra pictures have no context."""
    return [plane for plane in planes if plane is not None]


class Hyper(nn.Module):
    """Hyper-latent: a few integers per 32x32 samples that tell the prior what the context cannot know.

    Args:
        context: channels of the context at 1/16 resolution.
    """

    def __init__(self, config: ModelConfig, context: int) -> None:
        super().__init__()
        coarse = config.coarse
        self.encode_enter = Conv(LATENTS + context + SIZE_PLANES, 64, act=True, by_quality=True, integers=False)
        self.encode_out = Conv(64 * 4, HYPER_CHANNELS, gain=0.3)
        self.decode = Conv(HYPER_CHANNELS, 4 * (coarse // 4), act=True)

    def analyse(
        self, normal: Tensor, c16: Tensor | None, sizes: Tensor, quality: Qualities, where: Everywhere = EVERYWHERE
    ) -> Tensor:
        """Normalised latents [B, 384, h, w], context and planes to [B, 8, h/2, w/2], not yet rounded. Encoder only.

        Blocks of 2x2 in which any place of ``where`` is needed are right.
        """
        features = where.applied(self.encode_enter, CELL_REACH, _those(normal.abs(), c16, sizes), quality)
        proposal: Tensor = self.encode_out(pixel_unshuffle(features, 2)) / 32
        return proposal.clamp(-HYPER_MAX, HYPER_MAX)

    def forward(self, hyper: Tensor) -> Tensor:
        """Integers [B, 8, h/2, w/2] to features [B, coarse / 4, h, w]."""
        return pixel_shuffle(self.decode(hyper * 64), 2)


class Prior(nn.Module):
    """Mean and scale of every latent, band by band, from the context, the hyper-latent and what was decoded.

    Args:
        context: channels of the context at 1/16 resolution.
        passes: in which order latents come.
        deep: so many blocks more at each pass.
    """

    def __init__(self, config: ModelConfig, context: int, passes: Passes, deep: int) -> None:
        super().__init__()
        coarse = config.coarse
        self.passes, self.more = passes, deep
        self.enter = Conv(context + coarse // 4 + SIZE_PLANES, coarse, act=True, by_quality=True)
        self.first = Block(coarse, 1)
        bands = [BANDS[band] for band, _ in passes]
        # a band that has just been decoded enters as residual and as mean; its low band as values, too
        self.embed = nn.ModuleList(Conv(3 * n, coarse, gain=0.3) for n in bands[:-1])
        self.blocks = nn.ModuleList(Block(coarse, 1) for _ in bands[:-1])
        self.deep = nn.ModuleList(nn.Sequential(*(Block(coarse, 1, 0.0) for _ in range(deep))) for _ in bands)
        self.out = nn.ModuleList(Conv(coarse + SIZE_PLANES, 2 * n, gain=0.0, by_quality=True) for n in bands)

    @property
    def reach(self) -> int:
        """How far from a place lies what all its passes depend on."""
        return self._reach(-1)

    def _reach(self, index: int) -> int:
        """How far from a place the features of pass ``index`` are needed; of -1: what there is before the first one."""
        return (len(self.passes) - 1 - index) * (1 + self.more)

    def start(
        self, c16: Tensor | None, hyper: Tensor, sizes: Tensor, quality: Qualities, where: Everywhere = EVERYWHERE
    ) -> Tensor:
        """Features before the first pass, [B, coarse, h, w], or those near what is needed."""
        entered = where.applied(self.enter, self.reach, _those(c16, hyper, sizes), quality)
        return _through(entered, where, self._reach(0), self.first, self.deep[0])

    def parameters_of(
        self, index: int, features: Tensor, sizes: Tensor, quality: Qualities, where: Everywhere = EVERYWHERE
    ) -> tuple[Tensor, Tensor]:
        """Means (in units of MEAN_UNITS) and log-scales (in units of 1/LOG_STEP) of pass ``index``, where needed."""
        mean, scale = where.applied(cast(Conv, self.out[index]), 0, [features, sizes], quality).chunk(2, 1)
        return mean, scale

    def advance(
        self,
        index: int,
        features: Tensor,
        residual: Tensor,
        mean: Tensor,
        value: Tensor,
        where: Everywhere = EVERYWHERE,
    ) -> Tensor:
        """Features for the pass after ``index``, once its latents are known (zero where they are not)."""
        reach = self._reach(index)
        known = where.applied(cast(Conv, self.embed[index]), reach, [residual, mean, value])
        return _through(
            clamp(features + known), where, self._reach(index + 1), self.blocks[index], self.deep[index + 1]
        )


class Decoder(nn.Module):
    """In-loop decoder: first reconstruction, residual and context to the new state; Head adds to the picture.

    Args:
        context: channels of the context at 1/8 resolution.
        blocks: residual blocks.
    """

    def __init__(self, config: ModelConfig, context: int, blocks: int) -> None:
        super().__init__()
        fine = config.fine
        self.enter = Conv(2 * PIXELS + context, fine, act=True, by_quality=True)
        whiten(self.enter.weight[:, :PIXELS], 6.0)
        whiten(self.enter.weight[:, PIXELS : 2 * PIXELS], 1.0)
        self.blocks = nn.Sequential(*(Block(fine) for _ in range(blocks)))
        self.head = Conv(fine, PIXELS, gain=0.0)

    @property
    def reach(self) -> int:
        """How far from a place lies what it depends on."""
        return len(self.blocks)

    def forward(
        self,
        picture: Tensor,
        residual: Tensor,
        c8: Tensor | None,
        quality: Qualities,
        where: Everywhere = EVERYWHERE,
    ) -> tuple[Tensor, Tensor]:
        """Folded picture (centred), folded residual, c8 to state [B, fine, H/8, W/8] and correction [B, 96, ...]."""
        entered = where.applied(self.enter, self.reach, _those(picture, residual, c8), quality)
        state = _through(entered, where, 0, self.blocks)
        return state, where.applied(self.head, 0, [state])


class Analysis(nn.Module):
    """E: what the learned analysis adds to the transform of the residual, in quantisation steps. Encoder only.

    Args:
        context: channels of the context at 1/16 resolution.
    """

    def __init__(self, config: ModelConfig, context: int) -> None:
        super().__init__()
        coarse = config.coarse
        self.enter = Conv(LATENTS + context + SIZE_PLANES, coarse, act=True, by_quality=True, integers=False)
        self.block = Block(coarse, 1)
        self.out = Conv(coarse, LATENTS, gain=0.0)

    @property
    def reach(self) -> int:
        """How far from a place lies what it depends on, and what the hyper-latent does."""
        return CELL_REACH + 1

    def forward(
        self, normal: Tensor, c16: Tensor | None, sizes: Tensor, quality: Qualities, where: Everywhere = EVERYWHERE
    ) -> Tensor:
        """Normalised latents [B, 384, h, w], context and planes to an addition in units of 1/64 step."""
        entered = where.applied(self.enter, self.reach, _those(normal, c16, sizes), quality)
        return where.applied(self.out, CELL_REACH, [_through(entered, where, CELL_REACH, self.block)])


class Branch(nn.Module):
    """The networks behind the context, of one kind of pictures: intra ones, or those that are predicted.

    Intra pictures have no context, since all would be the same to it. They are few and have only themselves to be
    predicted from, so their networks are deeper.
    """

    def __init__(self, config: ModelConfig, intra: bool) -> None:
        super().__init__()
        fine, coarse = (0, 0) if intra else (config.fine, config.coarse)
        deep = config.intra_blocks if intra else config.inter_blocks
        self.hyper = Hyper(config, coarse)
        self.prior = Prior(config, coarse, INTRA_PASSES if intra else PASSES, deep)
        self.decoder = Decoder(config, fine, config.decoder_blocks + (config.intra_blocks if intra else 0))
        self.analysis = Analysis(config, coarse)

    @property
    def reaches(self) -> tuple[int, int]:
        """How far from a place lie all features of a context that it depends on, at both resolutions."""
        return self.decoder.reach, max(self.prior.reach, self.analysis.reach)
