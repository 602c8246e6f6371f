"""Frames at another size, by FFmpeg's bicubic scaler."""

from dataclasses import replace
from fractions import Fraction

from lvc.media.pictures import picture_of, planes_of
from lvc.video import Frame, VideoInfo


def scaled_info(info: VideoInfo, width: int, height: int) -> VideoInfo:
    """What is true of a stream after :func:`scaled`."""
    return replace(info, width=width, height=height, sample_aspect=Fraction(0))


def scaled(frame: Frame, info: VideoInfo, width: int, height: int) -> Frame:
    """One frame at ``width`` x ``height`` luma samples, whatever its shape was; bit depth and times stay.

    Args:
        info: of the stream that the frame belongs to.
    """
    picture = picture_of(list(frame.planes), info.bit_depth, info.width, info.height)
    return Frame(planes_of(picture.reformat(width, height, interpolation="BICUBIC")), frame.pts, frame.duration)
