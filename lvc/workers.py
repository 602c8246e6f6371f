"""Processes that work for this one: each call goes to a free one, and is tried again where its process dies.

A worker reads pickled calls from its standard input and writes reports and results to its standard output; it ends when
its input does, that is with this process at the latest. It imports from where this process does: ``python -m`` would
look in the current folder first, which may be anybody's.
"""

import contextlib
import importlib
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from lvc.errors import LvcError
from lvc.memory import is_shortage, pass_on_shortage

_LENGTH = struct.Struct("<Q")
_TRIES = 3
_PIECE = 1 << 16
_END_SECONDS = 1.0
"""How long a process that has closed its output may take to end."""
_START = "import sys; sys.path[:] = sys.argv[2:]; from lvc.workers import work; work()"
"""What a worker runs; its arguments are the module to import and the folders to import from."""
_Tag = TypeVar("_Tag")

Report = Callable[[Any], None]
"""What a call may be told how far it has come with."""


class WorkerError(LvcError):
    """A call whose process cannot be started or died again and again, or that failed in a way nobody expects."""


@dataclass(frozen=True)
class Call:
    """A call of ``function(*arguments, report)``; all of it is pickled, so the function is one of a module."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Workers:
    """A number of processes. A context: entering it starts them, leaving it ends them all, whatever they are doing.

    Args:
        count: of processes.
        preload: a module that they import at once, so that they are ready by the time there is work.
        environment: variables to set for them.
    """

    def __init__(self, count: int, preload: str, environment: dict[str, str] | None = None) -> None:
        self._count = count
        # no warnings of Python: nobody would see whose they are
        self._command = [sys.executable, "-W", "ignore", "-P", "-c", _START, preload, *import_path()]
        self._environment = {**os.environ, **(environment or {})}
        self._calls: queue.SimpleQueue[tuple[int, Call] | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._lock = threading.Lock()

    def in_order(
        self, calls: Iterable[tuple[_Tag, Call | None]], report: Report = lambda _: None, ahead: int | None = None
    ) -> Iterator[tuple[_Tag, Any]]:
        """The results in the order of the calls, of which no more than two per process are taken in advance.

        Only once: what was begun and not waited for would get between later results.

        Args:
            calls: with anything that is to come back with the result; a call of None gives the result None.
            report: called with whatever a call reports, in the thread that waits for results.
            ahead: most calls that are taken before the result of the first of them was given out.

        Raises:
            WorkerError: see there.
            LvcError: a call raised it.
            MemoryError: a process has too little memory for a call.
        """
        try:
            yield from self._in_order(calls, report, ahead)
        except BaseException:
            self.close()  # the folders that they write to are removed next
            raise

    def _in_order(
        self, calls: Iterable[tuple[_Tag, Call | None]], report: Report, ahead: int | None
    ) -> Iterator[tuple[_Tag, Any]]:
        source = enumerate(calls)
        tags: dict[int, _Tag] = {}
        results: dict[int, Any] = {}
        following, more = 0, True
        most = min(2 * self._count, ahead or 2 * self._count)
        while True:
            while more and len(tags) < most:
                number, (tag, call) = next(source, (-1, (None, None)))
                if number < 0 or tag is None:
                    more = False
                    break
                tags[number] = tag
                if call is None:
                    results[number] = None
                else:
                    self._calls.put((number, call))
            if not tags:
                return
            if following in results:
                yield tags.pop(following), results.pop(following)
                following += 1
                continue
            kind, number, value = self._events.get()
            if kind == "report":
                report(value)
            elif kind == "error":
                raise value
            else:
                results[number] = value

    def _serve(self, index: int) -> None:
        """What the thread of one process does: pass calls on, and results back."""
        while (item := self._calls.get()) is not None:
            number, call = item
            for attempt in range(1, _TRIES + 1):
                try:
                    result = self._ask(index, number, call)
                except EOFError as error:
                    if self._closed:
                        return
                    status = self._end(index)
                    if attempt == _TRIES:
                        message = f"a worker process died {_TRIES} times at the same work (exit status {status})"
                        failure = WorkerError(message)
                        failure.__cause__ = error
                        self._events.put(("error", number, failure))
                except BaseException as error:  # noqa: BLE001 -- raised again where the result is awaited
                    self._events.put(("error", number, error))
                    break
                else:
                    self._events.put(("result", number, result))
                    break

    def _ask(self, index: int, number: int, call: Call) -> Any:
        process = self._process(index)
        if process.stdin is None or process.stdout is None:
            raise WorkerError("a worker process has no pipes")
        try:
            _send(process.stdin, call)
        except OSError as error:  # a broken pipe is no reader of the output that has gone
            raise EOFError from error
        while True:
            kind, value = pickle.loads(_receive(process.stdout))  # noqa: S301 -- from a process of our own
            if kind == "result":
                return value
            if kind == "error":
                raise value
            self._events.put((kind, number, value))

    def _process(self, index: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise EOFError
            if index not in self._processes:
                try:
                    self._processes[index] = subprocess.Popen(  # noqa: S603 -- itself
                        self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environment
                    )
                except OSError as error:
                    pass_on_shortage(error)
                    raise WorkerError(f"a worker process cannot be started: {error.strerror}") from error
            return self._processes[index]

    def _end(self, index: int) -> int | None:
        with self._lock:
            process = self._processes.pop(index, None)
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)  # for its own status: its output ends before it does
        return _kill(process)

    def close(self) -> None:
        """End all processes at once."""
        with self._lock:
            self._closed = True
            processes = list(self._processes.values())
            self._processes.clear()
        for _ in self._threads:
            self._calls.put(None)
        for process in processes:
            _kill(process)

    def __enter__(self) -> Self:
        try:
            for index in range(self._count):
                self._process(index)
                thread = threading.Thread(target=self._serve, args=(index,), daemon=True)
                self._threads.append(thread)
                thread.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Crew:
    """Processes to encode or decode in.

    Attributes:
        workers: the processes.
        model: file of the model, which each of them loads.
        threads: CPU threads of each of them.
    """

    workers: Workers
    model: Path
    threads: int


def import_path() -> list[str]:
    """``sys.path`` without what Python passes over in it: all that is no string."""
    names: list[Any] = sys.path
    return [name for name in names if isinstance(name, str)]


def _kill(process: subprocess.Popen[bytes]) -> int:
    process.kill()
    status = process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # what was still to be written to it
                continue
    return status


def _send(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes:
    """The next pickled value from a process of ours.

    Raises:
        EOFError: it has ended.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _unexpected(error: Exception) -> Exception:
    """What the process that asked is told of an error that is none of lvc; it knows what takes so much memory."""
    if is_shortage(error):
        return MemoryError(str(error).partition("\n")[0])
    text = "".join(traceback.format_exception(error))
    return WorkerError(f"a worker process failed: {error!r}\n{text}")


