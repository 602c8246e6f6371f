"""Motion and modes as `lvc/FORMAT.md` describes them, from that page alone and in plain Python."""

import statistics

from tests.plain_format import Ints, PlainDecoder, PlainTables, Vector, around


class PlainMotion(PlainTables):
    """Reads motion fields."""

    def _differences(self, number: int, count: int) -> list[int]:
        result = []
        for symbol in self._symbols(number, count):
            negative, n = divmod(symbol - 49, 13)
            if symbol < 49:
                result.append(symbol - 24)
            else:
                result.append((-1 if negative else 1) * (24 + (1 << n) + self.coder.raw(n)))
        return result

    def read(
        self,
        payload: bytes | PlainDecoder,
        rows: int,
        cols: int,
        past: tuple[Ints, Ints] | None,
        used: list[list[bool]] | None = None,
    ) -> tuple[list[list[Vector]], list[list[int]]]:
        """Vectors and levels of a picture, from where the coder stands; all blocks use the reference where not told."""
        self.coder = PlainDecoder(payload) if isinstance(payload, bytes) else payload
        self._used = [[True] * cols] * rows if used is None else used
        vectors_before = [[(0, 0)] * cols] * rows if past is None else [[tuple(v) for v in row] for row in past[0]]
        levels_before = [[3] * cols] * rows if past is None else past[1].tolist()
        shift = [self._differences(24 + component, 1)[0] for component in range(2)]
        moved = [[(limit(v + shift[0]), limit(h + shift[1])) for v, h in row] for row in vectors_before]
        vectors: dict[Vector, Vector] = {}
        levels: dict[Vector, int] = {}
        for level in (3, 2, 1, 0):
            size = 1 << level
            blocks = [
                (y, x) for y in range(0, rows, size) for x in range(0, cols, size) if level == 3 or (y, x) not in levels
            ]
            if level:
                blocks = self._whole(blocks, level, levels_before)
            for odd_y, odd_x in ((0, 0), (1, 1), (0, 1), (1, 0)):
                mine = [(y, x) for y, x in blocks if (y // size % 2, x // size % 2) == (odd_y, odd_x)]
                for (y, x), vector in self._vectors(mine, vectors, moved, level, rows, cols).items():
                    for cell in [(b, a) for b in range(y, y + size) for a in range(x, x + size)]:
                        if cell[0] < rows and cell[1] < cols:
                            vectors[cell], levels[cell] = vector, level
        return (
            [[vectors[y, x] for x in range(cols)] for y in range(rows)],
            [[levels[y, x] for x in range(cols)] for y in range(rows)],
        )

    def _sent(self, block: Vector, level: int) -> bool:
        y, x, size = *block, 1 << level
        return any(use for row in self._used[y : y + size] for use in row[x : x + size])

    def _whole(self, blocks: list[Vector], level: int, before: list[list[int]]) -> list[Vector]:
        size = 1 << level
        contexts = {
            (y, x): int(min(n for row in before[y : y + size] for n in row[x : x + size]) < level) for y, x in blocks
        }
        split: dict[Vector, int] = {}
        for context in (0, 1):
            mine = [block for block in blocks if contexts[block] == context and self._sent(block, level)]
            split.update(zip(mine, self._symbols(2 * (level - 1) + context, len(mine)), strict=True))
        return [block for block in blocks if not split.get(block)]

    def _vectors(
        self,
        blocks: list[Vector],
        known: dict[Vector, Vector],
        moved: list[list[Vector]],
        level: int,
        rows: int,
        cols: int,
    ) -> dict[Vector, Vector]:
        size = 1 << level
        guesses: dict[Vector, Vector] = {}
        kinds: dict[Vector, Vector] = {}
        options: dict[Vector, list[Vector]] = {}
        for y, x in blocks:
            my, mx = min(y + size // 2, rows - 1), min(x + size // 2, cols - 1)
            near = [known[p] for p in ((my, x - 1), (y - 1, mx), (my, x + size), (y + size, mx)) if p in known]
            if not near:
                corners = ((y - 1, x - 1), (y - 1, x + size), (y + size, x - 1), (y + size, x + size))
                near = [known[p] for p in corners if p in known]
            kinds[y, x] = min(len(near), 2), int(len(set(near)) <= 1)
            others = [*near, moved[my][mx]]
            if len(near) % 2 == 0:
                near.append(moved[my][mx])
            guesses[y, x] = int(statistics.median(v for v, _ in near)), int(statistics.median(h for _, h in near))
            options[y, x] = [v for v in dict.fromkeys(others) if v != guesses[y, x]]
        equal: dict[Vector, int] = {}
        sent = [block for block in blocks if self._sent(block, level)]
        for kind in [(n, agree) for n in (0, 1, 2) for agree in (0, 1)]:
            mine = [block for block in sent if kinds[block] == kind]
            equal.update(zip(mine, self._symbols(6 + 2 * kind[0] + kind[1], len(mine)), strict=True))
        result = dict(guesses)
        taken: dict[Vector, int] = {}
        for many in range(1, 6):
            mine = [block for block in sent if not equal[block] and len(options[block]) == many]
            taken.update(zip(mine, self._symbols(31 + many, len(mine)), strict=True))
        result.update({block: options[block][number - 1] for block, number in taken.items() if number})
        rest = [block for block in sent if not (equal[block] or taken.get(block))]
        found = {block: [0, 0] for block in rest}
        for component in (0, 1):
            reaches = {}
            for block in rest:
                apart = max(
                    (abs(option[component] - guesses[block][component]) for option in options[block]), default=0
                )
                apart += 2 * abs(found[block][0])
                reaches[block] = sum(apart > reach for reach in (0, 2, 6, 16, 40))
            for number in range(6):
                mine = [block for block in rest if reaches[block] == number]
                differences = self._differences(12 + 6 * component + number, len(mine))
                for block, difference in zip(mine, differences, strict=True):
                    found[block][component] = difference
        for block, (v, h) in found.items():
            result[block] = limit(guesses[block][0] + v), limit(guesses[block][1] + h)
        return result

    def modes(self, coder: PlainDecoder, references: int, rows: int, cols: int) -> list[list[int]]:
        """Modes of a picture with references, rows and columns of 16x16 blocks, from where the coder stands."""
        self.coder = coder
        counted = 2 if references == 2 else 3
        blocks = [(y, x) for y in range(rows) for x in range(cols)]
        even = [(y, x) for y, x in blocks if (y + x) % 2 == 0]
        modes = dict(zip(even, self._symbols(26, len(even)), strict=True))
        odd = [place for place in blocks if place not in modes]
        counts = {place: sum(modes.get(near) == counted for near in around(*place)) for place in odd}
        for number in range(5):
            such = [place for place, count in counts.items() if count == number]
            modes.update(zip(such, self._symbols(27 + number, len(such)), strict=True))
        if references == 1 and set(modes.values()) & {1, 2}:
            raise ValueError("a second reference where there is one")
        return [[modes[y, x] for x in range(cols)] for y in range(rows)]


def limit(component: int) -> int:
    return max(-4095, min(4095, component))
