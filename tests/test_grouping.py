"""What is sorted before it is coded: symbols by their tables, blocks by their rounds; and differences of vectors."""

import numpy as np
import numpy.typing as npt
import pytest

from lvc.kernels import vectors
from lvc.model.known_vectors import OPTIONS
from lvc.model.motion import _ROUND_OF, LENGTHS, ROUNDS, SMALL, MotionTables, _code_difference
from lvc.rangecoder import RangeDecoder, RangeEncoder, Symbols, Table, code_by, groups

Ints = npt.NDArray[np.int64]
COUNT = 5
"""Keys, or tables."""


def keys_of(count: int, seed: int, least: int = -2) -> Ints:
    """Some negative ones, none that is 1."""
    keys = np.random.default_rng([count, seed]).integers(least, COUNT, count)
    return np.asarray(np.where(keys == 1, least, keys))


@pytest.mark.parametrize("count", [0, 1, 7, 400])
@pytest.mark.parametrize("seed", range(3))
def test_groups(count: int, seed: int) -> None:
    """In order; one is empty, and what is negative is in none."""
    keys = keys_of(count, seed)
    found = groups(keys, COUNT)
    assert [each.tolist() for each in found] == [[n for n in range(count) if keys[n] == key] for key in range(COUNT)]
    assert len(found[1]) == 0
    if count == 400:
        assert sum(map(len, found)) < count
        assert min(map(len, found[2:])) > 0


def test_groups_of_nothing() -> None:
    assert [each.tolist() for each in groups(np.full(9, -1), 3)] == [[], [], []]
    assert groups(np.full(4, -3), 0) == []


def test_one_group() -> None:
    (found,) = groups(np.zeros(6, np.int64), 1)
    assert found.tolist() == [0, 1, 2, 3, 4, 5]


def tables() -> list[Table]:
    """Different ones, none of which goes without the other symbols."""
    return [Table(np.roll([900, 40, 20, 5], number)) for number in range(COUNT)]


@pytest.mark.parametrize("count", [0, 1, 7, 400])
@pytest.mark.parametrize("least", [-3, 0], ids=["some", "all"])
def test_symbols_come_back(least: int, count: int) -> None:
    """What is not coded is 0."""
    keys, values = keys_of(count, 4, least), np.random.default_rng(count).integers(1, 4, count)
    wanted = np.where(keys < 0, 0, values)
    encoder = RangeEncoder()
    assert np.array_equal(code_by(encoder.code, tables(), keys, values), wanted)
    assert np.array_equal(code_by(RangeDecoder(encoder.finish()).code, tables(), keys, None), wanted)


@pytest.mark.parametrize("keys", [[3, -1, 0, 3, 0, 0, -2, 4], [2, 2], [-1, -1], []])
@pytest.mark.parametrize("writing", [True, False])
def test_one_table_after_the_other(writing: bool, keys: list[int]) -> None:
    """Those that have something, with all of it in order."""
    every, calls = tables(), []

    def code(table: Table, values: Symbols | None, count: int) -> Symbols:
        assert (values is not None) == writing
        calls.append((every.index(table), None if values is None else values.tolist(), count))
        return 100 * every.index(table) + np.arange(count)

    given = 10 + np.arange(len(keys))
    found = code_by(code, every, np.array(keys, np.int64), given if writing else None)
    wanted, result = [], [0] * len(keys)
    for key in range(COUNT):
        at = [n for n, other in enumerate(keys) if other == key]
        if at:
            wanted.append((key, [10 + n for n in at] if writing else None, len(at)))
        for number, n in enumerate(at):
            result[n] = 100 * key + number
    assert calls == wanted
    assert found.tolist() == result


