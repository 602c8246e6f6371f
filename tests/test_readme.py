"""The commands of README.md do what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
START = re.search(r"## Start\n.*?```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
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
