"""The block transform T and its inverse: critically sampled, learned from the DCT, of three sizes.

A 16x16 luma block and its two 8x8 chroma blocks give 384 latents at 1/16 resolution, ordered from low to high
frequencies in three bands. Latents are in eighths of a 10-bit grey level of an orthonormal transform.

Luma is transformed as a whole, as four blocks of 8x8 or as sixteen of 4x4, as the encoder says for each block (see
:mod:`lvc.model.sizes`). Latents of equal frequency then lie side by side: that of frequency (v, h) of block (i, j) of
p x p where (p v + i, p h + j) of the whole would be, so that frequencies stay in their bands; the means of the small
blocks are transformed once more, p x p, and so are the lowest frequencies whatever the size.
"""

import functools
import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvc.errors import ModelError
from lvc.exact.folding import pixel_shuffle, pixel_unshuffle
from lvc.exact.places import is_compiled, places
from lvc.kernels import reconstruction

LATENTS = 384
BANDS = (24, 72, 288)
"""Latents in the low, middle and high band: 16 + 2x4, 48 + 2x12, 192 + 2x48."""
LATENT_UNIT = 8.0
LATENT_MAX = 2**18
_GRID = 2.0**14
_EDGES = ((4, 2), (8, 4), (16, 8))


def dct_matrix(size: int) -> Tensor:
    """Orthonormal DCT-II, [size, size], a row per frequency."""
    n = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (n[None] + 0.5) * n[:, None]) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


def _band_order() -> Tensor:
    """Positions of the 384 latents in the plain order (256 luma rows, 64 + 64 chroma rows), sorted into bands."""
    order: list[int] = []
    luma_from = chroma_from = 0
    for luma_to, chroma_to in _EDGES:
        for size, low, high, starts in ((16, luma_from, luma_to, (0,)), (8, chroma_from, chroma_to, (256, 320))):
            for start in starts:
                cells = [(v, h) for v in range(high) for h in range(high) if v >= low or h >= low]
                cells.sort(key=lambda cell: (cell[0] + cell[1], cell[0]))
                order += [start + v * size + h for v, h in cells]
        luma_from, chroma_from = luma_to, chroma_to
    return torch.tensor(order)


def chroma_latents() -> Tensor:
    """Which of the 384 latents belong to chroma, bool [384]."""
    return _band_order() >= 256


SIZES = 3
"""Luma blocks of 16, 8 and 4 samples: 1, 2 and 4 to a side."""


def split_dct(parts: int) -> Tensor:
    """Orthonormal transform of a 16x16 block as parts x parts smaller ones, [256, 256], a row per latent.

    Rows by (p v + i, p h + j), see above; columns by (vertical, horizontal) place of a sample.
    """
    size = 16 // parts
    small, across = dct_matrix(size), dct_matrix(parts)
    blocks = torch.eye(parts, dtype=torch.float64)
    # frequency v of block i at sample y of block k, for one direction: [v, i, k, y]
    plain = torch.einsum("vy,ik->viky", small, blocks)
    means = torch.einsum("y,ik->iky", small[0], across)
    both = torch.einsum("vikx,hjly->vihjkxly", plain, plain)
    both[0, :, 0] = torch.einsum("ikx,jly->ijkxly", means, means)
    return both.reshape(256, 256)


def _by_size(blocks: Tensor, sizes: Tensor, weights: Tensor) -> Tensor:
    """Multiply each block by the matrix of its size, in the precision of the matrices; zeros stay zero, untouched
    where no gradient is wanted.

    Args:
        blocks: [B, 256, h, w].
        sizes: [B, 1, h, w].
        weights: [SIZES, 256, 256].
    """
    b, n, h, w = blocks.shape
    rows = blocks.permute(0, 2, 3, 1).reshape(-1, n)
    busy = rows.any(1) | torch.is_grad_enabled()
    result = torch.zeros(rows.shape, dtype=weights.dtype, device=rows.device)
    for size, weight in enumerate(weights):
        chosen = busy & (sizes.reshape(-1) == size)
        at = places(chosen)
        if isinstance(at, slice):
            result = torch.where(chosen[:, None], rows.to(weight.dtype) @ weight.t(), result)
        elif len(at):
            result = result.index_copy(0, at, rows[at].to(weight.dtype) @ weight.t())
    return result.view(b, h, w, n).permute(0, 3, 1, 2)


