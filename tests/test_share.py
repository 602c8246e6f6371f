"""One encode shared by several processes: the same bytes as from one, whoever dies."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import lvc
from lvc import share
from lvc.cli import main
from lvc.errors import LvcError, OutputError
from lvc.progress import Progress
from lvc.share import Share, SharedFolder
from tests.clips import make_clip
from tests.media_files import Sound, write_media
from tests.models import tiny_bytes

FRAMES = 15
KEYINT = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of five groups, and what one process makes of it."""
    folder = tmp_path_factory.mktemp("share")
    (folder / "tiny.lvcm").write_bytes(tiny_bytes())
    make_clip(folder / "in.y4m", "pan", width=32, height=32, frames=FRAMES)
    lvc.encode(folder / "in.y4m", folder / "whole.lvc", **options(folder))
    return folder


def options(folder: Path) -> dict:
    return {"keyint": KEYINT, "model": folder / "tiny.lvcm", "device": "cpu", "preset": "fast"}


def command(folder: Path, target: Path) -> list[str]:
    """The same as a module to run, with its arguments."""
    fixed = ["--keyint", str(KEYINT), "--model", str(folder / "tiny.lvcm"), "--device", "cpu", "--preset", "fast"]
    return ["-m", "lvc", "encode", str(folder / "in.y4m"), str(target), *fixed]


def other(folder: Path, target: Path, rank: int, size: int = 2) -> subprocess.Popen:
    """A process of the command line."""
    environment = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(size)}
    return subprocess.Popen([sys.executable, *command(folder, target)], env=environment)


def claims(tmp_path: Path, rank: int) -> list[Path]:
    return [path for path in tmp_path.glob(".out.*.parts/*.claim") if f"rank {rank}," in path.read_text()]


def test_two_processes(folder: Path, tmp_path: Path) -> None:
    """Process 0 is slow at its first group, until the other one has taken another."""
    target = tmp_path / "out.lvc"
    helped: list[Path] = []
    reports: list[Progress] = []

    def wait(progress: Progress) -> None:
        if not reports:  # before, it might have been ready with all of it
            started.append(stack.enter_context(other(folder, target, 1)))
        reports.append(progress)
        while not helped and started[0].poll() is None:
            helped.extend(claims(tmp_path, 1))
            time.sleep(0.01)

    started: list[subprocess.Popen] = []
    with contextlib.ExitStack() as stack:
        result = lvc.encode(folder / "in.y4m", target, share=Share(0, 2), progress=wait, **options(folder))
        assert started[0].wait() == 0
    assert helped
    assert result.frames == reports[-1].frames == FRAMES
    assert reports[-1].media_seconds == pytest.approx(FRAMES / 25)
    assert 0.5 * result.bytes < reports[-1].bytes < result.bytes
    assert [report.frames for report in reports] == sorted(report.frames for report in reports)
    assert result.bytes == target.stat().st_size == sum(result.parts.values())
    assert target.read_bytes() == (folder / "whole.lvc").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.lvc"]


