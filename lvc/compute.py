"""What an encode or decode may use of a machine: device, threads, processes."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lvc.errors import LvcError
from lvc.workers import Crew, Workers

DEVICES = ("auto", "cpu", "cuda")


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


def choose_device(name: str, threads: int | None = None) -> str:
    """``cpu`` or ``cuda``: what ``auto`` means here; sets the number of CPU threads where one is given.

    Raises:
        LvcError: ``cuda`` was asked for and is not there.
        ValueError: an unknown name, or fewer than 1 thread.
    """
    check_device(name)
    check_counts(threads=threads)
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if name == "cpu":
        return name
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise LvcError("there is no CUDA device that torch can use: choose --device cpu")
    return "cuda" if found else "cpu"


def _share(workers: int, threads: int | None) -> int:
    """CPU threads of each of some processes: those that are given, or their part of the cores."""
    return threads or max(1, (os.cpu_count() or 1) // workers)


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
