"""Encoder and decoder together: the same pictures on both sides, whatever the size, quality, batch or damage."""

import io
import os
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lvc.container import FrameRecord, Gop, GopChunk, Reader, Writer
from lvc.container import limits as container_limits
from lvc.decoder import Decoder, SideSegment
from lvc.encoder import EncodeResult, EncoderSettings, encode_stream, stretch
from lvc.encoder.group import GroupEncoder
from lvc.encoder.scene import SceneCuts
from lvc.encoder.settings import CASCADE, INTRA_BONUS
from lvc.errors import FormatError, InputError, MismatchError, ModelError
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model import Model, find_model
from lvc.picture import checksum, from_frame, padded_size, to_planes
from lvc.progress import Progress
from lvc.video import Frame, VideoInfo
from tests.clips import clip_frames, clip_info
from tests.models import plain_model, tiny_model


class Clip:
    """A source: a generated clip, and perhaps a piece of side data."""

    def __init__(
        self, kind: str, width: int, height: int, frames: int, *, bit_depth: int = 8, side: Iterable[bytes] = ()
    ) -> None:
        self.info = clip_info(width, height, frames, bit_depth=bit_depth)
        self.frames = list(clip_frames(kind, width, height, frames, bit_depth=bit_depth))
        self._side = list(side)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def take_side(self) -> bytes | None:
        return self._side.pop(0) if self._side else None


def encode(clip: Clip, model: Model | None = None, **settings: Any) -> tuple[bytes, EncodeResult]:
    sink = io.BytesIO()
    chosen = EncoderSettings(**{"preset": "fast", **settings})
    result = encode_stream(clip, sink, model=model or tiny_model(), settings=chosen)
    return sink.getvalue(), result


def only_tiny(identity: bytes) -> Model:
    if identity != tiny_model().id:
        raise ModelError("another model")
    return tiny_model()


def decode(data: bytes, model: Model | None = None, **options: Any) -> list[Frame]:
    items = Decoder(io.BytesIO(data), load_model=only_tiny if model is None else lambda _: model, **options)
    return [item for item in items if isinstance(item, Frame)]


def groups(data: bytes) -> list[GopChunk]:
    return [item for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk)]


def same(a: list[Frame], b: list[Frame]) -> bool:
    return len(a) == len(b) and all(
        (x.pts, x.duration) == (y.pts, y.duration)
        and all(np.array_equal(p, q) for p, q in zip(x.planes, y.planes, strict=True))
        for x, y in zip(a, b, strict=True)
    )


def error_of(a: list[Frame], b: list[Frame], bit_depth: int) -> float:
    """Mean squared luma error in 8-bit grey levels."""
    scale = 2.0 ** (8 - bit_depth)
    return float(np.mean([np.square((x.planes[0] * scale) - (y.planes[0] * scale)) for x, y in zip(a, b, strict=True)]))


SIZES = ((33, 17), (16, 16), (64, 48), (97, 65), (32, 128))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_the_decoder_sees_what_the_encoder_saw(size: tuple[int, int], bit_depth: int) -> None:
    """Every picture's checksum, which the encoder made of its own reconstruction, is verified by the decoder."""
    clip = Clip("mix", *size, 5, bit_depth=bit_depth)
    data, result = encode(clip, quality=70, keyint=4)
    frames = decode(data)
    assert result.frames == len(frames) == 5
    assert [len(group.gop.frames) for group in groups(data)] == [4, 1]
    for frame, source in zip(frames, clip.frames, strict=True):
        assert [plane.shape for plane in frame.planes] == [plane.shape for plane in source.planes]
        assert max(int(plane.max()) for plane in frame.planes) < 1 << bit_depth
        assert (frame.pts, frame.duration) == (source.pts, source.duration)
    assert error_of(frames, clip.frames, bit_depth) < 40
    assert same(frames, decode(data))


def test_qualities() -> None:
    """Of a model that adds no errors of its own, as random networks do to whatever is predicted from nothing."""
    clip = Clip("mix", 64, 48, 4)
    sizes, errors = [], []
    for quality in (1, 5, 30, 60, 95, 100):
        data, result = encode(clip, plain_model(), quality=quality)
        assert result.bytes == len(data) == sum(result.parts.values())
        sizes.append(len(data))
        errors.append(error_of(decode(data, plain_model()), clip.frames, 8))
        records = [record.quality for group in groups(data) for record in group.gop.frames]
        bonus = [INTRA_BONUS, *(CASCADE[t % len(CASCADE)] for t in range(1, 4))]
        share = min(1.0, (100 - quality) / 20)
        assert records == [quality + round(share * extra) for extra in bonus]
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1


