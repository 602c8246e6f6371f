"""Chunks of `.lvc` files: their heads, their order, and those from the future."""

import io
import tracemalloc
import zlib

import pytest

from lvc.container import GopChunk, Reader, SideChunk, Writer, chunk, limits
from lvc.container.gop import pack_gop
from lvc.container.header import pack_header
from lvc.errors import FormatError, TruncatedError
from tests.container_files import (
    FIRST_CHUNK,
    HEADER,
    SMALL,
    group,
    read,
    write,
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


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        *((kind, flags) for kind in (b"GOP ", b"SIDE", b"INDX", b"END ", b"NEW!") for flags in (2, 3, 0x80)),
        *((kind, 0) for kind in (b"GOP ", b"END ")),
        *((kind, 1) for kind in (b"SIDE", b"INDX")),
    ],
)
def test_flags_that_a_type_does_not_have_are_refused(kind: bytes, flags: int) -> None:
    """Reserved ones; and the mandatory one tells what the type tells."""
    data = insert(kind, flags)
    with pytest.raises(FormatError, match=f"cannot have the flags {flags}") as caught:
        read(data)
    assert data[caught.value.position or 0 :].startswith(kind)
    reader, items = read(data, keep_going=True)
    assert [type(item) for item in items] == [GopChunk, SideChunk]
    assert len(reader.damage) == 1


def test_types_that_are_not_ascii_are_refused() -> None:
    with pytest.raises(FormatError, match=r"N\\xcbW!: its type is not ASCII"):
        read(insert(b"N\xcbW!", 0))


@pytest.mark.parametrize("length", [b"\x84\0", b"\x80\0", b"\x84\x80\x80\x80\0"])
def test_lengths_are_in_their_shortest_form(length: bytes) -> None:
    head, payload = b"SIDE\0" + length, bytes(length[0] & 0x7F)
    whole = head + zlib.crc32(head).to_bytes(4, "big") + payload + zlib.crc32(payload).to_bytes(4, "big")
    with pytest.raises(FormatError, match="shortest form") as caught:
        read(write(close=False) + whole)
    assert caught.value.position == FIRST_CHUNK


@pytest.mark.parametrize("kind", [b"INDX", b"SIDE", b"NEW!", b"GOP "])
def test_nothing_stands_between_index_and_end(kind: bytes) -> None:
    """A second index, for one."""
    index = SMALL[SMALL.index(b"INDX") : SMALL.index(b"END ")]
    begin = SMALL.index(b"END ")
    more = index if kind == b"INDX" else chunk.pack_chunk(kind, int(kind == b"GOP "), pack_gop(group(0, 1), 5))
    end = SMALL[begin:]
    data = SMALL[:begin] + more + end
    with pytest.raises(FormatError, match=f"a {kind.decode().strip()} chunk between INDX and END") as caught:
        read(data)
    assert caught.value.position == begin
    reader, _ = read(data, keep_going=True)
    assert caught.value.args[0] in reader.damage
    assert reader.read_index()[:2] == Reader(io.BytesIO(SMALL)).read_index()  # scanned
    with pytest.raises(FormatError, match="directly before END"):
        Reader(io.BytesIO(data))._stored_index()


def test_a_file_may_lack_its_index() -> None:
    end = chunk.pack_chunk(chunk.END, chunk.MANDATORY, SMALL[-28:-12] + bytes(8))
    data = SMALL[: SMALL.index(b"INDX")] + end
    assert read(data)[1] == read(SMALL)[1]
