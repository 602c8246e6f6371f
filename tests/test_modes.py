"""Pictures between two: how it is coded what their blocks are predicted from, how both are mixed, which is chosen."""

import numpy as np
import pytest
import torch

from lvc.encoder.mode_choice import choose_modes
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model.codec import Memory, Picture
from lvc.model.modes import BOTH, FIRST, SECOND, Modes, code_modes, fresh_tables, used
from lvc.model.motion import MotionTables
from lvc.rangecoder import RangeEncoder, Table
from tests.models import tiny_model
from tests.plain_format import PlainDecoder, PlainMotion, uses
from tests.round_trip import Code, all_learn, read_garbage, round_trip

SIZES = ((1, 1), (1, 2), (1, 7), (9, 1), (2, 2), (3, 5), (12, 20))
SHARES = ((0.2, 0.2, 0.6), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0.05, 0.05, 0.9))


def maps_of(size: tuple[int, int], seed: int) -> list[Modes]:
    """Pictures of one group: mixed up, all the same, in regions."""
    random = np.random.default_rng([*size, seed])
    maps: list[Modes] = [random.choice(3, size, p=share) for share in SHARES]
    y, x = np.indices(size)
    return [*maps, (y + x) % 3, (y + x) % 2 * BOTH, np.where(x > y, BOTH, FIRST), np.where(x > y, SECOND, BOTH)]


class ModeTables:
    """Those of modes alone."""

    def __init__(self) -> None:
        self.modes = fresh_tables()

    def all(self) -> list[Table]:
        return self.modes

    def adapt(self) -> None:
        for table in self.modes:
            table.adapt()


def coding(size: tuple[int, int]) -> Code[ModeTables]:
    """Of pictures of one group."""
    return lambda coder, tables, _number, _past, wanted: code_modes(coder, tables.modes, *size, wanted)


@pytest.mark.parametrize("size", SIZES)
def test_round_trip(size: tuple[int, int]) -> None:
    round_trip(ModeTables, coding(size), maps_of(size, 1))


@pytest.mark.parametrize("size", SIZES)
def test_the_description_says_it_all(size: tuple[int, int]) -> None:
    """A reader written from `lvc/FORMAT.md` alone reads the same, and learns the same."""
    tables = MotionTables()
    for index, table in enumerate(tables.all()):
        table.counts = table.counts + index
    plain = PlainMotion([table.counts for table in tables.all()])
    for wanted in maps_of(size, 2):
        encoder = RangeEncoder()
        code_modes(encoder, tables.modes, *size, wanted)
        assert plain.modes(PlainDecoder(encoder.finish()), *size) == wanted.tolist()
        tables.adapt()
        plain.adapt()
        assert [table.counts.tolist() for table in tables.all()] == plain.counts


def test_every_table_is_used() -> None:
    assert all_learn(ModeTables, coding((12, 20)), maps_of((12, 20), 3)) == 6


def test_tables_learn() -> None:
    """What is always the same costs next to nothing after a few pictures, what was dear becomes cheap."""
    for mode in (FIRST, SECOND, BOTH):
        tables, sizes = fresh_tables(), []
        for _ in range(10):
            encoder = RangeEncoder()
            code_modes(encoder, tables, 23, 40, np.full((23, 40), mode))
            sizes.append(encoder.bits)
            for table in tables:
                table.adapt()
        assert sizes[-1] < 0.05 * 23 * 40
        assert sizes[-1] < 0.1 * sizes[0]


def test_regions_cost_less() -> None:
    y, x = np.indices((23, 40))
    regions = np.where((y - 11) ** 2 + (x - 20) ** 2 > 60, BOTH, FIRST)
    mixed = np.random.default_rng(4).permutation(regions.ravel()).reshape(regions.shape)
    sizes = []
    for wanted in (regions, mixed):
        encoder = RangeEncoder()
        code_modes(encoder, fresh_tables(), 23, 40, wanted)
        sizes.append(len(encoder.finish()))
    assert sizes[0] < 0.85 * sizes[1]


