"""*Coding order* of `lvc/FORMAT.md`, from that page alone: pictures of a group, read up to their latents."""

import copy
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from tests.plain_format import Ints, PlainDecoder, PlainFlat, PlainSizes, PlainSkip, PlainTables, PlainWeighting
from tests.plain_motion import PlainMotion

Field = tuple[Ints, Ints]


class PlainPicture(NamedTuple):
    """What is read of a picture: where it stands in display order, its references, how these are weighted, what is
    taken from them (no modes where there are none), and how large the transforms of what is added are.
    """

    position: int
    references: list[int]
    weights: list[tuple[int, ...]]
    fields: list[Ints]
    modes: Ints | None
    flags: Ints
    sizes: Ints
    smooth: bool


class Coded(NamedTuple):
    """A frame, its references, how deep it lies between anchors, and which of the references is coded last."""

    position: int
    references: list[int]
    depth: int
    latest: int = -1


class PlainGroup:
    """Reads all that comes before the latents of a group, given the starting counts of the tables and its kinds.

    Args:
        motion: counts of predicted pictures, of pictures between two.

    Attributes:
        chroma_drop: as the intra picture read last says.
        flat: U, V, Y of the picture read last, as far as they are flat.
    """

    chroma_drop: int
    flat: list[int]

    def __init__(self, motion: list[list[Ints]], skip: list[Ints], sizes: list[Ints], kinds: list[int]) -> None:
        self._motion = [PlainMotion(counts) for counts in motion]
        self._skip, self._sizes = PlainSkip(skip), PlainSizes(sizes)
        self._weighting = PlainWeighting([np.array([250, 4, 2])] * 2)
        self._flat = PlainFlat([np.array([250, 6, 6]), np.array([250, 6])])
        self._kinds = kinds
        self._known: dict[tuple[int, int], Field] = {}
        self._maps: dict[int, list[list[int]]] = {}

    @property
    def tables(self) -> list[PlainTables]:
        """All that adapt."""
        return [*self._motion, self._skip, self._sizes, self._weighting, self._flat]

    def order(self) -> list[list[Coded]]:
        """Frames in coding order, those of one level together."""
        result, last = [[Coded(0, [], 0)]], 0
        for position, kind in enumerate(self._kinds):
            if position and kind != 2:
                result.append([Coded(position, [] if kind == 0 else [last], 0, -1 if kind == 0 else last)])
                inner = list(between(last, position, position, 1))
                depths = sorted({each.depth for each in inner})
                result += [sorted(each for each in inner if each.depth == depth) for depth in depths]
                last = position
        return result

    def levels(self) -> Iterator[list[Coded]]:
        """*Adaptation*: levels in coding order, while the tables are as their frames need them."""
        held: list[list[list[int]]] | None = None
        for level in self.order():
            now = [each.counts for each in self.tables]
            if level[0].depth and held is None:
                held = copy.deepcopy(now)
            if not level[0].depth and held is not None:
                for each, counts in zip(self.tables, held, strict=True):
                    each.counts = counts
                held = None
            yield level
            for each, counts in zip(self.tables, now, strict=True):
                each.counts = counts
                each.adapt()

    def read(self, payloads: list[bytes], rows: int, cols: int) -> Iterator[PlainPicture]:
        """In coding order; payloads are in display order, rows and columns those of 16x16 blocks."""
        for level in self.levels():
            for coded in level:
                yield self._picture(coded, PlainDecoder(payloads[coded.position]), rows, cols)

    def _picture(self, coded: Coded, coder: PlainDecoder, rows: int, cols: int) -> PlainPicture:
        position, references = coded.position, coded.references
        fields: list[Field] = []
        modes: list[list[int]] | None = None
        flags = [[0] * cols] * rows
        smooth = False
        self.flat = self._flat.read(coder, not references)
        weights = self._weighting.read(coder, len(references))
        if references:
            tables = self._motion[len(references) - 1]
            modes = tables.modes(coder, len(references), rows, cols)
            for number in range(len(references)):
                past = self._expected(position, references, fields)
                vectors, levels = tables.read(coder, 2 * rows, 2 * cols, past, uses(modes, number))
                fields.append((np.array(vectors), np.array(levels)))
            smooth = bool(coder.raw(1))
            kinds = block_kinds(modes, [levels.tolist() for _, levels in fields])
            flags = self._maps[position] = self._skip.read(coder, kinds, self._maps.get(coded.latest))
            self._known[references[0], position] = fields[0]
            if len(references) == 2:
                self._known[position, references[1]] = -fields[1][0], fields[1][1]
        else:
            self._known.clear()
            self.chroma_drop = 0
            if len(self.flat) == 3:
                return PlainPicture(position, [], [], [], None, np.array(flags), np.array(flags), smooth)
            self.chroma_drop = coder.raw(4)
        sizes = self._sizes.read(coder, flags, not references)
        named = None if modes is None else np.array(modes)
        vectors_of = [field[0] for field in fields]
        return PlainPicture(position, references, weights, vectors_of, named, np.array(flags), np.array(sizes), smooth)

    def _expected(self, position: int, references: list[int], fields: list[Field]) -> Field | None:
        first = references[0]
        if fields:
            return times(fields[0], Fraction(position - references[1], position - first))
        if len(references) == 2:
            return times(self._known[first, references[1]], Fraction(position - first, references[1] - first))
        before = max((at for at in range(first) if self._kinds[at] != 2), default=None)
        if before is None or self._kinds[first] == 0:
            return None
        return times(self._known[before, first], Fraction(position - first, first - before))


def between(first: int, second: int, latest: int, depth: int) -> Iterator[Coded]:
    """Each frame between two, given which of these is coded last."""
    middle = (first + second) // 2
    if middle > first:
        yield Coded(middle, [first, second], depth, latest)
        yield from between(first, middle, middle, depth + 1)
        yield from between(middle, second, middle, depth + 1)


def times(field: Field, factor: Fraction) -> Field:
    vectors = [math.floor(int(v) * factor + Fraction(1, 2)) for v in field[0].ravel()]
    return np.array(vectors).reshape(field[0].shape), field[1]


def uses(modes: list[list[int]], number: int) -> list[list[bool]]:
    """Which 8x8 blocks use a reference, given the modes of 16x16 blocks."""
    return [[mode in (number, 2) for mode in row for _ in range(2)] for row in modes for _ in range(2)]


def block_kinds(modes: list[list[int]], levels: list[list[list[int]]]) -> list[list[int]]:
    """How 16x16 blocks are predicted, given their modes and the levels of 8x8 blocks in each field."""
    kinds = []
    for y, row in enumerate(modes):
        large = [int(min(field[2 * y][2 * x] for field in levels) >= 2) for x in range(len(row))]
        kinds.append(
            large if len(levels) == 1 else [3 + big if mode == 2 else 2 for mode, big in zip(row, large, strict=True)]
        )
    return kinds
