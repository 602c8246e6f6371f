"""``scripts/check_rates.py`` and ``scripts/check_speed.py`` on a small clip: the lines they print, and their status."""

import re
import sys
from pathlib import Path

import pytest

from lvc.media import VideoReader
from scripts import check_rates, check_speed
from tests.clips import make_clip
from tests.models import tiny_bytes

SIDE, FRAMES = 32, 3
RATE = re.compile(
    r"clip +q *(\d+) +(\d+) bytes +([\d.]+) bpp +([\d.]+) dB  motion +([\d.]+) %  hyper +([\d.]+) %"
    r"  estimate off by ([\d.]+) %"
)
STILL = re.compile(r"clip +q *(\d+) standing still: motion ([\d.]+) bpp")
SPEED = re.compile(rf"{SIDE}x{SIDE}: encode ([\d.]+), decode ([\d.]+) frames/s")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / "clip.y4m", width=SIDE, height=SIDE, frames=FRAMES)
    (tmp_path / "clips" / "clip.txt").write_text("not a clip")
    (tmp_path / "tiny.lvcm").write_bytes(tiny_bytes())
    return tmp_path


def run_rates(folder: Path, qualities: str, monkeypatch: pytest.MonkeyPatch) -> int:
    options = ["--frames", "2", "--preset", "fast", "--model", str(folder / "tiny.lvcm"), "--quality", qualities]
    monkeypatch.setattr(sys, "argv", ["check_rates.py", str(folder / "clips"), *options])
    return check_rates.main()


def test_rates(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check_rates, "MOST_STILL_MOTION", 0.1)  # in so small a picture one byte is more than is allowed
    assert run_rates(folder, "30,70", monkeypatch) == 0
    out, err = capsys.readouterr()
    assert not err
    lines = out.splitlines()
    rows = [match.groups() for match in map(RATE.fullmatch, lines[:2]) if match]
    assert [int(row[0]) for row in rows] == [30, 70]
    sizes, rates, likeness = zip(*((float(row[1]), float(row[2]), float(row[3])) for row in rows), strict=True)
    assert 0 < sizes[0] < sizes[1]
    assert rates == pytest.approx([8 * size / (2 * SIDE * SIDE) for size in sizes], abs=1e-4)
    assert 20 < likeness[0] < likeness[1] < 50
    still = [match.groups() for match in map(STILL.fullmatch, lines[2:4]) if match]
    assert [int(quality) for quality, _ in still] == [30, 70]
    # of one clip, and so of all
    assert lines[4:6] == [f"over all clips, q{row[0]:>3s}: motion {float(row[4]):5.2f} %" for row in rows]
    assert lines[6:] == ["0 failures over 1 clips and 2 qualities"]


def test_rates_that_fail(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check_rates, "LEAST_TOP_PSNR", 100.0)
    monkeypatch.setattr(check_rates, "ESTIMATE_WITHIN", -1.0)
    monkeypatch.setattr(check_rates, "MOTION_SHARE", {50: -1.0, 1: 1.0})
    monkeypatch.setattr(check_rates, "MOST_STILL_MOTION", 0.0)
    assert run_rates(folder, "100,30", monkeypatch) == 1
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "clip at quality 100: estimate is off",
        "clip at quality 100: 45 dB is not reached",
        "clip at quality 30: rate does not rise",
        "clip at quality 30: PSNR does not rise",
        "clip at quality 30: estimate is off",
        "clip at quality 100: motion where nothing moves",
        "clip at quality 30: motion where nothing moves",
        "too much motion at quality 100",
    ]
    assert out.splitlines()[-1] == "8 failures over 1 clips and 2 qualities"


def test_likeness_is_that_of_luma(folder: Path) -> None:
    with VideoReader(folder / "clips" / "clip.y4m") as reader:
        frames = list(reader)
    for frame in frames:
        frame.planes[0].clip(20, 200, out=frame.planes[0])
    others = [type(frame)([frame.planes[0] + 5, *frame.planes[1:]], frame.pts, 1) for frame in frames]
    # twenty times the logarithm of 255 by 5
    assert check_rates.luma_psnr(frames, others, 8) == pytest.approx(34.1514, abs=1e-3)


@pytest.mark.parametrize(
    ("encoding", "decoding", "status"), [(0.0, 0.0, 0), (1e9, 0.0, 1), (0.0, 1e9, 1)], ids=["fast", "encode", "decode"]
)
def test_speed(
    folder: Path,
    encoding: float,
    decoding: float,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the installed model: the script knows no other."""
    monkeypatch.setattr(check_speed, "LEAST_ENCODING", encoding)
    monkeypatch.setattr(check_speed, "LEAST_DECODING", decoding)
    options = ["--frames", "2", "--rounds", "2", "--preset", "fast"]
    monkeypatch.setattr(sys, "argv", ["check_speed.py", str(folder / "clips" / "clip.y4m"), *options])
    with pytest.raises(SystemExit) as ended:
        check_speed.main()
    assert int(ended.value.code or 0) == status
    lines = capsys.readouterr().out.splitlines()
    rounds = [match.groups() for match in map(SPEED.fullmatch, lines) if match]
    assert len(rounds) == len(lines) == 2
    assert all(float(rate) > 0 for rate in rounds[-1])  # the first one may compile
