"""The loop filters of a picture: the set by which it is most like its source, lambda times the rate counted."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lvc.exact.loop_filter import Seen, filtered, put_back
from lvc.exact.warp import to_blocks
from lvc.model.quality import RATE_WEIGHT, nominal_step
from lvc.rangecoder import Table

_PIECE = 1 << 8
"""Blocks that are filtered at a time: as many as stay in a cache."""
FilterObserver = Callable[[Seen, Tensor, int], None]
"""Called with what filters look at, what the picture misses [1, 1, H, W], and how many pictures deep it lies between
others, -1 for an intra picture."""


def choose_filter(
    seen: Seen, luma: Tensor, target: Tensor, sets: Tensor, table: Table, quality: Tensor
) -> tuple[int, Tensor]:
    """The number of a set, 0 for none, and the picture that it gives, [1, 1, H, W].

    Args:
        seen: of the decoded picture.
        luma: the decoded picture, [1, 1, H, W].
        target: the source.
        sets: [SETS, CLASSES, PAIRS] float32.
        table: of the symbols.
        quality: of the picture, [1].
    """
    if not len(seen.samples) or not bool(sets.any()):
        return 0, luma
    wanted = to_blocks(target, seen.samples.shape[-1])[seen.at][:, 0]
    price = RATE_WEIGHT * float((4 * nominal_step(quality)).square())
    pieces = [[part.samples, *(filtered(part, weights) for weights in sets)] for part in seen.pieces(_PIECE)]
    errors = [squared_errors(near, ways) for near, ways in zip(wanted.split(_PIECE), pieces, strict=True)]
    best = int((torch.stack(errors).sum(0).cpu().numpy() + price * table.bits).argmin())
    return best, put_back(luma, seen, torch.cat([ways[best] for ways in pieces])) if best else luma


def squared_errors(wanted: Tensor, ways: Sequence[Tensor]) -> Tensor:
    """Of each of some ways to show a picture, float64: sums of integers, the same with any number of threads."""
    return torch.stack([(wanted - each).square_().sum(dtype=torch.float64) for each in ways])