@pytest.mark.parametrize("preset", ["fast", "medium", "slow"])
def test_presets_are_the_encoders_business(preset: str) -> None:
    data, _ = encode(Clip("zoom", 64, 64, 3), preset=preset)
    assert len(decode(data)) == 3


@pytest.mark.parametrize("part", ["scalar", "noadapt", "nomotion", "nocascade"])
def test_ablations_change_the_file(part: str) -> None:
    clip = Clip("pan", 64, 48, 4)
    # random networks make pictures so rough that nothing is predicted from them
    model = plain_model() if part == "nomotion" else tiny_model()
    plain, _ = encode(clip, model)
    data, _ = encode(clip, model, ablate=frozenset({part}))
    assert data != plain
    if part in ("nomotion", "nocascade"):  # the others need a decoder that leaves the same thing out
        assert len(decode(data, model)) == 4


def test_scene_cuts_start_groups() -> None:
    clip = Clip("cuts", 64, 48, 20)
    data, _ = encode(clip)
    assert [len(group.gop.frames) for group in groups(data)] == [8, 8, 4]
    assert len(decode(data)) == 20
    data, _ = encode(clip, scene_cuts=False)
    assert [len(group.gop.frames) for group in groups(data)] == [20]
    cuts = SceneCuts(8)
    assert not any(cuts.is_cut(frame) for kind in ("pan", "noise") for frame in Clip(kind, 64, 48, 6).frames[:6])


def test_flashes_and_fades_are_no_cuts() -> None:
    def lit(frame: Frame, light: float) -> Frame:
        luma = np.rint(16 + light * (frame.planes[0].astype(float) - 16)).astype(np.uint16)
        return replace(frame, planes=[luma, *frame.planes[1:]])

    frames, others = (list(clip_frames("pan", 96, 64, 12, seed=seed)) for seed in (0, 7))
    for lights in ([1, 1, 1, 0.3, 1, 1, 0.3, 0.3, 1, 1], [1, 1, 1, 0.6, 0.3, 0, 0], [0.1, 0.1, 0.3, 0.6, 1, 1]):
        cuts = SceneCuts(8)
        assert not any(cuts.is_cut(lit(frame, light)) for frame, light in zip(frames, lights, strict=False))
    for light in (1, 0.3):
        cuts = SceneCuts(8)
        found = [cuts.is_cut(frame) for frame in [*frames[:4], *(lit(frame, light) for frame in others[4:8])]]
        assert found == [False] * 4 + [True] + [False] * 3


@pytest.mark.parametrize("lengths", [[3, 3, 3, 3], [2, 2, 2, 1], [1, 1], [5]])
def test_batches_give_the_same_planes(lengths: list[int]) -> None:
    clip = Clip("mix", 49, 32, sum(lengths))
    data, _ = encode(clip, keyint=max(lengths), quality=40)
    assert [len(group.gop.frames) for group in groups(data)] == lengths
    alone = decode(data, batch=1)
    for batch in (2, 3, 4):
        assert same(alone, decode(data, batch=batch))


def test_batches_of_several_kinds_and_qualities() -> None:
    """Groups of unlike length and quality, and with intra pictures in the middle, decode together."""
    pieces = [
        groups(encode(Clip(kind, 32, 48, frames), quality=quality, keyint=9)[0])[0].gop
        for kind, frames, quality in (("pan", 4, 20), ("zoom", 2, 90), ("textures", 5, 55), ("noise", 1, 5))
    ]
    intra = groups(encode(Clip("static", 32, 48, 1), quality=33)[0])[0].gop.frames[0]
    pieces.append(
        Gop((intra, replace(intra, pts=1), *(replace(record, pts=record.pts + 9) for record in pieces[0].frames)))
    )
    pieces = [later(piece, 20 * n) for n, piece in enumerate(pieces)]
    data = written(encode(Clip("pan", 32, 48, 1))[0], pieces)
    with pytest.raises((FormatError, MismatchError)):
        decode(data)  # tables and vectors have adapted: the same bytes after an intra picture mean something else
    data = written(data, [*pieces[:4], later(Gop((intra,)), 80)])
    assert len(decode(data)) == 13
    assert same(decode(data), decode(data, batch=5))


def written(like: bytes, gops: Iterable[Gop]) -> bytes:
    """A file with the header of another and these groups."""
    sink = io.BytesIO()
    with Writer(sink, Reader(io.BytesIO(like)).header) as writer:
        for gop in gops:
            writer.write_gop(gop)
    return sink.getvalue()


