"""Memory that does not suffice: one sentence, a status of its own, and no output."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

import lvc
from lvc import api
from lvc.container import FrameRecord, Gop
from lvc.errors import OutOfMemoryError
from lvc.exact import product
from lvc.group_decoder import GroupDecoder
from lvc.media import VideoReader, VideoWriter, collector, matroska, sideoutput
from lvc.media.decoding import Decoding
from lvc.media.encoders import Encoder, check_encoder
from lvc.media.filters import Comparison
from lvc.memory import enough_memory
from lvc.workers import Call, Workers
from tests.clips import clip_info
from tests.command_line import run
from tests.container_files import HEADER, write
from tests.models import tiny_bytes, tiny_model
from tests.worker_calls import double, length, limit, too_large, zeros

TORCH = "[enforce fail] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\nframe #0"
LIMITED = """
import resource, sys
from pathlib import Path
from lvc.cli import main
options = ["--model", "tiny.lvcm", "--threads", "1", "--device", "cpu", "--quiet"]
try:
    main(["verify", "small.lvc", *options])
except SystemExit as loaded:
    assert loaded.code == 9, "there is no such picture, but all that is needed was loaded"
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (32 << 20),) * 2)
main(["verify", "large.lvc", *options])
"""


def fail(error: Exception) -> Callable[..., None]:
    def failing(*_: object, **__: object) -> None:
        raise error

    return failing


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: bytearray(1 << 62),
        lambda: np.empty(1 << 58),
        lambda: torch.empty(1 << 58),
        fail(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")),
        fail(RuntimeError("CUDA error: out of memory")),
        fail(RuntimeError("can't start new thread")),
        fail(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))),
        fail(av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")),
    ],
)
def test_all_ways_to_say_it(allocate: Callable[[], object]) -> None:
    info = clip_info(64, 48, 3)
    sized = "not enough memory for pictures of 64x48: "
    with pytest.raises(OutOfMemoryError, match=sized) as caught, enough_memory(info):
        allocate()
    assert ("the GPU" in str(caught.value)) is ("CUDA" in str(caught.value.__cause__))
    with pytest.raises(OutOfMemoryError, match="not enough memory: "), enough_memory():
        allocate()


def test_other_errors_stay() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), enough_memory():
        raise RuntimeError("shapes differ")
    with pytest.raises(FileNotFoundError), enough_memory():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def test_no_way_to_multiply_is_found_wrong_for_want_of_memory() -> None:
    example = product._Example.of(True, *product._SMALL)
    assert not product._is_exact(fail(RuntimeError("not here")), example)
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        product._is_exact(fail(RuntimeError(TORCH)), example)


def packets_of(stream: Any, *packets: Any) -> Decoding:
    """What decodes them, or fails where one of them is to be read."""
    container: Any = SimpleNamespace(format=SimpleNamespace(flags=0, name="matroska"))
    container.demux = (lambda *_: iter(packets)) if packets else fails_at_once
    return Decoding(container, stream, None, "x", [], None)


def fails_at_once(*_: object) -> Any:
    return map(FFMPEG_FAILS, [None])


FFMPEG_FAILS = fail(av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory"))
STREAM = SimpleNamespace(index=0, codec_context=SimpleNamespace(name="h264"), decode=FFMPEG_FAILS)
PACKET = SimpleNamespace(pos=None, pts=None, dts=None, size=9, stream=STREAM)


def write_so(folder: Path, _: pytest.MonkeyPatch) -> None:
    with VideoWriter(folder / "out.mkv", clip_info(64, 48, 1)) as writer, writer._errors():
        FFMPEG_FAILS()


def open_so(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(av, "open", FFMPEG_FAILS)
    VideoReader(folder / "in.mkv")


def compare_so(_: Path, __: pytest.MonkeyPatch) -> None:
    comparison = Comparison("ssim", 64, 64, 8)
    comparison._sink = SimpleNamespace(pull=FFMPEG_FAILS)
    comparison._pull()


def hold_so(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(av, "open", FFMPEG_FAILS)
    sideoutput._holds("mp4", STREAM)


def fit_so(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(collector, "_matroska", FFMPEG_FAILS)
    collector._fits(STREAM)


def locate_so(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matroska, "matroska_head", FFMPEG_FAILS)
    matroska.chroma_location(STREAM)


def begin_so(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("lvc.media.encoders.add_video_stream", FFMPEG_FAILS)
    check_encoder("matroska", Encoder("ffv1", 64, 48), clip_info(64, 48, 1))


@pytest.mark.parametrize(
    "work",
    [
        lambda *_: list(packets_of(STREAM)),
        lambda *_: list(packets_of(STREAM, PACKET)),
        write_so,
        open_so,
        compare_so,
        hold_so,
        fit_so,
        locate_so,
        begin_so,
    ],
)
def test_ffmpeg_tells_it(
    tmp_path: Path, work: Callable[[Path, pytest.MonkeyPatch], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither a damaged source nor an output that cannot be written."""
    (tmp_path / "in.mkv").write_bytes(b"video")
    with pytest.raises(OutOfMemoryError), enough_memory():
        work(tmp_path, monkeypatch)


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits of address space")
def test_a_small_file_of_large_pictures(tmp_path: Path) -> None:
    """A few bytes tell of 4096x4096 samples."""
    (tmp_path / "tiny.lvcm").write_bytes(tiny_bytes())
    for name, size in (("small", 64), ("large", 4096)):
        info = replace(HEADER.info, width=size, height=size)
        empty = Gop((FrameRecord(0, 1, 0, 60, 0, b""),))
        data = write(empty, header=replace(HEADER, model_id=tiny_model().id, info=info))
        assert len(data) < 200
        (tmp_path / f"{name}.lvc").write_bytes(data)
    done = subprocess.run([sys.executable, "-c", LIMITED], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 10, done.stderr
    _, told = done.stderr.splitlines()
    assert told.startswith("lvc: error: large.lvc: there is not enough memory for pictures of 4096x4096: ")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError(TORCH)])
