"""Output that is all or nothing: written beside its final place, renamed when complete, removed when anything fails."""

import contextlib
import errno
import io
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from lvc.errors import OutputError
from lvc.locks import is_ours

STANDARD = "-"
"""In place of a path: standard input or output."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of errors of full disks."""
_KEPT_NAME = 200
"""Bytes of a file name that a temporary name may keep."""


class ExistsError(OutputError):
    """The output exists, and nobody has said that it may be replaced."""


def check_output(target: str | os.PathLike[str], *, source: object = None, overwrite: bool = False) -> None:
    """Refuse an output before any work is done for it.

    Args:
        target: a path, or ``-`` for standard output.
        source: the input; only paths are compared.
        overwrite: whether a file that exists may be replaced.

    Raises:
        ExistsError: the target exists.
        OutputError: it is the input, is a folder, lies in no folder, cannot be looked at, or is a terminal.
    """
    name = os.fspath(target)
    if name == STANDARD:
        if sys.stdout.isatty():
            raise OutputError("the output would go to a terminal: redirect it or name a file")
        return
    if "\0" in name:
        raise OutputError(f"{name!r}: no name of a file holds a zero byte")
    path = Path(name)
    try:
        if path.is_dir():
            raise OutputError(f"{name}: the output is a folder")
        if not path.parent.is_dir():
            raise OutputError(f"{name}: there is no folder {path.parent}")
    except OSError as error:
        raise _output_error(name, error) from error
    if isinstance(source, (str, os.PathLike)) and is_same(path, Path(os.fspath(source))):
        raise OutputError(f"{name}: output and input are the same file")
    if is_replaced(path) and not overwrite:
        raise ExistsError(f"{name}: the file exists and is not to be replaced")