def plain_blocks(active: np.ndarray, used: np.ndarray, levels: Ints, level: int) -> list[list[int]]:
    """Row, column, round, whether it matters and was split: of each block."""
    found, size = [], 2**level
    for row, y in enumerate(range(0, active.shape[0], size)):
        for col, x in enumerate(range(0, active.shape[1], size)):
            if active[y, x]:
                at = slice(y, y + size), slice(x, x + size)
                turn = ROUNDS.index((row % 2, col % 2))
                found.append([y, x, turn, int(used[at].any()), int((levels[at] < level).any())])
    return found


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3, 5), (16, 32), (17, 9), (23, 42)])
def test_blocks(size: tuple[int, int], level: int) -> None:
    """Sizes that are no multiples of the largest block, blocks used in part."""
    random = np.random.default_rng([*size, level])
    rows, cols = -(-size[0] // 8), -(-size[1] // 8)
    coarse = (random.random((rows, cols)) < 0.7).repeat(8, 0).repeat(8, 1)[: size[0], : size[1]]
    before = np.where(random.random(size) < 0.95, 3, random.integers(0, 4, size))
    for active in (coarse, np.ones(size, bool), np.zeros(size, bool)):
        for share in (0.0, 0.02, 1.0):
            used = random.random(size) < share
            found = np.array(vectors.blocks(active, used, before, level, _ROUND_OF))
            assert found.T.tolist() == plain_blocks(active, used, before, level)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_one_cell_of_a_block(level: int) -> None:
    """It is enough, be it the last one, and does not count for other blocks."""
    size, side = (13, 21), 2**level
    for y, x in ((0, 0), (side - 1, side - 1), (12, 20), (side, 12)):
        used, before = np.zeros(size, bool), np.full(size, 3)
        used[y, x], before[y, x] = True, max(level - 1, 0)
        rows, cols, _, matters, was_split = vectors.blocks(np.ones(size, bool), used, before, level, _ROUND_OF)
        is_it = (rows == y // side * side) & (cols == x // side * side)
        assert np.array_equal(matters, is_it)
        assert np.array_equal(was_split, is_it & (level > 0))
        assert is_it.sum() == 1


@pytest.mark.parametrize("count", [0, 1, 50])
def test_options_are_taken(count: int) -> None:
    """By their numbers from 1 on; 0 leaves what is there."""
    random = np.random.default_rng(count)
    options, guess = random.integers(-99, 100, (OPTIONS, count, 2)), random.integers(-99, 100, (count, 2))
    which, found = random.integers(0, OPTIONS + 1, count), guess.copy()
    vectors.take(options, which, found)
    for n in range(count):
        assert np.array_equal(found[n], options[which[n] - 1, n] if which[n] else guess[n])


DIFFERENCES = {
    "none": [],
    "zero": [0],
    "small": [3, 0, -1, SMALL - 1, 1 - SMALL],
    "limits": [SMALL, -SMALL],
    "beyond": [SMALL + 1],
    "beyond, below": [-SMALL - 1],
    "mixed": [0, SMALL + 1, -SMALL, -SMALL - 1, SMALL, SMALL + 2, -SMALL - 2, SMALL + 3, 1000, -1000],
    "largest": [SMALL + (1 << LENGTHS) - 1, 1 - SMALL - (1 << LENGTHS)],
}


def plain_symbol(value: int) -> tuple[int, int]:
    """The symbol of a difference, and how many bits follow."""
    if abs(value) <= SMALL:
        return value + SMALL, 0
    length = (abs(value) - SMALL).bit_length() - 1
    return 2 * SMALL + 1 + length + (LENGTHS if value < 0 else 0), length


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_differences(kind: str) -> None:
    """What is written is read; small ones are a symbol, larger ones the number of their bits and the bits."""
    values, encoder = np.array(DIFFERENCES[kind], np.int64), RangeEncoder()
    table = MotionTables().difference[0][2]
    given = values.copy()
    assert np.array_equal(_code_difference(encoder, table, given, len(given)), values)
    assert np.array_equal(given, values)
    symbols, lengths = zip(*map(plain_symbol, values.tolist()), strict=True) if len(values) else ((), ())
    seen = encoder.seen.of(table)
    assert [each for part in seen for each in part.tolist()] == list(symbols)
    assert encoder.bits == pytest.approx(sum(table.bits[list(symbols)]) + sum(lengths))
    decoder = RangeDecoder(encoder.finish())
    assert np.array_equal(_code_difference(decoder, table, None, len(values)), values)


def test_small_and_large_differences_one_after_the_other() -> None:
    """Bits of one call do not get into those of the next."""
    encoder, table = RangeEncoder(), MotionTables().difference[1][0]
    for values in DIFFERENCES.values():
        _code_difference(encoder, table, np.array(values, np.int64), len(values))
    decoder = RangeDecoder(encoder.finish())
    for values in DIFFERENCES.values():
        assert _code_difference(decoder, table, None, len(values)).tolist() == values
