"""The skip map: how it is coded."""

import numpy as np
import pytest

from lvc.model.motion import MotionField
from lvc.model.skip import KINDS, Flags, Kinds, SkipTables, code_skip, kinds_of
from lvc.rangecoder import RangeDecoder, RangeEncoder, learn
from tests.plain_format import PlainDecoder, PlainSkip
from tests.plain_group import block_kinds
from tests.round_trip import Code, all_learn, read_garbage, round_trip

SIZES = ((1, 1), (1, 2), (1, 7), (9, 1), (2, 2), (3, 5), (12, 20), (23, 40))
SHARES = (0.5, 0.0, 1.0, 0.9, 0.0, 0.1, 1.0, 1.0, 0.3)


def maps_of(size: tuple[int, int], seed: int) -> list[Flags]:
    """Pictures of one group: maps of all densities, some like the one before, some in regions."""
    random = np.random.default_rng([*size, seed])
    maps: list[Flags] = []
    for share in SHARES:
        maps.append(random.random(size) < share)
        maps.append(maps[-1] ^ (random.random(size) < 0.05))
    y, x = np.indices(size)
    return [*maps, x > y, x + 1 > y, (x + y) % 2 == 0, (x + y) % 2 == 1]


def coding(size: tuple[int, int]) -> Code[SkipTables]:
    """Of pictures of one group, whose blocks are of all kinds."""
    kinds = kinds_like(size)
    return lambda coder, tables, _, past, wanted: code_skip(coder, tables, kinds, past, wanted)


def kinds_like(size: tuple[int, int]) -> Kinds:
    """Kinds of blocks by chance."""
    return np.random.default_rng(size).integers(0, KINDS, size)


@pytest.mark.parametrize("size", SIZES)
def test_random_maps(size: tuple[int, int]) -> None:
    round_trip(SkipTables, coding(size), maps_of(size, 1))


@pytest.mark.parametrize("size", SIZES)
def test_the_description_says_it_all(size: tuple[int, int]) -> None:
    """A reader written from `lvc/FORMAT.md` alone reads the same."""
    tables = SkipTables()
    plain, past, found, kinds = PlainSkip([table.counts for table in tables.all()]), None, None, kinds_like(size)
    for wanted in maps_of(size, 2):
        encoder = RangeEncoder()
        past = code_skip(encoder, tables, kinds, past, wanted)
        found = plain.read(PlainDecoder(encoder.finish()), kinds.tolist(), found)
        assert found == wanted.astype(int).tolist()
        learn(tables.all(), [encoder.seen])
        plain.adapt()
        assert [table.counts.tolist() for table in tables.all()] == plain.counts


def test_every_table_is_used() -> None:
    """So that the tests above say something of each."""
    assert all_learn(SkipTables, coding((23, 40)), maps_of((23, 40), 3)) == 1 + KINDS * (6 + 5)


@pytest.mark.parametrize("references", [1, 2])
def test_how_blocks_are_predicted(references: int) -> None:
    random = np.random.default_rng(references)
    modes = random.integers(0, 4, (6, 8))
    fields = [
        MotionField(np.zeros((12, 16, 2), np.int64), random.integers(0, 4, (6, 8)).repeat(2, 0).repeat(2, 1))
        for _ in range(references)
    ]
    found = kinds_of(modes, fields)
    assert found.tolist() == block_kinds(modes.tolist(), [field.levels.tolist() for field in fields])
    assert set(found.ravel()) == ({0, 1} if references == 1 else {2, 3, 4})


def test_a_map_of_nothing_is_one_flag() -> None:
    """And the map of the picture before is forgotten with it."""
    size = (23, 40)
    full, empty = np.ones(size, bool), np.zeros(size, bool)
    assert max(round_trip(SkipTables, coding(size), [empty] * 8)) <= 1
    tables = SkipTables()
    again = code_skip(RangeEncoder(), tables, kinds_like(size), full, empty)
    assert not again.any()
    first, second = RangeEncoder(), RangeEncoder()
    for encoder, past in ((first, again), (second, None)):
        code_skip(encoder, SkipTables(), kinds_like(size), past, full)
    assert first.finish() == second.finish()


def test_what_stays_costs_little() -> None:
    """A region that is skipped again and again: under a tenth of a bit per block once the tables have seen it."""
    y, x = np.indices((23, 40))
    region = (y - 11) ** 2 + (x - 20) ** 2 > 60
    code = coding(region.shape)
    sizes = round_trip(SkipTables, code, [region] * 10)
    assert sizes[-1] * 8 < 0.1 * region.size
    mixed = np.random.default_rng(4).permutation(region.ravel()).reshape(region.shape)
    assert sizes[0] < round_trip(SkipTables, code, [mixed])[0]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_garbage_is_a_map_or_an_error(share: float) -> None:
    past = np.random.default_rng(10).random((30, 30)) < share

    def write(encoder: RangeEncoder, random: np.random.Generator, rows: int, cols: int) -> None:
        flags = random.random((rows, cols)) < 0.5
        code_skip(encoder, SkipTables(), kinds_like((rows, cols)), past[:rows, :cols], flags)

    def read(decoder: RangeDecoder, rows: int, cols: int) -> Flags:
        return code_skip(decoder, SkipTables(), kinds_like((rows, cols)), past[:rows, :cols], None)

    def check(found: Flags) -> None:
        assert found.dtype == bool

    read_garbage(write, read, check)
