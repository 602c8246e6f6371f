"""What belongs into a wheel; `.ci/run` builds one and looks into it."""

from pathlib import Path

import lvc
from scripts.check_wheel import failures

WHOLE = ["lvc/__init__.py", "lvc/py.typed", "lvc/FORMAT.md", "lvc/models/lite.lvcm", "lvc-0.1.0.dist-info/METADATA"]


def test_what_is_missing_or_stray_is_named() -> None:
    assert not failures(WHOLE)
    assert failures([name for name in WHOLE if "models" not in name]) == ["lvc/models/lite.lvcm is missing"]
    stray = ["lvc/models/.gitkeep", "tests/test_cli.py"]
    assert failures(WHOLE + stray) == [f"{name} does not belong there" for name in stray]


def test_types_are_for_others_too() -> None:
    assert (Path(lvc.__file__).parent / "py.typed").is_file()
