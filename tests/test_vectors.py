"""Conformance files: every picture of every file in tests/vectors, on this machine, in several ways.

The files come from ``scripts/make_vectors.py``. A difference here means that files of users no longer decode: either
something is broken, or the format has changed, which needs a new version.
"""

import functools
import hashlib
import io
import itertools
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
import torch

from lvc.container import BETWEEN, INTRA, PREDICTED, GopChunk, Reader
from lvc.decoder import Decoder
from lvc.errors import ModelError
from lvc.model import Model, model_for
from lvc.model.weights import unpack
from lvc.video import Frame

FOLDER = Path(__file__).parent / "vectors"
ENTRIES: dict[str, dict[str, Any]] = json.loads((FOLDER / "vectors.json").read_text())


@functools.cache
def tiny() -> Model:
    return unpack(lzma.decompress((FOLDER / "tiny.lvcm.xz").read_bytes()), "tiny")


def model_of(name: str, identity: bytes) -> Model:
    """The stored model, and none that merely has its name."""
    if name != "tiny":
        return model_for(identity)
    if tiny().id != identity:
        raise ModelError("the stored tiny model is not the one of this file")
    return tiny()


def pictures(data: bytes, model: str, batch: int = 1) -> list[str]:
    decoder = Decoder(io.BytesIO(data), batch=batch, load_model=lambda identity: model_of(model, identity))
    kind = "u1" if decoder.info.bit_depth == 8 else "<u2"
    return [
        hashlib.md5(b"".join(plane.astype(kind).tobytes() for plane in item.planes)).hexdigest()
        for item in decoder
        if isinstance(item, Frame)
    ]


def test_every_kind_of_picture_is_there_with_a_quality_map_and_without() -> None:
    """What the encoder decides must not take something of the format out of these files unnoticed."""
    found = {
        (frame.kind, frame.has_levels)
        for name in ENTRIES
        for item in Reader(io.BytesIO((FOLDER / f"{name}.lvc").read_bytes()))
        if isinstance(item, GopChunk)
        for frame in item.gop.frames
    }
    assert found == set(itertools.product((INTRA, PREDICTED, BETWEEN), (False, True)))


@pytest.mark.parametrize("name", list(ENTRIES))
@pytest.mark.parametrize("batch", [1, 4])
def test_pictures(name: str, batch: int) -> None:
    entry = ENTRIES[name]
    data = (FOLDER / f"{name}.lvc").read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert pictures(data, entry["model"], batch) == entry["pictures"]


def test_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    for name in ("deep", "odd"):
        data = (FOLDER / f"{name}.lvc").read_bytes()
        assert pictures(data, "tiny") == ENTRIES[name]["pictures"]


def test_the_list_is_complete() -> None:
    assert {path.stem for path in FOLDER.glob("*.lvc")} == set(ENTRIES)
    headers = [Reader(io.BytesIO((FOLDER / f"{name}.lvc").read_bytes())).header for name in ENTRIES]
    assert {header.info.bit_depth for header in headers} == {8, 10}
    assert {1, 100} <= {header.quality for header in headers}
    assert any(header.info.width % 2 and header.info.height % 2 for header in headers)
    assert len({picture for entry in ENTRIES.values() for picture in entry["pictures"]}) > 30
