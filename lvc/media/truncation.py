"""Tells sources that were cut off from whole ones, by the lengths that their own boxes state.

FFmpeg plays such sources up to the cut and says nothing that a program could hear. MP4 and MOV (ISO/IEC 14496-12),
Matroska and WebM (RFC 8794, RFC 9559) and AVI state the length of each outer box, so the cut can be seen without
decoding. Transport streams state no length.
"""

from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot")
_OTHER_BOXES = (b"moof", b"mfra", b"sidx", b"ssix", b"prft", b"emsg", b"uuid", b"meta", b"meco", b"udta", b"pdin")
_MAX_BOXES = 100_000
_KIND_BYTES, _HEAD_BYTES = 12, 16
"""What tells the format, and the longest head of a box."""
_UNKNOWN = 0xFFFFFFFF
"""Length of an AVI file that was written to a pipe."""


class Extent:
    """How long a source is to be, from its bytes as they pass.

    Attributes:
        seen: bytes that have passed.
        due: bytes that there are to be at least.
        is_open: whether more bytes may tell more.
        index_is_last: whether it is an MP4 or MOV file whose pictures come before the index of them.
    """

    def __init__(self) -> None:
        self.seen = self.due = 0
        self.is_open = True
        self.index_is_last = False
        self._head = b""
        self._kind = b""
        self._has_index = self._has_pictures = False

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        return max(0, self.due - self.seen)

    def push(self, data: bytes) -> None:
        """Take bytes that follow on those before."""
        begin = self.seen
        self.seen += len(data)
        while self.is_open and self.due < self.seen:
            taken = self.due + len(self._head) - begin
            self._head += data[taken : taken + _HEAD_BYTES - len(self._head)]
            length = self._length()
            if length is None:
                return
            self.due += length
            self._head = self._head[length:]

    def jump(self) -> None:
        """Pass over what lies before the next head."""
        self.seen, self._head = self.due, b""

    def _length(self) -> int | None:
        """Of the box that begins with this head, which is part of it; None where more of the head is needed."""
        if not self._kind:
            if len(self._head) < _KIND_BYTES:
                return None
            self._kind = self._head[:4] if self._head[4:8] not in _FIRST_BOXES else b"ftyp"
        if self._kind == b"ftyp":
            return self._box()
        if self._kind == _EBML:
            return self._element()
        if self._head.startswith(b"RIFF") and self._head[8:12] == b"AVI ":
            return self._avi()
        self.is_open = False
        return 0

    def _box(self) -> int | None:
        """Of MP4."""
        length = int.from_bytes(self._head[:4], "big")
        if len(self._head) < (_HEAD_BYTES if length == 1 else 8):
            return None
        name = self._head[4:8]
        self._has_index |= name == b"moov"
        self._has_pictures |= name in (b"mdat", b"moof")
        self.index_is_last |= name == b"mdat" and not self._has_index
        if self._has_index and self._has_pictures and name not in (*_FIRST_BOXES, *_OTHER_BOXES):  # what is no box
            self.is_open = False
            return 0
        if length == 1:
            length = int.from_bytes(self._head[8:], "big")
        if length < 8:  # 0: up to the end of the file; anything else is padding that FFmpeg ignores
            self.is_open = False
            return 0
        return length

    def _element(self) -> int | None:
        """Of Matroska; where the Segment does not say its length, those in it do."""
        name = 9 - self._head[0].bit_length()
        sizes = self._head[name:]
        if not sizes:
            return None
        width = 9 - sizes[0].bit_length()
        if name > 4 or width > 8:  # no element
            self.is_open = False
            return 0
        if len(sizes) < width:
            return None
        length = int.from_bytes(sizes[:width], "big") - (1 << 7 * width)
        is_unknown = length == (1 << 7 * width) - 1
        self.is_open = is_unknown == self._head.startswith(_SEGMENT)
        return name + width + (0 if is_unknown else length)

    def _avi(self) -> int:
        self.is_open = False
        length = int.from_bytes(self._head[4:8], "little")
        return 0 if length == _UNKNOWN else length + 8


def missing_bytes(file: BinaryIO, size: int) -> int:
    """How many bytes a file lacks at its end; 0 where it is whole or where its format does not say.

    Args:
        file: can seek.
        size: its length.

    Raises:
        OSError: it cannot be read.
    """
    extent = Extent()
    for _ in range(_MAX_BOXES):
        begin = extent.due
        file.seek(begin)
        extent.jump()
        extent.push(file.read(_HEAD_BYTES))
        if not extent.is_open or not begin < extent.due < size:
            break
    return max(0, extent.due - size)
