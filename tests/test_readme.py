"""The commands of README.md do what it says."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import lvc
from lvc.cli import EPILOG, main
from tests.command_line import run

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
START = re.search(r"## Start\n.*?```sh\n(.*?)```", README, re.DOTALL)
PROGRAMS = Path(sys.executable).parent


@pytest.mark.skipif(not (PROGRAMS / "lvc").exists(), reason="lvc is not installed beside this Python")
def test_the_first_two_commands(tmp_path: Path) -> None:
    """The second one with a smaller clip; the first one has installed what runs it."""
    assert START is not None
    install, use = START[1].splitlines()
    assert install == "pip install -e ."
    assert use.count("make_clips.py ") == 1
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-c", use.replace("make_clips.py ", "make_clips.py --size 96x64 --frames 10 ")],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    names = sorted(file.name for file in tmp_path.iterdir() if file.is_file())
    assert names == ["clip.lvc", "clip.mp4", "clip.out.mp4"]
    assert all((tmp_path / name).stat().st_size > 500 for name in names)


def examples() -> list[str]:
    """All commands of lvc in blocks of shell, without comments; those in pipes one by one."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    parts = [part for block in blocks for line in block.splitlines() for part in re.split(r"&&|\|", line)]
    found = [re.sub(r"^torchrun .* -m (?=lvc )", "", part.partition("#")[0].strip()) for part in parts]
    return [part for part in found if part.startswith("lvc ")]


def test_the_examples_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands, options and their values are those that there are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    for name in ("in.mp4", "out.lvc", "damaged.lvc", "clip.mp4", "clip.lvc", "a.lvc", "b.lvc"):
        (tmp_path / name).write_bytes(b"")
    found = [shlex.split(example)[1:] for example in examples()]
    assert {name for name, *_ in found} == set(main.commands) - {"completion"}
    parent = click.Context(main, **main.context_settings)  # commands keep the options for help that they have first
    for name, *arguments in found:
        main.commands[name].make_context(name, arguments, parent=parent)


def test_statuses() -> None:
    """The table is that of the help, and names the exceptions that have each."""
    rows = re.findall(r"^\| (\d+) \| (.*?) \| (?:`(\w+)`)? ?\|$", README, re.MULTILINE)
    told = [(status, meaning.replace("`", "")) for status, meaning, _ in rows]
    assert told == re.findall(r"^  (\d+) +(.*)$", EPILOG, re.MULTILINE)
    named = {int(status): getattr(lvc, name) for status, _, name in rows if name}
    assert all(error.exit_status == status for status, error in named.items())
    assert set(named) == {1, 3, 4, 5, 6, 7, 8, 9, 10}


def test_models_have_cards() -> None:
    models = list((ROOT / "models").glob("*.lvcm"))
    assert models
    for model in models:
        card = model.with_suffix(".md").read_text("utf-8")
        assert all(f"\n## {title}\n" in card for title in ("Data", "Training", "Results"))


@pytest.mark.usefixtures("calls")
def test_results_have_the_keys_that_the_table_names(small: Path, tmp_path: Path) -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| (`input.*|`models`.*) \|$", README, re.MULTILINE))
    assert set(table) == set(main.commands) - {"bench", "completion"}
    output = tmp_path / "out.lvc"
    for command, *arguments in (
        ("encode", "in.mp4", output),
        ("decode", "in.lvc", tmp_path / "out.mp4"),
        ("verify", "in.lvc"),
        ("info", small),
        ("cat", small, "-o", output),
        ("cut", small, output, "-y"),
        ("models",),
    ):
        result = json.loads(run(command, *arguments, "--json").stdout.splitlines()[-1])
        keys = set(result) - {"type", "command", "warnings", "seconds"}
        named = re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", table[command]))
        assert keys == set(named), command
