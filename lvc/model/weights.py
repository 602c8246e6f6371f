"""Model files: integers and a description, nothing that runs when it is read.

Layout: ``LVCM``, version (u8), length of the description (u32, little-endian), description (JSON), arrays; the first
four are read by :mod:`lvc.catalogue`. The description lists every array with its name, type, shape and place. The
SHA-256 of the whole file is the identity by which `.lvc` files name the model that they need.
"""

import hashlib
import json
import math
import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvc.catalogue import MAGIC, VERSION, description_of, read_model
from lvc.errors import ModelError
from lvc.exact import loop_filter
from lvc.exact.arithmetic import usual_tensors
from lvc.exact.layers import SHIFT_MAX, UNIT, exact_layers
from lvc.model.codebook import MAX_ENTRIES, Codebook, Quantiser
from lvc.model.codec import FrameCodec
from lvc.model.config import config_named
from lvc.model.motion import MotionTables
from lvc.model.networks import HYPER_CHANNELS, HYPER_MAX
from lvc.model.sizes import SizeTables
from lvc.model.skip import SkipTables
from lvc.rangecoder import Table

KINDS = ("intra", "inter")
MOTION_KINDS = ("motion", "between")
"""Names of the motion tables of pictures with one reference, and with two."""
HYPER_INCREMENT = 20
_TRANSFORM_GRID = 2.0**14
_FILTERS_SHAPE = (loop_filter.SETS, loop_filter.CLASSES, len(loop_filter.PAIRS))
_CountRows = list[np.ndarray[Any, np.dtype[np.int64]]]
_TYPES = {"i1": 1, "i2": 2, "i4": 4, "u1": 1}
_MOST_DIMENSIONS = 8


@dataclass
class Statistics:
    """What is counted rather than learned by gradient: codebooks, starting counts of all tables, loop filters.

    Motion has tables of its own for pictures between others, see MOTION_KINDS. Filters are [SETS, CLASSES, PAIRS], see
    :mod:`lvc.exact.loop_filter`.
    """

    quantisers: list[Quantiser]
    hyper: list[list[np.ndarray[Any, np.dtype[np.int64]]]]
    motion: list[list[np.ndarray[Any, np.dtype[np.int64]]]]
    skip: list[np.ndarray[Any, np.dtype[np.int64]]]
    sizes: list[np.ndarray[Any, np.dtype[np.int64]]]
    filters: np.ndarray[Any, np.dtype[np.int64]]

    @classmethod
    def start(cls) -> "Statistics":
        """Before anything was counted."""
        size = np.abs(np.arange(-HYPER_MAX, HYPER_MAX + 1))
        hyper = np.maximum(2000 * 0.3**size, 4).astype(np.int64)
        return cls(
            [Quantiser.lattice(), Quantiser.lattice()],
            [[hyper] * HYPER_CHANNELS for _ in KINDS],
            [[table.counts for table in MotionTables.fresh(1 + kind).all()] for kind in range(len(MOTION_KINDS))],
            [table.counts for table in SkipTables().all()],
            [table.counts for table in SizeTables().all()],
            np.zeros(_FILTERS_SHAPE, np.int64),
        )

    def hyper_tables(self, kind: int) -> list[Table]:
        """Fresh adaptive tables."""
        return [Table(counts, HYPER_INCREMENT) for counts in self.hyper[kind]]

    def motion_tables(self, kind: int) -> MotionTables:
        """Fresh adaptive tables of one of MOTION_KINDS."""
        tables = MotionTables()
        for table, counts in zip(tables.all(), self.motion[kind], strict=True):
            table.counts = np.maximum(counts, 1)
        return tables

    def skip_tables(self) -> SkipTables:
        """Fresh adaptive tables."""
        tables = SkipTables()
        for table, counts in zip(tables.all(), self.skip, strict=True):
            table.counts = np.maximum(counts, 1)
        return tables

    def size_tables(self) -> SizeTables:
        """Fresh adaptive tables."""
        tables = SizeTables()
        for table, counts in zip(tables.all(), self.sizes, strict=True):
            table.counts = np.maximum(counts, 1)
        return tables


