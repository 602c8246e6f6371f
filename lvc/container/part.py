"""A stretch of a `.lvc` file: only its groups, and the side data around them, are read where the file can seek."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from lvc.container.index import IndexEntry
from lvc.container.reader import Chunk, GopChunk, Reader, SideChunk
from lvc.errors import TruncatedError

SIDE_SECONDS = 10
"""Packets of other streams may come so much earlier or later than the pictures that they are shown with."""
SIDE_FRAMES = 64
"""Or so many pictures earlier: decoders and encoders hold some back, which takes long where there are few a second."""


def side_begin(entries: Sequence[IndexEntry], start: IndexEntry, time_base: Fraction) -> IndexEntry | None:
    """The group behind which the side data begin of a stretch that begins with ``start``; None for the whole file."""
    early = [entry for entry in entries if _is_early(entry, start, time_base)]
    return early[-1] if early else None


def side_end(entries: Sequence[IndexEntry], behind: IndexEntry, time_base: Fraction) -> IndexEntry | None:
    """The group before which the side data end of a stretch that ends before ``behind``; None for the whole file."""
    return next((entry for entry in entries if _is_late(entry, behind, time_base)), None)


def _is_early(entry: IndexEntry, start: IndexEntry, time_base: Fraction) -> bool:
    far = start.first_frame - entry.first_frame >= SIDE_FRAMES
    return far and (start.first_pts - entry.first_pts) * time_base >= SIDE_SECONDS


def _is_late(entry: IndexEntry, behind: IndexEntry, time_base: Fraction) -> bool:
    return (entry.first_pts - behind.first_pts) * time_base >= SIDE_SECONDS


class Part:
    """The groups of a stretch, and the side data before the first group of the file and around the stretch.

    Args:
        reader: fresh.
        start: seconds after the first frame of the file.
        is_behind: whether a group lies behind the stretch.
        preview: what begins before the stretch and is shown at its start belongs to it, too; side data do not.

    Attributes:
        begin: time in ticks of the start; None until the first group was met.
    """

    def __init__(
        self, reader: Reader, start: Fraction, is_behind: Callable[[GopChunk], bool], *, preview: bool = False
    ) -> None:
        self._reader, self._start, self._is_behind, self._preview = reader, start, is_behind, preview
        self._time_base = reader.header.info.time_base
        self.begin: int | None = None
        self._behind: IndexEntry | None = None

    def __iter__(self) -> Iterator[Chunk]:
        try:
            yield from self._chunks()
        except TruncatedError:
            if self._behind is None:  # a file may end behind the stretch, be it too early
                raise

    def _chunks(self) -> Iterator[Chunk]:
        has_side = False
        passed: deque[tuple[IndexEntry, list[SideChunk]]] = deque()  # groups before the stretch, with what follows each
        for chunk in self._reader:
            if isinstance(chunk, SideChunk):
                if self._preview:
                    continue
                has_side = True
                if passed:
                    passed[-1][1].append(chunk)
                else:
                    yield chunk
                continue
            frames = chunk.gop.frames
            entry = IndexEntry(chunk.position, frames[0].pts, len(frames), chunk.first_frame)
            if self._behind is not None:
                if _is_late(entry, self._behind, self._time_base):
                    return
                continue
            if self.begin is None:
                self.begin = frames[0].pts + math.ceil(self._start / self._time_base)
                if len(before := self._entries(self.begin)) > 1 and before[-1].position > chunk.position:
                    yield from self._leap(before, chunk.position, has_side)
                    continue
            while len(passed) > 1 and _is_early(passed[1][0], entry, self._time_base):
                passed.popleft()
            if self._is_behind(chunk):
                if not has_side:
                    return
                self._behind = entry
                if self._reader.is_seekable:
                    end = side_end(self._reader.read_index(), entry, self._time_base)
                    yield from self._reader.side_before(end)
                    return
            elif any(self.holds(frame.pts, frame.duration) for frame in frames):
                for _, side in passed:
                    yield from side
                passed.clear()
                yield chunk
            else:
                passed.append((entry, []))

    def holds(self, pts: int, duration: int) -> bool:
        """Whether a frame belongs to the stretch or lies behind it."""
        begin = self.begin
        return begin is None or pts >= begin or (self._preview and pts + duration > begin)

    def _entries(self, begin: int) -> list[IndexEntry]:
        """The groups up to the one with time ``begin``, where the file can seek."""
        if not self._reader.is_seekable:
            return []
        return [entry for entry in self._reader.read_index() if entry.first_pts <= begin]

    def _leap(self, entries: Sequence[IndexEntry], position: int, has_side: bool) -> Iterator[SideChunk]:
        """Go on with the last of ``entries``; the side data on the way that may belong to it."""
        wanted = entries[-1]
        if not has_side:
            self._reader.seek(wanted)
            return
        early = side_begin(entries, wanted, self._time_base)
        if early is not None and early.position > position:
            self._reader.seek(early)
        yield from self._reader.side_before(wanted)
