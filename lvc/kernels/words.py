"""Products of a matrix and columns, of two bytes each: exact, with half as many multiplications as float32 takes.

Most processors multiply sixteen pairs of such words at once and add the products of neighbours (x86 since SSE2), which
neither PyTorch nor its libraries use for words. A loop of Python's does not become that instruction, so the innermost
one is written for LLVM; it is a plain sum of products to it, whatever the processor.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lvc.kernels import ROUND, compiled

Floats = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.int32]
"""Two words in each number, the first one in its lower half."""
ROWS, COLUMNS = 4, 16
"""What is summed at a time: as many sums as stay in registers, with what they are made of (measured: of tiles of 2x32
to 6x16 the fastest)."""
_LANES = 8
PART = 64
"""Columns that are packed at a time: as many as stay in the nearest cache."""
_STRIDE = PART + 16
"""Between packed rows; were they a power of two apart, they would be in each other's place in a cache."""


def _tile_of(_: Any, columns: Any, weights: Any, pairs: Any, sums: Any) -> Any:  # noqa: ARG001 -- types, all known
    """Sums of products for ROWS rows of a matrix and COLUMNS columns.

    Args:
        columns: address of the first one of pairs [pairs, _STRIDE].
        weights: address of pairs [pairs, ROWS].
        pairs: how many there are, 1 or more.
        sums: address of the first one of [ROWS, _STRIDE] int32, the result.
    """
    return types.void(*[types.intp] * 4), _summing


_tile: Any = intrinsic(_tile_of)


def _summing(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001 -- numba's convention
    """Write the loop: as numba calls what an intrinsic is made of."""
    size, word, number = ir.IntType(64), ir.IntType(16), ir.IntType(32)
    eight, wide = ir.VectorType(number, _LANES), ir.VectorType(number, 2 * _LANES)
    words = ir.VectorType(word, 2 * _LANES)
    columns, weights, pairs, sums = arguments
    parts = COLUMNS // _LANES
    nothing = ir.Constant(eight, ir.Undefined)
    start, loop, end = builder.block, builder.append_basic_block("pair"), builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    pair = builder.phi(size)
    pair.add_incoming(ir.Constant(size, 0), start)
    totals = [[builder.phi(eight) for _ in range(parts)] for _ in range(ROWS)]

    def at(address: Any, index: Any, step: int, kind: ir.Type) -> Any:
        place = builder.add(address, builder.mul(index, ir.Constant(size, step)))
        return builder.inttoptr(place, ir.PointerType(kind))

    def widened(value: Any) -> Any:
        return builder.sext(builder.bitcast(value, words), wide)

    def neighbours(first: int) -> Any:
        return ir.Constant(eight, list(range(first, 2 * _LANES, 2)))

    given = at(columns, pair, 4 * _STRIDE, eight)
    right = [widened(builder.load(builder.gep(given, [ir.Constant(size, part)]), align=4)) for part in range(parts)]
    left = at(weights, pair, 4 * ROWS, number)
    for row in range(ROWS):
        weight = builder.load(builder.gep(left, [ir.Constant(size, row)]), align=4)
        one = builder.insert_element(nothing, weight, ir.Constant(number, 0))
        every = widened(builder.shuffle_vector(one, nothing, ir.Constant(eight, [0] * _LANES)))
        for part in range(parts):
            products = builder.mul(right[part], every)
            even, odd = (
                builder.shuffle_vector(products, ir.Constant(wide, ir.Undefined), neighbours(first)) for first in (0, 1)
            )
            total = totals[row][part]
            total.add_incoming(ir.Constant(eight, [0] * _LANES), start)
            total.add_incoming(builder.add(total, builder.add(even, odd)), loop)
    following = builder.add(pair, ir.Constant(size, 1))
    pair.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, pairs), loop, end)
    builder.position_at_end(end)
    for row in range(ROWS):
        into = at(sums, ir.Constant(size, row), 4 * _STRIDE, eight)
        for part in range(parts):
            total = totals[row][part].incomings[1][0]
            builder.store(total, builder.gep(into, [ir.Constant(size, part)]), align=4)
    return context.get_dummy_value()


