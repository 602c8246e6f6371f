"""Runs of a benchmark: every point once, nothing lost, failures named."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

import lvc
from lvc.bench import speed
from lvc.bench.cache import Cache, Row
from lvc.bench.clips import Clip, find_clips
from lvc.bench.codecs import parse_codec
from lvc.bench.measure import Conditions, measure, row_key
from lvc.bench.ours import OurStream
from lvc.bench.results import Results
from lvc.bench.run import make_plan, run_plan
from lvc.bench.stages import OTHER, STAGES, macs, stage_seconds
from lvc.bench.workers import CrashError, Workers
from lvc.errors import InputError, LvcError
from lvc.media import VideoReader, VideoWriter, filters, peers
from tests.clips import clip_frames, clip_info, make_clip

T = TypeVar("T")

FRAMES = 4
CONDITIONS = Conditions(frames=FRAMES)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "pan.y4m"
    with VideoWriter(path, clip_info(64, 48, FRAMES), format="y4m") as writer:
        for frame in clip_frames("pan", 64, 48, FRAMES):
            writer.write(frame)
    return path


def run(
    clips: list[Clip], codecs: list[str], folder: Path, cache: Cache, jobs: int = 1
) -> tuple[list[Row], list[str], int]:
    """Rows, failures, and how many points were measured."""
    plan = make_plan(clips, [parse_codec(text) for text in codecs], CONDITIONS)
    started: list[object] = []
    rows = [
        row for _, row in run_plan(plan, CONDITIONS, Results(folder), cache, jobs, started.append) if row is not None
    ]
    return rows, plan.failures, len(started)


def test_an_ablation_changes_nothing_else(tmp_path: Path) -> None:
    """lvc without something that it does not have writes what lvc writes: still scenes and scene cuts are seen, too."""
    if not list(Path(__file__).parent.parent.glob("models/*.lvcm")):
        pytest.skip("there is no model here")
    path = tmp_path / "still.y4m"
    with VideoWriter(path, clip_info(64, 48, 10), format="y4m") as writer:
        for kind in ("static", "cuts"):
            for frame in clip_frames(kind, 64, 48, 10):
                writer.write(frame)
    spec = parse_codec("lvc:preset=fast:quality=60")
    whole, same = (
        OurStream.encode(Clip(path, 20), each, 60, threads=1) for each in (spec, replace(spec, ablate=("nothing",)))
    )
    assert whole.pictures is None
    assert same.data == whole.data
    assert same.pictures is not None
    pairs = list(zip(same.pictures, whole.decode(), strict=True))
    assert all(np.array_equal(a, b) for pair in pairs for a, b in zip(*pair, strict=True))
    assert len(pairs) == 20


def test_a_row_says_what_it_should(clip: Path) -> None:
    row = measure(Clip(clip, FRAMES), parse_codec("x264"), 30, CONDITIONS)
    assert row["frames"] == FRAMES
    assert row["bpp"] == pytest.approx(row["bytes"] * 8 / (FRAMES * 64 * 48))
    assert row["kbps"] == pytest.approx(row["bytes"] * 8 / 1000 / (FRAMES / row["frame_rate"]))
    assert row["metrics"]["psnr"] == pytest.approx(np.mean(row["per_frame"]["psnr"]), abs=1e-4)
    assert len(row["per_frame"]["bytes"]) == FRAMES
    assert sum(row["per_frame"]["bytes"]) == row["bytes"] + row["settings_text_bytes"]
    assert row["metrics"]["ms_ssim"] is None
    for name, value in row["metrics"].items():
        if value is not None and not name.endswith("_db"):  # decibels of a similarity are those of its mean
            assert len(row["per_frame"][name]) == FRAMES
            assert value == pytest.approx(np.mean(row["per_frame"][name]), abs=1e-4)
    assert FRAMES / row["encode_fps"] == pytest.approx(row["encode_seconds"], abs=1e-4)
    assert FRAMES / row["decode_fps"] == pytest.approx(row["decode_seconds"], abs=1e-4)
    assert row["peak_bytes"] > 1 << 20
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize("threads", [0, 1])
def test_threads_reach_every_codec(clip: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    seen: list[Any] = []

    def stop(*arguments: object) -> None:
        seen.append(arguments)
        raise LvcError("enough")

    monkeypatch.setattr(peers, "encode", stop)
    monkeypatch.setattr(OurStream, "encode", stop)
    for codec in ("x264", "lvc"):
        with pytest.raises(LvcError, match="enough"):
            measure(Clip(clip), parse_codec(codec), 30, Conditions(threads=threads))
    (settings, *_), (_, _, _, ours, *_) = seen
    assert (settings.threads, ours) == (threads, threads)


def test_filters_know_the_frame_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "fast.y4m", []
    with VideoWriter(path, clip_info(64, 48, 2, fps=Fraction(60)), format="y4m") as writer:
        for frame in clip_frames("pan", 64, 48, 2):
            writer.write(frame)

    def comparison(*arguments: object) -> filters.Comparison:
        seen.append(arguments)
        raise filters.FilterError("not here")

    monkeypatch.setattr(filters, "Comparison", comparison)
    row = measure(Clip(path), parse_codec("x264"), 30, CONDITIONS)
    assert seen[0] == ("xpsnr", 64, 48, 8, 60)
    assert row["missing"]["xpsnr"] == "not here"


def test_a_picture_too_small_for_xpsnr_has_all_else(tmp_path: Path) -> None:
    if not filters.is_available("xpsnr"):
        pytest.skip("this PyAV build has no xpsnr filter")
    make_clip(tmp_path / "tiny.mkv", width=16, height=16, frames=2, lossless=True)
    ((row,), failures, _) = run([Clip(tmp_path / "tiny.mkv")], ["x264:crf=20"], tmp_path / "report", Cache(None))
    assert failures == []
    assert row["metrics"]["psnr"] > 20
    assert "xpsnr" not in row["metrics"]
    assert "under 2025 samples" in row["missing"]["xpsnr"]


def test_finished_rows_are_not_measured_again(clip: Path, tmp_path: Path) -> None:
    codecs, clips = ["x264:crf=20,40"], [Clip(clip, FRAMES)]
    first, _, count = run(clips, codecs, tmp_path / "a", Cache(None))
    assert count == 2
    again, _, count = run(clips, ["x264:crf=20,30,40"], tmp_path / "a", Cache(None))
    assert count == 1
    assert [row["point"] for row in again] == [20, 30, 40]
    assert [again[0], again[2]] == first


def test_the_cache_serves_other_folders(clip: Path, tmp_path: Path) -> None:
    cache, clips = Cache(tmp_path / "cache"), [Clip(clip, FRAMES)]
    first, _, _ = run(clips, ["x264:crf=30"], tmp_path / "a", cache)
    second, _, count = run(clips, ["x264:crf=30"], tmp_path / "b", cache)
    assert (count, second) == (0, first)
    assert Results(tmp_path / "b").finished(first[0]["key"]) == first[0]


def test_a_torn_line_costs_only_its_row(clip: Path, tmp_path: Path) -> None:
    clips = [Clip(clip, FRAMES)]
    run(clips, ["x264:crf=20,40"], tmp_path, Cache(None))
    path = tmp_path / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    rows, _, count = run(clips, ["x264:crf=20,40"], tmp_path, Cache(None))
    assert (count, len(rows)) == (1, 2)


def test_what_a_row_depends_on_changes_its_key(clip: Path, tmp_path: Path) -> None:
    spec, source = parse_codec("x264"), Clip(clip, FRAMES)
    other = tmp_path / "other.y4m"
    other.write_bytes(clip.read_bytes()[:-1] + b"\0")
    keys = {
        row_key(source, spec, 30, CONDITIONS),
        row_key(source, spec, 31, CONDITIONS),
        row_key(source, parse_codec("x264:preset=slow"), 30, CONDITIONS),
        row_key(source, spec, 30, Conditions(frames=FRAMES, threads=0)),
        row_key(source, spec, 30, Conditions(frames=FRAMES, one_intra=True)),
        row_key(source, spec, 30, Conditions(frames=2)),
        row_key(Clip(other, FRAMES), spec, 30, CONDITIONS),
    }
    assert len(keys) == 7
    for same in (Conditions("ctc", FRAMES), Conditions(frames=FRAMES, device="cuda")):
        assert row_key(source, spec, 30, same) == row_key(source, spec, 30, CONDITIONS)


def test_failures_are_named_and_the_rest_goes_on(clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no video")
    deep = tmp_path / "deep.y4m"
    with VideoWriter(deep, clip_info(64, 48, FRAMES, bit_depth=10), format="y4m") as writer:  # vp9 takes 8 bits only
        for frame in clip_frames("pan", 64, 48, FRAMES, bit_depth=10):
            writer.write(frame)
    clips = [Clip(path, FRAMES) for path in (broken, deep, clip)]
    rows, failures, _ = run(clips, ["vp9:preset=8:crf=20,40", "x264:crf=40"], tmp_path / "report", Cache(None))
    assert [(row["clip"], row["codec"]) for row in rows] == [
        ("deep", "x264 medium"),
        ("pan", "vp9 8"),
        ("pan", "vp9 8"),
        ("pan", "x264 medium"),
    ]
    assert len(failures) == 2
    assert "broken.mkv" in failures[0]
    assert "deep: vp9:preset=8:crf=20" in failures[1]
    stored = [json.loads(line) for line in (tmp_path / "report" / "results.jsonl").read_text().splitlines()]
    assert sum("error" in row for row in stored) == 1


def test_several_at_a_time_give_the_same_rows(clip: Path, tmp_path: Path) -> None:
    clips = [Clip(clip, FRAMES)]
    one, _, _ = run(clips, ["x264:crf=20,40"], tmp_path / "a", Cache(None))
    two, _, _ = run(clips, ["x264:crf=20,40"], tmp_path / "b", Cache(None), jobs=2)
    assert sorted(row["bytes"] for row in two) == sorted(row["bytes"] for row in one)


@pytest.mark.parametrize(("width", "height"), [(65, 48), (64, 49), (67, 51)])
def test_odd_sizes_lose_a_row_or_column(tmp_path: Path, width: int, height: int) -> None:
    """Alike for all codecs: the metrics compare what was coded."""
    make_clip(tmp_path / "odd.mkv", "mix", width=width, height=height, frames=2, lossless=True)
    found, _, _ = run([Clip(tmp_path / "odd.mkv", 2)], ["x264:crf=20"], tmp_path / "report", Cache(None))
    assert [(row["width"], row["height"]) for row in found] == [(width // 2 * 2, height // 2 * 2)]
    with VideoReader(tmp_path / "odd.mkv") as reader:
        for whole, cut in zip(reader, Clip(tmp_path / "odd.mkv").read(), strict=True):
            for a, b in zip(whole.planes, cut.planes, strict=True):
                assert np.array_equal(a[: b.shape[0], : b.shape[1]], b)
            assert [plane.shape for plane in cut.planes] == [(height // 2 * 2, width // 2 * 2)] + 2 * [
                (height // 2, width // 2)
            ]


def test_folders_and_files(clip: Path, tmp_path: Path) -> None:
    assert find_clips([clip.parent, clip]) == [Clip(clip), Clip(clip)]
    with pytest.raises(InputError, match="no such"):
        find_clips([tmp_path / "nothing"])
    with pytest.raises(InputError, match="name too long"):
        find_clips([tmp_path / ("x" * 300)])
    with pytest.raises(InputError, match="no clips"):
        find_clips([tmp_path])


def test_a_process_that_dies_is_an_error_of_its_own() -> None:
    with Workers[str](2, patience=2) as workers:
        workers.start("is stuck", time.sleep, 60)
        workers.start("dies", os._exit, 3)
        workers.start("fails", int, "x")
        workers.start("lives", len, "four")
        answers: dict[str, object] = {}
        while not workers.is_idle:
            answers.update(workers.finished())
    assert answers["lives"] == 4
    assert isinstance(answers["dies"], CrashError)
    assert "status 3" in str(answers["dies"])
    assert "stood still for 2 seconds" in str(answers["is stuck"])
    assert isinstance(answers["fails"], LvcError)
    assert "ValueError" in str(answers["fails"])


def sleep_once(marker: Path) -> str:
    """Get stuck, but only the first time."""
    if not marker.exists():
        marker.touch()
        time.sleep(60)
    return "done"


def test_a_stuck_encoder_is_timed_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Workers[T]):
        def __init__(self, limit: int, preload: Sequence[str]) -> None:
            super().__init__(limit, preload, patience=5)

    monkeypatch.setattr(speed, "Workers", Impatient)
    assert speed._isolated(sleep_once, tmp_path / "marker") == "done"
    assert (tmp_path / "marker").exists()


def test_processes_side_by_side_do_not_fight_over_cores() -> None:
    """Each multiplies its matrices on one thread, unless the user wants otherwise; this process goes on as it was."""
    code = (
        "import os\n"
        "from lvc.bench.workers import Workers\n"
        "with Workers(2) as workers:\n"
        "    workers.start(0, os.getenv, 'OPENBLAS_NUM_THREADS')\n"
        "    print([answer for _, answer in workers.finished()], os.getenv('OPENBLAS_NUM_THREADS'))\n"
    )
    quiet = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    for environment, said in ((quiet, "['1'] None"), (quiet | {"OPENBLAS_NUM_THREADS": "3"}, "['3'] 3")):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == said


def test_stages_are_files_that_there_are() -> None:
    """What has been moved or renamed would count for something else."""
    package = Path(lvc.__file__).parent
    assert [part for parts in STAGES.values() for part in parts if not (package / part).exists()] == []


def test_stages_add_up() -> None:
    from lvc.bench.metrics import ms_ssim

    plane = np.arange(200 * 200, dtype=np.uint16).reshape(200, 200) % 256
    seconds = stage_seconds(lambda: [ms_ssim(plane, plane) for _ in range(5)])
    assert set(seconds) == {*STAGES, OTHER}
    assert seconds["media"] > 0.8 * sum(seconds.values())  # the benchmark itself counts as media


def test_multiplications_of_a_matrix_product() -> None:
    torch = pytest.importorskip("torch")
    assert macs(lambda: torch.ones(2, 3) @ torch.ones(3, 5)) == 2 * 3 * 5
