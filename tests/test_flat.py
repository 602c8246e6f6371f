"""Intra pictures of one colour."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from lvc.container import GopChunk, Reader
from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream
from lvc.model.flat import Flat, code_flat, flat_parts, fresh_flat_tables
from lvc.model.prediction import Picture
from lvc.rangecoder import RangeDecoder, RangeEncoder, learn
from lvc.video import Frame, Plane
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import tiny_model
from tests.plain_group import PlainGroup


@pytest.mark.parametrize("flat", [Flat(0, (0, 0)), Flat(1023, (1023, 1023)), Flat(None, (512, 513)), None])
@pytest.mark.parametrize("intra", [True, False])
def test_codes_what_it_is_given(flat: Flat | None, intra: bool) -> None:
    if not intra and flat is not None:
        flat = Flat(None, (300, 400))  # as is known
    known = None if intra else (300, 400)
    writing, reading = fresh_flat_tables(), fresh_flat_tables()
    bits = []
    for _ in range(9):
        encoder = RangeEncoder()
        assert code_flat(encoder, writing[not intra], known, flat) == flat
        decoder = RangeDecoder(encoder.finish())
        assert code_flat(decoder, reading[not intra], known, None) == flat
        bits.append(encoder.bits - (0 if flat is None or not intra else 20 if flat.luma is None else 30))
        learn(writing, [encoder.seen])
        learn(reading, [decoder.seen])
    assert bits[0] < (0.1 if flat is None else 6)
    assert bits[-1] < (0.1 if flat is None else 1.5)


def test_one_other_sample_is_another_picture() -> None:
    planes = torch.full((1, 1, 32, 64), 64.0), torch.full((1, 2, 16, 32), 512.0)
    assert flat_parts(Picture(*planes)) == Flat(64, (512, 512))
    for number, plane in enumerate(planes):
        for at in (0, plane.numel() // 2 - 1, plane.numel() - 1):
            changed = [each.clone() for each in planes]
            changed[number].view(-1)[at] = 65
            assert flat_parts(Picture(*changed)) == (None if number else Flat(None, (512, 512)))


class Cards(FrameList):
    """A source of pictures of one colour, two of each, and of parts of a clip."""

    def __init__(self, colours: Sequence[tuple[int, int, int] | None], bit_depth: int = 8) -> None:
        self.info = clip_info(49, 35, 2 * len(colours), bit_depth=bit_depth)
        clip = list(clip_frames("pan", 49, 35, 2 * len(colours), bit_depth=bit_depth))
        sides = (35, 49), (18, 25), (18, 25)
        self.frames = []
        for t, frame in enumerate(clip):
            colour = colours[t // 2]
            flat: list[Plane] = [
                np.full(side, part, np.uint16) for side, part in zip(sides, colour or (0, 0, 0), strict=True)
            ]
            self.frames.append(Frame(flat if colour else frame.planes, t, 1))


@pytest.mark.parametrize("tune", ["psnr", "ssim"])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_files(bit_depth: int, batch: int, tune: str) -> None:
    """Flat pictures are exact and take a few bytes, alone and in batches with others; the plain reader sees them."""
    unit = 1 << (bit_depth - 8)
    colours = [(16 * unit, 128 * unit, 128 * unit), None, (235 * unit, 90 * unit, 201 * unit), None]
    clip, sink = Cards(colours, bit_depth), io.BytesIO()
    encode_stream(clip, sink, model=tiny_model(), settings=EncoderSettings(quality=30, keyint=2, tune=tune))
    decoder = Decoder(io.BytesIO(sink.getvalue()), batch=batch, load_model=lambda _: tiny_model())
    frames = [item for item in decoder if isinstance(item, Frame)]  # with all checksums
    assert len(frames) == len(clip.frames)
    groups = [item.gop for item in Reader(io.BytesIO(sink.getvalue())) if isinstance(item, GopChunk)]
    statistics = tiny_model().statistics
    for number, (colour, group) in enumerate(zip(colours, groups, strict=True)):
        first = group.frames[0]
        assert (len(first.payload) < 10) == (colour is not None)
        assert not (colour and first.has_levels)
        if colour is None:
            continue
        for plane, part in zip(frames[2 * number].planes, colour, strict=True):
            assert (plane == part).all()
        plain = PlainGroup(statistics.motion, statistics.skip, statistics.sizes, [frame.kind for frame in group.frames])
        next(plain.read([frame.payload for frame in group.frames], 4, 4))
        assert plain.flat == [colour[at] << (10 - bit_depth) for at in (1, 2, 0)]


def test_what_follows_is_predicted_from_it() -> None:
    """A card that stands is sent once."""
    sink = io.BytesIO()
    encode_stream(Cards([(80, 120, 140)] * 5), sink, model=tiny_model(), settings=EncoderSettings(quality=50))
    for frame in Decoder(io.BytesIO(sink.getvalue()), load_model=lambda _: tiny_model()):
        if isinstance(frame, Frame):
            assert [(int(plane.min()), int(plane.max())) for plane in frame.planes] == [
                (80, 80),
                (120, 120),
                (140, 140),
            ]
    (group,) = (item.gop for item in Reader(io.BytesIO(sink.getvalue())) if isinstance(item, GopChunk))
    assert sum(len(frame.payload) for frame in group.frames) < 100


class Grey(FrameList):
    """A source whose chroma is of one colour, of another one from the middle on."""

    def __init__(self, chroma: Sequence[tuple[int, int]], bit_depth: int = 8) -> None:
        self.info = clip_info(64, 48, len(chroma), bit_depth=bit_depth)
        self.frames = []
        for frame, colours in zip(clip_frames("pan", 64, 48, len(chroma), bit_depth=bit_depth), chroma, strict=True):
            planes = [np.full((24, 32), colour, np.uint16) for colour in colours]
            self.frames.append(Frame([frame.planes[0], *planes], frame.pts, 1))


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(
    "chroma", [[(128, 128)] * 10, [(100, 150)] * 10, [(100, 150)] * 5 + [(128, 128)] * 5, [(0, 255)] * 10]
)
def test_films_in_black_and_white(chroma: list[tuple[int, int]], batch: int) -> None:
    """Chroma is exact, where it is that of the intra picture of its group."""
    clip, sink = Grey(chroma), io.BytesIO()
    encode_stream(clip, sink, model=tiny_model(), settings=EncoderSettings(quality=30, keyint=5))
    decoder = Decoder(io.BytesIO(sink.getvalue()), batch=batch, load_model=lambda _: tiny_model())
    frames = [item for item in decoder if isinstance(item, Frame)]  # with all checksums
    for found, wanted in zip(frames, clip.frames, strict=True):
        for plane, source in zip(found.planes[1:], wanted.planes[1:], strict=True):
            assert np.array_equal(plane, source)
        assert not np.array_equal(found.planes[0], wanted.planes[0])


def test_chroma_that_changes_within_a_group() -> None:
    """It is coded as any other from then on; what is flat without the intra picture being so is grey."""
    moved = [(100, 150)] * 3 + [(140, 90)] * 3
    for clip in (Grey(moved), Grey([(128, 128)] * 6)):
        if clip.frames[0].planes[1][0, 0] == 128:
            clip.frames[0].planes[1][3, 3] = 129
        sink = io.BytesIO()
        encode_stream(clip, sink, model=tiny_model(), settings=EncoderSettings(quality=60))
        items = Decoder(io.BytesIO(sink.getvalue()), load_model=lambda _: tiny_model())
        frames = [item for item in items if isinstance(item, Frame)]
        exact = [
            all(np.array_equal(a, b) for a, b in zip(found.planes[1:], wanted.planes[1:], strict=True))
            for found, wanted in zip(frames, clip.frames, strict=True)
        ]
        assert exact == ([True] * 3 + [False] * 3 if clip.frames[0].planes[1][3, 3] == 100 else [False] + [True] * 5)


def test_grey_takes_no_bits_of_chroma() -> None:
    """The same luma with chroma that is coded takes more."""
    sizes = []
    for ablate in (False, True):
        clip, sink = Grey([(128, 128)] * 5), io.BytesIO()
        if ablate:
            for frame in clip.frames:
                frame.planes[1][0, 0] = 131
        encode_stream(clip, sink, model=tiny_model(), settings=EncoderSettings(quality=50))
        sizes.append(len(sink.getvalue()))
    assert sizes[0] < 0.98 * sizes[1]
