"""Files, groups of pictures and model files as `lvc/FORMAT.md` describes them, read from that page alone."""

import hashlib
import json
import zlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SIGNATURE = bytes.fromhex("8C 4C 56 43 0D 0A 1A 0A")
TYPES = {"i1": "<i1", "i2": "<i2", "i4": "<i4", "u1": "u1"}


class PlainSize(NamedTuple):
    """A row of the table of sizes in *Model files*."""

    state: int
    prior: int
    context_blocks: int
    decoder_blocks: int
    intra_blocks: int
    inter_blocks: int


SIZES = {
    "tiny": PlainSize(16, 32, 1, 1, 1, 0),
    "lite": PlainSize(64, 192, 2, 6, 3, 1),
    "base": PlainSize(160, 512, 6, 12, 3, 1),
}


class PlainModelFile(NamedTuple):
    """*Model files*: the identity, the row of the table of sizes, the arrays."""

    identity: bytes
    size: PlainSize
    arrays: dict[str, npt.NDArray[np.int64]]


class PlainHeader(NamedTuple):
    """*Header*, as far as pictures depend on it."""

    model: bytes
    width: int
    height: int
    bit_depth: int


class PlainFrame(NamedTuple):
    """*GOP*: a row of the table and its payload."""

    kind: int
    quality: int
    has_map: bool
    check: int
    payload: bytes


def read_model(data: bytes) -> PlainModelFile:
    """*Model files*."""
    if data[:5] != b"LVCM\x01":
        raise ValueError("not a model file of version 1")
    start = 9 + int.from_bytes(data[5:9], "little")
    description = json.loads(data[9:start])
    arrays = {}
    for name, kind, shape, place in description["arrays"]:
        count = int(np.prod(shape, dtype=np.int64))
        found = np.frombuffer(data, TYPES[kind], count, start + place)
        arrays[name] = found.reshape(shape).astype(np.int64)
    return PlainModelFile(hashlib.sha256(data).digest(), SIZES[description["size"]], arrays)


class Cursor:
    """*Notation*: numbers of bytes that are read from front to back."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.place : self.place + count]
        if len(taken) != count:
            raise ValueError("cut off")
        self.place += count
        return taken

    def number(self, count: int) -> int:
        """`u8`, `u16`, `u32`, `u64`."""
        return int.from_bytes(self.take(count), "big")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def crc(self, start: int) -> None:
        """`crc` of all from `start` to here."""
        covered = self.data[start : self.place]
        if self.number(4) != zlib.crc32(covered):
            raise ValueError("checksum")


def read_file(data: bytes) -> tuple[PlainHeader, list[list[PlainFrame]]]:
    """*File*: the header, and the frames of each group in display order."""
    cursor = Cursor(data)
    if cursor.take(8) != SIGNATURE:
        raise ValueError("signature")
    header = _header(Cursor(cursor.take(cursor.number(2))))
    cursor.crc(8)
    groups = []
    while True:
        start = cursor.place
        kind, flags, length = cursor.take(4), cursor.number(1), cursor.varint()
        cursor.crc(start)
        start = cursor.place
        payload = cursor.take(length)
        cursor.crc(start)
        if kind == b"GOP ":
            groups.append(_group(Cursor(payload)))
        elif kind == b"END ":
            if cursor.place != len(data):
                raise ValueError("more after the end")
            return header, groups
        elif flags & 1:
            raise ValueError("a mandatory chunk of unknown type")


def _header(cursor: Cursor) -> PlainHeader:
    """*Header*."""
    if cursor.number(1) != 5:
        raise ValueError("version")
    header = PlainHeader(cursor.take(32), cursor.varint(), cursor.varint(), cursor.number(1))
    if cursor.number(1) != 1:
        raise ValueError("chroma")
    return header


def _group(cursor: Cursor) -> list[PlainFrame]:
    """*GOP*: times are passed over."""
    cursor.varint()  # first frame
    cursor.varint()  # first time
    count = cursor.varint()
    cursor.varint()  # first duration
    qualities = [cursor.number(1) for _ in range(cursor.number(1))]
    cursor.varint()  # motion
    cursor.varint()  # hyper
    rows = []
    for _ in range(count):
        flags = cursor.number(1)
        for bit in (4, 8):  # corrections of time and duration
            if flags & bit:
                cursor.varint()
        quality = cursor.number(1) if flags >> 4 == 15 else qualities[flags >> 4]
        rows.append((flags & 3, quality, cursor.varint(), cursor.number(2)))
    cursor.crc(0)
    return [
        PlainFrame(kind, quality & 127, quality >= 128, check, cursor.take(size)) for kind, quality, size, check in rows
    ]
