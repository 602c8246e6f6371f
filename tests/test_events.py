"""Events: JSON objects for machines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lvc.cli.events import Events
from lvc.cli.progress import ProgressLine
from lvc.progress import Progress
from tests.command_line import run

ROOT = Path(__file__).resolve().parent.parent


def test_events(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvc.cli.progress.EVENT_SECONDS", 0.0)
    with ProgressLine("encoding", quiet=False, events=Events(wanted=True)) as line:
        line(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4))
        line.warn("Chroma was converted.")
    line.result("encode", {"frames": 10})
    text = capsys.readouterr()
    assert not text.err
    events = [json.loads(row) for row in text.out.splitlines()]
    assert all(next(iter(event)) == "type" for event in events)
    assert [event["type"] for event in events] == ["progress", "warning", "result"]
    assert events[0] == {"type": "progress", "frames": 10, "total": 40, "bytes": 50_000, "media_seconds": 0.4}
    assert events[1]["message"] == "Chroma was converted."
    assert (events[2]["command"], events[2]["frames"]) == ("encode", 10)
    with ProgressLine("encoding", quiet=True, events=Events(wanted=True, stream_on_stdout=True)) as line:
        line(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4))
        line.warn("Chroma was converted.")
    line.result("encode", {"frames": 10})
    text = capsys.readouterr()
    assert not text.out
    assert [json.loads(row)["type"] for row in text.err.splitlines()] == ["result"]


def test_events_to_a_file_descriptor(small: Path, tmp_path: Path) -> None:
    with (tmp_path / "events").open("wb") as file:
        for arguments in (["info", small], ["models"], ["verify", small]):
            done = subprocess.run(
                [sys.executable, "-m", "lvc", *map(str, arguments), "--json-fd", str(file.fileno())],
                pass_fds=[file.fileno()],
                capture_output=True,
                check=False,
            )
            assert not done.stdout
    events = [json.loads(row) for row in (tmp_path / "events").read_text().splitlines()]
    assert [(event["type"], event.get("command")) for event in events] == [
        ("result", "info"),
        ("result", "models"),
        ("error", None),
    ]
    assert run("info", small, "--json-fd", 12345).exit_code == 2
    result = run("decode", small, "-", "--json-fd", 1)
    assert result.exit_code == 2
    assert "another file descriptor" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        *(["info", "none.lvc"], ["decode", "none.lvc", "out.mp4"], ["info"], ["encode", "a", "b", "-q", 0]),
        *(["decode", "a", "b", "--nonsense"], ["encode", "a", "b", "--nonsense", 5], ["train", "--nonsense"]),
    ],
)
def test_errors_are_events(arguments: list[object]) -> None:
    result = run(*arguments, "--json")
    event = json.loads(result.stdout)
    assert list(event) == ["type", "message", "status"]
    assert (event["type"], event["status"]) == ("error", result.exit_code)
    assert event["message"] in result.stderr
    assert result.exit_code == (3 if "none.lvc" in arguments else 2)
    assert not run(*arguments).stdout


@pytest.mark.parametrize("options", [["--json", "--nonsense"], ["--json", "--crf"], ["--nonsense", "--json-fd", 2]])
def test_what_cannot_be_parsed_is_told_as_an_event(options: list[object], capfd: pytest.CaptureFixture[str]) -> None:
    """Wherever events are asked for; and nowhere else."""
    result = run("decode", "a", "b.mp4", *options)
    assert json.loads(result.stdout if "--json" in options else capfd.readouterr().err)["status"] == 2
    for rest in (["--nonsense"], ["--nonsense", "--", "--json"]):
        assert "{" not in run("decode", "a", "b", *rest).output


def test_errors_do_not_mix_with_the_stream() -> None:
    """Nor do lines for people come between events."""
    for arguments in (["none.lvc", "-"], ["none.lvc", "-", "--lossless", "--crf", 3], ["none.lvc", "-", "--nonsense"]):
        result = run("decode", *arguments, "--json")
        assert not result.stdout
        assert json.loads(result.stderr)["status"] == result.exit_code


@pytest.mark.parametrize("descriptor", [3, 4, 5])
def test_only_what_was_handed_over_takes_events(descriptor: int) -> None:
    """Not what lvc has opened itself, such as the pipe through which signals come."""
    command = [sys.executable, "-m", "lvc", "models", "--json-fd", str(descriptor)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2, done.stderr
    assert f"{descriptor} is no open file descriptor" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="shells of other systems open no such descriptors")
@pytest.mark.parametrize("descriptor", [3, 4])
def test_what_a_shell_hands_over_takes_them(descriptor: int, tmp_path: Path) -> None:
    line = f'exec "$0" -m lvc models --json-fd {descriptor} {descriptor}>"$1"'
    command = ["sh", "-c", line, sys.executable, str(tmp_path / "events")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "events").read_text().startswith('{"type": "result"')


WARNS = """
import sys, warnings
import lvc.cli
from lvc.catalogue import installed
def warning():
    warnings.warn("one\\n  line.", stacklevel=1)
    return installed()
sys.modules['lvc.cli.models'].installed = warning
lvc.cli.main(["models", *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("options", "lines"),
    [([], ["lvc: warning: one line"]), (["--json"], ['{"type": "warning", "message": "one line"}'])],
)
def test_warnings_of_python_are_told_as_others_are(options: list[str], lines: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WARNS, *options], cwd=ROOT, capture_output=True, text=True, timeout=240, check=True
    )
    shown = done.stdout if options else done.stderr
    assert [line for line in shown.splitlines() if "one" in line][:1] == lines
    if options:
        assert json.loads(shown.splitlines()[-1])["warnings"] == ["one line"]
        assert not done.stderr


def test_quiet_events_warn_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for events in (Events(quiet=True), Events(wanted=True, quiet=True)):
        events.warn("Nobody sees this.")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [("info", ROOT / "tests" / "vectors" / "lite.lvc"), ("models",)])
def test_every_result_has_warnings_and_seconds(arguments: tuple[str | Path, ...]) -> None:
    """Also those of commands that only look."""
    event = json.loads(run(*arguments, "--json").stdout.splitlines()[-1])
    assert (event["type"], event["command"], event["warnings"]) == ("result", arguments[0], [])
    assert 0 <= event["seconds"] < 60
    assert ("media_seconds" in event) == (arguments[0] == "info")
