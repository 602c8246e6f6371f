"""What an interrupted encode has left: whole groups of pictures that need not be coded again."""

from collections.abc import Iterator
from pathlib import Path

from lvc.container import Gop, GopChunk, Header, Reader
from lvc.container.header import pack_header
from lvc.errors import LvcError


class Finished:
    """The whole groups at the start of an unfinished file, one after the other. Reads ahead by one group.

    Args:
        path: of the file; it may hold anything, or be overwritten with the same bytes meanwhile.
        header: what it must begin with to be of use.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._gops = _whole_groups(path, header)
        self._next = next(self._gops, None)

    @property
    def is_over(self) -> bool:
        """Whether there are no more groups."""
        return self._next is None

    def take(self, times: list[tuple[int, int]]) -> tuple[Gop, ...] | None:
        """The groups of a stretch; None where it was not finished, and then all is over.

        Args:
            times: presentation time and duration of all frames of the stretch.
        """
        taken: list[Gop] = []
        left = times
        while left and self._next is not None:
            found = [(frame.pts, frame.duration) for frame in self._next.frames]
            if found != left[: len(found)]:
                break
            taken.append(self._next)
            left = left[len(found) :]
            self._next = next(self._gops, None)
        if left:
            self._next = None
            return None
        return tuple(taken)


def _whole_groups(path: Path, header: Header) -> Iterator[Gop]:
    with path.open("rb") as stream:
        try:
            reader = Reader(stream)
            if pack_header(reader.header) != pack_header(header):
                return
            for item in reader:
                if isinstance(item, GopChunk):
                    yield item.gop
        except LvcError:  # here it was interrupted
            return
