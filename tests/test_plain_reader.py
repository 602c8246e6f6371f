"""`lvc/FORMAT.md` is enough to write a decoder: one written from it gives the pictures of all conformance files."""

import functools
import hashlib
import itertools
import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plain_files import PlainModelFile, read_file, read_model
from tests.plain_reader import PlainShown, plain_pictures

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "vectors"
ENTRIES = json.loads((FOLDER / "vectors.json").read_text())


@functools.cache
def model(name: str) -> PlainModelFile:
    if name == "tiny":
        return read_model(lzma.decompress((FOLDER / "tiny.lvcm.xz").read_bytes()))
    return read_model((ROOT / "models" / f"{name}.lvcm").read_bytes())


@functools.cache
def pictures(name: str) -> list[PlainShown]:
    return list(plain_pictures((FOLDER / f"{name}.lvc").read_bytes(), model(ENTRIES[name]["model"])))


@pytest.mark.parametrize("name", list(ENTRIES))
def test_pictures(name: str) -> None:
    header, _ = read_file((FOLDER / f"{name}.lvc").read_bytes())
    kind = "u1" if header.bit_depth == 8 else "<u2"
    found = pictures(name)
    assert all(picture.agrees for picture in found)
    assert [
        hashlib.md5(b"".join(plane.astype(kind).tobytes() for plane in picture.samples)).hexdigest()
        for picture in found
    ] == ENTRIES[name]["pictures"]


def features(shown: PlainShown) -> set[tuple[object, ...]]:
    """What a picture uses of the format."""
    kind, picture = shown.frame.kind, shown.picture
    found: set[tuple[object, ...]] = {
        ("map", kind, shown.frame.has_map),
        ("flat", kind, shown.flat),
        ("chroma drop", shown.chroma_drop > 0),
        ("filters", shown.filters),
        *(("size", size) for size in picture.sizes.ravel().tolist()),
    }
    if picture.modes is not None:
        found |= {("mode", kind, mode) for mode in picture.modes.ravel().tolist()}
        found |= {("skipped", flag) for flag in picture.flags.ravel().tolist()}
        found |= {("gain", kind, weight[0] != 256) for weight in picture.weights}
        found |= {("offset", any(weight[1:])) for weight in picture.weights}
        found |= {("smooth", kind, picture.smooth)}
    return found


def test_every_feature_is_in_some_file() -> None:
    found = set().union(*(features(picture) for name in ENTRIES for picture in pictures(name)))
    wanted = {
        *itertools.product(["map"], (0, 1, 2), (False, True)),
        *itertools.product(["flat"], (0, 1, 2), (0, 2)),
        ("flat", 0, 3),
        *itertools.product(["chroma drop", "offset"], (False, True)),
        *itertools.product(["filters", "size"], range(4)),
        *itertools.product(["mode"], [1], (0, 3)),
        *itertools.product(["mode"], [2], range(4)),
        *itertools.product(["skipped"], (0, 1)),
        *itertools.product(["gain", "smooth"], (1, 2), (False, True)),
    }
    assert found == wanted


def test_the_reader_stands_alone() -> None:
    program = "import sys, tests.plain_reader; print({'lvc', 'numba', 'torch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
