"""The syntax of motion fields, and the search that makes them."""

import numpy as np
import pytest
import torch

from lvc.encoder import motion_search
from lvc.encoder.motion_search import FAST, MEDIUM, SLOW, VECTOR_MAX, SearchEffort
from lvc.exact import warp
from lvc.model.motion import LENGTHS, LEVELS, SMALL, VECTOR_LIMIT, MotionField, MotionTables, code_field
from lvc.rangecoder import RangeDecoder, RangeEncoder
from tests.clips import clip_frames
from tests.plain_format import PlainMotion

SIZES = ((4, 4), (1, 1), (3, 5), (8, 8), (9, 17), (16, 30), (2, 23))


def blocks(random: np.random.Generator, rows: int, cols: int, reach: int, finest: float) -> MotionField:
    """A field with blocks of all sizes, each with a vector of its own."""
    levels = np.full((rows, cols), LEVELS[0], np.int64)
    vectors = np.zeros((rows, cols, 2), np.int64)

    def divide(y: int, x: int, level: int) -> None:
        if y >= rows or x >= cols:
            return
        if level and random.random() < finest:
            half = 1 << (level - 1)
            for dy in (0, half):
                for dx in (0, half):
                    divide(y + dy, x + dx, level - 1)
            return
        size = 1 << level
        levels[y : y + size, x : x + size] = level
        vectors[y : y + size, x : x + size] = random.integers(-reach, reach + 1, 2)

    for y in range(0, rows, 8):
        for x in range(0, cols, 8):
            divide(y, x, 3)
    return MotionField(vectors, levels)


def smooth(rows: int, cols: int) -> MotionField:
    """Motion that changes slowly, as of a zoom, in 16x16 blocks."""
    y, x = np.mgrid[:rows, :cols] // 2
    return MotionField(np.stack([y - 3, 2 * x - 5], -1), np.ones((rows, cols), np.int64))


def round_trip(fields: list[MotionField]) -> list[int]:
    """Write and read pictures of one group, compare, and give their bytes."""
    rows, cols = fields[0].levels.shape
    writing, reading = MotionTables(), MotionTables()
    written = read = None
    sizes = []
    for field in fields:
        encoder = RangeEncoder()
        written = code_field(encoder, writing, rows, cols, written, field)
        payload = encoder.finish()
        read = code_field(RangeDecoder(payload), reading, rows, cols, read, None)
        writing.adapt()
        reading.adapt()
        assert np.array_equal(read.vectors, field.vectors)
        assert np.array_equal(written.vectors, field.vectors)
        assert np.array_equal(read.levels, field.levels)
        sizes.append(len(payload))
    for a, b in zip(writing.all(), reading.all(), strict=True):
        assert np.array_equal(a.counts, b.counts)
    return sizes


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reach", [0, 30, VECTOR_MAX])
@pytest.mark.parametrize("finest", [0.1, 0.8, 1.0])
def test_random_fields(size: tuple[int, int], reach: int, finest: float) -> None:
    random = np.random.default_rng([*size, reach])
    round_trip([blocks(random, *size, reach, finest) for _ in range(4)])


@pytest.mark.parametrize("size", [(3, 5), (8, 8), (9, 17), (12, 30)])
def test_the_description_says_it_all(size: tuple[int, int]) -> None:
    """A reader written from `lvc/FORMAT.md` alone reads the same."""
    random = np.random.default_rng(size[0])
    tables = MotionTables()
    plain, past = PlainMotion([table.counts for table in tables.all()]), None
    for reach, finest in ((9, 0.6), (400, 0.8), (3, 0.5), (0, 0.3), (60, 1.0)):
        field = blocks(random, *size, reach, finest)
        before = None if past is None else (past.vectors, past.levels)
        encoder = RangeEncoder()
        past = code_field(encoder, tables, *size, past, field)
        vectors, levels = plain.read(encoder.finish(), *size, before)
        assert np.array_equal(np.array(vectors), field.vectors)
        assert levels == field.levels.tolist()
        tables.adapt()
        plain.adapt()


