"""Damage behind right checksums: the decoder names where it is, and loses no more than it must."""

import io
from typing import Any

import numpy as np
import pytest

from lvc.container import GopChunk, Reader, SideChunk, Writer
from lvc.decoder import Decoder, SideSegment
from lvc.errors import LvcError
from lvc.group_decoder import GroupDecoder
from lvc.media.head import Head, pack_head
from lvc.video import Frame
from tests.models import tiny_model
from tests.test_codec import Clip, damaged_payloads, encode, same, with_payload

KEYINT = 2
HEAD = pack_head(Head({"title": "A title"}))
PACKET = b"P\1\0\0\1x"


@pytest.fixture(scope="module")
def coded() -> bytes:
    """Five groups of two pictures."""
    return encode(Clip("mix", 32, 32, 5 * KEYINT), keyint=KEYINT)[0]


def gop_chunks(data: bytes) -> list[GopChunk]:
    return [item for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk)]


def with_second_pictures(data: bytes, payload: bytes, numbers: list[int]) -> bytes:
    """The file with another payload of the second picture of some groups."""
    sink = io.BytesIO()
    with Writer(sink, Reader(io.BytesIO(data)).header) as writer:
        for number, item in enumerate(gop_chunks(data)):
            writer.write_gop(with_payload(item.gop, 1, payload) if number in numbers else item.gop)
    return sink.getvalue()


def with_side(data: bytes, *segments: bytes) -> bytes:
    """The file with a segment of side streams before each of the first groups."""
    sink, left = io.BytesIO(), list(segments)
    with Writer(sink, Reader(io.BytesIO(data)).header) as writer:
        for item in gop_chunks(data):
            if left:
                writer.write_side(left.pop(0))
            writer.write_gop(item.gop)
    return sink.getvalue()


def decoded(data: bytes, batch: int = 1, *, keep_going: bool = False) -> tuple[list[Frame | SideSegment], list[str]]:
    """What comes out, and the damage or the error."""
    decoder = Decoder(io.BytesIO(data), load_model=lambda _: tiny_model(), batch=batch, keep_going=keep_going)
    items: list[Frame | SideSegment] = []
    try:
        items.extend(decoder)
    except LvcError as error:
        assert not keep_going
        return items, [f"{type(error).__name__}: {error}"]
    return items, decoder.damage


def frames_of(items: list[Frame | SideSegment]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


def damage_of(data: bytes, kind: str) -> bytes:
    """A payload of the second picture that ends in this error."""
    payload = gop_chunks(data)[0].gop.frames[1].payload
    tried = damaged_payloads(np.random.default_rng(1), payload)
    return next(bad for bad in tried if kind in str(decoded(with_second_pictures(data, bad, [0]))[1]))


@pytest.mark.parametrize("kind", ["FormatError", "MismatchError"])
@pytest.mark.parametrize("numbers", [[0], [2], [4], [1, 2], [1, 3]])
def test_batches_name_the_group_and_lose_no_other(coded: bytes, kind: str, numbers: list[int]) -> None:
    """Whatever their size, all is as with one group at a time."""
    data = with_second_pictures(coded, damage_of(coded, kind), numbers)
    right = frames_of(decoded(coded)[0])
    first = numbers[0]
    place = f"picture {KEYINT * first + 1} " if kind == "MismatchError" else f"byte {gop_chunks(data)[first].position}"
    kept = [frame for n, frame in enumerate(right) if n % KEYINT == 0 or n // KEYINT not in numbers]
    told = decoded(data, keep_going=True)[1]
    assert len(told) == len(numbers)
    for batch in (1, 2, 3, 8):
        found, error = decoded(data, batch)
        assert same(frames_of(found), right[: KEYINT * first + 1])
        assert kind in error[0]
        assert place in error[0]
        found, damage = decoded(data, batch, keep_going=True)
        assert same(frames_of(found), kept)
        assert damage == told
        assert place in damage[0]


def test_batches_with_damage_are_still_batches(coded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those pictures that were to be decoded with the damaged one are decoded alone, and its group ends there."""
    sizes: list[int] = []
    original = GroupDecoder._decode_pictures

    def pictures(self: GroupDecoder, places: list[Any]) -> Any:
        sizes.append(len(places))
        return original(self, places)

    monkeypatch.setattr(GroupDecoder, "_decode_pictures", pictures)
    data = with_second_pictures(coded, damage_of(coded, "FormatError"), [3])
    sizes.clear()
    decoded(data, 2, keep_going=True)
    assert sizes == [2] * KEYINT + [2, 2, 1, 1] + [1] * (KEYINT - 2) + [1] * KEYINT


@pytest.mark.parametrize(
    ("segments", "bad"),
    [
        ((HEAD, HEAD), 1),
        ((PACKET, HEAD), 1),
        ((HEAD, PACKET), 1),
        ((HEAD, b""), 1),
        ((b"H", b"?"), 0),
        ((HEAD.replace(b"A title", b"\xff" * 7), b"?"), 0),
        ((b"P\x80", b"?"), 0),
    ],
)
@pytest.mark.parametrize("batch", [1, 8])
def test_damaged_side_segments_are_named_and_left_out(
    coded: bytes, segments: tuple[bytes, bytes], bad: int, batch: int
) -> None:
    data = with_side(coded, *segments)
    side = [item for item in Reader(io.BytesIO(data)) if isinstance(item, SideChunk)][bad]
    begin = side.payload_position
    assert data[begin : begin + len(side.data)] == segments[bad]
    _, (error,) = decoded(data, batch)
    assert error.startswith("FormatError: side streams: ")
    assert begin <= int(error.rpartition("(at byte ")[2].rstrip(")")) <= begin + len(side.data)
    found, damage = decoded(data, batch, keep_going=True)
    assert damage == [error.removeprefix("FormatError: ")]
    assert [item.data for item in found if isinstance(item, SideSegment)] == [segments[1 - bad]]
    assert len(frames_of(found)) == 5 * KEYINT
