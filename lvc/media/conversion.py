"""Any picture that FFmpeg decodes made into the 4:2:0 of 8 or 10 bits, and the size, of the whole stream."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import av
from av.video.reformatter import Colorspace, VideoReformatter

from lvc.media.pictures import DEPTH_OF_FORMAT, FORMAT_OF_DEPTH, planes_of
from lvc.video import Colour, Plane

_REPACKED = {"nv12": 8, "nv21": 8, "p010le": 10, "p010be": 10, "yuv420p10be": 10}
"""4:2:0 in another order of bytes: conversion changes no sample."""

_LIMITED, _FULL = 1, 2
_BT709 = 1
_UNSPECIFIED = 2
_LANCZOS = 0x200 | 0x40000 | 0x80000
"""SWS_LANCZOS with SWS_ACCURATE_RND and SWS_BITEXACT."""


@dataclass(frozen=True)
class Target:
    """What all pictures of a stream become.

    Attributes:
        width, height: luma samples.
        bit_depth: 8 or 10.
        colour: of the converted pictures.
    """

    width: int
    height: int
    bit_depth: int
    colour: Colour


def target_of(picture: av.VideoFrame, chroma_location: int) -> Target:
    """Chooses the target from the first picture of a stream.

    More than 8 bits become 10. Red, green and blue become BT.709 of limited range, grey keeps its full range; all
    others keep their matrix and range.
    """
    layout = picture.format
    colour = Colour(
        primaries=picture.color_primaries or _UNSPECIFIED,
        transfer=picture.color_trc or _UNSPECIFIED,
        matrix=picture.colorspace,
        range=_range_of(picture),
    )
    depth = DEPTH_OF_FORMAT.get(layout.name) or _REPACKED.get(layout.name)
    if depth is not None:
        return Target(picture.width, picture.height, depth, replace(colour, chroma_location=chroma_location))
    if _is_rgb(picture):
        colour = replace(colour, matrix=_BT709, range=_LIMITED)
    depth = 10 if max(component.bits for component in layout.components) > 8 else 8
    return Target(picture.width, picture.height, depth, colour)


def _is_rgb(picture: av.VideoFrame) -> bool:
    return bool(picture.format.is_rgb or picture.format.has_palette)


def _range_of(picture: av.VideoFrame) -> int:
    name = picture.format.name
    if name.startswith("yuvj") or (name.startswith(("gray", "ya", "mono")) and not picture.color_range):
        return _FULL
    return int(picture.color_range)


class Conversion:
    """Makes planes of every picture of a stream.

    Args:
        target: what they become.
        warn: called with a sentence, once for each kind of change.
    """

    def __init__(self, target: Target, warn: Callable[[str], None]) -> None:
        self._target = target
        self._format = FORMAT_OF_DEPTH[target.bit_depth]
        self._warn = warn
        self._warned: set[str] = set()
        self._reformatter = VideoReformatter()

    def planes(self, picture: av.VideoFrame) -> list[Plane]:
        """Planes as :class:`lvc.video.Frame` wants them."""
        target = self._target
        name = picture.format.name
        same_size = (picture.width, picture.height) == (target.width, target.height)
        if same_size and DEPTH_OF_FORMAT.get(name) == target.bit_depth and self._same_range(picture):
            return planes_of(picture)
        if not same_size:
            self._once("size", f"pictures change size on the way; all were scaled to {target.width}x{target.height}")
        if DEPTH_OF_FORMAT.get(name, _REPACKED.get(name)) != target.bit_depth:
            transparent = any(component.is_alpha for component in picture.format.components)
            alpha = " and its transparency dropped" if transparent else ""
            self._once("format", f"the video was converted from {name} to {self._format}{alpha}")
        return planes_of(self._convert(picture))

    def _same_range(self, picture: av.VideoFrame) -> bool:
        return (_range_of(picture) or _LIMITED) == (self._target.colour.range or _LIMITED)

    def _convert(self, picture: av.VideoFrame) -> av.VideoFrame:
        target = self._target
        rgb = _is_rgb(picture)
        matrix = Colorspace.ITU709 if rgb else None
        return self._reformatter.reformat(
            picture,
            target.width,
            target.height,
            self._format,
            dst_colorspace=matrix,
            interpolation=_LANCZOS,
            src_color_range=_FULL if rgb else _range_of(picture) or _LIMITED,
            dst_color_range=target.colour.range or _LIMITED,
        )

    def _once(self, kind: str, sentence: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(sentence)
