"""Chunks of `.lvc` files: their heads, their order, and those from the future."""

import io
import tracemalloc

import pytest

from lvc.container import GopChunk, SideChunk, Writer, chunk, limits
from lvc.container.header import pack_header
from lvc.errors import FormatError, TruncatedError
from tests.container_files import (
    FIRST_CHUNK,
    HEADER,
    SMALL,
    group,
    read,
)


def insert(kind: bytes, flags: int, payload: bytes = b"from the future") -> bytes:
    """A file whose third chunk is of another type."""
    stream = io.BytesIO()
    writer = Writer(stream, HEADER)
    writer.write_gop(group(0, 2))
    writer.write_side(b"side")
    writer._write(chunk.pack_chunk(kind, flags, payload))
    writer.write_gop(group(2, 2))
    writer.close()
    return stream.getvalue()


def test_unknown_optional_chunks_are_skipped() -> None:
    reader, items = read(insert(b"NEW!", 0, bytes(3_000_000)))
    assert [type(item) for item in items] == [GopChunk, SideChunk, GopChunk]
    assert not reader.damage


def test_unknown_mandatory_chunks_are_refused() -> None:
    data = insert(b"NEW!", 1)
    with pytest.raises(FormatError, match="NEW!"):
        read(data)
    reader, items = read(data, keep_going=True)
    assert [type(item) for item in items] == [GopChunk, SideChunk]
    assert len(reader.damage) == 1


def test_damage_in_a_skipped_chunk_is_found() -> None:
    data = insert(b"NEW!", 0)
    with pytest.raises(FormatError, match="NEW!"):
        read(data.replace(b"the future", b"the Future"))


def test_lengths_are_not_believed() -> None:
    head = pack_header(HEADER) + chunk.pack_head(b"GOP ", 1, limits.MAX_CHUNK_BYTES)
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedError):
            read(head + bytes(1000))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    for length in (limits.MAX_CHUNK_BYTES + 1, (1 << 35) - 1):
        with pytest.raises(FormatError, match="longer than"):
            read(pack_header(HEADER) + chunk.pack_head(b"GOP ", 1, length))


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(FormatError, match="after the END") as caught:
        read(SMALL + SMALL)
    assert caught.value.position == len(SMALL)


def test_missing_doubled_and_swapped_groups_are_found() -> None:
    items = read(SMALL)[1]
    a, b = (SMALL[item.position : item.position + item.size] for item in (items[0], items[2]))
    tail = SMALL[items[3].position + items[3].size :]
    head = SMALL[:FIRST_CHUNK]
    for body in (a, b, a + a, b + a, b""):
        with pytest.raises(FormatError, match=r"should follow|add up|does not describe"):
            read(head + body + tail)
    with pytest.raises(FormatError, match="does not describe"):
        read(head + a + b + tail)
