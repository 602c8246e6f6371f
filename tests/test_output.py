"""Output is all or nothing."""

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from lvc import output
from lvc.cli import main
from lvc.errors import OutputError
from lvc.output import appending, check_output, is_replaced, open_output, replacing, write_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_there_until_everything_is(tmp_path: Path) -> None:
    target = tmp_path / "out.lvc"
    with open_output(target) as stream:
        stream.write(b"one")
        assert not target.exists()
        stream.write(b"two")
    assert target.read_bytes() == b"onetwo"
    assert names(tmp_path) == ["out.lvc"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_failures_leave_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), open_output(tmp_path / "out.lvc") as stream:
        stream.write(b"half")
        raise error
    assert names(tmp_path) == []


def test_failures_leave_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "out.lvc"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), replacing(target) as path:
        path.write_bytes(b"new")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["out.lvc"]


def test_the_temporary_file_is_beside_the_target_with_its_extension(tmp_path: Path) -> None:
    for name in ("clip.out.mp4", "x" * 251 + ".mkv", "é" * 120 + ".mp4"):
        with replacing(tmp_path / name) as path:
            assert path.parent == tmp_path
            assert path.suffix == Path(name).suffix
            path.write_bytes(b"video")
        assert (tmp_path / name).read_bytes() == b"video"


def test_permissions_are_the_usual_ones_or_those_of_the_old_file(tmp_path: Path) -> None:
    target, usual = tmp_path / "out.lvc", tmp_path / "usual"
    usual.touch()
    for mode in (stat.S_IMODE(usual.stat().st_mode), 0o640):
        with open_output(target) as stream:
            stream.write(b"data")
        assert stat.S_IMODE(target.stat().st_mode) == mode
        target.chmod(0o640)


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "out.lvc", tmp_path / "link.lvc"
    link.symlink_to(target)
    with open_output(link) as stream:
        stream.write(b"data")
    assert link.is_symlink()
    assert target.read_bytes() == b"data"
    assert names(tmp_path / "real") == ["out.lvc"]


def test_devices_are_written_to_and_not_replaced() -> None:
    assert not is_replaced(Path(os.devnull))
    check_output(os.devnull)
    with open_output(os.devnull) as stream:
        stream.write(b"data")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disks_are_named() -> None:
    with pytest.raises(OutputError, match="/dev/full: the disk is full"), open_output("/dev/full") as stream:
        stream.write(b"data")
    with pytest.raises(OutputError, match="/dev/full: the disk is full"):
        write_file("/dev/full", b"data")
    with pytest.raises(OutputError, match="/dev/full: the disk is full"), appending("/dev/full") as stream:
        stream.write(b"data")


def test_logs_grow(tmp_path: Path) -> None:
    for line in (b"one", b"two"):
        with appending(tmp_path / "log") as stream:
            stream.write(line)
    assert (tmp_path / "log").read_bytes() == b"onetwo"
    with pytest.raises(OutputError, match="No such file"), appending(tmp_path / "missing" / "log"):
        pytest.fail("there is no such folder")


def test_what_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "old.mp4"
    old.write_bytes(b"old")
    link = tmp_path / "link.mp4"
    link.symlink_to(old)
    with pytest.raises(OutputError, match="exists"):
        check_output(old)
    check_output(old, overwrite=True)
    check_output(tmp_path / "new.mp4", source=old)
    twin = tmp_path / "twin.mp4"
    twin.hardlink_to(old)
    for target in (old, link, twin, tmp_path / "." / "old.mp4"):
        with pytest.raises(OutputError, match="same file"):
            check_output(target, source=str(old), overwrite=True)
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="no folder"):
        check_output(tmp_path / "missing" / "out.lvc")


def test_names_that_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for name in ("x" * 300, "zero\0byte", "file/out.lvc"):
        assert not is_replaced(tmp_path / name)
        with pytest.raises(OutputError):
            check_output(tmp_path / name)
        result = CliRunner().invoke(main, ["encode", str(tmp_path / "file"), str(tmp_path / name.replace("\0", "/"))])
        assert result.exit_code == OutputError.exit_status

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "stat", denied)
    assert not is_replaced(tmp_path / "out.lvc")
    with pytest.raises(OutputError, match="Permission denied"):
        check_output(tmp_path / "out.lvc")


def test_terminals_get_no_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    check_output("-")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(OutputError, match="terminal"):
        check_output("-")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and kill, as the command line handles them, in the middle of a write."""
    program = """
        import sys, time
        import click
        from lvc.cli import main
        from lvc.output import open_output

        @main.command()
        def stuck():
            with open_output(sys.argv.pop()) as stream:
                stream.write(b"half")
                print("ready", flush=True)
                time.sleep(60)

        main(["stuck"], prog_name="lvc")
        """
    target = tmp_path / "out.lvc"
    command = [sys.executable, "-c", textwrap.dedent(program), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(names(tmp_path)) == 1
        process.send_signal(number)
        assert process.wait(120) == 128 + number
    assert names(tmp_path) == []


@pytest.mark.parametrize("key", [None, "key"])
def test_interrupted_before_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    def interrupted(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(output, "is_ours", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x.bin", key):
        pass
    assert names(tmp_path) == []


def test_work_with_a_key_is_locked_until_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work, begun again while the first is put to disk, must not write into what gets the final name."""
    target = tmp_path / "x.bin"
    to_disk, refused = output._to_disk, []

    def meanwhile(path: Path, mode: int) -> None:
        if path.name.startswith(".x"):
            with pytest.raises(OutputError, match="another process"), replacing(target, "key") as other:
                other.write_bytes(b"half")
            refused.append(path)
        to_disk(path, mode)

    monkeypatch.setattr(output, "_to_disk", meanwhile)
    with replacing(target, "key") as path:
        path.write_bytes(b"whole")
    assert refused
    assert target.read_bytes() == b"whole"


@pytest.mark.parametrize("key", [None, "key"])
def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", none)
    with replacing(tmp_path / "x.bin", key) as path:
        path.write_bytes(b"whole")
    assert names(tmp_path) == ["x.bin"]
