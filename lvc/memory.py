"""Memory that does not suffice: one error of lvc for all the ways in which Python and its libraries say so."""

import contextlib
import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lvc.errors import OutOfMemoryError

if TYPE_CHECKING:
    from lvc.video import VideoInfo

_SAID = ("DefaultCPUAllocator", "out of memory", "can't start new thread")
"""PyTorch has no kind of error of its own for the memory of the CPU, nor has Python for that of a thread."""


def is_shortage(error: BaseException) -> bool:
    """Whether an error is that of an allocation that failed, of Python, NumPy, Numba, PyTorch, FFmpeg or the system."""
    said = isinstance(error, RuntimeError) and any(text in str(error) for text in _SAID)
    told = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return said or told or isinstance(error, MemoryError)


def pass_on_shortage(error: BaseException) -> None:
    """Raise an error again where it is such a one, and was caught with all others of its kind."""
    if is_shortage(error):
        raise error


@contextlib.contextmanager
def enough_memory(info: "VideoInfo | None" = None) -> Iterator[None]:
    """Let allocations that fail in the block end in an error that says so.

    Args:
        info: of the video, where it is known: the error names the size of its pictures.

    Raises:
        OutOfMemoryError: one has failed.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_shortage(error):
            raise
        whose = "the GPU has not" if "CUDA" in str(error) else "there is not"
        pictures = "" if info is None else f" for pictures of {info.width}x{info.height}"
        message = f"{whose} enough memory{pictures}: fewer processes and threads and smaller batches take less"
        raise OutOfMemoryError(message) from error
