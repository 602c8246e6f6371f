"""Options of the library outside their ranges: refused in a sentence, before anything is read or written."""

import gc
import weakref
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

import lvc
from lvc import api
from lvc.compute import cpu_threads, processes
from lvc.decoder import Decoder
from lvc.edit import Crop, Edit, Span
from lvc.encoder import EncoderSettings
from lvc.encoder.search import Target
from lvc.errors import LvcError
from tests.clips import make_clip

VECTOR = Path(__file__).parent / "vectors" / "lite.lvc"


def decode(**options: Any) -> None:
    lvc.decode(VECTOR, "out.y4m", **options)


def verify(**options: Any) -> None:
    api.verify(VECTOR, **options)


def open_and_close(**options: Any) -> None:
    lvc.open(VECTOR, **options).close()


def cut(**options: Any) -> None:
    api.cut(VECTOR, "out.lvc", **options)


def encode(**options: Any) -> None:
    lvc.encode("missing.y4m", "out.lvc", **options)


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize(
    ("call", "option"),
    [
        *((decode, option) for option in ("threads", "batch", "workers", "layers")),
        *((verify, option) for option in ("threads", "batch")),
        *((open_and_close, option) for option in ("threads", "batch")),
        *((encode, option) for option in ("threads", "workers")),
    ],
)
def test_numbers_below_one(
    call: Callable[..., None], option: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"{option} {number} is outside its range"):
        call(**{option: number})
    assert not list(tmp_path.iterdir())


def test_the_device_is_checked_first() -> None:
    for call in (decode, verify, open_and_close):
        with pytest.raises(ValueError, match="'tpu' is none of"):
            call(device="tpu")


def test_more_layers_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 layers: 1 to 3 are possible"):
        lvc.decode(VECTOR, tmp_path / "out.y4m", layers=4)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crf": 99}, "a rate factor of 99 is outside the range of libx264, 0 to 51"),
        ({"crf": -1}, "outside the range"),
        ({"crf": float("nan"), "codec": "libx265"}, "outside the range"),
        ({"crf": 64, "format": "webm"}, "outside the range of libvpx-vp9, 0 to 63"),
        ({"crf": 20, "codec": "mpeg4"}, "mpeg4 has no constant rate factor"),
    ],
)
def test_rate_factors_that_encoders_would_ignore(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        lvc.decode(VECTOR, tmp_path / "out.mp4", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("start", [Fraction(1, 4), Fraction(1, 2)])
def test_cuts_end_behind_their_start(start: Fraction, tmp_path: Path) -> None:
    """Also where both times lie in one group of pictures."""
    with pytest.raises(ValueError, match=r"an end of 0\.25 seconds is not after the start"):
        api.cut(VECTOR, tmp_path / "out.lvc", start=start, end=Fraction(1, 4))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("batch", [0, -1])
def test_decoders_take_no_empty_batch(batch: int) -> None:
    with VECTOR.open("rb") as stream, pytest.raises(ValueError, match=f"batch {batch} is outside its range"):
        Decoder(stream, batch=batch)


@pytest.mark.parametrize(("start", "frames"), [(-1, None), (Fraction(-1, 1000), 1), (0, 0), (0, -5)])
def test_spans_begin_in_the_video_and_hold_frames(start: int | Fraction, frames: int | None) -> None:
    with pytest.raises(ValueError, match="outside its range"):
        Span(Fraction(start), frames)


@pytest.mark.parametrize("options", [{"start": Fraction(-1)}, {"end": Fraction(-1)}])
def test_cuts_begin_in_the_video(options: dict[str, Fraction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="outside its range"):
        cut(**options)
    assert not list(tmp_path.iterdir())


def test_a_second_loop_goes_on_where_the_first_was_left() -> None:
    """No picture is lost between two of them."""
    with lvc.open(VECTOR) as video:
        whole = [frame.pts for frame in video]
        assert list(video) == []
    with lvc.open(VECTOR) as video:
        first = next(iter(video))
        assert [first.pts, *(frame.pts for frame in video)] == whole
    assert len(whole) > 2


def test_nothing_keeps_a_video_but_its_user() -> None:
    """What it holds, a model among others, is free at once."""
    gc.collect()
    gc.disable()
    try:
        with lvc.open(VECTOR) as video:
            next(iter(video))
        kept = weakref.ref(video)
        del video
        assert kept() is None
    finally:
        gc.enable()


def test_threads_are_those_of_a_call(tmp_path: Path) -> None:
    """Afterwards PyTorch has as many as before."""
    before = torch.get_num_threads()
    wanted = before + 1
    with lvc.open(VECTOR, threads=wanted) as video:
        assert torch.get_num_threads() == wanted
        next(iter(video))
    assert torch.get_num_threads() == before
    one, other = lvc.open(VECTOR, threads=wanted), lvc.open(VECTOR, threads=wanted + 1)
    one.close()
    assert torch.get_num_threads() == wanted + 1
    other.close()
    assert torch.get_num_threads() == before
    seen: list[int] = []

    def noted(_: object) -> None:
        seen.append(torch.get_num_threads())

    verify(threads=1, progress=noted)
    lvc.decode(VECTOR, tmp_path / "out.y4m", threads=1, progress=noted)
    lvc.encode(tmp_path / "out.y4m", tmp_path / "out.lvc", preset="fast", device="cpu", threads=1, progress=noted)
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_processes_and_threads_are_some() -> None:
    with pytest.raises(ValueError, match="threads 0"), cpu_threads(0):
        raise AssertionError("there is none")
    with pytest.raises(ValueError, match="workers 0"), processes(0, None, "json"):
        raise AssertionError("they were started")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("passes", value) for value in (0, 3, -1)),
        *(("max_bitrate", value) for value in (0, -1.0, float("nan"), float("inf"))),
        *(("quality", value) for value in (0, 101)),
    ],
)
def test_amounts_out_of_range(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=option):
        encode(**{option: value})


