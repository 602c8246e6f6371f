"""The model files that are installed, by name and by identity. Reads their descriptions only: no torch, no numpy.

A model file begins with ``LVCM``, version (u8), length of the description (u32, little-endian) and the description
(JSON); the arrays that follow are read by :mod:`lvc.model.weights`.
"""

import functools
import hashlib
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lvc.errors import ModelError

SUFFIX = ".lvcm"
DEFAULT = "lite"
MAGIC = b"LVCM"
VERSION = 1
HEAD_BYTES = 9
MAX_BYTES = 1 << 26
MAX_DESCRIPTION = 1 << 20

_HERE = Path(__file__).resolve().parent
FOLDERS = (_HERE / "models", _HERE.parent / "models")
"""In a wheel, and in a source checkout."""


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates per luma sample, of all convolutions and matrix products.

    Attributes:
        decode_intra, decode_predicted: to decode a picture of either kind. Skipped blocks take up to 4 % less.
        encode_intra, encode_predicted: to encode one with the preset fast, about; others search more. An intra picture
            takes twice as much where its chroma proves to need coarser steps.
    """

    decode_intra: int
    decode_predicted: int
    encode_intra: int
    encode_predicted: int


MACS = {
    "tiny": Macs(890, 780, 2_190, 3_380),
    "lite": Macs(12_300, 8_200, 14_700, 12_100),
    "base": Macs(81_200, 62_300, 86_700, 70_300),
}
"""By the size of a model, as ``lvc bench --speed`` counts them."""


@dataclass(frozen=True)
class ModelInfo:
    """An installed model file.

    Attributes:
        name: by which it is chosen: the file's name without its extension.
        id: SHA-256 of the file, 32 bytes.
        path: of the file.
        bytes: its size.
        size: the dial for widths and depths that it was trained with.
        card: what it says of its training and its figures; plain JSON values.
    """

    name: str
    id: bytes
    path: Path
    bytes: int
    size: str
    card: dict[str, Any] = field(hash=False)

    @property
    def macs(self) -> Macs | None:
        """What its pictures cost; None for sizes of which that is not known."""
        return MACS.get(self.size)


def description_of(data: bytes, name: str) -> tuple[dict[str, Any], int]:
    """The description at the start of a model file, and where its arrays begin.

    Args:
        data: the file.
        name: for messages.

    Raises:
        ModelError: no model file, of another version, too large or damaged.
    """
    if len(data) > MAX_BYTES or not data.startswith(MAGIC) or len(data) < HEAD_BYTES:
        raise ModelError(f"{name} is no lvc model file")
    version, length = struct.unpack_from("<BI", data, len(MAGIC))
    if version != VERSION:
        raise ModelError(f"{name} is a model file of version {version}; this lvc reads version {VERSION}")
    base = HEAD_BYTES + length
    if length > MAX_DESCRIPTION or base > len(data):
        raise ModelError(f"{name} is damaged: its description is cut off")
    try:
        description = json.loads(data[HEAD_BYTES:base])
        valid = isinstance(description["size"], str) and isinstance(description.get("card", {}), dict)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{name} is damaged: its description does not parse") from error
    if not valid:
        raise ModelError(f"{name} is damaged: its description does not parse")
    return description, base


def read_model(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        ModelError: missing or too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is too large for a model file")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error


def model_info(path: Path) -> ModelInfo:
    """What a model file says of itself; its arrays are not looked at.

    Raises:
        ModelError: missing, no model file or damaged.
    """
    data = read_model(path)
    description, _ = description_of(data, str(path))
    card = description.get("card", {})
    return ModelInfo(path.stem, hashlib.sha256(data).digest(), path, len(data), description["size"], card)


@functools.cache
def installed() -> tuple[ModelInfo, ...]:
    """All installed models, in the order of their names; files that are no models are passed over."""
    found: dict[str, ModelInfo] = {}
    for folder in FOLDERS:
        for path in sorted(folder.glob("*" + SUFFIX)) if folder.is_dir() else ():
            if path.stem in found:
                continue
            try:
                found[path.stem] = model_info(path)
            except ModelError:
                continue
    return tuple(found[name] for name in sorted(found))


def name_of(identity: bytes) -> str | None:
    """The name of the installed model with that identity; None where there is none."""
    return next((info.name for info in installed() if info.id == identity), None)


def path_of(name_or_path: str | None) -> Path:
    """The file of an installed model, or the path itself; None for the default one.

    Raises:
        ModelError: it is neither an installed model nor a file, nor named like a model file.
    """
    name = name_or_path or DEFAULT
    path = next((info.path for info in installed() if info.name == name), Path(name))
    if path.suffix == SUFFIX or path.exists():
        return path
    names = ", ".join(info.name for info in installed()) or "none"
    raise ModelError(f"unknown model {name!r}; installed: {names}; or give the path of a {SUFFIX} file")


def path_for(identity: bytes) -> Path | None:
    """The file of the installed model with that identity; None where there is none."""
    return next((info.path for info in installed() if info.id == identity), None)