def later(gop: Gop, ticks: int) -> Gop:
    """The same group, shown later."""
    return Gop(tuple(replace(frame, pts=frame.pts + ticks) for frame in gop.frames))


def with_payload(gop: Gop, index: int, payload: bytes) -> Gop:
    frames = list(gop.frames)
    frames[index] = replace(frames[index], payload=payload)
    return Gop(tuple(frames))


def damaged_payloads(random: np.random.Generator, payload: bytes) -> Iterator[bytes]:
    yield b""
    yield b"\xff" * len(payload)
    yield b"\xff" * 8 + payload
    yield payload[: len(payload) // 2]
    yield payload[::-1]
    yield random.bytes(len(payload))
    for _ in range(6):
        position = int(random.integers(len(payload)))
        yield payload[:position] + bytes([payload[position] ^ 1 << int(random.integers(8))]) + payload[position + 1 :]


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("quality", [10, 90])
def test_damaged_payloads_with_right_checksums(index: int, quality: int) -> None:
    """Whatever bytes a frame has, decoding ends with a FormatError or a MismatchError, or gives the right pictures."""
    random = np.random.default_rng([index, quality])
    data, _ = encode(Clip("mix", 48, 33, 3), quality=quality)
    right, gop = decode(data), groups(data)[0].gop
    ends: list[str] = []
    for payload in damaged_payloads(random, gop.frames[index].payload):
        bad = written(data, [with_payload(gop, index, payload)])
        try:
            found = decode(bad)
        except (FormatError, MismatchError) as error:
            ends.append(type(error).__name__)
        else:
            ends.append("right")
            assert same(found, right)  # bits after the last symbol have no meaning
        kept = decode(bad, keep_going=True)
        assert len(kept) >= index
        assert same(kept[:index], right[:index])
        assert ends[-1] == "right" or len(kept) == index
    assert ends.count("right") <= 2
    assert {"FormatError", "MismatchError"} <= set(ends)


def test_damage_in_one_group_costs_no_other() -> None:
    clip = Clip("mix", 32, 32, 8)
    data, _ = encode(clip, keyint=2)
    right, gops = decode(data), [group.gop for group in groups(data)]
    for payload in (b"\xff" * 60, b"\x12" * 60):
        bad = written(data, [gops[0], with_payload(gops[1], 0, payload), *gops[2:]])
        for batch in (1, 4):
            decoder = Decoder(io.BytesIO(bad), load_model=only_tiny, batch=batch, keep_going=True)
            assert same([frame for frame in decoder if isinstance(frame, Frame)], right[:2] + right[4:])
            assert len(decoder.damage) == 1
            with pytest.raises((FormatError, MismatchError)):
                decode(bad, batch=batch)


def test_a_wrong_picture_checksum_is_named() -> None:
    data, _ = encode(Clip("pan", 32, 32, 3))
    gop = groups(data)[0].gop
    frames: list[FrameRecord] = list(gop.frames)
    frames[1] = replace(frames[1], check=frames[1].check ^ 1)
    with pytest.raises(MismatchError, match="picture 1 differs"):
        decode(written(data, [Gop(tuple(frames))]))


def test_estimated_bits_are_the_bytes() -> None:
    clip = Clip("mix", 192, 128, 6)
    for quality in (50, 90):
        data, result = encode(clip, quality=quality)
        assert result.estimated_bits / 8 == pytest.approx(len(data), rel=0.01)
        assert result.parts["motion"] + result.parts["hyper"] + result.parts["latents"] > 0.97 * len(data)


@pytest.mark.parametrize("quality", [1, 5, 20])
def test_estimated_bits_are_the_bytes_of_small_files(quality: int) -> None:
    """Where headers, and the ends of payloads, are a good part of them."""
    for kind in ("mix", "static"):
        clip = Clip(kind, 192, 128, 6, side=[b"side data" * 10])
        data, result = encode(clip, find_model(None), quality=quality)
        assert len(data) < 1500
        assert result.estimated_bits / 8 == pytest.approx(len(data), rel=0.01)


def motion_bits(model: Model) -> list[float]:
    """Of each picture of a still scene of 320x176."""
    clip = Clip("static", 320, 176, 6)
    group = GroupEncoder(model, clip.info, EncoderSettings(preset="medium"), torch.device("cpu"))
    with exact_arithmetic():
        coded = [picture for frame in clip for picture in group.encode(frame)] + group.finish()
    assert group.gop.motion_bytes == round(sum(picture.motion_bits for picture in coded) / 8)
    return [picture.motion_bits for picture in coded]


def test_a_still_scene_costs_no_motion() -> None:
    """Under 0.001 bit per pixel, although the reconstruction of the reference is not still."""
    motion = motion_bits(plain_model())
    assert motion[0] == 0
    assert max(motion[2:]) / (320 * 176) < 0.001


def test_a_still_scene_costs_no_motion_with_the_installed_model() -> None:
    """From the first predicted picture on."""
    motion = motion_bits(find_model(None))
    assert motion[0] == 0
    assert max(motion[1:]) / (320 * 176) < 0.001


def test_side_data_pass_through() -> None:
    data, result = encode(Clip("pan", 32, 32, 4, side=[b"first", b"second"]), keyint=2)
    items = list(Decoder(io.BytesIO(data), load_model=only_tiny))
    assert [item.data for item in items if isinstance(item, SideSegment)] == [b"first", b"second"]
    assert result.parts["side"] > 11


def test_groups_end_early_before_they_grow_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip("mix", 48, 48, 8)
    whole, _ = encode(clip, quality=80)
    sizes = [len(record.payload) for record in groups(whole)[0].gop.frames]
    monkeypatch.setattr(stretch, "GROUP_BYTES", sum(sizes[:3]))
    data, _ = encode(clip, quality=80)
    lengths = [len(group.gop.frames) for group in groups(data)]
    assert lengths[0] == 3
    assert sum(lengths) == 8
    assert len(decode(data)) == 8
    assert stretch.GROUP_BYTES < container_limits.MAX_CHUNK_BYTES


def test_groups_have_at_most_so_many_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_limits, "MAX_GOP_FRAMES", 3)
    data, _ = encode(Clip("pan", 32, 32, 7), keyint=3)
    assert [len(group.gop.frames) for group in groups(data)] == [3, 3, 1]


