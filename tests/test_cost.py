"""What it is reckoned to cost to code a residual, and how proposals of the hyper-latent become integers."""

import math

import numpy as np
import pytest
import torch

from lvc.encoder.cost import NONZERO_BITS, coding_cost, lagrangian_of
from lvc.encoder.matching import misses_of
from lvc.model.entropy import HYPER_PRICE, SymbolCoder, cheap_hyper
from lvc.model.group import fresh_tables
from lvc.model.networks import HYPER_CHANNELS, HYPER_MAX, hyper_limit
from lvc.model.quality import RATE_WEIGHT, nominal_step
from lvc.model.weights import Statistics
from lvc.rangecoder import RangeEncoder


@pytest.mark.parametrize(("magnitude", "bits"), [(1.0, 0), (-1.0, 0), (4.0, 4), (-0.5, -2), (0.01, -2)])
def test_each_doubling_costs_two_bits(magnitude: float, bits: int) -> None:
    want = 1 / 12 + RATE_WEIGHT * (NONZERO_BITS + bits)
    found, twice = coding_cost(torch.tensor([magnitude, 2 * magnitude])).tolist()
    assert found == pytest.approx(want, abs=RATE_WEIGHT * 0.12)
    assert twice - found == pytest.approx(2 * RATE_WEIGHT if abs(magnitude) >= 0.5 else 0, abs=1e-4)


def test_between_doublings_the_cost_is_nearly_logarithmic() -> None:
    values = torch.linspace(0.5, 64, 1000)
    want = 1 / 12 + RATE_WEIGHT * (NONZERO_BITS + 2 * torch.log2(values))
    off = (coding_cost(values) - want) / RATE_WEIGHT
    assert float(off.abs().max()) < 0.12
    assert float(off.mean().abs()) < 0.02


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


def test_of_integers_near_a_proposal_the_cheap_one_is_chosen() -> None:
    bits = np.full((2, 2 * HYPER_MAX + 1), 6.0)
    bits[0, HYPER_MAX] = 0.5  # zero is likely in the first channel,
    bits[1, HYPER_MAX + 2] = 0.5  # two in the second
    gain = HYPER_PRICE * 5.5  # what a squared unit more may be bought with
    assert gain > 1
    given = np.array([0.9, 1.1, -0.8, 1.4, 1.9, 14.6, 15.0, -15.0], np.float32)
    found = cheap_hyper(np.stack([given, given])[:, None], bits)
    assert found[0, 0].tolist() == [0, 0, 0, 1, 2, 15, 15, -15]
    assert found[1, 0].tolist() == [1, 2, -1, 2, 2, 15, 15, -15]


@pytest.mark.parametrize("intra", [True, False])
def test_only_pictures_with_references_choose_by_rate(intra: bool) -> None:
    statistics = Statistics.start()
    encoder, tables = RangeEncoder(), fresh_tables(statistics)
    for table in tables.hyper[0] + tables.hyper[1]:
        table.counts = np.where(np.arange(2 * HYPER_MAX + 1) == HYPER_MAX, 1000, 1)
    coder = SymbolCoder(statistics.quantisers, [encoder], [tables], intra)
    found = coder.hyper(torch.full((1, HYPER_CHANNELS, 2, 2), 0.9), torch.ones(1, 1, 2, 2))
    assert torch.equal(found, torch.full_like(found, 1.0 if intra else 0.0))
