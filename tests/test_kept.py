"""What is compiled is kept for the next process, and is always that of the sources, the processor and the arguments."""

import ast
import errno
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest

import lvc
from lvc import kernels
from lvc.kernels import kept

SOURCES = Path(lvc.__file__).parent
OUTER = """
from lvc.kernels import compiled, inner

@compiled
def call(x):
    return inner.add(x) + inner.ALSO
"""
INNER = """
from lvc.kernels import compiled

ALSO = {also}

@compiled
def add(x):
    return x + {added}
"""


def double(x: int) -> int:
    return x + x


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where things are kept."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def doubled() -> str:
    """What another process would have to do for a call."""
    found: Any = kernels.compiled(double)
    assert found(4) == 8
    return "loads" if found.stats.cache_hits else "compiles"


def kept_in(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


def test_what_was_compiled_is_found_again(place: Path) -> None:
    assert [doubled(), doubled()] == ["compiles", "loads"]
    assert len(kept_in(place)) == 1


def test_what_cannot_be_kept_is_compiled_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder to write to: numba refuses to keep what it compiles."""
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(double)
    assert kernels.compiled(lambda x: x + 1)(2) == 3


def test_loops_run_where_there_is_no_keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources that are no files, another numba."""
    monkeypatch.setitem(sys.modules, "lvc.kernels.kept", None)
    with pytest.raises(ImportError):
        importlib.import_module("lvc.kernels.kept")
    assert kernels.compiled(lambda x: x + 1)(2) == 3


@pytest.mark.parametrize("name", ["mkdir", "write_bytes"])
def test_a_full_disk_does_not_matter(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, name, fail)
    assert [doubled(), doubled()] == ["compiles", "compiles"]
    assert not kept_in(place)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def alter(path: Path) -> None:
    """In the middle, where machine code is."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_another(path: Path) -> None:
    """Whole, but none of what is kept here."""
    kept.Files(path.parent, "other", None).save("key", 5)
    (other,) = path.parent.glob("other*")
    other.replace(path)


@pytest.mark.parametrize("damage", [empty, cut, alter, replace_by_another])
def test_what_is_damaged_is_compiled_again_and_replaced(damage: Callable[[Path], None], place: Path) -> None:
    doubled()
    (path,) = kept_in(place)
    damage(path)
    assert [doubled(), doubled()] == ["compiles", "loads"]


def test_what_cannot_be_read_is_compiled_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    doubled()
    with monkeypatch.context() as refused:
        refused.setattr(Path, "read_bytes", refuse)
        assert doubled() == "compiles"
    assert doubled() == "loads"


def test_code_that_is_linked_in_is_that_of_its_source(tmp_path: Path) -> None:
    """A function is compiled again where another module has changed, of which it has a function and a constant."""
    shutil.copytree(SOURCES / "kernels", tmp_path / "lvc" / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "errors.py"):
        shutil.copy(SOURCES / name, tmp_path / "lvc")
    folder = tmp_path / "lvc" / "kernels"
    (folder / "outer.py").write_text(OUTER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": "", "PYTHONDONTWRITEBYTECODE": "1"}
    program = "from lvc.kernels import outer; print(outer.call(1), len(outer.call.stats.cache_hits))"
    for also, added, told in ((100, 20, "121 0"), (100, 30, "131 0"), (200, 30, "231 0"), (100, 20, "121 1")):
        (folder / "inner.py").write_text(INNER.format(also=also, added=added))
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == told


def test_loops_need_nothing_else_of_lvc() -> None:
    """Of other sources it is not known here whether they have changed. Errors are for users alone."""
    for path in (SOURCES / "kernels").iterdir():
        for node in ast.walk(ast.parse(path.read_text()) if path.suffix == ".py" else ast.Module([], [])):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else names
            for name in names:
                assert not getattr(node, "level", 0)
                assert not f"{name}.".startswith("lvc.") or f"{name}.".startswith(("lvc.kernels.", "lvc.errors."))


def test_nothing_is_kept_of_sources_that_have_changed_since(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_state", lambda: "another")
    assert [doubled(), doubled()] == ["compiles", "compiles"]
    assert not kept_in(place)


def test_other_processors_have_files_of_their_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codegen = type(numba.core.registry.cpu_target.target_context.codegen())
    honest = codegen.magic_tuple
    doubled()
    for also in (("another processor",), ("another feature",)):
        monkeypatch.setattr(codegen, "magic_tuple", lambda self, also=also: honest(self) + also)
        assert [doubled(), doubled()] == ["compiles", "loads"]
    assert len(kept_in(place)) == 3


class Meanwhile:
    """What calls something while it is written."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def __reduce__(self) -> tuple[type, tuple[int]]:
        self._call()
        return int, (1,)


def test_hosts_that_keep_at_once_do_not_mix_theirs_up(tmp_path: Path) -> None:
    def files() -> kept.Files:
        return kept.Files(tmp_path / "folder", "loop", "stamp")

    files().save("first host", Meanwhile(lambda: files().save("second host", 2)))
    assert [files().load(f"{name} host") for name in ("first", "second", "third")] == [1, 2, None]


def test_folders_that_are_superseded_do_not_pile_up(tmp_path: Path) -> None:
    """Those that were used last stay, and what is not from here."""

    def save(folder: Path) -> kept.Files:
        files = kept.Files(folder, "loop", "stamp")
        files.save("key", folder.name)
        return files

    (tmp_path / "another").mkdir()
    folders = [tmp_path / f"lvc-{number}" for number in range(kept.FOLDERS)]
    for age, folder in enumerate(folders):
        save(folder)
        os.utime(folder, (age, age))
    kept._note_use.cache_clear()
    assert kept.Files(folders[0], "loop", "stamp").load("key") == "lvc-0"
    for name in ("lvc-new", "lvc-newer"):
        assert save(tmp_path / name).load("key") == name
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"another", "lvc-new", "lvc-newer", *(path.name for path in folders if path != folders[1])}
    assert kept.Files(folders[1], "loop", "stamp").load("key") is None
