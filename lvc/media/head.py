"""The head of side streams: the segment of kind "H", see :mod:`lvc.media.segment`."""

import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lvc.container.fields import Cursor
from lvc.container.limits import MAX_RATIO_TERM
from lvc.errors import FormatError
from lvc.media.segment import MAX_TIME, fields_of, put_counted, take_counted

_MAX_DISPOSITION = (1 << 31) - 1
_MAX_ID = (1 << 63) - 1
_MAX_U16, _MAX_U32 = (1 << 16) - 1, (1 << 32) - 1


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

    @property
    def is_possible(self) -> bool:
        """Whether there are as many numbers as there are to be, all within the fields that H.264 and HEVC have."""
        small, large = (*self.mastering[:8], *self.light), self.mastering[8:]
        return (
            len(self.mastering) in (0, 10)
            and len(self.light) in (0, 2)
            and all(0 <= value <= _MAX_U16 for value in small)
            and all(0 <= value <= _MAX_U32 for value in large)
        )


@dataclass(frozen=True)
class Head:
    """Everything that is known before the first packet; see :mod:`lvc.media.segment`."""

    tags: dict[str, str] = field(default_factory=dict)
    video_tags: dict[str, str] = field(default_factory=dict)
    video_disposition: int = 0
    hdr: Hdr = field(default_factory=Hdr)
    streams: list[StreamHead] = field(default_factory=list)
    matroska: bytes = b""
    chapters: list[Chapter] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)


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
    put_counted(out, json.dumps(text, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
    put_counted(out, head.matroska)
    for attachment in head.attachments:
        out += attachment.data
    return bytes(out)


def unpack_head(segment: bytes, base: int = 0) -> Head:
    """Reads a segment of kind "H".

    Args:
        segment: the bytes.
        base: where they begin in the file, for error messages.

    Raises:
        FormatError: damaged, or a value outside its range.
    """
    fields = fields_of(segment, base)
    start = fields.position
    text, matroska = take_counted(fields), take_counted(fields)
    try:
        return _described(json.loads(text.decode()), matroska, fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"side streams: their description cannot be read ({type(error).__name__})", start) from error


def _described(text: dict[str, Any], matroska: bytes, attached: Cursor) -> Head:
    """The head with such a description; FormatError is one of many errors where it is none."""
    video = text["video"]
    head = Head(
        _tags(text["tags"]),
        _tags(video["tags"]),
        _int(video["disposition"], 0, _MAX_DISPOSITION),
        _hdr(video["mastering"], video["light"]),
        [
            StreamHead(
                _tags(s["tags"]),
                _int(s["disposition"], 0, _MAX_DISPOSITION),
                _ratio(s["time_base"]),
                _text(s["layout"]),
            )
            for s in text["streams"]
        ],
        matroska,
        [_chapter(c) for c in text["chapters"]],
        [
            Attachment(
                _text(a["name"]),
                _text(a["mime"]),
                attached.take(_int(a["size"], 0, attached.remaining)),
                _bool(a["cover"]),
            )
            for a in text["attachments"]
        ],
    )
    attached.finish()
    return head


def _int(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError("no number, or out of range")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _text(value: Any) -> str:
    """A string that can be written as UTF-8, and as one of C."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("no string, or one with an end in it")
    value.encode()
    return value


def _hdr(mastering: Any, light: Any) -> Hdr:
    hdr = Hdr(tuple(mastering), tuple(light))
    if any(type(value) is not int for value in hdr.mastering + hdr.light) or not hdr.is_possible:
        raise ValueError("no mastering display, or no light levels")
    return hdr


def _chapter(value: dict[str, Any]) -> Chapter:
    start = _int(value["start"], -MAX_TIME, MAX_TIME)
    end = _int(value["end"], start, MAX_TIME)
    return Chapter(
        _int(value["id"], -_MAX_ID - 1, _MAX_ID), start, end, _ratio(value["time_base"]), _tags(value["tags"])
    )


def _tags(value: dict[str, Any]) -> dict[str, str]:
    return {_text(key): _text(text) for key, text in value.items()}


def _ratio(value: Any) -> Fraction:
    numerator, denominator = (_int(term, 1, MAX_RATIO_TERM) for term in value)
    return Fraction(numerator, denominator)
