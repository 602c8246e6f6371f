"""What blocks are predicted from: how it is coded, how references and nothing are mixed, which mode is chosen."""

import functools
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch

from lvc.container import GopChunk, Reader
from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream
from lvc.encoder.mode_choice import choose_modes, share_of, target_beside
from lvc.errors import FormatError
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model import Model, modes
from lvc.model.codec import MIDDLE, Memory, Picture
from lvc.model.modes import BOTH, FIRST, NONE, SECOND, Modes, code_modes, fresh_tables, used
from lvc.model.motion import MotionTables
from lvc.model.weights import pack, unpack
from lvc.rangecoder import RangeDecoder, RangeEncoder, Table
from lvc.video import Frame, VideoInfo
from tests.between import always_between
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import small_books, tiny_codec, tiny_model
from tests.plain_format import PlainDecoder, PlainGroup, PlainMotion, uses
from tests.round_trip import Code, all_learn, read_garbage, round_trip

SIZES = ((1, 1), (1, 2), (1, 7), (9, 1), (2, 2), (3, 5), (12, 20))
KNOWN = ((FIRST, NONE), (FIRST, SECOND, BOTH, NONE))
"""What occurs in pictures with one reference, and with two."""
SHARES = (
    ((0.9, 0.1), (1, 0), (0, 1), (0.5, 0.5), (0.1, 0.9), (1, 0)),
    ((0.2, 0.2, 0.5, 0.1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0.5, 0.5, 0, 0), (0, 0, 0.9, 0.1)),
)
references_1_2 = pytest.mark.parametrize("references", [1, 2])


def maps_of(references: int, size: tuple[int, int], seed: int) -> list[Modes]:
    """Pictures of one group: mixed up, all the same, in regions."""
    random = np.random.default_rng([*size, seed, references])
    known = np.array(KNOWN[references - 1])
    maps: list[Modes] = [random.choice(known, size, p=share) for share in SHARES[references - 1]]
    y, x = np.indices(size)
    maps += [known[(y + x) % len(known)], known[-((y + x) % 2)], np.where(x > y, NONE, FIRST)]
    return maps if references == 1 else [*maps, (y + x) % 2 * BOTH, np.where(x > y, SECOND, BOTH)]


class ModeTables:
    """Those of modes alone."""

    def __init__(self, references: int) -> None:
        self.modes = fresh_tables(references)

    def all(self) -> list[Table]:
        return self.modes

    def adapt(self) -> None:
        for table in self.modes:
            table.adapt()


def tables_for(references: int) -> Callable[[], ModeTables]:
    return functools.partial(ModeTables, references)


def coding(references: int, size: tuple[int, int]) -> Code[ModeTables]:
    """Of pictures of one group."""
    return lambda coder, tables, _number, _past, wanted: code_modes(coder, tables.modes, references, *size, wanted)


@references_1_2
@pytest.mark.parametrize("size", SIZES)
def test_round_trip(size: tuple[int, int], references: int) -> None:
    round_trip(tables_for(references), coding(references, size), maps_of(references, size, 1))


@references_1_2
@pytest.mark.parametrize("size", SIZES)
def test_the_description_says_it_all(size: tuple[int, int], references: int) -> None:
    """A reader written from `lvc/FORMAT.md` alone reads the same, and learns the same."""
    tables = MotionTables.fresh(references)
    for index, table in enumerate(tables.all()):
        table.counts = table.counts + index
    plain = PlainMotion([table.counts for table in tables.all()])
    for wanted in maps_of(references, size, 2):
        encoder = RangeEncoder()
        code_modes(encoder, tables.modes, references, *size, wanted)
        assert plain.modes(PlainDecoder(encoder.finish()), references, *size) == wanted.tolist()
        tables.adapt()
        plain.adapt()
        assert [table.counts.tolist() for table in tables.all()] == plain.counts


@references_1_2
def test_tables(references: int) -> None:
    """Six of four symbols each, behind those of motion, whatever is counted."""
    rows = [table.counts.tolist() for table in fresh_tables(references)]
    assert [len(row) for row in rows] == [4] * 6
    assert [table.counts.tolist() for table in MotionTables.fresh(references).all()[18:24]] == rows


