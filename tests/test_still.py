"""How much of a picture stays as it is, and how much finer the intra picture of a still clip is."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from lvc.container import GopChunk, Reader, Step
from lvc.decoder import Decoder
from lvc.encoder import EncodeResult, EncoderSettings, encode_stream, motion_search
from lvc.encoder.around import REACH
from lvc.encoder.settings import INTRA_BONUS, STILL_BONUS, quality_bonus
from lvc.encoder.still import SAME, stillness
from lvc.video import Frame, VideoInfo
from tests.clips import clip_frames, clip_info
from tests.models import tiny_model


def picture(luma: np.ndarray, unit: int = 1) -> Frame:
    """With chroma that is never the same."""
    chroma = np.random.default_rng(int(luma.sum())).integers(0, 256 * unit, (2, *(-(-n // 2) for n in luma.shape)))
    return Frame([luma.astype(np.uint16), *chroma.astype(np.uint16)], 0, 1)


# -- stillness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_clips(bit_depth: int) -> None:
    def found(kind: str) -> float:
        frames = list(clip_frames(kind, 96, 80, REACH + 1, bit_depth=bit_depth))
        return stillness(frames[0], frames[-1], bit_depth)

    assert found("static") == 1
    assert found("pan") < 0.1
    assert found("noise") < 0.1
    assert found("cuts") < 0.1
    assert 0.3 < found("textures") < 1  # discs before what stays


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_a_part_that_stays(bit_depth: int) -> None:
    """The share of blocks, wherever they are; what chroma does is not looked at."""
    unit, random = 1 << (bit_depth - 8), np.random.default_rng(1)
    luma = random.integers(0, 200 * unit, (48, 80))
    for count in range(16):
        changed = np.zeros(15, int)
        changed[random.permutation(15)[:count]] = 20 * unit
        later = luma + changed.reshape(3, 5).repeat(16, 0).repeat(16, 1)
        for pair in ((luma, later), (later, luma)):
            assert stillness(picture(pair[0], unit), picture(pair[1], unit), bit_depth) == (15 - count) / 15


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_grain_is_no_change(bit_depth: int) -> None:
    """By its mean size, in grey levels of 8 bits whatever the depth; a change is one from SAME on, exactly."""
    unit = 1 << (bit_depth - 8)
    luma = np.full((32, 32), 100 * unit)
    signs = np.where(np.indices((32, 32)).sum(0) % 2, 1, -1)
    assert stillness(picture(luma, unit), picture(luma + signs * unit, unit), bit_depth) == 1
    assert stillness(picture(luma, unit), picture(luma + signs * 2 * unit, unit), bit_depth) == 0
    half = luma + np.where(np.arange(32) % 2, unit, 2 * unit)  # 1.5 levels on average
    assert SAME == 1.5
    assert stillness(picture(luma, unit), picture(half, unit), bit_depth) == 0
    half[5, 6] -= 1
    assert stillness(picture(luma, unit), picture(half, unit), bit_depth) == 0.25


def test_differences_do_not_wrap() -> None:
    """Samples are unsigned; the darkest and the brightest are far apart in either direction."""
    dark, bright = (picture(np.full((16, 16), value), 4) for value in (0, 1023))
    assert stillness(dark, bright, 10) == stillness(bright, dark, 10) == 0


def test_only_whole_blocks_count() -> None:
    luma = np.zeros((16 + 15, 32 + 7), int)
    later = luma + 200
    later[:16, :32] = 0
    assert stillness(picture(luma), picture(later), 8) == 1
    later[:16, 16:32] = 200
    assert stillness(picture(luma), picture(later), 8) == 0.5


@pytest.mark.parametrize("shape", [(15, 64), (64, 15), (1, 1), (8, 8)])
def test_pictures_smaller_than_a_block(shape: tuple[int, int]) -> None:
    assert stillness(picture(np.zeros(shape, int)), picture(np.zeros(shape, int)), 8) == 0


def test_nothing_is_known_of_the_last_picture() -> None:
    last = picture(np.zeros((32, 32), int))
    assert stillness(last, last, 8) == 0
    assert stillness(last, picture(last.planes[0]), 8) == 1


# -- what it does ---------------------------------------------------------------------------------------------------


class Clip:
    """A source of given frames."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        height, width = frames[0].planes[0].shape
        self.info: VideoInfo = clip_info(width, height, len(frames))
        self.frames = frames

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def take_side(self) -> bytes | None:
        return None


