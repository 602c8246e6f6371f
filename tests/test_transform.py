"""The transforms of three sizes: orthonormal, invertible, exact."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lvc.exact.arithmetic import exact_arithmetic
from lvc.model.codec import FrameCodec
from lvc.model.config import config_named
from lvc.model.transform import BANDS, LATENT_MAX, LATENT_UNIT, Transform, dct_matrix, split_dct
from tests.models import plain_model, tiny_model
from tests.residuals import HEIGHT, WIDTH, random_sizes


def plain_latents(transform: Transform, y: torch.Tensor, size: int) -> torch.Tensor:
    """Luma latents of blocks [B, 1, 16, 16] by their place in the plain order, [B, 16, 16], in grey levels."""
    with torch.no_grad():
        latents: torch.Tensor = transform(y, torch.zeros(len(y), 2, 8, 8), torch.full((len(y), 1, 1, 1), float(size)))
    return (latents[:, transform.inverse_order][:, :256] / LATENT_UNIT).view(-1, 16, 16)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_each_transform_is_orthonormal(parts: int) -> None:
    matrix = split_dct(parts)
    assert matrix.dtype == torch.float64
    assert torch.allclose(matrix @ matrix.t(), torch.eye(256, dtype=torch.float64), atol=1e-12)
    if parts == 1:
        assert torch.allclose(matrix, torch.kron(dct_matrix(16), dct_matrix(16)), atol=1e-12)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_frequencies_of_small_blocks_lie_side_by_side(size: int) -> None:
    """Every latent by its definition: a cosine transform of each block, and one more of their means."""
    parts = 1 << size
    side = 16 // parts
    block = torch.from_numpy(np.random.default_rng(size).normal(0, 100, (16, 16)))
    found = plain_latents(Transform(), block[None, None].float(), size)[0]
    small, means = dct_matrix(side), torch.zeros(parts, parts, dtype=torch.float64)
    expected = torch.zeros(16, 16, dtype=torch.float64)
    for i, j in np.ndindex(parts, parts):
        own = small @ block[i * side : (i + 1) * side, j * side : (j + 1) * side] @ small.t()
        for v, h in np.ndindex(side, side):
            expected[parts * v + i, parts * h + j] = own[v, h]
        means[i, j] = own[0, 0]
    expected[:parts, :parts] = dct_matrix(parts) @ means @ dct_matrix(parts).t()
    assert torch.allclose(found.double(), expected, atol=2e-3)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_what_is_smooth_is_in_the_low_band(size: int) -> None:
    """Whatever the size, so that what is said of the band holds for all of them."""
    ramp = torch.arange(16) - 7.5
    smooth = [torch.full((16, 16), 80.0), ramp[:, None] * 9 + 0 * ramp, ramp * 5 + ramp[:, None] * 3]
    y = torch.stack(smooth)[:, None]
    with torch.no_grad():
        latents = Transform()(y, torch.zeros(3, 2, 8, 8), torch.full((3, 1, 1, 1), size))[..., 0, 0]
    energy = latents.square()
    share = energy[:, : BANDS[0]].sum(1) / energy.sum(1)
    assert float(share[0]) == pytest.approx(1)
    assert float(share.min()) > 0.93
    flat = torch.zeros(384)
    flat[0] = 80 * 16 * LATENT_UNIT
    assert torch.allclose(latents[0], flat, atol=0.1)


@pytest.mark.parametrize("size", [1, 2])
def test_a_small_block_touches_its_own_latents_and_the_means(size: int) -> None:
    parts = 1 << size
    side = 16 // parts
    row, col = np.indices((16, 16))
    means = (row < parts) & (col < parts)
    for y, x in ((0, 0), (5, 14), (15, 15), (8, 3)):
        impulse = torch.zeros(1, 1, 16, 16)
        impulse[..., y, x] = 300
        touched = plain_latents(Transform(), impulse, size)[0].abs().numpy() > 1e-2
        own = (row % parts == y // side) & (col % parts == x // side)
        assert not touched[~own & ~means].any()
        assert touched[own & ~means].mean() > 0.9
        whole = plain_latents(Transform(), impulse, 0)[0].abs().numpy() > 1e-2
        assert whole.sum() > 2 * touched.sum()


def random_residual(batch: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    shapes = ((batch, 1, HEIGHT, WIDTH), (batch, 2, HEIGHT // 2, WIDTH // 2))
    y, uv = (torch.from_numpy(random.normal(0, 120, shape)).float() for shape in shapes)
    return y, uv


@torch.no_grad()
def test_the_inverse_inverts_each_size() -> None:
    """In maps where they are mixed; with another map other blocks come out, and only where the maps differ."""
    y, uv = random_residual(3, 1)
    wanted = random_sizes(3, 2)
    for codec, limit in ((FrameCodec(config_named("tiny")), 2e-3), (plain_model().codec, 0.3)):
        transform = codec.transform
        latents: torch.Tensor = transform(y, uv, wanted)
        for size in range(3):
            here = (wanted == size).expand_as(latents)
            assert torch.allclose(latents[here], transform(y, uv, torch.full_like(wanted, size))[here], atol=1e-2)
        if codec.exact:
            latents = latents.round()
        dy, duv = transform.inverse(latents, wanted)
        assert float((dy / LATENT_UNIT - y).abs().max()) < limit
        assert float((duv / LATENT_UNIT - uv).abs().max()) < limit
        other = (wanted + 1) % 3 * (wanted > 0)
        wrong, same = transform.inverse(latents, other)
        assert torch.equal(same, duv)
        differs = F.avg_pool2d(((wrong - dy).abs() > 50).float(), 16)
        assert bool((differs[other != wanted] > 0.5).all())
        assert not bool(differs[other == wanted].any())


def test_the_inverse_is_exact_and_the_same_in_batches() -> None:
    """As `lvc/FORMAT.md` says, in whole numbers; on one picture or on several, with each size or without."""
    transform = tiny_model().codec.transform
    assert not torch.equal(transform.luma_inverse[0], transform.luma_inverse[1])
    random = np.random.default_rng(7)
    shape = (5, 384, HEIGHT // 16, WIDTH // 16)
    latents = torch.from_numpy(random.integers(-LATENT_MAX, LATENT_MAX + 1, shape)).float()
    latents[1:3] = (latents[1:3] / 400).round()
    chosen = random_sizes(5, 8)
    chosen[3] = 2
    chosen[4] = chosen[4] % 2
    with exact_arithmetic():
        y, uv = transform.inverse(latents, chosen)
        for index in range(5):
            at = slice(index, index + 1)
            alone = transform.inverse(latents[at], chosen[at])
            assert torch.equal(alone[0], y[at])
            assert torch.equal(alone[1], uv[at])
    luma = (transform.luma_inverse.double() * 2**14).long()
    chroma = (transform.chroma_inverse.double() * 2**14).long()
    plain = latents[:, transform.inverse_order].long()
    for n, row, col in ((0, 0, 0), (1, 3, 5), (2, 2, 1), (3, 1, 4), (4, 0, 2)):
        z, size = plain[n, :, row, col], int(chosen[n, 0, row, col])
        wanted = [[round(Fraction(int(total), 2**14)) for total in luma[size] @ z[:256]]]
        wanted += [[round(Fraction(int(total), 2**14)) for total in chroma @ z[k : k + 64]] for k in (256, 320)]
        found = [y[n, 0, row * 16 : row * 16 + 16, col * 16 : col * 16 + 16].flatten().tolist()]
        found += [plane[row * 8 : row * 8 + 8, col * 8 : col * 8 + 8].flatten().tolist() for plane in uv[n]]
        assert [[np.float32(value) for value in part] for part in wanted] == found


def test_gradients_reach_the_matrices_of_the_sizes_that_occur() -> None:
    """In training: those of the inverse and of the transform itself, and of no other size."""
    codec = FrameCodec(config_named("tiny"))
    y, uv = random_residual(2, 1)
    wanted = random_sizes(2, 3)
    wanted[wanted == 1] = 2
    dy, duv = codec.transform.inverse(codec.transform(y, uv, wanted), wanted)
    (dy.square().sum() + duv.square().sum()).backward()
    for matrices in (codec.transform.luma, codec.transform.luma_inverse):
        assert matrices.grad is not None
        assert [bool(gradient.any()) for gradient in matrices.grad] == [True, False, True]


def test_gradients_flow_back_where_all_latents_are_zero() -> None:
    """They begin as zeros, and could never become anything else."""
    transform = Transform()
    latents = torch.zeros(2, 384, 4, 6, requires_grad=True)
    wanted = random_sizes(2, 3)
    random = torch.Generator().manual_seed(4)
    total = torch.tensor(0.0)
    for plane in transform.inverse(latents, wanted):
        assert not plane.any()
        total = total + (plane * torch.randn(plane.shape, generator=random)).sum()
    total.backward()
    assert latents.grad is not None
    assert latents.grad.shape == latents.shape
    # the transforms are orthonormal: gradients are as large as what comes in, in every block of every size
    shares = latents.grad.square().mean(1)
    assert float(shares.min()) > 0.5
    assert float(shares.max()) < 2
    with torch.no_grad():
        assert not any(plane.any() for plane in transform.inverse(latents, wanted))


def test_a_new_codec_is_its_transform_alone() -> None:
    """Networks that add to latents or to pictures begin at zero: training starts from what a cosine transform gives."""
    codec = FrameCodec(config_named("tiny"))
    for branch in (codec.intra, codec.inter):
        for layer in (branch.decoder.head, branch.analysis.out):
            parameters = dict(layer.named_parameters())
            assert parameters.keys() == {"weight", "bias"}
            assert not any(bool(each.any()) for each in parameters.values())
