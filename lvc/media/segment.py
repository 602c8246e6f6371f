"""Segments of side streams: what the payload of a SIDE chunk of a `.lvc` file is. No FFmpeg here, only bytes.

The first byte of a segment tells its kind. Numbers are unsigned LEB128 ("varint": 7 bits per byte, lowest first, the
highest bit says that another byte follows), signed ones zigzag-coded first (0, -1, 1, -2 ... become 0, 1, 2, 3 ...).

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

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lvc.errors import FormatError

_KEY, _NO_PTS, _DTS, _SIDE_DATA, _DURATION = 1, 2, 4, 8, 16
_MAX_VARINT_BYTES = 10
_MAX_STREAMS = 1000
_MAX_TIME = 1 << 62


@dataclass(frozen=True)
class Attachment:
    """A file inside a file.

    Attributes:
        name, mime: file name and MIME type.
        data: its bytes.
        cover: whether it is a cover picture.
    """

    name: str
    mime: str
    data: bytes
    cover: bool = False


@dataclass(frozen=True)
class Chapter:
    """A named stretch of time, ``start`` and ``end`` in ticks of ``time_base``."""

    id: int
    start: int
    end: int
    time_base: Fraction
    tags: dict[str, str]


@dataclass(frozen=True)
class StreamHead:
    """What the Matroska file does not say, or not exactly.

    Attributes:
        tags: language, title and others.
        disposition: bits of FFmpeg's AV_DISPOSITION.
        time_base: seconds per tick of the packets.
        layout: FFmpeg's name of the channel layout; empty where it is unknown or this is no audio.
    """

    tags: dict[str, str]
    disposition: int
    time_base: Fraction
    layout: str = ""


@dataclass(frozen=True)
class Hdr:
    """What high dynamic range video says of its making, in the units of H.264 and HEVC; empty where it does not.

    Attributes:
        mastering: x and y of green, blue, red and white (1/50000), greatest and least luminance (1/10000 cd/m2).
        light: greatest light level of a sample and of a picture (cd/m2).
    """

    mastering: tuple[int, ...] = ()
    light: tuple[int, ...] = ()


@dataclass(frozen=True)
class Head:
    """Everything that is known before the first packet; see the top of this file."""

    tags: dict[str, str] = field(default_factory=dict)
    video_tags: dict[str, str] = field(default_factory=dict)
    video_disposition: int = 0
    hdr: Hdr = field(default_factory=Hdr)
    streams: list[StreamHead] = field(default_factory=list)
    matroska: bytes = b""
    chapters: list[Chapter] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)


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


def _put(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _put_signed(out: bytearray, value: int) -> None:
    _put(out, 2 * value if value >= 0 else -2 * value - 1)


def _put_bytes(out: bytearray, data: bytes) -> None:
    _put(out, len(data))
    out += data


class _Bytes:
    """Reads a segment front to back and never past its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 1

    @property
    def at_end(self) -> bool:
        return self.position >= len(self._data)

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise FormatError("damaged side stream: it ends in the middle of a packet")
        data = self._data[self.position : end]
        self.position = end
        return data

    def number(self) -> int:
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        raise FormatError("damaged side stream: a number is too long")

    def signed(self) -> int:
        value = self.number()
        return -(value + 1) // 2 if value & 1 else value // 2

    def counted(self) -> bytes:
        return self.take(self.number())


