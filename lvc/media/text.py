"""Subtitles of text, between the forms of MP4 (mov_text, 3GPP TS 26.245) and of Matroska (SubRip and plain UTF-8)."""

import re

CONVERTED = frozenset({"mov_text"})
"""Codecs that Matroska does not hold and that are kept as plain text."""

PLAIN = frozenset({"subrip", "srt", "text", "ass", "ssa", "webvtt"})
"""Codecs that can become mov_text."""

_MAX_TEXT = 0xFFFF


def to_plain(codec: str, payload: bytes) -> bytes:
    """The text of a subtitle packet as UTF-8; empty where it only clears the screen.

    Args:
        codec: FFmpeg's name: one of :data:`CONVERTED` or :data:`PLAIN`.
        payload: the packet.
    """
    if codec == "mov_text":
        data = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
        if data.startswith((b"\xfe\xff", b"\xff\xfe")):
            return data.decode("utf-16", "replace").encode()
        return data
    if codec in ("ass", "ssa"):
        lines = payload.split(b",", 8)[-1]
        lines = re.sub(rb"\{[^}]*\}", b"", lines)
        return lines.replace(b"\\N", b"\n").replace(b"\\n", b"\n").replace(b"\\h", b" ")
    return re.sub(rb"</?[A-Za-z][^<>]*>", b"", payload)


def to_mov_text(codec: str, payload: bytes) -> bytes:
    """The same subtitle as a packet of mov_text, styling dropped."""
    plain = to_plain(codec, payload).strip(b"\r\n")
    plain = plain[:_MAX_TEXT].decode("utf-8", "ignore").encode()
    return len(plain).to_bytes(2, "big") + plain
