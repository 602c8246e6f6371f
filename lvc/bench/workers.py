"""One process per point: its peak memory is its own, and a codec that crashes takes nothing with it."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from lvc.errors import LvcError
from lvc.workers import import_path

_Tag = TypeVar("_Tag")
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""How many threads numpy's matrix products take. With two in each of two processes on two cores, which wait for each
other without sleeping, coding and measuring 32 frames of 1280x720 with x264 takes 21 seconds instead of 3.5."""
_KILL_SECONDS = 2.0
STUCK_SECONDS = 300
"""A process that takes no CPU time at all for so long is ended: an encoder whose threads wait for each other."""
_STANDING_STILL = 0.001
"""CPU seconds in a second; one that is only starved by other processes takes more now and then."""
STUCK_STATUS = 75
_STUCK_TRIES = 2


class CrashError(LvcError):
    """A process that ended without an answer, or with an error that nobody expects."""


@dataclass(frozen=True)
class _Call(Generic[_Tag]):
    tag: _Tag
    function: Callable[..., object]
    arguments: tuple[object, ...]
    tries: int = 1


class Workers(Generic[_Tag]):
    """Runs calls in fresh processes, a few at a time.

    Where the system can, processes are forked from a server that has imported what they need, so that they start at
    once; where not, they start from nothing.

    Args:
        limit: processes at a time.
        preload: modules that the server imports.
        patience: seconds for which a process may stand still.
    """

    def __init__(self, limit: int = 1, preload: tuple[str, ...] = (), patience: int = STUCK_SECONDS) -> None:
        self.limit, self._patience = limit, patience
        if "forkserver" in multiprocessing.get_all_start_methods():
            self._context: Any = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(list(preload))
        else:
            self._context = multiprocessing.get_context("spawn")
        self._running: dict[Connection, tuple[_Call[_Tag], Any]] = {}

    @property
    def is_full(self) -> bool:
        """Whether another call has to wait."""
        return len(self._running) >= self.limit

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs."""
        return not self._running

    def start(self, tag: _Tag, function: Callable[..., object], *arguments: object) -> None:
        """Begin a call; function, arguments and result are pickled."""
        self._begin(_Call(tag, function, arguments))

    def _begin(self, call: _Call[_Tag]) -> None:
        with _interrupts_later():
            ours, theirs = self._context.Pipe(duplex=False)
            process = self._context.Process(
                target=_work, args=(theirs, self._patience, call.function, call.arguments), daemon=True
            )
            with _started_environment():
                process.start()
            theirs.close()
            self._running[ours] = (call, process)

    def finished(self) -> Iterator[tuple[_Tag, Any]]:
        """Wait until at least one call ends.

        A process that got stuck is started once more.

        Yields:
            What ended: its tag, and its result or the :class:`lvc.errors.LvcError` it raised. Other errors come as
            :class:`CrashError` with the place in the code.
        """
        for connection in wait(list(self._running)):
            if not isinstance(connection, Connection):
                continue
            call, process = self._running.pop(connection)
            try:
                answer = connection.recv()
            except EOFError:
                process.join()
                if process.exitcode == STUCK_STATUS and call.tries < _STUCK_TRIES:
                    connection.close()
                    self._begin(replace(call, tries=call.tries + 1))
                    continue
                answer = CrashError(self._how_it_ended(process.exitcode))
            connection.close()
            process.join()
            yield call.tag, answer

    def _how_it_ended(self, status: int | None) -> str:
        if status == STUCK_STATUS:
            return f"it stood still for {self._patience} seconds, {_STUCK_TRIES} times"
        return f"the process that measured it ended with status {status}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs."""
        for connection, (_, process) in self._running.items():
            process.terminate()
            process.join(_KILL_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            connection.close()
        self._running.clear()


@contextlib.contextmanager
def _started_environment() -> Iterator[None]:
    """Variables for Python processes that are started in the block, and for those that these start.

    They import from where this one does, not from the current folder, and use one thread of BLAS where nobody has said
    otherwise.
    """
    path, names = sys.path, import_path()
    folders = [name for name in names if os.pathsep not in name]  # it would be two
    wanted = {_BLAS_THREADS: "1", **os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(folders)}
    before = {name: os.environ.get(name) for name in (_BLAS_THREADS, "PYTHONSAFEPATH", "PYTHONPATH")}
    os.environ.update({name: wanted[name] for name in before})
    sys.path = names  # a server that forks fails at others
    try:
        yield
    finally:
        sys.path = path
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let Ctrl-C take effect at the end of the block, so that no process is left half started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pending.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pending:
        raise KeyboardInterrupt


def _work(
    connection: Connection, patience: int, function: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    """Body of a process. Ctrl-C reaches the parent, which then ends its processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_when_stuck, args=(patience,), daemon=True).start()
    try:
        answer = function(*arguments)
    except LvcError as error:
        answer = error
    except Exception as error:  # noqa: BLE001 -- one point that fails must not end the others
        place = traceback.extract_tb(error.__traceback__)[-1]
        answer = CrashError(f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})")
    with contextlib.suppress(OSError):  # the parent may have gone
        connection.send(answer)
    connection.close()


def _end_when_stuck(patience: int) -> None:
    """End this process when all its threads together have stood still for so many seconds."""
    idle, before = 0, time.process_time()
    while idle < patience:
        time.sleep(1)  # counted one by one, so that a process that was stopped and continued is not stuck
        now = time.process_time()
        idle = idle + 1 if now - before < _STANDING_STILL else 0
        before = now
    os._exit(STUCK_STATUS)
