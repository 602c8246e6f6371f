"""Sources and destinations: what they may be, and how they are opened."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from lvc.errors import FormatError, InputError, LimitError, MismatchError, OutOfMemoryError, OutputError
from lvc.output import STANDARD, OutputStream, check_output, open_output, open_resumable, replacing

if TYPE_CHECKING:
    from lvc.media import VideoReader, VideoWriter

OnWarning = Callable[[str], None]
"""Is told a sentence for everything that was changed on the way."""
PathOrStream = str | os.PathLike[str] | BinaryIO
"""A path, ``-`` for standard input or output, or an open binary file."""


def is_file(name: PathOrStream) -> bool:
    """Whether it is a path, and neither a standard stream nor something else that cannot be begun again."""
    if not isinstance(name, (str, os.PathLike)) or os.fspath(name) == STANDARD:
        return False
    path = Path(name)
    return path.is_file() or not path.exists()


def is_one_file(name: PathOrStream) -> bool:
    """Whether it is the path of a regular file that is there: neither a sequence of images nor an address."""
    return is_file(name) and Path(cast(str, name)).is_file()


def check_ends(destination: PathOrStream, source: PathOrStream, overwrite: bool) -> None:
    """Refuse a destination before any work is done for it; see :func:`lvc.output.check_output`."""
    if isinstance(destination, (str, os.PathLike)):
        check_output(destination, source=source, overwrite=overwrite)


def checked_input(source: PathOrStream) -> PathOrStream:
    """The source as it is, unless it is a keyboard."""
    if isinstance(source, (str, os.PathLike)) and os.fspath(source) == STANDARD and sys.stdin.isatty():
        raise InputError("the input would come from a terminal: redirect it or name a file")
    return source


def name_of_source(source: PathOrStream) -> str:
    """What messages call it."""
    if not isinstance(source, (str, os.PathLike)):
        return "the input"
    return "standard input" if os.fspath(source) == STANDARD else os.fspath(source)


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Let what is wrong with a `.lvc` file, or what it takes too much of, begin with its name."""
    try:
        yield
    except (FormatError, LimitError, MismatchError, OutOfMemoryError) as error:
        error.args = (f"{name}: {error}",)
        raise


@contextlib.contextmanager
def opened_source(source: PathOrStream) -> Iterator[BinaryIO]:
    """The bytes of a `.lvc` file."""
    source = checked_input(source)
    if not isinstance(source, (str, os.PathLike)):
        yield source
    elif os.fspath(source) == STANDARD:
        yield sys.stdin.buffer
    else:
        try:
            stream = open(source, "rb")  # noqa: SIM115 -- also takes what pathlib refuses
        except OSError as error:
            raise InputError(f"{os.fspath(source)}: {error.strerror}") from error
        with stream:
            yield stream


@contextlib.contextmanager
def opened_sink(destination: PathOrStream) -> Iterator[BinaryIO]:
    """Where `.lvc` bytes go."""
    if isinstance(destination, (str, os.PathLike)):
        with open_output(destination) as sink:
            yield sink
    else:
        yield cast(BinaryIO, OutputStream(destination, "the output"))


@contextlib.contextmanager
def video_target(destination: PathOrStream) -> Iterator[PathOrStream]:
    """Where a video goes: a temporary path, or a stream."""
    if isinstance(destination, (str, os.PathLike)) and os.fspath(destination) != STANDARD:
        with replacing(destination) as path:
            try:
                yield path
            except OutputError as error:
                raise OutputError(str(error).replace(str(path), os.fspath(destination))) from error
    else:
        yield destination


@contextlib.contextmanager
def encoded_sink(destination: PathOrStream, key: str | None, resume: bool) -> Iterator[tuple[BinaryIO, Path | None]]:
    """Where `.lvc` bytes of an encode go, and what is there already."""
    if key is not None and isinstance(destination, (str, os.PathLike)):
        with open_resumable(destination, key, resume=resume) as opened:
            yield opened
    else:
        with opened_sink(destination) as sink:
            yield sink, None


def pass_on(end: "VideoReader | VideoWriter", warn: OnWarning | None) -> None:
    """Hand on what a reader or writer has to say."""
    if warn is not None:
        for sentence in end.warnings:
            warn(sentence)
