"""Quality 1...100 to quantisation steps, and the Lagrangian that belongs to a step."""

import torch
from torch import Tensor, nn

from lvc.exact.qualities import KNOTS, quality_knots
from lvc.model.transform import LATENT_UNIT, LATENTS, chroma_latents

STEP_WORST, STEP_BEST = 128.0, 1.5
"""Steps at quality 1 and 100, in 8-bit grey levels of an orthonormal transform."""
LATENTS_PER_GREY = LATENT_UNIT * 4
"""Latent units of one 8-bit grey level."""
RATE_WEIGHT = 0.1155
"""Bits into units of squared error over squared step: 2 ln 2 / 12, where rate and distortion curves of a fine
uniform quantiser have equal slope (Gish and Pierce 1968)."""


def nominal_step(quality: Tensor) -> Tensor:
    """Step of each quality in 8-bit grey levels, geometric from STEP_WORST to STEP_BEST; any shape."""
    return STEP_WORST * (STEP_BEST / STEP_WORST) ** ((quality - 1) / 99)


CHROMA_STEP = -0.74
"""Binary logarithm of chroma steps over luma steps at the start of training: the inverse root of their weights in the
loss, per sample (see :mod:`lvc.training.loss`)."""


class Steps(nn.Module):
    """Quantisation step of every latent at every quality, for intra pictures (0) and for predicted ones (1).

    In training smooth functions of learned offsets; exact models hold the tables of integers.
    """

    table: Tensor
    chroma: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.where(chroma_latents(), CHROMA_STEP, 0.0).repeat(2, KNOTS, 1))
        self.register_buffer("table", torch.zeros(2, 100, LATENTS, dtype=torch.int32))
        self.register_buffer("chroma", chroma_latents(), persistent=False)
        self.exact = False

    def forward(self, quality: Tensor, intra: bool, chroma: Tensor | None = None) -> Tensor:
        """Steps in latent units.

        Args:
            quality: [B], 1...100; whole numbers when exact.
            intra: of what kind the picture is.
            chroma: quality of chroma, likewise, where it differs.

        Returns:
            [B, 384, 1, 1], integers of 1 or more when exact.
        """
        if chroma is not None:
            return torch.where(self.chroma[:, None, None], self(chroma, intra), self(quality, intra))
        kind = 0 if intra else 1
        if self.exact:
            return self.table[kind, quality.long() - 1].float()[:, :, None, None]
        offset = (quality_knots(quality)[:, :, None] * self.offset[kind]).sum(1)
        step = nominal_step(quality)[:, None] * LATENTS_PER_GREY * torch.exp2(offset)
        return step[:, :, None, None]

    @torch.no_grad()
    def snap(self) -> None:
        """Fill the integer tables from the learned offsets."""
        quality = torch.arange(1, 101, dtype=torch.float32, device=self.offset.device)
        for kind, table in enumerate(self.table):
            step = self.forward(quality, kind == 0)[:, :, 0, 0].round().clamp(1, 2**16)
            # a finer quality never has a coarser step
            table.copy_(step.flip(0).cummax(0).values.flip(0).int())
