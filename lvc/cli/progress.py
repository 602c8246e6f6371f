"""What a command tells while it runs: a bar on a terminal, now and then a plain line elsewhere, or JSON events."""

import sys
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import click

from lvc.cli.events import Events
from lvc.progress import Progress

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from tqdm import tqdm

_Report = TypeVar("_Report", bound="DataclassInstance")

PLAIN_SECONDS = 10.0
"""Time between plain lines."""


EVENT_SECONDS = 1.0
"""Time between events of progress."""


class ReportLine(ABC, Generic[_Report]):
    """Shows the reports that it is called with, and what else there is to say.

    Args:
        quiet: show nothing but the result.
        events: take the place of text for people where they are wanted.
    """

    def __init__(self, *, quiet: bool, events: Events) -> None:
        self._quiet = quiet
        self._events, self._json = events, events.wanted
        self._bar: tqdm[Any] | None = None
        self._start = self._began = self._shown = time.monotonic()
        self._last: _Report | None = None

    def __call__(self, report: _Report) -> None:
        """Take a report."""
        if self._quiet:
            return
        self._last = report
        if self._json:
            if self._is_due(report, EVENT_SECONDS):
                self._shown = time.monotonic()
                self._events.write("progress", asdict(report))
        elif sys.stderr.isatty():
            self._draw(report)
        elif self._is_due(report, PLAIN_SECONDS):
            self._line(report)

    def _is_due(self, _report: _Report, seconds: float) -> bool:
        """Whether the last one that was shown is so old."""
        return time.monotonic() - self._shown >= seconds

    @abstractmethod
    def _draw(self, report: _Report) -> None:
        """Let the bar show a report."""

    @abstractmethod
    def _text(self, report: _Report) -> str:
        """A report as plain text."""

    def _line(self, report: _Report) -> None:
        self._shown = time.monotonic()
        click.echo(f"lvc: {self._text(report)}", err=True)

    def warn(self, sentence: str) -> None:
        """Show a warning above the progress line; the result names it again."""
        self._events.warnings.append(sentence)
        self._say("warning", f"warning: {sentence.rstrip('.')}", {"message": sentence})

    def note(self, kind: str, sentence: str, fields: dict[str, Any]) -> None:
        """Show something else: a sentence for people, fields for an event of that kind."""
        self._say(kind, sentence, fields)

    def begin(self) -> None:
        """What took time before this does not count for the speed."""
        self._began = time.monotonic()

    def result(self, command: str, fields: dict[str, Any]) -> None:
        """The last event, also with ``quiet``; people get none. Has all warnings and the seconds since the start."""
        if self._json:
            seconds = round(time.monotonic() - self._start, 3)
            told = {"warnings": self._events.warnings, "seconds": seconds}
            self._events.write("result", {"command": command, **fields, **told})

    def _say(self, kind: str, sentence: str, fields: dict[str, Any]) -> None:
        if self._quiet:
            return
        if self._json:
            self._events.write(kind, fields)
            return
        if self._bar is not None:
            self._bar.clear()
        click.echo(f"lvc: {sentence}", err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""
        if self._bar is not None:
            self._bar.close()


class ProgressLine(ReportLine[Progress]):
    """Shows frames, frames per second, bit rate so far and time left.

    Args:
        verb: what is going on, such as "encoding".
        quiet, events: see :class:`ReportLine`.
    """

    def __init__(self, verb: str, *, quiet: bool, events: Events) -> None:
        super().__init__(quiet=quiet, events=events)
        self._verb = verb

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen. At the end the number of frames is known, whatever was expected."""
        if self._bar is not None:
            if error is None:
                self._bar.total = self._bar.n
            self._bar.close()
        elif self._last is not None and error is None and not self._json:
            self._line(replace(self._last, total=None))

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(desc=self._verb, unit=" frames", file=sys.stderr, dynamic_ncols=True)
        self._bar.total = None if progress.total is None else max(progress.total, progress.frames)
        self._bar.set_postfix_str(_rate(progress), refresh=False)
        self._bar.update(progress.frames - self._bar.n)

    def _text(self, progress: Progress) -> str:
        return f"{self._verb}: {plain(progress, time.monotonic() - self._began)}"


def plain(progress: Progress, seconds: float) -> str:
    """A report as text, ``seconds`` after the start."""
    speed = progress.frames / seconds if seconds > 0 else 0.0
    of_total = "" if progress.total is None else f" of {max(progress.total, progress.frames)}"
    pieces = [f"{progress.frames}{of_total} frames", f"{speed:.1f} frames/s"]
    if rate := _rate(progress):
        pieces.append(rate)
    if progress.total is not None and speed > 0 and progress.total > progress.frames:
        pieces.append(f"{duration((progress.total - progress.frames) / speed)} left")
    return ", ".join(pieces)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bit_rate(bits_per_second: float) -> str:
    """With three digits or so: ``843 kbit/s``, ``1.25 Mbit/s``."""
    return f"{bits_per_second / 1e6:.2f} Mbit/s" if bits_per_second >= 1e6 else f"{bits_per_second / 1e3:.3g} kbit/s"


def _rate(progress: Progress) -> str:
    return bit_rate(8 * progress.bytes / progress.media_seconds) if progress.media_seconds > 0 else ""