def work() -> None:
    """The life of a worker, which is told on its command line what module to import: the first argument."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)  # the process that is asked to stop ends this one
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed must not get between the results
    calls: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                calls.put(_receive(source))
        except EOFError:
            os._exit(0)
        except Exception as error:  # noqa: BLE001 -- the answer to what could not be received
            calls.put(error)
            _wait_for_end(source)
        finally:
            os._exit(1)

    try:
        threading.Thread(target=listen, daemon=True).start()
        importlib.import_module(sys.argv[1])
    except Exception as error:  # noqa: BLE001 -- the answer to the first call, whatever it is
        _send(sink, ("error", _unexpected(error)))
        _wait_for_end(source)
        return
    while True:
        data = calls.get()
        try:
            if isinstance(data, Exception):
                raise data
            call: Call = pickle.loads(data)  # noqa: S301 -- from the process that started this one
            result = call.function(*call.arguments, lambda value: _send(sink, ("report", value)))
            _send(sink, ("result", result))
        except LvcError as error:
            _send(sink, ("error", error))
        except Exception as error:  # noqa: BLE001 -- told to the process that asked
            _send(sink, ("error", _unexpected(error)))


def _wait_for_end(source: IO[bytes]) -> None:
    """Take whatever else comes: who writes to a pipe that is closed would not look for an answer."""
    while source.read(_PIECE):
        pass