def test_a_target_of_nothing() -> None:
    with pytest.raises(ValueError, match="the target wants nothing"):
        encode(target=Target())


def test_text_for_a_number() -> None:
    for option in ("quality", "keyint", "max_bitrate"):
        with pytest.raises(TypeError):
            encode(**{option: "60"})


@pytest.mark.parametrize(
    "fields",
    [
        {"bitrate": 1e6, "psnr": 40},
        *({name: value} for name in ("bitrate", "size", "psnr", "ssim") for value in (0, -1, float("nan"))),
        {"ssim": 1.01},
        {"psnr": float("inf")},
    ],
)
def test_targets_out_of_range(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is not one amount within its range"):
        Target(**fields)


@pytest.mark.parametrize("place", [(0, 8), (8, -2), (8, 8, -2), (8, 8, 0, -2)])
def test_crops_out_of_range(place: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a crop of .* is outside its range"):
        Crop(*place)


def test_edits_out_of_range() -> None:
    for fps in (Fraction(0), Fraction(-1), Fraction(1_000_001)):
        with pytest.raises(ValueError, match="frames per second is not possible"):
            Edit(fps=fps)
    for scale in ((0, 8), (8, -1)):
        with pytest.raises(ValueError, match=r"a scale of .* is outside its range"):
            Edit(scale=scale)


def test_options_of_an_encode_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out is as usual."""
    seen: list[EncoderSettings] = []

    def noted(*_: object, settings: EncoderSettings, **__: object) -> None:
        seen.append(settings)
        raise LvcError("enough")

    monkeypatch.setattr("lvc.encoder.encode_stream", noted)
    make_clip(tmp_path / "in.mkv", "pan", width=32, height=32, frames=2)
    for options in ({}, {"quality": 33, "preset": "slow", "tune": "ssim", "keyint": 7}):
        with pytest.raises(LvcError, match="enough"):
            lvc.encode(tmp_path / "in.mkv", tmp_path / "out.lvc", device="cpu", **options)
    assert seen == [EncoderSettings(), EncoderSettings(quality=33, preset="slow", tune="ssim", keyint=7)]
