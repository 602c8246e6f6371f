"""Everything that can be done with videos and `.lvc` files, one function each; the command line calls these."""

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from lvc.compute import DEVICES
from lvc.decoding import DecodeResult, Video, decode, open, verify  # noqa: A004 -- meant to be written lvc.open
from lvc.encoding import DEFAULT_KEYINT, DEFAULT_QUALITY, PRESETS, TUNES, encode
from lvc.ends import PathOrStream, check_ends, name_of_source, naming, opened_sink, opened_source
from lvc.progress import OnProgress
from lvc.summary import Summary, summarise

if TYPE_CHECKING:
    from lvc.splice import SpliceResult

__all__ = [
    "DEFAULT_KEYINT",
    "DEFAULT_QUALITY",
    "DEVICES",
    "PRESETS",
    "TUNES",
    "DecodeResult",
    "Video",
    "cat",
    "cut",
    "decode",
    "encode",
    "inspect",
    "open",
    "verify",
]


def inspect(source: PathOrStream) -> Summary:
    """What a `.lvc` file holds, without decoding it: see :class:`lvc.summary.Summary`.

    Raises:
        InputError: the source is missing.
        FormatError, TruncatedError, LimitError: its header is damaged, or it is no `.lvc` file.
    """
    with naming(name_of_source(source)), opened_source(source) as stream:
        return summarise(stream)


def cat(
    sources: Sequence[PathOrStream],
    destination: PathOrStream,
    *,
    video_only: bool = False,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> "SpliceResult":
    """Join `.lvc` files without encoding them again.

    Args:
        sources: same model, picture size and description, and the same other streams; they must be able to seek.
        destination: as in :func:`encode`.
        video_only: leave audio and all other streams out; tags, chapters and what is said of HDR stay.
        overwrite: as in :func:`encode`.
        progress: called as it goes on.

    Raises:
        InputError: one is missing, empty or a pipe, or they do not fit together.
        FormatError, TruncatedError: one is damaged.
        LimitError: their time bases differ too much.
        OutputError: the destination exists, is a source, or cannot be written.
    """
    pieces = [(source, Fraction(0), None) for source in sources]
    return _splice(pieces, destination, video_only, overwrite, progress)


def cut(
    source: PathOrStream,
    destination: PathOrStream,
    *,
    start: Fraction = Fraction(0),
    end: Fraction | None = None,
    video_only: bool = False,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> "SpliceResult":
    """Cut whole groups of pictures out of a `.lvc` file without encoding them again.

    Args:
        start, end: seconds after the first frame, 0 or more; see :class:`lvc.splice.Piece`.
        source, destination, video_only, overwrite, progress: as in :func:`cat`.

    Raises:
        The errors of :func:`cat`.
        ValueError: a time below 0, or an end that is not after the start.
    """
    if start < 0 or (end is not None and end < 0):
        raise ValueError(f"a start of {start} or an end of {end} is outside its range")
    if end is not None and end <= start:
        raise ValueError(f"an end of {float(end):.6g} seconds is not after the start, {float(start):.6g} seconds")
    return _splice([(source, start, end)], destination, video_only, overwrite, progress)


def _splice(
    sources: Sequence[tuple[PathOrStream, Fraction, Fraction | None]],
    destination: PathOrStream,
    video_only: bool,
    overwrite: bool,
    progress: OnProgress | None,
) -> "SpliceResult":
    for source, _, _ in sources:
        check_ends(destination, source, overwrite)
    with contextlib.ExitStack() as stack:
        pieces = []
        from lvc.splice import Piece, splice

        for source, start, end in sources:
            pieces.append(Piece(name_of_source(source), stack.enter_context(opened_source(source)), start, end))
        with opened_sink(destination) as sink:
            return splice(pieces, sink, video_only=video_only, progress=progress)
