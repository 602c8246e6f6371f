"""The command line: options to calls, errors to exit statuses. Standard output carries results and nothing else.

One file per command. They call ``lvc.api`` and import nothing heavy, so that ``lvc --help`` is quick.
"""

import contextlib
import errno
import gc
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from lvc import __version__, catalogue, container
from lvc.bench.command import bench
from lvc.cli.completion import completion
from lvc.cli.decode import decode
from lvc.cli.encode import encode
from lvc.cli.events import events_of
from lvc.cli.info import info
from lvc.cli.models import models
from lvc.cli.options import UNASKED
from lvc.cli.signals import HUNG_UP, TERMINATED, signals_as_exceptions
from lvc.cli.splice import cat, cut
from lvc.cli.train import train
from lvc.cli.verify import verify
from lvc.errors import LvcError, OutputError
from lvc.memory import enough_memory
from lvc.output import FULL, ExistsError, reason_of

_CALL = "lvc.cli.call"
"""In a context: name, command and arguments of the command that was called."""
COLLECTED_EVERY = 50_000
"""New objects after which Python looks for cycles among them."""
INTERRUPTED = 128 + 2
BROKEN_PIPE = 128 + 13

EPILOG = """\b
Exit status:
  0    done
  1    any other failure
  2    wrong usage
  3    the input cannot be read as video
  4    the .lvc file is damaged, or is none
  5    the .lvc file is truncated
  6    the model is unknown or damaged
  7    a size is over the limits
  8    the output cannot be written
  9    the decoded pictures are not those that were encoded
  10   there is not enough memory
  129  the terminal has gone
  130  interrupted (Ctrl-C)
  141  the reader of the output has gone
  143  terminated"""


class Failure(click.ClickException):
    """An expected failure: one line on standard error, and its exit status."""

    def __init__(self, error: Exception, hint: str = "") -> None:
        super().__init__(str(error) + hint)
        self.error = error

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """As the error says."""
        return self.error.exit_status if isinstance(self.error, LvcError) else LvcError.exit_status

    def show(self, file: Any = None) -> None:
        """Write the line."""
        click.echo(f"lvc: error: {self.format_message().rstrip('.')}", file=file or sys.stderr)


class _Group(click.Group):
    """Gives every way in which a command can end its exit status."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _statuses():  # --help and --version print here
            return super().make_context(*arguments, **options)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Also keep what the command is called with."""
        name, command, rest = super().resolve_command(ctx, args)
        ctx.meta[_CALL] = name, command, list(rest)  # which parsing takes apart
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        from lvc.cli.notes import log_as_notes  # not for --help and --version

        with _statuses(ctx), signals_as_exceptions(), warnings.catch_warnings(), _rare_collections():
            events = events_of(ctx)
            warnings.showwarning = lambda message, *_, **__: events.warn(" ".join(str(message).split()))
            with log_as_notes(events):
                try:
                    return super().invoke(ctx)
                except click.UsageError:
                    _note_events(ctx)
                    raise


def _note_events(context: click.Context) -> None:
    """Find out whether events are wanted where the command line could not be parsed: what can be of it is."""
    name, command, arguments = context.meta.get(_CALL, (None, None, []))
    if command is None or events_of(context).wanted:
        return
    lenient = {"resilient_parsing": True, "ignore_unknown_options": True, "allow_extra_args": True}
    with contextlib.suppress(click.ClickException), command.make_context(name, arguments, context, **lenient):
        pass


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """While PyTorch is imported, a fifth of the time would go into looking for garbage where there is none."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECTED_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def _statuses(context: click.Context | None = None) -> Iterator[None]:
    try:
        with enough_memory():
            yield
    except (KeyboardInterrupt, click.Abort):
        if not _tell(context, "interrupted", INTERRUPTED):
            click.echo("lvc: interrupted", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    except SystemExit as error:
        hung_up = error.code == HUNG_UP
        _tell(context, "the terminal has gone" if hung_up else "terminated", HUNG_UP if hung_up else TERMINATED)
        raise
    except (LvcError, OSError) as error:
        if isinstance(error, BrokenPipeError) or isinstance(error.__cause__, BrokenPipeError):
            _abandon_stdout()
            _tell(context, "the reader of the output has gone", BROKEN_PIPE)
            raise click.exceptions.Exit(BROKEN_PIPE) from None
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError) and cause.errno in (*FULL, errno.EBADF):
            _abandon_stdout()  # where it is a file, or closed
            if cause is error:
                _fail(context, Failure(OutputError(f"the output cannot be written: {reason_of(cause)}")), error)
        _fail(context, Failure(error, _hint(context, error)), error)
    except click.ClickException as error:
        _fail(context, error, error.__cause__)


def _hint(context: click.Context | None, error: Exception) -> str:
    """What a user can do about it, where that is an option of the command."""
    unasked = context is not None and context.meta.get(UNASKED, False)
    return " (-y replaces it)" if unasked and isinstance(error, ExistsError) else ""


def _fail(context: click.Context | None, failure: click.ClickException, cause: BaseException | None) -> NoReturn:
    if _tell(context, failure.format_message(), failure.exit_code):
        raise click.exceptions.Exit(failure.exit_code) from cause
    raise failure from cause


def _tell(context: click.Context | None, message: str, status: int) -> bool:
    """Write an error as an event where these are wanted; whether there must be no line for people between them."""
    if context is None:
        return False
    events = events_of(context)
    if events.wanted:
        with contextlib.suppress(OSError):  # the error itself may be that they cannot be written
            events.write("error", {"message": message.rstrip("."), "status": status})
    return events.are_on_stderr


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"lvc {__version__}")
        click.echo(f"file format {container.VERSION}, model format {catalogue.VERSION}")
        for model in catalogue.installed():
            click.echo(f"model {model.name} {model.id.hex()}")
        context.exit()


_VERSION_HELP = "Show the versions of the program, of its formats and of the installed models."


@click.group(cls=_Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help=_VERSION_HELP)
def main() -> None:
    """A learned video codec whose decoder is exact: the same file gives the same pictures on every machine."""


for command in (encode, decode, info, verify, cat, cut, models, train, bench, completion):
    main.add_command(command)


def run() -> None:
    """The program, which is this process: once a signal has ended the command, nothing is waited for any more.

    At its end Python waits for threads, which may wait for what the exception of the signal has left behind: a lock
    that the main thread had taken, but not noted as taken.
    """
    _open_standard_streams()
    try:
        main(prog_name="lvc")
    except SystemExit as error:
        if error.code not in (INTERRUPTED, TERMINATED, HUNG_UP):
            raise
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(int(error.code))


def _open_standard_streams() -> None:
    """Give those that the caller has closed something to be, so that no file takes their place.

    Nothing comes from there, messages are lost, and results cannot be written.
    """
    for name, access, mode in (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, access), mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _abandon_stdout() -> None:
    """Keep the interpreter from complaining, at its end, about what it can no longer write."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
