"""The quality map: how it is coded, what it does, and the one that the encoder chooses."""

import io
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from lvc import api
from lvc.container import FrameRecord, GopChunk, Reader
from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream
from lvc.encoder.contrast import exactly, nearly, wanted_levels
from lvc.errors import FormatError
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model.entropy import SymbolCoder
from lvc.model.group import fresh_tables
from lvc.model.levels import (
    LEVEL_MAX,
    QUALITIES_PER_LEVEL,
    Choose,
    Levels,
    LevelTables,
    code_levels,
    moved_levels,
)
from lvc.model.modes import BOTH, FIRST, NONE, SECOND
from lvc.model.prediction import Memory, Picture, Prediction
from lvc.rangecoder import Coder, RangeDecoder, RangeEncoder, learn
from lvc.video import Frame
from tests.between import always_between
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import tiny_model
from tests.plain_format import PlainDecoder
from tests.plain_levels import PlainLevels, plain_moved_levels
from tests.round_trip import Code, read_garbage, round_trip

SIZES = ((1, 1), (1, 17), (9, 1), (2, 3), (17, 16), (23, 40))


def as_choice(levels: Levels | None) -> Choose | None:
    return None if levels is None else exactly(torch.from_numpy(levels)[None, None])


def random_levels(size: tuple[int, int], seed: int) -> Levels:
    return np.random.default_rng([*size, seed]).integers(-LEVEL_MAX, LEVEL_MAX + 1, size)


