"""Choices that agree with those of neighbours."""

import pytest
import torch

from lvc.encoder.agreement import agreed, around
from tests.compiled import both

PRICES = ((4.0, 3.0, 2.0, 1.0, 0.0),) * 2


def alone_in_the_middle(won: float) -> torch.Tensor:
    """Costs of two choices, [2, 1, 1, 5, 5]: the first is free but for one block, where the second is cheaper."""
    costs = torch.stack([torch.zeros(1, 1, 5, 5), torch.full((1, 1, 5, 5), 9.0)])
    costs[1, 0, 0, 2, 2] = -won
    return costs


def test_a_choice_that_wins_little_goes_with_its_neighbours() -> None:
    assert not bool(agreed(alone_in_the_middle(3.9), PRICES).any())
    assert agreed(alone_in_the_middle(4.1), PRICES).nonzero().tolist() == [[0, 0, 2, 2]]
    assert agreed(alone_in_the_middle(3.9), ((0.0,) * 5,) * 2).nonzero().tolist() == [[0, 0, 2, 2]]


def test_neighbours_outside_are_the_block_itself() -> None:
    flags = torch.zeros(1, 1, 2, 3)
    flags[..., 0, 0] = 1
    assert around(flags)[0, 0].tolist() == [[2, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize(("choices", "rows", "cols"), [(2, 5, 7), (3, 4, 6), (3, 1, 1), (2, 1, 9)])
def test_compiled_they_are_the_same(choices: int, rows: int, cols: int) -> None:
    random = torch.Generator().manual_seed(rows)
    prices = ((4.0, 3.0, 2.0, 1.0, 0.0), (2.0, 1.5, 0.25, 0.0, -1.0), (0.0,) * 5)[:choices]
    costs = 6 * torch.rand(choices, 2, 1, rows, cols, generator=random)
    found, wanted = both(lambda: agreed(costs, prices))
    assert torch.equal(found, wanted)
    assert rows * cols < 10 or not torch.equal(found, costs.argmin(0))
