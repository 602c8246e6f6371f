"""Temporary folders: gone when their process is, one way or another."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest

from lvc.errors import OutputError
from lvc.scratch import remove_abandoned, scratch_folder

HOLD = """
import time
from lvc.scratch import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    time.sleep(99)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_removed(place: Path) -> None:
    with scratch_folder() as folder:
        assert folder.parent == place
        (folder / "file").write_bytes(b"x")
        with scratch_folder() as another:
            assert another != folder
            assert (folder / "file").exists(), "it is in use"
    assert not list(place.iterdir())
    with pytest.raises(KeyboardInterrupt), scratch_folder():
        raise KeyboardInterrupt
    assert not list(place.iterdir())


def test_what_a_killed_process_left_is_removed(place: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        assert left.parent == place
        (left / "file").write_bytes(b"x")
        remove_abandoned()
        assert (left / "file").exists(), "its process lives"
        process.kill()
    assert left.exists()
    with scratch_folder() as folder:
        assert list(place.iterdir()) == [folder]


def test_other_folders_stay(place: Path) -> None:
    for name in ("lvc-of-somebody", "other"):
        (place / name).mkdir()
    (place / "other" / "lock").touch()
    (place / "kept").mkdir()
    (place / "kept" / "lock").touch()
    (place / "lvc-link").symlink_to(place / "kept")
    with scratch_folder():
        pass
    assert sorted(path.name for path in place.iterdir()) == ["kept", "lvc-link", "lvc-of-somebody", "other"]


def test_windows_removes_no_open_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the lock is kept until the folder is gone, so that nobody takes it for abandoned."""
    original, closed = shutil.rmtree, []

    def remove(folder: Path, **options: bool) -> None:
        closed.append(locks[0].closed)
        original(folder, **options)

    def lock(file: BinaryIO) -> bool:
        locks.append(file)
        return True

    for system in ("nt", "posix"):
        locks: list[BinaryIO] = []
        with monkeypatch.context() as patched:
            patched.setattr("lvc.scratch.is_ours", lock)
            patched.setattr("lvc.scratch.shutil", SimpleNamespace(rmtree=remove))
            patched.setattr("lvc.scratch.os", SimpleNamespace(name=system))
            with scratch_folder():
                pass
    assert closed == [True, False]
    assert not list(place.iterdir())


def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is taken at once, and none is taken for abandoned."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made: list[str] = []
    original = tempfile.mkdtemp

    def make(**options: str) -> str:
        assert len(made) < 3
        made.append(original(**options))
        return made[-1]

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(tempfile, "mkdtemp", make)
    with scratch_folder() as first, scratch_folder() as second:
        assert [str(first), str(second)] == made
        assert first.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_an_output_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(OutputError, match="the disk is full"), scratch_folder():
        pass
