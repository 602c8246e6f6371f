"""Signals that end a command, as exceptions of the main thread, whatever it is doing."""

import contextlib
import os
import queue
import signal
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

SIGHUP = getattr(signal, "SIGHUP", None)
"""Comes when the terminal goes; not on every system."""
TERMINATED = 128 + signal.SIGTERM
HUNG_UP = 128 + (SIGHUP or 1)
_NUDGE = getattr(signal, "SIGURG", None)
"""Ends a system call and nothing else: who does not handle it never notices it."""
_PATIENCE = 0.2
"""Seconds after which a main thread that has not handled a signal is nudged."""
_AGAIN = 0.05
"""Seconds after which an exception that was lost is raised again."""
_ENDING = 60.0
"""Seconds after which it is raised again where it was not lost, but the command has not ended."""


class _Interrupted(KeyboardInterrupt):
    """Unlike its base class, it can be referred to weakly."""


class _Ended(SystemExit):
    """Unlike its base class, it can be referred to weakly."""


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, SIGTERM SystemExit(TERMINATED), SIGHUP SystemExit(HUNG_UP): unfinished output is
    removed.

    Whoever catches one of them inside has to raise that same object again in the end, and soon: an exception that is
    dropped counts as lost, and comes again, and so does one after which nothing ends.

    In other threads than the main one nothing changes: signals are somebody else's. Where SIGINT is ignored, as shells
    let background commands do, or SIGHUP, as ``nohup`` does, it stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = {signal.SIGTERM}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        numbers.add(signal.SIGINT)
    if SIGHUP is not None and signal.getsignal(SIGHUP) is signal.SIG_DFL:
        numbers.add(SIGHUP)
    with contextlib.suppress(OSError):
        tempfile.gettempdir()  # looks for one by writing a file the first time, which an exception would leave there
    handling = _Handling()
    before = {number: signal.signal(number, handling.leave) for number in numbers}
    try:
        with handling, _woken(frozenset(numbers), handling), _unreported():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Handling:
    """Raises the exceptions, and each once more as long as it gets lost or gets nowhere.

    Much of what runs in the main thread drops exceptions: finalisers, callbacks, and initialisation of many an
    extension module, which wants to be loaded whatever fails; and not all modules are loaded at the start. One that
    strikes between taking a lock and noting so leaves it taken, and who then waits for another thread that wants it
    waits for ever.

    Attributes:
        seen: whether a signal was handled since someone looked.
        over: nothing is to be raised any more.
    """

    def __init__(self) -> None:
        self.seen = False
        self.over = threading.Event()
        # this kind of queue may be put into at any time, within its own methods, too
        self._raised: queue.SimpleQueue[tuple[int, weakref.ref[BaseException]] | None] = queue.SimpleQueue()

    def leave(self, number: int, _frame: FrameType | None) -> NoReturn:
        """Handle a signal."""
        self.seen = True
        raise self._exception(number)  # without a name here, by which its own traceback would keep it

    def _exception(self, number: int) -> BaseException:
        error = _Interrupted() if number == signal.SIGINT else _Ended(128 + number)
        self._raised.put((number, weakref.ref(error)))
        return error

    def _insist(self) -> None:
        """Raise again what has to be."""
        while raised := self._raised.get():
            number, error = raised
            late = time.monotonic() + _ENDING
            while error() is not None and time.monotonic() < late:
                if self.over.wait(_AGAIN):
                    return
            if not self.over.wait(_AGAIN):
                signal.raise_signal(number)

    def __enter__(self) -> None:
        threading.Thread(target=self._insist, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._raised.put(None)


@contextlib.contextmanager
def _woken(numbers: frozenset[int], handling: _Handling) -> Iterator[None]:
    """Have signals wake the main thread where it waits in a system call.

    The system may hand them to any thread, or just before such a call begins; Python's handlers run in the main thread
    alone, and only once that returns: from a pipe on which nothing comes, never.

    Args:
        numbers: of these signals.
        handling: what their handlers have done.
    """
    if _NUDGE is None or not hasattr(signal, "pthread_kill"):
        yield
        return
    main = threading.main_thread().ident or 0
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def watch() -> None:
        with open(reading, "rb", buffering=0) as caught:
            while came := caught.read(64):
                if numbers.isdisjoint(came):
                    continue
                time.sleep(_PATIENCE)
                while not (handling.seen or handling.over.is_set()):
                    signal.pthread_kill(main, _NUDGE)
                    time.sleep(_PATIENCE)
                handling.seen = False

    nudged = signal.signal(_NUDGE, lambda *_: None)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        handling.over.set()
        signal.set_wakeup_fd(before)
        os.close(writing)
        signal.signal(_NUDGE, nudged)


@contextlib.contextmanager
def _unreported() -> Iterator[None]:
    """Python writes a traceback where it drops what finalisers and callbacks raise; these exceptions come again."""
    report = sys.unraisablehook

    def unless_ours(lost: "sys.UnraisableHookArgs") -> None:
        if not issubclass(lost.exc_type, (_Interrupted, _Ended)):
            report(lost)

    sys.unraisablehook = unless_ours
    try:
        yield
    finally:
        sys.unraisablehook = report
