"""Options that several commands share, and what they do."""

import os
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click

from lvc.cli.events import Events, events_of
from lvc.compute import DEVICES
from lvc.output import STANDARD, is_replaced

UNASKED = "lvc.cli.unasked"
"""In a context: the output exists, and neither ``-y`` nor ``-n`` was given, nor could anybody be asked."""
_Command = TypeVar("_Command", bound=Callable[..., Any])

FILE = click.Path(readable=False, allow_dash=True)
"""Names of files, which shells complete; whether these exist, and what else may stand there, is said elsewhere."""


def parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """A callback that parses the text of an option; a ValueError of ``parse`` becomes a usage error."""

    def callback(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from error

    return callback


def seconds_of(text: str) -> Fraction:
    """``90``, ``1:30`` or ``0:01:30.000`` as seconds.

    Raises:
        ValueError: it is no such time.
    """
    match = re.fullmatch(r"(?:(?:(\d{1,6}):)?(\d{1,2}):)?(\d{1,9}(?:\.\d{1,9})?)", text)
    if match is None:
        raise ValueError(f"{text!r} is no time such as 90, 1:30 or 00:01:30.5")
    hours, minutes, seconds = match.groups(default="0")
    return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)


def span_options(command: _Command) -> _Command:
    """``--start`` and ``--frames``."""
    frames = click.IntRange(1)
    command = click.option("--frames", type=frames, metavar="N", help="Stop after so many frames.")(command)
    text = "Begin at this time after the first frame; the output begins at time 0."
    return click.option("--start", default="0", callback=parsed(seconds_of), metavar="[[H:]M:]S", help=text)(command)


def note_stream(context: click.Context, _parameter: click.Parameter, destination: str) -> str:
    """The callback of what names the output: events must know whether that is standard output."""
    events = events_of(context)
    events.stream_on_stdout = destination == STANDARD
    events.check()
    return destination


def ends(command: _Command) -> _Command:
    """INPUT and OUTPUT. They come first, as events depend on them, errors included."""
    command = click.argument("destination", metavar="OUTPUT", type=FILE, is_eager=True, callback=note_stream)(command)
    return click.argument("source", metavar="INPUT", type=FILE, is_eager=True)(command)


def compute_options(command: _Command) -> _Command:
    """``--device`` and ``--threads``."""
    threads = click.IntRange(1, 1024)
    command = click.option(
        "--threads", type=threads, metavar="N", help="CPU threads of each process.  [default: all, shared]"
    )(command)
    return click.option(
        "--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the networks run."
    )(command)


def workers_option(command: _Command) -> _Command:
    """``--workers``."""
    return click.option(
        "--workers",
        type=click.IntRange(1, 256),
        metavar="N",
        help="Processes that work on groups of pictures at the same time. The result is the same.  [default: for long"
        " files as many as there are cores, and memory for]",
    )(command)


def model_option(text: str) -> Callable[[_Command], _Command]:
    """``--model``."""
    return click.option("--model", type=FILE, metavar="NAME|PATH", help=text)


def batch_option(command: _Command) -> _Command:
    """``--batch``."""
    return click.option(
        "--batch",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        metavar="N",
        help="Groups of pictures decoded together: faster on a GPU, with more memory.",
    )(command)


def talk_options(command: _Command) -> _Command:
    """``--quiet``, ``--json`` and ``--json-fd``."""

    def noted(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
        events_of(context).quiet = value
        return value

    text = "No progress and no warnings; with --json only the result."
    command = click.option("--quiet", is_flag=True, is_eager=True, callback=noted, help=text)(command)
    return json_option(command)


def json_option(command: _Command) -> _Command:
    """``--json`` and ``--json-fd``; the command is called with ``events``."""

    def wanted(context: click.Context, _parameter: click.Parameter, value: bool) -> Events:
        events = events_of(context)
        events.wanted |= value
        return events

    def to_descriptor(context: click.Context, parameter: click.Parameter, value: int | None) -> None:
        if value is None:
            return
        try:
            handed_over = os.get_inheritable(value)  # what was opened here, for signals, is not inheritable
        except OSError:
            handed_over = False
        if not handed_over:
            raise click.BadParameter(f"{value} is no open file descriptor", context, parameter)
        events = events_of(context)
        events.wanted, events.descriptor = True, value
        events.check()

    command = click.option(
        "--json-fd",
        type=click.IntRange(1),
        metavar="N",
        is_eager=True,
        expose_value=False,
        callback=to_descriptor,
        help="The same to an open file descriptor.",
    )(command)
    return click.option(
        "--json",
        "events",
        is_flag=True,
        is_eager=True,
        callback=wanted,
        help="Events as JSON, one object per line, on standard output (standard error where that carries the stream).",
    )(command)


def overwrite_options(command: _Command) -> _Command:
    """``-y`` and ``-n``."""
    command = click.option("-n", "never", is_flag=True, help="Never replace an existing output.")(command)
    return click.option("-y", "always", is_flag=True, help="Replace an existing output without asking.")(command)


def may_overwrite(destination: str, source: str, *, always: bool, never: bool) -> bool:
    """Whether an existing output may be replaced: as told by ``-y`` or ``-n``, or as answered on a terminal.

    Raises:
        click.UsageError: both options at once.
    """
    if always and never:
        raise click.UsageError("-y and -n exclude each other.")
    if always or never or destination == STANDARD or not is_replaced(Path(destination)):
        return always
    if source == STANDARD or not _on_a_terminal():
        click.get_current_context().meta[UNASKED] = True
        return False
    return click.confirm(f"{destination} exists. Replace it?", err=True)


def _on_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
