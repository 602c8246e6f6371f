"""What is encoded."""

from collections.abc import Iterable
from typing import Protocol

from lvc.video import Frame, VideoInfo


class Source(Iterable[Frame], Protocol):
    """What is encoded: frames with what is true of all of them, and the packets of other streams."""

    @property
    def info(self) -> VideoInfo:
        """What is true of all frames."""
        ...

    def take_side(self) -> bytes | None:
        """See :class:`lvc.media.VideoReader`."""
        ...


def side_of(source: Source) -> list[bytes]:
    """The side data that have come."""
    taken = []
    while (data := source.take_side()) is not None:
        taken.append(data)
    return taken
