"""How far encoding or decoding has come: what the codec reports and the command line shows."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A report, made after every group of pictures or more often.

    Attributes:
        frames: done so far.
        total: frames in all where known (an estimate); None for pipes.
        bytes: of the `.lvc` file so far; of a part that does not begin with the file, from its first frame on.
        media_seconds: playing time of the frames done so far; 0 where unknown.
    """

    frames: int
    total: int | None
    bytes: int
    media_seconds: float


OnProgress = Callable[[Progress], None]
"""Is told now and then how far it has come."""
