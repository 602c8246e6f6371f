"""Pictures that do not need each other, at the same time: what PyTorch shares out of one picture is too little for
every core, and each handing over takes time.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol, TypeVar

import torch

MOST_PICTURES = 4
"""No more than these at a time: there are seldom more that do not need each other, and each takes memory."""
T = TypeVar("T")


class Start(Protocol):
    """Starts a call; its result, or what it raises, is that of the future."""

    def __call__(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Without waiting for it."""
        ...


@functools.cache
def _pool(pictures: int, threads: int) -> ThreadPoolExecutor:
    """Threads for so many pictures, with so many threads of PyTorch for each."""
    return ThreadPoolExecutor(pictures, "lvc-picture", torch.set_num_threads, (threads,))


def _started(function: Callable[..., T], *arguments: Any) -> T:
    with torch.inference_mode():
        return function(*arguments)


class _Awaited(Future[T]):
    """A call that runs when its result is asked for, in the thread that does."""

    def __init__(self, function: Callable[..., T], /, *arguments: Any) -> None:
        super().__init__()
        self._call = functools.partial(function, *arguments)

    def result(self, timeout: float | None = None) -> T:
        """See the class."""
        if not self.done():
            self.set_result(self._call())
        return super().result(timeout)


def called(function: Callable[..., T], /, *arguments: Any) -> Future[T]:
    """A way to start calls: here, when their result is asked for."""
    return _Awaited(function, *arguments)


@contextlib.contextmanager
def together(device: torch.device, pictures: int) -> Iterator[Start]:
    """A way to start calls, one for each of some pictures; all have ended when the context has.

    Within :func:`lvc.exact.arithmetic.exact_arithmetic`, which holds for them, too. They share the threads that PyTorch
    may use here. On other devices than CPUs, and where there is one thread or one picture, each runs when its result is
    asked for.
    """
    threads = torch.get_num_threads()
    count = min(threads, pictures, MOST_PICTURES)
    if device.type != "cpu" or count < 2:
        yield called
        return
    started: list[Future[Any]] = []

    def start(function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        future = _pool(count, threads // count).submit(_started, function, *arguments)
        started.append(future)
        return future

    # of some libraries there is one setting for all threads
    torch.set_num_threads(threads // count)
    try:
        yield start
    finally:
        for future in started:
            future.cancel()
        wait(started)
        torch.set_num_threads(threads)
