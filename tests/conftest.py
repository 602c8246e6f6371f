"""What holds for all tests."""

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import lvc
from lvc import api
from lvc.encoder import EncodeResult
from tests.clips import make_clip
from tests.command_line import Call
from tests.container_files import SMALL
from tests.raw_clip import y4m
from tests.trainings import FRAMES, SIDE

# Shells start background jobs with Ctrl-C ignored, nohup with hang-ups ignored; what tests start would inherit this.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Tests that run beside each other share the cores; what they start (commands, workers) decides for itself.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums of gradients depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to train from."""
    folder = tmp_path_factory.mktemp("clips")
    for kind in ("mix", "textures"):
        make_clip(folder / f"{kind}.y4m", kind, width=SIDE, height=SIDE, frames=FRAMES)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A whole file in the least bytes."""
    path = tmp_path / "small.lvc"
    path.write_bytes(SMALL)
    return path


@pytest.fixture(scope="session")
def clip() -> bytes:
    """Raw video of a few small pictures."""
    return y4m()


@pytest.fixture(scope="session")
def coded(clip: bytes) -> bytes:
    """The same clip in two groups of three frames."""
    sink = io.BytesIO()
    lvc.encode(io.BytesIO(clip), sink, keyint=3, quality=30, preset="fast", device="cpu")
    return sink.getvalue()


@pytest.fixture
def folder(tmp_path: Path, clip: bytes, coded: bytes) -> Path:
    """Where both lie as files."""
    (tmp_path / "clip.y4m").write_bytes(clip)
    (tmp_path / "clip.lvc").write_bytes(coded)
    return tmp_path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Calls of encode, decode and verify, which do nothing."""
    seen: list[Call] = []

    def record(result: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            seen.append(Call(arguments, options))
            return result

        return call

    for name in ("decode", "verify"):
        monkeypatch.setattr(api, name, record(api.DecodeResult(7, False, ())))
    monkeypatch.setattr(api, "encode", record(EncodeResult(frames=7)))
    return seen
