"""Signals that end a command, whichever thread the system hands them to."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lvc.cli.signals import HUNG_UP, TERMINATED, signals_as_exceptions

ROOT = Path(__file__).resolve().parent.parent

WAITING = """
import os, signal, sys, threading, time
from lvc.cli.signals import signals_as_exceptions
number, ends = getattr(signal, sys.argv[1]), []

def someone_else():
    time.sleep(0.3)  # by now the main thread waits for what never comes
    signal.pthread_kill(threading.get_ident(), number)
    time.sleep(60)

with signals_as_exceptions():
    threading.Thread(target=someone_else, daemon=True).start()
    try:
        os.read(os.pipe()[0], 1)
    except BaseException as error:
        ends.append(type(error).__name__)
        time.sleep(0.5)  # no second one comes while things are put in order
print(*ends)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads")
@pytest.mark.parametrize(
    ("name", "error"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "SystemExit"), ("SIGHUP", "SystemExit")]
)
def test_a_waiting_main_thread_is_woken_once(name: str, error: str) -> None:
    command = [sys.executable, "-c", WAITING, name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.split(), done.returncode) == ([error], 0), done.stderr


def test_everything_is_put_back() -> None:
    def state() -> list[object]:
        return [*map(signal.getsignal, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)), sys.unraisablehook]

    before = state()
    threads = threading.active_count()
    for number, status in ((signal.SIGTERM, TERMINATED), (signal.SIGHUP, HUNG_UP)):
        with pytest.raises(SystemExit) as ended, signals_as_exceptions():
            signal.raise_signal(number)
        assert ended.value.code == status == 128 + number
    assert state() == before
    assert signal.set_wakeup_fd(-1) == -1
    for _ in range(100):
        if threading.active_count() <= threads:
            break
        time.sleep(0.02)
    assert threading.active_count() <= threads


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    """As in commands that a shell runs in the background, or with nohup."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with signals_as_exceptions():
            signal.raise_signal(number)
            assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_other_threads_are_left_alone() -> None:
    seen: list[object] = []

    def run() -> None:
        with signals_as_exceptions():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
