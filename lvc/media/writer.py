"""Video out: y4m, or a file of FFmpeg's, to a path or a pipe."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import av

from lvc.errors import OutputError
from lvc.media.encoders import choose_encoder
from lvc.media.head import Hdr, Head, unpack_head
from lvc.media.muxer import Muxer
from lvc.media.y4m import Y4mWriter, unsaid
from lvc.memory import pass_on_shortage
from lvc.output import reason_of
from lvc.video import Frame, VideoInfo

_MUXER_OF_EXTENSION = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".y4m": "y4m"}

_UNSAID = "y4m cannot say the "
_LEFT_OUT = "y4m holds no audio and no other side streams; they were left out"


def muxer_of(path: str | None, wanted: str | None, lossless: bool) -> str:
    """FFmpeg's name of the container that is written.

    Args:
        path: of the output; None for an open file.
        wanted: ``format`` of :class:`VideoWriter`.
        lossless: whether pipes get Matroska instead of y4m.

    Raises:
        OutputError: it is unknown.
    """
    known = {**_MUXER_OF_EXTENSION, ".matroska": "matroska"}
    if wanted is not None:
        if f".{wanted.lower()}" not in known:
            raise OutputError(f"unknown output format {wanted!r}; known are mp4, mov, mkv, webm and y4m")
        return known[f".{wanted.lower()}"]
    if path is None or path == "-":
        return "matroska" if lossless else "y4m"
    extension = Path(path).suffix.lower()
    if extension not in known:
        raise OutputError(
            f"{path}: its name does not say what format it is to be; known are .mp4, .mov, .mkv, .webm and .y4m"
        )
    return known[extension]


class VideoWriter:
    """Writes frames, and side streams untouched, to a file or pipe.

    Args:
        destination: a path, ``-`` for standard output, or a file opened for writing bytes. A path is opened and
            overwritten; nothing else is touched.
        info: what is true of the whole stream.
        format: ``mp4``, ``mov``, ``mkv``, ``webm`` or ``y4m``; None takes it from the file name (pipes: y4m).
        codec: an encoder of FFmpeg; None for libx264 (webm: VP9, AV1 for 10 bits).
        crf: the encoder's constant rate factor; None for a visually lossless one.
        lossless: FFV1 in Matroska, which pipes get then, too.

    Raises:
        OutputError: unknown format or codec, one that does not go with the other wishes, or nothing can be written
            there.

    Attributes:
        warnings: sentences on what the format cannot keep; may grow while frames are written.

    Leaving the context after an error abandons the file as it is.
    """

    warnings: list[str]

    def __init__(
        self,
        destination: str | os.PathLike[str] | BinaryIO,
        info: VideoInfo,
        *,
        format: str | None = None,  # noqa: A002 - the name that av.open has for it
        codec: str | None = None,
        crf: float | None = None,
        lossless: bool = False,
    ) -> None:
        self.warnings = []
        self._info = info
        self._last: Frame | None = None
        self._pace_warned = False
        self._hdr = Hdr()
        self._owned: BinaryIO | None = None
        self._output: Y4mWriter | Muxer | None = None
        path = os.fspath(destination) if isinstance(destination, (str, os.PathLike)) else None
        self._name = path if path not in (None, "-") else "the output"
        muxer = muxer_of(path, format, lossless)
        if lossless and muxer != "matroska":
            raise OutputError(f"{self._name}: lossless output is FFV1 in Matroska, which needs the extension .mkv")
        encoder = None if muxer == "y4m" else choose_encoder(muxer, codec, crf, lossless, info)
        if muxer == "y4m" and (codec is not None or crf is not None):
            raise OutputError("y4m is uncompressed: it takes no codec and no rate factor")
        with self._errors():
            target = self._open(destination)
            try:
                if encoder is None:
                    self._output = Y4mWriter(target, info)
                    self._warn_of_y4m()
                else:
                    self._output = Muxer(target, muxer, encoder, info, self.warnings)
            except BaseException:
                self._abandon()
                raise

    def _open(self, destination: str | os.PathLike[str] | BinaryIO) -> BinaryIO:
        if not isinstance(destination, (str, os.PathLike)):
            return destination
        if os.fspath(destination) == "-":
            return sys.stdout.buffer
        self._owned = Path(destination).open("wb")  # noqa: SIM115 - closed by close()
        return self._owned

    def _warn_of_y4m(self) -> None:
        """One sentence on what the header cannot say; it grows when more of the stream is known."""
        lost = unsaid(self._info) + (["mastering display and light levels"] if self._hdr != Hdr() else [])
        self.warnings[:] = [sentence for sentence in self.warnings if not sentence.startswith(_UNSAID)]
        if lost:
            self.warnings.insert(0, _UNSAID + " and ".join(lost))

    def write(self, frame: Frame) -> None:
        """Writes one frame; presentation times must increase.

        Raises:
            OutputError: disk full, the reader closed the pipe, or the encoder failed.
        """
        with self._errors():
            if self._output is None:
                raise OutputError(f"{self._name}: it is closed")
            if isinstance(self._output, Y4mWriter):
                self._check_pace(frame)
            self._output.write(frame)

    def _check_pace(self, frame: Frame) -> None:
        """Y4m has no timestamps: says so, once, where they would have mattered."""
        last, self._last = self._last, frame
        if last is None or self._pace_warned or not self._info.frame_rate:
            return
        expected = 1 / (self._info.frame_rate * self._info.time_base)
        if abs(frame.pts - last.pts - expected) > max(Fraction(1), expected / 2):
            self._pace_warned = True
            self.warnings.append("y4m has no timestamps: frames of varying length became equally long")

    def write_side(self, segment: bytes) -> None:
        """Writes a segment of :meth:`VideoReader.take_side`; the first one must come before the first frame.

        Raises:
            FormatError: the segment is damaged.
            OutputError: as :meth:`write`.
        """
        with self._errors():
            if isinstance(self._output, Muxer):
                self._output.write_side(segment)
            else:
                self._leave_out(segment)

    def _leave_out(self, segment: bytes) -> None:
        """What y4m does not hold is told once."""
        if segment[:1] == b"H":
            head = unpack_head(segment)
            self._hdr = head.hdr
            self._warn_of_y4m()
            if head == Head(video_disposition=head.video_disposition, hdr=head.hdr):
                return
        if _LEFT_OUT not in self.warnings:
            self.warnings.append(_LEFT_OUT)

    def close(self) -> None:
        """Finishes the file.

        Raises:
            OutputError: as :meth:`write`.
        """
        with self._errors():
            try:
                if self._output is not None:
                    self._output.finish()
                if self._owned is not None:
                    self._owned.close()
            except BaseException:
                self._abandon()
                raise
            self._output = None

    def _abandon(self) -> None:
        output, self._output = self._output, None
        with suppress(OSError):  # the error that led here is already on its way
            if self._owned is not None:
                self._owned.close()
        if isinstance(output, Muxer):
            output.abandon()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            raise OutputError("the reader closed the pipe") from error
        except OSError as error:
            pass_on_shortage(error)
            if error.errno == errno.EPIPE:
                raise OutputError("the reader closed the pipe") from error
            raise OutputError(f"{self._name}: {reason_of(error)}") from error
        except av.FFmpegError as error:
            pass_on_shortage(error)
            raise OutputError(f"{self._name}: FFmpeg refuses to write this ({error.strerror})") from error
        except OverflowError as error:
            raise OutputError(f"{self._name}: its times are outside of what FFmpeg can write") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._abandon()