def encode(frames: Sequence[Frame], **settings: object) -> tuple[list[list[int]], EncodeResult]:
    """Qualities of the pictures of each group, after all of it was decoded."""
    sink = io.BytesIO()
    chosen = EncoderSettings(**{"preset": "fast", **settings})  # type: ignore[arg-type]
    result = encode_stream(Clip(frames), sink, model=tiny_model(), settings=chosen)
    decoder = Decoder(io.BytesIO(sink.getvalue()), load_model=lambda _: tiny_model())
    assert len([item for item in decoder if isinstance(item, Frame)]) == len(frames)
    groups = [item.gop.frames for item in Reader(io.BytesIO(sink.getvalue())) if isinstance(item, GopChunk)]
    return [[record.quality for record in group] for group in groups], result


def test_the_bonus_grows_with_stillness() -> None:
    assert [quality_bonus(Step(0), 50, still) for still in (0.0, 1.0)] == [INTRA_BONUS, INTRA_BONUS + STILL_BONUS]
    rising = [quality_bonus(Step(0), 50, share / 20) for share in range(21)]
    assert rising == sorted(rising)
    assert quality_bonus(Step(0), 100, 1.0) == 0
    for step in (Step(1, 0), Step(4, 0), Step(2, 0, 4, 1), Step(1, 0, 2, 2)):
        assert quality_bonus(step, 50, 1.0) == quality_bonus(step, 50)


def test_the_intra_picture_of_a_still_clip_is_finer() -> None:
    """And none of the others."""
    moving, _ = encode(list(clip_frames("pan", 64, 48, 6)), quality=40)
    still, _ = encode(list(clip_frames("static", 64, 48, 6)), quality=40)
    assert moving[0][0] == 40 + INTRA_BONUS
    alike, _ = encode(list(clip_frames("pan", 64, 48, 6)), quality=40, tune="ssim")
    assert alike == moving
    assert still[0][0] == 40 + INTRA_BONUS + STILL_BONUS
    assert still[0][1:] == moving[0][1:]
    plain, _ = encode(list(clip_frames("static", 64, 48, 6)), quality=40, ablate=frozenset({"nocascade"}))
    assert plain == [[40] * 6]


def test_each_group_by_what_follows_its_own_start() -> None:
    """Still, then moving, then half of both; the last group is too short to be still."""
    still = list(clip_frames("static", 64, 32, 6))
    moving = list(clip_frames("pan", 64, 32, 6))
    halves = []
    for a, b in zip(still, moving, strict=True):
        luma = a.planes[0].copy()
        luma[:, 32:] = b.planes[0][:, 32:]
        halves.append(Frame([luma, *a.planes[1:]], 0, 1))
    rows = [*still, *moving, *halves, still[0]]
    frames = [Frame(frame.planes, pts, 1) for pts, frame in enumerate(rows)]
    found, _ = encode(frames, quality=40, keyint=6, scene_cuts=False)
    wanted = [INTRA_BONUS + round(STILL_BONUS * share) for share in (1, 0, 0.5, 0)]
    assert [group[0] - 40 for group in found] == pytest.approx(wanted, abs=1)
    assert [len(group) for group in found] == [6, 6, 6, 1]
    assert found[0][0] - 40 == INTRA_BONUS + STILL_BONUS
    assert found[3][0] - 40 == INTRA_BONUS


# -- pictures that are repeated -------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["fast", "medium"])
def test_what_is_repeated_stands_still(preset: str) -> None:
    """Vectors would fit the errors of what was coded finely: up to twenty times as many bytes of motion."""
    (first,) = clip_frames("textures", 96, 64, 1)
    _, result = encode([Frame(first.planes, pts, 1) for pts in range(10)], quality=95, preset=preset)
    assert result.parts["motion"] <= 10


def test_only_what_is_not_repeated_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same samples, not the same frame; the fourth picture is another one, and the fifth the first one again."""
    searched: list[float] = []
    search = motion_search.search

    def note(target: Tensor, *others: Any) -> Tensor:
        searched.append(float(target.mean()))
        return search(target, *others)

    monkeypatch.setattr(motion_search, "search", note)
    (first,) = clip_frames("textures", 96, 64, 1)
    other = [plane + 1 for plane in first.planes]
    rows = [first.planes, [plane.copy() for plane in first.planes], first.planes, other, first.planes, first.planes]
    encode([Frame(planes, pts, 1) for pts, planes in enumerate(rows)], quality=60, scene_cuts=False)
    assert len(set(searched)) == 2
    assert len(searched) == 4  # each as it is, and as weighted: one is brighter than the other
