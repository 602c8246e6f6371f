"""Models ready to use, by name and by identity; :mod:`lvc.catalogue` knows which there are."""

import functools
from pathlib import Path

from lvc.catalogue import DEFAULT, SUFFIX, installed
from lvc.errors import ModelError
from lvc.model.weights import Model, load


@functools.lru_cache(maxsize=4)
def _load(path: Path) -> Model:
    return load(path)


def find_model(name_or_path: str | None) -> Model:
    """A model by its installed name or by the path of its file; None for the default.

    Raises:
        ModelError: when there is none.
    """
    name = name_or_path or DEFAULT
    for info in installed():
        if info.name == name:
            return _load(info.path)
    path = Path(name)
    if path.suffix == SUFFIX or path.exists():
        return load(path)
    names = ", ".join(info.name for info in installed()) or "none"
    raise ModelError(f"unknown model {name!r}; installed: {names}; or give the path of a {SUFFIX} file")


def model_for(identity: bytes) -> Model:
    """The installed model with that identity.

    Raises:
        ModelError: when there is none.
    """
    for info in installed():
        if info.id == identity:
            return _load(info.path)
    raise ModelError(
        f"this file needs the model with SHA-256 {identity.hex()[:16]}..., which is not installed; "
        "put its file into the models folder or name it with --model"
    )
