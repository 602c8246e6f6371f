"""Weighted references: their syntax, what they are made of, when they are chosen, and what they bring."""

import io

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream
from lvc.encoder import predictor as encoder_predictor
from lvc.encoder.weighting_choice import likely_weighting
from lvc.model import find_model
from lvc.model.prediction import Picture
from lvc.model.weighting import (
    GAIN_MAX,
    OFFSET_MAX,
    OFFSET_MIN,
    UNIT,
    Weighting,
    code_weighting,
    fresh_weighting_tables,
)
from lvc.rangecoder import RangeDecoder, RangeEncoder, learn
from lvc.video import Frame
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import plain_model, tiny_model
from tests.plain_format import PlainDecoder, PlainWeighting, weighted

EXTREMES = [
    Weighting(gain, offset, *chroma)
    for gain in (0, UNIT, GAIN_MAX)
    for offset in (OFFSET_MIN, 0, OFFSET_MAX)
    for chroma in ((0, 0), (0, 7), (OFFSET_MAX, OFFSET_MIN))
]


def test_codes_what_it_is_given() -> None:
    """Decoder and plain reader alike, with tables that learn."""
    random = np.random.default_rng(1)
    for kind in (0, 1):
        writing, reading = fresh_weighting_tables(), fresh_weighting_tables()
        plain = PlainWeighting([table.counts for table in writing])
        for number in range(20):
            wanted = [random.choice([None, *range(len(EXTREMES))]) for _ in range(1 + kind)]
            weights = [None if each is None else EXTREMES[each] for each in wanted]
            encoder = RangeEncoder()
            assert [code_weighting(encoder, writing[kind], each) for each in weights] == weights
            payload = encoder.finish()
            decoder = RangeDecoder(payload)
            assert [code_weighting(decoder, reading[kind], None) for _ in weights] == weights, number
            assert plain.read(PlainDecoder(payload), 1 + kind) == [each or (UNIT, 0, 0, 0) for each in weights]
            learn(writing, [encoder.seen])
            learn(reading, [decoder.seen])
            plain.adapt()


def test_references_as_they_are_cost_next_to_nothing() -> None:
    tables = fresh_weighting_tables()
    encoder = RangeEncoder()
    code_weighting(encoder, tables[0], None)
    assert encoder.bits < 0.05


@pytest.mark.parametrize("weighting", [*EXTREMES, Weighting(217, 11), Weighting(129, -3, 40, -2)])
def test_pictures_are_weighted_in_integers(weighting: Weighting) -> None:
    luma = np.arange(1024).reshape(1, 1, 32, 32)
    found = weighting.of(Picture(torch.from_numpy(luma).float(), torch.from_numpy(luma).float().expand(1, 2, -1, -1)))
    assert found.y.tolist() == weighted(luma, 0, weighting).tolist()
    assert found.uv[:, :1].tolist() == weighted(luma, 1, weighting).tolist()
    assert found.uv[:, 1:].tolist() == weighted(luma, 2, weighting).tolist()


# -- choice ---------------------------------------------------------------------------------------------------------


def picture_of(kind: str, t: int = 0) -> Picture:
    """320x176, 10-bit."""
    *_, frame = clip_frames(kind, 320, 176, t + 1, bit_depth=10)
    y, u, v = (torch.from_numpy(plane.astype(np.float32)) for plane in frame.planes)
    return Picture(y[None, None], torch.stack([u, v])[None])


@pytest.mark.parametrize(("gain", "offset"), [(0.8, 0), (1.1, -30), (1.0, 40), (0.3, 45), (0.0, 64)])
@pytest.mark.parametrize("motion", [0, 2])
@pytest.mark.parametrize("chroma", [0, 90])
def test_finds_what_has_changed(gain: float, offset: int, chroma: int, motion: int) -> None:
    """What comes into sight has a little to say, too."""
    old, new = picture_of("pan"), picture_of("pan", motion)
    dimmed = (new.y * gain + offset).round().clamp(0, 1023)
    tinted = ((new.uv - 512) * gain + 512 + chroma).round().clamp(0, 1023)
    found = likely_weighting(Picture(dimmed, tinted), old)
    assert found is not None
    assert found.gain == pytest.approx(UNIT * gain, abs=1 + 10 * motion)
    mean = float(old.y.mean())
    assert mean * found.gain / UNIT + found.offset == pytest.approx(mean * gain + offset, abs=1 + 4 * motion)
    assert found[2:] == pytest.approx((chroma, chroma), abs=1 + 4 * motion)


