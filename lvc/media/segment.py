"""Segments of side streams: what the payload of a SIDE chunk of a `.lvc` file is. No FFmpeg here, only bytes.

The first byte of a segment tells its kind. Numbers are varints, signed ones svarints, and
ranges are those of ``lvc/FORMAT.md``.

"H", the head, once, before any other::

    'H'  varint length, JSON (UTF-8)  varint length, Matroska file  attached files, one after the other

The JSON object has the keys

    tags         object of strings: title, artist, ...
    video        {"tags", "disposition", "mastering", "light"} of the video stream; disposition is FFmpeg's
                 AV_DISPOSITION number; mastering is empty or 10 numbers, light is empty or 2: see :class:`Hdr`
    streams      list of {"tags", "disposition", "time_base": [numerator, denominator], "layout"}, one for each
                 track of the Matroska file in its order; layout is FFmpeg's name of the channel layout, or empty
    chapters     list of {"id", "start", "end", "time_base", "tags"}
    attachments  list of {"name", "mime", "size", "cover"}: fonts, and cover pictures where "cover" is true

Readers ignore keys that they do not know. The Matroska file (length 0 where there are no streams) has no packets; it
holds the codec parameters of the streams, for which it is the common language.

"P", packets, any number, in the order in which the source had them::

    'P'  packets, up to the end of the segment; each is
         flags     one byte: 1 key, 2 no presentation time, 4 decoding time differs, 8 has side data, 16 has a duration
         stream    varint, index in "streams"
         pts       signed, minus (pts + duration of the packet of this stream before it in this segment, or 0);
                   absent with flag 2
         dts       signed, minus pts (or minus 0 with flag 2); only with flag 4
         duration  varint; only with flag 16, otherwise that of the packet of this stream before it, or 0
         side data only with flag 8: varint count, then for each varint length, name, varint length, bytes
         payload   varint length, bytes

Times count in the time base of their stream, so they are exact. Beside its payload a packet costs 4 to 6 bytes. This
is why packets are not in Matroska too: that rounds times to 1 ms (48 samples at 48 kHz), has no decoding times, and
would repeat its head in each segment (580 bytes for AAC, Opus and subtitles).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lvc.container.fields import Cursor, put_signed, put_varint
from lvc.errors import FormatError, LimitError

MAX_TIME = (1 << 61) - 1
"""Largest magnitude of a time, and largest duration, in ticks of a stream or chapter; differences fit svarints."""

_KEY, _NO_PTS, _DTS, _SIDE_DATA, _DURATION = 1, 2, 4, 8, 16
_ALL_FLAGS = 31


@dataclass(frozen=True)
class SidePacket:
    """One packet of a side stream; times in ticks of the stream's time base."""

    stream: int
    payload: bytes
    pts: int | None
    dts: int | None
    duration: int = 0
    key: bool = True
    side_data: tuple[tuple[str, bytes], ...] = ()


def put_counted(out: bytearray, data: bytes) -> None:
    """Append bytes behind their number."""
    put_varint(out, len(data))
    out += data


def take_counted(fields: Cursor) -> bytes:
    """Bytes that stand behind their number."""
    return fields.take(fields.varint())


def fields_of(segment: bytes, base: int) -> Cursor:
    """A cursor behind the kind of a segment."""
    fields = Cursor(segment, base, "side streams")
    fields.u8()
    return fields


def pack_packets(packets: Iterable[SidePacket]) -> bytes:
    """The segment of kind "P".

    Raises:
        LimitError: a time or duration is over ``MAX_TIME``.
    """
    out = bytearray(b"P")
    last: dict[int, tuple[int, int]] = {}
    for packet in packets:
        expected, duration = last.get(packet.stream, (0, 0))
        origin = 0 if packet.pts is None else packet.pts
        if max(abs(origin), abs(packet.dts or 0), packet.duration) > MAX_TIME:
            raise LimitError("a packet of audio or subtitles lies outside of all times")
        flags = (
            _KEY * packet.key
            | _NO_PTS * (packet.pts is None)
            | _DTS * (packet.dts is not None and packet.dts != packet.pts)
            | _SIDE_DATA * bool(packet.side_data)
            | _DURATION * (packet.duration != duration)
        )
        out.append(flags)
        put_varint(out, packet.stream)
        if packet.pts is not None:
            put_signed(out, packet.pts - expected)
        if flags & _DTS and packet.dts is not None:
            put_signed(out, packet.dts - origin)
        if flags & _DURATION:
            put_varint(out, packet.duration)
        if packet.side_data:
            put_varint(out, len(packet.side_data))
            for name, data in packet.side_data:
                put_counted(out, name.encode())
                put_counted(out, data)
        put_counted(out, packet.payload)
        last[packet.stream] = (origin + packet.duration, packet.duration)
    return bytes(out)


def unpack_packets(segment: bytes, base: int = 0) -> Iterator[SidePacket]:
    """Reads a segment of kind "P".

    Args:
        segment: the bytes.
        base: where they begin in the file, for error messages.

    Raises:
        FormatError: damaged, or a value outside its range.
    """
    fields = fields_of(segment, base)
    last: dict[int, tuple[int, int]] = {}
    while fields.remaining:
        start = fields.position
        flags = fields.u8()
        if flags > _ALL_FLAGS:
            raise FormatError(f"side streams: unknown flags {flags} of a packet", start)
        stream = fields.varint()
        expected, duration = last.get(stream, (0, 0))
        pts = None if flags & _NO_PTS else expected + fields.signed()
        origin = 0 if pts is None else pts
        dts = origin + fields.signed() if flags & _DTS else pts
        if flags & _DURATION:
            duration = fields.varint()
        if max(abs(origin), abs(dts or 0), duration) > MAX_TIME:
            raise FormatError("side streams: a time is out of range", start)
        side_data = []
        if flags & _SIDE_DATA:
            for _ in range(fields.varint()):
                name = take_counted(fields)
                if not name.isascii():
                    raise FormatError("side streams: a name of side data that is not ASCII", start)
                side_data.append((name.decode(), take_counted(fields)))
        yield SidePacket(stream, take_counted(fields), pts, dts, duration, bool(flags & _KEY), tuple(side_data))
        last[stream] = (origin + duration, duration)
