"""Mastering display (SMPTE ST 2086) and content light level (CTA-861.3) of high dynamic range video."""

import struct
from typing import Any

import av
from av.sidedata.sidedata import Type

from lvc.media.head import Hdr

_CHROMATICITY, _LUMINANCE = 50_000, 10_000
"""Units per one of a chromaticity, and per candela per square metre, in the messages of H.264 and HEVC."""

_RATIONALS = 10
_MASTERING = struct.Struct(f"@{2 * _RATIONALS}i2i")
_LIGHT = struct.Struct("@2I")
_PARAMETERS = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
}


def hdr_of(picture: av.VideoFrame) -> Hdr:
    """Reads both from a decoded picture (FFmpeg's AVMasteringDisplayMetadata and AVContentLightMetadata).

    Impossible ones are left out.
    """
    mastering: tuple[int, ...] = ()
    light: tuple[int, ...] = ()
    items: Any = picture.side_data
    for item in items:
        data = bytes(item)
        if item.type == Type.MASTERING_DISPLAY_METADATA and len(data) >= _MASTERING.size:
            mastering = _in_units(_MASTERING.unpack_from(data))
        elif item.type == Type.CONTENT_LIGHT_LEVEL and len(data) >= _LIGHT.size:
            light = _LIGHT.unpack_from(data)
    return Hdr(mastering if Hdr(mastering=mastering).is_possible else (), light if Hdr(light=light).is_possible else ())


def _in_units(fields: tuple[int, ...]) -> tuple[int, ...]:
    """Green, blue, red and white point x and y, greatest and least luminance; nothing unless all are known."""
    numerators, denominators = fields[0 : 2 * _RATIONALS : 2], fields[1 : 2 * _RATIONALS : 2]
    if not all(fields[2 * _RATIONALS :]) or not all(denominators):
        return ()
    red, green, blue, white = (slice(start, start + 2) for start in (0, 2, 4, 6))
    scales = (_CHROMATICITY,) * 8 + (_LUMINANCE,) * 2
    values = [round(n * s / d) for n, d, s in zip(numerators, denominators, scales, strict=True)]
    least, greatest = values[8:]
    return (*values[green], *values[blue], *values[red], *values[white], greatest, least)


def encoder_options(codec: str, hdr: Hdr) -> dict[str, str] | None:
    """Options that make an encoder write them; None where it cannot."""
    if codec not in _PARAMETERS:
        return None
    option, mastering, light = _PARAMETERS[codec]
    parts = []
    if hdr.mastering:
        parts.append(mastering + "=G({},{})B({},{})R({},{})WP({},{})L({},{})".format(*hdr.mastering))
    if hdr.light:
        parts.append(light + "={},{}".format(*hdr.light))
    return {option: ":".join(parts)}
