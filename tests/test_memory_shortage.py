"""Memory that does not suffice: one sentence, a status of its own, and no output."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lvc
from lvc import api
from lvc.container import FrameRecord, Gop
from lvc.errors import OutOfMemoryError
from lvc.group_decoder import GroupDecoder
from lvc.memory import enough_memory
from lvc.workers import Call, Workers
from tests.clips import clip_info
from tests.command_line import run
from tests.container_files import HEADER, write
from tests.models import tiny_bytes, tiny_model
from tests.worker_calls import too_large

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
