"""How many processes and threads there are where nobody says it."""

import ctypes
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from lvc import compute
from lvc.compute import THREADS_USED, Load, usual_workers
from lvc.encoding import _workers
from lvc.exact.threads import MOST_PICTURES
from lvc.video import VideoInfo

_HD = VideoInfo(width=1920, height=1080, time_base=Fraction(1, 25))


_MANY = {"cores": 64, "memory": 1 << 40, "room": 1 << 40}


@pytest.mark.parametrize(
    ("limits", "load", "threads", "workers"),
    [
        ({}, Load(_HD, [250] * 10), None, 10),  # as many as there are groups
        ({}, Load(_HD, [250] * 100), None, 16),
        ({"cores": 4}, Load(_HD, [250] * 10), None, 4),
        ({"cores": 4}, Load(_HD, [250] * 10), 2, 2),
        ({"cores": 4}, Load(_HD, [250] * 10), 8, 1),
        ({"memory": 16 << 30}, Load(_HD, [250] * 10), None, 3),  # 2.3 GB each
        ({"memory": 0}, Load(_HD, [250] * 10), None, 1),  # unknown
        ({"room": 10 * 10**9}, Load(_HD, [250] * 10), None, 3),  # two groups of 250 pictures of 3.1 MB each
        ({}, Load(_HD, [250] * 1), None, 1),
        ({}, Load(_HD, [3] * 3), None, 1),  # not worth it
        ({}, Load(_HD, [4, 3, 3]), None, 3),
        ({"cores": 2}, Load(_HD, [250, 50]), None, 1),  # one process of two threads is sooner done
        ({"cores": 2}, Load(_HD, [250, 150]), None, 2),
        ({"cores": 2}, Load(_HD, [250, 50]), 1, 2),  # but not of one thread
        ({}, Load(_HD, []), None, 1),
    ],
)
def test_the_usual_number_of_processes(
    limits: dict[str, int], load: Load, threads: int | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {**_MANY, **limits}
    monkeypatch.setattr("lvc.compute.usable_cores", lambda: known["cores"])
    monkeypatch.setattr("lvc.compute._memory", lambda: known["memory"])
    monkeypatch.setattr("lvc.compute.shutil.disk_usage", lambda _: SimpleNamespace(free=known["room"]))
    assert usual_workers(load, "cpu", threads) == workers


def test_a_stated_length_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source may claim to be of any length."""
    monkeypatch.setattr("lvc.compute.usable_cores", lambda: _MANY["cores"])
    monkeypatch.setattr("lvc.compute._memory", lambda: _MANY["memory"])
    monkeypatch.setattr("lvc.compute.shutil.disk_usage", lambda _: SimpleNamespace(free=_MANY["room"]))
    for frames in (1000, 10**12, 10**18):
        assert _workers(None, replace(_HD, frames=frames), 1, "cpu", None) == 16


def test_how_many_threads_a_process_has_use_for() -> None:
    assert THREADS_USED == MOST_PICTURES


def test_a_gpu_takes_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("lvc.compute.usable_cores", lambda: 4)
    assert usual_workers(Load(_HD, [250] * 10), "auto", None) == 1
    assert usual_workers(Load(_HD, [250] * 10), "cpu", None) > 1


def test_control_groups_limit_cores_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvc.compute._GROUP", tmp_path)
    cores, memory = compute.usable_cores(), compute._memory()
    assert cores >= 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (compute.usable_cores(), compute._memory()) == (cores, memory)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    assert (compute.usable_cores(), compute._memory()) == (1, 1000000)


@pytest.mark.parametrize(("told", "memory"), [(True, 5 << 30), (False, compute._MODEST_MEMORY)])
def test_memory_where_the_system_has_no_sysconf(told: bool, memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows is asked; where nobody says, some is there."""

    def status(fields: ctypes.Array[ctypes.c_uint64]) -> bool:
        assert fields[0] == ctypes.sizeof(fields) == 64
        fields[1] = 5 << 30
        return told

    windows = SimpleNamespace(kernel32=SimpleNamespace(GlobalMemoryStatusEx=status))
    monkeypatch.setattr(ctypes, "windll", windows, raising=False)
    monkeypatch.setattr("lvc.compute._GROUP", Path("nowhere"))
    monkeypatch.delattr(os, "sysconf")
    assert compute._memory() == memory


def test_threads_of_several_processes_share_the_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvc.compute.usable_cores", lambda: 4)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert [compute._share(workers, None) for workers in (1, 2, 4, 8)] == [4, 2, 1, 1]
    assert compute._share(2, 3) == 3
