"""The frame codec: one picture to latents and back, given the one before and a motion field.

```
 reference, state, latents of the past ──(field)──► x~, s~, z~ ──► Context ──► c8, c16
 x - x~ ──► T + Analysis ──► z          c16 ──► Hyper, Prior ──► per pass: mean, scale ◄──► LatentCoder ──► z^
 x1 = x~ + T^-1(z^) ──► Decoder(x1, T^-1(z^), c8) ──► state, x^ = clip(x1 + head)
```

Intra pictures have no context, and a Hyper, Prior, Decoder and Analysis of their own.

Encoder, decoder and training run this same code and differ only in the :class:`LatentCoder` that they pass in.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvc.exact import warp
from lvc.exact.layers import clamp, make_exact
from lvc.exact.layers import exact_layers as layers_of
from lvc.exact.near import Extent, Near
from lvc.exact.overlap import overlapped
from lvc.exact.places import enlarged, is_compiled, places
from lvc.exact.qualities import placed
from lvc.kernels import shared, warping
from lvc.model.config import ModelConfig
from lvc.model.modes import BOTH, FIRST, NONE
from lvc.model.networks import (
    Branch,
    Context,
    fold,
    half_mask,
    size_planes,
)
from lvc.model.passes import RESIDUAL_UNIT, Known, known
from lvc.model.prediction import ALIGN, MIDDLE, PEAK, Memory, Picture, Prediction
from lvc.model.quality import Steps
from lvc.model.reconstruction import reconstruct, unchanged
from lvc.model.sizes import WIDE, WIDE_SCALE
from lvc.model.transform import BANDS, LATENTS, SIZES, Transform

MEAN_UNITS = (64.0, 32.0, 16.0, 8.0)
"""Latent units of one unit of predicted mean: luma DC, rest of the low band, middle band, high band."""
FULL = 0.15
"""If more of the blocks of a picture than this are coded, networks are asked everywhere."""


class LatentCoder(Protocol):
    """Where latents become symbols: bytes in the encoder, the decoder's source of bytes, or a rate in training."""

    def hyper(self, proposal: Tensor | None, mask: Tensor) -> Tensor:
        """Integers [B, 8, h, w] within +-HYPER_MAX; the encoder rounds its proposal, the decoder reads.

        Args:
            mask: [B, 1, h, w], 0 where nothing is coded and the integers are 0.
        """
        ...

    def residual(self, wanted: Tensor | None, scale: Tensor, mask: Tensor, band: int) -> Tensor:
        """Quantised residual of one pass in units of 1/64 step, zero outside the mask.

        Args:
            wanted: residual over step, [B, n, h, w]; None in the decoder.
            scale: log-scale in units of 1/LOG_STEP, [B, n, h, w].
            mask: [1 or B, 1, h, w].
            band: 0 low, 1 middle, 2 high.
        """
        ...


