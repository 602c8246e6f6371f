"""Frames with those around them, which encoders look at before they code one."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lvc.encoder.temporal_filter import WEIGHTS
from lvc.video import Frame

REACH = len(WEIGHTS)
"""How many frames to either side."""


class Around(NamedTuple):
    """Frames of the same scene around one, nearest first, REACH to either side at most.

    ends: whether the scene is known to end with it.
    """

    before: tuple[Frame, ...] = ()
    after: tuple[Frame, ...] = ()
    ends: bool = False


def with_around(frames: Iterable[Frame], goes_on: bool = False) -> Iterator[tuple[Frame, Around]]:
    """Each frame with those around it.

    Args:
        goes_on: whether the scene does, beyond the frames.
    """
    before: deque[Frame] = deque(maxlen=REACH)
    waiting: deque[Frame] = deque()
    coming = iter(frames)
    while True:
        waiting.extend(itertools.islice(coming, REACH + 1 - len(waiting)))
        if not waiting:
            return
        frame = waiting.popleft()
        yield frame, Around(tuple(before), tuple(waiting), ends=not waiting and not goes_on)
        before.appendleft(frame)
