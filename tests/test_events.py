"""Events as JSON: where they go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lvc.cli.events import Events

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("descriptor", [3, 4, 5])
def test_only_what_was_handed_over_takes_events(descriptor: int) -> None:
    """Not what lvc has opened itself, such as the pipe through which signals come."""
    command = [sys.executable, "-m", "lvc", "models", "--json-fd", str(descriptor)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert f"{descriptor} is no open file descriptor" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="shells of other systems open no such descriptors")
@pytest.mark.parametrize("descriptor", [3, 4])
def test_what_a_shell_hands_over_takes_them(descriptor: int, tmp_path: Path) -> None:
    line = f'exec "$0" -m lvc models --json-fd {descriptor} {descriptor}>"$1"'
    command = ["sh", "-c", line, sys.executable, str(tmp_path / "events")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
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
        [sys.executable, "-c", WARNS, *options], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    shown = done.stdout if options else done.stderr
    assert [line for line in shown.splitlines() if "one" in line] == lines
    assert not (options and done.stderr)


def test_quiet_events_warn_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for events in (Events(quiet=True), Events(wanted=True, quiet=True)):
        events.warn("Nobody sees this.")
    assert capsys.readouterr() == ("", "")
