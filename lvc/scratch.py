"""Temporary folders. What a killed process has left behind, the next one removes."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

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
            if _is_free(lock) and (folder / _LOCK).exists():
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
        with lock:
            if _is_free(lock):
                shutil.rmtree(path.parent, ignore_errors=True)


def _is_free(lock: BinaryIO) -> bool:
    """Whether a file could be locked; it stays so until it is closed."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
