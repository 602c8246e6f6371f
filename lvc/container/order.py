"""The order in which the frames of a group are coded: anchors first, then what lies between them."""

from collections.abc import Sequence
from typing import NamedTuple

from lvc.container.gop import BETWEEN, INTRA


class Step(NamedTuple):
    """One frame in coding order.

    Attributes:
        position: of the frame in display order.
        first, second: positions of its references: the anchor before it for a predicted frame, the two nearest coded
            frames around it for one between; None where there is none.
        depth: 0 for anchors; frames between are coded from the middle outwards, 1, 2, ...
    """

    position: int
    first: int | None = None
    second: int | None = None
    depth: int = 0

    @property
    def is_reference(self) -> bool:
        """Whether others are predicted from it."""
        return self.second is None or self.first is None or self.second - self.first > 2

    def moved(self, by: int) -> "Step":
        """The same at later positions."""
        first, second = (None if at is None else at + by for at in (self.first, self.second))
        return Step(self.position + by, first, second, self.depth)


def coding_order(kinds: Sequence[int]) -> list[Step]:
    """The steps in which frames of these kinds, in display order, are coded and decoded.

    Every anchor (intra or predicted) comes before the frames between it and the anchor before. Of those the middle one
    comes first, then, each in the same way, those before it and those after it. Frames behind the last anchor are left
    out: what they need is missing.
    """
    steps: list[Step] = []
    last: int | None = None
    for position, kind in enumerate(kinds):
        if kind == BETWEEN:
            continue
        steps.append(Step(position, None if kind == INTRA else last))
        if last is not None:
            _between(steps, last, position, 1)
        last = position
    return steps


def _between(steps: list[Step], first: int, second: int, depth: int) -> None:
    if second - first < 2:
        return
    middle = (first + second) // 2
    steps.append(Step(middle, first, second, depth))
    _between(steps, first, middle, depth + 1)
    _between(steps, middle, second, depth + 1)
