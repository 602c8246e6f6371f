"""What a training learns from: clips, crops, and how hard each quality pulls."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lvc.errors import InputError
from lvc.training import data
from lvc.training.balance import Balance
from lvc.training.data import ZOOMS, Clip, CropSampler, load_clip, load_folder
from lvc.training.loop import Trainer
from lvc.training.schedule import Schedule
from tests.clips import make_clip
from tests.trainings import FRAMES, SHORT, SIDE, settings_in

pytestmark = pytest.mark.usefixtures("one_thread")


def test_clips(clips: Path, tmp_path: Path) -> None:
    found = load_folder(clips)
    assert [tuple(clip.y.shape) for clip in found] == [(FRAMES, SIDE, SIDE)] * 2
    assert [tuple(clip.uv.shape) for clip in found] == [(FRAMES, 2, SIDE // 2, SIDE // 2)] * 2
    assert all(clip.motion > 0 for clip in found)
    with pytest.raises(InputError, match="no readable clips"):
        load_folder(tmp_path)
    make_clip(tmp_path / "odd.y4m", "pan", width=35, height=33, frames=3, bit_depth=10)
    clip = load_clip(tmp_path / "odd.y4m", limit=2)
    assert tuple(clip.y.shape) == (2, 32, 34)
    assert tuple(clip.uv.shape) == (2, 2, 16, 17)
    assert int(clip.y.max()) > 100


def test_clips_are_read_on_the_usable_cores(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int | None] = []

    class Noted(ThreadPoolExecutor):
        def __init__(self, threads: int | None = None) -> None:
            sizes.append(threads)
            super().__init__(threads)

    monkeypatch.setattr(data, "ThreadPoolExecutor", Noted)
    monkeypatch.setattr(data, "usable_cores", lambda: 3)
    load_folder(clips)
    assert sizes == [3]


def test_crops(clips: Path) -> None:
    found = load_folder(clips)
    pictures = CropSampler(found, [], 64, 5).batch(3, 4)
    assert [tuple(picture.y.shape) for picture in pictures] == [(3, 1, 64, 64)] * 4
    again = CropSampler(found, [], 64, 5).batch(3, 4)
    assert all(torch.equal(a.y, b.y) and torch.equal(a.uv, b.uv) for a, b in zip(pictures, again, strict=True))
    other = CropSampler(found, [], 64, 6).batch(3, 4)
    assert not torch.equal(pictures[0].y, other[0].y)
    with pytest.raises(InputError, match="no clip is as large"):
        CropSampler(found, [], 128, 5).batch(1, 1)
    with pytest.raises(InputError, match="no clip is as large"):
        CropSampler(found, [], 64, 5).batch(1, FRAMES + 1)


def test_crops_are_scaled() -> None:
    """A ramp of two levels a sample is as steep as its scale says, in luma and chroma."""
    ramp = (2 * torch.arange(128, dtype=torch.uint8)).expand(2, 128, 128).contiguous()
    clip = Clip(ramp, ramp[:, None, ::2, ::2].repeat(1, 2, 1, 1).contiguous(), 1.0)
    found = set()
    sampler = CropSampler([clip], [], 48, 7)
    for _ in range(100):
        (picture, _) = sampler.batch(1, 2)
        luma, chroma = picture.y[0, 0, 24] / 4, picture.uv[0, 0, 12] / 4
        slope = abs(float(luma[40] - luma[8])) / 32
        assert abs(float(chroma[20] - chroma[4])) / 16 == pytest.approx(2 * slope, abs=0.1)
        found.add(round(2 / slope, 1))
    assert found == {round(zoom, 1) for zoom in ZOOMS}
    small = CropSampler([clip], [], 128, 7)  # what would have to be larger than the clip is left as it is
    assert all(float(small.batch(1, 1)[0].y[0, 0, 0].diff().abs().max()) <= 4 * 2 for _ in range(20))


def test_schedule() -> None:
    schedule = Schedule()
    assert [SHORT.frames(p) for p in (0, 0.29, 0.3, 0.69, 0.7, 1)] == [1, 1, 2, 2, 3, 3]
    assert not schedule.fake(0.5)
    assert schedule.fake(1.0)
    rates = [schedule.learning_rate(p / 20, 10_000) for p in range(21)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(schedule.peak)
    assert schedule.learning_rate(0, 0) == pytest.approx(schedule.peak / schedule.warm_steps)
    assert not schedule.vectors(0.5)
    assert schedule.vectors(1.0)


def test_schedule_of_weights_that_have_been_trained_before(tmp_path: Path) -> None:
    """They are rounded, and the codebooks in the loop, from the start; they learn more slowly, and whole sequences."""
    new = Trainer(settings_in(tmp_path, tmp_path, schedule=None)).schedule
    old = Trainer(settings_in(tmp_path, tmp_path, schedule=None, start_from=tmp_path / "old.ckpt")).schedule
    assert (new.fake(0.0), new.vectors(0.0)) == (False, False)
    assert (old.fake(0.0), old.vectors(0.0)) == (True, True)
    assert old.learning_rate(0.0, 1000) < 0.5 * new.learning_rate(0.0, 1000)
    assert old.frames(0.0) == new.frames(1.0)
    assert old.numbers_of_pieces(0.0) == new.numbers_of_pieces(1.0)


def test_stills(tmp_path: Path, clips: Path) -> None:
    """Half of the single pictures are of stills that are as large as a crop; sequences are of clips alone."""
    (tmp_path / "stills").mkdir()
    for name, size, kind in (("large", 96, "static"), ("small", 48, "noise")):
        make_clip(tmp_path / "stills" / f"{name}.y4m", kind, width=size, height=size, frames=1)
    settings = settings_in(tmp_path, clips, stills=tmp_path / "stills", steps=1)
    trainer = Trainer(settings)
    trainer.step = 1
    trainer.save()
    trainer = Trainer(settings)
    trainer.run(lambda *_: pytest.fail("there is nothing left to do"))
    sampler = trainer.sampler
    assert sampler is not None
    assert [(len(still.y), still.y.shape[1]) for still in sampler.stills] == [(1, 96), (1, 48)]
    for clip in sampler.clips:
        clip.y.fill_(0)
    singles = sampler.batch(100, 1)[0].y
    share = float((singles.amax((1, 2, 3)) > 0).float().mean())
    assert 0.35 < share < 0.65
    assert not any(picture.y.any() for picture in sampler.batch(20, 2))


def test_every_quality_pulls_equally() -> None:
    balance = Balance()
    quality = torch.tensor([1.0, 100.0])
    for _ in range(3):
        weight = balance.weight(0, quality, torch.tensor([8.0, 0.5]))
    assert weight.tolist() == pytest.approx([1 / 8, 2])
    weight = balance.weight(1, quality, torch.tensor([4.0, 4.0]))
    assert weight.tolist() == pytest.approx([1 / 4, 1 / 4])


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for number in range(3):
        make_clip(tmp_path / f"{number}.y4m", "pan", width=64, height=64, frames=2)
    (tmp_path / "1.mp4").write_bytes(b"no video")
    with pytest.warns(RuntimeWarning, match=r"a clip is left out: .*1\.mp4"):
        assert len(load_folder(tmp_path)) == 3
    (tmp_path / "0.y4m").write_bytes(b"")
    with pytest.warns(RuntimeWarning, match=r"a clip is left out \(and 1 more\): .*0\.y4m"):
        assert len(load_folder(tmp_path)) == 2
    for number in (1, 2):
        (tmp_path / f"{number}.y4m").unlink()
    with pytest.raises(InputError, match=r"no readable clips in .*: .*0\.y4m"):
        load_folder(tmp_path)


def test_one_large_clip_among_small_ones(tmp_path: Path) -> None:
    """All crops are cut from it, however rare it is."""
    still = torch.zeros(1, 32, 32, dtype=torch.uint8)
    small = Clip(still, torch.zeros(1, 2, 16, 16, dtype=torch.uint8), 0.0)
    large = Clip(torch.full((4, 64, 64), 9, dtype=torch.uint8), torch.zeros(4, 2, 32, 32, dtype=torch.uint8), 0.0)
    sampler = CropSampler([small] * 20_000 + [large], [], 64, 1)
    assert [float(picture.y.mean()) for picture in sampler.batch(2, 2)] == [36.0, 36.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": 128}, "128x128 with 5 frames: there is room for --crop 96"),
        ({}, "64x64 with 9 frames"),
    ],
)
def test_clips_that_are_too_small_are_refused_at_the_start(
    tmp_path: Path, clips: Path, changes: dict[str, int], message: str
) -> None:
    schedule = SHORT if changes else replace(SHORT, stages=((0.0, 1), (0.9, FRAMES + 1)))
    trainer = Trainer(settings_in(tmp_path, clips, schedule=schedule, **changes))
    with pytest.raises(InputError, match=f"no clip is as large as {message}$"):
        trainer.run(lambda *_: pytest.fail("a step was made"))
    assert not list(tmp_path.iterdir())