def test_the_largest_vectors() -> None:
    """Differences of twice what the search may find have a code, too."""
    assert 2 * VECTOR_MAX <= SMALL + (1 << LENGTHS) - 1
    rows, cols = 2, 6
    vectors = np.full((rows, cols, 2), VECTOR_MAX, np.int64)
    vectors[::2] *= -1
    vectors[:, ::3, 1] *= -1
    levels = np.zeros((rows, cols), np.int64)
    small = np.zeros_like(vectors)
    small[0, 0], small[0, 1], small[1, 3] = (24, -24), (25, -25), (-26, 1)
    round_trip([MotionField(vectors, levels), MotionField(small, levels), MotionField(-vectors, levels)])


@pytest.mark.parametrize("size", SIZES)
def test_smooth_fields(size: tuple[int, int]) -> None:
    field = smooth(*size)
    sizes = round_trip([field] * 4)
    assert sizes[3] <= sizes[0]


def test_neighbours_that_agree_cost_less() -> None:
    """The same vectors of 16x16 blocks, in regions and mixed up."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:16, :16]
    regions = np.stack([y // 8 * 3, x // 4 * 4 - 9], -1)
    mixed = random.permutation(regions.reshape(-1, 2)).reshape(regions.shape)
    sizes = [
        sum(round_trip([MotionField(vectors.repeat(2, 0).repeat(2, 1), np.ones((32, 32), np.int64))]))
        for vectors in (regions, mixed)
    ]
    assert sizes[0] < 0.7 * sizes[1]


@pytest.mark.parametrize("vector", [(0, 0), (7, -90)])
def test_what_does_not_change_costs_nothing(vector: tuple[int, int]) -> None:
    """Still or in steady motion: under 0.001 bit per pixel once the tables have seen a few pictures."""
    rows, cols = 352 // 8, 640 // 8
    vectors = np.broadcast_to(np.array(vector, np.int64), (rows, cols, 2)).copy()
    field = MotionField(vectors, np.full((rows, cols), LEVELS[0], np.int64))
    sizes = round_trip([field] * 8)
    assert max(sizes[4:]) * 8 / (352 * 640) < 0.001
    assert sizes[0] * 8 / (352 * 640) < 0.01


def test_garbage_is_limited() -> None:
    """Any bytes give a field within the limits, or a FormatError."""
    from lvc.errors import FormatError

    random = np.random.default_rng(9)
    read = 0
    for trial in range(150):
        rows, cols = (int(n) for n in random.integers(1, 20, 2))
        payload = random.bytes(int(random.integers(0, 300))) if trial % 5 else b"\xff" * 50
        past = blocks(random, rows, cols, VECTOR_LIMIT, 0.5) if trial % 2 else None
        try:
            field = code_field(RangeDecoder(payload), MotionTables(), rows, cols, past, None)
        except FormatError:
            continue
        read += 1
        assert field.vectors.shape == (rows, cols, 2)
        assert np.abs(field.vectors).max() <= VECTOR_LIMIT
        assert 0 <= field.levels.min() <= field.levels.max() <= LEVELS[0]
        sizes = 1 << field.levels  # each block of a level is whole
        y, x = np.mgrid[:rows, :cols]
        corner = field.vectors[y // sizes * sizes, x // sizes * sizes]
        assert np.array_equal(corner, field.vectors)
    assert 0 < read < 150


def luma(frames: int = 1, height: int = 160, width: int = 256) -> torch.Tensor:
    """Texture, 10-bit."""
    frame = next(iter(clip_frames("static", width, height, frames, bit_depth=10)))
    return torch.from_numpy(frame.planes[0].astype(np.float32))[None, None]


def found_by(
    target: torch.Tensor, reference: torch.Tensor, effort: SearchEffort, previous: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    quality = torch.full((len(target),), 60.0)
    return motion_search.search(target, reference, warp.phases(reference), previous, quality, effort)


@pytest.mark.parametrize("effort", [FAST, MEDIUM, SLOW])
@pytest.mark.parametrize("vector", [(0, 0), (12, -20), (5, 2), (-3, 7), (-80, 60), (1, 41)])
def test_search_finds_a_shift(effort: SearchEffort, vector: tuple[int, int]) -> None:
    """Whole and quarter samples; away from the border, where the reference has nothing to show."""
    reference = luma()
    rows, cols = reference.shape[2] // 8, reference.shape[3] // 8
    true = torch.tensor(vector).expand(1, rows, cols, 2)
    target = warp.sample(warp.phases(reference), true, 8)
    field, levels = found_by(target, reference, effort)
    assert field.shape == (1, rows, cols, 2)
    # the fast preset tries four directions only and may end a quarter sample beside
    away = (field - true).abs().amax(-1)[0, 4:-4, 4:-4]
    assert float((away <= (1 if effort is FAST else 0)).float().mean()) > 0.95
    predicted = warp.sample(warp.phases(reference), field, 8)
    assert float((predicted - target).abs()[..., 32:-32, 32:-32].mean()) < (3 if effort is FAST else 0.5)
    assert float(levels.float().mean()) > 1.5


def test_search_separates_two_motions() -> None:
    reference = luma()
    rows, cols = reference.shape[2] // 8, reference.shape[3] // 8
    true = torch.zeros(1, rows, cols, 2, dtype=torch.int64)
    true[:, :, cols // 2 :] = torch.tensor([8, -10])
    target = warp.sample(warp.phases(reference), true, 8)
    field, levels = found_by(target, reference, MEDIUM)
    assert float((field == true).all(-1)[0, 2:-2, 2:-2].float().mean()) > 0.9
    assert float(levels[0, :, cols // 2 - 1].float().mean()) <= float(levels.float().mean())


def test_search_of_a_batch_is_the_search_of_each() -> None:
    reference = torch.cat([luma(), luma().flip(3)])
    target = torch.cat([reference[:1].roll((3, 5), (2, 3)), reference[1:].roll((-4, 2), (2, 3))])
    previous = torch.zeros(2, 20, 32, 2, dtype=torch.int64)
    field, levels = found_by(target, reference, MEDIUM, previous)
    for index in range(2):
        at = slice(index, index + 1)
        alone = found_by(target[at], reference[at], MEDIUM, previous[at])
        assert torch.equal(alone[0], field[at])
        assert torch.equal(alone[1], levels[at])


@pytest.mark.parametrize("size", [(32, 32), (32, 64), (96, 32), (160, 224)])
@pytest.mark.parametrize("effort", [FAST, MEDIUM, SLOW, SearchEffort(variable=False)])
def test_what_search_finds_can_be_coded(size: tuple[int, int], effort: SearchEffort) -> None:
    random = np.random.default_rng(5)
    reference = luma(height=size[0], width=size[1])
    target = reference.roll((2, 3), (2, 3)) + torch.from_numpy(random.normal(0, 30, reference.shape)).float()
    field, levels = found_by(target.round().clamp(0, 1023), reference, effort)
    assert int(field.abs().max()) <= VECTOR_LIMIT
    wanted = MotionField(field[0].numpy(), levels[0].numpy())
    encoder = RangeEncoder()
    rows, cols = wanted.levels.shape
    code_field(encoder, MotionTables(), rows, cols, None, wanted)
    read = code_field(RangeDecoder(encoder.finish()), MotionTables(), rows, cols, None, None)
    assert np.array_equal(read.vectors, wanted.vectors)
    assert np.array_equal(read.levels, wanted.levels)


def test_noise_on_a_still_picture_is_no_motion() -> None:
    random = np.random.default_rng(6)
    reference = luma()
    target = (reference + torch.from_numpy(random.normal(0, 6, reference.shape)).float()).round().clamp(0, 1023)
    field, levels = found_by(target, reference, MEDIUM)
    assert float((field == 0).float().mean()) > 0.99
    assert float((levels == 3).float().mean()) > 0.9