def test_a_source_without_frames() -> None:
    clip = Clip("pan", 32, 32, 1)
    clip.frames.clear()
    with pytest.raises(InputError, match="no frames"):
        encode(clip)


def test_memory_does_not_grow_with_the_length() -> None:
    """What Python keeps after 24 pictures is no more than after 12, encoder and decoder alike."""
    clip = Clip("pan", 64, 64, 24)
    data, _ = encode(clip, keyint=4)
    kept: list[int] = []

    def look(step: Progress) -> None:
        if step.frames % 12 == 0:
            kept.append(tracemalloc.get_traced_memory()[0])

    settings = EncoderSettings(preset="fast", keyint=4)
    tracemalloc.start()
    with open(os.devnull, "wb") as sink:
        encode_stream(clip, sink, model=tiny_model(), settings=settings, progress=look)
    for _ in Decoder(io.BytesIO(data), load_model=only_tiny, progress=look):
        pass
    tracemalloc.stop()
    assert len(kept) == 4
    assert kept[1] < kept[0] + 100_000
    assert kept[3] < kept[2] + 100_000


def test_progress() -> None:
    seen = []
    clip = Clip("pan", 32, 32, 5)
    sink = io.BytesIO()
    settings = EncoderSettings(keyint=2, preset="fast")
    encode_stream(clip, sink, model=tiny_model(), settings=settings, progress=seen.append)
    decode(sink.getvalue(), progress=seen.append)
    assert [step.frames for step in seen] == [1, 2, 3, 4, 5] * 2


def test_frames_of_a_picture() -> None:
    """Padding repeats the last row and column, 8 bits are rounded, and what was padded is cut off again."""
    random = np.random.default_rng(1)
    for bit_depth in (8, 10):
        info = VideoInfo(33, 17, bit_depth)
        top = 1 << bit_depth
        planes = [random.integers(0, top, shape).astype(np.uint16) for shape in ((17, 33), (9, 17), (9, 17))]
        picture = from_frame(Frame(planes, 0, 1), info, torch.device("cpu"))
        assert padded_size(info) == (32, 64) == tuple(picture.y.shape[2:])
        assert picture.uv.shape == (1, 2, 16, 32)
        assert bool((picture.y[0, 0, 17:, 33:] == picture.y[0, 0, 16, 32]).all())
        back = to_planes(picture, info)[0]
        assert all(np.array_equal(a, b) for a, b in zip(back, planes, strict=True))
        assert checksum(back, info) == checksum(planes, info)
    rounded = to_planes(picture._replace(y=torch.full_like(picture.y, 1022)), VideoInfo(33, 17, 8))[0]
    assert bool((rounded[0] == 255).all())
