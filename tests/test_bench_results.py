"""``results.jsonl`` and the cache: what is in them stays, whatever happens to the files."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lvc.bench.cache import Cache, Row
from lvc.bench.results import Results, locked
from lvc.errors import OutputError


def row(key: str, **changes: Any) -> Row:
    return {
        "key": key,
        "clip": "street",
        "clip_sha256": "0",
        "codec": "x264 medium",
        "string": key,
        "version": "av",
        "point": 30.0,
        "conditions": {},
        "width": 64,
        "height": 48,
        "bit_depth": 8,
        "frame_rate": 25.0,
        "frames": 4,
        "bytes": 100,
        "bpp": 0.1,
        "kbps": 5,
        "metrics": {"psnr": 30.0, "vmaf": None},
        "missing": {},
        "encode_seconds": 1.0,
        "decode_seconds": 1.0,
        "encode_fps": 4.0,
        "decode_fps": None,
        "peak_bytes": None,
        **changes,
    }


def without(name: str) -> Row:
    whole = row("a")
    del whole[name]
    return whole


def lines(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "end", [b"", b'{"key":"b","cl', b'{"key":"\xff"}', b'{"key":"b"}\n', b"[]\n", b"\xff\n", b"\n"]
)
def test_nothing_is_lost_behind_a_damaged_line(tmp_path: Path, end: bytes) -> None:
    whole = json.dumps(row("a")).encode() + b"\n"
    (tmp_path / "results.jsonl").write_bytes(whole + end if end else whole[:-1])
    results = Results(tmp_path)
    assert results.finished("a") == row("a")
    assert results.finished("b") is None
    results.add(row("b"))
    results.add(row("c"))
    assert lines(tmp_path) == [row("a"), row("b"), row("c")]


@pytest.mark.parametrize(
    "bad", [{}, {"key": "a"}, [], without("clip"), row("a", bytes="many"), row("a", metrics={"psnr": "good"})]
)
def test_what_is_no_row_is_not_used(tmp_path: Path, bad: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps(bad))
    (tmp_path / "results.jsonl").write_text(json.dumps(bad) + "\n")
    assert Cache(tmp_path).load("a") is None
    assert Results(tmp_path).finished("a") is None


@pytest.mark.parametrize("data", [b"", b"\xff", b"{", json.dumps(row("b")).encode()])
def test_damaged_files_of_the_cache_are_not_used(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    assert Cache(tmp_path).load("a") is None
    Cache(tmp_path).store("a", row("a"))
    assert Cache(tmp_path).load("a") == row("a")


def test_clips_of_equal_content_have_their_own_rows(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for name in ("street", "copy", "street"):
        results.add(row("a", clip=name))
    assert [each["clip"] for each in lines(tmp_path)] == ["street", "copy"]
    results.add(row("a", codec="x264 other"))
    assert [each["codec"] for each in lines(tmp_path)] == ["x264 medium", "x264 other"]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    folder = tmp_path / "report"
    with locked(folder):
        with pytest.raises(OutputError, match="another run writes into this folder"), locked(folder):
            pass
        with locked(tmp_path / "other"):
            pass
    with locked(folder):
        pass


def test_folders_that_cannot_be_written_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "report"
    with pytest.raises(OutputError, match=r"file/report: Not a directory\.$"):
        Results(folder)
    with pytest.raises(OutputError, match=r"file/report: Not a directory\.$"), locked(folder):
        pass

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    results = Results(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"results\.jsonl: No space left on device\.$"):
        results.add(row("a"))
