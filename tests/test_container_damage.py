"""No damage of a `.lvc` file goes unnoticed or does harm, with right checksums or without."""

import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvc.container import GopChunk, Reader, SideChunk, limits
from lvc.container.gop import pack_gop
from lvc.errors import FormatError, LvcError, TruncatedError
from tests.container_files import (
    FIRST_CHUNK,
    SMALL,
    group,
    mixed,
    read,
    with_chunk,
    write,
)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_found_and_named(mask: int) -> None:
    for i in range(len(SMALL)):
        data = bytearray(SMALL)
        data[i] ^= mask
        with pytest.raises(FormatError) as caught:
            read(bytes(data))
        position = caught.value.position
        assert position is not None
        assert position <= i or isinstance(caught.value, TruncatedError), i
        if i >= FIRST_CHUNK:
            reader, items = read(bytes(data), keep_going=True)
            assert reader.damage, i
            before = [item for item in read(SMALL)[1] if item.position + item.size <= i]
            assert items[: len(before)] == before


def test_every_truncation_is_found_and_what_came_before_is_given() -> None:
    whole = read(SMALL)[1]
    for size in range(len(SMALL)):
        with pytest.raises(TruncatedError):
            read(SMALL[:size])
        if size >= FIRST_CHUNK:
            reader, items = read(SMALL[:size], keep_going=True)
            assert reader.truncated
            assert len(reader.damage) == 1
            before = [item for item in whole if item.position + item.size <= size]
            assert items[: len(before)] == before
            assert all(isinstance(item, GopChunk) and item.damaged for item in items[len(before) :])


def test_frames_before_the_cut_are_kept() -> None:
    gop = group(0, 10, size=50)
    data = write(gop, close=False)
    reader, items = read(data[: len(data) - 4 - 3 * 50 - 1], keep_going=True)
    assert isinstance(items[0], GopChunk)
    assert items[0].damaged
    assert items[0].gop.frames == gop.frames[:6]
    assert reader.total_frames == 6


@pytest.mark.parametrize(
    ("kinds", "left"),
    [
        ([0, 2, 2, 2, 1, 2, 2, 2, 1], [1, 1, 1, 1, 5, 5, 5, 5, 9]),
        ([0, 1, 2, 1, 2, 2, 1, 1], [1, 2, 2, 4, 4, 4, 7, 8]),
    ],
)
def test_what_is_cut_off_ends_with_an_anchor(kinds: list[int], left: list[int]) -> None:
    """Frames between two anchors are of no use without the second one."""
    gop = mixed(kinds)
    data = write(gop, close=False)
    for count, usable in enumerate(left, 1):
        missing = 7 * (len(kinds) - count)
        for more in (0, 1, 6) if missing else (0,):
            reader, items = read(data[: len(data) - 4 - missing + more], keep_going=True)
            assert isinstance(items[0], GopChunk)
            assert items[0].damaged
            assert items[0].gop.frames == gop.frames[:usable]
            assert reader.total_frames == usable


def test_going_on_after_a_damaged_chunk() -> None:
    data = bytearray(write(group(0, 3, size=50), b"sound", group(3, 3)))
    data[FIRST_CHUNK + 100] ^= 1
    reader, items = read(bytes(data), keep_going=True)
    assert [type(item) for item in items] == [GopChunk, SideChunk, GopChunk]
    assert [item.damaged for item in items if isinstance(item, GopChunk)] == [True, False]
    assert len(reader.damage) == 1
    assert str(FIRST_CHUNK) in reader.damage[0]
    assert not reader.truncated


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"GOP ", b"SIDE", b"INDX", b"END "]), st.binary(max_size=200))
def test_any_payload_behind_a_right_checksum(kind: bytes, payload: bytes) -> None:
    data = with_chunk(kind, payload)
    for keep_going in (False, True):
        reader = Reader(io.BytesIO(data), keep_going=keep_going)
        reader.read_index()
        try:
            list(reader)
        except LvcError:
            assert not keep_going


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_tables_behind_right_checksums(data: st.DataObject) -> None:
    payload = bytearray(pack_gop(group(0, 3), 0))
    table_end = len(payload) - 21 - 4
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, table_end - 1))] = data.draw(st.integers(0, 255))
    payload[table_end : table_end + 4] = zlib.crc32(payload[:table_end]).to_bytes(4, "big")
    reader = Reader(io.BytesIO(with_chunk(b"GOP ", bytes(payload))), keep_going=True)
    for item in reader:
        assert isinstance(item, GopChunk)
        assert len(item.gop.frames) <= limits.MAX_GOP_FRAMES
        assert all(abs(record.pts) <= limits.MAX_TICKS for record in item.gop.frames)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(0, len(SMALL)))
def test_noise_never_raises_anything_else(noise: bytes, keep: int) -> None:
    for data in (noise, SMALL[:keep] + noise):
        for keep_going in (False, True):
            try:
                reader, _ = read(data, keep_going=keep_going)
                reader.read_index()
            except LvcError:
                continue
