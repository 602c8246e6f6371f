"""Between frames of a video and the codec's pictures: depth, padding, checksum."""

import zlib

import numpy as np
import torch
import torch.nn.functional as F

from lvc.model.prediction import ALIGN, Picture
from lvc.video import Frame, Plane, VideoInfo

CODED_DEPTH = 10


def padded_size(info: VideoInfo) -> tuple[int, int]:
    """(height, width) rounded up to multiples of ALIGN."""
    return info.height + -info.height % ALIGN, info.width + -info.width % ALIGN


def from_frame(frame: Frame, info: VideoInfo, device: torch.device) -> Picture:
    """A frame as 10-bit integers in float32 [1, C, H, W], its last row and column repeated up to the padded size."""
    height, width = padded_size(info)
    shift = CODED_DEPTH - info.bit_depth

    def extend(planes: list[Plane], rows: int, cols: int) -> torch.Tensor:
        stack = torch.from_numpy(np.stack(planes).astype(np.int32)).to(device).float() * (1 << shift)
        missing = (0, cols - stack.shape[2], 0, rows - stack.shape[1])
        return F.pad(stack[None], missing, mode="replicate") if any(missing) else stack[None]

    y, u, v = frame.planes
    return Picture(extend([y], height, width), extend([u, v], height // 2, width // 2))


def to_planes(picture: Picture, info: VideoInfo) -> list[list[Plane]]:
    """Decoded pictures [B, ...] as planes of the video's own size and depth, one list per item of the batch."""
    shift = CODED_DEPTH - info.bit_depth
    peak = (1 << info.bit_depth) - 1

    def cut(stack: torch.Tensor, height: int, width: int) -> Plane:
        values = stack[..., :height, :width].to(torch.int32)
        if shift:
            values = ((values + (1 << (shift - 1))) >> shift).clamp_(0, peak)
        planes: Plane = values.cpu().numpy().astype(np.uint16)
        return planes

    y = cut(picture.y, info.height, info.width)
    uv = cut(picture.uv, (info.height + 1) // 2, (info.width + 1) // 2)
    return [[y[i, 0], uv[i, 0], uv[i, 1]] for i in range(len(y))]


def checksum(planes: list[Plane], info: VideoInfo) -> int:
    """The lower 16 bits of the CRC-32 of Y, U, V in rows, a byte per sample at 8 bits and two, little-endian, at 10.

    Half of it is enough to tell one wrong picture (but for one of 65,536), let alone a machine that computes wrongly.
    """
    crc = 0
    for plane in planes:
        crc = zlib.crc32(plane.astype("u1" if info.bit_depth == 8 else "<u2").tobytes(), crc)
    return crc & 0xFFFF
