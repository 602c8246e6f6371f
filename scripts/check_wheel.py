#!/usr/bin/env python3
"""Checks that a wheel holds what an installed lvc needs besides its code, and nothing stray.

python scripts/check_wheel.py dist/lvc-0.1.0-py3-none-any.whl
"""

import argparse
import sys
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
ALSO = {"lvc/FORMAT.md", "lvc/py.typed"}


def failures(names: list[str]) -> list[str]:
    """What is wrong with a wheel of these files."""
    models = {f"lvc/models/{path.name}" for path in (ROOT / "models").glob("*.lvcm")}
    missing = sorted((models | ALSO) - set(names))
    paths = [PurePosixPath(name) for name in names]
    stray = [
        str(path)
        for path in paths
        if (path.parts[0] != "lvc" and not path.parts[0].endswith(".dist-info")) or path.name.startswith(".")
    ]
    return [f"{name} is missing" for name in missing] + [f"{name} does not belong there" for name in stray]


def main() -> int:
    """Run, print, and say by the exit status whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    options = parser.parse_args()
    with zipfile.ZipFile(options.wheel) as wheel:
        found = failures(wheel.namelist())
    for failure in found:
        print(f"{options.wheel.name}: {failure}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