def test_every_table_is_used() -> None:
    assert all_learn(tables_for(2), coding(2, (12, 20)), maps_of(2, (12, 20), 3)) == 6


def test_every_table_is_used_with_one_reference() -> None:
    """Of two symbols; the others never occur."""
    tables = fresh_tables(1)
    before = [table.counts for table in tables]
    for wanted in maps_of(1, (12, 20), 3):
        code_modes(RangeEncoder(), tables, 1, 12, 20, wanted)
        for table in tables:
            table.adapt()
    for table, start in zip(tables, before, strict=True):
        assert (table.counts > start).tolist() == [True, False, False, True]


@pytest.mark.parametrize(("references", "counted"), [(1, NONE), (2, BOTH)])
def test_what_is_counted(references: int, counted: int) -> None:
    """How many neighbours have one mode, by hand: the table of a block of the second round."""
    other = FIRST
    for around in range(16):
        near = [counted if around >> bit & 1 else other for bit in range(4)]
        wanted = np.full((3, 4), other)
        wanted[0, 1], wanted[2, 1], wanted[1, 0], wanted[1, 2] = near
        wanted = np.roll(wanted, 1, 1)  # the block is (1, 2), one of the second round
        tables = fresh_tables(references)
        wanted[1, 2] = NONE
        code_modes(RangeEncoder(), tables, references, 3, 4, wanted)
        starts = [table.counts for table in tables]
        for table in tables:
            table.adapt()
        grown = [int(table.counts[NONE] - start[NONE]) for table, start in zip(tables, starts, strict=True)]
        assert grown[1 + sum(mode == counted for mode in near)] == 24
        assert sum(grown[1:]) == 24


@pytest.mark.parametrize("mode", [SECOND, BOTH])
@pytest.mark.parametrize("place", [(0, 0), (1, 2), (2, 4)])
def test_a_second_reference_where_there_is_one_is_refused(mode: int, place: tuple[int, int]) -> None:
    wanted = np.full((3, 5), FIRST)
    wanted[place] = mode
    encoder = RangeEncoder()
    for table, half in zip(fresh_tables(1)[:2], (0, 1), strict=True):  # no neighbour is NONE: the first two tables
        encoder.code(table, wanted[np.indices((3, 5)).sum(0) % 2 == half], 15)
    payload = encoder.finish()
    with pytest.raises(FormatError, match="second reference"):
        code_modes(RangeDecoder(payload), fresh_tables(1), 1, 3, 5, None)
    plain = PlainMotion([table.counts for table in MotionTables.fresh(1).all()])
    with pytest.raises(ValueError, match="second reference"):
        plain.modes(PlainDecoder(payload), 1, 3, 5)


def test_tables_learn() -> None:
    """What is always the same costs next to nothing after a few pictures, what was dear becomes cheap."""
    for references, mode in ((1, NONE), (2, FIRST), (2, SECOND), (2, BOTH), (2, NONE)):
        tables, sizes = fresh_tables(references), []
        for _ in range(10):
            encoder = RangeEncoder()
            code_modes(encoder, tables, references, 23, 40, np.full((23, 40), mode))
            sizes.append(encoder.bits)
            for table in tables:
                table.adapt()
        assert sizes[-1] < 0.05 * 23 * 40
        assert sizes[-1] < 0.1 * sizes[0]


@pytest.mark.parametrize(("size", "first", "third"), [((5, 7), 0.06, 0.007), ((23, 40), 0.06, 0.0004)])
def test_predicted_pictures_without_anything_new_cost_next_to_nothing(
    size: tuple[int, int], first: float, third: float
) -> None:
    """Bits per block of the first one of a group, and once tables have seen two (measured: 0.058; 0.0061, 0.00026)."""
    tables, bits = fresh_tables(1), []
    for _ in range(3):
        encoder = RangeEncoder()
        code_modes(encoder, tables, 1, *size, np.full(size, FIRST))
        bits.append(encoder.bits / (size[0] * size[1]))
        for table in tables:
            table.adapt()
    assert bits[0] < first
    assert bits[2] < third