class FrameCodec(nn.Module):
    """All learned parts. Float while it trains; after :meth:`freeze` integer-exact."""

    mean_unit: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.transform = Transform()
        self.steps = Steps()
        self.context = Context(config)
        self.intra = Branch(config, intra=True)
        self.inter = Branch(config, intra=False)
        self.start_state = nn.Parameter(torch.zeros(config.fine))
        units = torch.full((LATENTS,), MEAN_UNITS[3])
        units[: BANDS[0] + BANDS[1]] = MEAN_UNITS[2]
        units[: BANDS[0]] = MEAN_UNITS[1]
        units[0] = MEAN_UNITS[0]
        self.register_buffer("mean_unit", units.view(1, -1, 1, 1), persistent=False)
        self.exact = False

    # -- both sides -----------------------------------------------------------------------------------------------

    def nothing(self, batch: int, size: tuple[int, int], device: torch.device) -> Memory:
        """What an intra picture is predicted from: mid-grey and a learned state.

        Args:
            size: (H, W), multiples of ALIGN.
        """
        height, width = size
        picture = Picture(
            torch.full((batch, 1, height, width), MIDDLE, device=device),
            torch.full((batch, 2, height // 2, width // 2), MIDDLE, device=device),
        )
        start = self.start_state * 128
        state = clamp(start.round() if self.exact else start)
        state = state.view(1, -1, 1, 1).expand(batch, -1, height // 8, width // 8)
        return Memory(picture, state, torch.zeros(batch, LATENTS, height // 16, width // 16, device=device))

    def moved(self, memory: Memory, field: Tensor, used: Tensor, smooth: Tensor, luma: Tensor | None = None) -> Memory:
        """Motion-compensate what pictures have left.

        Args:
            field: [B, H/8, W/8, 2] int64 quarter samples.
            used: which 8x8 blocks are predicted from it, [B, H/8, W/8] bool.
            smooth: which pictures are interpolated by smooth filters, [B] bool.
            luma: what is predicted by each block's own vector, [B, 1, H, W], where that is known.
        """
        rounding = self.exact
        y = warp.Interpolator(memory.picture.y, warp.LUMA, smooth, PEAK, rounding)
        uv = warp.Interpolator(memory.picture.uv, warp.CHROMA, smooth, PEAK, rounding)
        picture = Picture(
            overlapped(y, field, used, luma, rounding=rounding), overlapped(uv, field, used, rounding=rounding)
        )
        state = warp.warp(memory.state, field, 5, rounding)
        magnitudes = warp.warp(memory.magnitudes, warp.halve_field(field), 6, rounding)
        return Memory(picture, state, magnitudes)

    def step_of(self, prediction: Prediction) -> Tensor:
        """Quantisation steps in latent units, [B, 384, 1, 1], or of each block, [B, 384, H/16, W/16]."""
        quality = prediction.block_quality
        chroma = prediction.chroma_quality
        steps = self.steps(quality.flatten(), prediction.intra, None if chroma is None else chroma.flatten())
        return placed(steps.view(*quality.shape, LATENTS), prediction.where)

    def look(self, prediction: Prediction) -> None:
        """Run the context network on a prediction, unless it has been done; intra pictures have none."""
        if prediction.intra or prediction.c16 is not None:
            return
        past = prediction.past
        prediction.extent = self._extent(prediction)
        if prediction.extent.coarse.is_empty:
            return
        folded = fold(past.picture.y - MIDDLE, past.picture.uv - MIDDLE)
        apart = None if past.apart is None else fold(*past.apart)
        prediction.c8, prediction.c16 = self.context(
            folded, past.state, past.magnitudes, prediction.qualities, apart, prediction.extent, self.inter.reaches
        )

    def _extent(self, prediction: Prediction) -> Extent:
        """Where networks have to be asked, given which blocks are skipped."""
        skip = prediction.skip
        if skip is None or not self.exact or len(skip) > 1 or not is_compiled(skip):
            return Extent()
        needed = skip[0, 0].numpy() == 0
        if needed.mean() > FULL:
            return Extent()
        return Extent(Near(needed.repeat(2, 0).repeat(2, 1)), Near(needed))

    def mixed(self, first: Memory, second: Memory | None, modes: Tensor) -> Memory:
        """Predictions from one or two references, and from nothing, as one.

        Args:
            modes: [B, 1, H/16, W/16], see :mod:`lvc.model.modes`.
        """
        exact = self.exact
        if exact and is_compiled(modes):
            return self._mixed(first, second, modes)
        apart = None
        if second is not None:

            def differ(a: Tensor, b: Tensor, factor: int) -> Tensor:
                return torch.where(enlarged(modes == BOTH, factor), a - b, 0.0)

            apart = Picture(
                differ(first.picture.y, second.picture.y, 16), differ(first.picture.uv, second.picture.uv, 8)
            )

            def mix(a: Tensor, b: Tensor, factor: int) -> Tensor:
                mode = enlarged(modes, factor)
                mean = (a + b) * 0.5
                return torch.where(mode == BOTH, mean.round() if exact else mean, torch.where(mode == FIRST, a, b))

            first = _blockwise(mix, first, second)
        at = places((modes == NONE).flatten())
        if not isinstance(at, slice) and not len(at):
            return first._replace(apart=apart)

        def blank(a: Tensor, b: Tensor, factor: int) -> Tensor:
            return torch.where(enlarged(modes == NONE, factor), b, a)

        y = first.picture.y
        mixture = _blockwise(blank, first, self.nothing(len(y), (y.shape[2], y.shape[3]), y.device))
        return mixture._replace(apart=apart)

    def _mixed(self, first: Memory, second: Memory | None, modes: Tensor) -> Memory:
        """The same by :mod:`lvc.kernels`."""
        if second is None and not bool((modes == NONE).any()):
            return first
        blank, chosen = self.nothing(1, (ALIGN, ALIGN), modes.device), modes.contiguous().numpy()[:, 0]

        def mix(a: Tensor, b: Tensor, empty: Tensor, factor: int, differ: bool = False) -> tuple[Tensor, Tensor]:
            out = torch.empty(a.shape)
            apart = torch.empty(a.shape if differ else (len(a), 0, 0, 0))
            nothing = empty[0, :, 0, 0].contiguous().numpy()
            planes, results = (a.contiguous().numpy(), b.contiguous().numpy()), (out.numpy(), apart.numpy())
            for n, where in enumerate(chosen):
                from_a, from_b = (each[n] for each in planes)
                shared(warping.mix, len(where), from_a, from_b, where, factor, nothing, *(each[n] for each in results))
            return out, apart

        other, differ = second or first, second is not None
        y, y_apart = mix(first.picture.y, other.picture.y, blank.picture.y, 16, differ)
        uv, uv_apart = mix(first.picture.uv, other.picture.uv, blank.picture.uv, 8, differ)
        state, _ = mix(first.state, other.state, blank.state, 2)
        magnitudes, _ = mix(first.magnitudes, other.magnitudes, blank.magnitudes, 1)
        return Memory(Picture(y, uv), state, magnitudes, Picture(y_apart, uv_apart) if differ else None)

    def code(
        self, prediction: Prediction, missed: Tensor | None, coder: LatentCoder, layers: int = len(BANDS)
    ) -> Tensor:
        """Run hyper-latent and prior passes against a coder; returns the decoded latents [B, 384, H/16, W/16].

        Args:
            missed: from :meth:`transformed`, with the sizes of the prediction; None in the decoder.
            layers: how many bands are decoded, from the lowest on, 1...3; the latents of the others are zero.
        """
        self.look(prediction)
        quality, c16, where = prediction.qualities, prediction.c16, prediction.extent.coarse
        if where.is_empty:
            return torch.zeros_like(prediction.past.magnitudes)
        step = self.step_of(prediction)
        sizes = size_planes(_sizes(prediction))
        least = None
        if prediction.sizes is not None and (not is_compiled(sizes) or bool((prediction.sizes == WIDE).any())):
            least = torch.where(prediction.sizes == WIDE, WIDE_SCALE, _NO_SCALE)
        silent = None
        if prediction.is_flat is not None:
            silent = (prediction.is_flat[:, None] & self.steps.chroma)[:, :, None, None]
        branch = self._branch(prediction)
        prior, passes = branch.prior, branch.prior.passes
        z = None if missed is None else self._analyse(prediction, missed, step)
        proposal = None
        if z is not None:
            normal = clamp(z / step * RESIDUAL_UNIT)
            proposal = branch.hyper.analyse(normal, c16, sizes, quality, where)
        batch, _, h, w = sizes.shape
        coded = torch.ones(batch, 1, h, w, device=sizes.device) if prediction.skip is None else 1 - prediction.skip
        masks = {half: half_mask(half, sizes) * coded for _, half in passes}
        hyper = coder.hyper(proposal, F.max_pool2d(coded, 2))
        features = prior.start(c16, branch.hyper(hyper), sizes, quality, where)
        bands: list[Tensor] = []
        before: Known | None = None
        first = 0
        for index, (band, half) in enumerate(passes):
            if band >= layers:
                bands.append(torch.zeros(batch, LATENTS - first, h, w, device=sizes.device))
                break
            last = first + BANDS[band]
            mean, scale = prior.parameters_of(index, features, sizes, quality, where)
            if least is not None:
                scale = torch.maximum(scale, least)
            if silent is not None:
                scale = torch.where(silent[:, first:last], _NO_SCALE, scale)
            unit, band_step = self.mean_unit[:, first:last], step[:, first:last]
            wanted = None if z is None else (z[:, first:last] - mean * unit) / band_step
            residual = coder.residual(wanted, scale, masks[half], band)
            before = known(residual, mean, unit, band_step, masks[half], before if half == 1 else None, self.exact)
            if half != 0:
                bands.append(before.value)
                first = last
            if index < len(passes) - 1:
                features = prior.advance(index, features, before.residual, before.mean, before.read, where)
        return torch.cat(bands, 1)

    def reconstruct(self, prediction: Prediction, latents: Tensor) -> Memory:
        """Latents to the decoded picture, the new state and the magnitudes."""
        if prediction.extent.fine.is_empty:
            return unchanged(prediction)
        residual = Picture(*self.transform.inverse(latents, _sizes(prediction)))
        step, decoder = self.step_of(prediction), self._branch(prediction).decoder
        return reconstruct(prediction, residual, latents, step, decoder, self.exact)

    # -- encoder --------------------------------------------------------------------------------------------------

    def transformed(self, prediction: Prediction, target: Picture, sizes: Tensor) -> Tensor:
        """What a prediction misses, through the transform: [B, 384, H/16, W/16] in latent units.

        Args:
            sizes: of the transforms or WIDE, [B, 1, H/16, W/16].
        """
        residual = target.y - prediction.picture.y, target.uv - prediction.picture.uv
        z: Tensor = self.transform(*residual, _transforms(sizes))
        return z

    def _branch(self, prediction: Prediction) -> Branch:
        branch: Branch = self.intra if prediction.intra else self.inter
        return branch

    def _analyse(self, prediction: Prediction, z: Tensor, step: Tensor) -> Tensor:
        normal = clamp(z / step * RESIDUAL_UNIT)
        sizes = size_planes(_sizes(prediction))
        addition = self._branch(prediction).analysis(
            normal, prediction.c16, sizes, prediction.qualities, prediction.extent.coarse
        )
        updated: Tensor = z + addition * (1 / RESIDUAL_UNIT) * step
        return updated

    # -- exactness ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def snap(self) -> None:
        """Move all parameters onto their integer grids, in place."""
        for _, layer in layers_of(self):
            layer.snap()
        self.transform.snap()
        self.steps.snap()
        self.start_state.copy_((self.start_state * 128).round() / 128)

    def freeze(self) -> None:
        """Prove every bound and switch to exact arithmetic.

        Raises:
            ModelError: where a bound does not hold.
        """
        make_exact(self)
        self.transform.prove()
        self.exact = self.transform.exact = self.steps.exact = True
        self.requires_grad_(False)
        self.eval()


def _blockwise(combine: Callable[[Tensor, Tensor, int], Tensor], a: Memory, b: Memory) -> Memory:
    """Combine all planes of two memories; the last argument is how many samples of a plane make up 16 of luma."""
    picture = Picture(combine(a.picture.y, b.picture.y, 16), combine(a.picture.uv, b.picture.uv, 8))
    return Memory(picture, combine(a.state, b.state, 2), combine(a.magnitudes, b.magnitudes, 1))


def _sizes(prediction: Prediction) -> Tensor:
    if prediction.sizes is not None:
        return _transforms(prediction.sizes)
    y = prediction.picture.y
    return torch.zeros(len(y), 1, y.shape[2] // 16, y.shape[3] // 16, device=y.device)


def _transforms(sizes: Tensor) -> Tensor:
    """Sizes of transforms, given these or WIDE."""
    return sizes.clamp_max(SIZES - 1)


_NO_SCALE = -float(1 << 20)
"""Below all scales."""