def test_commands_leave_no_output(folder: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(folder.iterdir())
    monkeypatch.setattr(GroupDecoder, "decode", fail(error))
    monkeypatch.setattr("lvc.encoder.encode_stream", fail(error))
    for command, source, target in (("decode", "clip.lvc", "out.mp4"), ("encode", "clip.y4m", "out.lvc")):
        result = run(command, folder / source, folder / target, "--quiet")
        assert result.exit_code == 10
        assert "there is not enough memory for pictures of " in result.stderr
        assert result.stderr.count("\n") == 1
        assert sorted(folder.iterdir()) == before
    named = r"clip\.lvc: there is not enough memory"
    with lvc.open(folder / "clip.lvc") as video, pytest.raises(OutOfMemoryError, match=named):
        list(video)


def test_any_command_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "inspect", fail(MemoryError()))
    result = run("info", "x")
    assert result.exit_code == 10
    assert result.stderr.startswith("lvc: error: there is not enough memory: ")


@pytest.mark.parametrize("message", ["", TORCH])
def test_workers_tell_it(message: str) -> None:
    with (
        Workers(1, "tests.worker_calls") as workers,
        pytest.raises(OutOfMemoryError, match="there is not enough memory: "),
        enough_memory(),
    ):
        list(workers.in_order([(0, Call(too_large, (message,)))]))


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits of address space")
@pytest.mark.parametrize("large", [Call(length, (bytes(96 << 20),)), Call(zeros, (40 << 20,))])
def test_workers_without_memory_for_a_call_or_its_result_tell_it(large: Call) -> None:
    """They neither wait for ever nor die."""
    calls = [Call(length, (b"small",)), Call(limit, (64 << 20,)), large]
    told = []
    with Workers(1, "tests.worker_calls") as workers, pytest.raises(MemoryError):
        for _, result in workers.in_order(enumerate(calls)):
            told.append(result)
    assert told == [5, None]


def test_workers_without_memory_for_what_they_import_tell_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vast.py").write_text("bytearray(1 << 62)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with Workers(1, "vast") as workers, pytest.raises(MemoryError):
        list(workers.in_order([(0, Call(double, (4,)))]))
    assert not capfd.readouterr().err


def test_workers_that_cannot_be_started_tell_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", fail(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))))
    with pytest.raises(OutOfMemoryError), enough_memory(), Workers(1, "tests.worker_calls"):
        pass
