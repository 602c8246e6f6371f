"""Picture quality on the source's own planes, at its own bit depth, never through RGB.

One implementation of each measure. PSNR and SSIM are those of FFmpeg's ``psnr`` and ``ssim`` filters (the tests hold
them to 0.01 dB of it); MS-SSIM is that of Z. Wang, E. P. Simoncelli and A. C. Bovik, "Multiscale structural similarity
for image quality assessment" (Asilomar 2003), on one plane.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float32]

PLANES = "yuv"
CEILING_DB = 100.0
"""What an identical picture counts as, so that means over frames stay finite; nothing counts as more."""

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW = 11
_SIGMA = 1.5
MS_SSIM_SMALLEST = _WINDOW * 2 ** (len(MS_SSIM_WEIGHTS) - 1)
"""Shorter side, in samples, below which a plane has no MS-SSIM."""

_BAND = 64
"""Rows that are worked on at a time, as many as stay in a cache, and samples that one product of matrices filters."""


@dataclass(frozen=True)
class FrameQuality:
    """What one decoded picture kept of its source.

    Attributes:
        psnr: decibels of Y, U, V, at most ``CEILING_DB``.
        ssim: of Y, U, V, at most 1.
        ms_ssim: of Y, at most 1; None for planes under ``MS_SSIM_SMALLEST`` or where it was not asked for.
        ssim_all: SSIM of the whole picture, planes weighted by their number of samples as FFmpeg's "All".
    """

    psnr: tuple[float, float, float]
    ssim: tuple[float, float, float]
    ssim_all: float
    ms_ssim: float | None

    @property
    def psnr_611(self) -> float:
        """(6·Y + U + V) / 8 of the decibels: the weighting of the video coding experts groups for 4:2:0."""
        return (6 * self.psnr[0] + self.psnr[1] + self.psnr[2]) / 8

    def as_dict(self) -> dict[str, float | None]:
        """Flat names to values, as the rows of ``results.jsonl`` hold them; similarities also in decibels."""
        values: dict[str, float | None] = {"psnr": self.psnr_611}
        values |= {f"psnr_{name}": value for name, value in zip(PLANES, self.psnr, strict=True)}
        values |= {f"ssim_{name}": value for name, value in zip(PLANES, self.ssim, strict=True)}
        values |= {"ssim": self.ssim_all, "ssim_db": decibels(self.ssim_all), "ms_ssim": self.ms_ssim}
        values["ms_ssim_db"] = None if self.ms_ssim is None else decibels(self.ms_ssim)
        return values


def psnr(source: Samples, decoded: Samples, bit_depth: int = 8) -> float:
    """Peak signal-to-noise ratio of one plane in decibels, peak 2^bit_depth − 1, at most ``CEILING_DB``.

    Args:
        source, decoded: [height, width], values of ``bit_depth`` bits.

    Raises:
        ValueError: shapes that differ.
    """
    _check(source, decoded)
    error = np.subtract(source, decoded, dtype=np.int32)
    squares = np.einsum("ij,ij->i", error, error, dtype=np.int64)
    mean = float(squares.sum()) / error.size
    if mean == 0:
        return CEILING_DB
    return min(CEILING_DB, 20 * math.log10(2**bit_depth - 1) - 10 * math.log10(mean))


def ssim(source: Samples, decoded: Samples, bit_depth: int = 8) -> float:
    """Structural similarity of one plane over 8×8 windows every four samples, as x264 and FFmpeg measure it.

    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity" (IEEE TIP 13, 2004), with
    flat windows in place of Gaussian ones. Samples beyond the last multiple of four are not looked at.

    Args:
        source, decoded: [height, width], values of ``bit_depth`` bits, both sides 8 or more.

    Returns:
        Mean over windows, at most 1.

    Raises:
        ValueError: shapes that differ, or a plane under 8×8.
    """
    _check(source, decoded)
    if min(source.shape) < 8:
        raise ValueError("SSIM needs planes of 8x8 or more")
    count = 64
    peak = 2**bit_depth - 1
    c1 = float(int(0.01 * 0.01 * peak * peak * count + 0.5))
    c2 = float(int(0.03 * 0.03 * peak * peak * count * (count - 1) + 0.5))
    height, width = source.shape[0] // 4 * 4, source.shape[1] // 4 * 4
    # sums of 64 times two squares must not overflow
    wide: type[np.signedinteger[Any]] = np.int32 if bit_depth <= 12 else np.int64
    total = 0.0
    for top in range(0, height - 4, _BAND):
        rows = slice(top, min(top + _BAND + 4, height))
        a, b = source[rows, :width].astype(wide), decoded[rows, :width].astype(wide)
        sum_a, sum_b = _windows(a), _windows(b)
        squares = _windows(a * a + b * b)
        products = _windows(a * b)
        variance = squares * count - sum_a * sum_a - sum_b * sum_b
        covariance = products * count - sum_a * sum_b
        similarity = (2 * sum_a * sum_b + c1) * (2 * covariance + c2)
        similarity /= (sum_a * sum_a + sum_b * sum_b + c1) * (variance + c2)
        total += float(similarity.sum())
    return float(total / ((height // 4 - 1) * (width // 4 - 1)))


def _windows(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Sums over 8×8 windows every four samples, [H, W] to [H/4 − 1, W/4 − 1]."""
    # by slices: numpy is slow at sums along short axes
    rows = values[::4] + values[1::4] + values[2::4] + values[3::4]
    blocks = rows[:, ::4] + rows[:, 1::4] + rows[:, 2::4] + rows[:, 3::4]
    pairs = blocks[:-1] + blocks[1:]
    return np.asarray(pairs[:, :-1] + pairs[:, 1:], np.float64)