def test_offsets_are_within_what_can_be_sent() -> None:
    """Colours that turn to their opposite while light rises fourfold."""
    old = picture_of("pan")
    dim = Picture(old.y / 4, torch.full_like(old.uv, 0.0))
    found = likely_weighting(Picture(old.y, torch.full_like(old.uv, 1023.0)), dim)
    assert found is not None
    assert found.gain > 3 * UNIT
    assert found[2:] == (OFFSET_MAX, OFFSET_MAX)
    encoder = RangeEncoder()
    code_weighting(encoder, fresh_weighting_tables()[0], found)
    assert code_weighting(RangeDecoder(encoder.finish()), fresh_weighting_tables()[0], None) == found


@pytest.mark.parametrize("motion", [0, 1, 4])
@pytest.mark.parametrize("kind", ["pan", "zoom", "textures", "noise"])
def test_leaves_references_alone(kind: str, motion: int) -> None:
    assert likely_weighting(picture_of(kind, motion), picture_of(kind)) is None


# -- files ----------------------------------------------------------------------------------------------------------


class Source(FrameList):
    """16 pictures; those of "fade" are black after 13."""

    def __init__(self, kind: str = "fade", size: tuple[int, int] = (96, 64), bit_depth: int = 8) -> None:
        self.info = clip_info(*size, 16, bit_depth=bit_depth)
        self.frames = list(clip_frames(kind, *size, 16, bit_depth=bit_depth))


def watched(monkeypatch: pytest.MonkeyPatch, left_out: int = 1000) -> list[Weighting | None]:
    """What will be found likely; one of so many is left out."""
    found: list[Weighting | None] = []

    def look(*arguments: Picture) -> Weighting | None:
        found.append(None if (len(found) + 1) % left_out == 0 else likely_weighting(*arguments))
        return found[-1]

    monkeypatch.setattr(encoder_predictor, "likely_weighting", look)
    return found


def frames_of(data: bytes, model: object, batch: int = 1) -> list[Frame]:
    """With all checksums."""
    decoder = Decoder(io.BytesIO(data), batch=batch, load_model=lambda _: model)  # type: ignore[arg-type,return-value]
    return [item for item in decoder if isinstance(item, Frame)]


def error_of(frames: list[Frame], wanted: list[Frame]) -> float:
    pairs = zip(frames, wanted, strict=True)
    return float(np.mean([np.square(a.planes[0].astype(float) - b.planes[0]).mean() for a, b in pairs]))


@pytest.mark.parametrize("keyint", [250, 5])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_decoders_weight_as_encoders_do(bit_depth: int, keyint: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone and in batches, in which some references are weighted and others are not."""
    likely = watched(monkeypatch, left_out=3)
    sink = io.BytesIO()
    encode_stream(
        Source(bit_depth=bit_depth), sink, model=tiny_model(), settings=EncoderSettings(quality=50, keyint=keyint)
    )
    assert {each is None for each in likely} == {True, False}
    alone, together = (frames_of(sink.getvalue(), tiny_model(), batch) for batch in (1, 4))
    planes: list[list[npt.NDArray[np.uint16]]] = [
        [p for frame in each for p in frame.planes] for each in (alone, together)
    ]
    assert len(alone) == 16
    assert all(np.array_equal(a, b) for a, b in zip(*planes, strict=True))


def test_a_fade_is_smaller_and_better() -> None:
    clip, sizes, errors = Source(), [], []
    for ablate in (frozenset[str](), frozenset({"noweighting"})):
        sink = io.BytesIO()
        encode_stream(clip, sink, model=plain_model(), settings=EncoderSettings(quality=50, ablate=ablate))
        sizes.append(len(sink.getvalue()))
        errors.append(error_of(frames_of(sink.getvalue(), plain_model()), clip.frames))
    assert sizes[0] < 0.8 * sizes[1]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("size", [(80, 64), (160, 96)])
def test_a_zoom_is_no_fade(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes into sight and what leaves it makes small pictures lighter or darker, but not what stays."""
    data, likely = [], watched(monkeypatch)
    for ablate in (frozenset[str](), frozenset({"noweighting"})):
        sink = io.BytesIO()
        encode_stream(Source("zoom", size), sink, model=find_model("lite"), settings=EncoderSettings(ablate=ablate))
        data.append(sink.getvalue())
    assert any(likely)
    assert data[0] == data[1]


def test_black_is_black() -> None:
    """After a fade nothing is left of what there was: exactly, and for next to no bytes."""
    clip, sink = Source(), io.BytesIO()
    encode_stream(clip, sink, model=find_model("lite"), settings=EncoderSettings(quality=40))
    for frame in frames_of(sink.getvalue(), find_model("lite"))[-3:]:
        for plane, black in zip(frame.planes, (16, 128, 128), strict=True):
            assert (plane == black).all()