@pytest.mark.parametrize(("references", "inside", "outside"), [(1, NONE, FIRST), (2, FIRST, BOTH)])
def test_regions_cost_less(references: int, inside: int, outside: int) -> None:
    y, x = np.indices((23, 40))
    regions = np.where((y - 11) ** 2 + (x - 20) ** 2 > 60, outside, inside)
    mixed = np.random.default_rng(4).permutation(regions.ravel()).reshape(regions.shape)
    sizes = []
    for wanted in (regions, mixed):
        encoder = RangeEncoder()
        code_modes(encoder, fresh_tables(references), references, 23, 40, wanted)
        sizes.append(len(encoder.finish()))
    assert sizes[0] < 0.85 * sizes[1]


@references_1_2
def test_garbage_gives_modes_or_an_error(references: int) -> None:
    known = np.array(KNOWN[references - 1])

    def write(encoder: RangeEncoder, random: np.random.Generator, rows: int, cols: int) -> None:
        code_modes(encoder, fresh_tables(references), references, rows, cols, random.choice(known, (rows, cols)))

    def check(found: Modes) -> None:
        assert np.isin(found, known).all()

    def read(coder: RangeDecoder, rows: int, cols: int) -> Modes:
        return code_modes(coder, fresh_tables(references), references, rows, cols, None)

    read_garbage(write, read, check)


