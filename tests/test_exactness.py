"""The same pictures in whatever way a machine computes: ``scripts/check_exactness.py`` on small clips."""

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.models import tiny_bytes

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "check_exactness.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_exactness", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_exactness"] = module  # its data classes look themselves up
    spec.loader.exec_module(module)
    return module


def test_threads_batches_onednn_and_instruction_sets(tmp_path: Path) -> None:
    """Groups of 8 and 2 pictures, in 16 ways."""
    (tmp_path / "tiny.lvcm").write_bytes(tiny_bytes())
    clips = ["--kinds", "mix", "--only-generated", "--frames", "10", "--size", "49x33", "--qualities", "40"]
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--model", tmp_path / "tiny.lvcm", *clips],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert len(rows) >= 16
    assert len({row[-1] for row in rows}) == 1
    assert len(rows[0][-1]) == 32
    assert "ATEN_CPU_CAPABILITY=default NUMBA_CPU_NAME=generic" in done.stdout
    assert done.stdout.endswith("all the same\n")


@pytest.mark.parametrize("damage", ["difference", "error", "missing", "crash"])
def test_differences_are_found(
    script: ModuleType, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"a.lvc": "0" * 32, "b.lvc": "1" * 32}
    bad = {
        "difference": {**good, "b.lvc": "2" * 32},
        "error": {**good, "b.lvc": "MismatchError: picture 1 differs"},
        "missing": {"a.lvc": "0" * 32},
        "crash": {},
    }[damage]

    def answers(_options: argparse.Namespace, _folder: Path, changes: dict[str, str]) -> Iterator[dict[str, Any]]:
        yield {"device": "cpu", "files": good}
        if len(changes) > 1:
            yield {"device": "cpu", "files": bad}

    monkeypatch.setattr(script, "encode_all", lambda *_: list(good))
    monkeypatch.setattr(script, "in_environment", answers)
    options = argparse.Namespace(quick=True, frames=1)
    assert script.check(options, tmp_path) == 1
    output = capsys.readouterr().out
    assert "DIFFERS: b.lvc" in output
    assert output.endswith("1 ways differ\n")
    bad.update(good)
    assert script.check(options, tmp_path) == 0
