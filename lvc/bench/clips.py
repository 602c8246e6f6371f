"""Clips to measure on: files, their frames, and the hash that names their content."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from lvc.bench.names import distinct_names
from lvc.errors import InputError
from lvc.media import VideoReader
from lvc.output import reason_of
from lvc.spool import read_frames
from lvc.video import Frame, VideoInfo

_VIDEO = {".mkv", ".mp4", ".mov", ".webm", ".avi", ".y4m", ".m4v", ".ts", ".mpg", ".ogv"}
SUFFIXES = _VIDEO | {".jpg", ".jpeg", ".png"}
"""What is taken from a folder."""


@dataclass(frozen=True)
class Clip:
    """A source clip.

    Attributes:
        path: the file.
        frames: how many frames from its start are used; None for all.
        alias: what tables call it; None for its file name without the suffix.
        kept: these frames, as :mod:`lvc.spool` writes them, to be read instead of the clip.
    """

    path: Path
    frames: int | None = None
    alias: str | None = None
    kept: Path | None = None

    @property
    def name(self) -> str:
        """What tables call it; equal names are one clip."""
        return self.alias or self.path.stem

    @cached_property
    def info(self) -> VideoInfo:
        """What is true of the stream; an odd last row or column is left out, since not all codecs take odd sizes.

        Raises:
            InputError: it cannot be read as video.
        """
        with VideoReader(self.path) as reader:
            return replace(reader.info, width=reader.info.width // 2 * 2, height=reader.info.height // 2 * 2)

    @cached_property
    def changes(self) -> list[str]:
        """Sentences on what becomes of the pictures before they are coded, such as a conversion to 4:2:0.

        Raises:
            InputError: it cannot be read as video.
        """
        with VideoReader(self.path, side=False) as reader:
            next(iter(reader), None)  # what it is converted to shows when the first picture is
            return list(reader.warnings)

    @cached_property
    def sha256(self) -> str:
        """Hash of the file's bytes, in hexadecimal.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}.") from error

    def read(self) -> Iterator[Frame]:
        """Decode the frames, from the start at each call.

        Raises:
            InputError: the clip is damaged or has no frames.
        """
        if self.kept is not None:
            yield from read_frames(self.kept, self.info)
            return
        rows, cols = self.info.height, self.info.width
        with VideoReader(self.path) as reader:
            for frame in islice(reader, self.frames):
                y, u, v = frame.planes
                planes = [y[:rows, :cols], u[: rows // 2, : cols // 2], v[: rows // 2, : cols // 2]]
                yield replace(frame, planes=[np.ascontiguousarray(plane) for plane in planes])


def find_clips(paths: Iterable[Path], frames: int | None = None) -> list[Clip]:
    """Clips of files and folders, in order, folders sorted by name and not descended into.

    Files are taken whatever their name; whether they can be read shows when they are.

    Raises:
        InputError: a folder without clips, or a path that is not there or cannot be looked at.
    """
    clips: list[Clip] = []
    for path in paths:
        try:
            clips += _found(path, frames)
        except OSError as error:
            raise InputError(f"{path}: {reason_of(error)}.") from error
    return clips


def _found(path: Path, frames: int | None) -> list[Clip]:
    if path.is_dir():
        found = sorted(item for item in path.iterdir() if item.suffix.lower() in SUFFIXES and item.is_file())
        if not found:
            raise InputError(f"{path}: there are no clips in this folder.")
        return [Clip(item, frames) for item in found]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    return [Clip(path, frames)]


def with_distinct_names(clips: Sequence[Clip]) -> list[Clip]:
    """The same clips; those whose names are equal take the suffix, or folders, into theirs."""
    names = distinct_names([_forms(clip.path.absolute()) for clip in clips])
    return [
        clip if name == clip.path.stem else replace(clip, alias=name) for clip, name in zip(clips, names, strict=True)
    ]


def _forms(path: Path) -> list[str]:
    """What a file can be called, from its name without a suffix to its whole path."""
    folders = ["/".join((*path.parts[-count:-1], "")) for count in range(1, len(path.parts) + 1)]
    return [folder + name for folder in folders for name in (path.stem, path.name)]
