"""Integers to bytes and back: varints, zigzag, and a cursor that never reads past its end."""

from lvc.errors import FormatError

MAX_VARINT_BYTES = 10
_U64 = 1 << 64


def put_varint(out: bytearray, value: int) -> None:
    """Append an unsigned LEB128 integer, 0 <= value < 2**64: seven bits per byte, least significant first."""
    if not 0 <= value < _U64:
        raise ValueError(f"{value} is no unsigned 64-bit integer")
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def put_signed(out: bytearray, value: int) -> None:
    """Append a signed integer as the varint of its zigzag code: 0, -1, 1, -2 ... become 0, 1, 2, 3 ..."""
    put_varint(out, value * 2 if value >= 0 else -value * 2 - 1)


class Cursor:
    """Reads fields off the front of ``data``.

    Args:
        data: the bytes of one structure.
        base: where they begin in the file, for error messages.
        what: the structure's name, for error messages.

    Every method raises FormatError, naming the position, where the data end early or break a rule.
    """

    def __init__(self, data: bytes | bytearray, base: int, what: str) -> None:
        self._data = data
        self._base = base
        self._what = what
        self.offset = 0

    @property
    def position(self) -> int:
        """Byte offset in the file of the next field."""
        return self._base + self.offset

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self.offset

    def error(self, message: str) -> FormatError:
        """An error, to be raised, about the bytes at the cursor."""
        return FormatError(f"{self._what}: {message}", self.position)

    def u8(self) -> int:
        """An unsigned byte."""
        if self.offset >= len(self._data):
            raise self.error("ends within a field")
        value = self._data[self.offset]
        self.offset += 1
        return value

    def uint(self, size: int) -> int:
        """An unsigned big-endian integer of ``size`` bytes."""
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if size > self.remaining:
            raise self.error(f"{size} bytes wanted, {self.remaining} left")
        end = self.offset + size
        piece = bytes(self._data[self.offset : end])
        self.offset = end
        return piece

    def varint(self) -> int:
        """An unsigned LEB128 integer below 2**64, in its shortest form."""
        data, start = self._data, self.offset
        value = 0
        for i, byte in enumerate(data[start : start + MAX_VARINT_BYTES]):
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                if value >= _U64 or (byte == 0 and i > 0):
                    break
                self.offset = start + i + 1
                return value
        raise self.error("an integer that is cut off, too large or not in its shortest form")

    def signed(self) -> int:
        """A zigzag-coded varint: -2**63 to 2**63 - 1."""
        code = self.varint()
        return code >> 1 if code & 1 == 0 else -(code >> 1) - 1

    def finish(self) -> None:
        """Require that everything has been read."""
        if self.remaining:
            raise self.error(f"{self.remaining} unexpected bytes at the end")
