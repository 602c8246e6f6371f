"""Sequences of pictures that a training learns from, piece by piece."""

import itertools
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lvc.container import BETWEEN, INTRA, PREDICTED, Step, coding_order
from lvc.model.prediction import Picture
from lvc.training.balance import pick_quality
from lvc.training.data import CropSampler
from lvc.training.loss import Carried, sequence_quality
from lvc.training.schedule import Schedule

BETWEEN_KINDS = ([BETWEEN, BETWEEN, BETWEEN, PREDICTED], [BETWEEN, PREDICTED, BETWEEN, PREDICTED])
"""What may follow an anchor where there are frames between."""


@dataclass
class Passage:
    """Pictures that are learned from piece by piece.

    Attributes:
        pictures: in display order.
        pieces: steps and their qualities [B] that are still to come.
        carried: what the pieces before have left.
    """

    pictures: list[Picture]
    pieces: list[tuple[list[Step], list[Tensor]]]
    carried: Carried = field(default_factory=Carried)


def longest_piece(schedule: Schedule) -> int:
    """Most pictures that a passage begins with; a training needs clips of so many frames."""
    frames = 1 if schedule.alone >= 1 else max(frames for _, frames in schedule.stages)
    return max(frames, 1 + max(map(len, BETWEEN_KINDS))) if frames > 2 and schedule.between > 0 else frames


def new_passage(sampler: CropSampler, schedule: Schedule, progress: float, batch: int, device: torch.device) -> Passage:
    """Draw one: how many pictures, of which kinds, at which qualities, and the crops that they show.

    Args:
        progress: of the training, 0 to 1.
        batch: crops; more where sequences are short.
        device: for the qualities.
    """
    random = sampler.random
    frames = 1 if random.random() < schedule.alone else schedule.frames(progress)
    batch *= max(1, 4 // frames)
    lengths, kinds = [], [INTRA]
    number = 1 if frames == 1 else int(random.choice(schedule.numbers_of_pieces(progress)))
    for piece in range(number):
        added = [PREDICTED] * (frames if piece else frames - 1)
        if frames > 2 and random.random() < schedule.between:
            added = BETWEEN_KINDS[int(random.integers(len(BETWEEN_KINDS)))]
        if piece and len(kinds) + len(added) > sampler.longest:
            break
        lengths.append(len(added) + (0 if piece else 1))
        kinds += added
    steps = coding_order(kinds)
    base = pick_quality(random, batch)
    bonuses = (float(random.uniform(0, 16)), float(random.uniform(0, 9)), float(random.uniform(0, 7)))
    qualities = [quality.to(device) for quality in sequence_quality(base, steps, *bonuses)]
    ends = list(itertools.accumulate(lengths))
    pieces = [(steps[end - n : end], qualities[end - n : end]) for n, end in zip(lengths, ends, strict=True)]
    return Passage(sampler.batch(batch, len(kinds)), pieces)
