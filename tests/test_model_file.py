"""Model files: what is packed is unpacked, and nothing that is damaged is accepted."""

import copy
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lvc import catalogue
from lvc.catalogue import MAX_BYTES, MAX_DESCRIPTION, VERSION
from lvc.errors import ModelError
from lvc.exact.layers import exact_layers
from lvc.model import find_model, model_for
from lvc.model.weights import load, pack, unpack
from tests.models import small_books, tiny_bytes, tiny_codec, tiny_model

HEAD = struct.Struct("<4sBI")


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Description and arrays of a model file."""
    _, _, length = HEAD.unpack_from(data)
    return json.loads(data[HEAD.size : HEAD.size + length]), data[HEAD.size + length :]


def file_of(description: Any, arrays: bytes, version: int = VERSION) -> bytes:
    text = description if isinstance(description, bytes) else json.dumps(description).encode()
    return HEAD.pack(b"LVCM", version, len(text)) + text + arrays


def place_of(description: dict[str, Any], name: str) -> list[Any]:
    return next(entry for entry in description["arrays"] if entry[0] == name)


def altered(name: str, values: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """The tiny model with one array changed."""
    description, arrays = parts(tiny_bytes())
    _, kind, shape, place = place_of(description, name)
    old = np.frombuffer(arrays, "<" + kind, int(np.prod(shape)), place).reshape(shape).copy()
    new = values(old).astype("<" + kind).tobytes()
    return file_of(description, arrays[:place] + new + arrays[place + len(new) :])


def test_round_trip() -> None:
    codec = tiny_codec()
    codec.snap()
    statistics = small_books()
    for number, rows in enumerate((*statistics.motion, statistics.skip, statistics.sizes)):
        rows[:] = [counts + 7 * number + index for index, counts in enumerate(rows)]
    card = {"data": "none", "note": "π"}
    data = pack(codec, statistics, card)
    model = unpack(data, "tiny")
    assert model.card == card
    assert model.name == "tiny"
    assert model.id == hashlib.sha256(data).digest()
    found = dict(model.codec.named_parameters())
    for name, parameter in codec.named_parameters():
        if not name.startswith(("steps.", "transform.luma", "transform.chroma")):
            assert torch.equal(parameter, found[name]), name
    for name in ("luma_inverse", "chroma_inverse"):
        assert torch.equal(getattr(codec.transform, name), getattr(model.codec.transform, name))
    assert torch.allclose(codec.transform.luma, model.codec.transform.luma, atol=2**-14)
    assert torch.equal(codec.steps.table, model.codec.steps.table)
    for a, b in zip(statistics.quantisers, model.statistics.quantisers, strict=True):
        for x, y in zip(a.books, b.books, strict=True):
            assert np.array_equal(x.entries, y.entries)
            assert np.array_equal(x.counts, y.counts)
            assert x.low == y.low
    found_statistics = model.statistics
    for name, wanted, kept, tables in (
        ("motion", statistics.motion[0], found_statistics.motion[0], found_statistics.motion_tables(0)),
        ("between", statistics.motion[1], found_statistics.motion[1], found_statistics.motion_tables(1)),
        ("skip", statistics.skip, found_statistics.skip, found_statistics.skip_tables()),
        ("sizes", statistics.sizes, found_statistics.sizes, found_statistics.size_tables()),
    ):
        assert all(np.array_equal(a, b) for a, b in zip(wanted, kept, strict=True)), name
        assert all(np.array_equal(a, b.counts) for a, b in zip(wanted, tables.all(), strict=True)), name
    assert np.array_equal(statistics.hyper, model.statistics.hyper)
    assert pack(model.codec, model.statistics, card) == data
    assert all(layer.exact for _, layer in exact_layers(model.codec))


def test_the_identity_names_every_bit() -> None:
    other = altered("start_state", lambda x: x + (np.arange(len(x)) == 3))
    assert unpack(other, "x").id != tiny_model().id
    assert unpack(tiny_bytes(), "renamed").id == tiny_model().id


def test_a_finer_quality_never_has_a_coarser_step() -> None:
    table = tiny_model().codec.steps.table
    assert bool((table[:, 1:] <= table[:, :-1]).all())
    assert int(table.min()) >= 1


def test_a_codec_off_its_grid_is_not_packed() -> None:
    codec = tiny_codec()
    with pytest.raises(ModelError, match="lie on no grid"):
        pack(codec, small_books(), {})


def test_truncated_files_are_refused() -> None:
    data = tiny_bytes()
    lengths = [*range(12), *np.linspace(12, len(data) - 1, 25).astype(int).tolist(), len(data) - 1]
    for length in lengths:
        with pytest.raises(ModelError):
            unpack(data[:length], "cut")


def test_garbage_is_refused() -> None:
    random = np.random.default_rng(1)
    for head in (b"", b"LVCM", HEAD.pack(b"LVCM", VERSION, 20), HEAD.pack(b"LVCM", VERSION, 1 << 31)):
        for length in (0, 1, 30, 4000):
            with pytest.raises(ModelError):
                unpack(head + random.bytes(length), "garbage")


def test_flipped_bytes_are_refused_or_another_identity() -> None:
    """A flip in the description hits a name, a number or the syntax; one in an array gives another model."""
    random = np.random.default_rng(2)
    data = tiny_bytes()
    description_end = HEAD.size + HEAD.unpack_from(data)[2]
    for position in [*range(9), *random.integers(9, description_end, 50), *random.integers(9, len(data), 5)]:
        bad = bytearray(data)
        bad[position] ^= int(random.integers(1, 256))
        try:
            model = unpack(bytes(bad), "bad")
        except ModelError:
            continue
        assert model.id != tiny_model().id


DESCRIPTIONS: dict[str, Any] = {
    "no object": [],
    "a number": 7,
    "a string": "size",
    "null": None,
    "no size": {"arrays": []},
    "no arrays": {"size": "tiny"},
    "unknown size": {"size": "huge", "arrays": []},
    "card is a number": {"size": "tiny", "card": 3, "arrays": []},
    "no array": {"size": "tiny", "arrays": []},
    "arrays of numbers": {"size": "tiny", "arrays": [1, 2]},
    "arrays is null": {"size": "tiny", "arrays": None},
    "short entry": {"size": "tiny", "arrays": [["a", "i1", [1]]]},
    "shape of words": {"size": "tiny", "arrays": [["a", "i1", ["x"], 0]]},
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe{}",
    "infinite shape": b'{"size": "tiny", "arrays": [["a", "i1", [1e999], 0]]}',
    "infinite place": b'{"size": "tiny", "arrays": [["a", "i1", [1], Infinity]]}',
    "no number": b'{"size": "tiny", "arrays": [["a", "i1", [NaN], 0]]}',
    "too deep": b"[" * 100_000,
    "too long a number": b'{"size": "tiny", "arrays": [["a", "i1", [1], ' + b"9" * 5000 + b"]]}",
}


@pytest.mark.parametrize("name", list(DESCRIPTIONS))
def test_odd_descriptions_are_refused(name: str) -> None:
    with pytest.raises(ModelError):
        unpack(file_of(DESCRIPTIONS[name], parts(tiny_bytes())[1]), "odd")


ENTRIES: dict[str, tuple[str, list[Any]]] = {
    "unknown type": ("steps", ["steps", "f4", [100, 384], 0]),
    "other shape": ("steps", ["steps", "i4", [2, 384, 100], 0]),
    "negative shape": ("steps", ["steps", "i4", [-1, 100, 384], 0]),
    "negative place": ("steps", ["steps", "i4", [2, 100, 384], -4]),
    "beyond the end": ("steps", ["steps", "i4", [2, 100, 384], 1 << 25]),
    "far beyond the end": ("steps", ["steps", "i4", [2, 100, 384], 1 << 70]),
    "huge": ("intra.book0.entries", ["intra.book0.entries", "i4", [1 << 40, 4], 0]),
    "nothing by much": ("intra.book0.entries", ["intra.book0.entries", "i4", [1 << 70, 0], 0]),
    "no entries": ("intra.book0.entries", ["intra.book0.entries", "i4", [0, 4], 0]),
    "flat": ("intra.book0.entries", ["intra.book0.entries", "i4", [240], 0]),
    "other dimension": ("intra.book0.entries", ["intra.book0.entries", "i4", [60, 2], 0]),
    "too many dimensions": ("intra.book0.entries", ["intra.book0.entries", "i4", [*[1] * 70, 60, 4], 0]),
    "missing": ("steps", ["stop", "i4", [2, 100, 384], 0]),
}


@pytest.mark.parametrize("name", list(ENTRIES))
def test_odd_arrays_are_refused(name: str) -> None:
    description, arrays = parts(tiny_bytes())
    target, entry = ENTRIES[name]
    rows = [entry if row[0] == target else row for row in description["arrays"]]
    with pytest.raises(ModelError):
        unpack(file_of({**description, "arrays": rows}, arrays), "odd")


def test_broken_bounds_are_refused() -> None:
    name, layer = next(iter(exact_layers(tiny_model().codec)))
    assert layer.weight[0].numel() * 127 * 2047 > 1 << 23
    with pytest.raises(ModelError, match=f"layer {name} breaks its bound"):
        unpack(altered(f"{name}.bias", lambda x: np.full_like(x, 2**24)), "bad")
    with pytest.raises(ModelError, match="shift over"):
        unpack(altered(f"{name}.shift", lambda x: x + 15), "bad")
    with pytest.raises(ModelError, match="breaks its bound"):
        unpack(altered(f"{name}.knots", lambda x: np.full_like(x, -(2**24))), "bad")


@pytest.mark.parametrize("value", [2**24 + 1, -(2**24) - 1, 2**31 - 1])
def test_numbers_that_float32_would_round_are_refused(value: int) -> None:
    name = next(name for name, layer in exact_layers(tiny_model().codec) if layer.knots is not None)
    for array in (f"{name}.bias", f"{name}.knots", "transform.chroma_inverse"):
        with pytest.raises(ModelError, match=f"{array} in the model file has numbers that float32 would round"):
            unpack(altered(array, lambda x: np.where(np.arange(x.size).reshape(x.shape) == 3, value, x)), "bad")


@pytest.mark.parametrize("size", [0, 1, 2])
def test_transforms_beyond_their_bounds_are_refused(size: int) -> None:
    """Whichever of the sizes it is; sums of one row are what counts, and those of columns may be as large."""

    def row(matrices: np.ndarray) -> np.ndarray:
        matrices[size, 77] = -(2**31)
        return matrices

    def column(matrices: np.ndarray) -> np.ndarray:
        matrices[size, :, 77] = -(2**31)
        return matrices

    with pytest.raises(ModelError, match="inverse transform breaks its bound"):
        unpack(altered("transform.luma_inverse", row), "bad")
    assert unpack(altered("transform.luma_inverse", column), "odd").codec.exact
    with pytest.raises(ModelError, match="unexpected type or shape"):
        description, arrays = parts(tiny_bytes())
        place_of(description, "transform.luma_inverse")[2] = [256, 256]
        unpack(file_of(description, arrays), "old")


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("steps", -5), ("steps", 2**16 + 1), ("intra.book3.entries", 2**30)]
)
def test_values_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(ModelError, match="out of range"):
        unpack(altered(name, lambda x: np.where(np.arange(x.size).reshape(x.shape) == 7, value, x)), "bad")


def test_low_bits_are_fixed() -> None:
    with pytest.raises(ModelError, match="out of range"):
        unpack(altered("inter.book25.low", lambda x: x - 1), "bad")


def test_counts_are_limited() -> None:
    model = unpack(altered("intra.book2.counts", lambda x: np.full_like(x, -7)), "odd")
    assert model.statistics.quantisers[0].books[2].counts.tolist() == [1] * 61
    model = unpack(altered("motion0", lambda x: np.full_like(x, 2**31 - 1)), "odd")
    assert model.statistics.motion[0][0].tolist() == [1 << 20] * 2
    model = unpack(altered("between31", lambda x: np.array([2**31 - 1, 0, -5, -(2**31)])), "odd")
    assert model.statistics.motion[1][31].tolist() == [1 << 20, 1, 1, 1]
    assert model.statistics.motion[0][31].tolist() == tiny_model().statistics.motion[0][31].tolist()
    model = unpack(altered("sizes21", lambda x: np.array([0, 2**31 - 1, -5, 7])), "odd")
    assert model.statistics.sizes[21].tolist() == [1, 1 << 20, 1, 7]
    assert model.statistics.sizes[10].tolist() == tiny_model().statistics.sizes[10].tolist()


def test_versions() -> None:
    description, arrays = parts(tiny_bytes())
    with pytest.raises(ModelError, match="version 2"):
        unpack(file_of(description, arrays, version=2), "new")


def test_limits(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        unpack(file_of(b" " * (MAX_DESCRIPTION + 1), b""), "long")
    path = tmp_path / "large.lvcm"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(ModelError, match="too large"):
        load(path)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.lvcm"
    path.write_bytes(tiny_bytes())
    assert load(path).id == tiny_model().id
    assert load(path).name == "mine"
    assert find_model(str(path)).id == tiny_model().id
    for missing in (tmp_path / "none.lvcm", tmp_path):
        with pytest.raises(ModelError, match=str(missing)):
            load(missing)
    for find in (find_model, catalogue.path_of):
        with pytest.raises(ModelError, match="unknown model 'nonsense'"):
            find("nonsense")
    other = tmp_path / "in.mp4"
    other.write_bytes(b"no model")
    with pytest.raises(ModelError, match=f"^{other} is no lvc model file"):
        load(other)
    with pytest.raises(ModelError, match="not installed"):
        model_for(tiny_model().id)
    monkeypatch.setattr(catalogue, "FOLDERS", (tmp_path,))
    catalogue.installed.cache_clear()
    try:
        assert [info.name for info in catalogue.installed()] == ["mine"]
        assert model_for(tiny_model().id).name == "mine"
        assert find_model("mine").id == tiny_model().id
    finally:
        catalogue.installed.cache_clear()


def test_packing_leaves_the_codec_alone() -> None:
    codec = tiny_codec()
    codec.snap()
    before = copy.deepcopy(codec.state_dict())
    pack(codec, small_books(), {})
    assert all(torch.equal(value, before[name]) for name, value in codec.state_dict().items())
