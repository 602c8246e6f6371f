"""Bjøntegaard differences against the ``bjontegaard`` package, and what they do where there is nothing to say."""

import numpy as np
import pytest

from lvc.bench.curves import NO_OVERLAP, TOO_FEW_POINTS, Pchip, bd_quality, bd_rate, rate_at, smooth_curve

PER_CENT = 1e-6
DECIBELS = 1e-9

X264 = ([120.0, 245.0, 500.0, 1100.0, 2400.0], [29.1, 32.0, 34.9, 37.9, 40.7])
OURS = ([100.0, 260.0, 610.0, 1500.0], [28.2, 32.4, 35.6, 39.4])


def random_curve(generator: np.random.Generator, count: int) -> tuple[list[float], list[float]]:
    rates = np.cumsum(np.append(generator.uniform(20, 60), generator.uniform(20, 400, count - 1)))
    qualities = 27 + np.cumsum(np.append(generator.uniform(0, 1), generator.uniform(1, 4, count - 1)))
    return list(rates), list(qualities)


@pytest.mark.parametrize("seed", range(40))
def test_equal_to_the_bjontegaard_package(seed: int) -> None:
    package = pytest.importorskip("bjontegaard")
    generator = np.random.default_rng(seed)
    anchor = random_curve(generator, int(generator.integers(2, 8)))
    test = random_curve(generator, int(generator.integers(2, 8)))
    for ours, theirs, unit in ((bd_rate, package.bd_rate, PER_CENT), (bd_quality, package.bd_psnr, DECIBELS)):
        expected = theirs(*anchor, *test, method="pchip", require_matching_points=False, min_overlap=0)
        value = ours(*anchor, *test).value
        assert value is not None
        assert value == pytest.approx(expected, abs=unit, rel=1e-9)


def test_equal_rates_of_half_size_are_minus_fifty_per_cent() -> None:
    halved = [rate / 2 for rate in X264[0]]
    difference = bd_rate(*X264, halved, X264[1])
    assert difference.value == pytest.approx(-50)
    assert difference.overlap == pytest.approx(1)


def test_order_of_points_does_not_matter() -> None:
    backwards = (X264[0][::-1], X264[1][::-1])
    assert bd_rate(*backwards, *OURS) == bd_rate(*X264, *OURS)


def test_there_is_no_number_without_overlap() -> None:
    far = ([5000.0, 9000.0], [45.0, 50.0])
    for difference in (bd_rate(*X264, *far), bd_quality(*X264, *far)):
        assert difference.value is None
        assert difference.reason == NO_OVERLAP
        assert difference.overlap == 0


def test_there_is_no_number_from_one_point() -> None:
    assert bd_rate(*X264, [100.0], [30.0]).reason == TOO_FEW_POINTS
    assert bd_rate(*X264, [100.0, 200.0], [30.0, float("inf")]).reason == TOO_FEW_POINTS


def test_overlap_is_the_shared_part_of_the_qualities() -> None:
    difference = bd_rate([1.0, 2.0], [30.0, 34.0], [1.0, 2.0], [32.0, 40.0])
    assert difference.overlap == pytest.approx(2 / 10)


def test_equal_qualities_are_merged() -> None:
    difference = bd_rate([100.0, 100.0, 200.0], [30.0, 30.0, 33.0], [100.0, 200.0], [30.0, 33.0])
    assert difference.value == pytest.approx(0)


def test_wrong_points_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        bd_rate([0.0, 1.0], [30.0, 31.0], *OURS)
    with pytest.raises(ValueError, match="as many"):
        bd_rate([1.0, 2.0, 3.0], [30.0, 31.0], *OURS)
    with pytest.raises(ValueError, match="increase"):
        Pchip([1.0, 1.0], [2.0, 3.0])


def test_pieces_go_through_their_points_and_do_not_overshoot() -> None:
    curve = Pchip([0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 1.0])
    assert curve([0.0, 1.0, 2.0, 3.0]) == pytest.approx([0, 0, 1, 1])
    values = curve(np.linspace(0, 3, 200))
    assert values.min() >= 0
    assert values.max() <= 1 + 1e-12


def test_rate_at_a_quality() -> None:
    assert rate_at(*X264, 34.9) == pytest.approx(500)
    assert rate_at(*X264, 50) is None


def test_drawn_curve_passes_its_points() -> None:
    rates, qualities = smooth_curve(*X264, count=200)
    for rate, quality in zip(*X264, strict=True):
        assert np.interp(quality, qualities, rates) == pytest.approx(rate, rel=0.01)
