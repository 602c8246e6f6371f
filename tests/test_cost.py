"""What it is reckoned to cost to code a residual, and how proposals of the hyper-latent become integers."""

import math

import pytest
import torch

from lvc.encoder.cost import NONZERO_BITS, coding_cost, lagrangian_of
from lvc.encoder.motion_search import misses_of
from lvc.model.networks import hyper_limit
from lvc.model.quality import RATE_WEIGHT, nominal_step


@pytest.mark.parametrize(("magnitude", "bits"), [(1.0, 0), (-1.0, 0), (4.0, 4), (-0.5, -2), (0.01, -2)])
def test_each_doubling_costs_two_bits(magnitude: float, bits: int) -> None:
    want = 1 / 12 + RATE_WEIGHT * (NONZERO_BITS + bits)
    assert float(coding_cost(torch.tensor([magnitude]))[0]) == pytest.approx(want)


def test_small_latents_are_left_out_and_large_ones_hardly_dearer() -> None:
    values = torch.tensor([0.0, 0.1, -0.5, 1.0, 8.0])
    cost = lagrangian_of(values.clone())
    assert cost[:3].tolist() == pytest.approx([0.0, 0.01, 0.25])
    assert torch.equal(cost[3:], coding_cost(values)[3:])
    assert float(cost[4]) < 2.5 * float(cost[3])


def test_a_block_costs_what_its_coefficients_do() -> None:
    """One flat block, whose mean is its only coefficient: eight times the difference."""
    quality = torch.tensor([40.0])
    difference = torch.zeros(1, 1, 16, 16)
    difference[..., :8, 8:] = 30.0
    in_steps = 8 * 30.0 / (4 * float(nominal_step(quality)[0]))
    want = float(lagrangian_of(torch.tensor([in_steps]))[0]) / RATE_WEIGHT
    assert misses_of(difference, quality)[0, 0].flatten().tolist() == pytest.approx([0, want, 0, 0], abs=1e-3)
    assert float(misses_of(difference, quality, means=False).sum()) == pytest.approx(0, abs=1e-3)
    assert math.isfinite(want)
    assert want > 1


def test_proposals_are_cut_off_a_little_below_the_middle() -> None:
    given = torch.tensor([0.0, 0.59, 0.61, -0.59, -0.61, 1.7, -1.55, 99.0, -99.0])
    assert hyper_limit(given).tolist() == [0, 0, 1, 0, -1, 2, -1, 15, -15]
