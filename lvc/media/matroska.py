"""The head of a Matroska file: the common language for what is known of a stream before its first packet."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av

from lvc.memory import pass_on_shortage

_EMPTY_CLUSTER = b"\x1f\x43\xb6\x75\x83\xe7\x81\x00"
"""A Cluster at time 0 with nothing in it; FFmpeg reads the head of a file up to its first Cluster."""

_CHROMA_SITING = re.compile(rb"\x55\xb7\x81(.)\x55\xb8\x81(.)", re.DOTALL)
"""The elements ChromaSitingHorz and ChromaSitingVert: 1 left or top, 2 half."""

_CODEC_PRIVATE = b"\x63\xa2"
_CODEC_DELAY = re.compile(rb"\x56\xaa([\x81-\x88])")
"""CodecDelay, in nanoseconds, as its name and length; FFmpeg writes it before CodecPrivate."""

_LOCATION_OF_SITING = {(1, 2): 1, (2, 2): 2, (1, 1): 3, (2, 1): 4}


class _Unseekable:
    """Keeps what is written; the lengths of the file stay open."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def matroska_head(declare: Callable[[Any], object]) -> bytes:
    """A Matroska file with the parameters of some streams and no packets; always the same bytes for the same streams.

    Args:
        declare: called with the container, to add the streams to it.

    Raises:
        ValueError, av.FFmpegError: Matroska cannot hold such a stream.
    """
    file = _Unseekable()
    with av.open(file, "w", format="matroska", container_options={"live": "1", "fflags": "+bitexact"}) as container:
        declare(container)
        container.start_encoding()
    return bytes(file.data) + _EMPTY_CLUSTER


def chroma_location(stream: av.VideoStream) -> int:
    """Where the chroma samples of a stream sit, as FFmpeg numbers it; 0 where the source does not say.

    PyAV has no attribute for it, but Matroska has a field.
    """
    try:
        head = matroska_head(lambda container: container.add_stream_from_template(stream, opaque=True))
    except (ValueError, av.FFmpegError) as error:
        pass_on_shortage(error)
        return 0
    found = _CHROMA_SITING.search(head)
    return 0 if found is None else _LOCATION_OF_SITING.get((found[1][0], found[2][0]), 0)


def codec_delay(stream: Any) -> Fraction:
    """By how many seconds a stream may begin before time 0 in a Matroska file, whose times are whole milliseconds.

    What its decoder gives first is left out. PyAV has no attribute for it, but Matroska has a field.

    Raises:
        ValueError, av.FFmpegError: Matroska cannot hold the stream.
    """
    head = matroska_head(lambda container: container.add_stream_from_template(stream))
    found = _CODEC_DELAY.search(head.partition(_CODEC_PRIVATE)[0])
    if found is None:
        return Fraction(0)
    length = found[1][0] & 15
    return Fraction(-(-int.from_bytes(head[found.end() :][:length], "big") // 10**6), 1000)
