"""The command line: options, messages, exit statuses."""

import hashlib
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import lvc
from lvc import api, catalogue, errors
from lvc.cli import EPILOG, main
from lvc.cli.events import Events
from lvc.cli.progress import ProgressLine, bit_rate, duration, plain
from lvc.container import Writer
from lvc.encoder import EncodeResult
from lvc.encoder.search import Try
from lvc.progress import Progress
from scripts.make_man_pages import write_pages
from tests.container_files import FIRST_CHUNK, HEADER, SMALL, group, write

COMMANDS = ["bench", "cat", "completion", "cut", "decode", "encode", "info", "models", "train", "verify"]


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "lvc", *map(str, arguments)], stderr=subprocess.PIPE, **options)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.lvc"
    path.write_bytes(SMALL)
    return path


@pytest.fixture
def tiny_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a model, with nothing in it but a description, that is the only one installed."""
    description = json.dumps({"size": "tiny", "card": {"data": "none"}, "arrays": []}).encode()
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "tiny.lvcm"
    path.write_bytes(b"LVCM\1" + len(description).to_bytes(4, "little") + description)
    (folder / "broken.lvcm").write_bytes(b"LVCM\1")
    monkeypatch.setattr(catalogue, "FOLDERS", (folder,))
    catalogue.installed.cache_clear()
    yield path
    catalogue.installed.cache_clear()


@dataclass
class Call:
    arguments: tuple[Any, ...]
    options: dict[str, Any]


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


# Help and usage


def test_help_names_all_commands_and_statuses() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command in result.stdout
        assert run(command, "-h").exit_code == 0
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, lvc.LvcError)]
    for kind in kinds:
        assert f"\n  {kind.exit_status}  " in EPILOG


def test_version_names_formats_and_models(tiny_installed: Path) -> None:
    assert run("--version").stdout.splitlines() == [
        f"lvc {lvc.__version__}",
        "file format 1, model format 1",
        f"model tiny {hashlib.sha256(tiny_installed.read_bytes()).hexdigest()}",
    ]


def test_models(tiny_installed: Path) -> None:
    identity = hashlib.sha256(tiny_installed.read_bytes()).hexdigest()
    lines = run("models").stdout.splitlines()
    assert lines[0] == f"tiny: size tiny, {tiny_installed.stat().st_size} bytes"
    assert lines[1].split() == ["identity", identity]
    assert lines[3].split(": ")[1].startswith("0.89 and 0.78 to decode")
    assert lines[4].split() == ["data", "none"]
    (found,) = json.loads(run("models", "--json").stdout)["models"]
    assert (found["name"], found["id"], found["card"]) == ("tiny", identity, {"data": "none"})
    assert found["macs"]["decode_intra"] == 890


def test_info_names_the_model_that_is_installed(tiny_installed: Path, tmp_path: Path) -> None:
    identity = hashlib.sha256(tiny_installed.read_bytes()).digest()
    path = tmp_path / "small.lvc"
    path.write_bytes(write(group(0, 1), header=replace(HEADER, model_id=identity)))
    assert f"model      tiny, {identity.hex()}" in run("info", path).stdout
    assert json.loads(run("info", path, "--json").stdout)["model"] == "tiny"
    path.write_bytes(SMALL)
    assert "model      not installed, " in run("info", path).stdout


@pytest.mark.parametrize(("arguments", "seconds"), [(["--help"], 0.3), (["info"], 0.5)])
def test_light_commands_are_quick(small: Path, arguments: list[str], seconds: float) -> None:
    """Processor time, since these commands wait for nothing, best of some runs: other work should not matter."""
    command = [sys.executable, "-m", "lvc", *arguments, *([str(small)] if arguments == ["info"] else [])]
    best = 10.0
    for _ in range(8):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        best = min(best, used)
        if best < seconds:
            break
    assert best < seconds


@pytest.mark.parametrize("arguments", [["--help"], ["info", "FILE"], ["encode", "--help"], ["models"], ["--version"]])
def test_light_commands_import_neither_torch_nor_av(arguments: list[str], small: Path) -> None:
    arguments = [str(small) if argument == "FILE" else argument for argument in arguments]
    program = (
        "import sys; from lvc.cli import main; main(sys.argv[1:], standalone_mode=False); "
        "sys.exit(bool({'torch', 'av', 'tqdm', 'constriction'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["encode", "a"],
        ["encode", "a", "b", "-q", "0"],
        ["encode", "a", "b", "-q", "101"],
        ["encode", "a", "b", "--keyint", "1025"],
        ["encode", "a", "b", "--preset", "placebo"],
        ["encode", "a", "b", "--tune", "film"],
        ["encode", "a", "b", "--device", "tpu"],
        ["encode", "a", "b", "-y", "-n"],
        ["decode", "a", "b", "--crf", "64"],
        ["decode", "a", "b", "--lossless", "--crf", "20"],
        ["verify"],
        ["train", "."],
        ["train", ".", "-o", "model", "--minutes", "1", "--steps", "1"],
        ["train", ".", "-o", "model", "-y", "-n"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert not result.stdout


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


# Options to calls


def test_encode_options(calls: list[Call]) -> None:
    result = run(
        "encode",
        "in.mp4",
        "out.lvc",
        "-q",
        75,
        "--preset",
        "slow",
        "--tune",
        "ssim",
        "--keyint",
        48,
        "--model",
        "lite",
        "-y",
    )
    assert (result.exit_code, result.output) == (0, "")
    options = calls[0].options
    assert calls[0].arguments == ("in.mp4", "out.lvc")
    assert {
        name: options[name] for name in ("quality", "preset", "tune", "keyint", "model", "device", "overwrite")
    } == {
        "quality": 75,
        "preset": "slow",
        "tune": "ssim",
        "keyint": 48,
        "model": "lite",
        "device": "auto",
        "overwrite": True,
    }


def test_encode_defaults_are_those_of_the_library(calls: list[Call]) -> None:
    run("encode", "in.mp4", "out.lvc")
    options = calls[0].options
    assert (options["quality"], options["preset"], options["keyint"]) == (60, "medium", 250)
    assert options["tune"] == "psnr"
    assert options["overwrite"] is False


def test_resuming_needs_files(calls: list[Call]) -> None:
    for ends in (["-", "out.lvc"], ["in.mp4", "-"]):
        assert run("encode", *ends, "--resume").exit_code == 2
    assert not calls
    run("encode", "in.mp4", "out.lvc", "--resume", "--no-verify", "--workers", 3)
    options = calls[0].options
    assert (options["resume"], options["verify"], options["workers"]) == (True, False, 3)


def test_decode_options(calls: list[Call]) -> None:
    run("decode", "-", "out.mkv", "--codec", "libx265", "--crf", 18, "--keep-going", "--threads", 2, "--batch", 4)
    assert calls[0].arguments == ("-", "out.mkv")
    options = calls[0].options
    assert (options["codec"], options["crf"], options["lossless"]) == ("libx265", 18, False)
    assert (options["keep_going"], options["threads"], options["batch"]) == (True, 2, 4)


@pytest.mark.usefixtures("calls")
def test_json_never_mixes_with_the_stream() -> None:
    result = run("decode", "in.lvc", "out.mp4", "--json")
    fields = json.loads(result.stdout)
    assert (fields["command"], fields["output"], fields["frames"], fields["damage"]) == ("decode", "out.mp4", 7, [])
    for command in ("encode", "decode"):
        result = run(command, "-", "-", "--json")
        assert not result.stdout
        assert json.loads(result.stderr)["command"] == command
    assert json.loads(run("verify", "in.lvc", "--json").stdout)["frames"] == 7
    assert run("verify", "in.lvc").stdout == "in.lvc: intact, 7 frames decode exactly\n"
    assert not run("verify", "in.lvc", "--quiet").output


# Overwriting


def test_existing_output_without_a_terminal_is_refused(small: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"clip")
    for flags in ([], ["-n"]):
        result = run("decode", small, clip, *flags)
        assert result.exit_code == 8
        assert result.stderr == f"lvc: error: {clip}: the file exists and is not to be replaced (-y replaces it)\n"
    assert clip.read_bytes() == b"clip"


@pytest.mark.parametrize(("answer", "replaced"), [(True, True), (False, False)])
def test_on_a_terminal_people_are_asked(
    calls: list[Call], small: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, replaced: bool
) -> None:
    questions: list[str] = []
    monkeypatch.setattr("lvc.cli.options._on_a_terminal", lambda: True)
    monkeypatch.setattr("click.confirm", lambda text, err: questions.append(text) or answer)
    run("encode", "in.mp4", small)
    assert calls[0].options["overwrite"] is replaced
    assert questions == [f"{small} exists. Replace it?"]
    run("encode", "-", small)
    run("encode", "in.mp4", small, "-y")
    run("encode", "in.mp4", small.with_name("new.lvc"))
    assert [call.options["overwrite"] for call in calls[1:]] == [False, True, False]
    assert len(questions) == 1


def test_output_over_input_is_refused(small: Path) -> None:
    result = run("decode", small, small, "-y")
    assert result.exit_code == 8
    assert "same file" in result.stderr
    twin = small.with_name("twin.lvc")
    twin.hardlink_to(small)
    result = run("cut", small, twin, "-y")
    assert result.exit_code == 8
    assert "same file" in result.stderr
    assert small.read_bytes() == SMALL


# info


def test_info(small: Path) -> None:
    result = run("info", small)
    assert result.exit_code == 0
    assert f"{small}: complete" in result.stdout
    assert "641x353, 10 bit, 4:2:0, 29.97 frames/s" in result.stdout
    assert "turned by 270 degrees" in result.stdout
    assert HEADER.model_id.hex() in result.stdout
    assert "5 frames (2 intra)" in result.stdout


def test_info_json_adds_up(small: Path) -> None:
    for result in (run("info", small, "--json"), run("info", "-", "--json", stdin=SMALL)):
        fields = json.loads(result.stdout)
        assert fields["bytes"] == len(SMALL) == sum(fields["bytes_by_part"].values())
        assert fields["bytes_by_part"]["side"] == len(b"side data" + b"more")
        assert fields["bytes_by_part"]["motion"] == 5 * 2
        assert fields["bytes_by_part"]["hyper"] == 5
        assert fields["bytes_by_part"]["latents"] == 5 * 4
        assert [gop["frames"] for gop in fields["gops"]] == [3, 2]
        assert fields["header"]["frame_rate"] == "30000/1001"
        assert (fields["truncated"], fields["damage"]) == (False, [])


def test_info_tells_of_damage(small: Path) -> None:
    small.write_bytes(SMALL[:-1])
    result = run("info", small)
    assert result.exit_code == 0
    assert f"{small}: truncated" in result.stdout
    assert "damage     the file ends within the END chunk" in result.stdout
    small.write_bytes(SMALL[: FIRST_CHUNK + 100] + b"?" + SMALL[FIRST_CHUNK + 101 :])
    assert f"{small}: damaged" in run("info", small).stdout


def test_info_lists_many_groups_only_when_asked(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with Writer(stream, HEADER) as writer:
        for i in range(30):
            writer.write_gop(group(i, 1))
    path = tmp_path / "many.lvc"
    path.write_bytes(stream.getvalue())
    assert "and 10 more groups" in run("info", path).stdout
    assert "more groups" not in run("info", path, "--gops").stdout


# Events


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
    "arguments", [["info", "none.lvc"], ["decode", "none.lvc", "out.mp4"], ["info"], ["encode", "a", "b", "-q", 0]]
)
def test_errors_are_events(arguments: list[object]) -> None:
    result = run(*arguments, "--json")
    event = json.loads(result.stdout)
    assert list(event) == ["type", "message", "status"]
    assert (event["type"], event["status"]) == ("error", result.exit_code)
    assert event["message"] in result.stderr
    assert result.exit_code == (3 if "none.lvc" in arguments else 2)
    assert not run(*arguments).stdout


def test_errors_do_not_mix_with_the_stream() -> None:
    """Nor do lines for people come between events."""
    for arguments in (["none.lvc", "-"], ["none.lvc", "-", "--lossless", "--crf", 3]):
        result = run("decode", *arguments, "--json")
        assert not result.stdout
        assert json.loads(result.stderr)["status"] == result.exit_code


# Failures


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
        assert process.wait(20) == status
        assert b"Traceback" not in process.stderr.read()


def test_a_reader_that_has_gone_is_no_error(small: Path) -> None:
    with start("info", small, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr.read() == b""


# Progress


def test_plain_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("encoding", quiet=False, events=Events()) as line:
        line(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4))
        line.warn("Chroma was converted.")
    text = capsys.readouterr()
    assert not text.out
    assert text.err.startswith("lvc: warning: Chroma was converted\nlvc: encoding: 10 frames, ")  # fewer than expected
    assert "left" not in text.err
    with ProgressLine("encoding", quiet=True, events=Events()) as line:
        line(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4))
        line.warn("Chroma was converted.")
    assert capsys.readouterr().err == ""


def test_a_search_does_not_count_for_the_speed(
    calls: list[Call], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    run("encode", "in.mp4", "out.lvc", "--bitrate", "20k")
    tried = calls[0].options["tried"]
    line = calls[0].options["progress"]
    now[0] = 1000.0
    tried(Try(50.0, 1, 1, None, None))
    now[0] = 1010.0
    line(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4))
    assert "10 of 40 frames, 1.0 frames/s, " in capsys.readouterr().err


def test_progress_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressLine("encoding", quiet=False, events=Events()) as line:
        for frames in range(1, 41):
            line(Progress(frames, 40, 5000 * frames, frames / 25))
    text = capsys.readouterr()
    assert not text.out
    assert "40/40" in text.err
    assert "1.00 Mbit/s" in text.err
    with ProgressLine("decoding", quiet=False, events=Events()) as line:
        line(Progress(9, 12, 5000, 0.4))
    last = capsys.readouterr().err.rstrip().rpartition("\r")[2]
    assert "9/9" in last
    assert "12" not in last


def test_numbers_for_people() -> None:
    text = plain(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4), 2.0)
    assert text == "10 of 40 frames, 5.0 frames/s, 1.00 Mbit/s, 0:06 left"
    assert plain(Progress(0, None, 0, 0), 0.0) == "0 frames, 0.0 frames/s"
    assert [duration(seconds) for seconds in (0, 61, 3723)] == ["0:00", "1:01", "1:02:03"]
    assert [bit_rate(rate) for rate in (999, 843_210, 12_345_678)] == ["0.999 kbit/s", "843 kbit/s", "12.35 Mbit/s"]


# Facade


def test_the_facade_is_what_it_says() -> None:
    assert all(hasattr(lvc, name) for name in lvc.__all__)
    assert set(lvc.__all__) <= set(dir(lvc))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = lvc.nonsense
