"""Threads keep the priority that they have, whatever a library thinks of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def usual_priority() -> Iterator[None]:
    """Let an encoder be opened without becoming more important than all other programs.

    SVT-AV1, if it may (as root), makes itself and the thread that opens it real-time (``SCHED_FIFO`` at 99). From then
    on nothing else runs on their cores unless they wait, and threads that spin for each other starve each other. When
    this ends, the calling thread and those begun meanwhile are scheduled as the calling thread was before.
    """
    try:
        policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    except (AttributeError, OSError):  # systems and C libraries that have no such call
        yield
        return
    before = _threads()
    try:
        yield
    finally:
        # pid 0 is the calling thread
        for thread in [0, *(_threads() - before)]:
            with suppress(OSError):  # that thread has ended, or we may not
                os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    """Numbers of all threads of this process; none where the system does not tell."""
    try:
        return {int(thread.name) for thread in Path("/proc/self/task").iterdir()}
    except OSError:
        return set()
