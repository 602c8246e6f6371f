"""What an encode or decode may use of a machine: device, threads, processes."""

import contextlib
import heapq
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lvc.errors import LvcError
from lvc.video import VideoInfo
from lvc.workers import Crew, Workers

DEVICES = ("auto", "cpu", "cuda")
WORTH_SAMPLES = 20_000_000
"""Luma samples, about 90 pictures of 640x352, from which on it is worth a second or two to start other processes."""
MOST_WORKERS = 16
_PROCESS_BYTES, _SAMPLE_BYTES = 400 << 20, 900
"""Memory of a process, and of each luma sample of a picture that is coded in it (measured: 0.5 GB at 640x352, 1 GB at
1280x720)."""
THREADS_USED = 4
"""As many pictures are coded at a time, see :mod:`lvc.exact.threads`, which takes longer to import."""
_THREAD_SHARE = 0.75
"""Of what a process does, what each of several threads does."""
_MODEST_MEMORY = 4 << 30
"""Bytes that machines are taken to have that do not say how many."""
_GROUP = Path("/sys/fs/cgroup")
"""Where Linux tells the limits of the control group that a process is in, of a container's for example."""
_USABLE = 0.5
"""Share of all memory, and of what is free for temporary files, that processes may take without being asked for."""


def check_device(name: str) -> None:
    """Whether there is such a choice.

    Raises:
        ValueError: an unknown name.
    """
    if name not in DEVICES:
        raise ValueError(f"{name!r} is none of {', '.join(DEVICES)}")


def check_counts(**counts: int | None) -> None:
    """Whether there can be so many of each; None is whatever is usual.

    Raises:
        ValueError: a number below 1.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} {count} is outside its range: the least is 1")


class _Threads:
    """How many threads PyTorch has: as many as who came last wants, in the end as many as before all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: list[int] = []
        self._before = 0

    def take(self, count: int) -> None:
        import torch

        with self._lock:
            if not self._wanted:
                self._before = torch.get_num_threads()
            self._wanted.append(count)
            torch.set_num_threads(count)

    def give_back(self, count: int) -> None:
        import torch

        with self._lock:
            self._wanted.remove(count)
            torch.set_num_threads(self._wanted[-1] if self._wanted else self._before)


_THREADS = _Threads()


@contextlib.contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """So many threads for what PyTorch computes on the CPU meanwhile; None leaves it those it has, usually all cores.

    Raises:
        ValueError: fewer than 1 thread.
    """
    check_counts(threads=count)
    if count is None:
        yield
        return
    _THREADS.take(count)
    try:
        yield
    finally:
        _THREADS.give_back(count)


def choose_device(name: str) -> str:
    """``cpu`` or ``cuda``: what ``auto`` means here.

    Raises:
        LvcError: ``cuda`` was asked for and is not there.
        ValueError: an unknown name.
    """
    check_device(name)
    import torch

    if name == "cpu":
        return name
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise LvcError("there is no CUDA device that torch can use: choose --device cpu")
    return "cuda" if found else "cpu"


@dataclass(frozen=True)
class Load:
    """What is to be encoded or decoded, as far as it is known beforehand.

    Attributes:
        groups: pictures in each group; groups can be coded at the same time.
    """

    info: VideoInfo
    groups: Sequence[int]

    @property
    def frames(self) -> int:
        """Pictures in all."""
        return sum(self.groups)

    @property
    def samples(self) -> int:
        """Luma samples of a picture."""
        return self.info.width * self.info.height

    @property
    def waiting_bytes(self) -> float:
        """What waits in temporary files for each process: the pictures of two groups."""
        return 2 * self.frames / len(self.groups) * self.samples * 1.5 * (1 if self.info.bit_depth == 8 else 2)


def usual_workers(load: Load, device: str, threads: int | None) -> int:
    """As many processes as are soonest done together: one for each core, or for its threads, as far as there are groups
    of pictures for them, memory, and room for temporary files; one where little is to be done, or on a GPU. Fewer,
    with more threads each, where some would be done long before the others.

    Args:
        device: as for :func:`choose_device`.
        threads: of each process; None for one.
    """
    if len(load.groups) < 2 or load.frames * load.samples < WORTH_SAMPLES or choose_device(device) != "cpu":
        return 1
    memory = _USABLE * _memory() / (_PROCESS_BYTES + _SAMPLE_BYTES * load.samples)
    room = _USABLE * shutil.disk_usage(tempfile.gettempdir()).free / load.waiting_bytes
    cores = usable_cores()
    most = max(1, int(min(cores // (threads or 1), len(load.groups), MOST_WORKERS, memory, room)))

    def time(workers: int) -> float:
        return _longest(load.groups, workers) / _speed(threads or cores // workers)

    return min(range(most, 0, -1), key=time)


def _longest(groups: Sequence[int], workers: int) -> int:
    """Pictures that the process codes that is done last, when each takes the next group as soon as it is free."""
    busy = [0] * workers
    for pictures in groups:
        heapq.heappush(busy, heapq.heappop(busy) + pictures)
    return max(busy)


def _speed(threads: int) -> float:
    """Of a process, against one with one thread (measured with two: 1.3 to 1.9 times)."""
    return 1.0 if threads < 2 else _THREAD_SHARE * min(threads, THREADS_USED)


def pictures_at_a_time(info: VideoInfo) -> int:
    """How many pictures of a video memory allows to encode or decode at the same time, 1 or more."""
    return max(1, int(_USABLE * _memory() / (_SAMPLE_BYTES * info.width * info.height)))


def usable_cores() -> int:
    """CPU cores that this process may use, by its affinity and the quota of its control group."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = (_GROUP / "cpu.max").read_text().split()
        count = min(count, math.ceil(int(quota) / int(period)))
    return count


def _memory() -> int:
    """Bytes of this machine, or of the control group that this process is in; a modest guess where unknown."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        size = _windows_memory() or _MODEST_MEMORY
    with contextlib.suppress(OSError, ValueError):
        size = min(size, int((_GROUP / "memory.max").read_text()))
    return size


def _windows_memory() -> int:
    """Bytes of a machine with Windows; 0 elsewhere, and where it does not say."""
    import ctypes

    windows = getattr(ctypes, "windll", None)
    status = (ctypes.c_uint64 * 8)(64)  # MEMORYSTATUSEX: its size and the load in percent, then bytes, first of all
    return status[1] if windows is not None and windows.kernel32.GlobalMemoryStatusEx(status) else 0


def _share(workers: int, threads: int | None) -> int:
    """CPU threads of each of some processes: those that are given, or their part of the cores."""
    return threads or max(1, usable_cores() // workers)


@contextlib.contextmanager
def processes(workers: int, threads: int | None, preload: str) -> Iterator[Workers | None]:
    """The processes for ``workers`` over one, which begin to import a module while this one does its own imports.

    They know their threads from the start: what loading a model started would go on waiting for work, on all cores.

    Raises:
        ValueError: fewer than 1 process or thread.
    """
    check_counts(workers=workers, threads=threads)
    if workers == 1:
        yield None
        return
    with Workers(workers, preload, {"OMP_NUM_THREADS": str(_share(workers, threads))}) as started:
        yield started


def crew_of(started: Workers | None, workers: int, model: Path, threads: int | None) -> Crew | None:
    """What :func:`processes` has started, with their model."""
    return None if started is None else Crew(started, model, _share(workers, threads))
