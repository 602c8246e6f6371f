"""A good start: the weights of a finished model, or scales measured instead of learned over many hundreds of steps."""

from typing import cast

import numpy as np
import torch
from torch import Tensor

from lvc.exact.layers import UNIT, Conv
from lvc.exact.qualities import KNOTS
from lvc.model.codec import FrameCodec
from lvc.model.networks import LOG_STEP
from lvc.model.passes import RESIDUAL_UNIT
from lvc.model.prediction import Picture
from lvc.model.quality import LATENTS_PER_GREY, nominal_step
from lvc.model.weights import Model
from lvc.training.loss import run_sequence
from lvc.training.rate import HyperTables, TrainingCoder

_MEAN_OVER_SCALE = 1.386
"""Mean absolute value of a logistic variable over its scale: 2 ln 2."""


@torch.no_grad()
def measure_scales(codec: FrameCodec, tables: HyperTables, pictures: list[Picture]) -> None:
    """Set the prior's scale offsets from the mean magnitude of each latent at each quality knot, in place.

    Args:
        pictures: two or more consecutive pictures; the first is coded as intra.
    """
    recorded: list[Tensor] = []

    class Recorder(TrainingCoder):
        def residual(self, wanted: Tensor | None, scale: Tensor, mask: Tensor, band: int) -> Tensor:
            if wanted is None:
                raise ValueError("there is nothing to measure without a source picture")
            recorded.append((wanted.abs() * mask).sum((0, 2, 3)) / (mask.sum() * len(wanted)))
            return torch.where(wanted.abs() < 0.65, 0.0, wanted.round()) * mask * RESIDUAL_UNIT

    for knot in range(KNOTS):
        quality = torch.full((len(pictures[0].y),), 1 + 99 * knot / (KNOTS - 1), device=pictures[0].y.device)
        for count, prior in ((1, codec.intra.prior), (len(pictures), codec.inter.prior)):
            recorded.clear()
            run_sequence(codec, tables, pictures[:count], [quality] * count, make_coder=Recorder)
            for layer, mean in zip(prior.out, recorded[-len(prior.passes) :], strict=True):
                log_scale = torch.log2((mean / _MEAN_OVER_SCALE).clamp(2.0**-4.5, 2.0**6.5))
                knots = cast(Conv, layer).knots
                if knots is not None:
                    knots[knot, len(mean) :] = log_scale * (LOG_STEP / UNIT)


@torch.no_grad()
def take_model(codec: FrameCodec, tables: HyperTables, model: Model) -> None:
    """Start a float codec from the integers of a finished model, in place.

    What a model file does not hold is worked out: the offsets of the steps from their table at the knots, the
    probabilities of the hyper-latent from its counts.
    """
    state = model.codec.state_dict()
    knots = (1 + 99 * torch.arange(KNOTS) / (KNOTS - 1)).round()
    start = nominal_step(knots)[:, None] * LATENTS_PER_GREY
    state["steps.offset"] = torch.log2(model.codec.steps.table[:, knots.long() - 1] / start)
    codec.load_state_dict(state)
    counts = torch.stack([torch.tensor(np.stack(rows)).float() for rows in model.statistics.hyper])
    tables.logits.copy_(torch.log(counts))
