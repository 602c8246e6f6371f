"""The outer layer of a `.lvc` file: chunks with a type, flags, a length and two checksums, read from any stream."""

import io
import zlib
from typing import BinaryIO, NamedTuple

from lvc.container import limits
from lvc.container.fields import put_varint
from lvc.errors import FormatError, TruncatedError

GOP, SIDE, INDEX, END = b"GOP ", b"SIDE", b"INDX", b"END "
MANDATORY = 1
"""Flag bit 0: a reader that does not know the type must refuse the file."""

_FLAGS_OF = {GOP: MANDATORY, SIDE: 0, INDEX: 0, END: MANDATORY}
_LENGTH_BYTES = 5
CRC_BYTES = 4
"""Of a checksum, behind a head and behind a payload."""
_PIECE = 1 << 20


class ChunkHead(NamedTuple):
    """The head of a chunk, its checksum verified.

    Attributes:
        type: four ASCII characters.
        flags: bit 0 see ``MANDATORY``; the others are 0.
        length: bytes of payload.
        position: byte offset in the file of the chunk.
        payload_position: byte offset in the file of its payload.
    """

    type: bytes
    flags: int
    length: int
    position: int
    payload_position: int

    @property
    def name(self) -> str:
        """The type as text, for messages."""
        return self.type.decode("ascii", "backslashreplace").strip()


class Source:
    """A stream with a byte count. Reads at most a piece at a time: a wrong length never allocates memory.

    Attributes:
        position: bytes from the start of the `.lvc` data.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        self._base = stream.tell() if self.seekable() else 0

    def seekable(self) -> bool:
        """Whether :meth:`seek` works: false for pipes."""
        try:
            return self._stream.seekable()
        except (AttributeError, ValueError):
            return False

    def seek(self, position: int) -> None:
        """Go to a byte offset from the start of the `.lvc` data."""
        self._stream.seek(self._base + position)
        self.position = position

    def size(self) -> int:
        """Length of the `.lvc` data; the position stays. Only for seekable streams."""
        end = self._stream.seek(0, io.SEEK_END)
        self._stream.seek(self._base + self.position)
        return end - self._base

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes: fewer only at the end of the data."""
        data = self._stream.read(min(size, _PIECE)) or b""
        self.position += len(data)
        if len(data) == size or not data:
            return data
        out = bytearray(data)
        while len(out) < size and data:
            data = self._stream.read(min(size - len(out), _PIECE)) or b""
            self.position += len(data)
            out += data
        return bytes(out)

    def skip(self, size: int) -> tuple[int, int]:
        """Read ``size`` bytes and drop them: how many there were, and their CRC-32."""
        crc, left = 0, size
        while left and (data := self.read(min(left, _PIECE))):
            crc = zlib.crc32(data, crc)
            left -= len(data)
        return size - left, crc


def pack_head(kind: bytes, flags: int, length: int) -> bytes:
    """The head of a chunk with ``length`` bytes of payload."""
    head = bytearray(kind)
    head.append(flags)
    put_varint(head, length)
    return bytes(head) + zlib.crc32(head).to_bytes(CRC_BYTES, "big")


def pack_chunk(kind: bytes, flags: int, payload: bytes) -> bytes:
    """A whole chunk."""
    return b"".join([pack_head(kind, flags, len(payload)), payload, zlib.crc32(payload).to_bytes(CRC_BYTES, "big")])


def read_head(source: Source) -> ChunkHead:
    """Read the head of the next chunk.

    Raises:
        TruncatedError: the data end before or within it.
        FormatError: wrong checksum, a length over ``limits.MAX_CHUNK_BYTES`` or not in its shortest form, a type that
            is not ASCII, or flags that it does not have.
    """
    start = source.position
    head = bytearray(source.read(6))
    if not head:
        raise TruncatedError("the file ends without its END chunk: it is truncated", start)
    while len(head) < 5 + _LENGTH_BYTES and head[-1] >= 0x80 and len(head) >= 6 and (byte := source.read(1)):
        head += byte
    crc = source.read(CRC_BYTES)
    if len(head) < 6 or len(crc) < CRC_BYTES:
        raise TruncatedError("the file ends within the head of a chunk: it is truncated", start)
    if zlib.crc32(head) != int.from_bytes(crc, "big"):
        raise FormatError("damaged head of a chunk: wrong checksum", start)
    length = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(head[5:]))
    result = ChunkHead(bytes(head[:4]), head[4], length, start, source.position)
    if head[-1] >= 0x80 or length > limits.MAX_CHUNK_BYTES:
        raise FormatError(f"chunk {result.name} is longer than {limits.MAX_CHUNK_BYTES} bytes", start)
    if head[-1] == 0 and len(head) > 6:
        raise FormatError(f"chunk {result.name}: its length is not in its shortest form", start)
    if not result.type.isascii():
        raise FormatError(f"chunk {result.name}: its type is not ASCII", start)
    if result.flags not in _flags_of(result.type):
        raise FormatError(f"chunk {result.name}: it cannot have the flags {result.flags}", start)
    return result


def _flags_of(kind: bytes) -> tuple[int, ...]:
    """The flags that a chunk of this type may have."""
    return (_FLAGS_OF[kind],) if kind in _FLAGS_OF else (0, MANDATORY)


def read_payload(source: Source, head: ChunkHead) -> tuple[bytes, FormatError | None]:
    """Read the payload that follows ``head``: what there is of it, and what is wrong with it, if anything."""
    data = source.read(head.length)
    return data, _verdict(source, head, len(data), zlib.crc32(data))


def skip_payload(source: Source, head: ChunkHead) -> FormatError | None:
    """Pass over the payload that follows ``head``: what is wrong with it, if anything."""
    return _verdict(source, head, *source.skip(head.length))


def _verdict(source: Source, head: ChunkHead, length: int, crc: int) -> FormatError | None:
    stored = source.read(CRC_BYTES)
    if len(stored) < CRC_BYTES:
        missing = head.length - length + CRC_BYTES - len(stored)
        message = f"the file ends within the {head.name} chunk, {missing} bytes are missing: it is truncated"
        return TruncatedError(message, head.position)
    if crc != int.from_bytes(stored, "big"):
        return FormatError(f"damaged {head.name} chunk: wrong checksum", head.position)
    return None
