"""Parts of `lvc/FORMAT.md` written down a second time, from that page alone and in plain Python."""

import bisect

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Vector = tuple[int, int]


class PlainDecoder:
    """What `lvc/FORMAT.md` says of the range coder, in whole numbers of any size."""

    def __init__(self, payload: bytes) -> None:
        self.words = (int.from_bytes(payload[i : i + 4].ljust(4, b"\0"), "big") for i in range(0, len(payload), 4))
        self.range = 2**64 - 1
        self.offset = self._word() << 32 | self._word()

    def _word(self) -> int:
        return next(self.words, 0)

    def symbol(self, starts: list[int]) -> int:
        scale = self.range >> 24
        found = bisect.bisect_right(starts, self.offset // scale) - 1
        self.offset -= scale * starts[found]
        self.range = scale * (starts[found + 1] - starts[found])
        if self.range < 2**32:
            self.range <<= 32
            self.offset = self.offset << 32 | self._word()
        return found

    def raw(self, width: int) -> int:
        """An integer of so many bits."""
        return self.symbol([k << (24 - width) for k in range((1 << width) + 1)]) if width else 0


def starts_of(counts: Ints) -> list[int]:
    """Where each symbol's interval of 2^24 begins, and 2^24."""
    total = float(int(counts.sum()))
    shares = [float(int(count)) / total for count in counts]
    norm = 0.0
    for share in shares:
        norm += share
    scale, before, starts = (2**24 - len(counts)) / norm, 0.0, []
    for index, share in enumerate(shares):
        starts.append(int(before * scale) + index)
        before += share
    return [*starts, 2**24]


class PlainTables:
    """Reads symbols; keeps the counts of its tables from picture to picture."""

    coder: PlainDecoder
    increment = 24

    def __init__(self, counts: list[Ints]) -> None:
        self.counts = [table.tolist() for table in counts]
        self.seen: list[list[int]] = [[] for _ in counts]

    def adapt(self) -> None:
        for counts, seen in zip(self.counts, self.seen, strict=True):
            for symbol in seen:
                counts[symbol] += self.increment
            if seen and sum(counts) > 65536:
                counts[:] = [max(count >> 1, 1) for count in counts]
            seen.clear()

    def _symbols(self, number: int, count: int) -> list[int]:
        if not count:
            return []
        starts = starts_of(np.array(self.counts[number]))
        found = [self.coder.symbol(starts) for _ in range(count)]
        self.seen[number] += found
        return found


class PlainWeighting(PlainTables):
    """Reads how references are weighted."""

    def read(self, coder: PlainDecoder, references: int) -> list[tuple[int, ...]]:
        """Gain and offsets of each reference."""
        self.coder = coder
        found: list[tuple[int, ...]] = []
        for _ in range(references):
            kind = self._symbols(references - 1, 1)[0]
            gain = coder.raw(10) if kind else 256
            offsets = [coder.raw(11) - 1024 for _ in range((0, 1, 3)[kind])]
            found.append((gain, *offsets, *[0] * (3 - len(offsets))))
        return found


class PlainFlat(PlainTables):
    """Reads what is flat."""

    _chroma: list[int]

    def read(self, coder: PlainDecoder, intra: bool) -> list[int]:
        """U, V, Y, as far as they are flat."""
        self.coder = coder
        kind = self._symbols(0 if intra else 1, 1)[0]
        if intra:
            self._chroma = [coder.raw(10), coder.raw(10)] if kind else []
        flat = self._chroma or [512, 512]
        return [] if not kind else [*flat, coder.raw(10)] if kind == 2 else flat


def weighted(plane: Ints, which: int, weight: tuple[int, ...]) -> Ints:
    """Plane Y, U or V (0, 1, 2) of a weighted reference."""
    gain, offset = weight[0], weight[1 + which]
    middle = 512 if which else 0
    low, rest = np.divmod(gain * (plane - middle), 256)
    rounded = low + ((rest > 128) | ((rest == 128) & (low % 2 == 1)))
    return np.clip(rounded + middle + offset, 0, 1023)


class PlainSkip(PlainTables):
    """Reads skip maps."""

    def read(self, coder: PlainDecoder, kinds: list[list[int]], past: list[list[int]] | None) -> list[list[int]]:
        """The map of a picture, from where the coder stands."""
        self.coder = coder
        rows, cols = len(kinds), len(kinds[0])
        before = past or [[0] * cols] * rows
        flags = {(y, x): 0 for y in range(rows) for x in range(cols)}
        if self._symbols(0, 1) == [1]:
            for half in (0, 1):
                mine = [(y, x) for y, x in flags if (y + x) % 2 == half]
                if half:
                    numbers = {(y, x): self._after(y, x, kinds[y][x], flags) for y, x in mine}
                else:
                    numbers = {(y, x): self._before(y, x, kinds[y][x], before) for y, x in mine}
                for number in range(1, 56):
                    such = [block for block in mine if numbers[block] == number]
                    flags.update(zip(such, self._symbols(number, len(such)), strict=True))
        return [[flags[y, x] for x in range(cols)] for y in range(rows)]

    def _before(self, y: int, x: int, kind: int, before: list[list[int]]) -> int:
        """Table of a block of the first half, by the picture before."""
        own = before[y][x]
        inside = [(b, a) for b, a in around(y, x) if 0 <= b < len(before) and 0 <= a < len(before[0])]
        near = [before[b][a] for b, a in inside] + [own] * (4 - len(inside))
        return 1 + 6 * kind + 3 * own + (0 if sum(near) == 0 else 2 if sum(near) == 4 else 1)

    def _after(self, y: int, x: int, kind: int, flags: dict[Vector, int]) -> int:
        """Table of a block of the second half, by the neighbours that are known."""
        return 31 + 5 * kind + sum(flags.get(place, 0) for place in around(y, x))


class PlainSizes(PlainTables):
    """Reads maps of transform sizes."""

    def read(self, coder: PlainDecoder, flags: list[list[int]], intra: bool) -> list[list[int]]:
        """The map of a picture, given its skip map, from where the coder stands."""
        self.coder = coder
        rows, cols = len(flags), len(flags[0])
        sizes: dict[Vector, int] = {}
        for number, (odd_y, odd_x) in enumerate(((0, 0), (1, 1), (0, 1), (1, 0))):
            mine = [(y, x) for y in range(odd_y, rows, 2) for x in range(odd_x, cols, 2) if not flags[y][x]]
            first = 0 if intra else 11
            tables = dict.fromkeys(mine, first)
            if number:
                near = corners if number == 1 else around
                first += 1 if number == 1 else 6
                for block in mine:
                    tables[block] = first + (sum(min(sizes.get(place, 0), 2) for place in near(*block)) + 1) // 2
            for table in range(22):
                such = [block for block in mine if tables[block] == table]
                sizes.update(zip(such, self._symbols(table, len(such)), strict=True))
        return [[sizes.get((y, x), 0) for x in range(cols)] for y in range(rows)]


def corners(y: int, x: int) -> list[Vector]:
    return [(y - 1, x - 1), (y - 1, x + 1), (y + 1, x - 1), (y + 1, x + 1)]


def around(y: int, x: int) -> list[Vector]:
    return [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
