"""Where video goes: bad outputs, pipes, full disks, files that are written on."""

import errno
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lvc.errors import OutputError
from lvc.media import VideoWriter
from lvc.output import replacing
from tests.clips import clip_frames, clip_info, make_clip
from tests.test_media_streams import read, write


def test_bad_output(tmp_path: Path) -> None:
    info = clip_info(64, 48, 2)
    for arguments in (
        {"destination": tmp_path / "a.avi2"},
        {"destination": tmp_path / "none" / "a.mp4"},
        {"destination": tmp_path / "a.mp4", "codec": "no_such_codec"},
        {"destination": tmp_path / "a.mp4", "codec": "aac"},
        {"destination": tmp_path / "a.mkv", "codec": "pcm_s16le"},
        {"destination": tmp_path / "a.mkv", "codec": "subrip"},
        {"destination": tmp_path / "a.webm", "codec": "libx264"},
        {"destination": tmp_path / "a.mp4", "lossless": True},
        {"destination": tmp_path / "a.y4m", "lossless": True},
        {"destination": io.BytesIO(), "format": "mov", "lossless": True},
        {"destination": tmp_path / "a.mp4", "format": "tiff"},
        {"destination": tmp_path / "a.y4m", "crf": 12},
        {"destination": tmp_path},
    ):
        with pytest.raises(OutputError) as caught:
            VideoWriter(info=info, **arguments)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("form", ["y4m", "mkv", "mp4"])
def test_disk_full(form: str, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(OutputError, match="the disk is full"),
        VideoWriter("/dev/full", clip_info(64, 48, 2), format=form) as out,
    ):
        for frame in clip_frames("noise", 64, 48, 8):
            out.write(frame)
    assert capfd.readouterr() == ("", "")


class _Faulty(io.BytesIO):
    """One write fails; those behind it do not."""

    writes = 0
    fails = 0

    def write(self, data: Any, /) -> int:
        self.writes += 1
        if self.writes == self.fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("form", ["mkv", "mp4"])
def test_no_error_of_a_write_is_lost(form: str) -> None:
    frames = list(clip_frames("noise", 64, 48, 8))
    write(whole := _Faulty(), clip_info(64, 48, 8), frames, format=form)
    assert whole.writes > 2
    for number in range(1, whole.writes + 1):
        faulty = _Faulty()
        faulty.fails = number
        with pytest.raises(OutputError, match="the disk is full"):
            write(faulty, clip_info(64, 48, 8), frames, format=form)


@pytest.mark.parametrize("form", ["y4m", "mkv"])
def test_closed_pipe(form: str) -> None:
    receive, send = os.pipe()
    os.close(receive)
    with (
        os.fdopen(send, "wb", buffering=0) as sink,
        pytest.raises(OutputError, match="closed the pipe"),
        VideoWriter(sink, clip_info(64, 48, 2), format=form) as out,
    ):
        for frame in clip_frames("noise", 64, 48, 40):
            out.write(frame)


def test_mp4_into_a_pipe(tmp_path: Path) -> None:
    receive, send = os.pipe()
    parts: list[bytes] = []

    def drain() -> None:
        with os.fdopen(receive, "rb") as source:
            parts.append(source.read())

    thread = threading.Thread(target=drain)
    thread.start()
    with os.fdopen(send, "wb") as sink:
        write(sink, clip_info(64, 48, 5), list(clip_frames("pan", 64, 48, 5)), format="mp4")
    thread.join()
    assert len(read(io.BytesIO(parts[0]))[1]) == 5


@pytest.mark.parametrize("form", ["mp4", "mkv"])
@pytest.mark.parametrize(("mode", "before"), [("ab", b""), ("ab", b"before"), ("wb", b"before"), ("wb", b"")])
def test_files_that_are_written_on(tmp_path: Path, form: str, mode: str, before: bytes) -> None:
    """FFmpeg must not go back to their beginning, or to where it takes it to be."""
    path = tmp_path / f"on.{form}"
    with path.open(mode) as target:
        target.write(before)
        target.flush()
        write(target, clip_info(32, 32, 3), list(clip_frames("pan", 32, 32, 3)), format=form)
        target.write(b"after")
    data = path.read_bytes()
    assert data.startswith(before)
    assert data.endswith(b"after")
    path.write_bytes(data[len(before) : -5])
    assert len(read(path)[1]) == 3


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="there is no /dev/fd")
def test_the_name_of_an_open_pipe(tmp_path: Path) -> None:
    """As shells make them of ``>(command)``."""
    make_clip(tmp_path / "clip.mkv", width=32, height=32, frames=2)
    ours, theirs = os.pipe()
    with open(ours, "rb") as stream, ThreadPoolExecutor(1) as pool:
        got = pool.submit(stream.read)
        try:
            with replacing(f"/dev/fd/{theirs}") as path:
                path.write_bytes(b"all of it")
        finally:
            os.close(theirs)
        assert got.result() == b"all of it"


@pytest.mark.parametrize("form", ["y4m", "mkv", "mp4"])
def test_what_can_only_be_written_to(tmp_path: Path, form: str) -> None:
    """No stream of Python's, but it takes bytes."""

    class Sink:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> int:
            self.data += bytes(data)
            return len(data)

    sink = Sink()
    write(sink, clip_info(32, 32, 3), list(clip_frames("pan", 32, 32, 3)), format=form)
    (tmp_path / f"out.{form}").write_bytes(sink.data)
    assert len(read(tmp_path / f"out.{form}")[1]) == 3
