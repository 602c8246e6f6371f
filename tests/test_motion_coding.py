"""The syntax of motion fields."""

import numpy as np
import pytest

from lvc.encoder.motion_search import (
    VECTOR_MAX,
)
from lvc.encoder.vector_costs import VectorBits, cheaper
from lvc.model.known_vectors import OPTIONS, Ints, Known
from lvc.model.motion import (
    LENGTHS,
    LEVELS,
    SMALL,
    VECTOR_LIMIT,
    MotionField,
    MotionTables,
    _code_vectors,
    code_field,
)
from lvc.model.skip import Flags
from lvc.rangecoder import RangeDecoder, RangeEncoder, learn
from tests.plain_motion import PlainMotion

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


def held(used: Flags, levels: np.ndarray) -> Flags:
    """Where the blocks of a field have a part that uses the reference."""
    rows, cols = used.shape
    result = np.zeros_like(used)
    for level in LEVELS:
        size = 1 << level
        for y, x in np.ndindex(-(-rows // size), -(-cols // size)):
            at = slice(y * size, (y + 1) * size), slice(x * size, (x + 1) * size)
            result[at] |= (levels[at] == level) & used[at].any()
    return result


def round_trip(fields: list[MotionField], used: list[Flags] | None = None) -> list[int]:
    """Write and read pictures of one group, compare, and give their bytes."""
    rows, cols = fields[0].levels.shape
    writing, reading = MotionTables(), MotionTables()
    written = read = None
    sizes = []
    for number, field in enumerate(fields):
        here = None if used is None else used[number]
        sent = np.ones((rows, cols), bool) if here is None else held(here, field.levels)
        encoder = RangeEncoder()
        written = code_field(encoder, writing, rows, cols, written, field, used=here)
        payload = encoder.finish()
        decoder = RangeDecoder(payload)
        read = code_field(decoder, reading, rows, cols, read, None, used=here)
        learn(writing.all(), [encoder.seen])
        learn(reading.all(), [decoder.seen])
        assert np.array_equal(read.vectors[sent], field.vectors[sent])
        assert np.array_equal(read.levels[sent], field.levels[sent])
        assert np.array_equal(written.vectors, read.vectors)
        assert np.array_equal(written.levels, read.levels)
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


def masks_of(size: tuple[int, int], random: np.random.Generator) -> list[Flags]:
    """Which blocks use a reference: all, some, few, none, by the modes of 16x16 blocks or a half of the picture."""
    rows, cols = size
    pairs = [random.random((-(-rows // 2), -(-cols // 2))) < share for share in (1.0, 0.5, 0.9, 0.0, 0.05)]
    return [
        *(flags.repeat(2, 0).repeat(2, 1)[:rows, :cols] for flags in pairs),
        np.indices(size)[1] > cols // 2,
        random.random(size) < 0.3,
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reach", [0, 30, VECTOR_MAX])
@pytest.mark.parametrize("finest", [0.1, 0.8, 1.0])
def test_fields_of_which_a_part_is_used(size: tuple[int, int], reach: int, finest: float) -> None:
    """Vectors and sizes of blocks that use the reference come back as they were."""
    random = np.random.default_rng([*size, reach, 1])
    masks = masks_of(size, random)
    round_trip([blocks(random, *size, reach, finest) for _ in masks], masks)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_not_used_costs_nothing(size: tuple[int, int]) -> None:
    """Of a field that nothing uses there is a shift and no more; what an encoder would send there is left out."""
    random = np.random.default_rng(size)
    nothing = np.zeros(size, bool)
    fields = [blocks(random, *size, VECTOR_MAX, 0.8) for _ in range(4)]
    encoder, tables = RangeEncoder(), MotionTables()
    field = code_field(encoder, tables, *size, fields[0], fields[1], used=nothing)
    assert encoder.bits == pytest.approx(sum(table.bits[SMALL] for table in tables.shift))
    assert np.array_equal(field.levels, np.full(size, LEVELS[0]))
    assert max(round_trip(fields, [nothing] * 4)) <= 4  # one word of the range coder
    for share in (0.1, 0.5):
        used = random.random(size) < share
        other = blocks(random, *size, VECTOR_MAX, 0.8)
        sent = held(used, fields[0].levels)
        mixed = MotionField(
            np.where(sent[..., None], fields[0].vectors, other.vectors), np.where(sent, fields[0].levels, 0)
        )
        payloads = []
        for wanted in (fields[0], mixed):
            encoder = RangeEncoder()
            code_field(encoder, MotionTables(), *size, None, wanted, used=used)
            payloads.append(encoder.finish())
        assert payloads[0] == payloads[1]


def test_vectors_that_are_not_used_are_predicted() -> None:
    """From the neighbours that are, and serve as neighbours themselves."""
    rows, cols = 8, 24
    used = np.indices((rows, cols))[1] < 8
    vectors = np.where(used[..., None], np.array([5, -9]), np.array([300, 400]))
    wanted = MotionField(vectors, np.full((rows, cols), LEVELS[0], np.int64))
    past = MotionField(np.zeros((rows, cols, 2), np.int64), wanted.levels)
    field = code_field(RangeEncoder(), MotionTables(), rows, cols, past, wanted, used=used)
    assert np.array_equal(field.vectors, np.broadcast_to([5, -9], field.vectors.shape))


def test_an_encoder_decides_on_nothing_that_is_not_used() -> None:
    random = np.random.default_rng(2)
    used = random.random((16, 24)) < 0.2
    seen: list[tuple[int, int]] = []

    def choose(y: Ints, x: Ints, size: int, wanted: Ints, known: Known, tables: MotionTables) -> Ints:
        options, saved = cheaper(VectorBits.of(tables), wanted, known)
        assert len(y) == len(x) == len(wanted) == options.shape[1] == saved.shape[1]
        assert len(options) == len(saved) == 3 + OPTIONS
        assert all(used[a : a + size, b : b + size].any() for a, b in zip(y, x, strict=True))
        seen.extend(zip(y, x, strict=True))
        return options[0]

    code_field(RangeEncoder(), MotionTables(), 16, 24, None, blocks(random, 16, 24, 40, 0.9), choose, used)
    assert len(set(seen)) == len(seen) > 10


@pytest.mark.parametrize("many", range(OPTIONS + 1))
def test_what_a_known_vector_saves(many: int) -> None:
    """The encoder is told, for every vector that it may take instead, by how much fewer bits it comes."""
    random = np.random.default_rng(many)
    tables = MotionTables()
    options = np.stack([np.array([[3 * k, -7 * k]]) for k in range(1, OPTIONS + 1)])
    apart = np.abs(options[:many]).max(0, initial=0)
    guess = np.zeros((1, 2), np.int64)
    known = Known(guess, np.array([2]), np.array([many % 2]), options, np.array([many]), apart)

    def bits(vector: Ints) -> float:
        encoder = RangeEncoder()
        _code_vectors(encoder, tables, vector, known)
        return encoder.bits

    for wanted in (random.integers(-200, 200, (1, 2)), options[0], options[-1], known.guess):
        vectors, saved = cheaper(VectorBits.of(tables), wanted, known)
        assert saved.shape == (3 + OPTIONS, 1)
        assert not saved[1 + many : 1 + OPTIONS].any()
        for vector, less in zip([known.guess, *options[:many]], saved[:, 0], strict=False):
            assert bits(wanted) - bits(vector) == pytest.approx(less)
        is_sent = not any((wanted == vector).all() for vector in [known.guess, *options[:many]])
        halves = [np.array([[0, wanted[0, 1]]]), np.array([[wanted[0, 0], 0]])]
        assert np.array_equal(vectors[1 + OPTIONS :], halves)
        for vector, less in zip(halves, saved[1 + OPTIONS :, 0], strict=True):
            assert (bits(wanted) - bits(vector) if is_sent else 0) == pytest.approx(less)


def test_vectors_of_neighbours_are_cheap() -> None:
    """Three motions mixed up, which no median foresees, against as many vectors as there are blocks."""
    random = np.random.default_rng(5)
    few = np.array([[40, -31], [-17, 60], [3, 9]])[random.integers(0, 3, (16, 16))]
    sizes = [
        sum(round_trip([MotionField(vectors.repeat(2, 0).repeat(2, 1), np.ones((32, 32), np.int64))]))
        for vectors in (few, few + random.integers(-30, 31, few.shape))
    ]
    assert sizes[0] < 0.5 * sizes[1]


@pytest.mark.parametrize("size", [(3, 5), (8, 8), (9, 17), (12, 30)])
def test_the_description_says_it_all(size: tuple[int, int]) -> None:
    """A reader written from `lvc/FORMAT.md` alone reads the same."""
    random = np.random.default_rng(size[0])
    tables = MotionTables()
    plain = PlainMotion([table.counts for table in tables.all()])
    past: MotionField | None = None
    masks = [None, *masks_of(size, random), None]
    for index, (reach, finest) in enumerate(((9, 0.6), (400, 0.8), (3, 0.5), (0, 0.3), (60, 1.0)) * 2):
        used = masks[index % len(masks)]
        field = blocks(random, *size, reach, finest)
        before = None if past is None else (past.vectors, past.levels)
        encoder = RangeEncoder()
        past = code_field(encoder, tables, *size, past, field, used=used)
        vectors, levels = plain.read(encoder.finish(), *size, before, None if used is None else used.tolist())
        if used is None:
            past = field
        assert np.array_equal(np.array(vectors), past.vectors)
        assert levels == past.levels.tolist()
        assert [table.counts.tolist() for table in tables.all()] == plain.counts
        learn(tables.all(), [encoder.seen])
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
        used = random.random((rows, cols)) < 0.3 if trial % 3 else None
        try:
            field = code_field(RangeDecoder(payload), MotionTables(), rows, cols, past, None, used=used)
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