def test_torchrun(folder: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    encode = [*command(folder, tmp_path / "out.lvc"), "--json", "--quiet"]
    done = subprocess.run([*torchrun, *encode], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (result,) = (json.loads(line) for line in done.stdout.splitlines())
    assert result["frames"] == FRAMES
    assert (tmp_path / "out.lvc").read_bytes() == (folder / "whole.lvc").read_bytes()


def test_torchrun_over_machines(folder: Path, tmp_path: Path) -> None:
    """Of which there are two, by what they are told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    torchrun += ["--rdzv-backend", "c10d", "--rdzv-endpoint", place, "--local-addr", "127.0.0.1"]
    encode = [*torchrun, *command(folder, tmp_path / "out.lvc"), "--json", "--quiet"]
    with contextlib.ExitStack() as stack:
        machines = [stack.enter_context(subprocess.Popen(encode, stdout=subprocess.PIPE)) for _ in range(2)]
        for machine in machines:
            stack.callback(machine.kill)  # else a failure would wait for the other one
        told = [machine.communicate(timeout=180)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    (result,) = (json.loads(line) for lines in told for line in lines.splitlines())
    assert result["frames"] == FRAMES
    assert (tmp_path / "out.lvc").read_bytes() == (folder / "whole.lvc").read_bytes()


def test_a_process_that_is_killed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "DEAD_SECONDS", 1.0)
    target = tmp_path / "out.lvc"
    killed: list[Path] = []

    def kill(_: Progress) -> None:
        if not started:
            started.append(stack.enter_context(other(folder, target, 1)))
        while not killed and started[0].poll() is None:
            killed.extend(claims(tmp_path, 1))
            time.sleep(0.001)
        started[0].kill()

    started: list[subprocess.Popen] = []
    with contextlib.ExitStack() as stack:
        result = lvc.encode(folder / "in.y4m", target, share=Share(0, 2), progress=kill, **options(folder))
    assert killed
    assert result.frames == FRAMES
    assert target.read_bytes() == (folder / "whole.lvc").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.lvc"]


def test_an_interrupted_one_goes_on(folder: Path, tmp_path: Path) -> None:
    """With all results but a damaged one; nothing is under the final name before."""
    target = tmp_path / "out.lvc"
    counts: list[int] = []

    def stop(progress: Progress) -> None:
        if progress.frames == 3 * KEYINT + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lvc.encode(folder / "in.y4m", target, share=Share(0, 2), progress=stop, **options(folder))
    assert not target.exists()
    results = sorted(tmp_path.glob(".out.*.parts/?.lvc"))
    assert [path.name for path in results] == ["0.lvc", "1.lvc", "2.lvc"]
    results[1].write_bytes(results[1].read_bytes()[:-30])
    report = {"progress": lambda progress: counts.append(progress.frames)}
    lvc.encode(folder / "in.y4m", target, share=Share(0, 2), **report, **options(folder))
    assert counts == [*range(2 * KEYINT + 1, FRAMES + 1)]
    assert target.read_bytes() == (folder / "whole.lvc").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.lvc"]


def test_who_comes_late(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "START_SECONDS", 0.0)
    with pytest.raises(LvcError, match="process 0 of this encode has not begun"):
        lvc.encode(folder / "in.y4m", tmp_path / "out.lvc", share=Share(1, 2), **options(folder))
    (tmp_path / "out.lvc").write_bytes(b"done")
    assert lvc.encode(folder / "in.y4m", tmp_path / "out.lvc", share=Share(1, 2), **options(folder)).frames == 0
    assert (tmp_path / "out.lvc").read_bytes() == b"done"


def test_side_streams(folder: Path, tmp_path: Path) -> None:
    write_media(tmp_path / "in.mkv", times=[40 * n for n in range(8)], size=(32, 32), sounds=[Sound(seconds=0.3)])
    lvc.encode(tmp_path / "in.mkv", tmp_path / "one.lvc", **options(folder))
    lvc.encode(tmp_path / "in.mkv", tmp_path / "two.lvc", share=Share(0, 2), **options(folder))
    assert (tmp_path / "one.lvc").read_bytes() == (tmp_path / "two.lvc").read_bytes()


def test_errors_leave_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.y4m").write_bytes((folder / "in.y4m").read_bytes()[:-10])
    with pytest.raises(LvcError):
        lvc.encode(tmp_path / "in.y4m", tmp_path / "out.lvc", share=Share(0, 2), **options(folder))
    assert [path.name for path in tmp_path.iterdir()] == ["in.y4m"]


def test_warnings_are_told(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "in.y4m").read_bytes().split(b"FRAME")
    luma = 32 * 32
    header = lines[0].split(b" C")[0]
    frames = b"".join(b"FRAME\n" + bytes(3 * luma) for _ in range(3))
    (tmp_path / "in.y4m").write_bytes(header + b" C444\n" + frames)
    said: list[str] = []
    lvc.encode(tmp_path / "in.y4m", tmp_path / "one.lvc", warn=said.append, **options(folder))
    alone = list(said)
    assert alone
    said.clear()
    lvc.encode(tmp_path / "in.y4m", tmp_path / "two.lvc", warn=said.append, share=Share(0, 2), **options(folder))
    assert said == alone


def test_a_folder_that_fails_is_an_output_error(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SharedFolder, "claim", full)
    with pytest.raises(OutputError, match="parts: the disk is full"):
        lvc.encode(folder / "in.y4m", tmp_path / "out.lvc", share=Share(0, 2), **options(folder))


# The folder


def test_there_is_one_process_0(tmp_path: Path) -> None:
    with SharedFolder(tmp_path / "parts", Share(0, 2)) as first:
        assert first.claim(0)
        with pytest.raises(OutputError, match="another process 0"), SharedFolder(tmp_path / "parts", Share(0, 2)):
            pass
        assert not first.claim(0)
    with SharedFolder(tmp_path / "parts", Share(0, 2)):
        pass
    assert not (tmp_path / "parts").exists()


def test_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(share, "DEAD_SECONDS", 2.0)
    path = tmp_path / "parts"
    with SharedFolder(path, Share(0, 2)) as first:
        with SharedFolder(path, Share(1, 2)) as second:
            assert second.is_open()
            assert second.claim(0)
            assert not first.claim(0)
            assert first.claim(1)
            until = time.monotonic() + 3.0
            while time.monotonic() < until:
                assert not first.is_given_up(0), "its process lives"
                time.sleep(0.02)
            second.finish(0, lambda file: file.write_bytes(b"result"))
            assert first.result(0).read_bytes() == b"result"
            assert not first.is_given_up(0)
            assert second.claim(2)
        assert first.is_given_up(2), "leaving gives up what was taken"
        (path / "3.claim").write_text("of one that is dead")
        until = time.monotonic() + 10
        while not first.is_given_up(3):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert first.claim(3)
    assert not path.exists()


def test_what_the_environment_says() -> None:
    assert Share.from_environment({}) is None
    assert Share.from_environment({"WORLD_SIZE": "1", "RANK": "0"}) is None
    assert Share.from_environment({"WORLD_SIZE": "4", "RANK": "3"}) == Share(3, 4)
    for wrong in ({"WORLD_SIZE": "2", "RANK": "2"}, {"WORLD_SIZE": "two"}, {"WORLD_SIZE": "0"}):
        with pytest.raises(LvcError, match="make no sense"):
            Share.from_environment(wrong)


def test_wrong_usage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    for arguments in (["-"], [str(folder / "x.lvc"), "--resume"], [str(folder / "x.lvc"), "--workers", "2"]):
        result = CliRunner().invoke(main, ["encode", str(folder / "in.y4m"), *arguments])
        assert result.exit_code == 2
        assert "several processes share this encode" in " ".join(result.stderr.split())
    missing = CliRunner().invoke(main, ["encode", str(folder / "none.y4m"), str(folder / "x.lvc"), "-n"])
    assert missing.exit_code == 3  # -n is for the process that writes the output
    with pytest.raises(ValueError, match="shared out"):
        lvc.encode(folder / "in.y4m", folder / "x.lvc", share=Share(0, 2), workers=2)
