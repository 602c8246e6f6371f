"""Range coding of integers with adaptive integer tables; the only file that knows constriction.

A range coder turns a run of symbols into one long fraction: it starts with the interval of all 32-bit words and each
symbol narrows it to the part that the table assigns to that symbol, so a symbol of probability p costs -log2 p bits,
fractions of bits included. The decoder replays the same narrowing and sees which part the fraction lies in. Both
sides therefore need the very same tables; here these are integer counts, turned into constriction's fixed-point
probabilities by one IEEE division per symbol, which has the same result on every machine.

Encoder and decoder offer the same calls: ``code`` takes the values in the encoder and None in the decoder, and
returns the values in both, so that one function describes a syntax for both directions.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import constriction
import numpy as np
import numpy.typing as npt

from lvc.errors import FormatError
from lvc.kernels import sorting

Symbols = npt.NDArray[np.int64]

Code = Callable[["Table", Symbols | None, int], Symbols]
"""Codes so many values with a table: takes them in the encoder and None in the decoder, and returns them in both."""
COUNT_LIMIT = 1 << 16
"""Sum of counts at which a table is halved, so that it keeps adapting."""


class Table:
    """Probabilities of the symbols 0...n-1 as counts, which :func:`learn` from what was coded.

    Args:
        counts: starting counts, positive integers.
        increment: what one seen symbol adds; 0 keeps the table as it is.
        limit: sum of counts at which they are halved.

    Attributes:
        name: that of its copies, too.
    """

    def __init__(self, counts: npt.ArrayLike, increment: int = 0, limit: int = COUNT_LIMIT) -> None:
        self.counts = np.maximum(np.asarray(counts, dtype=np.int64), 1)
        self.increment = increment
        self.limit = limit
        self.name = object()
        self._model: constriction.stream.model.Categorical | None = None
        self._bits: npt.NDArray[np.float64] | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> "Table":
        """Goes its own way; arrays and models are never changed in place."""
        return copy.copy(self)

    @property
    def model(self) -> constriction.stream.model.Categorical:
        """For constriction."""
        if self._model is None:
            # perfect=False: one scaling, no search; and without naming it constriction prints a warning to stdout
            self._model = constriction.stream.model.Categorical(self.counts / float(self.counts.sum()), perfect=False)
        return self._model

    @property
    def bits(self) -> npt.NDArray[np.float64]:
        """What each symbol costs, in bits."""
        if self._bits is None:
            self._bits = -np.log2(self.counts / float(self.counts.sum()))
        return self._bits

    def learn(self, seen: Symbols) -> None:
        """From symbols, one or more, that were coded with it or a copy of it."""
        if not self.increment:
            return
        self.counts = self.counts + self.increment * np.bincount(seen, minlength=len(self.counts))
        if self.counts.sum() > self.limit:
            self.counts = np.maximum(self.counts >> 1, 1)
        self._model = self._bits = None


class Seen:
    """The symbols of one payload, by the tables that they were coded with."""

    def __init__(self) -> None:
        self._symbols: dict[object, list[Symbols]] = {}

    def note(self, table: Table, values: Symbols) -> None:
        """Some more."""
        self._symbols.setdefault(table.name, []).append(values)

    def of(self, table: Table) -> list[Symbols]:
        """Those that were coded with a table, or with a copy of it."""
        return self._symbols.get(table.name, [])

    def copy(self) -> "Seen":
        """For an attempt: goes its own way from here on."""
        twin = Seen()
        twin._symbols = {name: list(values) for name, values in self._symbols.items()}
        return twin


def learn(tables: Iterable[Table], seen: Iterable[Seen]) -> None:
    """Tables learn from payloads, all at once. Both sides call it at the same moments."""
    payloads = list(seen)
    for table in tables:
        values = [symbols for payload in payloads for symbols in payload.of(table)]
        if values:
            table.learn(np.concatenate(values))


def groups(keys: Symbols, count: int) -> list[Symbols]:
    """Where the things with each of the keys 0...count - 1 are among n, in order.

    Args:
        keys: [n], each less than ``count``; things with negative ones are in no group.
    """
    order, ends = np.empty(len(keys), np.int64), np.empty(count, np.int64)
    sorting.by_key(keys, order, ends)
    edges = [0, *ends.tolist()]
    return [order[first:last] for first, last in itertools.pairwise(edges)]


def code_by(code: Code, tables: Sequence[Table], keys: Symbols, values: Symbols | None) -> Symbols:
    """Code n symbols, each by the table that its key names, one table after the other.

    Args:
        code: codes some with one table, as :meth:`Coder.code` does.
        keys: [n]; nothing is coded where they are negative.
        values: [n]; None when reading.

    Returns:
        [n], 0 where nothing is coded.
    """
    found, order, begin = np.zeros(len(keys), np.int64), np.empty(len(keys), np.int64), 0
    ends = np.empty(len(tables), np.int64)
    sorting.by_key(keys, order, ends)
    for table, end in zip(tables, ends.tolist(), strict=True):
        if end > begin:
            at = order[begin:end]
            found[at] = code(table, None if values is None else values[at], end - begin)
            begin = end
    return found


END_BITS = 3
"""What the end of a payload takes beyond its symbols, on average: it is written in whole bytes."""
_WORD, _STATE = 32, 64
"""Bits of the words that constriction writes, and of what it keeps of its interval."""


class Coder(Protocol):
    """What a syntax needs to know of the coder that it is read from or written to.

    Attributes:
        bits: what all symbols up to here cost by their probabilities; 0 when reading.
        seen: all symbols up to here.
    """

    seen: Seen

    @property
    def bits(self) -> float:
        """See the class."""
        ...

    def code(self, table: Table, values: Symbols | None, count: int) -> Symbols:
        """Code ``count`` symbols with one table."""
        ...

    def raw(self, values: Symbols | None, count: int, width: int) -> Symbols:
        """Code ``count`` integers 0 ... 2^width - 1 at ``width`` bits each."""
        ...


class RangeEncoder:
    """Writes symbols."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()
        self._bits = 0.0
        self._uncounted: dict[int, tuple[npt.NDArray[np.float64], list[Symbols]]] = {}
        self.seen = Seen()

    @property
    def bits(self) -> float:
        """See :class:`Coder`; counted when it is asked for, since there are hundreds of calls in a picture."""
        for bits, parts in self._uncounted.values():
            self._bits += float(bits[np.concatenate(parts)].sum())
        self._uncounted = {}
        return self._bits

    def code(self, table: Table, values: Symbols | None, count: int) -> Symbols:
        """See :class:`Coder`."""
        if values is None:
            raise ValueError("an encoder needs values")
        if len(values):
            self._coder.encode(values.astype(np.int32), table.model)
            bits = table.bits
            self._uncounted.setdefault(id(bits), (bits, []))[1].append(values)
            self.seen.note(table, values)
        return values

    def raw(self, values: Symbols | None, count: int, width: int) -> Symbols:
        """See :class:`Coder`."""
        if values is None:
            raise ValueError("an encoder needs values")
        for shift in range(0, width, 16):
            part = min(16, width - shift)
            model = constriction.stream.model.Uniform(1 << part)
            self._coder.encode(((values >> shift) & ((1 << part) - 1)).astype(np.int32), model)
        self._bits += float(width * len(values))
        return values

    def copy(self) -> "RangeEncoder":
        """For an attempt: goes its own way from here on."""
        twin = RangeEncoder()
        twin._coder, twin._bits, twin.seen = self._coder.clone(), self.bits, self.seen.copy()
        return twin

    def finish(self) -> bytes:
        """The payload: the shortest bytes that lie within the final interval when zeros follow them."""
        words: npt.NDArray[np.uint32] = self._coder.get_compressed()
        count: int
        low: int
        size: int
        count, (low, size) = self._coder.pos()
        # what constriction writes lies somewhere in the interval, whose whole words it may still hold back for a carry
        length = _WORD * count + _STATE
        within = int.from_bytes(words.astype(">u4").tobytes(), "big") << (length - _WORD * len(words))
        first = within - (within - low) % (1 << _STATE)
        cut = next(bits for bits in range(_STATE, -1, -8) if -(-first >> bits) << bits < first + size)
        fraction: int = -(-first >> cut)
        return fraction.to_bytes((length - cut) // 8, "big").rstrip(b"\0")


class RangeDecoder:
    """Reads symbols back.

    Raises (from every call):
        FormatError: when the bytes cannot have come from the encoder.
    """

    def __init__(self, payload: bytes) -> None:
        padded = payload + b"\0" * (-len(payload) % 4)
        self._length = len(payload)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))
        self.bits = 0.0
        self.seen = Seen()

    def code(self, table: Table, values: Symbols | None, count: int) -> Symbols:
        """See :class:`Coder`."""
        if count == 0:
            return np.zeros(0, dtype=np.int64)
        try:
            found: Symbols = self._coder.decode(table.model, count).astype(np.int64)
        except (AssertionError, ValueError) as error:
            raise FormatError(f"a payload does not decode: {error}") from error
        self.seen.note(table, found)
        return found

    def raw(self, values: Symbols | None, count: int, width: int) -> Symbols:
        """See :class:`Coder`."""
        total = np.zeros(count, dtype=np.int64)
        if count == 0:
            return total
        try:
            for shift in range(0, width, 16):
                model = constriction.stream.model.Uniform(1 << min(16, width - shift))
                total |= self._coder.decode(model, count).astype(np.int64) << shift
        except (AssertionError, ValueError) as error:
            raise FormatError(f"a payload does not decode: {error}") from error
        return total
