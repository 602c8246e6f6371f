"""Tells files that were cut off from whole ones, by the lengths that their own boxes state.

FFmpeg plays such files up to the cut and says nothing that a program could hear. MP4 and MOV (ISO/IEC 14496-12),
Matroska and WebM (RFC 8794, RFC 9559) and AVI state the length of each outer box, so the cut can be seen without
decoding.
"""

import os
from pathlib import Path
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot")
_MAX_BOXES = 100_000


def missing_bytes(path: str) -> int:
    """How many bytes the file lacks at its end; 0 where it is whole or where its format does not say.

    Args:
        path: a regular file.

    Raises:
        OSError: it cannot be read.
    """
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        head = file.read(12)
        if head[4:8] in _FIRST_BOXES:
            return max(0, _end_of_boxes(file, size) - size)
        if head.startswith(_EBML):
            return max(0, _end_of_segment(file) - size)
        if head.startswith(b"RIFF") and head.endswith(b"AVI "):
            return max(0, int.from_bytes(head[4:8], "little") + 8 - size)
    return 0


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last outer box of an MP4 file ends."""
    position = 0
    for _ in range(_MAX_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            break
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: up to the end of the file; anything else is padding that FFmpeg ignores
            return size
        position += length
        if position >= size:
            break
    return position


def _number(file: BinaryIO) -> tuple[int, bool]:
    """An EBML number of variable length, and whether it stands for "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, True
    length = 9 - first[0].bit_length()
    data = bytes([first[0] ^ (1 << (8 - length))]) + file.read(length - 1)
    value = int.from_bytes(data, "big")
    return value, value == (1 << (7 * length)) - 1


def _end_of_segment(file: BinaryIO) -> int:
    """Where the Segment of a Matroska file ends; 0 where it does not say."""
    file.seek(len(_EBML))
    length, unknown = _number(file)
    if unknown:
        return 0
    file.seek(length, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length, unknown = _number(file)
    return 0 if unknown else file.tell() + length
