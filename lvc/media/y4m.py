"""YUV4MPEG2 ("y4m"): the raw video format of pipes. One header line, then frames without timestamps.

Written from the mjpegtools description of the format and from what FFmpeg, x264 and SVT-AV1 write in practice. Read and
written here is 4:2:0 of 8 and 10 bits, progressive; a header that says anything else is left to FFmpeg.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from lvc.errors import InputError
from lvc.media.limits import check_size, storable_ratio
from lvc.video import Colour, Frame, Plane, VideoInfo

SIGNATURE = b"YUV4MPEG2 "
MAX_HEADER_BYTES = 4096

# What the tag C says: bit depth and FFmpeg's number of the chroma position (1 left, 2 centre, 3 top left).
_CHROMA = {"420": (8, 2), "420jpeg": (8, 2), "420mpeg2": (8, 1), "420paldv": (8, 3), "420p10": (10, 0)}
# The other way round, for 8 bits. "420" alone leaves the position open, but FFmpeg takes it for the centre, too.
_CHROMA_TAG = {0: "420", 1: "420mpeg2", 2: "420jpeg", 3: "420paldv"}
# What players take for granted where nothing is said: positions with 10 bits; BT.601 or BT.709 by the picture's size.
_USUAL_LOCATIONS = (0, 1)
_USUAL_PRIMARIES, _USUAL_TRANSFERS, _USUAL_MATRICES = (1, 2, 5, 6), (1, 2, 4, 5, 6), (1, 2, 5, 6)
_RANGE = {"LIMITED": 1, "FULL": 2}


class Y4mUnsupportedError(Exception):
    """A valid header of a kind that this module does not read: other chroma, other depth, interlaced."""


def _ratio(text: str, what: str) -> Fraction:
    match = re.fullmatch(r"(\d{1,10}):(\d{1,10})", text)
    if match is None:
        raise InputError(f"the y4m header has a bad {what} {text!r}; it should look like 25:1")
    numerator, denominator = int(match[1]), int(match[2])
    return storable_ratio(Fraction(numerator, denominator), what) if denominator else Fraction(0)


def parse_header(line: bytes) -> VideoInfo:
    """Reads the header line, without its line feed.

    Raises:
        InputError: the header is damaged.
        LimitError: the size or a ratio is over the limits.
        Y4mUnsupportedError: the header is good but names another kind of picture.
    """
    values = {tag[:1]: tag[1:] for tag in line.decode("latin-1").split(" ")[1:] if tag and not tag.startswith("X")}
    extensions = [tag[1:] for tag in line.decode("latin-1").split(" ")[1:] if tag.startswith("X")]
    sizes = values.get("W", ""), values.get("H", "")
    if not all(re.fullmatch(r"\d{1,6}", size) for size in sizes):
        raise InputError("the y4m header does not say the width and height of the pictures")
    width, height = int(sizes[0]), int(sizes[1])
    check_size(width, height)
    if values.get("I", "p") not in ("p", "?"):
        raise Y4mUnsupportedError("interlaced")
    chroma = values.get("C", "420")
    if chroma not in _CHROMA:
        raise Y4mUnsupportedError(chroma)
    bit_depth, chroma_location = _CHROMA[chroma]
    if "C" not in values or chroma == "420":
        chroma_location = 0
    colour_range = 0
    for extension in extensions:
        name, _, value = extension.partition("=")
        if name == "COLORRANGE":
            colour_range = _RANGE.get(value, 0)
    rate = _ratio(values.get("F", "25:1"), "frame rate") or Fraction(25)
    return VideoInfo(
        width=width,
        height=height,
        bit_depth=bit_depth,
        time_base=1 / rate,
        frame_rate=rate,
        colour=Colour(range=colour_range, chroma_location=chroma_location),
        sample_aspect=_ratio(values.get("A", "0:0"), "sample aspect"),
    )


def header_of(info: VideoInfo, rate: Fraction) -> bytes:
    """The header line for a stream, with its line feed."""
    chroma = "420p10" if info.bit_depth == 10 else _CHROMA_TAG.get(info.colour.chroma_location, "420")
    aspect = info.sample_aspect
    tags = [
        f"W{info.width}",
        f"H{info.height}",
        f"F{rate.numerator}:{rate.denominator}",
        "Ip",
        f"A{aspect.numerator}:{aspect.denominator if aspect else 0}",
        f"C{chroma}",
    ]
    if info.bit_depth == 10:
        tags.append("XYSCSS=420P10")
    if info.colour.range:
        tags.append("XCOLORRANGE=" + ("LIMITED" if info.colour.range == 1 else "FULL"))
    return SIGNATURE + " ".join(tags).encode("ascii") + b"\n"


def unsaid(info: VideoInfo) -> list[str]:
    """What a header cannot say of a stream and players do not take for granted, in words."""
    colour = info.colour
    is_usual = (
        colour.primaries in _USUAL_PRIMARIES
        and colour.transfer in _USUAL_TRANSFERS
        and colour.matrix in _USUAL_MATRICES
    )
    locations = _USUAL_LOCATIONS if info.bit_depth == 10 else tuple(_CHROMA_TAG)
    lost = ["rotation"] if info.rotation else []
    lost += [] if is_usual else ["colour primaries, transfer and matrix"]
    return lost + ([] if colour.chroma_location in locations else ["position of chroma samples"])


def _plane_shapes(info: VideoInfo) -> list[tuple[int, int]]:
    chroma = ((info.height + 1) // 2, (info.width + 1) // 2)
    return [(info.height, info.width), chroma, chroma]


def _sample_type(info: VideoInfo) -> np.dtype[np.unsignedinteger]:
    return np.dtype(np.uint8) if info.bit_depth == 8 else np.dtype("<u2")


def _frames_left(source: BinaryIO, info: VideoInfo) -> int | None:
    """How many frames follow, if nothing but themselves is said of them; None in a pipe."""
    if not getattr(source, "seekable", bool)():
        return None
    here = source.tell()
    end = source.seek(0, os.SEEK_END)
    source.seek(here)
    samples = sum(rows * columns for rows, columns in _plane_shapes(info))
    return (end - here) // (len(b"FRAME\n") + samples * _sample_type(info).itemsize)


class Y4mReader:
    """Frames of a y4m stream, one at a time; works on pipes of unknown length.

    Args:
        header: the first line, without its line feed.
        source: positioned behind it.

    Raises:
        InputError, LimitError, Y4mUnsupportedError: as :func:`parse_header`.

    Attributes:
        info: the stream; one tick is one frame.
    """

    def __init__(self, header: bytes, source: BinaryIO) -> None:
        self._source = source
        info = parse_header(header)
        self.info = replace(info, frames=_frames_left(source, info))

    def __iter__(self) -> Iterator[Frame]:
        shapes = _plane_shapes(self.info)
        dtype = _sample_type(self.info)
        limit = (1 << self.info.bit_depth) - 1
        number = 0
        while line := self._source.readline(MAX_HEADER_BYTES):
            if not line.startswith(b"FRAME") or not line.endswith(b"\n"):
                raise InputError(f"the y4m input is damaged before frame {number}: it lacks the FRAME line")
            planes: list[Plane] = []
            for rows, columns in shapes:
                data = self._read(rows * columns * dtype.itemsize, number)
                plane = np.frombuffer(data, dtype=dtype).reshape(rows, columns).astype(np.uint16)
                if self.info.bit_depth == 10 and int(plane.max()) > limit:
                    raise InputError(f"the y4m input has samples over {limit} in frame {number}")
                planes.append(plane)
            yield Frame(planes, number, 1)
            number += 1

    def _read(self, count: int, number: int) -> bytes:
        parts: list[bytes] = []
        missing = count
        while missing:
            part = self._source.read(missing)
            if not part:
                raise InputError(f"the y4m input ends in the middle of frame {number}")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


class Y4mWriter:
    """Writes frames as y4m. Every frame lasts as long as any other: timestamps are not kept by this format.

    Args:
        target: where the bytes go.
        info: the stream; ``frame_rate`` goes into the header, or one over the time base where it is unknown.

    Raises:
        OSError: from ``target``.
    """

    def __init__(self, target: BinaryIO, info: VideoInfo) -> None:
        self._target = target
        rate = info.frame_rate or 1 / info.time_base
        self._info = replace(info, frame_rate=rate)
        target.write(header_of(info, rate))

    def write(self, frame: Frame) -> None:
        """Writes one frame."""
        dtype = _sample_type(self._info)
        self._target.write(b"FRAME\n" + b"".join(plane.astype(dtype).tobytes() for plane in frame.planes))

    def finish(self) -> None:
        """Hands what is buffered to the system."""
        if flush := getattr(self._target, "flush", None):  # of some streams there is only write()
            flush()
