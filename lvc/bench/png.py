"""Pictures for the eye: a crop of planes as a PNG. Measures never come near this."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lvc.video import Plane, VideoInfo

Pixels = npt.NDArray[np.uint8]

# Red and blue weights of luma by H.273 matrix code point; what is not here is shown as BT.709.
_LUMA = {5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT709 = (0.2126, 0.0722)
_FULL_RANGE = 2


def to_rgb(planes: Sequence[Plane], info: VideoInfo, left: int, top: int, width: int, height: int) -> Pixels:
    """A rectangle of a picture as RGB [height, width, 3], by the stream's matrix and range; 601 where small and unsaid.

    Args:
        planes: Y, U, V as in :class:`lvc.video.Frame`.
        left, top: even, inside the picture.
        width, height: even; cut at the picture's edge.
    """
    peak = 2**info.bit_depth - 1
    scale = 2 ** (info.bit_depth - 8)
    luma = planes[0][top : top + height, left : left + width].astype(np.float64)
    rows, columns = luma.shape
    chroma = [
        np.repeat(np.repeat(plane[top // 2 :, left // 2 :], 2, axis=0), 2, axis=1)[:rows, :columns]
        for plane in (plane[: (top + height + 1) // 2, : (left + width + 1) // 2] for plane in planes[1:])
    ]
    if info.colour.range == _FULL_RANGE:
        y, (u, v) = luma / peak, ((plane - 128.0 * scale) / peak for plane in chroma)
    else:
        y, (u, v) = (luma - 16 * scale) / (219 * scale), ((plane - 128.0 * scale) / (224 * scale) for plane in chroma)
    unsaid = _LUMA[6] if info.height < 720 and info.colour.matrix == 2 else _BT709
    red, blue = _LUMA.get(info.colour.matrix, unsaid)
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    pixels: Pixels = (np.clip(np.stack([r, g, b], axis=-1), 0, 1) * 255).round().astype(np.uint8)
    return pixels


def encode_png(pixels: Pixels) -> bytes:
    """RGB [height, width, 3] as a PNG file (ISO/IEC 15948), rows filtered by their difference to the row above."""
    height, width, _ = pixels.shape
    above = np.concatenate([np.zeros_like(pixels[:1]), pixels[:-1]])
    rows = np.concatenate([np.full((height, 1), 2, np.uint8), (pixels - above).reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
