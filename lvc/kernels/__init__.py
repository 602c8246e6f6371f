"""Loops over samples and blocks, compiled for the processor at hand: the integer work between the networks on CPUs.

PyTorch does what is the same for every sample. What depends on a vector, a flag or a class for each block it can only
do by gathering and scattering, which moves several times as much memory as it computes with. These loops are compiled
by numba when they are first called, a second or so each, and kept, see :mod:`lvc.kernels.kept`. The logger ``lvc``
tells of it.

But for the briefest they hold no lock of Python's, so :func:`shared` runs them on several threads at once. Nothing in
them depends on the order in which sums are made: they add integers (held in float32, below 2^24), or sums of one thread
alone.
"""

import contextlib
import functools
import itertools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numba
import numpy as np
import torch
from numba.core.event import Event, Listener, register

from lvc.errors import LvcError

F = TypeVar("F", bound=Callable[..., Any])

ROUND = np.float32(3 << 22)
"""Adding and subtracting it leaves the nearest integer, halves to even, of what is below 2^22."""
_LEAST_ROWS = 4
"""Fewer rows than this are not worth another thread."""
COMPILING = "compiling loops for this processor; the first time takes up to a minute longer"
_lock = threading.Lock()

if getattr(numba.config, "DISABLE_JIT", False):
    raise LvcError("NUMBA_DISABLE_JIT is set, but loops over samples only run compiled: unset it")


class _Notice(Listener):
    """Tells once in a process that something of lvc is compiled, rather than found in the cache."""

    def __init__(self) -> None:
        self._told = False

    def on_start(self, event: Event) -> None:
        module = str(event.data["dispatcher"].py_func.__module__)  # None in programs that make functions from text
        if not self._told and module.startswith(__name__):
            self._told = True
            logging.getLogger("lvc").info(COMPILING)

    def on_end(self, event: Event) -> None:
        pass


_notice = _Notice()
register("numba:compile", _notice)


def compiled(function: F) -> F:
    """A function of numbers and arrays, compiled. No rearranging of sums, no division by zero that raises."""
    return _compiled(function, nogil=True)


def brief(function: F) -> F:
    """The same of one that is over before another thread could have taken over the lock of Python's, so it keeps it.

    Where two threads each encode a picture, a thread that has let it go mostly waits for it: with what sorts and codes
    vectors, called 200 times a picture, 4 % of the time and a sixth of the handing over.
    """
    return _compiled(function, nogil=False)


def _compiled(function: F, nogil: bool) -> F:
    found: Any = numba.njit(nogil=nogil, error_model="numpy")(function)
    # there may be no folder to keep it in, sources may be no files, numba may have changed inside
    with contextlib.suppress(Exception):
        from lvc.kernels.kept import Kept

        found._cache = Kept(function)
    return cast(F, found)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "lvc")


def shared(kernel: Callable[..., None], rows: int, *arguments: Any) -> None:
    """Call ``kernel(*arguments, first, last)`` for all of some rows, by as many threads as PyTorch may use.

    Args:
        kernel: compiled; works on rows ``first`` to ``last - 1`` and writes nothing that other rows read.
    """
    threads = min(torch.get_num_threads(), rows // _LEAST_ROWS)
    if threads < 2:
        kernel(*arguments, 0, rows)
        return
    edges = [rows * part // threads for part in range(threads + 1)]
    with _lock:
        pool = _pool(threads - 1)
    waiting = [pool.submit(kernel, *arguments, *ends) for ends in itertools.pairwise(edges[1:])]
    kernel(*arguments, edges[0], edges[1])
    for each in waiting:
        each.result()
