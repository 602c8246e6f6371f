"""Decoded frames of clips in temporary files: every point reads its clip twice, and decoding it is much of the work."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from lvc.bench.clips import Clip
from lvc.errors import LvcError
from lvc.scratch import scratch_folder
from lvc.spool import write_frames

MOST_BYTES = 1 << 30
"""A clip that would take more is decoded again each time."""
_SPARE = 4
"""A clip is only kept where there is so many times the room that it takes."""


class KeptClips:
    """A context: leaving it removes the files.

    Args:
        clips: one for each point that is to be measured; the frames of one are kept from its first point to its last.
    """

    def __init__(self, clips: Iterable[Clip]) -> None:
        self._points = Counter(clips)
        self._kept: dict[Clip, Clip] = {}
        self._stack = contextlib.ExitStack()
        self._folder: Path | None = None

    def of(self, clip: Clip) -> Clip:
        """The clip, read from a file of its frames if it is short enough and can be decoded."""
        if clip not in self._kept:
            self._kept[clip] = self._keep(clip) if self._points[clip] > 1 else clip
        return self._kept[clip]

    def done(self, clip: Clip) -> None:
        """Tell that one of its points needs it no more."""
        self._points[clip] -= 1
        if not self._points[clip]:
            kept = self._kept.pop(clip, clip).kept
            if kept is not None:
                kept.unlink(missing_ok=True)

    def _keep(self, clip: Clip) -> Clip:
        count = clip.frames or clip.info.frames
        if self._folder is None or count is None:
            return clip
        size = count * clip.info.width * clip.info.height * 3 // 2 * (1 if clip.info.bit_depth == 8 else 2)
        path = self._folder / f"{clip.sha256}.{clip.frames}"
        try:
            if size > min(MOST_BYTES, shutil.disk_usage(self._folder).free // _SPARE):
                return clip
            write_frames(path, clip.info, clip.read())
        except (OSError, LvcError):  # whoever needs the clip will say what is wrong with it
            path.unlink(missing_ok=True)
            return clip
        return replace(clip, kept=path)

    def __enter__(self) -> Self:
        with contextlib.suppress(LvcError):
            self._folder = self._stack.enter_context(scratch_folder())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
