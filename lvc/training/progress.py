"""How far a training has come: what it reports and the command line shows."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """A report, made after every clip, every step (on CUDA every 20th) and every crop.

    Attributes:
        phase: "reading" clips, "training", or "fitting" codebooks and tables to crops; one may come again.
        done: clips, steps over all runs, or crops.
        total: of these; None where time ends the training.
        share: of the phase that is done, 0 to 1.
        frames: pictures that the last step learned from; None before the first one, and in other phases.
        intra, inter: costs of intra and of predicted pictures, binary logarithms averaged over many steps; None
            likewise, and where none has been seen.
    """

    phase: str
    done: int
    total: int | None
    share: float
    frames: int | None = None
    intra: float | None = None
    inter: float | None = None

    @classmethod
    def counted(cls, phase: str, done: int, total: int) -> "TrainingProgress":
        """Of a phase in which one takes as long as another."""
        return cls(phase, done, total, done / total)


OnTraining = Callable[[TrainingProgress], None]
"""Is told now and then how far it has come."""


def silent(_: TrainingProgress) -> None:
    """Where nobody wants to know."""
