"""Rate control while an encode runs: sources that are read once, and long ones of which only samples are known."""

import copy
import io
import itertools
import json
import math
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lvc
from lvc.cli import main
from lvc.compute import crew_of, processes
from lvc.container import BETWEEN, INTRA, PREDICTED, FrameRecord, Gop, GopChunk, Reader, Step, coding_order
from lvc.encoder import EncoderSettings, aiming, encode_stream, search
from lvc.encoder.rate import FILE_BYTES, FRAME_BYTES, GROUP_BYTES, SLOPE, Aim, Pace, RateControl
from lvc.encoder.settings import INTRA_BONUS, STILL_BONUS, quality_bonus
from lvc.errors import InputError
from lvc.passes import passes_for
from lvc.progress import Progress
from lvc.video import Frame
from tests.between import always_between
from tests.clips import clip_frames, clip_info, make_clip
from tests.models import tiny_bytes, tiny_model

SECONDS = 12
FPS = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 12 seconds with cuts, and a model."""
    folder = tmp_path_factory.mktemp("rate")
    (folder / "tiny.lvcm").write_bytes(tiny_bytes())
    make_clip(folder / "in.y4m", "mix", width=32, height=32, frames=SECONDS * FPS, fps=Fraction(FPS))
    return folder


def run(folder: Path, source: str, *arguments: object) -> Result:
    fixed = ["--model", folder / "tiny.lvcm", "--device", "cpu", "--preset", "fast", "-y", "--json", "--no-verify"]
    ends = ["-" if source == "-" else folder / source, folder / "out.lvc"]
    data = (folder / "in.y4m").read_bytes() if source == "-" else None
    return CliRunner().invoke(main, ["encode", *(str(argument) for argument in (*ends, *fixed, *arguments))], data)


def rate_of(folder: Path) -> float:
    return 8 * (folder / "out.lvc").stat().st_size / SECONDS


def qualities(data: bytes) -> list[int]:
    """Of all pictures, without what they are finer for their place in the group."""
    groups = (item.gop.frames for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk))
    return [
        frames[step.position].quality - quality_bonus(step, frames[step.position].quality)
        for frames in groups
        for step in sorted(coding_order([frame.kind for frame in frames]))
    ]


# The controller, with a codec of one formula


def coded(quality: float, step: Step, pts: int, dearness: float) -> FrameRecord:
    whole = math.floor(quality + (0.5 + pts * 0.618) % 1)
    whole += quality_bonus(step, whole)
    kind = INTRA if step.first is None else BETWEEN if step.depth else PREDICTED
    size = round(dearness * (5300 if kind == INTRA else 1000) * math.exp(SLOPE * 0.9 * (whole - 50))) - FRAME_BYTES
    return FrameRecord(pts, 1, kind, min(100, whole), 0, bytes(max(1, size)))


def spent(aim: Aim, frames: int, group: int, dearness: Callable[[int], float], run: int = 1) -> float:
    """Bits of a source at 25 frames per second, coded group by group; ``dearness`` gives that of a frame.

    Args:
        run: frames from anchor to anchor, of one quality.
    """
    control = RateControl(aim, clip_info(32, 32, frames))
    waiting: list[Gop] = []
    bits = 0.0
    for begin in range(0, frames, group):
        if len(waiting) == aim.delay:
            control.add([waiting.pop(0)])
        state = control.start(begin)
        count = min(group, frames - begin)
        kinds = [PREDICTED if n % run == 0 or n == count - 1 else BETWEEN for n in range(count)]
        steps = sorted(coding_order([INTRA, *kinds[1:]]))
        records: list[FrameRecord] = []
        quality = 0.0
        for step in steps:
            pts = begin + step.position
            if step.position == 0 or steps[step.position - 1].depth == 0:
                quality = state.pace.quality(state.seconds(pts))
                assert 1 <= quality <= aim.most
            records.append(coded(quality, step, pts, dearness(pts)))
            bits += 8 * (len(records[-1].payload) + FRAME_BYTES)
            if step.depth == 0:  # known when the run is complete
                last = max((n for n in range(step.position) if steps[n].depth == 0), default=-1)
                for other in steps[last + 1 : step.position + 1]:
                    state.pace.add(records[other.position], other)
        waiting.append(Gop(tuple(records)))
    return bits


@pytest.mark.parametrize("run", [1, 8])
@pytest.mark.parametrize("start", [45, 55, 70])
@pytest.mark.parametrize("frames", [250, 300, 420, 2000])
def test_a_rate_is_met_whatever_follows(start: float, frames: int, run: int) -> None:
    noise = random.Random(frames)
    levels = [noise.uniform(0.8, 1.25) for _ in range(frames)]
    found = spent(Aim(start, 100, 300_000), frames, 100, levels.__getitem__, run)
    assert found == pytest.approx(300_000 * frames / 25, rel=0.03)


@pytest.mark.parametrize("run", [1, 8])
@pytest.mark.parametrize("delay", [1, 4, 8])
@pytest.mark.parametrize("bias", [0.85, 1.0, 1.2])
def test_a_plan_is_kept_where_it_was_wrong(delay: int, bias: float, run: int) -> None:
    """The second half is twice as dear, which the plan knows, and all of it is dearer or cheaper than planned."""
    frames = 25 * 64 * 2
    total = 300_000.0 * frames / 25
    plan = ((0.0, 0.0), (64.0, total / 3), (128.0, total))
    start = 50 + math.log(200 / (200 + 200) * 300_000 / 25 / 8 / 700) / SLOPE
    aim = Aim(start, 100, 300_000, plan, delay)
    found = spent(aim, frames, 50, lambda pts: bias * (2.0 if pts >= frames // 2 else 1.0), run)
    assert found == pytest.approx(total, rel=0.03)


def test_a_plan_between_its_points() -> None:
    aim = Aim(50, 100, 1000, ((0.0, 0.0), (1.0, 500.0), (3.0, 4500.0)))
    assert [aim.bits_until(time) for time in (-1, 0, 0.5, 1, 2, 3, 9)] == [0, 0, 250, 500, 2500, 4500, 4500]
    assert Aim(50, 100, 1000).bits_until(2.5) == 2500


def test_bits_of_an_intra_picture_are_held_until_the_next_one() -> None:
    """How much finer it was meant to be than the rest, and what that is worth, the next picture's quality tells."""
    aim = Aim(50, 100, 300_000)
    intra = FrameRecord(0, 1, INTRA, 77, 0, bytes(9_000))
    other = FrameRecord(1, 1, PREDICTED, 48, 0, bytes(900))
    step = Step(1, 0)
    pace = Pace(aim, clip_info(32, 32, 2))
    pace.add(intra, Step(0))
    assert pace._spent == 8 * (FILE_BYTES + 9_000 + FRAME_BYTES + GROUP_BYTES)
    assert pace._cost == 0
    pace.add(other, step)
    both = 8 * (9_000 + 900 + 2 * FRAME_BYTES + GROUP_BYTES)
    assert pace._spent == 8 * FILE_BYTES + both
    plain = 48 - quality_bonus(step, 48)
    assert pace._cost == pytest.approx(both * math.exp(SLOPE * (50 - plain)))
    pace.add(other, step)  # nothing is left
    extra = 8 * (900 + FRAME_BYTES)
    assert pace._cost == pytest.approx((both + extra) * math.exp(SLOPE * (50 - plain)))
    assert pace._spent == 8 * FILE_BYTES + both + extra
    # the anchor that ends a group is not meant to be finer
    last = Step(8, 0)
    assert quality_bonus(last, 48) > quality_bonus(last, 48, ends=True) == 0
    for ends in (False, True):
        ending = Pace(aim, clip_info(32, 32, 2))
        ending.add(other, last, ends)
        plain_last = 48 - quality_bonus(last, 48, ends=ends)
        bits = 8 * (900 + FRAME_BYTES)
        assert ending._cost == pytest.approx(bits * math.exp(SLOPE * (50 - plain_last)))
    # whatever quality the intra picture had
    twin = Pace(aim, clip_info(32, 32, 2))
    twin.add(replace(intra, quality=59), Step(0))
    twin.add(other, step)
    twin.add(other, step)
    assert (twin._cost, twin._spent) == (pace._cost, pace._spent)


