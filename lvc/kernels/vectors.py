"""What is known of vectors before they are coded; see :mod:`lvc.model.known_vectors` for what it means."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import brief

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@brief
def know(
    field: Ints,
    past: Ints,
    y: Ints,
    x: Ints,
    size: int,
    far: int,
    guess: Ints,
    near: Ints,
    agree: Ints,
    options: Ints,
    many: Ints,
    apart: Ints,
) -> None:
    """Of n blocks of a size.

    Args:
        field: with a border of one block all around it, [rows + 2, cols + 2, 2], ``far`` where nothing is known.
        past: the expected field, [rows, cols, 2].
        y, x: first 8x8 block of each, [n].
        guess, near, agree, options, many, apart: results, see :class:`lvc.model.known_vectors.Known`.
    """
    rows, cols = past.shape[:2]
    seen, ordered = np.empty((5, 2), np.int64), np.empty(5, np.int64)
    for n in range(len(y)):
        # with the border
        above, left = y[n], x[n]
        below, right = min(y[n] + size, rows) + 1, min(x[n] + size, cols) + 1
        middle_y, middle_x = min(y[n] + size // 2, rows - 1) + 1, min(x[n] + size // 2, cols - 1) + 1
        count = 0
        for corners in range(2):
            if count:
                continue
            for k in range(4):
                if corners:
                    at_y, at_x = above if k < 2 else below, right if k % 2 else left
                else:
                    at_y = above if k == 1 else below if k == 3 else middle_y
                    at_x = left if k == 0 else right if k == 2 else middle_x
                for component in range(2):
                    seen[k, component] = field[at_y, at_x, component]
                count += seen[k, 0] != far
        for component in range(2):
            seen[4, component] = past[middle_y - 1, middle_x - 1, component]
        is_even = count % 2 == 0  # the past makes the number of candidates odd
        same = 1
        first = -1
        for k in range(4):
            if seen[k, 0] != far:
                if first >= 0 and (seen[k, 0] != seen[first, 0] or seen[k, 1] != seen[first, 1]):
                    same = 0
                first = k
        near[n], agree[n] = min(count, 2), same
        for component in range(2):
            total = 0
            for k in range(4 + is_even):
                value = seen[k, component]
                if value != far:
                    at = total
                    while at > 0 and ordered[at - 1] > value:
                        ordered[at] = ordered[at - 1]
                        at -= 1
                    ordered[at] = value
                    total += 1
            guess[n, component] = ordered[total // 2]
        found = 0
        apart[n] = 0
        for k in range(5):
            v, h = seen[k, 0], seen[k, 1]
            is_new = v != far and (v != guess[n, 0] or h != guess[n, 1])
            for before in range(found):
                is_new = is_new and (v != options[before, n, 0] or h != options[before, n, 1])
            if is_new:
                options[found, n, 0], options[found, n, 1] = v, h
                apart[n, 0] = max(apart[n, 0], abs(v - guess[n, 0]))
                apart[n, 1] = max(apart[n, 1], abs(h - guess[n, 1]))
                found += 1
        many[n] = found


@brief
def which_of(options: Ints, many: Ints, vectors: Ints, found: Ints) -> None:
    """Number of the option that each vector [n, 2] is, from 1 on; 0 where it is none."""
    for n in range(len(vectors)):
        found[n] = 0
        for k in range(many[n]):
            if options[k, n, 0] == vectors[n, 0] and options[k, n, 1] == vectors[n, 1]:
                found[n] = k + 1


@brief
def take(options: Ints, which: Ints, found: Ints) -> None:
    """Replace vectors [n, 2] by the options of these numbers, from 1 on; 0 leaves them."""
    for n in range(len(which)):
        if which[n] > 0:
            found[n, 0], found[n, 1] = options[which[n] - 1, n, 0], options[which[n] - 1, n, 1]


@brief
def blocks(active: Flags, used: Flags, levels: Ints, level: int, order: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Blocks of a size that are not covered yet, in scan order: row and column of the first 8x8 block of each, in which
    round it is coded, whether it matters, and whether it was split before; [n] each.

    Args:
        active: which 8x8 blocks are not covered, [rows, cols].
        used: which ones matter.
        levels: of the blocks before.
        level: log2 of the size in units of 8 samples.
        order: rounds of blocks in even rows (even columns, odd columns), then of those in odd rows, [4].
    """
    rows, cols = active.shape
    size = 1 << level
    most = -(-rows // size) * -(-cols // size)
    found = np.empty((5, most), np.int64)
    count = 0
    for y in range(0, rows, size):
        for x in range(0, cols, size):
            if not active[y, x]:
                continue
            matters = was_split = False
            for i in range(y, min(y + size, rows)):
                for j in range(x, min(x + size, cols)):
                    matters = matters or used[i, j]
                    was_split = was_split or levels[i, j] < level
            found[0, count], found[1, count] = y, x
            found[2, count] = order[2 * (y >> level & 1) + (x >> level & 1)]
            found[3, count], found[4, count] = matters, was_split
            count += 1
    return found[0, :count], found[1, :count], found[2, :count], found[3, :count], found[4, :count]


@brief
def place(y: Ints, x: Ints, size: int, level: int, found: Ints, vectors: Ints, levels: Ints, active: Flags) -> None:
    """Give the 8x8 blocks that lie in n blocks and in the picture their vectors and levels; they are coded then.

    Args:
        y, x: first of each, [n].
        found: [n, 2].
        vectors, levels, active: of the picture, [rows, cols, ...].
    """
    rows, cols = levels.shape
    for n in range(len(y)):
        for i in range(y[n], min(y[n] + size, rows)):
            for j in range(x[n], min(x[n] + size, cols)):
                vectors[i, j, 0], vectors[i, j, 1] = found[n, 0], found[n, 1]
                levels[i, j], active[i, j] = level, False


@brief
def _difference_bits(
    by_reach: Floats, down: int, across: int, apart: Ints, reaches: Ints, small: int, lengths: int
) -> float:
    """What a difference from the predicted vector costs; see :mod:`lvc.model.motion` for its symbols."""
    total = 0.0
    for component in range(2):
        value = down if component == 0 else across
        reach, far = 0, apart[component] + (2 * abs(down) if component else 0)
        while reach < len(reaches) and reaches[reach] < far:
            reach += 1
        size = abs(value)
        if size <= small:
            total += by_reach[component, reach, value + small]
        else:
            length = 0
            while (size - small) >> (length + 1):
                length += 1
            total += by_reach[component, reach, 2 * small + 1 + length + (lengths if value < 0 else 0)] + length
    return total


@brief
def savings(
    same: Floats,
    which: Floats,
    by_reach: Floats,
    wanted: Ints,
    guess: Ints,
    near: Ints,
    agree: Ints,
    options: Ints,
    many: Ints,
    apart: Ints,
    reaches: Ints,
    small: int,
    lengths: int,
    saved: Floats,
) -> None:
    """How many bits less than vectors [n, 2] others cost: see :func:`lvc.encoder.vector_costs.cheaper`.

    Args:
        same, which, by_reach: see :class:`lvc.encoder.vector_costs.VectorBits`.
        wanted: the vectors.
        guess, near, agree, options, many, apart: see :class:`lvc.model.known_vectors.Known`.
        reaches: see :data:`lvc.model.known_vectors.REACHES`.
        small, lengths: see :mod:`lvc.model.motion`.
        saved: [3 + options, n], result.
    """
    count = len(options)
    for n in range(len(wanted)):
        down, across = wanted[n, 0] - guess[n, 0], wanted[n, 1] - guess[n, 1]
        differs, equals = same[near[n], agree[n], 0], same[near[n], agree[n], 1]
        taken = 0
        for k in range(many[n]):
            if options[k, n, 0] == wanted[n, 0] and options[k, n, 1] == wanted[n, 1]:
                taken = k + 1
        sent = differs + which[0, many[n]]
        if down == 0 and across == 0:
            now = equals
        elif taken:
            now = differs + which[taken, many[n]]
        else:
            now = sent + _difference_bits(by_reach, down, across, apart[n], reaches, small, lengths)
        saved[0, n] = now - equals
        for k in range(count):
            saved[1 + k, n] = now - (differs + which[1 + k, many[n]]) if k < many[n] else 0.0
        saved[1 + count, n] = saved[2 + count, n] = 0.0
        if taken == 0 and down != 0 and across != 0:
            half = _difference_bits(by_reach, down - down, across, apart[n], reaches, small, lengths)
            saved[1 + count, n] = now - (sent + half)
            half = _difference_bits(by_reach, down, across - across, apart[n], reaches, small, lengths)
            saved[2 + count, n] = now - (sent + half)
