"""Crops side by side: which frame, which part of it, and at which rate."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lvc.bench import crops
from lvc.bench.cache import Cache, Row
from lvc.bench.clips import Clip
from lvc.bench.codecs import CodecSpec, parse_codec
from lvc.bench.crops import CROP_HEIGHT, CROP_WIDTH, MATCHED, CropRow, make_crops
from lvc.bench.measure import Conditions, measure, row_key
from lvc.bench.png import to_rgb
from lvc.errors import LvcError
from lvc.media import peers
from lvc.video import Plane
from tests.clips import make_clip

FRAMES = 5
CONDITIONS = Conditions(frames=FRAMES)
NO_CACHE = Cache(None)
X264, X265 = parse_codec("x264:preset=veryfast:crf=20,30,40"), parse_codec("x265:preset=ultrafast:crf=18,44")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("clips") / "mix.mkv"
    make_clip(path, width=352, height=240, frames=FRAMES, lossless=True)
    return Clip(path, FRAMES)


@pytest.fixture(scope="module")
def rows(clip: Clip) -> list[Row]:
    return [measure(clip, spec, point, CONDITIONS) for spec in (X264, X265) for point in spec.points]


def rates(row: CropRow) -> dict[str, float]:
    return {crop.name: float(crop.note.split(" bit")[0]) for crop in row.crops[1:]}


def test_peers_meet_the_middle_rate_of_the_first_codec(clip: Clip, rows: list[Row]) -> None:
    row = make_crops(clip, [X264, X265], rows, CONDITIONS, NO_CACHE)
    (target,) = (each["bpp"] for each in rows if each["string"] == "x264:preset=veryfast:crf=30")
    assert [crop.name for crop in row.crops] == ["source", "x264 veryfast", "x265 ultrafast"]
    assert all(rate == pytest.approx(target, rel=MATCHED + 0.005) for rate in rates(row).values())
    assert all(abs(each["bpp"] / target - 1) > 0.5 for each in rows if each["codec"] == "x265 ultrafast")
    assert row.failures == []


@pytest.mark.parametrize(("frame", "shown"), [(None, FRAMES // 2), (0, 0), (4, 4), (99, FRAMES - 1)])
def test_frames(clip: Clip, rows: list[Row], frame: int | None, shown: int) -> None:
    row = make_crops(clip, [X264], rows, CONDITIONS, NO_CACHE, frame)
    assert row.frame == shown
    source = list(clip.read())[shown].planes
    left, top, width, height = row.place
    assert (width, height) == (CROP_WIDTH, CROP_HEIGHT)
    assert np.array_equal(row.crops[0].pixels, to_rgb(source, clip.info, left, top, width, height))


def test_the_place_is_where_the_codecs_together_lose_most() -> None:
    source = np.full((480, 640), 100, np.uint16)
    small, large = source.copy(), source.copy()
    small[10:20, 10:20] += 9
    large[400:410, 600:610] += 10
    left, top = crops._worst_place(source, [small, large])
    assert left <= 600 < 610 <= left + CROP_WIDTH
    assert top <= 400 < 410 <= top + CROP_HEIGHT
    assert left % 16 == top % 16 == 0
    assert crops._worst_place(source, [small, small, large]) == (0, 0)
    assert crops._worst_place(source[:100, :100], [small[:100, :100]]) == (0, 0)


def test_another_lvc_shows_its_point_of_the_nearest_rate(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    def pictures(clip: Clip, *_: object) -> Iterator[Sequence[Plane]]:
        return (frame.planes for frame in clip.read())

    monkeypatch.setattr(crops, "_our_pictures", pictures)
    specs = [parse_codec("lvc"), parse_codec("lvc:preset=slow")]
    sizes = {"lvc medium": (100, 400, 900), "lvc slow": (150, 210, 900)}
    made_up: list[Row] = [
        {"key": "", "codec": name, "bytes": size, "bpp": size / 1e3, "frames": FRAMES}
        for name in sizes
        for size in sizes[name]
    ]
    row = make_crops(clip, specs, made_up, CONDITIONS, NO_CACHE)
    bits = 8 / (FRAMES * 352 * 240)
    # in ratios 210 is nearer to 400 than 900 is
    assert rates(row) == {"lvc medium": round(400 * bits, 4), "lvc slow": round(210 * bits, 4)}


def test_the_middle_picture_of_lvc_is_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.mkv"
    make_clip(path, width=64, height=64, frames=FRAMES, lossless=True)
    clip, spec, cache = Clip(path, FRAMES), parse_codec("lvc:quality=30"), Cache(tmp_path / "cache")
    keys = [row_key(clip, spec, 30, CONDITIONS)]
    keep = partial(cache.keep, keys[0]), partial(cache.keep_picture, keys[0])
    rows = [measure(clip, spec, 30, CONDITIONS, *keep)]
    decoded = make_crops(clip, [spec], rows, CONDITIONS, NO_CACHE)

    def fail(*_: object) -> Iterator[Sequence[Plane]]:
        raise AssertionError

    monkeypatch.setattr(crops, "_our_pictures", fail)
    kept = make_crops(clip, [spec], rows, CONDITIONS, cache)
    assert kept.frame == decoded.frame == FRAMES // 2
    assert [crop.note for crop in kept.crops] == [crop.note for crop in decoded.crops]
    assert np.array_equal(kept.crops[1].pixels, decoded.crops[1].pixels)
    (file,) = cache.folder.glob("*.npz") if cache.folder else ()
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(AssertionError):
        make_crops(clip, [spec], rows, CONDITIONS, cache)


def test_a_peer_that_fails_costs_only_its_own_crop(
    clip: Clip, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    matched = crops._matched_peer

    def fail(clip: Clip, spec: CodecSpec, *rest: object) -> peers.PeerStream:
        if spec is X265:
            raise peers.PeerError("x265 fails on this clip")
        return matched(clip, spec, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(crops, "_matched_peer", fail)
    row = make_crops(clip, [X264, X265], rows, CONDITIONS, NO_CACHE)
    assert [crop.name for crop in row.crops] == ["source", "x264 veryfast"]
    assert row.failures == ["no crop of x265 ultrafast: x265 fails on this clip"]
    with pytest.raises(LvcError, match="no crop of x265"):
        make_crops(clip, [X265], rows, CONDITIONS, NO_CACHE)