def ms_ssim(source: Samples, decoded: Samples, bit_depth: int = 8) -> float | None:
    """Multi-scale structural similarity of one plane: five scales, 11×11 Gaussian windows of deviation 1.5.

    Only windows that lie wholly inside the plane count, and each scale halves by the mean of 2×2 samples, as in the
    authors' code. Negative contrast terms count as 0.

    Args:
        source, decoded: [height, width], values of ``bit_depth`` bits.

    Returns:
        0...1, or None where a side is under ``MS_SSIM_SMALLEST``.

    Raises:
        ValueError: shapes that differ.
    """
    _check(source, decoded)
    if min(source.shape) < MS_SSIM_SMALLEST:
        return None
    peak = float(2**bit_depth - 1)
    # Around mid-grey the squares stay small, and single precision does not eat into the variances.
    a = source.astype(np.float32) - np.float32(peak / 2)
    b = decoded.astype(np.float32) - np.float32(peak / 2)
    total, difference = a + b, a - b
    result = 1.0
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        last = scale == len(MS_SSIM_WEIGHTS) - 1
        result *= max(0.0, _similarity(total, difference, peak, with_luminance=last)) ** weight
        if not last:
            total, difference = _halve(total), _halve(difference)
    return result


def _similarity(total: Floats, difference: Floats, peak: float, with_luminance: bool) -> float:
    """Mean contrast and structure term of one scale, times luminance where asked for.

    Args:
        total, difference: sum and difference of two planes around mid-grey: their variances together have in them what
            the variances and the covariance of the planes have, and take fewer operations.
    """
    height, width = (side - _WINDOW + 1 for side in total.shape)
    found = 0.0
    for top in range(0, height, _BAND):  # as many rows at a time as stay in a cache
        rows = slice(top, top + _BAND + _WINDOW - 1)
        found += float(_similarities(total[rows], difference[rows], peak, with_luminance).sum(dtype=np.float64))
    return found / float(height * width)


def _similarities(total: Floats, difference: Floats, peak: float, with_luminance: bool) -> Floats:
    """The same of each window of some rows."""
    c1, c2 = np.float32((0.01 * peak) ** 2), np.float32((0.03 * peak) ** 2)
    mean_total, mean_difference = _blur(total), _blur(difference)
    # with a and b the planes: 2 (var a + var b) = var(a + b) + var(a - b), and 4 cov(a, b) = var(a + b) - var(a - b)
    spread, apart = _blur(total * total), _blur(difference * difference)
    spread -= mean_total * mean_total
    apart -= mean_difference * mean_difference
    similarity = spread - apart
    similarity += 2 * c2
    spread += apart
    spread += 2 * c2
    similarity /= spread
    if with_luminance:
        mean_total += np.float32(peak)
        squares, apart = mean_total * mean_total, mean_difference * mean_difference
        similarity *= (squares - apart + 2 * c1) / (squares + apart + 2 * c1)
    return similarity