def is_replaced(target: Path) -> bool:
    """Whether writing to ``target`` would replace a file. Devices and named pipes are written to, not replaced.

    False also where it cannot be looked at, which :func:`check_output` refuses.
    """
    try:
        return _is_regular(target)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def replacing(target: str | os.PathLike[str], key: str | None = None, *, keep: bool = False) -> Iterator[Path]:
    """A path to write to; on success the file there takes the place of ``target``, on failure it is removed.

    The temporary file has the same folder and extension. What ``target`` held stays untouched until the new content is
    complete and on disk. A symbolic link is followed; a device or a named pipe is given as it is.

    Args:
        key: a part of the temporary name, so that the same work finds what it left; None for one that nobody else has.
        keep: on failure leave the temporary file where it is.

    Raises:
        OutputError: the folder cannot be written to, the disk is full, or another process works with the same key.
    """
    given = Path(target)
    if given.exists() and not _is_regular(given):  # of /dev/fd/63 there is no real path
        yield given
        return
    place = Path(os.path.realpath(given))
    stem = os.fsencode(place.stem)[:_KEPT_NAME].decode("utf-8", "ignore")
    temporary = place.with_name(f".{stem}.{key or secrets.token_hex(4)}{place.suffix}")
    lock: BinaryIO | None = None
    ours: bool | None = None
    try:
        try:
            mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else None
            if mode is not None and not os.access(place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            lock = temporary.open("xb" if key is None else "ab")
            ours = _is_ours_still(lock, temporary)
            if not ours:
                raise OutputError(f"{os.fspath(target)}: another process is writing it")
        except OSError as error:
            raise _output_error(os.fspath(target), error) from error
        yield temporary
        if os.name == "nt":
            lock.close()  # Windows moves no open file, and has no locks
        try:
            _to_disk(temporary, os.O_RDWR)
            if mode is not None:
                temporary.chmod(mode)
            temporary.replace(place)
        except OSError as error:
            raise _output_error(os.fspath(target), error) from error
    except BaseException:
        if lock is not None and not keep:
            with contextlib.suppress(OSError):
                if ours is None:  # interrupted before it was known
                    ours = _is_ours_still(lock, temporary)
                if ours:
                    if os.name == "nt":
                        lock.close()
                    temporary.unlink()
        raise
    finally:
        if lock is not None:
            lock.close()
    with contextlib.suppress(OSError):  # some file systems cannot do this for folders
        _to_disk(place.parent, os.O_RDONLY)


@contextlib.contextmanager
def open_resumable(target: str | os.PathLike[str], key: str, *, resume: bool) -> Iterator[tuple[BinaryIO, Path | None]]:
    """A stream to a file, as :func:`open_output` gives one, that can go on where the same work was killed.

    Args:
        key: names the work: what it reads and how it is set.
        resume: keep what an interrupted run has left, and leave it again if this one is interrupted.

    Yields:
        The stream, from its start, and the file with what was left, which it overwrites; None where there is nothing.

    Raises:
        OutputError: as :func:`open_output`.
    """
    name = os.fspath(target)
    with replacing(target, key, keep=resume) as path:
        left = path.is_file() and path.stat().st_size > 0
        try:
            stream = path.open("r+b" if resume and left else "wb", buffering=0)
        except OSError as error:
            raise _output_error(name, error) from error
        with stream:
            sink = OutputStream(cast(BinaryIO, stream), name)
            yield cast(BinaryIO, sink), path if resume and left else None
            if stream.seekable():
                stream.truncate()


@contextlib.contextmanager
def open_output(target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary stream to standard output (``-``), or to a file that appears only when the block ends without an error.

    Raises:
        OutputError: also from the stream's ``write``, where the disk is full or the like.
        BrokenPipeError: whoever read standard output has gone.
    """
    name = os.fspath(target)
    if name == STANDARD:
        sink = OutputStream(sys.stdout.buffer, "standard output")
        yield cast(BinaryIO, sink)
        sink.flush()
        return
    with replacing(target) as path:
        try:
            stream = path.open("wb", buffering=0)
        except OSError as error:
            raise _output_error(name, error) from error
        with stream:
            yield cast(BinaryIO, OutputStream(cast(BinaryIO, stream), name))


def write_file(target: str | os.PathLike[str], data: bytes, key: str | None = None) -> None:
    """Write a whole file, all or nothing.

    Args:
        key: as in :func:`replacing`.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(target, key) as path:
        try:
            path.write_bytes(data)
        except OSError as error:
            raise _output_error(os.fspath(target), error) from error


@contextlib.contextmanager
def appending(target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary stream to the end of a file that grows, such as a log.

    Raises:
        OutputError: also from the stream's ``write``.
    """
    name = os.fspath(target)
    try:
        stream = open(target, "ab", buffering=0)  # noqa: SIM115 -- closed below, where the error has its own name
    except OSError as error:
        raise _output_error(name, error) from error
    with stream:
        yield cast(BinaryIO, OutputStream(cast(BinaryIO, stream), name))


class OutputStream(io.RawIOBase):
    """Passes bytes on to ``stream``, and turns its failures into OutputError that name ``name``.

    Only a broken pipe stays what it is: nothing is wrong with the output then, nobody wants it any more.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: object) -> int:
        """Write bytes; how many were accepted."""
        with self._named():
            return self._stream.write(cast(bytes, data))

    def flush(self) -> None:
        """Pass on what is buffered."""
        with self._named():
            if not self._stream.closed:
                self._stream.flush()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _output_error(self._name, error) from error


def _output_error(name: str, error: OSError) -> OutputError:
    return OutputError(f"{name}: {reason_of(error)}")


def reason_of(error: OSError) -> str:
    """Why an output could not be written, for messages."""
    return "the disk is full" if error.errno in FULL else error.strerror or str(error)


def is_same(a: Path, b: Path) -> bool:
    """Whether two names are those of one file, which need not exist."""
    try:
        return a.samefile(b)
    except OSError:
        return os.path.realpath(a) == os.path.realpath(b)


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.stat().st_mode)


def _to_disk(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_ours_still(file: BinaryIO, path: Path) -> bool:
    """Lock an open file; whether that succeeds and it has that name: another process may have moved it before."""
    if not is_ours(file):
        return False
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
