"""``results.jsonl``: one line per clip, codec and point, written as soon as it is measured, read again to resume."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from lvc.bench.cache import Row, is_row
from lvc.errors import OutputError
from lvc.locks import is_ours
from lvc.output import write_file

_LOCK = ".lock"


class Results:
    """The rows of a report folder.

    A line that is no row (the last one, where the machine went down while it was written) is dropped. Rows with an
    ``error`` field say what failed; a later run tries again. Clips of equal content have rows of their own.

    Args:
        folder: made where it is missing.

    Raises:
        OutputError: the folder cannot be made or read.

    Attributes:
        rows: by key and name of the clip.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results.jsonl"
        self.rows: dict[tuple[str, str], Row] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            data = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise OutputError(f"{folder}: {error.strerror}.") from error
        self._is_damaged = bool(data) and not data.endswith(b"\n")
        for line in data.splitlines():
            row = _row_of(line)
            if row is None:
                self._is_damaged = True
            else:
                self.rows[_name(row)] = row

    def finished(self, key: str) -> Row | None:
        """The measured row of this key, None where there is none or it failed."""
        return next((row for row in self.rows.values() if row["key"] == key and "error" not in row), None)

    def add(self, row: Row) -> None:
        """Keep a row, on disk before this returns. It replaces what the same codec string gave on the same clip.

        Raises:
            OutputError: disk full, or no permission.
        """
        if self.rows.get(_name(row)) == row:
            return
        same = [name for name, old in self.rows.items() if _place(old) == _place(row)]
        for name in same:
            del self.rows[name]
        self.rows[_name(row)] = row
        try:
            if same or self._is_damaged:
                self._rewrite()
            else:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(_line(row))
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror}.") from error

    def _rewrite(self) -> None:
        write_file(self.path, "".join(map(_line, self.rows.values())).encode())
        self._is_damaged = False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a report folder, where the system can.

    Args:
        folder: made where it is missing.

    Raises:
        OutputError: another run writes into it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK).open("wb")
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}.") from error
    with file:
        if not is_ours(file):
            raise OutputError(f"{folder}: another run writes into this folder; wait for it, or choose another.")
        yield


def _row_of(line: bytes) -> Row | None:
    try:
        row = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return row if is_row(row) else None


def _line(row: Row) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"


def _name(row: Row) -> tuple[str, str]:
    return row["key"], str(row.get("clip"))


def _place(row: Row) -> tuple[object, ...]:
    conditions = row.get("conditions")
    return row.get("clip"), row.get("clip_sha256"), row.get("string"), json.dumps(conditions, sort_keys=True)
