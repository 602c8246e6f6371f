"""Planes of numpy integers to and from PyAV pictures, 4:2:0 of 8 or 10 bits."""

import struct
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type

from lvc.video import Plane

FORMAT_OF_DEPTH = {8: "yuv420p", 10: "yuv420p10le"}
DEPTH_OF_FORMAT = {"yuv420p": 8, "yuvj420p": 8, "yuv420p10le": 10}


_MATRIX = struct.Struct("@5i")


def _samples(plane: Any, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """The rows of a PyAV plane as a view [rows, samples], without the padding at the end of each row."""
    bytes_per_sample = np.dtype(dtype).itemsize
    rows = np.frombuffer(plane, dtype=dtype).reshape(-1, plane.line_size // bytes_per_sample)
    return rows[: plane.height, : plane.width]


def is_mirrored(picture: av.VideoFrame) -> bool:
    """Whether the picture is to be shown mirrored, by the 2x2 part of its display matrix."""
    items: Any = picture.side_data
    for item in items:
        data = bytes(item)
        if item.type == Type.DISPLAYMATRIX and len(data) >= _MATRIX.size:
            a, b, _, c, d = _MATRIX.unpack_from(data)
            return bool(a * d - b * c < 0)
    return False


def planes_of(picture: av.VideoFrame) -> list[Plane]:
    """Copies the planes of a picture in one of the formats of :data:`DEPTH_OF_FORMAT`.

    Returns:
        Y [height, width], U and V [(height + 1) // 2, (width + 1) // 2], uint16 with values of the format's depth.
    """
    dtype = np.uint8 if DEPTH_OF_FORMAT[picture.format.name] == 8 else np.uint16
    return [_samples(plane, dtype).astype(np.uint16) for plane in picture.planes]


def picture_of(planes: tuple[Plane, ...] | list[Plane], bit_depth: int, width: int, height: int) -> av.VideoFrame:
    """Builds a picture of the given size; planes that are smaller are continued by their last row and column.

    Args:
        planes: Y, U and V, uint16 with values of ``bit_depth`` bits.
        bit_depth: 8 or 10.
        width, height: luma samples of the picture, at least those of the planes.
    """
    picture = av.VideoFrame(width, height, FORMAT_OF_DEPTH[bit_depth])
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    for source, plane in zip(planes, picture.planes, strict=True):
        target = _samples(plane, dtype)
        rows, columns = source.shape
        target[:rows, :columns] = source
        target[:rows, columns:] = target[:rows, columns - 1 : columns]
        target[rows:] = target[rows - 1]
    return picture
