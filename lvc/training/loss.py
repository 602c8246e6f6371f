"""Rate plus lambda times distortion over a run of frames."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lvc.encoder import motion_search
from lvc.encoder.skip_choice import choose_skip
from lvc.exact import warp
from lvc.model.codec import FrameCodec, Memory, Picture
from lvc.model.quality import nominal_step
from lvc.training.rate import HyperTables, TrainingCoder

LAMBDA = 8.66
"""Lambda times squared step: where halving the step of a fine uniform quantiser pays for the bit it costs."""


CoderMaker = Callable[[HyperTables, int, torch.device], TrainingCoder]


CHROMA_WEIGHT = 4.0
"""Weight of the squared error of U and of V where Y has 6. What counts in the end is 6:1:1 of PSNRs in dB, where an
error weighs by its inverse, and chroma errors are a fourth to an eighth of luma's in any codec with sense (x264 medium
on natural video: 5 to 9 dB)."""


def weighted_error(a: Picture, b: Picture) -> Tensor:
    """Mean squared error in 8-bit grey levels, weighted (see CHROMA_WEIGHT), per sample of the batch [B]."""
    y = (a.y - b.y).square().mean((1, 2, 3))
    uv = (a.uv - b.uv).square().mean((1, 2, 3))
    return (6 * y + 2 * CHROMA_WEIGHT * uv) / (8 * 16)


def sequence_quality(quality: Tensor, frames: int, intra_bonus: float, cascade: float) -> list[Tensor]:
    """Quality of each frame: the intra frame and every fourth after it are finer."""
    result = []
    for t in range(frames):
        bonus = intra_bonus if t == 0 else cascade if t % 4 == 0 else 0.0
        result.append((quality + bonus).clamp(1, 100))
    return result


class FrameCost(NamedTuple):
    """What one frame of a batch cost: bits per pixel [B], weighted squared error [B], luma PSNR in dB [B].

    A tuple, because DistributedDataParallel looks for the tensors of a result in tuples and lists only.
    """

    bits: Tensor
    error: Tensor
    psnr: Tensor

    def lagrangian(self, quality: Tensor) -> Tensor:
        """Bits per pixel + lambda * error, [B]."""
        return self.bits + LAMBDA / nominal_step(quality).square() * self.error


def run_sequence(
    codec: FrameCodec,
    tables: HyperTables,
    pictures: list[Picture],
    qualities: list[Tensor],
    effort: motion_search.SearchEffort = motion_search.TRAINING,
    make_coder: CoderMaker = TrainingCoder,
) -> list[FrameCost]:
    """Code a run of pictures, the first one intra, with gradients through the references."""
    memory: Memory | None = None
    field: Tensor | None = None
    costs = []
    size = (pictures[0].y.shape[-2], pictures[0].y.shape[-1])
    for picture, quality in zip(pictures, qualities, strict=True):
        if memory is not None:
            with torch.no_grad():
                reference = memory.picture.y.detach()
                planes = warp.phases(reference)
                field, _ = motion_search.search(picture.y, reference, planes, field, quality, effort)
        if memory is None or field is None:
            past = codec.nothing(len(quality), size, quality.device)
        else:
            past = codec.moved(memory, field)
        prediction = codec.predict(past, quality, memory is None)
        if field is not None:
            prediction.skip = choose_skip(codec, prediction, field, picture)
        coder = make_coder(tables, picture.y.shape[0], picture.y.device)
        coder.kind = 0 if prediction.intra else 1
        latents = codec.code(prediction, picture, coder)
        memory = codec.reconstruct(prediction, latents)
        error = weighted_error(picture, memory.picture)
        luma = (picture.y - memory.picture.y).detach().square().mean((1, 2, 3)) / 16
        psnr = 10 * torch.log10(255.0**2 / luma.clamp_min(1e-4))
        costs.append(FrameCost(coder.bits / math.prod(size), error, psnr))
    return costs
