"""Choices that agree with those of neighbours."""

import torch

from lvc.encoder.agreement import agreed, around

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
