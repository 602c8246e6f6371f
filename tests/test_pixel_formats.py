"""Pictures that are not stored as they are coded: what encoding them tells, and that samples in another order stay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import Result

from lvc.media import VideoReader
from lvc.media.decoding import Decoding
from lvc.media.pictures import picture_of
from tests.clips import clip_frames
from tests.command_line import run
from tests.models import tiny_bytes

SIDE, FRAMES = 32, 3
PLAIN = {8: "yuv420p", 10: "yuv420p10le"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.lvcm"
    path.write_bytes(tiny_bytes())
    return path


def encode(model: Path, source: Path) -> Result:
    options = ["--model", model, "--device", "cpu", "--threads", 1]
    result = run("encode", source, source.with_suffix(".lvc"), "--preset", "fast", *options)
    assert result.exit_code == 0, result.output
    return result


def warnings(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if "warning" in line]


def write_raw(path: Path, bit_depth: int, pix_fmt: str) -> None:
    """The same pictures of that depth, in any order of their samples."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, pix_fmt
        for frame in clip_frames("pan", SIDE, SIDE, FRAMES, bit_depth=bit_depth):
            container.mux(stream.encode(picture_of(frame.planes, bit_depth, SIDE, SIDE).reformat(format=pix_fmt)))
        container.mux(stream.encode(None))


def check_same(model: Path, source: Path, plain: Path, bit_depth: int) -> None:
    """Nothing is told of the source, and it becomes the same file as the plain one."""
    coded, decoded = source.with_suffix(".lvc"), source.with_suffix(".y4m")
    assert not warnings(encode(model, source))
    assert coded.read_bytes() == plain.with_suffix(".lvc").read_bytes()
    result = run("decode", coded, decoded, "--model", model, "--device", "cpu", "--threads", 1)
    assert result.exit_code == 0, result.output
    assert not warnings(result)
    with VideoReader(decoded) as reader:
        assert (reader.info.bit_depth, len(list(reader))) == (bit_depth, FRAMES)


def test_more_chroma_is_told_once(tmp_path: Path, model: Path) -> None:
    source = tmp_path / "in.y4m"
    samples = np.random.default_rng(0).integers(16, 236, (FRAMES, SIDE * SIDE * 3), np.uint8)
    frames = b"".join(b"FRAME\n" + picture.tobytes() for picture in samples)
    source.write_bytes(f"YUV4MPEG2 W{SIDE} H{SIDE} F25:1 Ip A1:1 C444\n".encode() + frames)
    told = warnings(encode(model, source))
    assert told == ["lvc: warning: the video was converted from yuv444p to yuv420p"]


@pytest.mark.parametrize(("pix_fmt", "bit_depth"), [("nv12", 8), ("nv21", 8), ("yuv420p10be", 10)])
def test_another_order_is_no_change(tmp_path: Path, model: Path, pix_fmt: str, bit_depth: int) -> None:
    plain, source = tmp_path / "plain.nut", tmp_path / "in.nut"
    write_raw(plain, bit_depth, PLAIN[bit_depth])
    write_raw(source, bit_depth, pix_fmt)
    with av.open(str(source)) as container:
        assert next(container.decode(video=0)).format.name == pix_fmt
    encode(model, plain)
    check_same(model, source, plain, bit_depth)


@pytest.mark.parametrize("pix_fmt", ["p010le", "p010be"])
def test_the_order_of_decoders_in_hardware(
    tmp_path: Path, model: Path, pix_fmt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file has it."""

    class Hardware(Decoding):
        def __iter__(self) -> Iterator[av.VideoFrame]:
            for picture in super().__iter__():
                other = picture.reformat(format=pix_fmt)
                other.pts, other.time_base, other.duration = picture.pts, picture.time_base, picture.duration
                yield other

    plain, source = tmp_path / "plain.nut", tmp_path / "in.nut"
    write_raw(plain, 10, PLAIN[10])
    write_raw(source, 10, PLAIN[10])
    encode(model, plain)
    monkeypatch.setattr("lvc.media.reader.Decoding", Hardware)
    check_same(model, source, plain, 10)
