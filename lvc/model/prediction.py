"""Pictures, what they leave for later ones, and what is known of one before its latents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lvc.exact.near import Extent
from lvc.exact.qualities import Qualities, placed, quality_knots
from lvc.model.levels import LEVEL_MAX, quality_of

ALIGN = 32
"""Pictures are extended to multiples of this: the hyper-latent lives at 1/32 resolution."""
PEAK = 1023.0
"""The highest sample."""
MIDDLE = 512.0
"""Grey, as chroma."""


class Picture(NamedTuple):
    """Luma [B, 1, H, W] and chroma [B, 2, H/2, W/2], 10-bit integers in float32, sizes multiples of ALIGN."""

    y: Tensor
    uv: Tensor


class Memory(NamedTuple):
    """What a decoded picture leaves for the next: reference, state [B, fine, H/8, W/8], magnitudes [B, 384, ...].

    ``apart``, in predictions from two references only: what those differ by where they were averaged, 0 elsewhere.
    """

    picture: Picture
    state: Tensor
    magnitudes: Tensor
    apart: Picture | None = None

    @classmethod
    def join(cls, parts: "Sequence[Memory]") -> "Memory":
        """Several as one batch."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            Picture(torch.cat([p.picture.y for p in parts]), torch.cat([p.picture.uv for p in parts])),
            torch.cat([p.state for p in parts]),
            torch.cat([p.magnitudes for p in parts]),
        )

    def with_luma(self, y: Tensor) -> "Memory":
        """The same with other luma."""
        return self._replace(picture=Picture(y, self.picture.uv))

    def detach(self) -> "Memory":
        """The same without the way back to where it came from."""
        picture = Picture(self.picture.y.detach(), self.picture.uv.detach())
        return Memory(picture, self.state.detach(), self.magnitudes.detach())

    def pick(self, index: int) -> "Memory":
        """One of a batch, as a batch of one."""
        at = slice(index, index + 1)
        return Memory(Picture(self.picture.y[at], self.picture.uv[at]), self.state[at], self.magnitudes[at])


@dataclass
class Prediction:
    """Everything both sides know of a picture before its latents.

    Attributes:
        past: what it is predicted from.
        quality: of the pictures, [B], 1...100.
        skip: [B, 1, H/16, W/16], 1 where a block stays as it is predicted (see :mod:`lvc.model.skip`), else 0.
        sizes: [B, 1, H/16, W/16], transform sizes or WIDE (see :mod:`lvc.model.sizes`); None: all 0.
        levels: [B, 1, H/16, W/16] int64 (see :mod:`lvc.model.levels`); None: all 0.
        chroma_drop: by how many qualities chroma is coarser, [B] (see :mod:`lvc.model.chroma`); None: not at all.
        is_flat: which pictures have no latents of chroma, [B] bool (see :mod:`lvc.model.flat`); None: none.
        c8, c16: the context, once networks have been asked; None for intra pictures.
        extent: where they are asked.
    """

    past: Memory
    quality: Tensor
    intra: bool
    skip: Tensor | None = None
    sizes: Tensor | None = None
    levels: Tensor | None = None
    chroma_drop: Tensor | None = None
    is_flat: Tensor | None = None
    c8: Tensor | None = None
    c16: Tensor | None = None
    extent: Extent = Extent()  # noqa: RUF009 -- immutable

    @property
    def picture(self) -> Picture:
        """What it looks like without any latents."""
        return self.past.picture

    @property
    def block_quality(self) -> Tensor:
        """The qualities that there are in each picture, [B, n]: its own, or those of all levels."""
        if self.levels is None:
            return self.quality[:, None]
        levels = torch.arange(-LEVEL_MAX, LEVEL_MAX + 1, device=self.quality.device)
        return quality_of(self.quality[:, None], levels)

    @property
    def chroma_quality(self) -> Tensor | None:
        """Likewise for chroma, [B, n]; None: the same."""
        return None if self.chroma_drop is None else (self.block_quality - self.chroma_drop[:, None]).clamp_min(1)

    @property
    def where(self) -> Tensor | None:
        """Which of them each block has, [B, H/16, W/16]; None: there is one only."""
        return None if self.levels is None else self.levels[:, 0] + LEVEL_MAX

    @property
    def local_quality(self) -> Tensor:
        """The quality of each block, [B, 1, H/16, W/16], or of each picture, [B, 1, 1, 1]."""
        return placed(self.block_quality[..., None], self.where)

    @property
    def qualities(self) -> Qualities:
        """The same for networks."""
        return Qualities(quality_knots(self.block_quality), self.where)
