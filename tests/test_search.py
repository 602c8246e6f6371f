"""Aiming at a size or a likeness: the real file against what was asked for."""

import io
import json
import math
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lvc
from lvc.cli import main
from lvc.encoder import encode_stream, search
from lvc.encoder.aiming import missed
from lvc.encoder.around import Around
from lvc.encoder.group import GroupEncoder
from lvc.encoder.picture import CodedPicture
from lvc.encoder.probe import start_quality
from lvc.encoder.search import Samples, Target, Try, find_quality
from lvc.encoder.settings import EncodeResult, EncoderSettings
from lvc.media import VideoReader
from lvc.media.filters import Comparison
from lvc.model import find_model
from lvc.video import Frame
from tests.clips import clip_info, make_clip
from tests.media_files import Sound, write_media
from tests.models import plain_bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 12 seconds at two frames per second."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "plain.lvcm").write_bytes(plain_bytes())
    make_clip(folder / "in.mkv", "mix", width=48, height=48, frames=24, fps=Fraction(2), lossless=True)
    return folder


def run(folder: Path, source: str, *arguments: object) -> Result:
    fixed = ["--model", folder / "plain.lvcm", "--device", "cpu", "--preset", "fast", "--keyint", 12, "-y", "--json"]
    ends = [folder / source, folder / "out.lvc"]
    return CliRunner().invoke(main, ["encode", *(str(argument) for argument in (*ends, *fixed, *arguments))])


