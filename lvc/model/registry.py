"""Models ready to use, by name and by identity; :mod:`lvc.catalogue` knows which there are."""

import functools
from pathlib import Path

from lvc.catalogue import installed, path_of
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
    path = path_of(name_or_path)
    return _load(path) if any(info.path == path for info in installed()) else load(path)


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
