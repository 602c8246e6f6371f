"""Pictures out of a container: demultiplexing, decoding and deinterlacing, as FFmpeg does them, one at a time."""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av

from lvc.errors import InputError
from lvc.media.source import Pipe
from lvc.media.timing import Clocks, DecodingTimes
from lvc.memory import pass_on_shortage

_INTERLACED = "interlaced pictures were deinterlaced (bwdif), one picture per frame"
_LATE = "streams that begin so late that they were not found at the start were left out"
_RESTARTED = "times start anew within the source: what follows was moved to go on from there"
_SHOWN_IN_ANY_ORDER = ("h264", "hevc", "vvc")
"""Codecs of whose packets FFmpeg does not know in which order they are shown: in AVI it takes the next one's time."""
_SLACK_SECONDS = Fraction(1, 4)
_SLACK_BYTES = 0.9
_DAMAGE_ALLOWED_AT_START = 300
"""Packets that may fail before the first picture: a recording that begins between two key pictures."""


class Decoding:
    """The pictures of one video stream in presentation order.

    Args:
        container: opened for reading.
        stream: one of its video streams.
        other: called with each packet of the other streams, as it passes; None where nobody wants them.
        name: of the source, for messages.
        warnings: sentences are added here.
        pipe: the source, where it is a pipe: tells the end of the data from a failure.
        start: seconds; what is wrong with pictures before is not told. They may refer to what was not read.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        other: Callable[[Any], None] | None,
        name: str,
        warnings: list[str],
        pipe: Pipe | None,
        start: Fraction | None = None,
    ) -> None:
        self._container = container
        self._stream = stream
        self._other = other
        self._name = name
        self._warnings = warnings
        self._pipe = pipe
        self._start = start
        may_restart = container.format.flags & av.format.Flags.ts_discont.value  # type: ignore[operator]
        # of several programmes each has a clock of its own
        self._clocks = Clocks() if may_restart and len(container.streams.video) == 1 else None
        has_no_pts = container.format.name == "avi" and stream.codec_context.name in _SHOWN_IN_ANY_ORDER
        self._times = DecodingTimes() if has_no_pts else None
        self._pictures = 0
        self._failures = 0
        self._damaged = False
        self._position = 0
        self._time = Fraction(0)

    def __iter__(self) -> Iterator[av.VideoFrame]:
        deinterlacer: Deinterlacer | None = None
        for picture in self._decoded():
            if picture.interlaced_frame and deinterlacer is None:
                deinterlacer = Deinterlacer()
                if _INTERLACED not in self._warnings:
                    self._warnings.append(_INTERLACED)
            if deinterlacer is None:
                yield picture
            else:
                yield from deinterlacer.push(picture)
        if deinterlacer is not None:
            yield from deinterlacer.flush()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        # where clocks may restart all streams are read, so that the times are the same, whoever wants them
        wanted = () if self._other is not None or self._clocks is not None else (self._stream,)
        packets: Iterator[Any] = self._container.demux(*wanted)
        while True:
            try:
                packet = next(packets, None)
            except IndexError:  # at the end PyAV looks for streams that were not there when it opened the container
                self._warnings.append(_LATE)
                packet = None
            except (av.FFmpegError, OSError) as error:
                pass_on_shortage(error)
                self._check_pipe()
                raise self._error(error) from error
            self._check_pipe()
            if packet is None:
                self._check_end()
                return
            if self._clocks is not None:
                self._clocks.move(packet)
                if self._clocks.restarts and _RESTARTED not in self._warnings:
                    self._warnings.append(_RESTARTED)
            if packet.pos is not None:
                self._position = max(self._position, packet.pos + packet.size)
            if packet.stream.index == self._stream.index:
                if packet.pts is not None:
                    self._time = max(self._time, (packet.pts + (packet.duration or 0)) * packet.time_base)
                yield from self._decode(packet)
            elif self._other is not None and packet.size:
                self._other(packet)

    def _check_end(self) -> None:
        """FFmpeg ends without a word where a pipe was cut off, and where it loses its way in a Matroska file.

        The latter is early in time and in bytes.
        """
        if self._pipe is not None:
            missing = self._pipe.missing()
            self._check_pipe()
            if missing:
                raise cut_off(self._name, missing)
            return
        seconds = stated_end(self._stream)
        if seconds is None:
            return
        if self._time < seconds - _SLACK_SECONDS and self._position < _SLACK_BYTES * self._container.size:
            raise InputError(
                f"{self._name}: damaged: the video ends after {float(self._time):.3g} of {float(seconds):.3g} seconds"
            )

    def _decode(self, packet: Any) -> Iterator[av.VideoFrame]:
        if self._times is not None and packet.size and packet.dts is not None:
            packet.pts = packet.dts
            self._times.push(packet.dts)
        try:
            pictures = self._stream.decode(packet)
        except (av.FFmpegError, OSError) as error:
            pass_on_shortage(error)
            self._failures += 1
            if self._pictures or self._failures > _DAMAGE_ALLOWED_AT_START or not packet.size:
                raise self._error(error) from error
            return
        if pictures and self._failures and not self._pictures and self._start is None:
            self._warnings.append(f"{self._failures} undecodable packets before the first picture were skipped")
        for picture in pictures:
            self._pictures += 1
            if self._times is not None:
                picture.pts = self._times.place(picture.pts, picture.key_frame)
            if picture.is_corrupt and not self._damaged and not self._is_early(picture):
                self._damaged = True
                self._warnings.append(f"the source is damaged: picture {self._pictures - 1} is not fully decodable")
            yield picture

    def _is_early(self, picture: av.VideoFrame) -> bool:
        return self._start is not None and not is_from(picture, self._start)

    def _check_pipe(self) -> None:
        if self._pipe is not None and self._pipe.failure is not None:
            if isinstance(self._pipe.failure, OSError):
                raise InputError(f"{self._name}: {self._pipe.failure.strerror}") from self._pipe.failure
            raise self._pipe.failure

    def _error(self, error: av.FFmpegError | OSError) -> InputError:
        if not self._pictures and self._pipe is not None and self._pipe.extent.index_is_last:
            return index_is_last(self._name)
        return InputError(f"{self._name}: damaged after picture {self._pictures}: {error.strerror}")


def cut_off(name: str, missing: int) -> InputError:
    """The error of a source that ends early."""
    return InputError(f"{name}: the video is cut off; at least {missing} bytes are missing at its end")


def index_is_last(name: str) -> InputError:
    """The error of an MP4 or MOV file whose pictures come before the index of them, from a pipe."""
    return InputError(
        f"{name}: this MP4 or MOV has its index behind its pictures and cannot be read from a pipe: name the file,"
        " or let FFmpeg copy it with -movflags faststart"
    )


def stated_end(stream: av.VideoStream) -> Fraction | None:
    """Where a stream ends in seconds, by the tag that Matroska files have of each stream; None where there is none."""
    stated = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return None if stated is None else int(stated[1]) * 3600 + int(stated[2]) * 60 + Fraction(stated[3])


def is_from(picture: av.VideoFrame, seconds: Fraction) -> bool:
    """Whether a picture is shown at a time or later, or nobody knows when."""
    return picture.pts is None or picture.time_base is None or picture.pts * picture.time_base >= seconds


class Deinterlacer:
    """FFmpeg's bwdif: one picture per frame, pictures that are not marked as interlaced pass untouched."""

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._kind: tuple[int, int, str] | None = None

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Takes a picture and gives those that are finished: one picture of delay."""
        kind = (picture.width, picture.height, picture.format.name)
        if kind != self._kind:
            yield from self.flush()
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
            )
            graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
            graph.configure()
            self._graph, self._kind = graph, kind
        yield from self._run(picture)

    def flush(self) -> Iterator[av.VideoFrame]:
        """Gives the rest."""
        if self._graph is not None:
            yield from self._run(None)
            self._graph = self._kind = None

    def _run(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        if self._graph is None:
            return
        self._graph.vpush(picture)
        while True:
            try:
                finished = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield finished
