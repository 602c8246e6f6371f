"""Clips whose frames are kept while their points are measured."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lvc.bench import kept
from lvc.bench.cache import Cache
from lvc.bench.clips import Clip
from lvc.bench.kept import KeptClips
from lvc.scratch import PREFIX
from tests.clips import make_clip
from tests.test_bench_run import run


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("clips") / "odd.mkv"
    make_clip(path, "mix", width=65, height=49, frames=4, lossless=True)
    return Clip(path, 4)


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def files(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.glob(f"{PREFIX}*/*") if path.name != "lock"]


def test_the_frames_are_the_same(clip: Clip) -> None:
    with KeptClips([clip] * 2) as clips:
        found = clips.of(clip)
        assert found.kept is not None
        for a, b in zip(clip.read(), found.read(), strict=True):
            assert (a.pts, a.duration) == (b.pts, b.duration)
            for first, second in zip(a.planes, b.planes, strict=True):
                assert first.dtype == second.dtype
                assert np.array_equal(first, second)


def test_they_are_kept_from_the_first_point_to_the_last(clip: Clip, tmp_path: Path) -> None:
    with KeptClips([clip] * 3) as clips:
        assert not files(tmp_path)
        first = clips.of(clip)
        assert clips.of(clip) is first
        assert len(files(tmp_path)) == 1
        clips.done(clip)
        clips.done(clip)
        assert len(files(tmp_path)) == 1
        clips.done(clip)
        assert not files(tmp_path)
        clips.of(Clip(clip.path, 2))
    assert not list(tmp_path.glob(f"{PREFIX}*"))


@pytest.mark.parametrize("why", ["one point", "too long", "little room", "no room", "no folder", "damaged"])
def test_what_cannot_be_kept_is_decoded_each_time(
    why: str, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "too long":
        monkeypatch.setattr(kept, "MOST_BYTES", 64 * 48 * 6 - 1)
    if why == "little room":
        usage = shutil.disk_usage(tmp_path)._replace(free=4 * 64 * 48 * 6 - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    if why == "no room":

        def full(path: Path, *_: object) -> int:
            path.write_bytes(b"something")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(kept, "write_frames", full)
    if why == "no folder":
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    if why == "damaged":
        damaged = Clip(tmp_path / "damaged.mkv", 4)
        shutil.copy(clip.path, damaged.path)
        assert damaged.info == clip.info
        assert damaged.sha256 == clip.sha256
        damaged.path.write_bytes(clip.path.read_bytes()[:100])
        clip = damaged
    with KeptClips([clip] * (1 if why == "one point" else 2)) as clips:
        assert clips.of(clip) is clip
        clips.done(clip)
        assert not files(tmp_path)


@pytest.mark.parametrize("jobs", [1, 2])
def test_rows_are_the_same(jobs: int, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a second clip follows and points are left out, and nothing stays."""
    codecs = ["x264:crf=20,40", "x265:crf=30"]
    make_clip(tmp_path / "other.mkv", "zoom", width=64, height=48, frames=4, lossless=True)
    other = Clip(tmp_path / "other.mkv", 4)
    reads: list[Clip] = []
    read = Clip.read
    monkeypatch.setattr(Clip, "read", lambda self: reads.append(self) or read(self))
    rows, _, _ = run([clip, other], codecs, tmp_path / "a", Cache(None), jobs)
    assert reads == [clip, other]
    assert not list(tmp_path.glob(f"{PREFIX}*"))
    monkeypatch.setattr(kept, "MOST_BYTES", 0)
    again, _, _ = run([clip, other], codecs, tmp_path / "b", Cache(None))
    assert len(rows) == len(again) == 6
    told = [
        sorted((row["clip"], row["string"], row["bytes"], row["metrics"]["psnr"]) for row in some)
        for some in (rows, again)
    ]
    assert told[0] == told[1]
