"""Rows that were measured before, kept by a hash of all that they depend on."""

import contextlib
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from lvc.video import Plane

Row = dict[str, Any]

_FIELDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("key", "clip", "clip_sha256", "codec", "string", "version"), str),
    **dict.fromkeys(("width", "height", "bit_depth", "frames", "bytes"), int),
    **dict.fromkeys(("point", "frame_rate", "bpp", "kbps"), (int, float)),
    **dict.fromkeys(("encode_seconds", "decode_seconds", "encode_fps"), (int, float)),
    **dict.fromkeys(("decode_fps", "peak_bytes"), (int, float, type(None))),
    **dict.fromkeys(("conditions", "metrics", "missing"), dict),
}
"""What summaries, reports and crops read of a row."""


def is_row(value: object) -> TypeGuard[Row]:
    """Whether this is a finished row, or one that says what failed: damaged files may hold anything."""
    if not isinstance(value, dict) or not isinstance(value.get("key"), str):
        return False
    if "error" in value:
        return True
    metrics = value.get("metrics")
    return (
        all(name in value and isinstance(value[name], kind) for name, kind in _FIELDS.items())
        and isinstance(metrics, dict)
        and all(each is None or isinstance(each, (int, float)) for each in metrics.values())
    )


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/lvc/bench``, or ``~/.cache/lvc/bench``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lvc" / "bench"


def key_of(parts: dict[str, Any]) -> str:
    """Hash of what a row depends on: equal parts, equal key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Cache:
    """One JSON file per row in a folder, beside it the ``.lvc`` file and one decoded picture where lvc made it.

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
        return row if is_row(row) and row["key"] == key and "error" not in row else None

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

    def keep_picture(self, key: str, number: int, planes: Sequence[Plane]) -> None:
        """Keep a decoded picture of a row, by its number in display order."""
        file = io.BytesIO()
        np.savez(file, *planes)
        self._write(f"{key}.{number}.npz", file.getvalue())

    def kept_picture(self, key: str, number: int) -> list[Plane] | None:
        """Planes of a picture that was kept, or None."""
        if self.folder is None:
            return None
        try:
            data = (self.folder / f"{key}.{number}.npz").read_bytes()
            with np.load(io.BytesIO(data), allow_pickle=False) as planes:
                return [planes[name] for name in ("arr_0", "arr_1", "arr_2")]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def _write(self, name: str, data: bytes) -> None:
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(data)
            Path(file.name).replace(self.folder / name)
