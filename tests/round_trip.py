"""Maps of blocks through range encoder and decoder, as pictures of one group."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from lvc.errors import FormatError
from lvc.rangecoder import Coder, RangeDecoder, RangeEncoder, Table, learn

Map = npt.NDArray[Any]


class Tables(Protocol):
    """What the tables of every kind of map can do."""

    def all(self) -> list[Table]: ...


T = TypeVar("T", bound=Tables)
Code = Callable[[Coder, T, int, Map | None, Map | None], Map]
"""Coder, tables, number of the picture, what was coded before it, what to write (None: read)."""


def round_trip(fresh: Callable[[], T], code: Code[T], maps: Sequence[Map]) -> list[int]:
    """Write and read pictures of one group, compare them and what the tables learned, and give their bytes."""
    writing, reading = fresh(), fresh()
    written: Map | None = None
    read: Map | None = None
    sizes = []
    for number, wanted in enumerate(maps):
        encoder = RangeEncoder()
        written = code(encoder, writing, number, written, wanted)
        payload = encoder.finish()
        decoder = RangeDecoder(payload)
        read = code(decoder, reading, number, read, None)
        learn(writing.all(), [encoder.seen])
        learn(reading.all(), [decoder.seen])
        for found in (written, read):
            assert found.dtype == wanted.dtype
            assert np.array_equal(found, wanted)
        sizes.append(len(payload))
        for a, b in zip(writing.all(), reading.all(), strict=True):
            assert np.array_equal(a.counts, b.counts)
    return sizes


def all_learn(fresh: Callable[[], T], code: Code[T], maps: Sequence[Map]) -> int:
    """Check that these maps take every symbol of every table, so that tests of them say something of each.

    Returns:
        The number of tables.
    """
    tables = fresh()
    before = [table.counts for table in tables.all()]
    past: Map | None = None
    for number, wanted in enumerate(maps):
        encoder = RangeEncoder()
        past = code(encoder, tables, number, past, wanted)
        learn(tables.all(), [encoder.seen])
    assert all((table.counts != start).all() for table, start in zip(tables.all(), before, strict=True))
    return len(before)


def read_garbage(
    write: Callable[[RangeEncoder, np.random.Generator, int, int], object],
    read: Callable[[RangeDecoder, int, int], Map],
    check: Callable[[Map], None],
) -> None:
    """Any bytes give a map within its limits, or a FormatError; some give this, some that.

    Args:
        write: a random map of so many rows and columns.
        check: asserts what holds for each map.
    """
    random = np.random.default_rng(9)
    ends = {"map": 0, "error": 0}
    for trial in range(200):
        rows, cols = (int(n) for n in random.integers(1, 30, 2))
        if trial % 2:
            payload = random.bytes(int(random.integers(0, 60)))
        else:  # written, and then damaged
            encoder = RangeEncoder()
            write(encoder, random, rows, cols)
            payload = encoder.finish() + b"\0"
            position = int(random.integers(len(payload)))
            payload = payload[:position] + random.bytes(1 + trial % 9) + payload[position + 1 :]
        if trial % 20 == 0:
            payload = b"\xff" * len(payload)
        try:
            found = read(RangeDecoder(payload), rows, cols)
        except FormatError:
            ends["error"] += 1
            continue
        ends["map"] += 1
        assert found.shape == (rows, cols)
        check(found)
    assert min(ends.values()) > 0
