"""Where the processes that lvc starts import from: where it does itself, and not from the current folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parent.parent)
PLANTED = ("av", "multiprocessing", "numpy", "pickle", "queue", "torch")
CODING = """
from lvc.workers import Call, Workers
from tests.worker_calls import double
with Workers(1, "numpy") as workers:
    print([result for _, result in workers.in_order([(0, Call(double, (4,)))])])
"""
MEASURING = """
import math
from lvc.bench.workers import Workers
with Workers(1, ("numpy", "av")) as workers:
    workers.start(0, math.isqrt, 64)
    print([result for _, result in workers.finished()])
"""
CHECKOUT = """
import mine
from lvc.workers import Call, Workers
if __name__ == "__main__":
    with Workers(1, "mine") as workers:
        print([result for _, result in workers.in_order([(0, Call(mine.double, (4,)))])])
"""


def output_of(folder: Path, *arguments: str) -> str:
    """What Python writes in a folder."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def program(folder: Path, code: str) -> str:
    """A script in a folder of its own, as the command ``lvc`` is."""
    (folder / "bin").mkdir()
    path = folder / "bin" / "program.py"
    indented = code.replace("\n", "\n    ")
    path.write_text(f"if __name__ == '__main__':{indented}\n")
    return str(path)


@pytest.mark.parametrize("code", [CODING, MEASURING])
def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, code: str) -> None:
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()\nraise SystemExit('planted')\n")
    assert output_of(tmp_path, program(tmp_path, code)) == "[8]"
    assert not (tmp_path / "imported").exists()


def test_what_this_process_finds_its_workers_find(tmp_path: Path) -> None:
    """As in a checkout, from which ``python -m lvc`` is run."""
    (tmp_path / "mine.py").write_text("def double(value, report):\n    return 2 * value\n")
    (tmp_path / "program.py").write_text(CHECKOUT)
    assert output_of(tmp_path, "-m", "program") == "[8]"


@pytest.mark.parametrize("code", [CODING, MEASURING])
def test_what_python_does_not_import_from_is_left_out(tmp_path: Path, code: str) -> None:
    """What is no string, and a folder whose name would be two."""
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "numpy.py").write_text("open('imported', 'w').close()\n")
    added = [f"{tmp_path}{os.pathsep}{planted}", planted]
    begin = f"\nimport sys\nfrom pathlib import {type(planted).__name__}\nsys.path[:0] = {added!r}"
    assert output_of(tmp_path, program(tmp_path, begin + code)) == "[8]"
    assert not (tmp_path / "imported").exists()


def test_the_environment_stays(tmp_path: Path) -> None:
    shown = "\nimport os\nprint(os.environ.get('PYTHONSAFEPATH'), os.environ['PYTHONPATH'])"
    assert output_of(tmp_path, program(tmp_path, MEASURING + shown)).splitlines()[1] == f"None {ROOT}"
