"""Pipes, y4m, and what happens to bad input and output."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lvc.errors import InputError, LimitError
from lvc.media import VideoReader, VideoWriter
from lvc.media.decoding import Decoding
from lvc.media.head import Hdr, Head, pack_head
from lvc.media.truncation import Extent, missing_bytes
from lvc.media.y4m import SIGNATURE
from lvc.video import Colour, Frame, VideoInfo
from tests.clips import clip_frames, make_clip
from tests.media_files import Sound, write_media


def read(path: object) -> tuple[VideoInfo, list[Frame], list[str]]:
    with VideoReader(path) as reader:
        frames = list(reader)
        return reader.info, frames, reader.warnings


def same(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def write(path: object, info: VideoInfo, frames: list[Frame], **options: object) -> list[str]:
    with VideoWriter(path, info, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.warnings


def test_frames_come_lazily(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.y4m", "static", width=64, height=48, frames=3)
    data = (tmp_path / "a.y4m").read_bytes()
    receive, send = os.pipe()
    with os.fdopen(receive, "rb") as source, os.fdopen(send, "wb", buffering=0) as sink:
        cut = len(data) - 1000
        sink.write(data[:cut])
        with VideoReader(source) as reader:
            frames = iter(reader)
            assert next(frames).pts == 0
            assert next(frames).pts == 1
            sink.write(data[cut:])
            sink.close()
            assert next(frames).pts == 2
            assert next(frames, None) is None


def read_pipe(data: bytes) -> tuple[VideoInfo, list[Frame], list[str]]:
    receive, send = os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError), os.fdopen(send, "wb") as sink:
            sink.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        with os.fdopen(receive, "rb") as source:
            return read(source)
    finally:
        thread.join()


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.nut"])
def test_pipe_of_another_format(tmp_path: Path, name: str) -> None:
    write_media(tmp_path / name, codec="mpeg2video", times=range(25), time_base=Fraction(1, 25))
    data = (tmp_path / name).read_bytes()
    info, frames, _ = read_pipe(data)
    assert (len(frames), info.width) == (25, 64)
    with (tmp_path / name).open("rb") as source:
        assert len(read(source)[1]) == 25
    assert len(read(io.BytesIO(data))[1]) == 25


LENGTHS: dict[str, tuple[str, dict[str, str]]] = {
    "matroska": ("a.mkv", {}),
    "matroska written to a pipe": ("a.mkv", {"live": "1"}),
    "mp4": ("a.mp4", {"movflags": "faststart"}),
    "mp4 in fragments": ("a.mp4", {"movflags": "frag_keyframe+empty_moov"}),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_pipe_that_was_cut_off(tmp_path: Path, kind: str) -> None:
    name, muxer = LENGTHS[kind]
    write_media(tmp_path / name, sounds=[Sound()], times=range(0, 1600, 40), muxer=muxer, options={"g": "10"})
    data = (tmp_path / name).read_bytes()
    assert len(read_pipe(data)[1]) == 40
    assert len(read(io.BytesIO(data))[1]) == 40
    for part in (0.3, 0.5, 0.98):
        cut = data[: int(len(data) * part)]
        with pytest.raises(InputError, match=r"cut off|damaged"):
            read_pipe(cut)
        with pytest.raises(InputError, match=r"cut off|damaged"):
            read(io.BytesIO(cut))


def test_pipe_of_mp4_with_its_index_at_the_end(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", "noise", width=64, height=48, frames=10)
    with pytest.raises(InputError, match="its index behind its pictures and cannot be read from a pipe"):
        read_pipe((tmp_path / "a.mp4").read_bytes())


def test_lengths_are_found_in_any_pieces(tmp_path: Path) -> None:
    for name, muxer in LENGTHS.values():
        write_media(tmp_path / name, times=(0, 40, 80), muxer=muxer)
        data = (tmp_path / name).read_bytes()
        for step in (1, 7, 4096):
            extent = Extent()
            for place in range(0, len(data) - 9, step):
                extent.push(data[place : min(len(data) - 9, place + step)])
            assert extent.missing == 9
            extent.push(data[-9:])
            assert extent.missing == 0


def test_standard_streams(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.y4m", "pan", width=64, height=48, frames=5, bit_depth=10)
    program = (
        "from lvc.media import VideoReader, VideoWriter\n"
        "with VideoReader('-') as r, VideoWriter('-', r.info) as w:\n"
        "    for f in r: w.write(f)\n"
    )
    data = (tmp_path / "a.y4m").read_bytes()
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    assert done.stdout == data
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("tag", "depth", "location"),
    [("C420jpeg", 8, 2), ("C420mpeg2", 8, 1), ("C420paldv", 8, 3), ("C420", 8, 0), ("C420p10", 10, 0), ("", 8, 0)],
)
def test_y4m_header(tag: str, depth: int, location: int) -> None:
    size = 16 * 16 * 3 // 2 * (depth // 8 + (depth > 8))
    data = f"YUV4MPEG2 W16 H16 F30000:1001 Ip A10:11 {tag} XCOLORRANGE=FULL XYSCSS=X\n".encode()
    info, frames, _ = read(io.BytesIO(data + (b"FRAME Ip\n" + bytes(size)) * 2))
    assert (info.bit_depth, info.colour.chroma_location, info.colour.range) == (depth, location, 2)
    assert (info.frame_rate, info.sample_aspect) == (Fraction(30000, 1001), Fraction(10, 11))
    assert len(frames) == 2


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("location", range(7))
def test_y4m_says_the_position_of_chroma_or_that_it_cannot(depth: int, location: int) -> None:
    """With 10 bits there is no tag for it; left is what players take for granted."""
    stream = io.BytesIO()
    info = VideoInfo(16, 16, depth, frame_rate=Fraction(25), colour=Colour(chroma_location=location))
    warnings = write(stream, info, list(clip_frames("pan", 16, 16, 1, bit_depth=depth)), format="y4m")
    found, _, _ = read(io.BytesIO(stream.getvalue()))
    is_said = found.colour.chroma_location == location or (depth, location) == (10, 1)
    assert warnings == ([] if is_said else ["y4m cannot say the position of chroma samples"])
    assert is_said == (location < (4 if depth == 8 else 2))
    assert found.colour.chroma_location in (0, location)


@pytest.mark.parametrize("colour", [Colour(9, 16, 9, 1, 1), Colour(1, 18, 1), Colour(9, 1, 1), Colour(2, 2, 9)])
def test_y4m_tells_all_that_it_cannot_say_in_one_sentence(colour: Colour) -> None:
    info = VideoInfo(16, 16, 10, frame_rate=Fraction(25), colour=colour, rotation=90)
    with VideoWriter(io.BytesIO(), info, format="y4m") as writer:
        writer.write_side(pack_head(Head(hdr=Hdr(light=(1000, 400)))))
    assert writer.warnings == [
        "y4m cannot say the rotation and colour primaries, transfer and matrix and mastering display and light levels"
    ]
    with VideoWriter(io.BytesIO(), replace(info, colour=Colour(6, 6, 6), rotation=0), format="y4m") as writer:
        writer.write_side(pack_head(Head({"title": "x"})))
    assert writer.warnings == ["y4m holds no audio and no other side streams; they were left out"]


def test_y4m_with_ratios_of_many_digits() -> None:
    """Up to what a file can hold, which is what is written; what is beyond it becomes the nearest, or is refused."""
    stream = io.BytesIO()
    rate = Fraction(2_147_483_647, 2_147_483_646)
    write(stream, VideoInfo(16, 16, frame_rate=rate), list(clip_frames("pan", 16, 16, 1)), format="y4m")
    assert read(io.BytesIO(stream.getvalue()))[0].frame_rate == rate
    found = read(io.BytesIO(stream.getvalue().replace(b"F2147483647", b"F4294967291")))[0].frame_rate
    assert found is not None
    assert float(found) == pytest.approx(4294967291 / 2147483646)
    assert max(found.as_integer_ratio()) < 1 << 31
    with pytest.raises(LimitError, match="a frame rate of 4e"):
        read(io.BytesIO(stream.getvalue().replace(b"F2147483647:2147483646", b"F4000000000:1")))


@pytest.mark.parametrize("depth", [8, 10])
def test_y4m_files_tell_how_long_they_are(depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "in.y4m", width=33, height=17, frames=7, bit_depth=depth)
    data = (tmp_path / "in.y4m").read_bytes()
    for source in (tmp_path / "in.y4m", io.BytesIO(data)):
        with VideoReader(source) as reader:
            assert reader.info.frames == 7
            assert len(list(reader)) == 7
    pipe = io.BytesIO(data)
    monkeypatch.setattr(pipe, "seekable", lambda: False)
    with VideoReader(pipe) as reader:
        assert reader.info.frames is None
        assert len(list(reader)) == 7


def test_y4m_of_other_chroma_goes_to_ffmpeg(tmp_path: Path) -> None:
    data = b"YUV4MPEG2 W32 H16 F25:1 Ip C444\n" + (b"FRAME\n" + bytes(32 * 16 * 3)) * 3
    (tmp_path / "a.y4m").write_bytes(data)
    for source in (tmp_path / "a.y4m", io.BytesIO(data)):
        info, frames, warnings = read(source)
        assert (len(frames), info.width, len(warnings)) == (3, 32, 1)


BAD = {
    "empty": b"",
    "text": b"This is not a video at all, just some words. " * 40,
    "y4m without size": SIGNATURE + b"F25:1\nFRAME\n",
    "y4m with a bad rate": SIGNATURE + b"W16 H16 F25\nFRAME\n",
    "y4m without end of header": SIGNATURE + b"W16" + b" " * 10000,
    "y4m without frames": SIGNATURE + b"W16 H16 F25:1\n",
    "y4m cut off": SIGNATURE + b"W16 H16 F25:1\nFRAME\n" + bytes(100),
    "y4m with junk": SIGNATURE + b"W16 H16 F25:1\nFRAME\n" + bytes(384) + b"JUNK\n" + bytes(400),
    "y4m too small": SIGNATURE + b"W15 H16 F25:1\nFRAME\n" + bytes(400),
    "signature only": SIGNATURE,
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("kind", ["path", "stream"])
def test_bad_input(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "bad.bin"
    path.write_bytes(BAD[name])
    with pytest.raises(InputError) as caught:
        read(path if kind == "path" else io.BytesIO(BAD[name]))
    message = str(caught.value)
    assert not message.endswith(".")
    assert "\n" not in message
    if kind == "path":
        assert "bad.bin" in message


def test_missing_folder_and_audio_only(tmp_path: Path) -> None:
    for source in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(InputError, match=str(tmp_path)):
            VideoReader(source)
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match="no video"):
        VideoReader(tmp_path / "a.wav")


def test_cut_off_avi(tmp_path: Path) -> None:
    write_media(tmp_path / "a.avi", codec="mpeg4", times=range(10), time_base=Fraction(1, 25))
    data = (tmp_path / "a.avi").read_bytes()
    assert len(read(tmp_path / "a.avi")[1]) == 10
    (tmp_path / "b.avi").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cut off"):
        read(tmp_path / "b.avi")


def test_tags_that_are_not_utf8(tmp_path: Path) -> None:
    write_media(tmp_path / "a.mkv", times=(0, 40), tags={"title": "Q" * 20})
    data = (tmp_path / "a.mkv").read_bytes().replace(b"Q" * 20, b"\xff\xfe" * 10)
    (tmp_path / "b.mkv").write_bytes(data)
    with VideoReader(tmp_path / "b.mkv") as reader, VideoWriter(tmp_path / "c.mkv", reader.info) as writer:
        writer.write_side(reader.take_side() or b"")
        for frame in reader:
            writer.write(frame)
    assert len(read(tmp_path / "c.mkv")[1]) == 2


def test_too_large() -> None:
    for size in (b"W16400 H16", b"W16384 H16384", b"W999999 H999999"):
        with pytest.raises(LimitError):
            VideoReader(io.BytesIO(SIGNATURE + size + b" F25:1\nFRAME\n"))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.mov"])
def test_cut_off_files_are_refused(tmp_path: Path, name: str) -> None:
    make_clip(tmp_path / name, "noise", width=64, height=48, frames=10)
    data = (tmp_path / name).read_bytes()
    for part in (0.05, 0.5, 0.98):
        (tmp_path / f"cut-{name}").write_bytes(data[: int(len(data) * part)])
        with pytest.raises(InputError):
            read(tmp_path / f"cut-{name}")


class _FoundLate:
    """A container that shows a stream nobody knew of only at its end, as PyAV does."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self.size, self.format, self.streams = container.size, container.format, container.streams

    def demux(self, *streams: Any) -> Iterator[Any]:
        yield from self._container.demux(*streams)
        raise IndexError("list index out of range")


def test_streams_that_begin_late_are_left_out(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", frames=4)
    warnings: list[str] = []
    with av.open(tmp_path / "clip.mkv") as container:
        late: Any = _FoundLate(container)
        decoding = Decoding(late, container.streams.video[0], lambda _: None, "clip.mkv", warnings, None)
        assert len(list(decoding)) == 4
    assert warnings == ["streams that begin so late that they were not found at the start were left out"]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_text_behind_the_last_box(tmp_path: Path, name: str) -> None:
    """Is no box, and nothing is missing of it; what is missing before is still seen."""
    make_clip(tmp_path / name, frames=3)
    whole = (tmp_path / name).read_bytes()
    trailed = whole + b"some trailing text at the end"
    (tmp_path / name).write_bytes(trailed)
    assert len(read(tmp_path / name)[1]) == 3
    assert missing_bytes(io.BytesIO(trailed), len(trailed)) == 0
    assert missing_bytes(io.BytesIO(whole[:-10]), len(whole) - 10) == 10
