"""What a training is made of: the settings that a checkpoint keeps, and with which alone it goes on.

How long it lasts, where it is computed and what it is validated on may change from run to run.
"""

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

from lvc.errors import ModelError
from lvc.output import is_same, reason_of
from lvc.training.data import clips_in
from lvc.training.settings import TrainingSettings

Origin = dict[str, int | str | None]
"""A number, a name or what tells files from others, by the name of the setting; None where it was not given."""
_OF_FILES = {"clips": "other clips", "stills": "other --stills", "start_from": "another --start-from"}

_BEGINNING = 1 << 16
"""Bytes of each clip that are compared."""


class OtherOriginError(ValueError):
    """A checkpoint is of a training with other settings; the sentence names them, and says what to do."""


def origin_of(settings: TrainingSettings, kept: Mapping[str, int | str | None] | None = None) -> Origin:
    """Of a training.

    Args:
        kept: of the checkpoint that it is to go on from; None of a new one.

    Raises:
        InputError: a folder holds no clips.
        ModelError: the file to start from cannot be read.
    """
    return {
        "clips": _digest_of_clips(settings.clips),
        "stills": None if settings.stills is None else _digest_of_clips(settings.stills),
        "start_from": _digest_of_start(settings, (kept or {}).get("start_from")),
        "size": settings.size,
        "batch": settings.batch,
        "crop": settings.crop,
        "only": settings.only,
        "seed": settings.seed,
    }


def check(kept: Mapping[str, int | str | None], now: Origin, path: Path) -> None:
    """Refuse to go on with a training that is another one; what was not kept may be anything.

    Args:
        kept: of the checkpoint at ``path``.

    Raises:
        OtherOriginError: it is.
    """
    others = [_said(name, kept[name], now[name]) for name in now if name in kept and kept[name] != now[name]]
    if others:
        raise OtherOriginError(
            f"{path} was begun {', '.join(others)}. It goes on with the same settings; another output, or this one"
            " without the checkpoint, begins anew, and --start-from takes the weights of any checkpoint or model."
        )


def _said(name: str, kept: int | str | None, now: int | str | None) -> str:
    option = "--" + name.replace("_", "-")
    if kept is None:
        return f"without {option}"
    if name in _OF_FILES:
        return f"with {_OF_FILES[name]}"
    return f"with {option} {kept}" + ("" if now is None else f" instead of {now}")


def _digest_of_clips(folder: Path) -> str:
    """Of names, sizes and beginnings of clips: the folder may be moved, and not all of it is read."""
    digest = hashlib.sha256()
    for path in clips_in(folder):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode("utf-8", "surrogateescape"))
        with contextlib.suppress(OSError), path.open("rb") as file:  # a clip that cannot be read is left out later
            digest.update(f"{path.stat().st_size}\0".encode() + file.read(_BEGINNING))
    return digest.hexdigest()


def _digest_of_start(settings: TrainingSettings, kept: int | str | None) -> int | str | None:
    """Of the file to start from. Where the training has replaced it by its model, or it is gone since, it counts as the
    one that was kept.
    """
    path = settings.start_from
    if path is None:
        return None
    if kept is not None and settings.output is not None and is_same(path, settings.output):
        return kept
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if kept is not None:
            return kept
        raise ModelError(f"{path}: {reason_of(error)}") from error
