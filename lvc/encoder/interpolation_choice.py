"""By which filters a picture is interpolated: sharp ones, or smooth ones, which take away noise of the references."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lvc.encoder.matching import misses_of
from lvc.encoder.mode_choice import mixed
from lvc.exact.warp import BLOCK, LUMA, Interpolator, from_blocks
from lvc.model.modes import NONE

SHARE = (0.98, 1.0)
"""Smooth filters are taken where no more than this share is left to code: in anchors, from which others are predicted
in turn and where blur adds up, and in pictures between two (measured over ten clips: -0.45 % rate; always smooth: +1.7,
of it -1.3 on noisy clips and +15 % on a field of flowers)."""


@torch.no_grad()
def choose_smooth(
    target: Tensor,
    sharp: Sequence[Tensor],
    references: Sequence[Tensor],
    fields: Sequence[Tensor],
    modes: Tensor,
    quality: Tensor,
) -> Tensor:
    """Which pictures are better predicted by smooth filters, [B] bool, by a look at every fourth block.

    Args:
        target: luma of the source, [B, 1, H, W].
        sharp: its predictions from one or two references, likewise.
        references: luma of these, likewise.
        fields: motion into these, [B, H/8, W/8, 2].
        modes: [B, 1, H/16, W/16].
        quality: [B].
    """
    batch, rows, cols = fields[0].shape[:3]
    which = torch.arange(batch * rows * cols, device=target.device).view(batch, rows, cols)[:, ::2, ::2].flatten()
    all_smooth = torch.ones_like(quality, dtype=torch.bool)
    smooth = []
    for reference, field in zip(references, fields, strict=True):
        read = Interpolator(reference, LUMA, all_smooth)
        smooth.append(from_blocks(read(which, field.reshape(-1, 2)[which]), rows // 2, cols // 2))
    wanted = _every_fourth(target)
    coded = modes != NONE

    def left(guesses: Sequence[Tensor]) -> Tensor:
        return (misses_of(wanted - mixed(guesses, modes, BLOCK), quality) * coded).sum((1, 2, 3), dtype=torch.float64)

    return left(smooth) < left([_every_fourth(each) for each in sharp]) * SHARE[len(sharp) - 1]


def _every_fourth(picture: Tensor) -> Tensor:
    """The upper left 8x8 block of each 16x16 block, side by side, [B, 1, H, W] to [B, 1, H/2, W/2]."""
    b, _, height, width = picture.shape
    blocks = picture.view(b, height // (2 * BLOCK), 2, BLOCK, width // (2 * BLOCK), 2, BLOCK)
    return blocks[:, :, 0, :, :, 0].reshape(b, 1, height // 2, width // 2)
