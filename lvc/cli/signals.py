"""Signals that end a command, as exceptions of the main thread, whatever it is doing."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

SIGHUP = getattr(signal, "SIGHUP", None)
"""Comes when the terminal goes; not on every system."""
TERMINATED = 128 + signal.SIGTERM
HUNG_UP = 128 + (SIGHUP or 1)
_PATIENCE = 0.2
"""Seconds after which a signal that has not become an exception is sent to the main thread once more."""


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, SIGTERM SystemExit(TERMINATED), SIGHUP SystemExit(HUNG_UP): unfinished output is
    removed.

    In other threads than the main one nothing changes: signals are somebody else's. Where SIGINT is ignored, as shells
    let background commands do, or SIGHUP, as ``nohup`` does, it stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = threading.Event()

    def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
        seen.set()
        raise KeyboardInterrupt

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        seen.set()
        raise SystemExit(128 + number)

    handlers: dict[int, Callable[[int, FrameType | None], NoReturn]] = {signal.SIGTERM: leave}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handlers[signal.SIGINT] = interrupt
    if SIGHUP is not None and signal.getsignal(SIGHUP) is signal.SIG_DFL:
        handlers[SIGHUP] = leave
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with _woken(frozenset(handlers), seen), _none_lost():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _woken(numbers: frozenset[int], seen: threading.Event) -> Iterator[None]:
    """Have signals wake the main thread where it waits in a system call.

    The system may hand them to any thread, or just before such a call begins; Python's handlers run in the main thread
    alone, and only once that returns: from a pipe on which nothing comes, never.

    Args:
        numbers: of these signals.
        seen: set by their handlers.
    """
    if not hasattr(signal, "pthread_kill"):
        yield
        return
    main = threading.main_thread().ident or 0
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def watch() -> None:
        with open(reading, "rb", buffering=0) as caught:
            while number := caught.read(1):
                if number[0] not in numbers:
                    continue
                if seen.wait(_PATIENCE):
                    seen.clear()
                else:
                    signal.pthread_kill(main, number[0])  # comes through the pipe once more

    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)


@contextlib.contextmanager
def _none_lost() -> Iterator[None]:
    """Python drops what is raised in finalisers and callbacks, an interrupt that happens to come then, too (imports run
    such callbacks all the time): send it once more, a little later.
    """
    report, thread = sys.unraisablehook, threading.main_thread().ident

    def again(lost: "sys.UnraisableHookArgs") -> None:
        if thread is None or not issubclass(lost.exc_type, (KeyboardInterrupt, SystemExit)):
            report(lost)
            return
        hung_up = isinstance(lost.exc_value, SystemExit) and lost.exc_value.code == HUNG_UP
        number = SIGHUP if hung_up else signal.SIGTERM if issubclass(lost.exc_type, SystemExit) else signal.SIGINT
        timer = threading.Timer(0.05, signal.pthread_kill, (thread, number))
        timer.daemon = True
        timer.start()

    sys.unraisablehook = again if hasattr(signal, "pthread_kill") else report
    try:
        yield
    finally:
        sys.unraisablehook = report
