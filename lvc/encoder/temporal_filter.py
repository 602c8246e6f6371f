"""Motion-compensated temporal filtering: pictures averaged with those around them, along their motion, before coding.

Of what many others are predicted from noise would be sent once, and taken away again in each of them. Widely done, as
in the encoders of the test models of ITU-T H.266 and AV1; how much of whom is this module's own.

What was tried, and what it brought, is in the model card.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.encoder import motion_search
from lvc.exact import warp
from lvc.exact.places import is_compiled
from lvc.kernels import windows
from lvc.model.prediction import PEAK, Picture
from lvc.model.quality import nominal_step

WEIGHTS = (0.4, 0.3, 0.2, 0.15)
"""What another picture counts by its distance, 1, 2, ... pictures, where it is the same; the picture itself counts 1.
"""
ALIKE = 0.85
"""Root mean squared difference, in nominal steps, at which it counts 1/e of that: what is smaller is not coded well
either."""
WINDOW = 5
"""Samples to a side of the square within which it is the same or not."""


@torch.no_grad()
def filtered(target: Picture, around: Sequence[tuple[int, Picture]], quality: Tensor) -> Picture:
    """The average.

    Args:
        target: the picture, [1, ...].
        around: others of the same scene, and how many pictures away they are, no more than there are WEIGHTS.
        quality: of the picture, [1].

    Returns:
        [1, ...], integers.
    """
    alike = (ALIKE * 4 * nominal_step(quality)[:, None, None, None]) ** 2
    flat = [_spread(plane) == 0 for plane in target]
    sums = [plane.clone() for plane in target]
    counts = [torch.ones_like(plane) for plane in target]
    for distance, other in around:
        planes = warp.readable(other.y)
        effort = motion_search.LOOK.over(distance)
        field = motion_search.search(target.y, other.y, planes, None, quality, effort)
        moved = warp.sample(planes, field, warp.BLOCK), warp.compensate(other.uv, field, warp.CHROMA)
        for plane, wanted, total, count in zip(moved, target, sums, counts, strict=True):
            missed = _missed(plane, wanted)
            weight = WEIGHTS[distance - 1] * torch.exp(missed / -alike)
            total.addcmul_(weight, plane)
            count.add_(weight)
    means = [(total / count).round_().clamp_(0, PEAK) for total, count in zip(sums, counts, strict=True)]
    # what has no noise is right as it is: black stays black
    return Picture(*(torch.where(*choice) for choice in zip(flat, target, means, strict=True)))


def _missed(plane: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference of the samples around each one that lie in the picture, [1, C, H, W]."""
    margin, (height, width) = WINDOW // 2, plane.shape[2:]
    if is_compiled(plane):
        found = torch.empty(plane.shape)
        for one, other, into in zip(plane[0], wanted[0], found[0], strict=True):
            windows.mean_square(one.numpy(), other.numpy(), margin, into.numpy())
        return found
    down, across = (torch.arange(size, device=plane.device) for size in (height, width))
    rows, cols = ((at + margin).clamp_max(len(at) - 1) - (at - margin).clamp_min(0) + 1 for at in (down, across))
    return _joined(torch.add, F.pad((plane - wanted).square(), (margin,) * 4)) / (rows[:, None] * cols)


def _spread(plane: Tensor) -> Tensor:
    """Of the samples around each one, the greatest less the least."""
    padded = F.pad(plane, (WINDOW // 2,) * 4, mode="replicate")
    return _joined(torch.maximum, padded) - _joined(torch.minimum, padded)


def _joined(join: Callable[..., Tensor], padded: Tensor) -> Tensor:
    """All samples of each window, [1, C, H + WINDOW - 1, W + WINDOW - 1] to [1, C, H, W]: first along columns, then
    along rows, which takes a fraction of the time of pooling.
    """
    for dim in (2, 3):
        first, *others = (padded.narrow(dim, at, padded.shape[dim] - WINDOW + 1) for at in range(WINDOW))
        padded = first.clone()
        for other in others:
            join(padded, other, out=padded)
    return padded
