"""``scripts/update_benchmark.py`` on a tiny clip: README.md gets the rows of this run and no others."""

import json
import sys
from pathlib import Path

import pytest

from lvc.bench.plots import can_plot
from scripts import update_benchmark
from tests.clips import make_clip

README = f"before\n{update_benchmark.START}\nold\n{update_benchmark.END}\nafter\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not can_plot():
        pytest.skip("matplotlib is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(update_benchmark, "ROOT", tmp_path)
    monkeypatch.setattr(
        update_benchmark, "CODECS", ("x265:preset=ultrafast:crf=20,30", "x264", "vp9:preset=8:crf=30,60")
    )
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / "here.mkv", width=64, height=48, frames=3, lossless=True)
    return tmp_path


def update(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["update_benchmark.py", str(folder / "clips"), "--report", str(folder / "report")])
    update_benchmark.main(standalone_mode=False)


def test_only_rows_of_this_run_are_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update(folder, monkeypatch)
    first = (folder / "README.md").read_text("utf-8")
    assert first.startswith("before\n")
    assert first.endswith("after\n")
    assert "old" not in first
    assert "| here |" in first
    command = f"`lvc bench {folder / 'clips'} -c x265:preset=ultrafast:crf=20,30 -c x264 -c vp9:preset=8:crf=30,60 "
    assert f"{command}--frames 32 --anchor x264 --jobs 1 -o {folder / 'report'}`" in first
    assert (folder / update_benchmark.PICTURE).is_file()
    results = folder / "report" / "results.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    others = [
        {**rows[0], "key": "gone", "clip": "gone", "clip_sha256": "0"},
        {**rows[0], "key": "all threads", "bpp": 9.0, "conditions": {**rows[0]["conditions"], "threads": 0}},
        {**rows[0], "key": "another point", "bpp": 9.0, "point": 10, "string": "x265:preset=ultrafast:crf=10"},
    ]
    results.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *others]))
    update(folder, monkeypatch)
    assert (folder / "README.md").read_text("utf-8") == first


def test_a_failure_leaves_readme_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "clips" / "broken.mkv").write_bytes(b"no video")
    with pytest.raises(SystemExit, match=r"broken\.mkv"):
        update(folder, monkeypatch)
    assert (folder / "README.md").read_text() == README
