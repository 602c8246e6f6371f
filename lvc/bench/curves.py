"""Rate-distortion curves and the Bjøntegaard differences between two of them.

The idea (G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", ITU-T VCEG-M33, 2001): draw both
codecs as curves of log-rate over quality, and average the vertical distance over the qualities that both reach. The
mean difference of log10(rate), taken back from the logarithm, is the BD-rate; the other way round, quality over
log-rate, gives the BD-quality (BD-PSNR where the quality is a PSNR). The curves between the points are piecewise cubic
Hermite polynomials that never overshoot (PCHIP), as VCEG and MPEG use them since 2010, because the single cubic of the
original paper swings with uneven points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

NO_OVERLAP = "no overlap"
TOO_FEW_POINTS = "fewer than two points"


@dataclass(frozen=True)
class Difference:
    """A Bjøntegaard difference of a test curve against an anchor curve.

    Attributes:
        value: per cent of rate (negative: the test needs less) or quality units (positive: the test is better);
            None where it cannot be said.
        overlap: the part of the axis that both curves cover over the part that either covers, 0...1. Values on less
            than about 0.5 rest on few points.
        reason: why ``value`` is None, else None.
    """

    value: float | None
    overlap: float
    reason: str | None = None


class Pchip:
    """Piecewise cubic through given points, monotone wherever the points are.

    Slopes are the weighted harmonic means of F. N. Fritsch and J. Butland, "A method for constructing local monotone
    piecewise cubic interpolants" (SIAM J. Sci. Stat. Comput. 5, 1984), with the three-point formula, limited to keep
    the shape, at both ends (C. Moler, "Numerical Computing with MATLAB", 2004, section 3.4).

    Args:
        x: abscissae, strictly increasing, two or more.
        y: ordinates, as many.

    Raises:
        ValueError: fewer than two points, lengths that differ, or abscissae that do not increase.
    """

    def __init__(self, x: Sequence[float] | Values, y: Sequence[float] | Values) -> None:
        self.x: Values = np.asarray(x, dtype=np.float64)
        self.y: Values = np.asarray(y, dtype=np.float64)
        if self.x.ndim != 1 or self.x.shape != self.y.shape or self.x.size < 2:
            raise ValueError("a curve needs two or more points, with one ordinate for each abscissa")
        self.steps: Values = np.diff(self.x)
        if not np.all(self.steps > 0):
            raise ValueError("the abscissae of a curve must increase")
        self.slopes = _slopes(self.steps, np.diff(self.y) / self.steps)

    def __call__(self, at: Sequence[float] | Values) -> Values:
        """Evaluate at abscissae inside the range of the points; outside it the end polynomials go on."""
        at = np.asarray(at, dtype=np.float64)
        piece = np.clip(np.searchsorted(self.x, at, side="right") - 1, 0, self.steps.size - 1)
        return self._value(piece, (at - self.x[piece]) / self.steps[piece])

    def integral(self, low: float, high: float) -> float:
        """Exact integral from ``low`` to ``high``, both inside the range of the points."""
        inner = self.x[(self.x > low) & (self.x < high)]
        edges = np.concatenate(([low], inner, [high]))
        middles = (edges[:-1] + edges[1:]) / 2
        # Simpson's rule is exact for cubics, and no interval straddles two of them.
        return float(np.sum(np.diff(edges) * (self(edges[:-1]) + 4 * self(middles) + self(edges[1:])) / 6))

    def _value(self, piece: npt.NDArray[np.intp], t: Values) -> Values:
        """Cubic Hermite polynomial of each piece at t in 0...1."""
        step = self.steps[piece]
        rise = 3 * t**2 - 2 * t**3
        return np.asarray(
            (1 - rise) * self.y[piece]
            + rise * self.y[piece + 1]
            + step * (t - 2 * t**2 + t**3) * self.slopes[piece]
            + step * (t**3 - t**2) * self.slopes[piece + 1]
        )


def _slopes(steps: Values, secants: Values) -> Values:
    """Slope at each of n points from the n-1 interval lengths and secants."""
    if steps.size == 1:
        return np.repeat(secants, 2)
    before, after = secants[:-1], secants[1:]
    weight_before = 2 * steps[1:] + steps[:-1]
    weight_after = steps[1:] + 2 * steps[:-1]
    same_direction = before * after > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        harmonic = (weight_before + weight_after) / (weight_before / before + weight_after / after)
    slopes = np.zeros(steps.size + 1)
    slopes[1:-1] = np.where(same_direction, harmonic, 0.0)
    slopes[0] = _end_slope(steps[0], steps[1], secants[0], secants[1])
    slopes[-1] = _end_slope(steps[-1], steps[-2], secants[-1], secants[-2])
    return slopes


def _end_slope(step: float, next_step: float, secant: float, next_secant: float) -> float:
    """One-sided three-point slope at an end, limited so that the end interval keeps its shape."""
    slope = ((2 * step + next_step) * secant - step * next_secant) / (step + next_step)
    if np.sign(slope) != np.sign(secant):
        return 0.0
    if np.sign(secant) != np.sign(next_secant) and abs(slope) > 3 * abs(secant):
        return float(3 * secant)
    return float(slope)


def bd_rate(
    anchor_rates: Sequence[float],
    anchor_qualities: Sequence[float],
    test_rates: Sequence[float],
    test_qualities: Sequence[float],
) -> Difference:
    """Mean difference in rate at equal quality, in per cent; negative means that the test needs fewer bits.

    Args:
        anchor_rates, test_rates: bits per pixel, kb/s or bytes, positive, the same unit in both; any order.
        anchor_qualities, test_qualities: what is higher for better pictures, on a linear or decibel scale. Points
            that are not finite are left out.

    Raises:
        ValueError: a rate that is not positive, or lengths that differ.
    """
    difference = _mean_difference(
        *_curve(anchor_qualities, _log_rates(anchor_rates)), *_curve(test_qualities, _log_rates(test_rates))
    )
    if difference.value is None:
        return difference
    return Difference((10**difference.value - 1) * 100, difference.overlap)


def bd_quality(
    anchor_rates: Sequence[float],
    anchor_qualities: Sequence[float],
    test_rates: Sequence[float],
    test_qualities: Sequence[float],
) -> Difference:
    """Mean difference in quality at equal rate, in units of the quality (BD-PSNR in dB for PSNR); positive is better.

    Arguments and errors are those of :func:`bd_rate`.
    """
    return _mean_difference(
        *_curve(_log_rates(anchor_rates), anchor_qualities), *_curve(_log_rates(test_rates), test_qualities)
    )


def rate_at(rates: Sequence[float], qualities: Sequence[float], quality: float) -> float | None:
    """Rate that a codec's curve reaches at ``quality``; None outside its points.

    Raises:
        ValueError: a rate that is not positive, or lengths that differ.
    """
    x, y = _curve(qualities, _log_rates(rates))
    if x.size < 2 or not x[0] <= quality <= x[-1]:
        return None
    return float(10 ** Pchip(x, y)([quality])[0])


def smooth_curve(rates: Sequence[float], qualities: Sequence[float], count: int = 64) -> tuple[Values, Values]:
    """The curve that the differences integrate, as ``count`` points (rates, qualities) to draw.

    With fewer than two usable points these come back as they are.

    Raises:
        ValueError: a rate that is not positive, or lengths that differ.
    """
    x, y = _curve(qualities, _log_rates(rates))
    if x.size < 2:
        return 10**y, x
    at = np.linspace(x[0], x[-1], count)
    return 10 ** Pchip(x, y)(at), at


def _log_rates(rates: Sequence[float]) -> Values:
    values = np.asarray(rates, dtype=np.float64)
    if not np.all(values > 0):
        raise ValueError("rates must be positive")
    return np.log10(values)


def _curve(x: Sequence[float] | Values, y: Sequence[float] | Values) -> tuple[Values, Values]:
    """Finite points in increasing x; points of equal x become their mean."""
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if across.ndim != 1 or across.shape != up.shape:
        raise ValueError("a curve needs as many rates as qualities")
    finite = np.isfinite(across) & np.isfinite(up)
    across, up = across[finite], up[finite]
    unique, place = np.unique(across, return_inverse=True)
    if unique.size == across.size:
        order = np.argsort(across)
        return across[order], up[order]
    return unique, np.bincount(place, weights=up) / np.bincount(place)


def _mean_difference(anchor_x: Values, anchor_y: Values, test_x: Values, test_y: Values) -> Difference:
    """Mean of test minus anchor over the x that both cover."""
    if anchor_x.size < 2 or test_x.size < 2:
        return Difference(None, 0.0, TOO_FEW_POINTS)
    low, high = max(anchor_x[0], test_x[0]), min(anchor_x[-1], test_x[-1])
    if high <= low:
        return Difference(None, 0.0, NO_OVERLAP)
    overlap = (high - low) / (max(anchor_x[-1], test_x[-1]) - min(anchor_x[0], test_x[0]))
    area = Pchip(test_x, test_y).integral(low, high) - Pchip(anchor_x, anchor_y).integral(low, high)
    return Difference(float(area / (high - low)), float(overlap))
