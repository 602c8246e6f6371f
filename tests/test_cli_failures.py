"""Failures and interruptions: messages and exit statuses."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lvc
from lvc import api, errors
from tests.command_line import run, start
from tests.container_files import FIRST_CHUNK, SMALL


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (None, 3, "No such file or directory"),
        (b"", 5, "truncated"),
        (b"hello", 4, "not a .lvc file: its signature is missing (at byte 0)"),
        (SMALL[:20] + b"?" + SMALL[21:], 4, "damaged header: wrong checksum (at byte 8)"),
        (SMALL[:40], 5, "truncated"),
    ],
)
def test_bad_files(tmp_path: Path, data: bytes | None, status: int, message: str) -> None:
    path = tmp_path / "bad.lvc"
    if data is not None:
        path.write_bytes(data)
    result = run("info", path)
    assert result.exit_code == status
    assert result.stderr.startswith(f"lvc: error: {path}: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout
    if data is not None:
        result = run("info", "-", stdin=data)
        assert result.exit_code == status
        assert result.stderr.startswith("lvc: error: standard input: ")


def test_the_damaged_one_of_several_files_is_named(small: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.lvc"
    bad.write_bytes(SMALL[: FIRST_CHUNK + 100] + b"?" + SMALL[FIRST_CHUNK + 101 :])
    for sources in ([small, bad], [bad, small], [small, bad, small]):
        result = run("cat", *sources, "-o", tmp_path / "out.lvc")
        assert result.exit_code == 4
        assert result.stderr.startswith(f"lvc: error: {bad}: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["info", "FILE"], ["info", "FILE", "--json"], ["models"], ["--version"], ["-h"]])
def test_results_on_a_full_disk(small: Path, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        command = [str(small) if argument == "FILE" else argument for argument in arguments]
        with start(*command, stdout=full) as process:
            assert process.stderr is not None
            assert process.stderr.read() == b"lvc: error: the output cannot be written: the disk is full\n"
        assert process.returncode == 8


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disks(folder: Path) -> None:
    for arguments in (["encode", folder / "clip.y4m"], ["decode", folder / "clip.lvc", "--format", "y4m"]):
        result = run(arguments[0], arguments[1], "/dev/full", *arguments[2:], "--quiet")
        assert result.exit_code == 8
        assert result.stderr.startswith("lvc: error: /dev/full: ")


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writes behind that fail, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("closed", "arguments", "status", "said"),
    [
        ("<&-", "encode - out.lvc", 3, b"lvc: error: standard input: there is nothing in it\n"),
        ("<&-", "encode clip.y4m clip.lvc", 8, b"lvc: error: clip.lvc: the file exists and is not to be replaced"),
        (">&-", "decode clip.lvc -", 8, b"lvc: error: the output: Bad file descriptor\n"),
        (">&-", "info clip.lvc", 8, b"lvc: error: the output cannot be written: Bad file descriptor\n"),
        ("2>&-", "decode clip.lvc out.y4m", 0, b""),
        ("<&- >&- 2>&-", "verify clip.lvc", 8, b""),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="only shells of Unix close standard streams")
def test_standard_streams_that_are_closed(folder: Path, closed: str, arguments: str, status: int, said: bytes) -> None:
    """Pictures do not go to a file that took the place of one of them."""
    command = f"'{sys.executable}' -m lvc {arguments} {closed}"
    done = subprocess.run(["sh", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == status
    assert done.stdout == b""
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
    assert (folder / "out.y4m").exists() == (status == 0)


def test_temporary_files_that_do_not_fit(folder: Path) -> None:
    """It is said where they are."""
    with files_of_at_most(400):
        result = run("encode", folder / "clip.y4m", folder / "out.lvc", "--target-psnr", 34, "-y", "--quiet")
    assert result.exit_code == 8
    assert "TMPDIR names another folder for temporary files" in result.stderr
    assert not (folder / "out.lvc").exists()


@pytest.mark.parametrize("name", ["out.lvc", "out.y4m", "out.mp4", "out.mkv"])
@pytest.mark.parametrize("old", [None, b"old"])
def test_files_that_do_not_fit(folder: Path, name: str, old: bytes | None) -> None:
    """Nothing is left of them, and what was there before stays."""
    if old is not None:
        (folder / name).write_bytes(old)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    command = ["encode", folder / "clip.y4m"] if name == "out.lvc" else ["decode", folder / "clip.lvc"]
    with files_of_at_most(400):
        result = run(*command, folder / name, "-y", "--quiet")
    assert result.exit_code == 8
    assert result.stderr.startswith(f"lvc: error: {folder / name}: ")
    assert result.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_any_error_of_the_library_has_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, lvc.LvcError)]
    for kind in kinds:

        def fail(_: object, kind: type[lvc.LvcError] = kind) -> None:
            raise kind("Something is wrong.")

        monkeypatch.setattr(api, "inspect", fail)
        result = run("info", "x")
        assert result.exit_code == kind.exit_status
        assert result.stderr == "lvc: error: Something is wrong\n"


def test_missing_input_leaves_no_output(tmp_path: Path) -> None:
    result = run("decode", tmp_path / "missing.lvc", tmp_path / "out.mp4")
    assert result.exit_code == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number: signal.Signals, status: int) -> None:
    program = (
        "import lvc.cli, lvc.api; lvc.api.inspect = lambda _: (print('ready', flush=True), input()); lvc.cli.main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "info", "x"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(120) == status
        assert b"Traceback" not in process.stderr.read()


def test_a_reader_that_has_gone_is_no_error(small: Path) -> None:
    with start("info", small, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(120) == 141
        assert process.stderr.read() == b""


def test_loops_that_must_not_be_compiled_are_told_in_one_line(small: Path) -> None:
    command = [sys.executable, "-m", "lvc", "verify", str(small)]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    message = "NUMBA_DISABLE_JIT is set, but loops over samples only run compiled: unset it"
    assert (done.returncode, done.stderr) == (1, f"lvc: error: {message}\n")