def test_groups_of_one_picture_count_with_the_next() -> None:
    """None is lost and none counts twice where intra pictures follow each other; copies hold what they held."""
    aim = Aim(50, 100, 300_000)
    sizes = [1_000, 3_000, 2_000, 4_000, 500]
    pace = Pace(aim, clip_info(32, 32, 5))
    for number, size in enumerate(sizes):
        pace.add(FrameRecord(number, 1, INTRA, 50 + INTRA_BONUS, 0, bytes(size)), Step(0))
        counted = sizes[: (number + 1) // 2 * 2]
        assert pace._cost == pytest.approx(8 * (sum(counted) + len(counted) * (FRAME_BYTES + GROUP_BYTES)))
        pace = pickle.loads(pickle.dumps(copy.copy(pace)))
    assert pace._held == 8 * (500 + FRAME_BYTES + GROUP_BYTES)
    assert pace._spent == 8 * (FILE_BYTES + sum(sizes) + 5 * (FRAME_BYTES + GROUP_BYTES))


# Sources that are read once


@pytest.fixture(scope="module")
def once(folder: Path) -> bytes:
    """The clip from a pipe, at 15 kbit/s."""
    result = run(folder, "-", "--bitrate", "15k", "--keyint", 16)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["frames"] == SECONDS * FPS
    return (folder / "out.lvc").read_bytes()


def test_the_rate_of_a_pipe(once: bytes) -> None:
    assert 8 * len(once) / SECONDS == pytest.approx(15_000, rel=0.03)
    assert len(set(qualities(once))) > 1


def test_an_interrupted_pass_goes_on_with_the_same_qualities(folder: Path, once: bytes, tmp_path: Path) -> None:
    options = {"model": folder / "tiny.lvcm", "device": "cpu", "preset": "fast", "keyint": 16, "passes": 1}
    options |= {"target": search.Target(bitrate=15_000), "verify": False, "resume": True}

    def stop(progress: Progress) -> None:
        if progress.frames == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lvc.encode(folder / "in.y4m", tmp_path / "out.lvc", progress=stop, **options)
    lvc.encode(folder / "in.y4m", tmp_path / "out.lvc", **options)
    assert (tmp_path / "out.lvc").read_bytes() == once


def test_the_rate_of_a_pipe_with_pictures_between(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Met as without, and an interrupted pass goes on with the same qualities."""
    always_between(monkeypatch)
    options = {"model": folder / "tiny.lvcm", "device": "cpu", "preset": "fast", "keyint": 16, "passes": 1}
    options |= {"target": search.Target(bitrate=15_000), "verify": False, "resume": True}
    lvc.encode(folder / "in.y4m", folder / "between.lvc", **options)
    data = (folder / "between.lvc").read_bytes()
    assert 8 * len(data) / SECONDS == pytest.approx(15_000, rel=0.03)
    kinds = [
        [frame.kind for frame in item.gop.frames] for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk)
    ]
    assert sum(row.count(BETWEEN) for row in kinds) > SECONDS * FPS / 2

    def stop(progress: Progress) -> None:
        if progress.frames >= 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lvc.encode(folder / "in.y4m", folder / "again.lvc", progress=stop, **options)
    lvc.encode(folder / "in.y4m", folder / "again.lvc", **options)
    assert (folder / "again.lvc").read_bytes() == data


def test_the_highest_rate_of_a_pipe(folder: Path) -> None:
    assert run(folder, "-", "-q", 60, "--max-bitrate", "8k").exit_code == 0
    assert rate_of(folder) <= 8_240
    assert max(qualities((folder / "out.lvc").read_bytes())) <= 60
    assert run(folder, "-", "-q", 20, "--max-bitrate", "5M", "--frames", 12).exit_code == 0
    assert set(qualities((folder / "out.lvc").read_bytes())) == {20}


def test_key_pictures_that_nothing_foretold(folder: Path) -> None:
    """After a second of one grey, at the finest quality by then, comes a picture of noise."""
    grey = [
        replace(frame, planes=[plane * 0 + 128 for plane in frame.planes]) for frame in clip_frames("pan", 48, 48, 36)
    ]
    noise = [replace(frame, pts=36 + frame.pts) for frame in clip_frames("noise", 48, 48, 30)]

    class Clip:
        info = clip_info(48, 48, 66)

        def __iter__(self):
            return iter([*grey, *noise])

        def take_side(self):
            return None

    sink = io.BytesIO()
    aim = Aim(80, 100, 8_000)
    encode_stream(Clip(), sink, model=tiny_model(), settings=EncoderSettings(preset="fast"), rate=aim)
    groups = [item.gop for item in Reader(io.BytesIO(sink.getvalue())) if isinstance(item, GopChunk)]
    assert len(groups[1].frames[0].payload) * 8 <= 1.5 * 8_000


def test_key_pictures_that_are_too_dear_at_any_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    """Still noise at a rate that no picture of it meets: the coarsest one is taken, fine as still pictures are."""
    noise = np.random.default_rng(1)
    planes = [noise.integers(0, 256, (side, side)).astype(np.uint16) for side in (64, 32, 32)]

    class Clip:
        info = clip_info(64, 64, 6)

        def __iter__(self):
            return iter([Frame(planes, pts, 1) for pts in range(6)])

        def take_side(self):
            return None

    original, calls = Pace.is_too_dear, itertools.count(1)

    def counted(self: Pace, record: FrameRecord) -> bool:
        assert next(calls) <= 20, "it is coded again and again"
        return original(self, record)

    monkeypatch.setattr(Pace, "is_too_dear", counted)
    sink = io.BytesIO()
    encode_stream(Clip(), sink, model=tiny_model(), settings=EncoderSettings(preset="fast"), rate=Aim(60, 100, 1_000))
    (group,) = (item.gop for item in Reader(io.BytesIO(sink.getvalue())) if isinstance(item, GopChunk))
    assert group.frames[0].quality <= 1 + INTRA_BONUS + STILL_BONUS


# Long files


@pytest.fixture
def long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clip counts as a long one, of which a third is sampled."""
    monkeypatch.setattr(search, "WHOLE_FRAMES", 50)
    monkeypatch.setattr(search, "WINDOWS", 2)
    monkeypatch.setattr(search, "WINDOW_FRAMES", 8)
    return folder


@pytest.mark.parametrize("option", ["--target-size", "--max-bitrate"])
def test_long_files(long: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    wanted = 18_000 if option == "--target-size" else 12_000
    monkeypatch.setattr(aiming, "GROUPS_PER_DELAY", 4)
    aims: list[Aim] = []
    original = aiming.aim_with_samples

    def noted(*arguments: object):
        found = original(*arguments)  # type: ignore[arg-type]
        aims.append(found[1])
        return found

    monkeypatch.setattr(aiming, "aim_with_samples", noted)
    quality = [] if option == "--target-size" else ["-q", 60]
    result = run(long, "in.y4m", option, wanted, *quality, "--keyint", 10)
    assert result.exit_code == 0, result.output
    found = (long / "out.lvc").stat().st_size if option == "--target-size" else rate_of(long)
    assert found == pytest.approx(wanted, rel=0.03)
    assert aims[0].delay == 2
    assert aims[0].plan[-1] == pytest.approx((SECONDS, wanted * (8 if option == "--target-size" else SECONDS)))


def test_long_files_have_the_same_bytes_for_any_number_of_processes(long: Path) -> None:
    info = clip_info(32, 32, 36)
    frames = list(clip_frames("mix", 32, 32, 36))

    class Clip:
        def __init__(self):
            self.info = info

        def __iter__(self):
            return iter(frames)

        def take_side(self):
            return None

    aim = Aim(50, 100, 60_000, ((0.0, 0.0), (36 / 25, 60_000 * 36 / 25)), delay=2)
    files = []
    for workers in (1, 2):
        sink = io.BytesIO()
        settings = EncoderSettings(keyint=6, preset="fast")
        with processes(workers, 1, "lvc.encoder.stretch") as started:
            crew = crew_of(started, workers, long / "tiny.lvcm", 1)
            encode_stream(Clip(), sink, model=tiny_model(), settings=settings, rate=aim, crew=crew)
        files.append(sink.getvalue())
    assert files[0] == files[1]
    assert len(set(qualities(files[0]))) > 2


# Usage


def test_passes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert passes_for(tmp_path / "file", None, rate_only=True, workers=2) == 2
    assert passes_for("-", None, rate_only=True, workers=1) == 1
    assert passes_for(io.BytesIO(), 1, rate_only=True, workers=1) == 1
    for wanted, rate_only in ((2, True), (None, False)):
        with pytest.raises(InputError, match="when the input is a file"):
            passes_for("-", wanted, rate_only=rate_only, workers=1)
    for wanted, rate_only, workers in ((1, False, 1), (1, True, 2), (3, True, 1)):
        with pytest.raises(ValueError, match=r"one|pass"):
            passes_for(tmp_path / "file", wanted, rate_only=rate_only, workers=workers)


@pytest.mark.parametrize(
    "options", [("--target-size", 4000), ("--target-psnr", 40), ("--bitrate", "20k", "--workers", 2)]
)
def test_a_missing_file_is_named(folder: Path, options: tuple[object, ...]) -> None:
    result = run(folder, "none.mkv", *options)
    assert result.exit_code == 3
    assert "none.mkv: No such file" in result.stderr


def test_wrong_usage(folder: Path) -> None:
    assert run(folder, "in.y4m", "--passes", 1).exit_code == 2
    result = run(folder, "-", "--bitrate", "20k", "--workers", 2)
    assert result.exit_code == 2
    assert "one process alone" in result.stderr
    assert run(folder, "in.y4m", "--target-size", 4000, "--passes", 1).exit_code == 2
    for option in ("--target-size", "--target-psnr"):
        result = run(folder, "-", option, 40)
        assert result.exit_code == 3
        assert "when the input is a file" in result.stderr
