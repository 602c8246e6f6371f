"""What a skipped block keeps."""

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
from lvc.encoder import EncoderSettings, encode_stream
from lvc.exact import warp
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.overlap import overlapped
from lvc.model import Model
from lvc.model.codec import FrameCodec
from lvc.model.config import config_named
from lvc.model.entropy import SymbolCoder
from lvc.model.group import fresh_tables
from lvc.model.modes import used_in_batch
from lvc.model.prediction import Memory, Picture, Prediction
from lvc.model.skip import BLOCK
from lvc.model.weights import HYPER_INCREMENT, Statistics
from lvc.rangecoder import RangeDecoder, RangeEncoder, learn
from lvc.training.export import exported
from lvc.video import Frame, VideoInfo
from tests.between import always_between
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import tiny_model
from tests.plain_format import weighted
from tests.plain_group import PlainGroup, PlainPicture

WIDTH, HEIGHT = 96, 64


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
            learn(tables.all(), [decoders[index].seen])
            coded = 1 - skip[index, 0].view(HEIGHT // 32, 2, WIDTH // 32, 2).amin((1, 3))
            for table, start in zip(tables.hyper[1], starts, strict=True):
                assert table.counts.sum() - start == HYPER_INCREMENT * int(coded.sum())
            assert (payloads[index] == b"") == (share == 1)


class Moving(FrameList):
    """A source: a view of a still picture that moves by whole samples, and fades by a share of its light each time.

    10-bit, so that output and reference are one.
    """

    def __init__(self, step: tuple[int, int], fade: float = 0.0, frames: int = 6) -> None:
        self.info: VideoInfo = clip_info(WIDTH, HEIGHT, frames, bit_depth=10)
        wide = next(iter(clip_frames("static", 2 * WIDTH, 2 * HEIGHT, 1, bit_depth=10))).planes
        self.frames = []
        for t in range(frames):
            y, x = (16 + t * part for part in step)
            luma = wide[0][y : y + HEIGHT, x : x + WIDTH]
            chroma = [plane[y // 2 : (y + HEIGHT) // 2, x // 2 : (x + WIDTH) // 2] for plane in wide[1:]]
            dimmed = [
                np.rint(black + (1 - fade * t) * (plane.astype(float) - black)).astype(np.uint16)
                for plane, black in zip([luma, *chroma], (64, 512, 512), strict=True)
            ]
            self.frames.append(Frame(dimmed, t, 1))


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


def encode(step: tuple[int, int], fade: float = 0.0, **settings: Any) -> tuple[bytes, list[FrameRecord]]:
    sink = io.BytesIO()
    encode_stream(Moving(step, fade), sink, model=model_with_counts(), settings=EncoderSettings(**settings))
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


def as_picture(frame: Frame, weight: tuple[int, ...] = (256, 0, 0, 0)) -> Picture:
    """Weighted as `lvc/FORMAT.md` says."""
    y, u, v = (
        torch.from_numpy(weighted(plane.astype(np.int64), which, weight)).float()
        for which, plane in enumerate(frame.planes)
    )
    return Picture(y[None, None], torch.stack([u, v])[None])


def predicted(picture: PlainPicture, frames: list[Frame]) -> Picture:
    """What a picture is predicted to be."""
    assert picture.modes is not None
    modes = torch.from_numpy(picture.modes)
    smooth = torch.tensor([picture.smooth])
    pasts = []
    for number, (reference, vectors) in enumerate(zip(picture.references, picture.fields, strict=True)):
        old, field = as_picture(frames[reference], picture.weights[number]), torch.from_numpy(vectors)[None]
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


@pytest.mark.parametrize("kinds", [[0, 1, 1, 1, 1, 1], [0, 2, 2, 2, 1, 1]])
@pytest.mark.parametrize("step", [(0, 0), (2, 4)])
def test_skipped_blocks_of_weighted_references(
    step: tuple[int, int], kinds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a fade blocks are skipped, too: their references are made darker, or brighter where they are darker."""
    if 2 in kinds:
        always_between(monkeypatch, kinds.index(1))
    fading = frozenset(() if 2 in kinds else {"nobetween"})
    data, records = encode(step, 0.15, quality=40, ablate=fading)
    frames = decode(data)
    assert [record.kind for record in records] == kinds
    shares = []
    for picture in read_plainly(records):
        for reference, (gain, *_) in zip(picture.references, picture.weights, strict=True):
            light, before = (1 - 0.15 * position for position in (picture.position, reference))
            assert gain == pytest.approx(256 * light / before, rel=0.12)
        skip = torch.from_numpy(picture.flags).float()
        shares.append(float(skip.mean()))
        guess, new = predicted(picture, frames), as_picture(frames[picture.position])
        assert torch.equal(guess.y[..., enlarged(skip, 16)], new.y[..., enlarged(skip, 16)])
        assert torch.equal(guess.uv[..., enlarged(skip, 8)], new.uv[..., enlarged(skip, 8)])
    assert max(shares) > 0.4
    other, _ = encode(step, 0.15, quality=40, ablate=fading | {"noweighting"})
    assert len(other) > 1.1 * len(data)


def test_without_skipping() -> None:
    """A file of maps that are all empty: other bytes, and a file as any other."""
    data, _ = encode((0, 0))
    other, records = encode((0, 0), ablate=frozenset({"noskip"}))
    assert other != data
    assert len(decode(other)) == 6
    assert not any(picture.flags.any() for picture in read_plainly(records))
