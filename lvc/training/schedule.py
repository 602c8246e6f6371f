"""The curriculum: how long sequences are, how fast to learn, when to round, as functions of progress 0...1."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Schedule:
    """See DESIGN: intra, then pairs, then longer runs with carried state, then training with rounded weights.

    Attributes:
        peak: largest learning rate; it falls along a cosine to ``floor`` times that.
        stages: (progress at which it starts, frames through which gradients go).
        alone: share of sequences that are one intra picture, of four times as many crops: otherwise one picture in
            twelve is one, which carries a fourth of the bits of a short clip.
        between: share of pieces of sequences that have frames between anchors.
        pieces: of how many pieces a sequence may be; each goes on from what the one before has left, without gradients,
            so that the networks meet pictures many steps away from an intra picture.
        pieces_from: progress from which there is more than one.
        vector_from: progress from which the codebooks are in the loop.
        fake_from: progress from which weights and activations are rounded as in the exact model.
        warm_steps: steps over which the learning rate rises at its start; one that goes on from its checkpoint is warm.
    """

    peak: float = 1.4e-3
    floor: float = 0.02
    stages: tuple[tuple[float, int], ...] = ((0.0, 1), (0.02, 2), (0.04, 4))
    alone: float = 0.4
    between: float = 0.5
    pieces: tuple[int, ...] = (1, 2, 6)
    pieces_from: float = 0.1
    fake_from: float = 0.85
    vector_from: float = 0.9
    warm_steps: int = 40

    @classmethod
    def going_on(cls) -> "Schedule":
        """For weights that have been trained before: at higher rates they lose more than an hour or two give back
        (10 minutes of lite on one thread: with 1.1e-3 3.4 % worse than before, with 4e-4 2.6 %). Weights are rounded,
        and the codebooks in the loop, from the start, as in the model that they come from: so lite has been trained
        from its thirteenth run on.
        """
        return cls(peak=3e-4, stages=((0.0, 4),), pieces_from=0.0, fake_from=0.0, vector_from=0.0)

    def only(self, kind: str | None) -> "Schedule":
        """The same for a training of "intra" or "inter" networks only."""
        return self if kind is None else replace(self, alone=1.0 if kind == "intra" else 0.0)

    def learning_rate(self, progress: float, steps_in_run: int) -> float:
        """At this progress, this many steps after the start with new weights."""
        cosine = 0.5 + 0.5 * math.cos(math.pi * min(max(progress, 0.0), 1.0))
        warm = min(1.0, (steps_in_run + 1) / self.warm_steps)
        return self.peak * warm * (self.floor + (1 - self.floor) * cosine)

    def frames(self, progress: float) -> int:
        """Length of the training sequences."""
        return max(frames for start, frames in self.stages if progress >= start)

    def numbers_of_pieces(self, progress: float) -> tuple[int, ...]:
        """Of how many pieces a sequence may be, each number as likely as the others."""
        return self.pieces if progress >= self.pieces_from else (1,)

    def vectors(self, progress: float) -> bool:
        """Whether the codebooks are in the loop."""
        return progress >= self.vector_from

    def fake(self, progress: float) -> bool:
        """Whether to round."""
        return progress >= self.fake_from
