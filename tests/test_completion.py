"""What shells complete, and man pages."""

import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import lvc
from lvc.cli import main
from scripts.make_man_pages import write_pages
from tests.command_line import COMMANDS, run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert f"_LVC_COMPLETE={shell}_complete" in result.stdout


SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(lvc completion bash)"'),
    "zsh": (["-f", "-i"], 'autoload -Uz compinit; compinit -D -u; eval "$(lvc completion zsh)"'),
    "fish": (["--no-config", "-i"], "lvc completion fish | source"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_complete_names_of_files(shell: str, tmp_path: Path) -> None:
    """On a terminal, as people do it."""
    pytest.importorskip("pty")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = tmp_path / "bin" / "lvc"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lvc "$@"\n')
    program.chmod(0o755)
    (tmp_path / "holiday-in-norway.mkv").write_bytes(b"")
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "$ "}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(lvc.__file__).parents[1])}
    options, setup = SHELLS[shell]
    on_a_terminal = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", shell, *options]
    process = subprocess.Popen(
        on_a_terminal, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env=environment, bufsize=0
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for typed, wanted in (
            (f"{setup}; echo re''ady\n", b"ready\r\n"),
            ("lvc encode holi\t", b"holiday-in-norway.mkv"),
        ):
            process.stdin.write(typed.encode())
            shown = b""
            while wanted not in shown:
                assert select.select([process.stdout], [], [], 30)[0], shown
                part = process.stdout.read(4096)
                assert part, shown
                shown += part
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_completion_knows_commands_and_options() -> None:
    environment = {**os.environ, "_LVC_COMPLETE": "bash_complete"}
    for words, wanted in (("lvc enc", "encode"), ("lvc encode --target-s", "--target-size")):
        environment |= {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", "from lvc.cli import main; main(prog_name='lvc')"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"plain,{wanted}" in done.stdout.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    "words",
    ["encode in", "encode in.mp4 ou", "encode --model my", "decode in", "verify in", "info in", "cat -o ou", "cut in"],
)
def test_completion_asks_for_files(shell: str, words: str) -> None:
    typed = words.rpartition(" ")[2]
    environment = {
        "_LVC_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": f"lvc {words}",
        "COMP_CWORD": typed if shell == "fish" else str(words.count(" ") + 1),
    }
    result = CliRunner(env=environment).invoke(main, prog_name="lvc")
    assert result.stdout.replace("\n", ",").startswith(f"file,{typed}")


def test_man_pages(tmp_path: Path) -> None:
    names = [path.name for path in write_pages(tmp_path)]
    assert sorted(names) == sorted(["lvc.1", *(f"lvc-{command}.1" for command in COMMANDS)])
    text = (tmp_path / "lvc-encode.1").read_text()
    assert "lvc\\-encode \\- Encode a video to a .lvc file." in text
    assert "\n.TP\n\\fB\\-\\-target\\-size SIZE\\fR\n" in text
    assert "lvc\\-encode\\fR(1)" in (tmp_path / "lvc.1").read_text()
