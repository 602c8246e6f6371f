"""Frames in a file of their own: passed between processes, or kept to be coded more than once."""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from lvc.video import Frame, Plane, VideoInfo

_TIMES = struct.Struct("<qq")


def write_frames(path: Path, info: VideoInfo, frames: Iterable[Frame]) -> int:
    """Write frames to a new file; how many there were. Holds one at a time.

    Raises:
        OSError: the disk is full, or the like.
    """
    kind = _kind(info)
    count = 0
    with path.open("wb") as stream:
        for frame in frames:
            stream.write(_TIMES.pack(frame.pts, frame.duration))
            for plane in frame.planes:
                stream.write(plane.astype(kind).tobytes())
            count += 1
    return count


def read_frames(path: Path, info: VideoInfo) -> Iterator[Frame]:
    """The frames that :func:`write_frames` wrote, one at a time."""
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


def _kind(info: VideoInfo) -> np.dtype[np.unsignedinteger]:
    return np.dtype(np.uint8 if info.bit_depth == 8 else np.uint16)
