"""Small `.lvc` files for tests."""

import io
import random
import zlib
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from lvc.container import FrameRecord, Gop, GopChunk, Header, Reader, SideChunk, Writer, chunk
from lvc.container.header import pack_header
from lvc.video import Colour, VideoInfo

INFO = VideoInfo(
    width=641,
    height=353,
    bit_depth=10,
    time_base=Fraction(1001, 30000),
    frame_rate=Fraction(30000, 1001),
    colour=Colour(9, 16, 9, 1, 1),
    sample_aspect=Fraction(4, 3),
    rotation=270,
)
HEADER = Header(model_id=bytes(range(32)), info=INFO, quality=60, keyint=250)


def frame(i: int, payload: bytes = b"payload", pts: int | None = None, quality: int = 60) -> FrameRecord:
    kind, shown = int(i > 0), i if pts is None else pts
    return FrameRecord(shown, 1, kind, quality, zlib.crc32(payload) & 0xFFFF, payload)


def group(first_pts: int, count: int, size: int = 7) -> Gop:
    frames = tuple(frame(i, random.Random(i).randbytes(size), first_pts + i) for i in range(count))
    return Gop(frames, count * size // 3, count * size // 2)


def mixed(kinds: Sequence[int], first_pts: int = 0) -> Gop:
    """Frames of these kinds."""
    gop = group(first_pts, len(kinds))
    return replace(gop, frames=tuple(replace(each, kind=kind) for each, kind in zip(gop.frames, kinds, strict=True)))


def write(*items: Gop | bytes, header: Header = HEADER, close: bool = True) -> bytes:
    stream = io.BytesIO()
    writer = Writer(stream, header)
    for item in items:
        if isinstance(item, Gop):
            writer.write_gop(item)
        else:
            writer.write_side(item)
    if close:
        writer.close()
    assert writer.bytes_written == len(stream.getvalue())
    return stream.getvalue()


def read(data: bytes, keep_going: bool = False) -> tuple[Reader, list[GopChunk | SideChunk]]:
    reader = Reader(io.BytesIO(data), keep_going=keep_going)
    return reader, list(reader)


def with_side_behind(data: bytes, number: int) -> bytes:
    """The same file with all its side data, but the first piece, behind one of its groups."""
    reader, found = read(data)
    groups: list[Gop | bytes] = [item.gop for item in found if isinstance(item, GopChunk)]
    first, *side = [item.data for item in found if isinstance(item, SideChunk)]
    return write(first, *groups[: number + 1], *side, *groups[number + 1 :], header=reader.header)


def with_chunk(kind: bytes, payload: bytes) -> bytes:
    """A header and one chunk."""
    return pack_header(HEADER) + chunk.pack_chunk(kind, int(kind in (chunk.GOP, chunk.END)), payload)


SMALL_ITEMS = (group(-3, 3), b"side data", group(0, 2), b"more")
SMALL = write(*SMALL_ITEMS)
FIRST_CHUNK = len(pack_header(HEADER))


class Counting(io.BytesIO):
    """Counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data
