"""A stretch of a `.lvc` file: only its groups are read where the file can seek."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

from lvc.container.index import IndexEntry
from lvc.container.reader import Chunk, GopChunk, Reader, SideChunk


class Part:
    """The groups of a stretch, and the side data before the first group and from the one before to the one behind.

    Args:
        reader: fresh.
        start: seconds after the first frame of the file.
        is_behind: whether a group lies behind the stretch.
        lasting: what begins before the stretch and is shown at its start belongs to it, too.

    Attributes:
        begin: time in ticks of the start; None until the first group was met.
    """

    def __init__(
        self, reader: Reader, start: Fraction, is_behind: Callable[[GopChunk], bool], *, lasting: bool = False
    ) -> None:
        self._reader, self._start, self._is_behind, self._lasting = reader, start, is_behind, lasting
        self.begin: int | None = None

    def __iter__(self) -> Iterator[Chunk]:
        behind = skipped = False
        between: list[SideChunk] = []  # since the group before, where that does not belong to the stretch
        for chunk in self._reader:
            if isinstance(chunk, SideChunk):
                if skipped:
                    between.append(chunk)
                else:
                    yield chunk
                continue
            if behind:
                return
            frames = chunk.gop.frames
            if self.begin is None:
                self.begin = frames[0].pts + math.ceil(self._start / self._reader.header.info.time_base)
                if (entry := self._entry_before(self.begin, chunk.position)) is not None:
                    self._reader.seek(entry)
                    continue
            if self._is_behind(chunk):
                behind = True
            elif any(self.holds(frame.pts, frame.duration) for frame in frames):
                yield from between
                between, skipped = [], False
                yield chunk
            else:
                between, skipped = [], True

    def holds(self, pts: int, duration: int) -> bool:
        """Whether a frame belongs to the stretch or lies behind it."""
        begin = self.begin
        return begin is None or pts >= begin or (self._lasting and pts + duration > begin)

    def _entry_before(self, begin: int, position: int) -> IndexEntry | None:
        """The group before the one with time ``begin``, where it is worth seeking from ``position``."""
        if not self._reader.is_seekable:
            return None
        entries = [entry for entry in self._reader.read_index() if entry.first_pts <= begin]
        found = entries[-2] if len(entries) > 1 else None
        return found if found is not None and found.position > position else None
