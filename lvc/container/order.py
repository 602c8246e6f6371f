"""The order in which the frames of a group are coded: anchors first, then what lies between them, level by level.

Frames that may be coded at the same time form a window: an anchor, and what lies between the two anchors before it. Of
the frames between, those of one depth need only those of lower depths.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from lvc.container.gop import BETWEEN, INTRA


class Step(NamedTuple):
    """One frame in coding order.

    Attributes:
        position: of the frame in display order.
        first, second: positions of its references: the anchor before it for a predicted frame, the two nearest coded
            frames around it for one between; None where there is none.
        depth: 0 for anchors; frames between are coded from the middle outwards, 1, 2, ...
        latest: position of the reference that is coded last; None where there is none.
    """

    position: int
    first: int | None = None
    second: int | None = None
    depth: int = 0
    latest: int | None = None

    @property
    def is_reference(self) -> bool:
        """Whether others are predicted from it."""
        return self.second is None or self.first is None or self.second - self.first > 2

    def moved(self, by: int) -> "Step":
        """The same at later positions."""
        first, second, latest = (None if at is None else at + by for at in (self.first, self.second, self.latest))
        return Step(self.position + by, first, second, self.depth, latest)


def coding_order(kinds: Sequence[int]) -> list[Step]:
    """The steps in which frames of these kinds, in display order, are coded and decoded.

    Every anchor (intra or predicted) comes before the frames between it and the anchor before. Of those the middle one
    has depth 1; each in the same way, the middle ones of those before and behind it have depth 2, and so on. They come
    by depth, and in display order within each. Frames behind the last anchor are left out: what they need is missing.
    """
    steps: list[Step] = []
    last: int | None = None
    for position, kind in enumerate(kinds):
        if kind == BETWEEN:
            continue
        reference = None if kind == INTRA else last
        steps.append(Step(position, reference, latest=reference))
        if last is not None:
            steps += sorted(_between(last, position, position, 1), key=_level)
        last = position
    return steps


def _between(first: int, second: int, latest: int, depth: int) -> Iterator[Step]:
    if second - first < 2:
        return
    middle = (first + second) // 2
    yield Step(middle, first, second, depth, latest)
    yield from _between(first, middle, middle, depth + 1)
    yield from _between(middle, second, middle, depth + 1)


def _level(step: Step) -> tuple[int, int]:
    return step.depth, step.position


def levels(steps: Iterable[Step]) -> list[list[Step]]:
    """Steps in coding order, those of one depth together; anchors that follow each other each on its own."""
    # an anchor is its own key
    return [list(level) for _, level in groupby(steps, lambda step: (step.depth, step.depth or step.position))]


def windows(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Steps in coding order as windows: each ends with an anchor, or before an intra frame, or with the last step."""
    window: list[Step] = []
    for step in steps:
        if step.first is None and window:
            yield window
            window = []
        window.append(step)
        if step.depth == 0:
            yield window
            window = []
    if window:
        yield window
