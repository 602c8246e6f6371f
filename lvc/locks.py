"""Files that only one process has at a time."""

from typing import BinaryIO


def take_lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed; False where another process has it. Systems without such locks always say True.

    Raises:
        OSError: the file system has none.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_ours(file: BinaryIO) -> bool:
    """Lock a file until it is closed; False where another process has it. On file systems without locks, True."""
    try:
        return take_lock(file)
    except OSError:
        return True
