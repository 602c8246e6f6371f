"""The quality map as `lvc/FORMAT.md` describes it, written down a second time, from that page alone."""

import math
from fractions import Fraction

import numpy as np

from tests.plain_format import PlainDecoder, PlainTables, Vector, around, corners


class PlainLevels(PlainTables):
    """Reads quality maps."""

    def __init__(self) -> None:
        halves = (
            [190, 10, 30, 20, 20, 15, 10, 5, 2, *[1] * 8],
            [250, 8, 15, 15, 8, 3, 2, *[1] * 10],
            [270, 6, 9, 6, 5, 3, 2, *[1] * 10],
        )
        super().__init__([np.array(half[:0:-1] + half) for half in halves])

    def read(self, coder: PlainDecoder, flags: list[list[int]], expected: list[list[int]] | None) -> list[list[int]]:
        """The map of a picture, given its skip map, from where the coder stands."""
        self.coder = coder
        rows, cols = len(flags), len(flags[0])
        if expected is not None:
            found = [list(row) for row in expected]
            coded = [(y, x) for y in range(rows) for x in range(cols) if not flags[y][x]]
            for (y, x), difference in zip(coded, self._symbols(2, len(coded)), strict=True):
                found[y][x] += difference - 16
            return found
        levels: dict[Vector, int] = {}
        for width in (8, 4, 2, 1):
            for number, (odd_y, odd_x) in enumerate(((0, 0), (1, 1), (0, 1), (1, 0))):
                ys, xs = range(odd_y * width, rows, 2 * width), range(odd_x * width, cols, 2 * width)
                mine = [(y, x) for y in ys for x in xs if (y, x) not in levels]
                means = []
                for y, x in mine:
                    near = corners(0, 0) if number == 1 else around(0, 0)
                    known = [levels[p] for v, h in near if (p := (y + v * width, x + h * width)) in levels]
                    means.append(math.floor(Fraction(sum(known), len(known)) + Fraction(1, 2)) if known else 0)
                symbols = self._symbols(1 if number else 0, len(mine))
                levels.update({place: mean + s - 16 for place, mean, s in zip(mine, means, symbols, strict=True)})
        return [[levels[y, x] for x in range(cols)] for y in range(rows)]


def plain_moved_levels(
    levels: list[list[list[int]] | None], fields: list[list[list[list[int]]]], modes: list[list[int]]
) -> list[list[int]]:
    """The quality map that a predicted picture is expected to have, given those of its references."""
    rows, cols = len(modes), len(modes[0])
    found = [[0] * cols for _ in range(rows)]
    for y in range(rows):
        for x in range(cols):
            number = 1 if modes[y][x] == 1 else 0
            known = levels[number]
            v, h = fields[number][2 * y][2 * x]
            if known is not None:
                row, col = (
                    y + math.floor(Fraction(v, 64) + Fraction(1, 2)),
                    x + math.floor(Fraction(h, 64) + Fraction(1, 2)),
                )
                found[y][x] = known[min(max(row, 0), rows - 1)][min(max(col, 0), cols - 1)]
    return found
