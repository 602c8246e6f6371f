"""Motion compensation against plain integers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lvc.exact import warp
from lvc.exact.product import ACT_MAX
from tests.compiled import both

Ints = npt.NDArray[np.int64]

TAPS = (
    # ITU-T H.265, table 8-11, written down again: eight taps around the sample to the left of the position
    (0, 0, 0, 64, 0, 0, 0, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
# table 8-12, every second row: four taps
CHROMA_TAPS = ((0, 64, 0, 0), (-2, 58, 10, -2), (-4, 54, 16, -2), (-6, 46, 28, -4), (-4, 36, 36, -4))


def half_even(numerator: int, shift: int) -> int:
    low, rest = numerator >> shift, numerator & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    return low + (rest > half or (rest == half and low % 2 == 1))


def interpolated(picture: Ints, y: int, x: int, taps: Sequence[Sequence[int]] = TAPS) -> int:
    """One sample between others of a picture that repeats its border, one rounding at the end.

    Args:
        y, x: in quarters or eighths, as there are filters.
    """
    height, width = picture.shape
    whole, part = len(taps).bit_length() - 1, len(taps) - 1
    before = len(taps[0]) // 2 - 1
    total = 0
    for j, down in enumerate(taps[y & part]):
        row = min(max((y >> whole) + j - before, 0), height - 1)
        for i, across in enumerate(taps[x & part]):
            total += down * across * int(picture[row, min(max((x >> whole) + i - before, 0), width - 1)])
    return min(max(half_even(total, 12), 0), 1023)


def read(planes: torch.Tensor, field: Ints, block: int) -> Ints:
    found: Ints = warp.sample(planes, torch.from_numpy(field), block).numpy().astype(np.int64)
    return found


def expected(picture: Ints, field: Ints, block: int) -> Ints:
    """Prediction of one picture [H, W]; beyond the kept margin every position repeats the outermost one kept."""
    height, width = picture.shape
    result = np.zeros_like(picture)
    for y in range(height):
        for x in range(width):
            v, h = (int(c) for c in field[y // block, x // block])
            row = min(max(y + (v >> 2), warp.FIRST), height + warp.LAST)
            col = min(max(x + (h >> 2), warp.FIRST), width + warp.LAST)
            result[y, x] = interpolated(picture, 4 * row + (v & 3), 4 * col + (h & 3))
    return result


def extremes(random: np.random.Generator, *shape: int) -> Ints:
    return random.choice([0, 1023, 511, 1, 1022], shape)


@pytest.mark.parametrize("block", [4, 8])
@pytest.mark.parametrize("reach", [3, 40, 5000])
def test_prediction_equals_integers(block: int, reach: int) -> None:
    random = np.random.default_rng(reach + block)
    picture = extremes(random, 2, 2, 2 * block, 3 * block)
    field = random.integers(-reach, reach + 1, (2, 2, 3, 2))
    planes = warp.phases(torch.from_numpy(picture).float())
    found = read(planes, field, block)
    for b in range(2):
        for c in range(2):
            assert np.array_equal(found[b, c], expected(picture[b, c], field[b], block))
    if block == warp.BLOCK:
        given, vectors = torch.from_numpy(picture).float(), torch.from_numpy(field)
        assert np.array_equal(warp.compensate(given, vectors).numpy(), found)
        assert np.array_equal(warp.compensate(given[:1], vectors[:1]).numpy(), found[:1])
    alone = read(warp.phases(torch.from_numpy(picture[:1]).float()), field[:1], block)
    assert np.array_equal(alone[0], found[0])


@pytest.mark.parametrize("filters", [warp.LUMA, warp.CHROMA], ids=["luma", "chroma"])
@pytest.mark.parametrize("every", [1, 3])
def test_compiled_it_is_the_same(filters: tuple[warp.Taps, ...], every: int) -> None:
    """All blocks or some of them, by either set of filters, within pictures and far outside."""
    random, block = np.random.default_rng(every), 8 if filters is warp.LUMA else 4
    pictures = torch.from_numpy(extremes(random, 2, 2, 3 * block, 4 * block)).float()
    vectors = torch.from_numpy(random.integers(-300, 301, (24, 2)))
    read = warp.Interpolator(pictures, filters, torch.tensor([True, False]))
    which = slice(None) if every == 1 else torch.arange(0, 24, every)
    found, wanted = both(lambda: read(which, vectors if every == 1 else vectors[::every]))
    assert found.shape == (24 // every, 2, block, block)
    assert torch.equal(found, wanted)


def test_whole_vectors_copy() -> None:
    random = np.random.default_rng(1)
    picture = random.integers(0, 1024, (1, 1, 32, 32))
    planes = warp.phases(torch.from_numpy(picture).float())
    field = np.zeros((1, 4, 4, 2), np.int64)
    assert np.array_equal(read(planes, field, 8), picture)
    field[..., 0], field[..., 1] = 4 * 3, -4 * 5
    assert np.array_equal(read(planes, field, 8)[0, 0, :28, 6:], picture[0, 0, 3:31, 1:27])


def test_far_outside_is_the_border() -> None:
    random = np.random.default_rng(2)
    picture = random.integers(0, 1024, (1, 1, 16, 16))
    planes = warp.phases(torch.from_numpy(picture).float())
    for v, h, want in (
        (-4095, 0, np.broadcast_to(picture[0, 0, :1], (16, 16))),
        (4095 * 4, 0, np.broadcast_to(picture[0, 0, -1:], (16, 16))),
        (0, -4096, np.broadcast_to(picture[0, 0, :, :1], (16, 16))),
        (0, 4096, np.broadcast_to(picture[0, 0, :, -1:], (16, 16))),
        (1 << 40, 1 << 40, np.broadcast_to(picture[0, 0, -1:, -1:], (16, 16))),
    ):
        field = np.full((1, 2, 2, 2), 0, np.int64)
        field[..., 0], field[..., 1] = v, h
        assert np.array_equal(read(planes, field, 8)[0, 0], want)
        only = warp.compensate(torch.from_numpy(picture).float(), torch.from_numpy(field))
        assert np.array_equal(only[0, 0].numpy(), want)


def test_training_path_is_the_same_without_rounding() -> None:
    random = np.random.default_rng(3)
    picture = torch.from_numpy(random.integers(0, 1024, (1, 2, 16, 24))).float()
    free, rounded = warp.phases(picture, rounding=False), warp.phases(picture)
    assert free.shape == rounded.shape == (1, 2, 16, 16 + 25, 24 + 25)
    assert torch.equal(free.round(), rounded)
    assert not torch.equal(free, rounded)


@pytest.mark.parametrize("shift", [5, 6])
@pytest.mark.parametrize("reach", [1, 100, 9000])
def test_features_equal_integers(shift: int, reach: int) -> None:
    random = np.random.default_rng(shift * reach)
    x = random.choice([-ACT_MAX, ACT_MAX, 7, 0, -1], (2, 3, 5, 6))
    field = random.integers(-reach, reach + 1, (2, 5, 6, 2))
    found = warp.warp(torch.from_numpy(x).float(), torch.from_numpy(field), shift).numpy()
    one = 1 << shift
    for b in range(2):
        for r in range(5):
            for c in range(6):
                v, h = (int(n) for n in field[b, r, c])
                rows = [min(max(r + (v >> shift) + k, 0), 4) for k in (0, 1)]
                cols = [min(max(c + (h >> shift) + k, 0), 5) for k in (0, 1)]
                fy, fx = v & (one - 1), h & (one - 1)
                for channel in range(3):
                    a = x[b, channel]
                    total = (one - fy) * ((one - fx) * int(a[rows[0], cols[0]]) + fx * int(a[rows[0], cols[1]]))
                    total += fy * ((one - fx) * int(a[rows[1], cols[0]]) + fx * int(a[rows[1], cols[1]]))
                    assert found[b, channel, r, c] == half_even(total, 2 * shift)


def test_halved_fields() -> None:
    random = np.random.default_rng(4)
    field = random.integers(-4095, 4096, (2, 6, 8, 2))
    found = warp.halve_field(torch.from_numpy(field)).numpy()
    total = field.reshape(2, 3, 2, 4, 2, 2).sum((2, 4))
    assert np.array_equal(found, np.floor((total + 2) / 4))


def test_filters_are_those_of_the_standard() -> None:
    four = list(CHROMA_TAPS)
    four += [row[::-1] for row in four[3:0:-1]]
    assert (TAPS, tuple((0, 0, *row, 0, 0) for row in four[::2])) == warp.LUMA
    bilinear = tuple((0, 64 - 8 * at, 8 * at, 0) for at in range(8))
    assert warp.CHROMA[1] == bilinear
    for found, sharp, soft in zip(warp.CHROMA[0], four, bilinear, strict=True):
        assert sum(found) == 64
        assert all(abs(2 * f - a - b) <= 2 for f, a, b in zip(found, sharp, soft, strict=True))


@pytest.mark.parametrize("filters", [warp.LUMA, warp.CHROMA], ids=["luma", "chroma"])
@pytest.mark.parametrize("reach", [3, 40, 5000])
def test_every_picture_has_its_filters(filters: tuple[warp.Taps, ...], reach: int) -> None:
    random = np.random.default_rng(reach)
    block = 8 if filters is warp.LUMA else 4
    picture = extremes(random, 3, 2, 2 * block, 3 * block)
    field = random.integers(-reach, reach + 1, (3, 2, 3, 2))
    smooth = torch.tensor([False, True, False])
    found = warp.compensate(torch.from_numpy(picture).float(), torch.from_numpy(field), filters, smooth).numpy()
    one = len(filters[0])
    for b in range(3):
        for c in range(2):
            for y in range(2 * block):
                for x in range(3 * block):
                    v, h = (int(each) for each in field[b, y // block, x // block])
                    want = interpolated(picture[b, c], one * y + v, one * x + h, filters[int(smooth[b])])
                    assert found[b, c, y, x] == want


def test_blocks_of_a_picture() -> None:
    picture = torch.arange(2 * 3 * 16 * 24).view(2, 3, 16, 24)
    blocks = warp.to_blocks(picture, 8)
    assert blocks.shape == (2 * 2 * 3, 3, 8, 8)
    assert torch.equal(blocks[6 + 3 + 2], picture[1, :, 8:16, 16:24])
    assert torch.equal(warp.from_blocks(blocks, 2, 3), picture)