def maps_of(size: tuple[int, int]) -> list[Levels]:
    """Pictures of one group: of all levels, of one level, and slopes."""
    y, x = np.indices(size)
    slope = np.clip((y + x) // 4 - 4, -LEVEL_MAX, LEVEL_MAX)
    return [random_levels(size, seed) for seed in range(30)] + [slope, np.full(size, LEVEL_MAX), -slope]


def coding(size: tuple[int, int]) -> Code[LevelTables]:
    """Of pictures of one group: by turns intra ones and such as are expected to be like those before."""

    def code(coder: Coder, tables: LevelTables, number: int, past: Levels | None, wanted: Levels | None) -> Levels:
        return code_levels(coder, tables, np.zeros(size, bool), past if number % 2 else None, as_choice(wanted))

    return code


@pytest.mark.parametrize("size", SIZES)
def test_random_maps(size: tuple[int, int]) -> None:
    round_trip(LevelTables, coding(size), maps_of(size))


def test_every_table_is_used() -> None:
    """So that the tests say something of each; only the largest differences are too rare to count on."""
    tables = LevelTables()
    past: Levels | None = None
    for number, wanted in enumerate(maps_of((23, 40))):
        encoder = RangeEncoder()
        past = coding((23, 40))(encoder, tables, number, past, wanted)
        starts = [table.counts for table in tables.all()]
        learn(tables.all(), [encoder.seen])
    assert len(starts) == 3
    assert all(int((table.counts > 1).sum()) > 2 * LEVEL_MAX for table in tables.all())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_the_description_says_it_all(size: tuple[int, int], share: float) -> None:
    """A reader written from `lvc/FORMAT.md` alone reads the same."""
    tables = LevelTables()
    plain = PlainLevels()
    past: Levels | None = None
    for number, wanted in enumerate(maps_of(size)):
        skip = np.random.default_rng(number).random(size) < (share if number % 3 else 0)
        expected = past if number % 3 else None
        encoder = RangeEncoder()
        past = code_levels(encoder, tables, skip, expected, as_choice(wanted))
        given = None if expected is None else expected.tolist()
        assert plain.read(PlainDecoder(encoder.finish()), skip.tolist(), given) == past.tolist()
        assert np.array_equal(past[~skip], wanted[~skip])
        if expected is not None:
            assert np.array_equal(past[skip], expected[skip])
        learn(tables.all(), [encoder.seen])
        plain.adapt()
        assert [table.counts.tolist() for table in tables.all()] == plain.counts


def test_garbage_is_a_map_or_an_error() -> None:
    def write(encoder: RangeEncoder, random: np.random.Generator, rows: int, cols: int) -> None:
        wanted = random.integers(-LEVEL_MAX, LEVEL_MAX + 1, (rows, cols))
        code_levels(encoder, LevelTables(), np.zeros((rows, cols), bool), None, as_choice(wanted))

    def read(decoder: RangeDecoder, rows: int, cols: int) -> Levels:
        return code_levels(decoder, LevelTables(), np.zeros((rows, cols), bool), None, None)

    def check(found: Levels) -> None:
        assert np.abs(found).max() <= LEVEL_MAX

    read_garbage(write, read, check)


def test_a_level_out_of_range_is_refused() -> None:
    tables, none = LevelTables(), np.zeros((1, 1), bool)
    encoder = RangeEncoder()
    encoder.code(tables.tables[-1], np.array([2 * LEVEL_MAX + 1]), 1)
    with pytest.raises(FormatError, match="level"):
        code_levels(RangeDecoder(encoder.finish()), tables, none, np.full((1, 1), LEVEL_MAX), None)


def test_levels_move_with_their_blocks() -> None:
    """As `lvc/FORMAT.md` says, for one reference and for two, some of which have no map."""
    random = np.random.default_rng(3)
    rows, cols = 7, 9
    first, second = random_levels((rows, cols), 1), random_levels((rows, cols), 2)
    fields = [random.integers(-300, 300, (2 * rows, 2 * cols, 2)) for _ in range(2)]
    for references, kinds in ((1, [FIRST, NONE]), (2, [FIRST, SECOND, BOTH, NONE])):
        modes = random.choice(kinds, (rows, cols))
        for known in ([first, second], [None, second], [first, None], [None, None]):
            found = moved_levels(known[:references], fields[:references], modes)
            lists = [None if each is None else each.tolist() for each in known[:references]]
            assert found.tolist() == plain_moved_levels(lists, [each.tolist() for each in fields], modes.tolist())
    still = moved_levels([first], [np.zeros((2 * rows, 2 * cols, 2), np.int64)], np.full((rows, cols), FIRST))
    assert np.array_equal(still, first)
    right = moved_levels([first], [np.full((2 * rows, 2 * cols, 2), (0, 64))], np.full((rows, cols), FIRST))
    assert np.array_equal(right[:, :-1], first[:, 1:])


# -- what it does -------------------------------------------------------------------------------------------------


def random_memory(seed: int, batch: int = 2) -> Memory:
    codec, random = tiny_model().codec, np.random.default_rng(seed)

    def draw(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.from_numpy(random.integers(low, high, (batch, *shape))).float()

    picture = Picture(draw(0, 1024, 1, 64, 96), draw(0, 1024, 2, 32, 48))
    return Memory(picture, draw(-900, 900, codec.config.fine, 8, 12), draw(0, 300, 384, 4, 6))


class Coded(NamedTuple):
    payloads: list[bytes]
    latents: torch.Tensor
    memory: Memory


def coded(past: Memory, target: Picture, quality: list[float], levels: torch.Tensor | None, intra: bool) -> Coded:
    """Pictures of a batch, written and read back."""
    model, batch = tiny_model(), len(quality)
    coders = [RangeEncoder() for _ in quality]
    writing, reading = ([fresh_tables(model.statistics) for _ in quality] for _ in range(2))
    sizes = torch.from_numpy(np.random.default_rng(5).integers(0, 3, (1, 1, 4, 6))).float().expand(batch, -1, -1, -1)
    with exact_arithmetic():
        pair = [Prediction(past, torch.tensor(quality), intra, sizes=sizes, levels=levels) for _ in range(2)]
        symbols = SymbolCoder(model.statistics.quantisers, coders, writing, intra)
        latents = model.codec.code(pair[0], model.codec.transformed(pair[0], target, sizes), symbols)
        payloads = [coder.finish() for coder in coders]
        symbols = SymbolCoder(model.statistics.quantisers, [RangeDecoder(p) for p in payloads], reading, intra)
        assert torch.equal(model.codec.code(pair[1], None, symbols), latents)
        memory = model.codec.reconstruct(pair[1], latents)
    return Coded(payloads, latents, memory)


@pytest.mark.parametrize("intra", [True, False])
def test_one_level_everywhere_is_another_quality(intra: bool) -> None:
    past, target = random_memory(1), random_memory(2).picture
    for level in (-3, 0, 5, LEVEL_MAX):
        quality = [20.0, 55.0]
        whole = [min(100.0, max(1.0, q + QUALITIES_PER_LEVEL * level)) for q in quality]
        by_map = coded(past, target, quality, torch.full((2, 1, 4, 6), level), intra)
        plain = coded(past, target, whole, None, intra)
        assert by_map.payloads == plain.payloads
        assert torch.equal(by_map.latents, plain.latents)
        assert torch.equal(by_map.memory.picture.y, plain.memory.picture.y)
        assert torch.equal(by_map.memory.picture.uv, plain.memory.picture.uv)
        assert torch.equal(by_map.memory.state, plain.memory.state)
        assert torch.equal(by_map.memory.magnitudes, plain.memory.magnitudes)


@pytest.mark.parametrize("intra", [True, False])
def test_a_batch_is_as_its_pictures_alone(intra: bool) -> None:
    past, target = random_memory(3), random_memory(4).picture
    levels = torch.from_numpy(random_levels((8, 6), 6)).view(2, 1, 4, 6)
    both = coded(past, target, [40.0, 70.0], levels, intra)
    for number, quality in enumerate((40.0, 70.0)):
        wanted = Picture(target.y[number : number + 1], target.uv[number : number + 1])
        alone = coded(past.pick(number), wanted, [quality], levels[number : number + 1], intra)
        assert alone.payloads[0] == both.payloads[number]
        assert torch.equal(alone.memory.picture.y, both.memory.picture.y[number : number + 1])
        assert torch.equal(alone.memory.magnitudes, both.memory.magnitudes[number : number + 1])


# -- the encoder's choice -----------------------------------------------------------------------------------------


def test_busy_blocks_are_coarser() -> None:
    random = np.random.default_rng(8)
    luma = torch.full((1, 1, 64, 96), 400.0)
    luma[..., 48:] += torch.from_numpy(random.integers(-200, 200, (64, 48))).float()
    wanted = wanted_levels(luma)
    assert wanted.shape == (4, 6)
    assert float(wanted[:, :3].min()) > 2 > -2 > float(wanted[:, 3:].max())
    assert abs(float(wanted.mean())) < 1e-4
    assert float(wanted_levels(torch.full((1, 1, 64, 96), 77.0)).abs().max()) == 0


def test_what_is_nearly_expected_stays() -> None:
    wanted = torch.tensor([[0.6, 3.2, -20.0, 20.0]])
    choose, every = nearly(wanted, 1.0), np.ones((1, 4), bool)
    assert choose(every, np.array([0, 0, 0, 0])).tolist() == [0, 3, -LEVEL_MAX, LEVEL_MAX]
    assert choose(np.array([[False, True, False, False]]), np.array([4])).tolist() == [4]


class Clip(FrameList):
    """Eleven frames of everything that the clips of tests have."""

    def __init__(self) -> None:
        self.info = clip_info(96, 80, 11)
        self.frames = list(clip_frames("mix", 96, 80, 11))


def encoded(tune: str) -> bytes:
    sink = io.BytesIO()
    settings = EncoderSettings(quality=45, tune=tune, keyint=6, scene_cuts=False)
    encode_stream(Clip(), sink, model=tiny_model(), settings=settings)
    return sink.getvalue()


@pytest.mark.parametrize("keep", ["cut", "cat"])
def test_maps_survive_editing(tmp_path: Path, keep: str) -> None:
    """Groups are taken over whole, without being coded again."""
    (tmp_path / "in.lvc").write_bytes(encoded("ssim"))
    if keep == "cut":
        api.cut(tmp_path / "in.lvc", tmp_path / "out.lvc", end=Fraction(1, 5))
    else:
        api.cat([tmp_path / "in.lvc"] * 2, tmp_path / "out.lvc")
    found = records_of((tmp_path / "out.lvc").read_bytes())
    assert len(found) in (6, 22)
    assert all(record.has_levels for record in found)


def records_of(data: bytes) -> list[FrameRecord]:
    groups = [item for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk)]
    return [record for group in groups for record in group.gop.frames]


def test_only_those_who_ask_get_maps() -> None:
    assert all(record.has_levels for record in records_of(encoded("ssim")))
    assert not any(record.has_levels for record in records_of(encoded("psnr")))


@pytest.mark.parametrize("batch", [1, 2])
def test_files_with_maps_decode(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """Anchors and pictures between them; every picture is compared with its checksum."""
    always_between(monkeypatch, 4)
    data = encoded("ssim")
    assert {record.kind for record in records_of(data)} == {0, 1, 2}
    decoder = Decoder(io.BytesIO(data), batch=batch, load_model=lambda _: tiny_model())
    assert sum(isinstance(item, Frame) for item in decoder) == 11
