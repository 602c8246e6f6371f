"""The skip map: how it is coded, what a skipped block keeps, and which blocks the encoder skips."""

import functools
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lvc.container import FrameRecord, GopChunk, Reader
from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, block_choice, encode_stream
from lvc.encoder.block_choice import choose_blocks
from lvc.exact import warp
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.overlap import overlapped
from lvc.model import Model
from lvc.model.codec import FrameCodec
from lvc.model.config import config_named
from lvc.model.entropy import SymbolCoder
from lvc.model.group import fresh_tables
from lvc.model.modes import used_in_batch
from lvc.model.motion import MotionField
from lvc.model.prediction import Memory, Picture, Prediction
from lvc.model.skip import BLOCK, KINDS, Flags, Kinds, SkipTables, code_skip, kinds_of
from lvc.model.weights import HYPER_INCREMENT, Statistics
from lvc.rangecoder import RangeDecoder, RangeEncoder
from lvc.training.export import exported
from lvc.video import Frame, VideoInfo
from tests.between import always_between
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import plain_model, tiny_model
from tests.plain_format import PlainDecoder, PlainGroup, PlainPicture, PlainSkip, block_kinds
from tests.round_trip import Code, all_learn, read_garbage, round_trip

SIZES = ((1, 1), (1, 2), (1, 7), (9, 1), (2, 2), (3, 5), (12, 20), (23, 40))
SHARES = (0.5, 0.0, 1.0, 0.9, 0.0, 0.1, 1.0, 1.0, 0.3)
WIDTH, HEIGHT = 96, 64


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
        tables.adapt()
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


# -- what a skipped block keeps -------------------------------------------------------------------------------------


def random_memory(codec: FrameCodec, batch: int, seed: int) -> Memory:
    torch.manual_seed(seed)
    nothing = codec.nothing(batch, (HEIGHT, WIDTH), torch.device("cpu"))
    picture = Picture(*(torch.randint_like(plane, 0, 1024) for plane in nothing.picture))
    return Memory(picture, torch.randint_like(nothing.state, -300, 301), torch.randint_like(nothing.magnitudes, 0, 90))


def enlarged(skip: torch.Tensor, factor: int) -> torch.Tensor:
    return torch.kron(skip, torch.ones(factor, factor)) == 1


