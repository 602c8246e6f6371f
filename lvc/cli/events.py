"""Events as JSON, an object per line with its type first."""

import json
from dataclasses import dataclass, field
from typing import Any

import click

_KEY = "lvc.cli.events"
_STANDARD_OUTPUT = 1


@dataclass
class Events:
    """Whether events are wanted, and where they go: to standard output unless anything else is said.

    Attributes:
        wanted: whether they are.
        descriptor: of the open file that they go to.
        stream_on_stdout: standard output carries the stream, so that they go to standard error.
        quiet: nothing but the result is wanted.
        warnings: sentences that the result names again.
    """

    wanted: bool = False
    descriptor: int | None = None
    stream_on_stdout: bool = False
    quiet: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def are_on_stderr(self) -> bool:
        """Whether text for people would come between them."""
        return self.wanted and self.descriptor is None and self.stream_on_stdout

    def write(self, kind: str, fields: dict[str, Any]) -> None:
        """Write one.

        Raises:
            OSError: from the file.
        """
        line = json.dumps({"type": kind, **fields}, default=str)
        if self.descriptor is None:
            click.echo(line, err=self.stream_on_stdout)
        else:
            with open(self.descriptor, "w", encoding="utf-8", closefd=False) as file:
                file.write(line + "\n")

    def warn(self, sentence: str) -> None:
        """Tell what no command tells by itself, such as a warning of Python: an event, or a line for people."""
        message = sentence.rstrip(".")
        self.warnings.append(message)
        self._tell("warning", message, f"warning: {message}")

    def note(self, sentence: str) -> None:
        """Tell why something takes a while, likewise."""
        self._tell("note", sentence, sentence)

    def _tell(self, kind: str, message: str, line: str) -> None:
        if self.quiet:
            return
        if self.wanted:
            self.write(kind, {"message": message})
        else:
            click.echo(f"lvc: {line}", err=True)

    def check(self) -> None:
        """Refuse what would mix them with the stream.

        Raises:
            click.UsageError: they would go where that goes.
        """
        if self.stream_on_stdout and self.descriptor == _STANDARD_OUTPUT:
            raise click.UsageError("Standard output carries the stream: let --json-fd name another file descriptor.")


def events_of(context: click.Context) -> Events:
    """Those of the command that runs, for all of its contexts."""
    events: Events = context.meta.setdefault(_KEY, Events())
    return events
