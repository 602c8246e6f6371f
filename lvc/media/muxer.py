"""Encodes video and writes it, with its side streams, into a file of FFmpeg's."""

import math
import os
from collections.abc import Callable
from fractions import Fraction
from typing import Any, BinaryIO

import av

from lvc.media.encoders import Encoder, add_video_stream, check_encoder
from lvc.media.hdr import encoder_options
from lvc.media.head import Hdr
from lvc.media.pictures import picture_of
from lvc.media.priority import usual_priority
from lvc.media.sideoutput import SideOutput
from lvc.video import Frame, VideoInfo

_ISO_MEDIA = ("mp4", "mov")
_FINE_ENOUGH = 48000
"""Units of a second."""
_IN_ORDER = 2
"""Pictures of a stream so short that none can come before another that is shown earlier."""
_SAY_ASPECT = ("libx264", "libx265", "libsvtav1", "libaom-av1")
"""Codecs with the sample aspect in their own headers; Matroska has a field for it that PyAV cannot reach."""


def _timescale(unit: int) -> int:
    """A multiple of the denominator of a time base, so fine that audio begins when it should."""
    return unit * max(1, math.ceil(_FINE_ENOUGH / unit))


class _Target:
    """A file that FFmpeg writes: keeps the first error for :meth:`check`, and drops what comes after it.

    FFmpeg writes on after an error, and PyAV prints those that come while it holds one. It counts positions from the
    start of a file: there is no way back in one that does not begin with what is written, or is open for appending.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._error: OSError | None = None
        seekable = getattr(stream, "seekable", None)  # of some there is only write()
        self._seekable = seekable is not None and seekable() and stream.tell() == 0 and not _appends(stream)

    def seekable(self) -> bool:
        return self._seekable

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._unless_failed(lambda: self._stream.seek(offset, whence), offset)

    def write(self, data: bytes) -> int:
        return self._unless_failed(lambda: self._stream.write(data), len(data))

    def _unless_failed(self, work: Callable[[], int], pretended: int) -> int:
        if self._error is None:
            try:
                return work()
            except OSError as error:
                self._error = error
        return pretended

    def drop(self) -> None:
        """Let nothing more through."""
        self._error = self._error or OSError("the file is not wanted any more")

    def check(self) -> None:
        """Raise the error that came while FFmpeg wrote."""
        if self._error is not None:
            raise self._error


def _appends(stream: BinaryIO) -> bool:
    if os.name != "posix":
        return False
    import fcntl

    try:
        return bool(fcntl.fcntl(stream.fileno(), fcntl.F_GETFL) & os.O_APPEND)
    except (OSError, ValueError, AttributeError):  # there is no file behind it
        return False


class Muxer:
    """One output file with a video stream.

    Args:
        target: where the bytes go.
        muxer: FFmpeg's name of the format.
        encoder: of the video.
        info: the video.
        warnings: sentences on what was changed are added here.

    Raises:
        OutputError: the format cannot hold such video.
        OSError, av.FFmpegError: from ``target``.
    """

    def __init__(self, target: BinaryIO, muxer: str, encoder: Encoder, info: VideoInfo, warnings: list[str]) -> None:
        check_encoder(muxer, encoder, info)
        self._info = info
        self._muxer = muxer
        self._encoder = encoder
        self._warnings = warnings
        self._target = _Target(target)
        options = {}
        if muxer in _ISO_MEDIA:
            # else late starts are rounded to 1 ms, those of audio to the times of pictures
            options["movie_timescale"] = str(_timescale(info.time_base.denominator))
            if not self._target.seekable():
                options["movflags"] = "frag_keyframe+empty_moov+delay_moov"
        self._container: Any = av.open(self._target, "w", format=muxer, container_options=options)
        self._stream: Any = add_video_stream(self._container, encoder, info)
        if (encoder.width, encoder.height) != (info.width, info.height):
            warnings.append(
                f"{encoder.codec} holds even sizes only: "
                f"{info.width}x{info.height} was continued to {encoder.width}x{encoder.height}"
            )
        if info.sample_aspect not in (0, 1) and muxer in ("matroska", "webm") and encoder.codec not in _SAY_ASPECT:
            warnings.append(f"{encoder.codec} in {muxer} cannot say the sample aspect {info.sample_aspect}")
        self._side = SideOutput(self._container, muxer, warnings)
        self._waiting: list[bytes] = []
        self._shift: Fraction | None = None
        self._written = 0

    def write(self, frame: Frame) -> None:
        """Writes one frame; the header too before the first."""
        if self._shift is None:
            self._begin(frame.pts)
        shift = round((self._shift or Fraction(0)) / self._info.time_base)
        picture = picture_of(list(frame.planes), self._info.bit_depth, self._encoder.width, self._encoder.height)
        picture.time_base = self._info.time_base
        picture.pts = frame.pts + shift
        picture.duration = frame.duration
        self._container.mux(self._stream.encode(picture))
        self._target.check()
        self._written += 1

    def _begin(self, first: int) -> None:
        begin = min([first * self._info.time_base, *(self._side.begin(segment) for segment in self._waiting)])
        self._shift = max(Fraction(0), -begin)
        if self._shift:
            self._warnings.append(
                f"{self._muxer} begins at time 0: everything was moved by {float(self._shift):.6g} seconds"
            )
        self._side.set_chapters(self._shift)
        with usual_priority():
            self._container.start_encoding()
        for packet in self._side.covers():
            self._container.mux(packet)
        for segment in self._waiting:
            self._write_packets(segment)
        self._waiting.clear()

    def write_side(self, segment: bytes) -> None:
        """Writes a segment of side streams, or keeps it until the first frame."""
        if segment[:1] == b"H":
            if self._shift is not None:
                self._warnings.append("side streams that came after the first frame were left out")
                return
            self._side.declare(segment, self._stream)
            self._declare_hdr(self._side.head.hdr)
        elif segment[:1] == b"P":
            if self._shift is None:
                self._waiting.append(segment)
            else:
                self._write_packets(segment)

    def _declare_hdr(self, hdr: Hdr) -> None:
        if hdr == Hdr():
            return
        options = encoder_options(self._encoder.codec, hdr)
        if options is None:
            self._warnings.append(f"{self._encoder.codec} cannot say the mastering display and light levels")
        else:
            chosen = self._stream.codec_context.options
            for name, value in options.items():
                chosen[name] = f"{chosen[name]}:{value}" if name in chosen else value

    def _write_packets(self, segment: bytes) -> None:
        for packet in self._side.packets(segment, self._shift or Fraction(0)):
            self._container.mux(packet)
        self._target.check()

    def finish(self) -> None:
        """Writes what the encoder still holds, and the end of the file."""
        rest = self._stream.encode(None)
        if self._written <= _IN_ORDER:  # x265 subtracts from their decoding times what it has never set
            for packet in rest:
                packet.dts = packet.pts
        self._container.mux(rest)
        self._container.close()
        self._target.check()
        self._side.close()

    def abandon(self) -> None:
        """Lets go of everything; the file is not to be used."""
        self._side.close()
        self._target.drop()
        try:
            self._container.close()  # FFmpeg would do so later, where its errors could not be caught
        except (av.FFmpegError, OSError, ValueError):
            return  # the error that led here is already on its way
        finally:
            self._container = self._stream = None
