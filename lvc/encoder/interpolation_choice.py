"""By which filters a picture is interpolated: sharp ones, or smooth ones, which take away noise of the references."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lvc.encoder.mode_choice import mixed
from lvc.encoder.motion_search import misses_of
from lvc.model.modes import NONE

SHARE = (0.98, 1.0)
"""Smooth filters are taken where no more than this share is left to code: in anchors, from which others are predicted
in turn and where blur adds up, and in pictures between two (measured over ten clips: -0.45 % rate; always smooth: +1.7,
of it -1.3 on noisy clips and +15 % on a field of flowers)."""


@torch.no_grad()
def choose_smooth(
    target: Tensor, sharp: Sequence[Tensor], smooth: Sequence[Tensor], modes: Tensor, quality: Tensor
) -> Tensor:
    """Which pictures are better predicted by smooth filters, [B] bool.

    Args:
        target: luma of the source, [B, 1, H, W].
        sharp, smooth: its predictions from one or two references, likewise.
        modes: [B, 1, H/16, W/16].
        quality: [B].
    """
    coded = (modes != NONE).repeat_interleave(2, 2).repeat_interleave(2, 3)
    left = [(misses_of(target - mixed(guesses, modes), quality) * coded).sum((1, 2, 3)) for guesses in (sharp, smooth)]
    return left[1] < left[0] * SHARE[len(sharp) - 1]
