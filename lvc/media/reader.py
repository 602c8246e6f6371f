"""Video in: frames with their timing from anything that FFmpeg opens, and y4m from pipes."""

import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import av

from lvc.container import limits
from lvc.container.part import SIDE_SECONDS
from lvc.errors import InputError, LvcError
from lvc.media.collector import SideCollector
from lvc.media.conversion import Conversion, target_of
from lvc.media.decoding import Decoding, cut_off, index_is_last, is_from, stated_end
from lvc.media.hdr import hdr_of
from lvc.media.limits import check_size
from lvc.media.matroska import chroma_location
from lvc.media.pictures import is_mirrored
from lvc.media.source import Pipe, Source, open_source
from lvc.media.timing import Timeline
from lvc.media.truncation import missing_bytes
from lvc.media.y4m import Y4mReader, Y4mUnsupportedError
from lvc.memory import pass_on_shortage
from lvc.video import Frame, VideoInfo

_SEEKABLE = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
"""Formats with an index and with times of all pictures."""


class VideoReader:
    """Frames of the video stream of a file or pipe, in presentation order, decoded as they are asked for.

    Args:
        source: a path (or what FFmpeg takes for one: a URL, ``img_%03d.png``), ``-`` for standard input, or a file
            opened for reading bytes.
        side: whether to collect the packets of the other streams; who says so calls :meth:`take_side` now and then.

    Raises:
        InputError: the source is missing, not a video, damaged, cut off or has no frames.
        LimitError: its pictures are over the limits.

    Attributes:
        info: what is true of the whole stream.
        warnings: sentences on what was changed on the way in; may grow while frames are read.

    Iterating goes through the frames once, with times that strictly increase; it raises InputError where the source
    turns out to be damaged.
    """

    info: VideoInfo
    warnings: list[str]

    def __init__(self, source: str | os.PathLike[str] | BinaryIO, *, side: bool = True) -> None:
        self.warnings = []
        self._container: av.container.InputContainer | None = None
        self._side: SideCollector | None = None
        self._stream: av.VideoStream | None = None
        self._conversion: Conversion | None = None
        self._source = open_source(source)
        try:
            self._frames = self._open(self._source, side)
        except BaseException:
            self.close()
            raise

    def _open(self, source: Source, side: bool) -> Iterator[Frame]:
        if source.header is not None and source.stream is not None:
            try:
                reader = Y4mReader(source.header, cast("BinaryIO", source.stream))
            except Y4mUnsupportedError:
                head = source.header + b"\n"
                source = replace(source, stream=None if source.path else Pipe(head, source.stream))
            except LvcError as error:
                raise type(error)(f"{source.name}: {error}") from error
            else:
                return self._open_y4m(reader)
        return self._open_container(source, side)

    def _open_y4m(self, reader: Y4mReader) -> Iterator[Frame]:
        self.info = reader.info
        frames = self._named(iter(reader))
        first = next(frames, None)
        if first is None:
            raise InputError(f"{self._source.name}: there is not one frame in it")
        return chain([first], frames)

    def _named(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        try:
            yield from frames
        except InputError as error:
            raise InputError(f"{self._source.name}: {error}") from error
        except OSError as error:
            pass_on_shortage(error)
            raise InputError(f"{self._source.name}: {error.strerror}") from error

    def _open_container(self, source: Source, side: bool) -> Iterator[Frame]:
        name = source.name
        pipe = source.stream if isinstance(source.stream, Pipe) else None
        try:
            if pipe is None and (missing := _missing(source)):
                raise cut_off(name, missing)
            address = _address(source) if source.stream is None else source.stream
            self._container = av.open(address, "r", metadata_errors="replace")
        except (av.FFmpegError, OSError) as error:
            pass_on_shortage(error)
            if pipe is not None and pipe.failure is not None:
                raise pipe.failure from None
            if pipe is not None and pipe.extent.index_is_last:
                raise index_is_last(name) from error
            raise InputError(f"{name}: {_reason(error)}") from error
        stream = _video_stream(self._container)
        if stream is None:
            raise InputError(f"{name}: there is no video in it")
        self._stream = stream
        stream.thread_type = av.codec.context.ThreadType.AUTO
        side = side and not _is_image(self._container)
        if side:
            self._side = SideCollector(self._container, stream, self.warnings)
        decoding = Decoding(
            self._container, stream, self._side.add if self._side is not None else None, name, self.warnings, pipe
        )
        pictures = iter(decoding)
        first = next(pictures, None)
        if first is None:
            raise InputError(f"{name}: there is not one picture in it that can be decoded")
        try:
            check_size(first.width, first.height)
        except LvcError as error:
            raise type(error)(f"{name}: {error}") from error
        if self._side is not None:
            self._side.hdr = hdr_of(first)
        target = target_of(first, chroma_location(stream))
        self.info = VideoInfo(
            width=target.width,
            height=target.height,
            bit_depth=target.bit_depth,
            time_base=_bounded(stream.time_base or Fraction(1, 25)),
            frame_rate=_frame_rate(stream),
            colour=target.colour,
            sample_aspect=_bounded(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio),
            rotation=self._rotation(first),
            frames=_frame_count(self._container, stream),
        )
        self._conversion = Conversion(target, self.warnings.append)
        return self._timed(chain([first], pictures), self._conversion)

    def skip_to(self, seconds: Fraction) -> None:
        """Leave out frames before a time, where the source is a file that can seek: they are not decoded then.

        All frames from that time on stay as they are, and so do the packets of other streams that begin there. To be
        called when no more than the first frame has been taken; iteration must begin anew.

        Args:
            seconds: in the source's own time.
        """
        container, stream, conversion = self._container, self._stream, self._conversion
        seekable = self._source.stream is None and container is not None and container.format.name in _SEEKABLE
        if not seekable or container is None or stream is None or conversion is None or not stream.time_base:
            return
        wanted = seconds - SIDE_SECONDS
        if wanted <= (stream.start_time or 0) * stream.time_base + SIDE_SECONDS:
            return
        other = self._side.add if self._side is not None else None
        decoding = Decoding(container, stream, other, self._source.name, self.warnings, None, seconds)
        try:
            container.seek(int(wanted / stream.time_base), stream=stream)
            pictures = iter(decoding)
            first = next(pictures, None)
            landed = None if first is None or first.pts is None else first.pts * stream.time_base
        except (av.FFmpegError, OSError, InputError) as error:
            pass_on_shortage(error)
            first = landed = None
        if first is None or landed is None or landed > wanted:
            self._begin_again()
            return
        # a little more than what is wanted, as times are rounded
        late = (picture for picture in chain([first], pictures) if is_from(picture, seconds - 1))
        self._frames = self._timed(late, conversion)

    def _begin_again(self) -> None:
        """Go back to the first frame; the first segment of the side streams is not given again."""
        if self._container is not None:
            self._container.close()
        self.warnings.clear()
        self._frames = self._open_container(self._source, self._side is not None)
        if self._side is not None:
            self._side.leave_out_head()

    def _rotation(self, picture: av.VideoFrame) -> int:
        """Clockwise degrees; FFmpeg counts the other way."""
        degrees = -picture.rotation % 360
        turned = round(degrees / 90) * 90 % 360
        if is_mirrored(picture) or turned != degrees:
            self.warnings.append(f"the video is shown mirrored or at an angle; only a rotation of {turned} is kept")
        return turned

    def _timed(self, pictures: Iterator[av.VideoFrame], conversion: Conversion) -> Iterator[Frame]:
        ticks = self.info.time_base
        timeline = Timeline(ticks, self.info.frame_rate)
        warned = False
        for picture in pictures:
            pts, duration = picture.pts, picture.duration
            if picture.time_base and picture.time_base != ticks:
                scale = picture.time_base / ticks
                pts, duration = (None if pts is None else round(pts * scale), round(duration * scale))
            planes = conversion.planes(picture)
            placed = timeline.place(pts, duration)
            if timeline.repaired and not warned:
                warned = True
                self.warnings.append("timestamps that were missing or went back were repaired")
            yield Frame(planes, placed, max(0, duration))

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    @property
    def has_sound(self) -> bool:
        """Whether audio or subtitles are collected, which are tied to the times of the frames."""
        return self._side is not None and self._side.has_streams

    def take_side(self) -> bytes | None:
        """The side streams that were read since the last call, for a SIDE chunk; see :mod:`lvc.media.segment`.

        Called right after opening, gives the segment that declares the streams, where the source has any, or tags. To
        be called after each group of pictures; after the last frame, as long as it gives something.

        Returns:
            A segment for :meth:`VideoWriter.write_side`, at most about 32 MiB (the first: as long as its attachments),
            or None where there is nothing new.
        """
        return None if self._side is None else self._side.take()

    def close(self) -> None:
        """Lets go of the source."""
        if self._container is not None:
            self._container.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _missing(source: Source) -> int:
    """Bytes that a file, or a stream that can seek, lacks at its end; 0 for what else FFmpeg opens."""
    if source.stream is None:
        if source.path is None or not Path(source.path).is_file():
            return 0
        with Path(source.path).open("rb") as file:
            return missing_bytes(file, os.fstat(file.fileno()).st_size)
    stream = cast("BinaryIO", source.stream)
    stream.seek(0, os.SEEK_END)
    try:
        return missing_bytes(stream, stream.tell())
    finally:
        stream.seek(0)


def _address(source: Source) -> str:
    """The path as FFmpeg must see it: with a colon in its name it would look like a protocol."""
    path = source.path or ""
    return f"file:{path}" if ":" in path and Path(path).exists() else path


def _reason(error: av.FFmpegError | OSError) -> str:
    if isinstance(error, av.InvalidDataError):
        return "this is not a video, or it is damaged"
    return error.strerror or str(error)


def _video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The stream to encode: never a cover picture; the one marked as default before others."""
    streams: list[Any] = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    streams = [s for s in streams if s.codec_context is not None]
    return max(streams, key=lambda s: bool(s.disposition & av.stream.Disposition.default), default=None)


def _is_image(container: av.container.InputContainer) -> bool:
    return container.format.name.startswith("image2") or container.format.name.endswith("_pipe")


def _bounded(ratio: Fraction | None) -> Fraction:
    """A ratio whose terms fit the header; 0 for none."""
    if ratio is None or ratio < 0:
        return Fraction(0)
    return ratio if max(ratio.as_integer_ratio()) <= limits.MAX_RATIO_TERM else ratio.limit_denominator(1_000_000)


def _frame_rate(stream: av.VideoStream) -> Fraction | None:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return _bounded(rate) or None


def _frame_count(container: av.container.InputContainer, stream: av.VideoStream) -> int | None:
    if stream.frames:
        return stream.frames
    rate = stream.average_rate or stream.guessed_rate
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif end := stated_end(stream):  # other streams may be longer
        seconds = float(end - (stream.start_time or 0) * (stream.time_base or 0))
    elif container.duration:
        seconds = container.duration / av.time_base
    else:
        return None
    return max(1, round(seconds * rate)) if rate else None
