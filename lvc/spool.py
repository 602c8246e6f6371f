"""Frames in a file of their own: passed between processes, or kept to be coded more than once."""

import contextlib
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lvc.errors import OutputError
from lvc.output import reason_of
from lvc.video import Frame, Plane, VideoInfo

_TIMES = struct.Struct("<qq")


def write_frames(path: Path, info: VideoInfo, frames: Iterable[Frame]) -> int:
    """Write frames to a new file; how many there were. Holds one at a time.

    Raises:
        OutputError: the disk is full, or the like.
    """
    count = 0
    with _told_of(path), path.open("wb") as stream:
        for frame in frames:
            _write(stream, info, frame)
            count += 1
    return count


def append_frame(path: Path, info: VideoInfo, frame: Frame) -> None:
    """Write one frame behind those that a file holds; where there is no file, to a new one.

    Raises:
        OutputError: the disk is full, or the like.
    """
    with _told_of(path), path.open("ab") as stream:
        _write(stream, info, frame)


def read_frames(path: Path, info: VideoInfo) -> Iterator[Frame]:
    """The frames that the functions above wrote, one at a time."""
    kind = _kind(info)
    chroma = ((info.height + 1) // 2, (info.width + 1) // 2)
    with path.open("rb") as stream:
        while times := stream.read(_TIMES.size):
            planes: list[Plane] = []
            for rows, columns in ((info.height, info.width), chroma, chroma):
                data = stream.read(rows * columns * kind.itemsize)
                planes.append(np.frombuffer(data, kind).reshape(rows, columns).astype(np.uint16))
            pts, duration = _TIMES.unpack(times)
            yield Frame(planes, pts, duration)


@contextlib.contextmanager
def _told_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{path.parent}: {reason_of(error)} (TMPDIR names another folder for temporary files)"
        raise OutputError(message) from error


def _write(stream: BinaryIO, info: VideoInfo, frame: Frame) -> None:
    stream.write(_TIMES.pack(frame.pts, frame.duration))
    stream.writelines(plane.astype(_kind(info)).tobytes() for plane in frame.planes)


def _kind(info: VideoInfo) -> np.dtype[np.unsignedinteger]:
    return np.dtype(np.uint8 if info.bit_depth == 8 else np.uint16)
