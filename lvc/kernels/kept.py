"""Where compiled loops are kept from one process to the next.

Numba asks whether the file of a function has changed, but not whether those have that it calls or takes constants from,
whose machine code is in its own. And it numbers its files by an index that two processes may write at once: on hosts
that share it, one could then run what was compiled for the processor of the other. So only the place is numba's here.
In it there is a folder for each state of all sources and of what compiles them, and in that a file for each function,
kinds of arguments and processor. What cannot be read or written is compiled again.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import shutil
import sys
import uuid
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps

FOLDERS = 8
"""As many others are left where one is made, those used last: 3 MB each, for branches, versions of Numba and so on."""
_PREFIX = "lvc-"
_DIGEST = hashlib.sha256().digest_size


def _state() -> str:
    """What results depend on, as a name: the sources of all loops, which need nothing else of lvc, and versions."""
    versions = numba.__version__, llvmlite.__version__, np.__version__, sys.version
    state = hashlib.sha256(repr(versions).encode())
    for source in sorted(files(__package__).iterdir(), key=lambda source: source.name):
        if source.name.endswith(".py"):
            state.update(source.name.encode() + hashlib.sha256(source.read_bytes()).digest())
    return state.hexdigest()[:32]


_STATE = _state()
"""Before any of the loops is imported."""


class Kept(FunctionCache):
    """What is kept of a function.

    Raises:
        RuntimeError: there is no place to keep it in.
    """

    _cache_file: Any

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        locator = self._impl.locator
        folder = Path(locator.get_cache_path()) / f"{_PREFIX}{_STATE}"
        self._cache_file = Files(folder, self._impl.filename_base, locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What was compiled for these kinds of arguments, ready to be called; None where it has to be compiled."""
        with contextlib.suppress(Exception):  # what pickle and numba raise of a file that is none may be anything
            return super().load_overload(sig, target_context)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, if that is possible."""
        with contextlib.suppress(Exception):
            super().save_overload(sig, data)


class Files:
    """Files of a function, named after what they were made of: a digest of all that follows, then what and for what.

    Args:
        folder: where they are; made when it is needed.
        name: how their names begin.
        stamp: tells the file of the function from others, also where sources are not at hand.
    """

    def __init__(self, folder: Path, name: str, stamp: object) -> None:
        self._folder = folder
        self._name = name
        self._stamp = stamp

    def load(self, key: object) -> Any:
        """What is kept under a key; None where there is nothing, or something that is damaged."""
        try:
            content = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        digest, rest = content[:_DIGEST], content[_DIGEST:]
        if digest != hashlib.sha256(rest).digest():
            return None
        _note_use(self._folder)
        found, data = pickle.loads(rest)  # noqa: S301 -- of those who may also change the program
        return data if found == key else None

    def save(self, key: object, data: object) -> None:
        """Keep something, in place of what there is; nothing where the sources have changed since they were read.

        Raises:
            OSError: it cannot be written.
        """
        if _state() != _STATE:
            return
        rest = dumps((key, data))
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            _remove_superseded(self._folder)
        path = self._path(key)
        unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            unfinished.write_bytes(hashlib.sha256(rest).digest() + rest)
            os.replace(unfinished, path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def _path(self, key: object) -> Path:
        made_of = hashlib.sha256(repr((self._stamp, key)).encode()).hexdigest()[:32]
        return self._folder / f"{self._name}.{made_of}.nbc"


@functools.cache
def _note_use(folder: Path) -> None:
    """Once in a process, so that it is not taken for one that is superseded."""
    with contextlib.suppress(OSError):
        os.utime(folder)


def _remove_superseded(new: Path) -> None:
    """Remove the folders beside a new one that have not been used for longest. A process that still needs one of them
    compiles again.
    """
    with contextlib.suppress(OSError):  # another process may remove them at the same time
        others = [path for path in new.parent.glob(f"{_PREFIX}*") if path != new and not path.is_symlink()]
        others.sort(key=lambda path: path.stat().st_mtime)
        for path in others[:-FOLDERS]:
            shutil.rmtree(path, ignore_errors=True)
