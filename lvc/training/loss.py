"""Rate plus lambda times distortion over a run of frames."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from lvc.container import INTRA, PREDICTED, Step, coding_order
from lvc.encoder import motion_search
from lvc.encoder.block_choice import choose_blocks
from lvc.encoder.interpolation_choice import choose_smooth
from lvc.encoder.mode_choice import choose_modes
from lvc.exact import warp
from lvc.model.codec import FrameCodec
from lvc.model.group import MotionMemory
from lvc.model.modes import used_in_batch
from lvc.model.prediction import Memory, Picture, Prediction
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


def sequence_quality(quality: Tensor, steps: Sequence[Step], intra: float, anchor: float, depth: float) -> list[Tensor]:
    """Quality of each frame in coding order.

    Args:
        quality: [B] of ordinary anchors.
        intra, anchor: by how much the intra frame, and anchors at every fourth position, are finer.
        depth: by how much frames between anchors are coarser, for each level.
    """
    result = []
    for step in steps:
        if step.first is None:
            bonus = intra
        elif step.depth:
            bonus = -depth * step.depth
        else:
            bonus = anchor if step.position % 4 == 0 else 0.0
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


class Vectors(NamedTuple):
    """Motion of a batch of pictures, [B, H/8, W/8, 2] int64 quarter samples, on the device where it was found."""

    vectors: Tensor

    def scaled(self, part: int, whole: int) -> "Vectors":
        """See :meth:`lvc.model.motion.MotionField.scaled`."""
        return Vectors((2 * part * self.vectors + whole) // (2 * whole))


@dataclass
class Carried:
    """What a run of pictures leaves for the next: coded pictures by position, and the motion between them."""

    memories: dict[int, Memory] = field(default_factory=dict)
    motion: MotionMemory[Vectors] = field(default_factory=MotionMemory)

    def cut(self) -> None:
        """Keep the last anchor and its motion only (all that later pictures refer to), and let no gradient through to
        before it.
        """
        last = max(self.memories)
        self.memories = {last: self.memories[last].detach()}
        before = min((first for first, second in self.motion.fields if second == last), default=None)
        self.motion.fields = {} if before is None else {(before, last): self.motion.fields[before, last]}


def run_sequence(
    codec: FrameCodec,
    tables: HyperTables,
    pictures: Sequence[Picture] | Mapping[int, Picture],
    qualities: Sequence[Tensor],
    effort: motion_search.SearchEffort = motion_search.TRAINING,
    make_coder: CoderMaker = TrainingCoder,
    steps: Sequence[Step] | None = None,
    carried: Carried | None = None,
) -> list[FrameCost]:
    """Code a run of pictures with gradients through the references.

    Args:
        pictures: by their positions in display order.
        qualities: [B] each, for each step.
        steps: the coding order; where not given, the first picture is intra, each other one predicted from the last.
        carried: what steps before these have left; this run's pictures are added to it.

    Returns:
        What each picture cost, in coding order.
    """
    if steps is None:
        steps = coding_order([INTRA, *[PREDICTED] * (len(pictures) - 1)])
    if carried is None:
        carried = Carried()
    memories, motion = carried.memories, carried.motion
    costs = []
    for step, quality in zip(steps, qualities, strict=True):
        picture = pictures[step.position]
        past, is_whole = _predicted(codec, memories, motion, step, picture, quality, effort)
        prediction = Prediction(past, quality, step.first is None)
        prediction.skip, prediction.sizes, _ = choose_blocks(
            codec, prediction, is_whole, picture, between=step.depth > 0
        )
        coder = make_coder(tables, picture.y.shape[0], picture.y.device)
        coder.kind = 0 if prediction.intra else 1
        latents = codec.code(prediction, codec.transformed(prediction, picture, prediction.sizes), coder)
        memory = memories[step.position] = codec.reconstruct(prediction, latents)
        error = weighted_error(picture, memory.picture)
        luma = (picture.y - memory.picture.y).detach().square().mean((1, 2, 3)) / 16
        psnr = 10 * torch.log10(255.0**2 / luma.clamp_min(1e-4))
        costs.append(FrameCost(coder.bits / math.prod(picture.y.shape[-2:]), error, psnr))
    return costs


def _predicted(
    codec: FrameCodec,
    memories: dict[int, Memory],
    motion: MotionMemory[Vectors],
    step: Step,
    picture: Picture,
    quality: Tensor,
    effort: motion_search.SearchEffort,
) -> tuple[Memory, Tensor | None]:
    """The prediction, and where its vectors point to whole samples (None for intra pictures)."""
    if step.first is None:
        motion.keep(step, [])
        return codec.nothing(len(quality), (picture.y.shape[-2], picture.y.shape[-1]), quality.device), None
    found: list[Vectors] = []
    sharp: list[Tensor] = []
    is_whole: Tensor | None = None
    references = [memories[at] for at in (step.first, step.second) if at is not None]
    with torch.no_grad():
        for memory in references:
            expected = motion.expected(step, found[0] if found else None)
            guess = None if expected is None else expected.vectors
            luma = memory.picture.y.detach()
            planes = warp.readable(luma)
            field = motion_search.search(picture.y, luma, planes, guess, quality, effort)
            found.append(Vectors(field))
            sharp.append(warp.sample(planes, field, warp.BLOCK))
            whole = (field & 3 == 0).all(-1)
            is_whole = whole if is_whole is None else is_whole & whole
    motion.keep(step, found)
    modes = choose_modes(picture.y, sharp[0], sharp[1] if len(sharp) > 1 else None, quality)
    lumas = [memory.picture.y.detach() for memory in references]
    is_smooth = choose_smooth(picture.y, sharp, lumas, [each.vectors for each in found], modes, quality)
    pasts = [
        codec.moved(memory, each.vectors, used_in_batch(modes, number), is_smooth)
        for number, (memory, each) in enumerate(zip(references, found, strict=True))
    ]
    return codec.mixed(pasts[0], pasts[1] if len(pasts) > 1 else None, modes), is_whole