def test_which_blocks_use_a_reference() -> None:
    wanted = np.random.default_rng(5).integers(0, 4, (3, 5))
    for number in (0, 1):
        found, share = used(wanted, number), share_of(torch.from_numpy(wanted)[None, None], number)[0]
        assert found.shape == share.shape == (6, 10)
        for y, x in np.ndindex(6, 10):
            mode = wanted[y // 2, x // 2]
            assert found[y, x] == (mode in (number, BOTH))
            assert share[y, x] == (0.5 if mode == BOTH else float(mode == number))
        assert found.tolist() == uses(wanted.tolist(), number)


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
    wanted_modes = torch.from_numpy(np.random.default_rng(3).integers(0, 3, (2, 1, 4, 6)))
    with exact_arithmetic():
        mixed = tiny_model().codec.mixed(first, second, wanted_modes)
    halves = 0
    for a, b, found, side in zip(*map(planes_of, (first, second, mixed)), (16, 8, 2, 1), strict=True):
        assert found.shape == a.shape
        for n, y, x in np.ndindex(2, 4, 6):
            at = (n, slice(None), slice(y * side, (y + 1) * side), slice(x * side, (x + 1) * side))
            total = a[at].long() + b[at].long()
            even = total // 2 + (total % 2) * (total // 2 % 2)
            wanted = [a[at], b[at], even.float()][int(wanted_modes[n, 0, y, x])]
            assert torch.equal(found[at], wanted)
            halves += int((total % 2).sum())
    assert halves > 1000


@pytest.mark.parametrize("kinds", [(FIRST, SECOND, BOTH), (FIRST, SECOND, BOTH, NONE)])
def test_the_difference_of_what_was_averaged(kinds: tuple[int, ...]) -> None:
    """First minus second where a block is the mean of both, and nowhere else; none where there is one reference."""
    codec, first, second = tiny_model().codec, random_memory(1), random_memory(2)
    wanted = torch.from_numpy(np.random.default_rng(8).choice(kinds, (2, 1, 4, 6)))
    with exact_arithmetic():
        apart = codec.mixed(first, second, wanted).apart
        assert codec.mixed(first, None, torch.where(wanted == NONE, NONE, FIRST)).apart is None
    assert apart is not None
    for a, b, found, side in zip(first.picture, second.picture, apart, (16, 8), strict=True):
        at = (wanted == BOTH).repeat_interleave(side, 2).repeat_interleave(side, 3)
        assert torch.equal(found, torch.where(at, a - b, 0.0))


def test_the_context_sees_that_difference() -> None:
    """Two references that agree, and others with the same mean: what is expected is not the same."""
    codec = tiny_model().codec
    same = random_memory(1)
    step = torch.where(same.picture.y < 512, 1.0, -1.0) * 40
    either, other = (same._replace(picture=Picture(same.picture.y + sign * step, same.picture.uv)) for sign in (1, -1))
    modes, quality = torch.full((2, 1, 4, 6), BOTH), torch.tensor([50.0, 50.0])
    with exact_arithmetic():
        pasts = [codec.mixed(same, same, modes), codec.mixed(either, other, modes)]
        assert torch.equal(pasts[0].picture.y, pasts[1].picture.y)
        found = [codec.predict(past, quality, intra=False) for past in pasts]
    assert found[0].c16 is not None
    assert found[1].c16 is not None
    assert not torch.equal(found[0].c16, found[1].c16)


@pytest.mark.parametrize("alone", [0, 1, None])
@references_1_2
def test_nothing_is_as_in_an_intra_picture(references: int, alone: int | None) -> None:
    """In these blocks alone, with one reference and with two; also where only one picture of a batch has them."""
    codec, first = tiny_model().codec, random_memory(4)
    second = random_memory(5) if references == 2 else None
    wanted = torch.from_numpy(np.random.default_rng(6).choice(KNOWN[references - 1], (2, 1, 4, 6)))
    if alone is not None:
        other = wanted[1 - alone]
        other[other == NONE] = FIRST
    without = torch.where(wanted == NONE, FIRST, wanted)
    with exact_arithmetic():
        nothing = codec.nothing(2, (64, 96), torch.device("cpu"))
        mixed, rest = codec.mixed(first, second, wanted), codec.mixed(first, second, without)
        each = [codec.mixed(first.pick(n), second and second.pick(n), wanted[n : n + 1]) for n in range(2)]
    assert float(nothing.picture.y.min()) == float(nothing.picture.uv.max()) == MIDDLE
    assert bool(nothing.state.any())
    assert not nothing.magnitudes.any()
    assert bool((wanted[1 if alone is None else alone] == NONE).any())
    for found, blank, old, a, b, side in zip(
        *map(planes_of, (mixed, nothing, rest, *each)), (16, 8, 2, 1), strict=True
    ):
        at = (wanted == NONE).repeat_interleave(side, 2).repeat_interleave(side, 3).expand_as(found)
        assert torch.equal(found[at], blank[at])
        assert torch.equal(found[~at], old[~at])
        assert bool((old[at] != blank[at]).any())
        assert torch.equal(found, torch.cat([a, b]))
    if references == 1:
        assert all(map(torch.equal, planes_of(rest), planes_of(first)))


def test_a_picture_of_nothing_is_an_intra_one() -> None:
    codec = tiny_model().codec
    with exact_arithmetic():
        found = codec.mixed(random_memory(4), None, torch.full((2, 1, 4, 6), NONE))
        assert all(map(torch.equal, planes_of(found), planes_of(codec.nothing(2, (64, 96), torch.device("cpu")))))


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
    chosen = choose_modes(flat, flat, flat + 3, torch.tensor([1.0, 100.0]))
    assert bool((chosen[0] == BOTH).all())
    assert bool((chosen[1] == FIRST).all())


def test_the_choice_is_made_block_by_block() -> None:
    random = torch.Generator().manual_seed(2)
    target = torch.randint(0, 1024, (1, 1, 64, 96), generator=random).float()
    wanted = torch.randint(0, 2, (1, 1, 4, 6), generator=random)
    here = wanted.repeat_interleave(16, 2).repeat_interleave(16, 3)
    far = (target + 300) % 1024
    first, second = torch.where(here == FIRST, target, far), torch.where(here == SECOND, target, far)
    assert torch.equal(choose_modes(target, first, second, torch.tensor([60.0])), wanted)


def test_neighbours_agree_unless_it_costs_much() -> None:
    """A single block that another reference predicts a little better goes with its neighbours."""
    target, quality = 4 * wave(), torch.tensor([60.0])
    little, much = (noise_like(target, size, 3) for size in (2, 100))
    there = torch.zeros(1, 1, 4, 6, dtype=torch.bool)
    there[0, 0, 2, 3] = True
    here = there.repeat_interleave(16, 2).repeat_interleave(16, 3)
    far = target + 300 * noise_like(target, 1, 4)
    for noise, moves in ((little, False), (much, True)):
        first, second = torch.where(here, target + noise, target), torch.where(here, target, far)
        wanted = torch.where(there & moves, SECOND, FIRST)
        assert torch.equal(choose_modes(target, first, second, quality), wanted)
    everywhere = target + much, target
    assert bool((choose_modes(target, *everywhere, quality) == SECOND).all())


def test_one_of_two_should_be_what_the_other_leaves_to_it() -> None:
    target, other = wave(), wave() + 7
    modes = torch.randint(0, 4, (1, 1, 4, 6), generator=torch.Generator().manual_seed(3))
    wanted = target_beside(target, other, modes)
    both = (modes == BOTH).repeat_interleave(16, 2).repeat_interleave(16, 3)
    assert torch.equal((other + wanted)[both] / 2, target[both])
    assert torch.equal(wanted[~both], target[~both])
    assert torch.equal(target_beside(target, None, modes), target)


def wave(height: int = 64, width: int = 96) -> torch.Tensor:
    """Luma that changes slowly, [1, 1, H, W]."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return (400 + y + 0.7 * x).round()[None, None]


def noise_like(plane: torch.Tensor, size: float, seed: int) -> torch.Tensor:
    return torch.randn(plane.shape, generator=torch.Generator().manual_seed(seed)) * size


@references_1_2
@pytest.mark.parametrize("quality", [20.0, 60.0, 90.0])
def test_what_is_new_and_smooth_is_predicted_from_nothing(quality: float, references: int) -> None:
    """Where predictions are wild noise; not where they are good, not even in the same picture."""
    target, at = wave(), torch.tensor([quality])
    wild, other = ((512 + noise_like(target, 150, seed)).clamp(0, 1023).round() for seed in (1, 2))
    good = (target + noise_like(target, 1, 3)).round()
    second = {1: (None, None), 2: (other, good)}[references]
    assert bool((choose_modes(target, wild, second[0], at) == NONE).all())
    assert not bool((choose_modes(target, good, second[1], at) == NONE).any())
    assert not bool((choose_modes(target, target, None if second[0] is None else target, at) == NONE).any())
    new = torch.zeros(1, 1, 4, 6, dtype=torch.bool)
    new[..., 1:3, 2:5] = True
    here = new.repeat_interleave(16, 2).repeat_interleave(16, 3)
    parts = [None if bad is None else torch.where(here, bad, good) for bad in (wild, second[0])]
    assert parts[0] is not None
    found = choose_modes(target, parts[0], parts[1], at)
    assert torch.equal(found == NONE, new)
    assert found.dtype == torch.int64


@references_1_2
def test_what_is_rough_is_predicted_from_the_better_of_two_evils(references: int) -> None:
    """Nothing wins nothing where the picture itself is as wild as what its prediction misses."""
    target = (512 + noise_like(wave(), 100, 1)).round()
    near = [(target + noise_like(target, 60, seed)).round() for seed in (2, 3)]
    for quality in (20.0, 60.0, 90.0):
        found = choose_modes(target, near[0], near[1] if references == 2 else None, torch.tensor([quality]))
        assert not bool((found == NONE).any())


def test_with_one_reference_it_is_that_or_nothing() -> None:
    random = torch.Generator().manual_seed(7)
    for seed in range(20):
        target = wave() if seed % 2 else (512 + noise_like(wave(), 80, seed)).round()
        guess = (target + noise_like(target, float(torch.rand(1, generator=random)) * 200, seed + 50)).round()
        found = choose_modes(target, guess, None, torch.tensor([5.0 * seed + 1]))
        assert bool(((found == FIRST) | (found == NONE)).all())


@references_1_2
def test_the_choice_for_a_batch_is_the_choice_for_each(references: int) -> None:
    """Training chooses for pictures of several qualities at once."""
    target = torch.cat([wave(), (512 + noise_like(wave(), 90, 1)).round(), wave(), wave().flip(3)])
    guesses = [torch.cat([(part + noise_like(part, 90, seed)).round() for part in target.split(1)]) for seed in (2, 3)]
    for guess in guesses:
        guess[0, :, :32] = target[0, :, :32]
        guess[3] = target[3]
    quality = torch.tensor([30.0, 60.0, 95.0, 50.0])
    second = guesses[1] if references == 2 else None
    together = choose_modes(target, guesses[0], second, quality)
    assert 0 < int((together == NONE).sum()) < together.numel()
    for n in range(4):
        part = slice(n, n + 1)
        alone = choose_modes(target[part], guesses[0][part], None if second is None else second[part], quality[part])
        assert torch.equal(alone, together[part])


# -- files ----------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, FRAMES = 96, 64, 6


class Coming(FrameList):
    """A source: rough texture that pans slowly, into which something smooth comes, column by column of blocks."""

    def __init__(self, bit_depth: int = 8) -> None:
        self.info: VideoInfo = clip_info(WIDTH, HEIGHT, FRAMES, bit_depth=bit_depth)
        unit = 1 << (bit_depth - 8)
        random = np.random.default_rng(1)
        wild = random.integers(0, 256 * unit, (HEIGHT, WIDTH)).astype(np.uint16)
        calm = wave(HEIGHT, WIDTH)[0, 0].numpy() * unit / 4
        self.frames = []
        for t, frame in enumerate(clip_frames("pan", WIDTH, HEIGHT, FRAMES, bit_depth=bit_depth)):
            luma = wild.copy()
            luma[:, : 16 * t] = np.rint(calm[:, : 16 * t])
            self.frames.append(Frame([luma, *frame.planes[1:]], t, 1))


@functools.cache
def model_with_counts() -> Model:
    """The tiny model with counts of its own for each table of motion and modes."""
    start = small_books()
    motion = [[counts + 2 * kind + i for i, counts in enumerate(rows)] for kind, rows in enumerate(start.motion)]
    codec = tiny_codec()
    codec.snap()
    start.motion = motion
    return unpack(pack(codec, start, {}), "counts")


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("kinds", [[0, 1, 1, 1, 1, 1], [0, 2, 2, 2, 1, 1]])
def test_files(kinds: list[int], bit_depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes into sight has no past; the decoder and the plain reader see what the encoder wrote."""
    if 2 in kinds:
        always_between(monkeypatch)
    sink = io.BytesIO()
    settings = EncoderSettings(preset="fast", quality=60, scene_cuts=False)
    encode_stream(Coming(bit_depth), sink, model=model_with_counts(), settings=settings)
    (group,) = (item for item in Reader(io.BytesIO(sink.getvalue())) if isinstance(item, GopChunk))
    records = group.gop.frames
    assert [record.kind for record in records] == kinds
    seen: list[Modes] = []
    original = modes.code_modes

    def watched(*arguments: object) -> Modes:
        seen.append(original(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(modes, "code_modes", watched)
    decoder = Decoder(io.BytesIO(sink.getvalue()), load_model=lambda _: model_with_counts())
    assert len([item for item in decoder if isinstance(item, Frame)]) == FRAMES  # with all checksums
    statistics = model_with_counts().statistics
    plain = PlainGroup(statistics.motion, statistics.skip, statistics.sizes, kinds)
    pictures = list(plain.read([record.payload for record in records], HEIGHT // 16, WIDTH // 16))
    named = [picture.modes for picture in pictures if picture.references]
    assert [found.tolist() for found in named if found is not None] == [found.tolist() for found in seen]
    counts = {kind: np.zeros(4, int) for kind in kinds}
    for picture in pictures:
        if picture.modes is not None:
            counts[kinds[picture.position]] += np.bincount(picture.modes.ravel(), minlength=4)
    for kind in set(kinds) - {0}:
        assert counts[kind][NONE] > 0
        assert counts[kind][FIRST] > 0
    assert counts[1][SECOND] == counts[1][BOTH] == 0
    for picture in pictures:
        if picture.modes is not None:  # of what is rough and stays nothing is
            assert not (picture.modes[:, picture.position :] == NONE).any()
        if picture.modes is not None and picture.position - picture.references[0] == 1:
            assert len(picture.references) == 2 or (picture.modes[:, picture.position - 1] == NONE).all()
