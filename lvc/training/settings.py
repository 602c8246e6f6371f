"""What a training may be told."""

from dataclasses import dataclass
from pathlib import Path

from lvc.training.schedule import Schedule

DEFAULT_MINUTES = 480.0
"""A night."""
SAVE_MINUTES = 2.0
"""From one checkpoint to the next."""
SIZES = ("tiny", "lite", "base")
"""Names of the configurations in :mod:`lvc.model.config`, which takes a second to import."""
LEAST_CROP, MOST_CROP, CROP_UNIT = 64, 1024, 32
"""Sizes that crops may have, in samples: multiples of the unit."""
CHECKPOINT_SUFFIX, LOG_SUFFIX = ".ckpt", ".jsonl"
"""Of the files beside a model."""


@dataclass
class TrainingSettings:
    """What ``lvc train`` may be told.

    Attributes:
        size: name of a model configuration.
        checkpoint: where the state is kept; the log is beside it, with suffix .jsonl.
        output: where the model is written in the end, if it is; ``start_from`` may lie there before.
        minutes: length of the schedule in wall time over all runs; ``steps`` instead, where given.
        batch, crop: crops in a step and their size in samples.
        save_minutes: from one checkpoint to the next.
        validation: folder of clips for rate-distortion points, every ``validate_minutes``.
        stills: folder of pictures mixed into intra training.
        fit_crops: crops from which codebooks are fitted.
        only: "intra" or "inter": train the networks of these pictures and leave all others, and what both share, as
            they are, so that two processes can work on halves of one model; None: everything.
        schedule: None for the usual one, from the start or from a model.
    """

    clips: Path
    checkpoint: Path
    size: str = "lite"
    minutes: float = DEFAULT_MINUTES
    steps: int | None = None
    batch: int = 4
    crop: int = 128
    device: str = "cpu"
    seed: int = 1
    validation: Path | None = None
    stills: Path | None = None
    validate_minutes: float = 15.0
    save_minutes: float = SAVE_MINUTES
    start_from: Path | None = None
    output: Path | None = None
    fit_crops: int = 48
    only: str | None = None
    schedule: Schedule | None = None

    @property
    def log(self) -> Path:
        """Of steps and validation, a JSON object a line."""
        return self.checkpoint.with_suffix(LOG_SUFFIX)