def pack(codec: FrameCodec, statistics: Statistics, card: dict[str, Any]) -> bytes:
    """A snapped codec as the bytes of a model file.

    Args:
        card: what the model card says: data, duration, machine; plain JSON values.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, layer in exact_layers(codec):
        shift = layer.grid_shift(name)
        scale = torch.exp2(shift)
        weight = (layer.weight.detach().double().flatten(1) * scale[:, None]).round()
        arrays[f"{name}.shift"] = shift.numpy().astype("u1")
        arrays[f"{name}.weight"] = weight.numpy().astype("i1")
        arrays[f"{name}.bias"] = (layer.bias.detach().double() * UNIT * scale).round().numpy().astype("<i4")
        if layer.knots is not None:
            arrays[f"{name}.knots"] = (layer.knots.detach().double() * UNIT).round().numpy().astype("<i4")
    for name, parameter in codec.transform.named_parameters():
        arrays[f"transform.{name}"] = (parameter.detach().double() * _TRANSFORM_GRID).round().numpy().astype("<i4")
    arrays["steps"] = codec.steps.table.numpy().astype("<i4")
    arrays["start_state"] = (codec.start_state.detach() * UNIT).round().numpy().astype("<i2")
    for kind, quantiser in zip(KINDS, statistics.quantisers, strict=True):
        for index, book in enumerate(quantiser.books):
            arrays[f"{kind}.book{index}.entries"] = book.entries.astype("<i4")
            arrays[f"{kind}.book{index}.counts"] = book.counts.astype("<i4")
            arrays[f"{kind}.book{index}.low"] = np.array([book.low], dtype="u1")
    for kind, rows in zip(KINDS, statistics.hyper, strict=True):
        arrays[f"{kind}.hyper"] = np.stack(rows).astype("<i4")
    motion = zip(MOTION_KINDS, statistics.motion, strict=True)
    for name, rows in (*motion, ("skip", statistics.skip), ("sizes", statistics.sizes)):
        for index, counts in enumerate(rows):
            arrays[f"{name}{index}"] = counts.astype("<i4")
    arrays["filters"] = statistics.filters.astype("i1")
    entries, place = [], 0
    for name, array in arrays.items():
        entries.append([name, array.dtype.str[1:], list(array.shape), place])
        place += array.nbytes
    description = json.dumps({"size": codec.config.name, "card": card, "arrays": entries}).encode()
    head = MAGIC + struct.pack("<BI", VERSION, len(description))
    return head + description + b"".join(array.tobytes() for array in arrays.values())


@dataclass
class Model:
    """A model ready to use: proven, exact, with its identity.

    Attributes:
        id: SHA-256 of the file, 32 bytes.
        card: see :func:`pack`.
    """

    id: bytes
    name: str
    codec: FrameCodec
    statistics: Statistics
    card: dict[str, Any]


class _Arrays:
    """The arrays of a model file, checked one by one."""

    def __init__(self, data: bytes, entries: Any, base: int) -> None:
        self.data, self.base = data, base
        self.entries: dict[str, tuple[str, tuple[int, ...], int]] = {}
        if not isinstance(entries, list):
            raise ModelError("the model file's description lists no arrays")
        for entry in entries:
            try:
                name, kind, shape, place = entry
                self.entries[str(name)] = (str(kind), tuple(int(n) for n in shape), int(place))
            except (TypeError, ValueError, OverflowError) as error:
                raise ModelError("the model file's description is damaged") from error

    def take(self, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
        """An array as int64; its shape must be the expected one where given."""
        if name not in self.entries:
            raise ModelError(f"the model file lacks {name}")
        kind, found, place = self.entries[name]
        fits = len(found) <= _MOST_DIMENSIONS if shape is None else found == shape
        if kind not in _TYPES or any(n < 1 for n in found) or not fits:
            raise ModelError(f"{name} in the model file has an unexpected type or shape")
        length = math.prod(found) * _TYPES[kind]
        start = self.base + place
        if place < 0 or start + length > len(self.data):
            raise ModelError(f"{name} in the model file lies outside of it")
        flat = np.frombuffer(self.data, dtype="<" + kind, count=math.prod(found), offset=start)
        return flat.reshape(found).astype(np.int64)

    def take_doubles(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The same as float64, which is to be kept as float32 times a power of two: refused where that would round."""
        values = torch.from_numpy(self.take(name, shape)).double()
        if not torch.equal(values.float().double(), values):
            raise ModelError(f"{name} in the model file has numbers that float32 would round")
        return values


