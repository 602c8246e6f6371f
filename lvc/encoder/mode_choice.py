"""What each block is predicted from: one of its references, both or nothing."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.encoder.agreement import agreed
from lvc.encoder.block_choice import lagrangian, rows_of
from lvc.encoder.matching import VECTOR_WEIGHT, misses_of
from lvc.exact.places import enlarged, places
from lvc.model.modes import BLOCK, BOTH, FIRST, NONE
from lvc.model.quality import RATE_WEIGHT

ONE_BITS = 2.5
"""About what it costs more to name one reference instead of both, or to be predicted by it, which is noisier."""
AGREE_BITS = (7.0, 5.0, 3.0, 1.5, 0.2)
"""About what a mode costs that none, one ... all of the four neighbours have, vectors counted, which are predicted from
the neighbours' (measured over five clips: -1.3 % rate against no regard for neighbours; half of it -1.0 %, more of it
-1.1 %; ONE_BITS of 1.5 with it -1.15 %)."""
_AGREE_PRICES = (tuple(VECTOR_WEIGHT * bits for bits in AGREE_BITS),) * 3

NONE_BITS = 35.0
"""About what it costs more to code a block from nothing than its luma without the mean: means, colour, no memory."""


@torch.no_grad()
def choose_modes(target: Tensor, first: Tensor, second: Tensor | None, quality: Tensor) -> Tensor:
    """The modes with the least left to code plus lambda times rate.

    Args:
        target: luma of the source, [B, 1, H, W].
        first, second: the predictions, likewise; no second one where there is one reference.
        quality: [B].

    Returns:
        [B, 1, H/16, W/16] int64, see :mod:`lvc.model.modes`.
    """

    def missed(guess: Tensor) -> Tensor:
        return F.avg_pool2d(misses_of(target - guess, quality), 2) * 4

    best = missed(first)
    modes = torch.full(best.shape, FIRST, device=target.device)
    if second is not None:
        one = ONE_BITS * VECTOR_WEIGHT
        # in the order of FIRST, SECOND, BOTH
        costs = torch.stack([best + one, missed(second) + one, missed((first + second) * 0.5)])
        modes = agreed(costs, _AGREE_PRICES)
        best = costs.gather(0, modes[None])[0]
    alone = F.avg_pool2d(misses_of(target, quality, means=False), 2) * 4
    hopeful = (alone < best).flatten()
    at = places(hopeful)
    if isinstance(at, slice) or len(at):
        guesses = [first] if second is None else [first, second]
        guess, qualities = mixed(guesses, modes), quality[:, None, None, None]
        missed_now = lagrangian(rows_of(target - guess, qualities)[at])
        blocks = rows_of(target, qualities)[at]
        anew = lagrangian(blocks - blocks.mean(1, keepdim=True)) + RATE_WEIGHT * NONE_BITS
        modes.view(-1)[at] = torch.where(hopeful[at] & (anew < missed_now), NONE, modes.view(-1)[at])
    return modes


def mixed(guesses: Sequence[Tensor], modes: Tensor, block: int = BLOCK) -> Tensor:
    """One prediction of luma, [B, 1, H, W], from those by one or two references; NONE: anything.

    Args:
        block: how many samples to a side a mode is for.
    """
    if len(guesses) == 1:
        return guesses[0]
    first, second = guesses
    mode = enlarged(modes, block)
    return torch.where(mode == BOTH, (first + second) * 0.5, torch.where(mode == FIRST, first, second))


def share_of(modes: Tensor, number: int) -> Tensor:
    """What share of a prediction a reference has, for each 8x8 block, [B, H/8, W/8].

    Args:
        modes: [B, 1, H/16, W/16].
        number: 0 or 1, of the reference.
    """
    share = torch.where(modes == BOTH, 0.5, torch.where(modes == number, 1.0, 0.0))[:, 0]
    return enlarged(share, 2)


def target_beside(target: Tensor, other: Tensor | None, modes: Tensor) -> Tensor:
    """What a reference should be like: the source, but where two are averaged what the other one leaves to it.

    Args:
        target: luma of the source, [B, 1, H, W].
        other: the prediction from the other reference, likewise; None where there is none.
        modes: [B, 1, H/16, W/16].
    """
    if other is None:
        return target
    both = enlarged(modes == BOTH, BLOCK)
    return torch.where(both, 2 * target - other, target)
