"""Temporary folders. What a killed process has left behind, the next one removes."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lvc.errors import OutputError
from lvc.locks import is_ours, take_lock
from lvc.output import reason_of

PREFIX = "lvc-"
_LOCK = "lock"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, locked as long as it is in use; removes those that nobody uses any more first.

    ``TMPDIR`` names another place for it.

    Raises:
        OutputError: it cannot be made.
    """
    with contextlib.suppress(OSError):
        remove_abandoned()
    folder = lock = None
    try:
        while True:
            try:
                folder = Path(tempfile.mkdtemp(prefix=PREFIX))
                lock = (folder / _LOCK).open("wb")
            except OSError as error:
                message = f"there is no place for temporary files: {reason_of(error)} (TMPDIR names another folder)"
                raise OutputError(message) from error
            if is_ours(lock) and (folder / _LOCK).exists():
                break
            lock.close()  # another process has just taken it for an abandoned one, and removed it
        yield folder
    finally:
        if lock is not None and os.name == "nt":
            lock.close()  # Windows removes no open file
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
