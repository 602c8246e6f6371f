"""How a training goes on where it was ended."""

import logging
from typing import TYPE_CHECKING, Any

import torch

from lvc.errors import LvcError
from lvc.training import checkpoint
from lvc.training.data import clips_in
from lvc.training.origin import OtherOriginError, check, origin_of

if TYPE_CHECKING:
    from lvc.training.loop import Trainer

_LOGGER = logging.getLogger("lvc")


def resume(trainer: "Trainer") -> bool:
    """Go on from the checkpoint, if there is one; all processes of a distributed training from the first one's.

    Raises:
        InputError: a folder holds no clips.
        ModelError: the checkpoint, or the file that a new training is to start from, cannot be read.
        OtherOriginError: the checkpoint is of a training with other settings.
    """
    found: dict[str, Any] | Exception | None = None
    if trainer.rank == 0 or trainer.world == 1:
        try:
            found = _found(trainer)
        except (LvcError, OtherOriginError) as error:
            found = error
    if trainer.world > 1:
        box = [found]
        torch.distributed.broadcast_object_list(box, 0)
        found = box[0]
    if isinstance(found, Exception):
        raise found
    if found is None:
        return False
    path = trainer.settings.checkpoint
    checkpoint.restore(trainer, found, path, weights_only=False)
    if trainer.progress < 1:
        _LOGGER.info("%s goes on from step %d", path, trainer.step)
    else:
        _LOGGER.info(
            "%s is finished after %d steps: only codebooks and tables are fitted; more --minutes or --steps go on",
            path,
            trainer.step,
        )
    return True


def _found(trainer: "Trainer") -> dict[str, Any] | None:
    """The state that the checkpoint of this very training holds; None where there is none."""
    settings = trainer.settings
    path = settings.checkpoint
    state = checkpoint.read(path) if path.exists() else None
    kept = None if state is None else state.get("origin") or {}
    trainer.origin = origin_of(settings, kept)
    if settings.validation is not None:
        clips_in(settings.validation)
    if kept is not None:
        check(kept, trainer.origin, path)
    return state
