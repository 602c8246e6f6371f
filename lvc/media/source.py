"""Where video comes from: a path, standard input or an open file, told apart by its first bytes."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from lvc.errors import InputError
from lvc.media.truncation import Extent
from lvc.media.y4m import MAX_HEADER_BYTES, SIGNATURE

_CHUNK = 1 << 16


class Readable(Protocol):
    """The least that a source must offer: ``read(count)`` gives up to ``count`` bytes, none at the end."""

    def read(self, count: int, /) -> bytes:
        """Reads up to ``count`` bytes."""
        ...


class Pipe:
    """A stream that cannot seek, with some bytes already read put back in front.

    FFmpeg calls ``read`` from C, where an exception such as Ctrl-C has no way out; it is kept here as ``failure``, and
    FFmpeg sees the end of the stream.

    Args:
        head: bytes to give first.
        rest: where to go on.

    Attributes:
        failure: what ended it early.
        extent: what its bytes say of its length.
    """

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head = head
        self._read = getattr(rest, "read1", rest.read)
        self.failure: BaseException | None = None
        self.extent = Extent()

    def read(self, count: int, /) -> bytes:
        """Gives up to ``count`` bytes, as soon as some are there."""
        if self.failure is not None:
            return b""
        try:
            if self._head:
                part, self._head = self._head[:count], self._head[count:]
            else:
                part = bytes(self._read(count))
            self.extent.push(part)
            return part
        except BaseException as failure:  # noqa: BLE001 - kept, and raised again outside of FFmpeg
            self.failure = failure
            return b""

    def missing(self) -> int:
        """How many bytes it lacks at its end, by what it says itself; reads what FFmpeg has left."""
        while self.extent.missing and self.read(_CHUNK):
            pass
        return self.extent.missing


@dataclass
class Source:
    """An opened source.

    Attributes:
        name: for messages.
        header: the y4m header line, without line feed, where the source is y4m; ``stream`` is behind it then.
        stream: bytes to read; None where FFmpeg is to open ``path`` itself.
        path: the path that was asked for, or None.
        owned: files to close in the end.
    """

    name: str
    header: bytes | None
    stream: BinaryIO | Pipe | None
    path: str | None
    owned: list[BinaryIO]

    def close(self) -> None:
        """Closes what was opened here."""
        for file in self.owned:
            file.close()


def open_source(source: str | os.PathLike[str] | BinaryIO) -> Source:
    """Opens a source and looks at its first bytes.

    Args:
        source: a path (or whatever FFmpeg takes for one: a URL, a numbered sequence such as ``img_%03d.png``),
            ``-`` for standard input, or a file opened for reading bytes.

    Raises:
        InputError: it cannot be opened.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _from_stream(source, str(getattr(source, "name", "the input")), [])
    path = os.fspath(source)
    if path == "-":
        return _from_stream(sys.stdin.buffer, "standard input", [])
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return Source(path, None, None, path, [])  # FFmpeg knows more than files, and says what is wrong
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: this is a folder, not a video")
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed by Source
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        return _from_stream(file, path, [file])
    try:
        head = file.read(len(SIGNATURE))
        if not head:
            raise InputError(f"{path}: the file is empty")
        if head == SIGNATURE:
            return Source(path, _header_line(file, path), file, path, [file])
    except BaseException:
        file.close()
        raise
    file.close()
    return Source(path, None, None, path, [])


def _from_stream(stream: BinaryIO, name: str, owned: list[BinaryIO]) -> Source:
    head = b""
    while len(head) < len(SIGNATURE):
        try:
            part = stream.read(len(SIGNATURE) - len(head))
        except OSError as error:
            raise InputError(f"{name}: {error.strerror}") from error
        if not part:
            break
        head += part
    if not head:
        raise InputError(f"{name}: there is nothing in it")
    if head == SIGNATURE:
        return Source(name, _header_line(stream, name), stream, None, owned)
    if not owned and getattr(stream, "seekable", bool)():
        stream.seek(-len(head), os.SEEK_CUR)
        if stream.tell() == 0:  # FFmpeg takes offsets from the start of the file
            return Source(name, None, stream, None, owned)
        head = b""
    return Source(name, None, Pipe(head, cast("Readable", stream)), None, owned)


def _header_line(stream: BinaryIO, name: str) -> bytes:
    line = SIGNATURE + stream.readline(MAX_HEADER_BYTES)
    if not line.endswith(b"\n"):
        raise InputError(f"{name}: the y4m header line is cut off or too long")
    return line[:-1]
