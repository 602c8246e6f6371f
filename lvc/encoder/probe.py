"""The quality that an encode begins with where its source can be read only once, from its first pictures."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from lvc.encoder.around import with_around
from lvc.encoder.group import GroupEncoder
from lvc.encoder.rate import FRAME_BYTES, SLOPE
from lvc.encoder.settings import EncoderSettings
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.device import working_device
from lvc.model import Model
from lvc.video import Frame, VideoInfo

PROBE_FRAMES = 10
"""Pictures that are looked at."""
_GROUP_FRAMES = 100
"""A group is taken to be so long, unless the key interval is shorter: scene cuts are still unknown."""
_TRIES = 3
_NEAR = 2.0
_FINEST = 85.0
"""A source often begins with black pictures, whose cost says nothing of the rest."""


def start_quality(
    frames: Sequence[Frame],
    info: VideoInfo,
    *,
    bits_per_second: float,
    settings: EncoderSettings,
    model: Model,
    device: str,
) -> float:
    """The quality at which a source that goes on like these pictures has a bit rate, 1...85.

    Args:
        frames: the first ones, at least one.
        settings: the first guess, and how far key pictures are apart.
    """
    where = torch.device(working_device(device))
    model.codec.to(where)
    step = 1 / (info.frame_rate or 25)
    if len(frames) > 1:
        step = (frames[-1].pts - frames[0].pts) * info.time_base / (len(frames) - 1)
    wanted = max(1.0, bits_per_second * float(step) - 8 * FRAME_BYTES)
    length = min(settings.keyint, _GROUP_FRAMES)
    quality = min(_FINEST, settings.quality)
    for _ in range(_TRIES):
        group = GroupEncoder(model, info, replace(settings, quality=quality), where, chooses=False)
        with exact_arithmetic():
            for frame, around in with_around(frames, goes_on=True):
                group.encode(frame, around)
            group.finish()
        intra, *others = (8.0 * len(record.payload) for record in group.records)
        other = sum(others) / len(others) if others else intra / 4
        before = quality
        cost = (intra + (length - 1) * other) / length
        quality = min(_FINEST, max(1.0, quality + math.log(wanted / max(1.0, cost)) / SLOPE))
        if abs(quality - before) < _NEAR:
            break
    return round(quality, 2)