class Transform(nn.Module):
    """T (float, encoder only) and T^-1 (exact: float64 products of integers and of multiples of 2^-14)."""

    order: Tensor
    inverse_order: Tensor

    def __init__(self) -> None:
        super().__init__()
        luma = torch.stack([split_dct(1 << size).float() for size in range(SIZES)])
        chroma = torch.kron(dct_matrix(8), dct_matrix(8)).float()
        self.luma, self.chroma = nn.Parameter(luma.clone()), nn.Parameter(chroma.clone())
        self.luma_inverse = nn.Parameter(luma.transpose(1, 2).clone())
        self.chroma_inverse = nn.Parameter(chroma.t().clone())
        self.register_buffer("order", _band_order(), persistent=False)
        self.register_buffer("inverse_order", torch.argsort(_band_order()), persistent=False)
        self.exact = False

    def forward(self, y: Tensor, uv: Tensor, sizes: Tensor) -> Tensor:
        """Residual pictures to latents.

        Args:
            y: [B, 1, H, W] luma residual, 10-bit grey levels.
            uv: [B, 2, H/2, W/2].
            sizes: [B, 1, H/16, W/16], 0...SIZES - 1.

        Returns:
            [B, 384, H/16, W/16] in eighths of a grey level.
        """
        luma = _by_size(pixel_unshuffle(y, 16), sizes, self.luma)
        blocks = pixel_unshuffle(uv, 8)
        b, _, h, w = blocks.shape
        chroma = F.conv2d(blocks.reshape(b * 2, 64, h, w), self.chroma[:, :, None, None]).view(b, 128, h, w)
        return torch.cat([luma, chroma], 1).index_select(1, self.order) * LATENT_UNIT

    def inverse(self, latents: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Latents to residual pictures, in eighths of a 10-bit grey level (integers when exact).

        Args:
            latents: [B, 384, h, w].
            sizes: [B, 1, h, w], 0...SIZES - 1.

        Returns:
            y [B, 1, 16h, 16w] and uv [B, 2, 8h, 8w].
        """
        if self.exact and is_compiled(latents):
            return self._compiled(latents, sizes)
        plain = latents.index_select(1, self.inverse_order)
        luma_weight: Tensor = self.luma_inverse
        chroma_weight: Tensor = self.chroma_inverse
        if self.exact:
            luma_weight, chroma_weight = luma_weight.double(), chroma_weight.double()
        b, _, h, w = plain.shape
        luma = _by_size(plain[:, :256], sizes, luma_weight)
        parts = plain[:, 256:].reshape(b * 2, 64, h, w).to(chroma_weight)
        chroma = F.conv2d(parts, chroma_weight[:, :, None, None]).view(b, 128, h, w)
        if self.exact:
            luma, chroma = luma.round().float(), chroma.round().float()
        return pixel_shuffle(luma, 16), pixel_shuffle(chroma, 8)

    def _compiled(self, latents: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """The same of an exact one: only blocks that have latents are touched."""
        luma_weight, chroma_weight = self._doubles
        b, _, h, w = latents.shape
        y, uv = torch.zeros(b, 1, 16 * h, 16 * w), torch.zeros(b, 2, 8 * h, 8 * w)
        for number, every in enumerate(latents.numpy().reshape(b, LATENTS, -1)):
            at = (every != 0).any(0).nonzero()[0]
            rows = torch.from_numpy(every.take(at, 1).take(self._places, 0).T.astype(np.float64, "C"))
            luma, size_of = torch.empty(len(at), 256, dtype=torch.float64), sizes[number].numpy().ravel()[at]
            for size in np.unique(size_of).astype(int):
                chosen = torch.from_numpy(np.flatnonzero(size_of == size))
                luma[chosen] = rows[chosen, :256] @ luma_weight[size].t()
            chroma = rows[:, 256:].reshape(-1, 64) @ chroma_weight.t()
            found = luma.numpy(), chroma.numpy().reshape(-1, 128)
            reconstruction.place(*found, at, y[number, 0].numpy(), uv[number].numpy())
        return y, uv

    @functools.cached_property
    def _doubles(self) -> tuple[Tensor, Tensor]:
        """Weights of an exact inverse, which do not change any more."""
        return self.luma_inverse.detach().double(), self.chroma_inverse.detach().double()

    @functools.cached_property
    def _places(self) -> npt.NDArray[np.int64]:
        """Where each latent is found."""
        return self.inverse_order.numpy()

    @torch.no_grad()
    def snap(self) -> None:
        """Move the inverse onto its grid of 2^-14, in place."""
        for weight in (self.luma_inverse, self.chroma_inverse):
            weight.copy_((weight.double() * _GRID).round() / _GRID)

    @torch.no_grad()
    def prove(self) -> None:
        """Check the grid, and that no sum can reach 2^53 steps.

        Raises:
            ModelError: when it does not hold.
        """
        for weight in (self.luma_inverse, self.chroma_inverse):
            steps = weight.double() * _GRID
            if not bool(torch.isfinite(steps).all() and (steps == steps.round()).all()):
                raise ModelError("the inverse transform does not lie on its grid")
            if not bool((steps.abs().sum(-1) * LATENT_MAX < 2.0**53).all()):
                raise ModelError("the inverse transform breaks its bound")
