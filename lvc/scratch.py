"""Temporary folders. What a killed process has left behind, the next one removes."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lvc.locks import is_ours, take_lock

PREFIX = "lvc-"
_LOCK = "lock"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, locked as long as it is in use; removes those that nobody uses any more first.

    ``TMPDIR`` names another place for it.

    Raises:
        OSError: it cannot be made.
    """
    remove_abandoned()
    folder = lock = None
    try:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX))
            lock = (folder / _LOCK).open("wb")
            if is_ours(lock) and (folder / _LOCK).exists():
                break
            lock.close()  # another process has just taken it for an abandoned one, and removed it
        yield folder
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            lock.close()


def remove_abandoned() -> None:
    """Remove the folders of processes that live no more: the system has opened their locks, even after ``kill -9``."""
    if os.name != "posix":
        return
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{_LOCK}"):
        try:
            lock = path.open("r+b")
        except OSError:  # of another user, or just removed
            continue
        with lock, contextlib.suppress(OSError):  # no locks on this file system: nobody knows
            if take_lock(lock):
                shutil.rmtree(path.parent, ignore_errors=True)