def test_a_skipped_block_has_no_symbols_and_stays() -> None:
    """Latents are zero and cost nothing, picture and state are the prediction's; encoder and decoder agree."""
    model = tiny_model()
    codec, random = model.codec, np.random.default_rng(1)
    shape = (2, 1, HEIGHT // 16, WIDTH // 16)
    for share in (0.0, 0.5, 0.9, 1.0):
        skip = torch.from_numpy(random.random(shape) < share).float()
        qualities = torch.tensor([70.0, 40.0])
        target = random_memory(codec, 2, 5).picture
        writing, reading = ([fresh_tables(model.statistics) for _ in range(2)] for _ in range(2))
        coders = [RangeEncoder() for _ in range(2)]
        with exact_arithmetic():
            prediction = Prediction(random_memory(codec, 2, 6), qualities, intra=False)
            prediction.skip = skip
            symbols = SymbolCoder(model.statistics.quantisers, coders, writing, intra=False)
            missed = codec.transformed(prediction, target, torch.zeros(shape))
            latents = codec.code(prediction, missed, symbols)
            payloads = [coder.finish() for coder in coders]
            decoders = [RangeDecoder(payload) for payload in payloads]
            symbols = SymbolCoder(model.statistics.quantisers, decoders, reading, intra=False)
            read = codec.code(prediction, None, symbols)
            memory = codec.reconstruct(prediction, latents)
        assert torch.equal(latents, read)
        assert not bool((latents * skip).any())
        assert bool((latents * (1 - skip)).any()) == (share < 1)
        assert not bool((memory.magnitudes * skip).any())
        for factor, kept, found in (
            (16, prediction.picture.y, memory.picture.y),
            (8, prediction.picture.uv, memory.picture.uv),
            (2, prediction.past.state, memory.state),
        ):
            inside = enlarged(skip, factor).expand_as(kept)
            assert torch.equal(kept[inside], found[inside])
            assert torch.equal(kept, found) == (share == 1)
        for index, tables in enumerate(reading):
            starts = [table.counts.sum() for table in tables.hyper[1]]
            tables.adapt(intra=False)
            coded = 1 - skip[index, 0].view(HEIGHT // 32, 2, WIDTH // 32, 2).amin((1, 3))
            for table, start in zip(tables.hyper[1], starts, strict=True):
                assert table.counts.sum() - start == HYPER_INCREMENT * int(coded.sum())
            assert (payloads[index] == b"") == (share == 1)


# -- files ----------------------------------------------------------------------------------------------------------


class Moving(FrameList):
    """A source: a view of a still picture that moves by whole samples, 10-bit, so that output and reference are one."""

    def __init__(self, step: tuple[int, int], frames: int = 6) -> None:
        self.info: VideoInfo = clip_info(WIDTH, HEIGHT, frames, bit_depth=10)
        wide = next(iter(clip_frames("static", 2 * WIDTH, 2 * HEIGHT, 1, bit_depth=10))).planes
        self.frames = []
        for t in range(frames):
            y, x = (16 + t * part for part in step)
            luma = wide[0][y : y + HEIGHT, x : x + WIDTH]
            chroma = [plane[y // 2 : (y + HEIGHT) // 2, x // 2 : (x + WIDTH) // 2] for plane in wide[1:]]
            self.frames.append(Frame([luma, *chroma], t, 1))


@functools.cache
def model_with_counts() -> Model:
    """What training starts from, with counts of its own for each table of block maps and motion."""
    start = Statistics.start()
    motion = [
        [counts + index + np.arange(len(counts)) % (3 - kind) for index, counts in enumerate(rows)]
        for kind, rows in enumerate(start.motion)
    ]
    skip = [counts + 3 * index + np.array([0, 5]) for index, counts in enumerate(start.skip)]
    sizes = [counts + 2 * index + np.array([0, 5, 9, 2]) for index, counts in enumerate(start.sizes)]
    statistics = replace(start, motion=motion, skip=skip, sizes=sizes)
    torch.manual_seed(3)
    return exported(FrameCodec(config_named("tiny")), statistics, {}, "counts")[1]


def encode(step: tuple[int, int], **settings: Any) -> tuple[bytes, list[FrameRecord]]:
    sink = io.BytesIO()
    encode_stream(Moving(step), sink, model=model_with_counts(), settings=EncoderSettings(**settings))
    groups = [item for item in Reader(io.BytesIO(sink.getvalue())) if isinstance(item, GopChunk)]
    assert len(groups) == 1
    return sink.getvalue(), list(groups[0].gop.frames)


def decode(data: bytes) -> list[Frame]:
    """With all checksums."""
    items = Decoder(io.BytesIO(data), load_model=lambda _: model_with_counts())
    return [item for item in items if isinstance(item, Frame)]


def read_plainly(records: list[FrameRecord]) -> Iterator[PlainPicture]:
    """Every picture that has a reference, read up to its transform sizes as `lvc/FORMAT.md` says."""
    statistics = model_with_counts().statistics
    kinds, payloads = [record.kind for record in records], [record.payload for record in records]
    group = PlainGroup(statistics.motion, statistics.skip, statistics.sizes, kinds)
    pictures = group.read(payloads, HEIGHT // BLOCK, WIDTH // BLOCK)
    return (picture for picture in pictures if picture.references)


def as_picture(frame: Frame) -> Picture:
    y, u, v = (torch.from_numpy(plane.astype(np.float32)) for plane in frame.planes)
    return Picture(y[None, None], torch.stack([u, v])[None])


def predicted(picture: PlainPicture, frames: list[Frame]) -> Picture:
    """What a picture is predicted to be."""
    assert picture.modes is not None
    modes = torch.from_numpy(picture.modes)
    smooth = torch.tensor([picture.smooth])
    pasts = []
    for number, (reference, vectors) in enumerate(zip(picture.references, picture.fields, strict=True)):
        old, field = as_picture(frames[reference]), torch.from_numpy(vectors)[None]
        used = used_in_batch(modes[None, None], number)
        readers = warp.Interpolator(old.y, warp.LUMA, smooth), warp.Interpolator(old.uv, warp.CHROMA, smooth)
        pasts.append(Picture(*(overlapped(read, field, used) for read in readers)))
    planes = []
    for first, second, side in zip(pasts[0], pasts[-1], (16, 8), strict=True):
        mode = modes.repeat_interleave(side, 0).repeat_interleave(side, 1)
        choices = [first, second, ((first + second) / 2).round(), torch.full_like(first, 512)]
        planes.append(sum(torch.where(mode == number, plane, 0) for number, plane in enumerate(choices)))
    return Picture(*planes)


@pytest.mark.parametrize("kinds", [[0, 1, 1, 1, 1, 1], [0, 2, 2, 2, 1, 1]])
@pytest.mark.parametrize("quality", [30, 60, 95])
@pytest.mark.parametrize("step", [(0, 0), (2, 4)])
def test_skipped_blocks_are_the_reference_moved(
    step: tuple[int, int], quality: int, kinds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if 2 in kinds:
        always_between(monkeypatch, kinds.index(1))
    data, records = encode(step, quality=quality, ablate=frozenset(() if 2 in kinds else {"nobetween"}))
    frames = decode(data)
    assert len(frames) == 6
    assert [record.kind for record in records] == kinds
    shares, moved = [], 0.0
    for picture in read_plainly(records):
        shares.append(float((picture.flags == 1).mean()))
        skip = torch.from_numpy(picture.flags).float()
        guess, new = predicted(picture, frames), as_picture(frames[picture.position])
        assert torch.equal(guess.y[..., enlarged(skip, 16)], new.y[..., enlarged(skip, 16)])
        assert torch.equal(guess.uv[..., enlarged(skip, 8)], new.uv[..., enlarged(skip, 8)])
        assert picture.modes is not None
        still = skip * torch.from_numpy(picture.modes != 3)
        for field in picture.fields:
            sizes = torch.from_numpy(field).abs().sum(2).view(HEIGHT // 16, 2, WIDTH // 16, 2).sum((1, 3))
            still = still * (sizes == 0)
        if len(picture.references) == 1:
            old = as_picture(frames[picture.references[0]])
            assert torch.equal(old.y[..., enlarged(still, 16)], new.y[..., enlarged(still, 16)])
            assert torch.equal(old.uv[..., enlarged(still, 8)], new.uv[..., enlarged(still, 8)])
        moved += float((skip - still).sum())
    assert len(shares) == 5
    if step == (0, 0):
        assert moved == 0
        assert min(shares) > 0.9
    else:
        assert moved > 0
        assert max(shares) > 0.5


def test_without_skipping() -> None:
    """A file of maps that are all empty: other bytes, and a file as any other."""
    data, _ = encode((0, 0))
    other, records = encode((0, 0), ablate=frozenset({"noskip"}))
    assert other != data
    assert len(decode(other)) == 6
    assert not any(picture.flags.any() for picture in read_plainly(records))


# -- which blocks are skipped ---------------------------------------------------------------------------------------


def prediction_of(codec: FrameCodec, seed: int, quality: float) -> Prediction:
    """A picture as if predicted; the choice looks at nothing else."""
    frame = next(iter(clip_frames("static", WIDTH, HEIGHT, 1, bit_depth=10, seed=seed)))
    nothing = codec.nothing(1, (HEIGHT, WIDTH), torch.device("cpu"))
    with exact_arithmetic():
        return Prediction(nothing._replace(picture=as_picture(frame)), torch.tensor([quality]), intra=False)


def noisy(picture: Picture, size: float, cols: slice = slice(None), seed: int = 8) -> Picture:
    """With noise added in some of the columns of 16x16 blocks."""
    random = np.random.default_rng(seed)
    planes = []
    for plane, side in zip(picture, (16, 8), strict=True):
        noise = torch.from_numpy(random.normal(0, size, plane.shape)).float()
        here = torch.zeros(plane.shape[-1] // side)
        here[cols] = 1
        planes.append((plane + noise * here.repeat_interleave(side)).round().clamp(0, 1023))
    return Picture(*planes)


def chosen(prediction: Prediction, target: Picture, vector: int = 0) -> torch.Tensor:
    is_whole = torch.full((len(target.y), HEIGHT // 8, WIDTH // 8), vector % 4 == 0)
    with exact_arithmetic():
        skip = choose_blocks(plain_model().codec, prediction, is_whole, target).skip
    assert skip.shape == (len(target.y), 1, HEIGHT // 16, WIDTH // 16)
    assert bool(((skip == 0) | (skip == 1)).all())
    return skip


def test_little_difference_is_skipped_and_much_is_not() -> None:
    prediction = prediction_of(plain_model().codec, 0, 60.0)
    assert bool(chosen(prediction, noisy(prediction.picture, 4.0)).all())
    assert not bool(chosen(prediction, noisy(prediction.picture, 120.0)).any())


def test_more_is_skipped_where_less_depends_on_it() -> None:
    """In pictures between two, blocks that miss a little more than in anchors, and none fewer."""
    codec, prediction = plain_model().codec, prediction_of(plain_model().codec, 0, 60.0)
    whole = torch.ones(len(prediction.picture.y), HEIGHT // 8, WIDTH // 8, dtype=torch.bool)
    shares = []
    for size in (4.0, 8.0, 10.0, 12.0, 14.0, 16.0, 120.0):
        target = noisy(prediction.picture, size)
        with exact_arithmetic():
            maps = [choose_blocks(codec, prediction, whole, target, between=between).skip for between in (False, True)]
        assert bool((maps[0] <= maps[1]).all())
        shares.append([float(skip.mean()) for skip in maps])
    assert shares[0] == [1.0, 1.0]
    assert shares[-1] == [0.0, 0.0]
    assert sum(between for _, between in shares) > sum(anchor for anchor, _ in shares)


def test_the_choice_is_made_block_by_block() -> None:
    prediction = prediction_of(plain_model().codec, 0, 60.0)
    target = noisy(noisy(prediction.picture, 4.0), 120.0, slice(2, None), seed=9)
    skip = chosen(prediction, target)
    assert bool(skip[..., :2].all())
    assert not bool(skip[..., 2:].any())


def test_a_map_that_costs_more_than_it_wins_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = prediction_of(plain_model().codec, 0, 60.0)
    target = noisy(prediction.picture, 4.0)
    mixed = noisy(target, 120.0, slice(2, None), seed=9)
    monkeypatch.setattr(block_choice, "BORDER_BITS", 1e6)
    assert bool(chosen(prediction, target).all())
    assert not bool(chosen(prediction, mixed).any())
    monkeypatch.setattr(block_choice, "MAP_BITS", 1e6)
    assert not bool(chosen(prediction, target).any())


def test_what_is_fine_at_one_quality_is_too_coarse_at_another() -> None:
    codec = plain_model().codec
    skips = []
    for quality in (20.0, 95.0):
        prediction = prediction_of(codec, 0, quality)
        skips.append(float(chosen(prediction, noisy(prediction.picture, 12.0)).mean()))
    assert skips == [1.0, 0.0]


def test_between_samples_less_is_skipped() -> None:
    """Interpolating again and again blurs, copying does not."""
    prediction = prediction_of(plain_model().codec, 0, 60.0)
    counts = []
    for vector in (8, 5):
        skips = [chosen(prediction, noisy(prediction.picture, size), vector) for size in np.linspace(4, 60, 15)]
        counts.append(sum(float(skip.sum()) for skip in skips))
    assert counts[0] > counts[1] > 0


def test_the_choice_for_a_batch_is_the_choice_for_each() -> None:
    codec = plain_model().codec
    parts = [prediction_of(codec, seed, quality) for seed, quality in ((0, 30.0), (1, 60.0), (2, 95.0))]
    targets = [noisy(part.picture, size) for part, size in zip(parts, (16.0, 120.0, 2.0), strict=True)]
    both = replace(
        parts[0],
        past=Memory.join([part.past for part in parts]),
        quality=torch.cat([part.quality for part in parts]),
    )
    skip = chosen(both, Picture(*(torch.cat(planes) for planes in zip(*targets, strict=True))))
    for index, (part, target) in enumerate(zip(parts, targets, strict=True)):
        assert torch.equal(skip[index : index + 1], chosen(part, target))
    assert 0 < float(skip.mean()) < 1
