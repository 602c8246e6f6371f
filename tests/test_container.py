"""The `.lvc` container: what goes in comes out, through any stream, and costs little."""

import io
import itertools
import zlib
from pathlib import Path

import pytest

from lvc.container import Gop, GopChunk, Reader, SideChunk, Writer, limits
from lvc.errors import InputError, TruncatedError
from tests.container_files import (
    FIRST_CHUNK,
    HEADER,
    SMALL,
    SMALL_ITEMS,
    frame,
    group,
    read,
    write,
)


class Pipe(io.RawIOBase):
    """A stream that can only be read or written, a few bytes at a time."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = bytes(self.data[: min(size, 3)])
        del self.data[: len(piece)]
        return piece

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data[:5]
        return len(data[:5])


def test_round_trip() -> None:
    reader, items = read(SMALL)
    assert reader.header == HEADER
    assert [item.gop if isinstance(item, GopChunk) else item.data for item in items] == list(SMALL_ITEMS)
    assert items[0].position == FIRST_CHUNK
    assert all(a.position + a.size == b.position for a, b in itertools.pairwise(items))
    assert (reader.total_frames, reader.duration, reader.position) == (5, 5, len(SMALL))
    assert not reader.truncated
    assert not reader.damage


def test_layout_is_pinned() -> None:
    """A changed byte here is a changed format: raise the version."""
    assert SMALL[:10].hex() == "8c4c56430d0a1a0a003c"
    assert (len(SMALL), zlib.crc32(SMALL)) == (281, 0xB37A59AD)


def test_pipes_need_no_seeking_and_may_be_slow() -> None:
    pipe = Pipe()
    with Writer(pipe, HEADER) as writer:  # type: ignore[arg-type]
        writer.write_gop(group(0, 3))
        writer.write_side(b"x" * 100)
    reader = Reader(Pipe(pipe.data))  # type: ignore[arg-type]
    assert [type(item) for item in reader] == [GopChunk, SideChunk]
    with pytest.raises(InputError, match="pipe"):
        reader.read_index()


def test_a_writer_that_failed_leaves_a_truncated_file() -> None:
    stream = io.BytesIO()
    with pytest.raises(KeyError), Writer(stream, HEADER):
        raise KeyError
    with pytest.raises(TruncatedError):
        read(stream.getvalue())


def test_closed_writers_refuse_and_close_once() -> None:
    stream = io.BytesIO()
    writer = Writer(stream, HEADER)
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write_gop(group(0, 1))
    assert read(stream.getvalue())[0].total_frames == 0


def test_overhead_is_small() -> None:
    assert FIRST_CHUNK < 90
    cascade = [60, 50, 55, 50]
    frames = [frame(i, bytes(40), 1000 + i, cascade[i % 4]) for i in range(32)]
    data = write(Gop(tuple(frames)), close=False)
    assert (len(data) - FIRST_CHUNK - 32 * 40) / 32 <= 9
    groups = [group(i * 250 * 3600, 250, size=0) for i in range(100)]
    stream = io.BytesIO()
    writer = Writer(stream, HEADER)
    for gop in groups:
        writer.write_gop(gop)
    before = writer.bytes_written
    writer.close()
    assert (writer.bytes_written - before - 60) / 100 < 5


def test_many_frames_are_fast() -> None:
    groups = [group(250 * i, 250, size=30) for i in range(40)]
    reader, items = read(write(*groups))
    assert reader.total_frames == 10_000
    assert [item.gop for item in items if isinstance(item, GopChunk)] == groups


def test_the_written_limits_are_the_limits() -> None:
    text = (Path(limits.__file__).parent.parent / "FORMAT.md").read_text("utf-8")
    for name in (name for name in vars(limits) if name.isupper()):
        value = getattr(limits, name)
        assert f"| `{name}` | {value:,} |" in text or (value == 1 << 56 and f"| `{name}` | 2⁵⁶ |" in text)