def packed(weights: npt.NDArray[np.int8]) -> Pairs:
    """Weights [m, k] as :func:`multiply` reads them, [ceil(m / ROWS), ceil(k / 2), ROWS]."""
    rows, inner = weights.shape
    padded = np.zeros((-(-rows // ROWS) * ROWS, inner + inner % 2), np.int32)
    padded[:rows, :inner] = weights
    pairs = padded[:, ::2] & 0xFFFF | padded[:, 1::2] << 16
    return np.ascontiguousarray(pairs.reshape(-1, ROWS, pairs.shape[1]).transpose(0, 2, 1))


@compiled
def parts(columns: int) -> int:
    """How many parts there are of so many columns."""
    return -(-columns // PART)


@compiled
def _pack(columns: Floats, start: int, count: int, pairs: Pairs) -> None:
    """Put pairs of neighbouring rows together."""
    inner = len(columns)
    for row in range(0, inner - 1, 2):
        first, second = columns[row, start : start + count], columns[row + 1, start : start + count]
        into = pairs[row // 2, :count]
        for n in range(count):
            into[n] = np.int32(first[n]) & np.int32(0xFFFF) | np.int32(second[n]) << np.int32(16)
    if inner % 2:
        first, into = columns[inner - 1, start : start + count], pairs[inner // 2, :count]
        for n in range(count):
            into[n] = np.int32(first[n]) & np.int32(0xFFFF)


@compiled
def _sum(weights: Pairs, group: int, pairs: Pairs, count: int, sums: Pairs) -> None:
    """Of ROWS rows, from row ``group * ROWS`` on, and of the packed columns, of which there are ``count``.

    Args:
        sums: [ROWS, _STRIDE], result.
    """
    for at in range(0, 4 * count, 4 * COLUMNS):
        _tile(pairs.ctypes.data + at, weights[group].ctypes.data, weights.shape[1], sums.ctypes.data + at)


@compiled
def _scaled(found: Pairs, scale: np.float32, into: Floats) -> None:
    for n in range(len(into)):
        into[n] = np.float32(found[n]) * scale


@compiled
def _write(weights: Pairs, grid: Floats, pairs: Pairs, found: Pairs, sums: Floats, start: int, count: int) -> None:
    """All sums of the packed columns, of which there are ``count``, from column ``start`` on.

    Args:
        found: memory for ROWS of them.
        sums: whole, since rows of a part of an array are not known to be without gaps.
    """
    for group in range(len(weights)):
        _sum(weights, group, pairs, count, found)
        for row in range(group * ROWS, min(len(sums), (group + 1) * ROWS)):
            _scaled(found[row - group * ROWS], grid[row], sums[row, start : start + count])


@compiled
def _activated(found: Pairs, scale: np.float32, offset: np.float32, limit: np.float32, into: Pairs) -> None:
    """With a leaky slope, see :func:`lvc.kernels.layers.finish`."""
    for n in range(len(into)):
        value = np.float32(found[n]) * scale + offset
        value = max(value, value * np.float32(0.125))
        into[n] = np.int32((min(max(value, -limit), limit) + ROUND) - ROUND)


@compiled
def _joined(lower: Pairs, upper: Pairs, into: Pairs) -> None:
    for n in range(len(into)):
        into[n] = lower[n] & np.int32(0xFFFF) | upper[n] << np.int32(16)


@compiled
def multiply(weights: Pairs, grid: Floats, columns: Floats, sums: Floats, first: int, last: int) -> None:
    """Make sums of some columns.

    Args:
        weights: see :func:`packed`.
        grid: what products of each row are multiples of, [m].
        columns: [k, n] whole numbers of 16 bits.
        sums: [m, n], result.
        first, last: parts of PART columns: from ``first`` to ``last - 1``.
    """
    pairs, found = np.zeros((weights.shape[1], _STRIDE), np.int32), np.empty((ROWS, _STRIDE), np.int32)
    for start in range(first * PART, min(sums.shape[1], last * PART), PART):
        count = min(PART, sums.shape[1] - start)
        _pack(columns, start, count, pairs)
        _write(weights, grid, pairs, found, sums, start, count)


@compiled
def multiply_twice(
    weights: Pairs,
    grid: Floats,
    offsets: Floats,
    most: float,
    weights_after: Pairs,
    grid_after: Floats,
    columns: Floats,
    sums: Floats,
    first: int,
    last: int,
) -> None:
    """The same of two matrices, one after the other; what is between never leaves the cache.

    Args:
        offsets: of each row of the first one, whose sums become activations, see :func:`lvc.kernels.layers.finish`.
        most: largest activation.
    """
    inner, limit = len(offsets), np.float32(most)
    pairs, found = np.zeros((weights.shape[1], _STRIDE), np.int32), np.empty((ROWS, _STRIDE), np.int32)
    between, active = np.zeros((weights_after.shape[1], _STRIDE), np.int32), np.zeros((ROWS, _STRIDE), np.int32)
    for start in range(first * PART, min(sums.shape[1], last * PART), PART):
        count = min(PART, sums.shape[1] - start)
        _pack(columns, start, count, pairs)
        for group in range(len(weights)):
            _sum(weights, group, pairs, count, found)
            for row in range(group * ROWS, min(inner, (group + 1) * ROWS)):
                number = row - group * ROWS
                _activated(found[number], grid[row], offsets[row], limit, active[number, :count])
            for row in range(0, min(inner - group * ROWS, ROWS), 2):
                _joined(active[row], active[row + 1], between[(group * ROWS + row) // 2, :count])
        _write(weights_after, grid_after, between, found, sums, start, count)
