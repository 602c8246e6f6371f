"""Transforms of three sizes: how the map is coded, what the transforms do, and which size the encoder takes."""

import functools
import io
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lvc.container import GopChunk, Reader
from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream
from lvc.encoder.block_choice import Blocks, choose_blocks
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model import Model, sizes
from lvc.model.codec import FrameCodec, Picture, Prediction
from lvc.model.config import config_named
from lvc.model.modes import BOTH
from lvc.model.networks import size_planes
from lvc.model.sizes import Sizes, SizeTables, code_sizes
from lvc.model.skip import Flags
from lvc.model.transform import BANDS, LATENT_MAX, LATENT_UNIT, Transform, dct_matrix, split_dct
from lvc.model.weights import Statistics, pack, unpack
from lvc.rangecoder import RangeDecoder, RangeEncoder
from lvc.video import Frame, VideoInfo
from tests.between import always_between
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import plain_model, small_books, tiny_codec, tiny_model
from tests.plain_format import PlainDecoder, PlainGroup, PlainSizes
from tests.round_trip import Code, all_learn, read_garbage, round_trip

SHAPES = ((1, 1), (1, 2), (1, 7), (9, 1), (2, 2), (3, 5), (12, 20), (23, 40))
SHARES = ((0.5, 0.3, 0.2), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0.1, 0.1, 0.8), (0.9, 0.05, 0.05), (0, 0.5, 0.5))
WIDTH, HEIGHT = 96, 64


def maps_of(shape: tuple[int, int], seed: int) -> list[Sizes]:
    """Pictures of one group: mixed up, all the same, in regions."""
    random = np.random.default_rng([*shape, seed])
    maps: list[Sizes] = [random.choice(3, shape, p=share) for share in SHARES]
    y, x = np.indices(shape)
    return [*maps, (y + x) % 3, y % 2 * 2, x % 2, np.where(x > y, 2, 0), np.where(x > y, 0, 1)]


def skips_of(shape: tuple[int, int], seed: int, count: int) -> list[Flags]:
    """Skip maps of these pictures: nothing, some, nearly all, all."""
    random = np.random.default_rng([*shape, seed, 1])
    return [random.random(shape) < (0, 0.4, 0.9, 0.2, 1)[number % 5] for number in range(count)]


def coding(intra: bool, skips: list[Flags]) -> Code[SizeTables]:
    """Of pictures of one group that have these skip maps."""
    return lambda coder, tables, number, _, wanted: code_sizes(coder, tables, intra, skips[number], wanted)


def without(maps: list[Sizes], skips: list[Flags]) -> list[Sizes]:
    """The maps as they come back: 0 where a block is skipped."""
    return [np.where(skip, 0, wanted) for wanted, skip in zip(maps, skips, strict=True)]


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_random_maps(shape: tuple[int, int], intra: bool) -> None:
    maps = maps_of(shape, 1)
    nothing = [np.zeros(shape, bool)] * len(maps)
    round_trip(SizeTables, coding(intra, nothing), maps)
    skips = skips_of(shape, 1, len(maps))
    round_trip(SizeTables, coding(intra, skips), without(maps, skips))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_description_says_it_all(shape: tuple[int, int]) -> None:
    """A reader written from `lvc/FORMAT.md` alone reads the same and learns the same, in groups of both kinds."""
    tables = SizeTables()
    for index, table in enumerate(tables.all()):
        table.counts = table.counts + index
    plain = PlainSizes([table.counts for table in tables.all()])
    maps = maps_of(shape, 2)
    for number, (wanted, skip) in enumerate(zip(maps, skips_of(shape, 2, len(maps)), strict=True)):
        intra = number % 3 == 0
        encoder = RangeEncoder()
        written = code_sizes(encoder, tables, intra, skip, wanted)
        found = plain.read(PlainDecoder(encoder.finish()), skip.astype(int).tolist(), intra)
        assert found == written.tolist() == np.where(skip, 0, wanted).tolist()
        tables.adapt()
        plain.adapt()
        assert [table.counts.tolist() for table in tables.all()] == plain.counts


