"""What scripts/check_memory.py says of peaks, and that it runs."""

import subprocess
import sys
from pathlib import Path

from scripts.check_memory import failures

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "check_memory.py"


def test_bounds() -> None:
    assert not failures({10: (300, 200), 100: (329, 219)}, 400)
    assert failures({10: (300, 200), 100: (331, 200)}, 400) == ["encode grows with the length, from 300 to 331 MB"]
    assert failures({100: (300, 231), 10: (300, 200)}, 400) == ["decode grows with the length, from 200 to 231 MB"]
    assert failures({10: (300, 200)}, 250) == ["encode takes 300 MB, more than 250"]


def test_the_script() -> None:
    command = [sys.executable, str(SCRIPT), "--frames", "2", "--size", "32x32", "--preset", "fast", "--most", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("2 frames of 32x32: encode ")
    assert done.stderr.count("more than 1\n") == 2, done.stderr
    assert done.returncode == 1