def test_garbage_gives_modes_or_an_error() -> None:
    def write(encoder: RangeEncoder, random: np.random.Generator, rows: int, cols: int) -> None:
        code_modes(encoder, fresh_tables(), rows, cols, random.integers(0, 3, (rows, cols)))

    def check(found: Modes) -> None:
        assert FIRST <= found.min() <= found.max() <= BOTH

    read_garbage(write, lambda coder, rows, cols: code_modes(coder, fresh_tables(), rows, cols, None), check)


def test_which_blocks_use_a_reference() -> None:
    modes = np.random.default_rng(5).integers(0, 3, (3, 5))
    for number in (0, 1):
        found = used(modes, number)
        assert found.shape == (6, 10)
        for y, x in np.ndindex(6, 10):
            assert found[y, x] == (modes[y // 2, x // 2] in (number, BOTH))
        assert found.tolist() == uses(modes.tolist(), number)


# -- mixing ---------------------------------------------------------------------------------------------------------


def random_memory(seed: int) -> Memory:
    torch.manual_seed(seed)
    nothing = tiny_model().codec.nothing(2, (64, 96), torch.device("cpu"))
    picture = Picture(*(torch.randint_like(plane, 0, 1024) for plane in nothing.picture))
    return Memory(picture, torch.randint_like(nothing.state, -300, 301), torch.randint_like(nothing.magnitudes, 0, 90))


def planes_of(memory: Memory) -> list[torch.Tensor]:
    return [*memory.picture, memory.state, memory.magnitudes]


def test_each_block_is_one_of_both_or_their_mean() -> None:
    """Block by block, in whole numbers; halves go to the even neighbour."""
    first, second = random_memory(1), random_memory(2)
    modes = torch.from_numpy(np.random.default_rng(3).integers(0, 3, (2, 1, 4, 6)))
    with exact_arithmetic():
        mixed = tiny_model().codec.mixed(first, second, modes)
    halves = 0
    for a, b, found, side in zip(*map(planes_of, (first, second, mixed)), (16, 8, 2, 1), strict=True):
        assert found.shape == a.shape
        for n, y, x in np.ndindex(2, 4, 6):
            at = (n, slice(None), slice(y * side, (y + 1) * side), slice(x * side, (x + 1) * side))
            total = a[at].long() + b[at].long()
            even = total // 2 + (total % 2) * (total // 2 % 2)
            wanted = [a[at], b[at], even.float()][int(modes[n, 0, y, x])]
            assert torch.equal(found[at], wanted)
            halves += int((total % 2).sum())
    assert halves > 1000


# -- which mode is chosen -------------------------------------------------------------------------------------------


def test_the_better_match_is_chosen() -> None:
    random = torch.Generator().manual_seed(1)
    target = torch.randint(0, 1024, (1, 1, 64, 96), generator=random).float()
    quality = torch.tensor([60.0])
    noise = [torch.randn(target.shape, generator=random) * 40 for _ in range(2)]
    far = (target + 300) % 1024
    assert bool((choose_modes(target, target + noise[0], far, quality) == FIRST).all())
    assert bool((choose_modes(target, far, target + noise[0], quality) == SECOND).all())
    assert bool((choose_modes(target, target + noise[0], target + noise[1], quality) == BOTH).all())
    assert bool((choose_modes(target, target + 80, target - 80, quality) == BOTH).all())


def test_both_where_it_makes_no_difference() -> None:
    """It is the cheapest to say; the coarser the quality, the more that counts."""
    flat = torch.full((2, 1, 32, 32), 500.0)
    assert bool((choose_modes(flat, flat, flat, torch.tensor([10.0, 100.0])) == BOTH).all())
    modes = choose_modes(flat, flat, flat + 3, torch.tensor([1.0, 100.0]))
    assert bool((modes[0] == BOTH).all())
    assert bool((modes[1] == FIRST).all())


def test_the_choice_is_made_block_by_block() -> None:
    random = torch.Generator().manual_seed(2)
    target = torch.randint(0, 1024, (1, 1, 64, 96), generator=random).float()
    wanted = torch.randint(0, 2, (1, 1, 4, 6), generator=random)
    here = wanted.repeat_interleave(16, 2).repeat_interleave(16, 3)
    far = (target + 300) % 1024
    first, second = torch.where(here == FIRST, target, far), torch.where(here == SECOND, target, far)
    assert torch.equal(choose_modes(target, first, second, torch.tensor([60.0])), wanted)