def test_every_table_is_used() -> None:
    """In pictures of its kind, and in no other."""
    maps = maps_of((23, 40), 3)
    nothing = [np.zeros((23, 40), bool)] * len(maps)

    def both(coder: Any, tables: SizeTables, number: int, past: Sizes | None, wanted: Sizes | None) -> Sizes:
        for intra in (True, False):
            result = coding(intra, nothing)(coder, tables, number, past, wanted)
        return result

    assert all_learn(SizeTables, both, maps) == 22
    for intra in (True, False):
        tables, start = SizeTables(), SizeTables()
        for number, wanted in enumerate(maps):
            coding(intra, nothing)(RangeEncoder(), tables, number, None, wanted)
            tables.adapt()
        for table, before in zip(tables.kinds[intra], start.kinds[intra], strict=True):
            assert np.array_equal(table.counts, before.counts)


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("size", [0, 1, 2])
def test_what_is_always_the_same_costs_little(size: int, intra: bool) -> None:
    """Under a twentieth of a bit per block once the tables have seen it."""
    shape = (23, 40)
    wanted, nothing = np.full(shape, size), [np.zeros(shape, bool)] * 10
    assert round_trip(SizeTables, coding(intra, nothing), [wanted] * 10)[-1] * 8 < 0.05 * wanted.size
    tables, bits = SizeTables(), []
    for _ in range(10):
        encoder = RangeEncoder()
        code_sizes(encoder, tables, intra, nothing[0], wanted)
        bits.append(encoder.bits)
        tables.adapt()
    assert bits[-1] < 0.05 * wanted.size
    assert bits[-1] < 0.1 * bits[0]


def test_regions_cost_less() -> None:
    y, x = np.indices((23, 40))
    regions = np.where((y - 11) ** 2 + (x - 20) ** 2 > 60, 0, np.where(x > 20, 2, 1))
    mixed = np.random.default_rng(4).permutation(regions.ravel()).reshape(regions.shape)
    nothing = [np.zeros(regions.shape, bool)]
    for intra in (True, False):
        costs = [round_trip(SizeTables, coding(intra, nothing), [wanted])[0] for wanted in (regions, mixed)]
        assert costs[0] < 0.85 * costs[1]


def test_skipped_blocks_cost_nothing() -> None:
    """And what an encoder would say of them is not said."""
    random = np.random.default_rng(5)
    shape = (12, 20)
    first, second = (random.integers(0, 3, shape) for _ in range(2))
    for share in (0.0, 0.5, 1.0):
        skip = random.random(shape) < share
        payloads = []
        for wanted in (first, np.where(skip, second, first)):
            encoder = RangeEncoder()
            code_sizes(encoder, SizeTables(), False, skip, wanted)
            payloads.append(encoder.finish())
        assert payloads[0] == payloads[1]
        assert (payloads[0] == b"") == (share == 1)


@pytest.mark.parametrize("intra", [True, False])
def test_garbage_is_a_map_or_an_error(intra: bool) -> None:
    skip = np.random.default_rng(6).random((30, 30)) < (0 if intra else 0.3)

    def write(encoder: RangeEncoder, random: np.random.Generator, rows: int, cols: int) -> None:
        code_sizes(encoder, SizeTables(), intra, skip[:rows, :cols], random.integers(0, 3, (rows, cols)))

    def read(decoder: RangeDecoder, rows: int, cols: int) -> Sizes:
        return code_sizes(decoder, SizeTables(), intra, skip[:rows, :cols], None)

    def check(found: Sizes) -> None:
        assert 0 <= found.min() <= found.max() <= 2
        assert not found[skip[: found.shape[0], : found.shape[1]]].any()

    read_garbage(write, read, check)


# -- the transforms -------------------------------------------------------------------------------------------------


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


