"""A latent coder for training: straight-through quantisation with the rate of a logistic distribution."""

import torch
from torch import Tensor, nn

from lvc.model.networks import HYPER_CHANNELS, HYPER_MAX, LOG_STEP, hyper_limit
from lvc.model.passes import RESIDUAL_UNIT
from lvc.model.quality import RATE_WEIGHT

SCALE_MIN, SCALE_MAX = 2.0**-5, 2.0**7


def logistic_bits(k: Tensor, scale: Tensor) -> Tensor:
    """Bits of the integer (or real) k under a logistic distribution of that scale, rounded to integers."""
    size = k.abs()
    inverse = 1 / scale
    upper, lower = torch.sigmoid((0.5 - size) * inverse), torch.sigmoid((-0.5 - size) * inverse)
    return -torch.log2((upper - lower).clamp_min(1e-7))


def log_to_scale(log_scale: Tensor) -> Tensor:
    """Prior output (units of 1/LOG_STEP octave) to a logistic scale in steps."""
    return torch.exp2(log_scale / LOG_STEP).clamp(SCALE_MIN, SCALE_MAX)


class HyperTables(nn.Module):
    """Learned probability of every value of every hyper-latent channel, of intra (0) and predicted pictures (1)."""

    def __init__(self) -> None:
        super().__init__()
        start = -0.7 * torch.arange(-HYPER_MAX, HYPER_MAX + 1).abs().float()
        self.logits = nn.Parameter(start.repeat(2, HYPER_CHANNELS, 1))

    def bits(self, kind: int, value: Tensor, mask: Tensor) -> Tensor:
        """Bits of real values [B, 8, h, w], linear between integers, summed to [B] where the mask [B, 1, h, w] is 1."""
        table = -torch.log_softmax(self.logits[kind], 1) * 1.442695
        position = (value + HYPER_MAX).clamp(0, 2 * HYPER_MAX - 1e-3)
        low = position.nan_to_num().floor().long()  # NaN is no index; it comes out as bits
        part = position - low
        channel = torch.arange(HYPER_CHANNELS, device=value.device)[None, :, None, None]
        bits = table[channel, low] * (1 - part) + table[channel, low + 1] * part
        return (bits * mask).sum((1, 2, 3))


class TrainingCoder:
    """Implements :class:`lvc.model.codec.LatentCoder`; ``bits`` [B] grows as passes go through.

    ``kind`` is 0 for an intra picture, 1 for a predicted one.

    The index is the one of the two nearest that is better by distortion + lambda * rate, as in the encoder.
    """

    def __init__(self, tables: HyperTables, batch: int, device: torch.device) -> None:
        self.tables = tables
        self.kind = 0
        self.bits = torch.zeros(batch, device=device)

    def hyper(self, proposal: Tensor | None, mask: Tensor) -> Tensor:
        """Noise for the rate, straight-through rounding for the value."""
        if proposal is None:
            raise ValueError("training always has a source picture")
        noisy = proposal + torch.rand_like(proposal) - 0.5
        self.bits = self.bits + self.tables.bits(self.kind, noisy, mask)
        rounded = hyper_limit(proposal)
        return (proposal + (rounded - proposal).detach()) * mask

    def residual(self, wanted: Tensor | None, scale: Tensor, mask: Tensor, band: int) -> Tensor:
        """Rate-distortion optimised rounding, straight-through where the index is not zero."""
        if wanted is None:
            raise ValueError("training always has a source picture")
        width = log_to_scale(scale)
        with torch.no_grad():
            near = wanted.round()
            lower = near - near.sign()
            gain = (logistic_bits(near, width) - logistic_bits(lower, width)) * RATE_WEIGHT
            worse = (wanted - lower).square() - (wanted - near).square()
            index = torch.where(worse < gain, lower, near)
        # Where the index is zero the value is the mean, whatever the source says: straight-through there would tell
        # the analysis to amplify what will not be sent, and would hide from the mean what it is good for.
        through = torch.where(index == 0, 0.0, wanted)
        value = through + (index - through).detach()
        self.bits = self.bits + (logistic_bits(value, width) * mask).sum((1, 2, 3))
        return value * mask * RESIDUAL_UNIT
