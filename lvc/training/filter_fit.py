"""Sets of loop filters, fitted to decoded pictures: each class of a set has the least-squares filter of the pictures
that take the set, and each picture takes the set that serves it best, in turns (as codebooks are fitted).
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lvc.exact.loop_filter import BLOCK, CELL, CLASSES, FRACTION, PAIRS, SETS, WEIGHT_MAX, Seen
from lvc.exact.warp import to_blocks

ITERATIONS = 25
LEAST_PICTURES = 4 * SETS
"""Fewer give no filters."""
RIDGE = 1e-4
"""Added to the diagonal of the equations, as a share of its mean."""
_WORTH = {-1: 8.0, 0: 4.0, 1: 2.0, 2: 1.5}
"""What a picture counts by its depth between others: others are predicted from it, in turn."""


@dataclass
class FilterEvidence:
    """Normal equations of every class in every picture, [CLASSES, PAIRS, PAIRS] and [CLASSES, PAIRS]; each picture's
    relative to what it misses.
    """

    squares: list[Tensor] = field(default_factory=list)
    products: list[Tensor] = field(default_factory=list)

    def add(self, seen: Seen, missed: Tensor, depth: int) -> None:
        """Keep what a picture tells; see :data:`lvc.encoder.loop_filter_choice.FilterObserver`."""
        classes = seen.classes.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2).flatten()
        bends = seen.bends.permute(0, 2, 3, 1).reshape(-1, len(PAIRS))
        squares = torch.zeros(CLASSES, len(PAIRS), len(PAIRS), dtype=torch.float64)
        products = torch.zeros(CLASSES, len(PAIRS), dtype=torch.float64)
        error = to_blocks(missed, BLOCK)[seen.at].flatten()
        for cls in range(CLASSES):
            at = classes == cls
            rows = bends[at].double()
            squares[cls], products[cls] = rows.t() @ rows, rows.t() @ error[at].double()
        worth = _WORTH.get(depth, 1.0) / max(float(missed.square().sum()), 1.0)
        self.squares.append(worth * squares)
        self.products.append(worth * products)

    def fitted(self) -> npt.NDArray[np.int64]:
        """Filters [SETS, CLASSES, PAIRS]; zero where there are too few pictures."""
        filters = torch.zeros(SETS, CLASSES, len(PAIRS), dtype=torch.float64)
        if len(self.squares) >= LEAST_PICTURES:
            squares, products = torch.stack(self.squares), torch.stack(self.products)
            # by what a single filter wins of each picture to begin with
            taken = _won(_solved(squares.sum(0), products.sum(0)), squares, products).argsort().argsort()
            taken = taken * SETS // len(taken)
            for _ in range(ITERATIONS):
                for number in range(SETS):
                    at = taken == number
                    if bool(at.any()):
                        filters[number] = _solved(squares[at].sum(0), products[at].sum(0))
                taken = torch.stack([_won(each, squares, products) for each in filters]).argmax(0)
        whole: npt.NDArray[np.int64] = (filters * FRACTION).round().clamp(-WEIGHT_MAX, WEIGHT_MAX).long().numpy()
        return whole


def _solved(squares: Tensor, products: Tensor) -> Tensor:
    """The filters [CLASSES, PAIRS] with the least squared error; zero where nothing was seen."""
    mean = torch.diagonal(squares, dim1=1, dim2=2).mean(1)
    ridge = (RIDGE * mean + 1e-12)[:, None, None] * torch.eye(squares.shape[-1], dtype=squares.dtype)
    solved: Tensor = torch.linalg.solve(squares + ridge, products)
    return solved


def _won(filters: Tensor, squares: Tensor, products: Tensor) -> Tensor:
    """What filters take away of the squared error of pictures, [n]."""
    won: Tensor = 2 * (filters * products).sum((1, 2)) - torch.einsum("cp,ncpq,cq->n", filters, squares, filters)
    return won