def unpack(data: bytes, name: str) -> Model:
    """Read a model file's bytes, prove its bounds, switch it to exact arithmetic.

    Raises:
        ModelError: damaged, of another version, or not provably exact.
    """
    description, base = description_of(data, name)
    arrays = _Arrays(data, description.get("arrays"), base)
    codec = FrameCodec(config_named(description["size"]))
    with torch.no_grad():
        _fill(codec, arrays)
    statistics = _statistics(arrays)
    codec.freeze()
    return Model(hashlib.sha256(data).digest(), name, codec, statistics, description.get("card", {}))


def _fill(codec: FrameCodec, arrays: _Arrays) -> None:
    for name, layer in exact_layers(codec):
        out = len(layer.bias)
        shift = torch.from_numpy(arrays.take(f"{name}.shift", (out,))).double()
        if bool((shift > SHIFT_MAX).any()):
            raise ModelError(f"layer {name} has a shift over {SHIFT_MAX}")
        scale = torch.exp2(shift)
        weight = arrays.take_doubles(f"{name}.weight", (out, layer.weight[0].numel()))
        layer.weight.copy_((weight / scale[:, None]).view_as(layer.weight))
        layer.bias.copy_(arrays.take_doubles(f"{name}.bias", (out,)) / scale / UNIT)
        if layer.knots is not None:
            layer.knots.copy_(arrays.take_doubles(f"{name}.knots", tuple(layer.knots.shape)) / UNIT)
    for name, parameter in codec.transform.named_parameters():
        parameter.copy_(arrays.take_doubles(f"transform.{name}", tuple(parameter.shape)) / _TRANSFORM_GRID)
    steps = arrays.take("steps", tuple(codec.steps.table.shape))
    if steps.min() < 1 or steps.max() > 2**16:
        raise ModelError("the model file has a quantisation step out of range")
    codec.steps.table.copy_(torch.from_numpy(steps))
    start = arrays.take("start_state", tuple(codec.start_state.shape))
    codec.start_state.copy_(torch.from_numpy(start).float() / UNIT)


def _statistics(arrays: _Arrays) -> Statistics:
    start = Statistics.start()
    quantisers, hyper = [], []
    for kind, reference in zip(KINDS, start.quantisers, strict=True):
        books = []
        for index, expected in enumerate(reference.books):
            entries = arrays.take(f"{kind}.book{index}.entries")
            low = int(arrays.take(f"{kind}.book{index}.low", (1,))[0])
            if entries.ndim != 2 or entries.shape[1] != expected.dimension or not 1 <= len(entries) < MAX_ENTRIES:
                raise ModelError(f"codebook {index} of the model file has an unexpected shape")
            if low != expected.low or np.abs(entries).max() > 1 << 20:
                raise ModelError(f"codebook {index} of the model file is out of range")
            counts = _counts(arrays, f"{kind}.book{index}.counts", len(entries) + 1)
            books.append(Codebook(entries, counts, low))
        quantisers.append(Quantiser(books))
        rows = arrays.take(f"{kind}.hyper", (HYPER_CHANNELS, 2 * HYPER_MAX + 1))
        hyper.append([np.clip(row, 1, 1 << 20) for row in rows])

    def counted(name: str, expected: _CountRows) -> _CountRows:
        return [_counts(arrays, f"{name}{i}", len(counts)) for i, counts in enumerate(expected)]

    motion = [counted(name, rows) for name, rows in zip(MOTION_KINDS, start.motion, strict=True)]
    filters = arrays.take("filters", _FILTERS_SHAPE)
    if np.abs(filters).max() > loop_filter.WEIGHT_MAX:
        raise ModelError("the model file has a loop filter out of range")
    return Statistics(quantisers, hyper, motion, counted("skip", start.skip), counted("sizes", start.sizes), filters)


def _counts(arrays: _Arrays, name: str, length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    counts: np.ndarray[Any, np.dtype[np.int64]] = np.clip(arrays.take(name, (length,)), 1, 1 << 20)
    return counts


@usual_tensors()
def load(path: str | os.PathLike[str]) -> Model:
    """Read a model file.

    Raises:
        ModelError: missing, damaged or not provably exact.
    """
    path = Path(path)
    return replace(unpack(read_model(path), str(path)), name=path.stem)
