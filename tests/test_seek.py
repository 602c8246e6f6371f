"""``lvc encode --start``: the source is sought in, and nothing about the part differs for it."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lvc.edit import Edit, Span
from lvc.errors import InputError
from lvc.media import EditedSource, VideoReader, decoding, reader
from lvc.video import Frame
from tests.media_files import Sound, Text, write_media

SECONDS = 40
RATE = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 40 seconds, key pictures every 3 or so, with B pictures, sound and subtitles."""
    folder = tmp_path_factory.mktemp("seek")
    lines = [(1000 * n + 200, 1000 * n + 900, f"line {n}") for n in range(SECONDS)]
    times = [700 + 100 * n + 7 * (n % 3) for n in range(SECONDS * RATE)]
    for name, options, codec in (
        ("closed.mkv", {"g": "30", "bf": "2"}, "libx264"),
        ("open.mp4", {"g": "30", "bf": "3", "x264-params": "open-gop=1:b-pyramid=normal"}, "libx264"),
        ("one.mkv", {"g": "9999"}, "libx264"),
        ("mpeg4.mkv", {"g": "25"}, "mpeg4"),
    ):
        texts = [Text("subrip", lines)] if name.endswith("mkv") else []
        write_media(
            folder / name,
            times=times,
            size=(32, 32),
            codec=codec,
            options=options,
            sounds=[Sound("aac", seconds=SECONDS, start=0.7)],
            texts=texts,
            rate=Fraction(RATE),
            chapters=[(1000, 20_000, "one"), (20_000, 40_000, "two")],
        )
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every picture that FFmpeg decodes."""
    pictures: list[object] = []
    original = decoding.Decoding._decode

    def counted(self: decoding.Decoding, packet: Any) -> Iterator[av.VideoFrame]:
        for picture in original(self, packet):
            pictures.append(picture.pts)
            yield picture

    monkeypatch.setattr(decoding.Decoding, "_decode", counted)
    return pictures


def part(path: Path, start: Fraction, frames: int | None) -> tuple[list[Frame], list[bytes], list[str]]:
    with VideoReader(path) as opened:
        source = EditedSource(opened, Edit(Span(start, frames)))
        found, side = [], []
        while (data := source.take_side()) is not None:
            side.append(data)
        for number, frame in enumerate(source):
            found.append(frame)
            while number % 7 == 6 and (data := source.take_side()) is not None:
                side.append(data)
        while (data := source.take_side()) is not None:
            side.append(data)
        return found, side, opened.warnings


@pytest.mark.parametrize("name", ["closed.mkv", "open.mp4", "mpeg4.mkv", "one.mkv"])
@pytest.mark.parametrize(("start", "frames"), [("15", 20), ("28.05", None), ("31.4", 1), ("3", 5)])
def test_the_part_is_the_same(
    folder: Path,
    decoded: list[object],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    start: str,
    frames: int | None,
) -> None:
    found, side, warnings = part(folder / name, Fraction(start), frames)
    count = len(decoded)
    decoded.clear()
    monkeypatch.setattr(VideoReader, "skip_to", lambda self, seconds: None)
    wanted, wanted_side, wanted_warnings = part(folder / name, Fraction(start), frames)
    assert [(frame.pts, frame.duration) for frame in found] == [(frame.pts, frame.duration) for frame in wanted]
    for a, b in zip(found, wanted, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))
    assert side == wanted_side
    assert warnings == wanted_warnings
    if float(start) > 20 and name != "one.mkv":
        assert count < len(decoded) - 100
    else:
        assert count <= len(decoded) + RATE * 2


def test_behind_the_end(folder: Path) -> None:
    for start in ("45", "9999"):
        with (
            VideoReader(folder / "closed.mkv") as opened,
            pytest.raises(InputError, match=f"no frame {start} seconds after"),
        ):
            EditedSource(opened, Edit(Span(Fraction(start))))


def test_a_source_that_does_not_let_itself_be_sought_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read from the start then, and gives its head once."""
    wanted = part(folder / "closed.mkv", Fraction(25), 5)
    original = VideoReader._begin_again
    again: list[VideoReader] = []

    def noted(self: VideoReader) -> None:
        again.append(self)
        original(self)

    monkeypatch.setattr(VideoReader, "_begin_again", noted)
    monkeypatch.setattr(reader, "Decoding", lambda *given: [] if len(given) == 7 else decoding.Decoding(*given))
    found = part(folder / "closed.mkv", Fraction(25), 5)
    assert len(again) == 1
    assert found[1:] == wanted[1:]
    assert [frame.pts for frame in found[0]] == [frame.pts for frame in wanted[0]]