def random_sizes(batch: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 3, (batch, 1, HEIGHT // 16, WIDTH // 16))).float()


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


def test_planes_tell_the_sizes() -> None:
    chosen = torch.tensor([[0.0, 1, 2], [2, 1, 0]])[None, None]
    planes = size_planes(chosen)
    assert planes[0, 0].tolist() == [[0, 128, 0], [0, 128, 0]]
    assert planes[0, 1].tolist() == [[0, 0, 128], [128, 0, 0]]


def test_the_matrices_of_each_size_are_packed() -> None:
    codec = tiny_codec()
    with torch.no_grad():
        for size in range(3):
            codec.transform.luma_inverse[size, 5, 7] += (size + 1) / 2**10
    codec.snap()
    found = unpack(pack(codec, small_books(), {}), "sizes").codec
    assert torch.equal(found.transform.luma_inverse, codec.transform.luma_inverse)
    with exact_arithmetic():
        for size in range(3):
            latents = torch.zeros(1, 384, 1, 1)
            latents[0, found.transform.inverse_order[7]] = 2**14
            y, _ = found.transform.inverse(latents, torch.full((1, 1, 1, 1), float(size)))
            expected = (codec.transform.luma_inverse[size, :, 7] * 2**14).round().view(16, 16)
            assert torch.equal(y[0, 0], expected)


# -- which size is chosen -------------------------------------------------------------------------------------------


def flat_prediction(quality: float, intra: bool = False, batch: int = 1) -> Prediction:
    """Mid-grey; the choice looks at nothing but the difference to it, and the quality."""
    codec = plain_model().codec
    nothing = codec.nothing(batch, (HEIGHT, WIDTH), torch.device("cpu"))
    with exact_arithmetic():
        return codec.predict(nothing, torch.full((batch,), quality), intra=intra)


def text(seed: int = 1) -> np.ndarray:
    """Strokes of a sample's width on nothing, [HEIGHT, WIDTH]: a few in each block, as a residual of letters."""
    random = np.random.default_rng(seed)
    plane = np.zeros((HEIGHT, WIDTH))
    for y, x in np.ndindex(HEIGHT // 16, WIDTH // 16):
        row, col = 16 * y + 4 * random.integers(0, 4), 16 * x + 4 * random.integers(0, 4)
        plane[row : row + 3, col + 1] = 260
        plane[row + 2, col : col + 4] = -260
    return plane


def gradient() -> np.ndarray:
    """A slow wave, [HEIGHT, WIDTH]: one whole period on 64 samples."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    wave: np.ndarray = 150 * np.cos(2 * np.pi * (y + 0.5 * x) / 64)
    return wave


def tiles(seed: int = 1) -> np.ndarray:
    """A few frequencies of each 8x8 block, [HEIGHT, WIDTH]."""
    random = np.random.default_rng(seed)
    cosines = dct_matrix(8).numpy()
    plane = np.zeros((HEIGHT, WIDTH))
    for y, x in np.ndindex(HEIGHT // 8, WIDTH // 8):
        v, h = random.integers(2, 7, 2)
        plane[8 * y : 8 * y + 8, 8 * x : 8 * x + 8] = 700 * np.outer(cosines[v], cosines[h])
    return plane


def as_picture(residual: np.ndarray) -> Picture:
    luma = torch.from_numpy(residual).float()[None, None] + 512
    return Picture(luma, torch.full((1, 2, HEIGHT // 2, WIDTH // 2), 512.0))


def chosen(prediction: Prediction, target: Picture, count: int = 3) -> Blocks:
    is_whole = None if prediction.intra else torch.ones(len(target.y), HEIGHT // 8, WIDTH // 8, dtype=torch.bool)
    with exact_arithmetic():
        blocks = choose_blocks(plain_model().codec, prediction, is_whole, target, count)
    for found in (blocks.skip, blocks.sizes):
        assert found.shape == (len(target.y), 1, HEIGHT // 16, WIDTH // 16)
    assert bool(((blocks.skip == 0) | (blocks.skip == 1)).all())
    assert bool(((blocks.sizes == 0) | (blocks.sizes == 1) | (blocks.sizes == 2)).all())
    assert not bool((blocks.sizes * blocks.skip).any())
    missed = plain_model().codec.transformed(prediction, target, blocks.sizes)
    assert torch.allclose(blocks.missed * (1 - blocks.skip), missed * (1 - blocks.skip), atol=1e-2)
    return blocks


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("quality", [40.0, 60.0, 80.0])
def test_sharp_things_are_cut_and_smooth_ones_are_not(quality: float, intra: bool) -> None:
    prediction = flat_prediction(quality, intra)
    for size, residual in enumerate((gradient(), tiles(), text())):
        blocks = chosen(prediction, as_picture(residual))
        assert not bool(blocks.skip.any())
        assert bool((blocks.sizes == size).all())
    for count in (1, 2):
        assert int(chosen(prediction, as_picture(text()), count).sizes.max()) == count - 1


def test_the_choice_is_made_block_by_block() -> None:
    columns = np.arange(WIDTH) // 16
    little = np.random.default_rng(4).normal(0, 4, (HEIGHT, WIDTH))
    residual = np.where(columns < 2, text(), np.where(columns < 4, gradient(), little))
    blocks = chosen(flat_prediction(60.0), as_picture(residual))
    for at, skip, size in ((slice(0, 2), 0, 2), (slice(2, 4), 0, 0), (slice(4, 6), 1, 0)):
        assert bool((blocks.skip[..., at] == skip).all())
        assert bool((blocks.sizes[..., at] == size).all())
    intra = chosen(flat_prediction(60.0, intra=True), as_picture(residual))
    assert not bool(intra.skip.any())
    assert torch.equal(intra.sizes[..., :4], blocks.sizes[..., :4])


def test_the_smallest_lagrangian_is_chosen() -> None:
    """Of latents made at random in one of the transforms, sparse, that one: what another needs is far more."""
    codec, random = plain_model().codec, np.random.default_rng(3)
    wanted = random_sizes(1, 4)
    latents = torch.from_numpy(random.normal(0, 4000, (1, 384, HEIGHT // 16, WIDTH // 16))).float()
    latents = latents * torch.from_numpy(random.random(latents.shape) < 0.04)
    latents[:, :24] = 0
    y, _ = codec.transform.inverse(latents.round(), wanted)
    target = as_picture((y / LATENT_UNIT)[0, 0].double().numpy())
    blocks = chosen(flat_prediction(60.0, intra=True), target)
    assert torch.equal(blocks.sizes, wanted)


def test_the_choice_for_a_batch_is_the_choice_for_each() -> None:
    columns = np.arange(WIDTH) // 16
    residuals = [text(2), gradient(), np.where(columns % 2, text(3), 0)]
    parts = [flat_prediction(quality) for quality in (30.0, 60.0, 90.0)]
    targets = [as_picture(residual) for residual in residuals]
    both = replace(flat_prediction(60.0, batch=3), quality=torch.cat([part.quality for part in parts]))
    found = chosen(both, Picture(*(torch.cat(planes) for planes in zip(*targets, strict=True))))
    for index, (part, target) in enumerate(zip(parts, targets, strict=True)):
        alone = chosen(part, target)
        assert torch.equal(found.skip[index : index + 1], alone.skip)
        assert torch.equal(found.sizes[index : index + 1], alone.sizes)


# -- files ----------------------------------------------------------------------------------------------------------


class Mixed(FrameList):
    """A source: from left to right a smooth wave, texture, tiles and letters; all of it moves or changes."""

    def __init__(self, frames: int = 6) -> None:
        self.info: VideoInfo = clip_info(WIDTH, HEIGHT, frames)
        self.frames = []
        zones = np.array([0, 1, 1, 2, 3, 3])[np.arange(WIDTH) // 16]
        for t, frame in enumerate(clip_frames("pan", WIDTH, HEIGHT, frames)):
            wave, letters = np.roll(gradient(), 3 * t, 0), np.roll(text(1 + t // 3), (t, 2 * t), (0, 1))
            parts = (128 + wave / 4, frame.planes[0], 128 + tiles(t // 2) / 4, 128 + letters / 4)
            luma = np.select([zones == number for number in range(4)], parts)
            planes = [np.rint(luma).clip(0, 255).astype(np.uint16), *frame.planes[1:]]
            self.frames.append(Frame(planes, t, 1))


@functools.cache
def model_with_counts() -> Model:
    """The tiny model with counts of its own for each table of block maps and motion."""
    start = small_books()
    motion = [[counts + 4 * kind + i for i, counts in enumerate(rows)] for kind, rows in enumerate(start.motion)]
    skip = [counts + 3 * index + np.array([0, 5]) for index, counts in enumerate(start.skip)]
    cut = [counts + 2 * index + np.array([0, 5, 9]) for index, counts in enumerate(start.sizes)]
    codec = tiny_codec()
    codec.snap()
    return unpack(pack(codec, replace(start, motion=motion, skip=skip, sizes=cut), {}), "counts")


def encode(**settings: Any) -> bytes:
    sink = io.BytesIO()
    settings = {"preset": "fast", "quality": 70, **settings}
    encode_stream(Mixed(), sink, model=model_with_counts(), settings=EncoderSettings(**settings))
    return sink.getvalue()


def decode(data: bytes) -> list[Frame]:
    """With all checksums."""
    items = Decoder(io.BytesIO(data), load_model=lambda _: model_with_counts())
    return [item for item in items if isinstance(item, Frame)]


def statistics_of(statistics: Statistics, kinds: list[int]) -> PlainGroup:
    return PlainGroup(statistics.motion, statistics.skip, statistics.sizes, kinds)


@pytest.mark.parametrize("kinds", [[0, 1, 1, 1, 1, 1], [0, 2, 2, 2, 1, 1]])
def test_files(kinds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the encoder wrote is what the decoder and the plain reader see, in pictures of all kinds and all sizes."""
    if 2 in kinds:
        always_between(monkeypatch)
    data = encode()
    (group,) = (item for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk))
    assert [record.kind for record in group.gop.frames] == kinds
    seen: list[Sizes] = []
    original = sizes.code_sizes

    def watched(*arguments: Any) -> Sizes:
        seen.append(original(*arguments))
        return seen[-1]

    monkeypatch.setattr(sizes, "code_sizes", watched)
    assert len(decode(data)) == 6
    plain = statistics_of(model_with_counts().statistics, kinds)
    pictures = list(plain.read([record.payload for record in group.gop.frames], HEIGHT // 16, WIDTH // 16))
    assert sorted(picture.position for picture in pictures) == list(range(6))
    assert [picture.sizes.tolist() for picture in pictures] == [found.tolist() for found in seen]
    counts = {kind: np.zeros(3, int) for kind in kinds}
    for picture in pictures:
        coded = picture.sizes[picture.flags == 0]
        counts[kinds[picture.position]] += np.bincount(coded, minlength=3)
        assert not picture.sizes[picture.flags == 1].any()
    assert [picture.modes is None for picture in pictures] == [not picture.references for picture in pictures]
    named = [picture.modes for picture in pictures if picture.modes is not None and len(picture.references) == 2]
    assert len(named) == kinds.count(2)
    assert all((modes != BOTH).any() for modes in named)  # of such blocks one field has nothing to say
    assert min(counts[0]) > 0
    assert min(sum(counts.values()) - counts[0]) > 0


def test_without_small_transforms() -> None:
    """Maps of nothing but zeros: other bytes, and a file as any other."""
    data, other = encode(), encode(ablate=frozenset({"nosizes"}))
    assert data != other
    assert len(decode(other)) == 6
    (group,) = (item for item in Reader(io.BytesIO(other)) if isinstance(item, GopChunk))
    records = group.gop.frames
    plain = statistics_of(model_with_counts().statistics, [record.kind for record in records])
    pictures = list(plain.read([record.payload for record in records], HEIGHT // 16, WIDTH // 16))
    assert len(pictures) == 6
    assert not any(picture.sizes.any() for picture in pictures)


def test_small_transforms_pay_for_letters() -> None:
    """Where all there is are letters: fewer bytes at no more distortion, whatever the networks are worth."""
    bits, errors = [], []
    for ablate in (frozenset[str](), frozenset({"nosizes"})):
        sink = io.BytesIO()
        source = Mixed(1)
        luma = (128 + text(5) / 4).clip(0, 255).astype(np.uint16)
        source.frames = [Frame([luma, *(np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint16),) * 2], 0, 1)]
        result = encode_stream(
            source, sink, model=plain_model(), settings=EncoderSettings(quality=60, preset="fast", ablate=ablate)
        )
        items = Decoder(io.BytesIO(sink.getvalue()), load_model=lambda _: plain_model())
        (frame,) = (item for item in items if isinstance(item, Frame))
        bits.append(result.estimated_bits)
        errors.append(float(np.square(frame.planes[0].astype(float) - luma).mean()))
    psnr = [10 * math.log10(255**2 / error) for error in errors]
    assert bits[0] < bits[1]
    assert psnr[0] > psnr[1] - 0.1
