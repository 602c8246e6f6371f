"""Writes a `.lvc` file, front to back, to any stream."""

from types import TracebackType
from typing import BinaryIO, Self

from lvc.container import chunk, limits
from lvc.container.gop import Gop, pack_gop
from lvc.container.header import Header, pack_header
from lvc.container.index import Totals
from lvc.errors import LimitError


class Writer:
    """Writes header, groups and side data as they come, and INDEX and END when closed. Never seeks.

    As a context manager it closes itself, except after an error: a file without END counts as truncated.

    Args:
        stream: binary; stays open. Flushed after every chunk, so that a reader at the other end of a pipe can go on.
        header: written at once.

    Attributes:
        bytes_written: so far, everything included.

    Raises:
        LimitError: the picture size is outside the limits.
        ValueError: another field of the header is outside its range.
        OSError: from the stream, here and in every method.
    """

    def __init__(self, stream: BinaryIO, header: Header) -> None:
        self._stream = stream
        self._totals = Totals()
        self._closed = False
        self.bytes_written = 0
        self._write(pack_header(header))

    @property
    def total_frames(self) -> int:
        """Frames written so far."""
        return self._totals.frames

    def write_gop(self, gop: Gop) -> None:
        """Write a group of pictures.

        Raises:
            LimitError: more frames or bytes than a group, more frames than a file, or later times than frames may have.
            ValueError: a field is outside its range, or the first frame is not intra.
        """
        self._require_open()
        payload = pack_gop(gop, self._totals.frames)
        if self._totals.frames + len(gop.frames) > limits.MAX_FRAMES:
            raise LimitError(f"more than {limits.MAX_FRAMES} frames in one file")
        position = self.bytes_written
        self._write(chunk.pack_chunk(chunk.GOP, chunk.MANDATORY, payload))
        self._totals.add_gop(position, [(frame.pts, frame.duration) for frame in gop.frames])

    def write_side(self, data: bytes) -> None:
        """Write side data (audio, subtitles ...): bytes that pass through untouched.

        Raises:
            LimitError: more than ``limits.MAX_CHUNK_BYTES``.
        """
        self._require_open()
        if len(data) > limits.MAX_CHUNK_BYTES:
            raise LimitError(f"side data of {len(data)} bytes in one piece, {limits.MAX_CHUNK_BYTES} are possible")
        self._write(chunk.pack_chunk(chunk.SIDE, 0, data))

    def close(self) -> None:
        """Write INDEX and END, once. The stream stays open."""
        if self._closed:
            return
        index_position = 0
        if (index := self._totals.pack_index()) is not None:
            index_position = self.bytes_written
            self._write(chunk.pack_chunk(chunk.INDEX, 0, index))
        self._write(chunk.pack_chunk(chunk.END, chunk.MANDATORY, self._totals.pack_end(index_position)))
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()

    def _require_open(self) -> None:
        if self._closed:
            raise ValueError("the writer is closed")

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            written = self._stream.write(left)
            self.bytes_written += written
            left = left[written:]
        self._stream.flush()
