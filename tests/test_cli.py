"""The command line: help, usage, how options become calls of the library."""

import gc
import hashlib
import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import lvc
from lvc import catalogue, errors
from lvc.cli import COLLECTED_EVERY, EPILOG
from tests.command_line import COMMANDS, Call, run
from tests.container_files import HEADER, SMALL, group, write


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
        "file format 5, model format 1",
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


def processor_seconds(*arguments: str) -> float:
    """That Python takes for these arguments; finer than by ``os.times``, which counts hundredths."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(("arguments", "most"), [(["--help"], 5.0), (["info"], 7.0)])
def test_light_commands_are_quick(small: Path, arguments: list[str], most: float) -> None:
    """Processor time beside that of a program with click that does nothing, best of some runs of each in turns: neither
    other work nor the speed of the machine should matter.
    """
    command = ["-m", "lvc", *arguments, *([str(small)] if arguments == ["info"] else [])]
    best, nothing = math.inf, math.inf
    for _ in range(8):
        best = min(best, processor_seconds(*command))
        nothing = min(nothing, processor_seconds("-c", "import click"))
    assert best < most * nothing


def test_cycles_are_looked_for_less_often_while_a_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["lvc.cli.models"]  # the package has a command of that name
    seen, before = [], gc.get_threshold()

    def watched() -> tuple[catalogue.ModelInfo, ...]:
        seen.append(gc.get_threshold()[0])
        return catalogue.installed()

    monkeypatch.setattr(module, "installed", watched)
    assert run("models").exit_code == 0
    assert seen == [COLLECTED_EVERY]
    assert gc.get_threshold() == before


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
        *(["encode", "a", "b", "-q", "60", option, "5"] for option in ("--bitrate", "--target-size")),
        ["encode", "a", "b", "--quality", "60", "--target-psnr", "40", "--max-bitrate", "1M"],
        ["encode", "a", "b", "-q60", "--target-ssim", "0.9"],
        ["decode", "a", "b", "--crf", "64"],
        ["decode", "a", "b.mp4", "--crf", "52"],
        ["decode", "a", "-", "--format", "mov", "--codec", "hevc", "--crf", "51.5"],
        *(["decode", "a", "b.mkv", "--codec", codec, "--crf", "20"] for codec in ("mpeg4", "ffv1")),
        ["cut", "a", "b", "--end", "0"],
        ["cut", "a", "b", "--start", "0.5", "--end", "0.1"],
        ["cut", "a", "b", "--start", "1:00", "--end", "60"],
        ["decode", "a", "b", "--lossless", "--crf", "20"],
        ["verify"],
        ["train", "."],
        ["train", ".", "-o", "model", "--minutes", "1", "--steps", "1"],
        ["train", ".", "-o", "model", "-y", "-n"],
        ["train", ".", "-o", "model", "--crop", "65"],
        ["train", ".", "-o", "model", "--size", "huge"],
        ["train", ".", "-o", "model", "--seed", "-1"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert not result.stdout


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


def test_the_facade_is_what_it_says() -> None:
    assert all(hasattr(lvc, name) for name in lvc.__all__)
    assert set(lvc.__all__) <= set(dir(lvc))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = lvc.nonsense


@pytest.mark.parametrize(
    ("first", "own", "found"),
    [("import lvc", None, lvc.SPIN_COUNT), ("import lvc", "7", "7"), ("import torch, lvc", None, None)],
)
def test_idle_threads_sleep_soon(first: str, own: str | None, found: str | None) -> None:
    """What libgomp reads when torch is loaded, also for the library; what a user has set stays."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if own is not None:
        environment["GOMP_SPINCOUNT"] = own
    program = f"{first}; import os; print(os.environ.get('GOMP_SPINCOUNT'))"
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    assert told.stdout.strip() == str(found)