def events(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("kbit", [10, 25])
def test_bit_rates_are_met(folder: Path, kbit: int) -> None:
    found = events(run(folder, "in.mkv", "--bitrate", f"{kbit}k", "--no-verify"))
    assert found[0]["type"] == "try"
    size = (folder / "out.lvc").stat().st_size
    assert 8 * size / 12 == pytest.approx(1000 * kbit, rel=0.03)
    assert found[-1]["bytes"] == size
    assert found[-1]["warnings"] == []


def test_a_rate_below_one_bit_per_second(folder: Path) -> None:
    found = events(run(folder, "in.mkv", "--fps", "1/999999", "--bitrate", "1k", "--no-verify"))
    assert all(event["bits_per_second"] >= 1 for event in found if event["type"] == "try")


def test_sizes_count_the_sound(folder: Path) -> None:
    write_media(folder / "sound.mkv", times=[500 * n for n in range(21)], sounds=[Sound(seconds=10)], size=(48, 48))
    side = events(run(folder, "sound.mkv", "-q", 1))[-1]["parts"]["side"]
    wanted = side + 4000
    assert events(run(folder, "sound.mkv", "--target-size", wanted))[-1]["warnings"] == []
    assert (folder / "out.lvc").stat().st_size == pytest.approx(wanted, rel=0.03)


def test_likeness_is_met(folder: Path) -> None:
    for option, wanted, tolerance in (("psnr", 30.0, 0.1), ("ssim", 0.9, 0.01)):
        found = events(run(folder, "in.mkv", f"--target-{option}", wanted, "--no-verify"))
        assert found[-1]["warnings"] == []
        tries = [event for event in found if event["type"] == "try"]
        best = min(tries, key=lambda event: abs(event[option] - wanted))
        assert best[option] == pytest.approx(wanted, abs=tolerance)
        with (
            VideoReader(folder / "in.mkv") as reader,
            lvc.open(folder / "out.lvc", model=folder / "plain.lvcm", device="cpu") as video,
        ):
            pairs = list(zip(reader, video, strict=True))
        if option == "psnr":
            values = [search._psnr(a.planes, b.planes, 8) for a, b in pairs]
        else:
            compare = Comparison("ssim", 48, 48, 8)
            found = [compare.add(a.planes, b.planes) for a, b in pairs] + compare.finish()
            values = search._ssims(found)
            assert len(values) == len(pairs)
        assert sum(values) / len(values) == pytest.approx(best[option], abs=1e-6)
        assert sum(values) / len(values) == pytest.approx(wanted, abs=tolerance)


def test_the_highest_rate_is_kept(folder: Path) -> None:
    found = events(run(folder, "in.mkv", "-q", 90, "--max-bitrate", "15k"))
    tried = [event["quality"] for event in found if event["type"] == "try"]
    assert tried[0] == 90
    assert len(set(tried)) == len(tried), "none is coded twice"
    assert 8 * (folder / "out.lvc").stat().st_size / 12 <= 15_450
    found = events(run(folder, "in.mkv", "-q", 5, "--max-bitrate", "300k"))
    assert [event["quality"] for event in found if event["type"] == "try"] == [5]


def test_what_is_missed_is_told(folder: Path) -> None:
    write_media(folder / "short.mkv", times=[0, 40, 80, 120], sounds=[Sound(seconds=1)], size=(48, 48))
    for arguments, sentence in (
        (("--bitrate", 100), r"the video has [0-9.]+ kbit/s instead of the 0.1 kbit/s that were wanted"),
        (("--max-bitrate", 100), r"the video has [0-9.]+ kbit/s instead of 0.1 kbit/s at most"),
        (("--bitrate", 100, "--passes", 1), r"the video has [0-9.]+ kbit/s instead of the 0.1 kbit/s .*"),
        (("--target-size", "1M"), r"the file has \d+ bytes instead of the 1000000 that were wanted"),
        (("--target-psnr", 60), r"the PSNR is about [0-9.]+ dB instead of the 60.00 dB that were wanted"),
        (("--target-ssim", 0.9999), r"the SSIM is about 0.\d+ instead of the 0.9999 that was wanted"),
    ):
        found = events(run(folder, "short.mkv", *arguments))
        told = [event["message"] for event in found if event["type"] == "warning"]
        assert len(told) == 1
        assert re.fullmatch(sentence, told[0])
        assert found[-1]["warnings"] == told
    assert found[-1]["media_seconds"] == pytest.approx(0.16)


def test_a_size_that_the_sound_exceeds_is_refused(folder: Path) -> None:
    write_media(folder / "loud.mkv", times=[0, 40], sounds=[Sound(seconds=2)], size=(48, 48))
    result = run(folder, "loud.mkv", "--target-size", 1000)
    assert result.exit_code == 1
    assert "a file of 1000 bytes is not possible: audio and other streams alone" in result.stderr


# Samples


class _Halves:
    """Frames one by one: the first half stands still, the second is noise. Its length may be stated, and wrongly."""

    def __init__(self, frames: int, stated: int | None, size: int = 32) -> None:
        self.info = replace(clip_info(size, size, frames), frames=stated)
        self.count, self.size = frames, size

    def __iter__(self) -> Iterator[Frame]:
        noise = np.random.default_rng(7)
        for n in range(self.count):
            y, u, v = (
                noise.integers(90, 166, (side, side), dtype=np.uint16) * (2 * n >= self.count)
                for side in (self.size, self.size // 2, self.size // 2)
            )
            yield Frame([y, u, v], n, 1)

    def take_side(self) -> bytes | None:
        return None


@pytest.fixture
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WHOLE_FRAMES", 24), ("WINDOWS", 4), ("WINDOW_FRAMES", 3)):
        monkeypatch.setattr(search, name, value)


@pytest.mark.usefixtures("short_samples")
@pytest.mark.parametrize(
    ("frames", "stated", "gap"),
    [
        (120, 120, 30),
        (120, None, 24),
        (120, 24, 24),
        (120, 30, 28),
        (119, 480, 120),
        (25, None, 6),
        (48, None, 6),
        (49, None, 12),
        (1000, None, 192),
    ],
)
def test_samples_are_spread_over_the_whole(tmp_path: Path, frames: int, stated: int | None, gap: int) -> None:
    samples = Samples(_Halves(frames, stated), tmp_path, EncoderSettings(keyint=7))
    assert not samples.is_whole
    assert samples.frames == frames
    times = [[frame.pts for frame in sample] for sample in samples]
    assert times == [list(range(n, min(frames, n + 3))) for n in range(0, frames, gap)]
    assert len(list(tmp_path.iterdir())) == len(times)


@pytest.mark.usefixtures("short_samples")
@pytest.mark.parametrize("stated", [24, None, 10, 1000])
def test_short_sources_are_sampled_whole(tmp_path: Path, stated: int | None) -> None:
    samples = Samples(_Halves(24, stated), tmp_path, EncoderSettings(keyint=7))
    assert samples.is_whole
    assert [frame.pts for sample in samples for frame in sample] == list(range(24))
    assert len(list(samples)) == samples.groups


@pytest.mark.usefixtures("short_samples")
@pytest.mark.parametrize("stated", [None, 20])
def test_a_second_half_of_another_kind_is_foreseen(folder: Path, tmp_path: Path, stated: int | None) -> None:
    settings = EncoderSettings(quality=40, preset="fast", keyint=10)
    source, model, sink = _Halves(120, stated), find_model(str(folder / "plain.lvcm")), io.BytesIO()
    samples = Samples(source, tmp_path, settings)
    tried = samples.code(model, settings.quality, "cpu", psnr=False, ssim=False)
    encode_stream(source, sink, model=model, settings=settings)
    assert tried.bytes == pytest.approx(len(sink.getvalue()), rel=0.25)
    plan = samples.plan(1000)
    assert plan[-1] == (pytest.approx(samples.seconds), pytest.approx(1000))
    half = max(bits for seconds, bits in plan if seconds <= samples.seconds / 2)
    assert half < 100, "the second half costs nearly everything"


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each picture that is taken by a group, whether the scene is known to end with it."""
    seen: list[bool] = []
    encode = GroupEncoder.encode

    def encode_and_note(group: GroupEncoder, frame: Frame, around: Around) -> list[CodedPicture]:
        seen.append(around.ends)
        return encode(group, frame, around)

    monkeypatch.setattr(GroupEncoder, "encode", encode_and_note)
    return seen


@pytest.mark.usefixtures("short_samples")
@pytest.mark.parametrize("frames", [24, 120])
def test_a_scene_goes_on_after_a_sample_of_it(folder: Path, tmp_path: Path, ends: list[bool], frames: int) -> None:
    """Otherwise the last picture of each would be coarser than where it was taken from, and sizes told too small."""
    settings = EncoderSettings(quality=40, preset="fast", keyint=7)
    samples = Samples(_Halves(frames, frames), tmp_path, settings)
    samples.code(find_model(str(folder / "plain.lvcm")), settings.quality, "cpu", psnr=False, ssim=False)
    assert len(ends) == sum(1 for sample in samples for _ in sample)
    assert sum(ends) == (samples.groups if samples.is_whole else 0)


@pytest.mark.usefixtures("short_samples")
@pytest.mark.parametrize(
    ("frames", "psnr", "chooses_order"), [(24, False, True), (120, True, True), (120, False, False)]
)
def test_samples_are_coded_as_the_whole_will_be(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int, psnr: bool, chooses_order: bool
) -> None:
    """Where only parts are sampled for a rate, rate control codes the whole; it does not choose an order beforehand."""
    seen: list[bool] = []

    def noted(*arguments: object, chooses: bool) -> GroupEncoder:
        seen.append(chooses)
        return GroupEncoder(*arguments, chooses=chooses)  # type: ignore[arg-type]

    monkeypatch.setattr(search, "GroupEncoder", noted)
    samples = Samples(_Halves(frames, frames), tmp_path, EncoderSettings(quality=40, preset="fast", keyint=7))
    samples.code(find_model(str(folder / "plain.lvcm")), 40, "cpu", psnr=psnr, ssim=False)
    assert seen == [chooses_order] * len(list(samples))


def test_a_scene_goes_on_after_the_probe(folder: Path, ends: list[bool]) -> None:
    source, settings = _Halves(10, 10), EncoderSettings(quality=40, preset="fast")
    model = find_model(str(folder / "plain.lvcm"))
    start_quality(list(source), source.info, bits_per_second=1e6, settings=settings, model=model, device="cpu")
    assert len(ends) >= 10
    assert not any(ends)


@pytest.mark.parametrize("frames", [200, 700])
def test_samples_hold_one_picture_at_a_time(tmp_path: Path, frames: int) -> None:
    source = _Halves(frames, None, size=64)
    tracemalloc.start()
    Samples(source, tmp_path, EncoderSettings())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 64 * 64 * 3


def test_wrong_usage(folder: Path) -> None:
    assert run(folder, "in.mkv", "--bitrate", "1k", "--target-psnr", "30").exit_code == 2
    assert run(folder, "in.mkv", "--bitrate", "much").exit_code == 2
    result = CliRunner().invoke(
        main, ["encode", "-", str(folder / "x.lvc"), "--target-size", "1k"], input=b"YUV4MPEG2 "
    )
    assert result.exit_code == 3
    assert "when the input is a file" in result.stderr


class _Steps:
    """Samples of so many pictures, each of which has whole qualities alone."""

    side_bytes = 0

    def __init__(self, pictures: int) -> None:
        self._pictures = pictures
        self.tried: list[Try] = []

    def code(self, _model: object, quality: float, _device: str, **_: bool) -> Try:
        qualities = [math.floor(quality + (0.5 + at * 0.618) % 1) for at in range(self._pictures)]
        size = sum(round(1000 * math.exp(0.045 * each)) for each in qualities)
        self.tried.append(Try(quality, size, 8 * size, None, None))
        return self.tried[-1]


@pytest.mark.parametrize("pictures", [1, 2, 3, 5])
def test_a_search_of_few_pictures_finds_the_nearest(pictures: int) -> None:
    """Many qualities give the same there; it ends soon where no other is left."""
    sizes = {_Steps(pictures).code(None, at / 100, "cpu").bytes for at in range(100, 10001)}
    missed, tries = 0, []
    for wanted in np.geomspace(min(sizes) * 1.1, max(sizes) / 1.1, 60):
        samples: Any = _Steps(pictures)
        model: Any = None
        best = find_quality(samples, Target(size=round(wanted)), model, "cpu", lambda _: None)
        nearest = min(abs(math.log(size / round(wanted))) for size in sizes)
        missed += abs(math.log(best.bytes / round(wanted))) > max(0.004, nearest) + 1e-9
        tries.append(len(samples.tried))
    assert not missed
    assert np.mean(tries) < 7


def test_a_highest_rate_below_a_likeness_is_told() -> None:
    """The samples of the rate were not measured for it."""
    result, best = EncodeResult(bytes=1000, media_seconds=1.0), Try(5, 1000, 8000, None, None)
    assert list(missed(result, Target(psnr=40), 8000, best)) == [
        "the highest bit rate does not allow the PSNR of 40.00 dB that was wanted"
    ]
    assert list(missed(result, Target(ssim=0.98), 8000, best)) == [
        "the highest bit rate does not allow the SSIM of 0.9800 that was wanted"
    ]