def pack_head(head: Head) -> bytes:
    """The segment of kind "H"."""
    text = {
        "tags": head.tags,
        "video": {
            "tags": head.video_tags,
            "disposition": head.video_disposition,
            "mastering": head.hdr.mastering,
            "light": head.hdr.light,
        },
        "streams": [
            {
                "tags": s.tags,
                "disposition": s.disposition,
                "time_base": list(s.time_base.as_integer_ratio()),
                "layout": s.layout,
            }
            for s in head.streams
        ],
        "chapters": [
            {
                "id": c.id,
                "start": c.start,
                "end": c.end,
                "time_base": list(c.time_base.as_integer_ratio()),
                "tags": c.tags,
            }
            for c in head.chapters
        ],
        "attachments": [
            {"name": a.name, "mime": a.mime, "size": len(a.data), "cover": a.cover} for a in head.attachments
        ],
    }
    out = bytearray(b"H")
    _put_bytes(out, json.dumps(text, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
    _put_bytes(out, head.matroska)
    for attachment in head.attachments:
        out += attachment.data
    return bytes(out)


def unpack_head(segment: bytes) -> Head:
    """Reads a segment of kind "H".

    Raises:
        FormatError: it is damaged.
    """
    data = _Bytes(segment)
    try:
        text: dict[str, Any] = json.loads(data.counted())
        matroska = data.counted()
        streams = [
            StreamHead(_tags(s["tags"]), _bits(s["disposition"]), _ratio(s["time_base"]), str(s["layout"]))
            for s in text["streams"][:_MAX_STREAMS]
        ]
        chapters = [
            Chapter(_int(c["id"]), _int(c["start"]), _int(c["end"]), _ratio(c["time_base"]), _tags(c["tags"]))
            for c in text["chapters"]
        ]
        attachments = [
            Attachment(str(a["name"]), str(a["mime"]), data.take(max(0, _int(a["size"]))), bool(a["cover"]))
            for a in text["attachments"]
        ]
        video = text["video"]
        return Head(
            _tags(text["tags"]),
            _tags(video["tags"]),
            _bits(video["disposition"]),
            Hdr(_counts(video["mastering"], 10), _counts(video["light"], 2)),
            streams,
            matroska,
            chapters,
            attachments,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ZeroDivisionError) as error:
        raise FormatError(f"damaged side stream: its head cannot be read ({type(error).__name__})") from error


def _int(value: Any) -> int:
    if not isinstance(value, int) or abs(value) >= _MAX_TIME:
        raise ValueError("number out of range")
    return value


def _bits(value: Any) -> int:
    return _int(value) & 0x7FFFFFFF


def _counts(values: list[int], length: int) -> tuple[int, ...]:
    if len(values) not in (0, length) or not all(0 <= _int(value) < 1 << 32 for value in values):
        raise ValueError("list of the wrong length or range")
    return tuple(values)


def _tags(value: dict[str, Any]) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()}


def _ratio(value: list[int]) -> Fraction:
    ratio = Fraction(_int(value[0]), _int(value[1]))
    if ratio <= 0 or max(ratio.as_integer_ratio()) >= 1 << 31:
        raise ValueError("time base out of range")
    return ratio


def pack_packets(packets: Iterable[SidePacket]) -> bytes:
    """The segment of kind "P"."""
    out = bytearray(b"P")
    last: dict[int, tuple[int, int]] = {}
    for packet in packets:
        expected, duration = last.get(packet.stream, (0, 0))
        origin = 0 if packet.pts is None else packet.pts
        flags = (
            _KEY * packet.key
            | _NO_PTS * (packet.pts is None)
            | _DTS * (packet.dts is not None and packet.dts != packet.pts)
            | _SIDE_DATA * bool(packet.side_data)
            | _DURATION * (packet.duration != duration)
        )
        out.append(flags)
        _put(out, packet.stream)
        if packet.pts is not None:
            _put_signed(out, packet.pts - expected)
        if flags & _DTS and packet.dts is not None:
            _put_signed(out, packet.dts - origin)
        if flags & _DURATION:
            _put(out, packet.duration)
        if packet.side_data:
            _put(out, len(packet.side_data))
            for name, data in packet.side_data:
                _put_bytes(out, name.encode())
                _put_bytes(out, data)
        _put_bytes(out, packet.payload)
        last[packet.stream] = (origin + packet.duration, packet.duration)
    return bytes(out)


def unpack_packets(segment: bytes) -> Iterator[SidePacket]:
    """Reads a segment of kind "P".

    Raises:
        FormatError: it is damaged.
    """
    data = _Bytes(segment)
    last: dict[int, tuple[int, int]] = {}
    while not data.at_end:
        flags = data.take(1)[0]
        stream = data.number()
        expected, duration = last.get(stream, (0, 0))
        pts = None if flags & _NO_PTS else expected + data.signed()
        origin = 0 if pts is None else pts
        dts = origin + data.signed() if flags & _DTS else pts
        if flags & _DURATION:
            duration = data.number()
        side_data = []
        if flags & _SIDE_DATA:
            for _ in range(data.number()):
                name = data.counted().decode("latin-1")
                side_data.append((name, data.counted()))
        if max(abs(origin), abs(dts or 0), duration) >= _MAX_TIME:
            raise FormatError("damaged side stream: a time is out of range")
        yield SidePacket(stream, data.counted(), pts, dts, duration, bool(flags & _KEY), tuple(side_data))
        last[stream] = (origin + duration, duration)
