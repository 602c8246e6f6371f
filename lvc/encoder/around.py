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
    """Frames of the same scene around one, nearest first, REACH to either side at most."""

    before: tuple[Frame, ...] = ()
    after: tuple[Frame, ...] = ()


def with_around(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Around]]:
    """Each frame with those around it."""
    before: deque[Frame] = deque(maxlen=REACH)
    waiting: deque[Frame] = deque()
    coming = iter(frames)
    while True:
        waiting.extend(itertools.islice(coming, REACH + 1 - len(waiting)))
        if not waiting:
            return
        frame = waiting.popleft()
        yield frame, Around(tuple(before), tuple(waiting))
        before.appendleft(frame)
