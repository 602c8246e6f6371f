"""``results.jsonl``: one line per clip, codec and point, written as soon as it is measured, read again to resume."""

import json
import os
from pathlib import Path

from lvc.bench.cache import Row
from lvc.errors import OutputError


class Results:
    """The rows of a report folder.

    A line that does not parse (the last one, where the machine went down while it was written) is dropped. Rows with an
    ``error`` field say what failed; a later run tries again.

    Args:
        folder: made where it is missing.

    Raises:
        OutputError: the folder cannot be made or read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results.jsonl"
        self.rows: dict[str, Row] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        except (OSError, UnicodeDecodeError) as error:
            raise OutputError(f"{folder}: {error}.") from error
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("key"), str):
                self.rows[row["key"]] = row

    def finished(self, key: str) -> Row | None:
        """The measured row of this key, None where there is none or it failed."""
        row = self.rows.get(key)
        return None if row is None or "error" in row else row

    def add(self, row: Row) -> None:
        """Keep a row, on disk before this returns. It replaces what the same codec string gave on the same clip.

        Raises:
            OutputError: disk full, or no permission.
        """
        if self.rows.get(row["key"]) == row:
            return
        same = [key for key, old in self.rows.items() if _place(old) == _place(row)]
        for key in same:
            del self.rows[key]
        self.rows[row["key"]] = row
        try:
            if same:
                self._rewrite()
            else:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(_line(row))
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror}.") from error

    def _rewrite(self) -> None:
        temporary = self.path.with_suffix(".part")
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(map(_line, self.rows.values()))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def _line(row: Row) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"


def _place(row: Row) -> tuple[object, ...]:
    conditions = row.get("conditions")
    return row.get("clip_sha256"), row.get("string"), json.dumps(conditions, sort_keys=True)
