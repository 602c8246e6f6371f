"""What an encode or decode may use of a machine: device, threads, processes."""

import os
from pathlib import Path

from lvc.errors import LvcError
from lvc.workers import Crew

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str, threads: int | None = None) -> str:
    """``cpu`` or ``cuda``: what ``auto`` means here; sets the number of CPU threads where one is given.

    Raises:
        LvcError: ``cuda`` was asked for and is not there.
        ValueError: an unknown name.
    """
    if name not in DEVICES:
        raise ValueError(f"{name!r} is none of {', '.join(DEVICES)}")
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if name == "cpu":
        return name
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise LvcError("there is no CUDA device that torch can use: choose --device cpu")
    return "cuda" if found else "cpu"


def crew_of(workers: int, model: Path, threads: int | None) -> Crew | None:
    """The processes for ``workers`` over one; they share the cores unless ``threads`` are given."""
    if workers == 1:
        return None
    return Crew(workers, model, threads or max(1, (os.cpu_count() or 1) // workers))