def _gaussian() -> Floats:
    """Band matrix [_BAND, _BAND + 10] that filters ``_BAND`` samples at once: matrix products are what CPUs do best."""
    taps = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    taps /= taps.sum()
    band = np.zeros((_BAND, _BAND + _WINDOW - 1))
    for row in range(_BAND):
        band[row, row : row + _WINDOW] = taps
    return band.astype(np.float32)


_GAUSSIAN = _gaussian()


def _blur(values: Floats) -> Floats:
    """Gaussian windows inside the plane: [H, W] to [H − 10, W − 10]."""
    down = np.empty((values.shape[0] - _WINDOW + 1, values.shape[1]), np.float32)
    for start in range(0, down.shape[0], _BAND):
        band = down[start : start + _BAND]
        length = len(band) + _WINDOW - 1
        np.matmul(_GAUSSIAN[: len(band), :length], values[start : start + length], out=band)
    across = np.empty((down.shape[0], values.shape[1] - _WINDOW + 1), np.float32)
    for start in range(0, across.shape[1], _BAND):
        band = across[:, start : start + _BAND]
        length = band.shape[1] + _WINDOW - 1
        np.matmul(down[:, start : start + length], _GAUSSIAN.T[:length, : band.shape[1]], out=band)
    return across


def _halve(values: Floats) -> Floats:
    """Mean of 2×2 samples; an odd last row or column is dropped."""
    height, width = values.shape[0] // 2 * 2, values.shape[1] // 2 * 2
    even = values[:height, :width]
    return np.asarray((even[::2, ::2] + even[::2, 1::2] + even[1::2, ::2] + even[1::2, 1::2]) * np.float32(0.25))


def decibels(similarity: float) -> float:
    """A similarity (SSIM, MS-SSIM) on a decibel scale, −10·log10(1 − s), at most ``CEILING_DB``."""
    return CEILING_DB if similarity >= 1 else min(CEILING_DB, -10 * math.log10(1 - similarity))


def frame_quality(
    source: Sequence[Samples], decoded: Sequence[Samples], bit_depth: int = 8, with_ms_ssim: bool = True
) -> FrameQuality:
    """All measures of one picture.

    Args:
        source, decoded: Y [H, W], U and V [(H + 1) // 2, (W + 1) // 2] of ``bit_depth`` bits, luma 16×16 or more.
        with_ms_ssim: MS-SSIM takes longer than all else here together.

    Raises:
        ValueError: planes that differ in number or shape.
    """
    if len(source) != 3 or len(decoded) != 3:
        raise ValueError("a picture has three planes")
    pairs = list(zip(source, decoded, strict=True))
    noise = [psnr(a, b, bit_depth) for a, b in pairs]
    likeness = [ssim(a, b, bit_depth) for a, b in pairs]
    sizes = [plane.size for plane in source]
    whole = sum(s * n for s, n in zip(likeness, sizes, strict=True)) / sum(sizes)
    return FrameQuality(
        (noise[0], noise[1], noise[2]),
        (likeness[0], likeness[1], likeness[2]),
        whole,
        ms_ssim(source[0], decoded[0], bit_depth) if with_ms_ssim else None,
    )


def clip_quality(frames: Iterable[FrameQuality]) -> dict[str, float | None]:
    """Means over frames of every value of :meth:`FrameQuality.as_dict`; None where any frame has none.

    Decibels are averaged as decibels, frame by frame, as the video coding experts groups and the learned-codec papers
    do; the decibels of a similarity are those of its mean.

    Raises:
        ValueError: no frames.
    """
    rows = [frame.as_dict() for frame in frames]
    if not rows:
        raise ValueError("no frames to average")
    means: dict[str, float | None] = {}
    for name in rows[0]:
        values = [value for row in rows if (value := row[name]) is not None]
        means[name] = sum(values) / len(rows) if len(values) == len(rows) else None
    for name in ("ssim", "ms_ssim"):
        mean = means[name]
        means[f"{name}_db"] = None if mean is None else decibels(mean)
    return means


def _check(source: Samples, decoded: Samples) -> None:
    if source.shape != decoded.shape or source.ndim != 2 or source.size == 0:
        raise ValueError(f"planes to compare differ in shape: {source.shape} and {decoded.shape}")
