"""What blocks are predicted from: how it is coded."""

import functools
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch

from lvc.container import GopChunk, Reader
from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream
from lvc.encoder.mode_choice import share_of
from lvc.errors import FormatError
from lvc.model import Model, modes
from lvc.model.modes import BOTH, FIRST, NONE, SECOND, Modes, code_modes, fresh_tables, used
from lvc.model.motion import MotionTables
from lvc.model.weights import pack, unpack
from lvc.rangecoder import RangeDecoder, RangeEncoder, Table, learn
from lvc.video import Frame, VideoInfo
from tests.between import always_between
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import small_books, tiny_codec
from tests.plain_format import PlainDecoder
from tests.plain_group import PlainGroup, uses
from tests.plain_motion import PlainMotion
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
        learn(tables.all(), [encoder.seen])
        plain.adapt()
        assert [table.counts.tolist() for table in tables.all()] == plain.counts


@references_1_2
def test_tables(references: int) -> None:
    """Six of four symbols each, behind those of motion, whatever is counted."""
    rows = [table.counts.tolist() for table in fresh_tables(references)]
    assert [len(row) for row in rows] == [4] * 6
    assert [table.counts.tolist() for table in MotionTables.fresh(references).all()[26:32]] == rows


def test_every_table_is_used() -> None:
    assert all_learn(tables_for(2), coding(2, (12, 20)), maps_of(2, (12, 20), 3)) == 6


def test_every_table_is_used_with_one_reference() -> None:
    """Of two symbols; the others never occur."""
    tables = fresh_tables(1)
    before = [table.counts for table in tables]
    for wanted in maps_of(1, (12, 20), 3):
        encoder = RangeEncoder()
        code_modes(encoder, tables, 1, 12, 20, wanted)
        learn(tables, [encoder.seen])
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
        encoder = RangeEncoder()
        code_modes(encoder, tables, references, 3, 4, wanted)
        starts = [table.counts for table in tables]
        learn(tables, [encoder.seen])
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
            learn(tables, [encoder.seen])
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
        learn(tables, [encoder.seen])
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


# -- files ----------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, FRAMES = 96, 64, 6


class Coming(FrameList):
    """A source: rough texture that pans slowly, into which something smooth comes, column by column of blocks."""

    def __init__(self, bit_depth: int = 8) -> None:
        self.info: VideoInfo = clip_info(WIDTH, HEIGHT, FRAMES, bit_depth=bit_depth)
        unit = 1 << (bit_depth - 8)
        random = np.random.default_rng(1)
        wild = random.integers(0, 256 * unit, (HEIGHT, WIDTH)).astype(np.uint16)
        calm = np.add.outer(400 + np.arange(HEIGHT), 0.7 * np.arange(WIDTH)).round() * unit / 4
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
    named = [picture.modes.tolist() for picture in pictures if picture.modes is not None]
    # those that do not need each other are decoded at the same time, in any order
    assert sorted(named) == sorted(found.tolist() for found in seen)
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
