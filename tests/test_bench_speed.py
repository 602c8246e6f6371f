"""``lvc bench --speed``: turns, what is left out, and what an interrupt leaves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lvc.bench import speed
from lvc.bench.speed import ROUNDS, _Timing, _Turn, plan_speed
from lvc.cli import main
from lvc.errors import InputError, LvcError
from lvc.media import VideoReader, VideoWriter
from lvc.media.scaling import scaled, scaled_info
from tests.clips import clip_frames, clip_info

FRAMES = 4
SIZES = {"small": (96, 64), "large": (128, 96)}


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(speed, "SIZES", SIZES)
    path = tmp_path / "pan.y4m"
    with VideoWriter(path, clip_info(64, 48, FRAMES), format="y4m") as writer:
        for frame in clip_frames("pan", 64, 48, FRAMES):
            writer.write(frame)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", "--speed", *map(str, arguments)])


def rows_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "speed.jsonl").read_text().splitlines()]


def pretend(monkeypatch: pytest.MonkeyPatch, answer: Callable[[_Turn], object]) -> list[_Turn]:
    """Answer in place of the processes that measure; the turns that were had."""
    turns: list[_Turn] = []

    def isolated(function: Callable[..., object], turn: _Turn, *_: object) -> object:
        if function is speed._profile:
            return {"encode_stages": {"networks": 2.5}, "encode_macs": 1000.0}
        turns.append(turn)
        return answer(turn)

    monkeypatch.setattr(speed, "_isolated", isolated)
    return turns


def test_scaling(clip: Path) -> None:
    with VideoReader(clip) as reader:
        frames = [scaled(frame, reader.info, 32, 24) for frame in reader]
        assert scaled_info(reader.info, 32, 24).width == 32
    assert [plane.shape for plane in frames[0].planes] == [(24, 32), (12, 16), (12, 16)]
    assert len(frames) == FRAMES


def test_peers_and_ours(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SIZES", {"tiny": (96, 64)})
    codecs = ["-c", "x264"]
    ours = bool(list(Path(__file__).parent.parent.glob("models/*.lvcm")))
    codecs += ["-c", "lvc:preset=fast"] if ours else []
    result = run(clip, *codecs, "--frames", 3, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "speed: the first 3 frames of pan.y4m" in result.stderr
    rows = rows_in(tmp_path / "report")
    assert {row["codec"] for row in rows} == {"x264 medium", *(["lvc fast"] if ours else [])}
    for row in rows:
        assert row["encode_fps"] > 0
        assert row["decode_fps"] > 0
        if row["codec"] != "x264 medium":
            assert row["encode_macs"] > row["decode_macs"] > 1000
            assert row["encode_stages"]["networks"] > 0


def test_codecs_take_turns_and_the_faster_time_counts(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(1, 100))
    turns = pretend(monkeypatch, lambda _: _Timing(1000, next(seconds), 0.5, 1 << 20, 1 << 20))
    result = run(clip, "-c", "x264", "-c", "lvc", "--device", "cpu", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert [(turn.size, turn.spec.codec) for turn in turns] == [
        (size, codec) for size in SIZES for _ in range(ROUNDS) for codec in ("x264", "lvc")
    ]
    rows = rows_in(tmp_path)
    assert [row["encode_fps"] for row in rows] == [FRAMES / 1, FRAMES / 2, FRAMES / 5, FRAMES / 6]
    assert [row["encode_macs"] for row in rows] == [None, 1000, None, 1000]
    assert "small lvc medium cpu encode, ms per frame: networks 2.5" in result.stdout


def test_what_fails_is_named_and_the_rest_goes_on(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(turn: _Turn) -> object:
        fails = turn.spec.codec == "x265" and turn.size == "large"
        return LvcError("x265 fails") if fails else _Timing(1000, 1.0, 0.5, None, None)

    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no video")
    turns = pretend(monkeypatch, answer)
    codecs = [option for name in ("x266", "x264", "x265", "lvc:ablate=scalar") for option in ("-c", name)]
    result = run(tmp_path / "gone", broken, clip, *codecs, "-o", tmp_path / "report")
    assert result.exit_code == 1
    for word in ("gone", "broken.mkv", "x266", "without scalar", "large x265 medium cpu: x265 fails", "5 left out"):
        assert word in result.stderr
    assert "x265 fails" in result.stdout
    assert [row["error"] for row in rows_in(tmp_path / "report")] == [None, None, None, "x265 fails"]
    assert len(turns) == len(SIZES) * 2 * ROUNDS - 1  # who has failed has no other turn


def test_one_clip_is_measured_and_the_user_is_told(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, lambda _: _Timing(1000, 1.0, 0.5, None, None))
    other = tmp_path / "other.y4m"
    other.write_bytes(clip.read_bytes())
    result = run(clip, other, "-c", "x264", "--frames", "all", "--threads", "all", "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "speed: all frames of pan.y4m" in result.stderr
    assert "all threads" in result.stderr
    assert "note: speed is measured on one clip, the first of 2" in result.stderr
    assert [(row["clip"], row["frames"], row["threads"]) for row in rows_in(tmp_path / "report")] == [
        ("pan.y4m", FRAMES, 0)
    ] * len(SIZES)


def test_ctrl_c_keeps_the_sizes_that_are_done(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(turn: _Turn) -> object:
        if turn.size == last:
            raise KeyboardInterrupt
        return _Timing(1000, 1.0, 0.5, None, None)

    pretend(monkeypatch, answer)
    last = "large"
    result = run(clip, "-c", "x264", "-c", "x265", "-o", tmp_path)
    assert result.exit_code == 130
    assert "x265 medium" in result.stdout
    assert [row["size"] for row in rows_in(tmp_path)] == ["small", "small"]
    last = "small"
    assert run(clip, "-c", "x264", "-o", tmp_path).exit_code == 130
    assert len(rows_in(tmp_path)) == 2


@pytest.mark.parametrize("options", ["--conditions ctc", "--ablate scalar", "--anchor x264", "--frame 3", "--jobs 2"])
def test_options_that_say_nothing_about_speed_are_refused(clip: Path, tmp_path: Path, options: str) -> None:
    result = run(clip, *options.split(), "-o", tmp_path / "report")
    assert result.exit_code == 2
    assert f"{options.split(maxsplit=1)[0]} does not go with --speed" in result.stderr


def test_devices_and_frames_by_size(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr(speed, "SIZES", {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)})
    plans = {device: plan_speed([clip], ["lvc", "x264"], 1, 100, device) for device in ("auto", "cpu", "cuda")}
    assert {name: [turn.device for turn in plan.turns("360p")] for name, plan in plans.items()} == {
        "auto": ["cpu", "cuda", "cpu"],
        "cpu": ["cpu", "cpu"],
        "cuda": ["cuda", "cpu"],
    }
    assert [plans["cpu"].frames_at(size) for size in speed.SIZES] == [100, 25, 11]
    assert [plan_speed([clip], ["x264"], 1, 20).frames_at(size) for size in speed.SIZES] == [20, 9, 9]
    assert plan_speed([clip], ["x264"], 1, None).frames_at("1080p") is None


def test_nothing_to_measure(clip: Path, tmp_path: Path) -> None:
    for clips, codecs in (([tmp_path / "gone"], ["x264"]), ([clip], ["x266"]), ([clip], ["lvc:ablate=scalar"])):
        with pytest.raises(InputError, match="nothing to measure: "):
            plan_speed(clips, codecs, 1, 32)
        status = 2 if codecs == ["x266"] else 3  # the other strings are right
        assert run(*clips, "-c", *codecs, "-o", tmp_path / "report").exit_code == status
