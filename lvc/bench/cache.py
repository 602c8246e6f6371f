"""Rows that were measured before, kept by a hash of all that they depend on."""

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/lvc/bench``, or ``~/.cache/lvc/bench``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lvc" / "bench"


def key_of(parts: dict[str, Any]) -> str:
    """Hash of what a row depends on: equal parts, equal key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Cache:
    """One JSON file per row in a folder, beside it the ``.lvc`` file where lvc made it.

    A folder that cannot be written or a damaged file only costs time.

    Args:
        folder: made when the first row is stored; None for no cache at all.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def load(self, key: str) -> Row | None:
        """The row of a key of :func:`key_of`, or None."""
        if self.folder is None:
            return None
        try:
            row = json.loads((self.folder / f"{key}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return row if isinstance(row, dict) else None

    def store(self, key: str, row: Row) -> None:
        """Keep a row; whole or not at all."""
        self._write(f"{key}.json", json.dumps(row).encode())

    def keep(self, key: str, stream: bytes) -> None:
        """Keep the ``.lvc`` file of a row."""
        self._write(f"{key}.lvc", stream)

    def kept(self, key: str) -> bytes | None:
        """The ``.lvc`` file of a row, or None."""
        if self.folder is None:
            return None
        try:
            return (self.folder / f"{key}.lvc").read_bytes()
        except OSError:
            return None

    def _write(self, name: str, data: bytes) -> None:
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(data)
            Path(file.name).replace(self.folder / name)
