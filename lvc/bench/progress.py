"""Progress of a benchmark on standard error: a bar on a terminal, now and then a plain line elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

PLAIN_SECONDS = 15.0
"""Time between plain lines."""


class BenchProgress:
    """Shows what is being measured, how far it is, and the time left.

    Args:
        total: work in luma samples.
        quiet: show nothing.
    """

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._total, self._done = total, 0
        self._start = self._shown = time.monotonic()
        self._plain = not quiet and not sys.stderr.isatty()
        self._bar: tqdm[Any] | None = None
        if not quiet and not self._plain and total:
            form = "{desc} {percentage:3.0f}%|{bar}| {elapsed} so far, {remaining} left"
            self._bar = tqdm(total=total, file=sys.stderr, dynamic_ncols=True, bar_format=form)

    def begin(self, what: str) -> None:
        """A point is being measured."""
        if self._bar is not None:
            self._bar.set_description_str(what)
        elif self._plain and time.monotonic() - self._shown >= PLAIN_SECONDS:
            self._shown = time.monotonic()
            seconds = self._shown - self._start
            left = f", about {seconds * (self._total / self._done - 1) / 60:.1f} minutes left" if self._done else ""
            sys.stderr.write(f"lvc: {100 * self._done / max(1, self._total):.0f} % done{left}; next {what}\n")

    def advance(self, work: int) -> None:
        """A point of so many luma samples is done."""
        self._done += work
        if self._bar is not None:
            self._bar.update(work)

    def shrink(self, work: int) -> None:
        """So many luma samples will not be measured."""
        self._total -= work
        if self._bar is not None:
            self._bar.total = self._total

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
