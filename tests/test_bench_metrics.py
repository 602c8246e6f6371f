"""Picture measures against FFmpeg's own filters, against the plain definitions, and on planes that allow none."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from lvc.bench import metrics
from lvc.media import filters

FILTER_DB = 0.01
DEFINITION = 2e-5

Planes = list[npt.NDArray[np.uint16]]


def picture(width: int, height: int, bit_depth: int, seed: int) -> Planes:
    """A picture with smooth parts, edges and noise."""
    generator = np.random.default_rng(seed)
    peak = 2**bit_depth - 1
    planes = []
    for shape in ((height, width), ((height + 1) // 2, (width + 1) // 2), ((height + 1) // 2, (width + 1) // 2)):
        blocks = generator.integers(0, peak + 1, (-(-shape[0] // 16), -(-shape[1] // 16)))
        plane = np.kron(blocks, np.ones((16, 16)))[: shape[0], : shape[1]]
        plane = plane * 0.6 + np.add.outer(np.arange(shape[0]), np.arange(shape[1])) * (peak / 2000)
        planes.append(np.clip(plane, 0, peak).astype(np.uint16))
    return planes


def worse(planes: Planes, bit_depth: int, amplitude: int, seed: int) -> Planes:
    generator = np.random.default_rng(seed)
    noisy = [plane + generator.integers(-amplitude, amplitude + 1, plane.shape) for plane in planes]
    return [np.clip(plane, 0, 2**bit_depth - 1).astype(np.uint16) for plane in noisy]


def by_filter(measure: str, source: Planes, decoded: Planes, bit_depth: int) -> dict[str, float]:
    height, width = source[0].shape
    comparison = filters.Comparison(measure, width, height, bit_depth)
    values = comparison.add(source, decoded)
    return {name.rsplit(".", 1)[-1].lower(): float(value) for name, value in values.items() if "mse" not in name}


@pytest.mark.parametrize(("width", "height"), [(64, 48), (101, 71), (352, 288)])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("amplitude", [2, 40])
def test_psnr_and_ssim_are_those_of_ffmpeg(width: int, height: int, bit_depth: int, amplitude: int) -> None:
    source = picture(width, height, bit_depth, 1)
    decoded = worse(source, bit_depth, amplitude, 2)
    ours = metrics.frame_quality(source, decoded, bit_depth)
    noise = by_filter("psnr", source, decoded, bit_depth)
    likeness = by_filter("ssim", source, decoded, bit_depth)
    for index, name in enumerate("yuv"):
        assert ours.psnr[index] == pytest.approx(noise[name], abs=FILTER_DB)
        assert metrics.decibels(ours.ssim[index]) == pytest.approx(metrics.decibels(likeness[name]), abs=FILTER_DB)
    assert metrics.decibels(ours.ssim_all) == pytest.approx(likeness["db"], abs=FILTER_DB)


def plain_ms_ssim(source: npt.NDArray[np.float64], decoded: npt.NDArray[np.float64], peak: float) -> float:
    """The definition, written as in the paper, in double precision."""
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def blur(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        rows = np.apply_along_axis(np.convolve, 0, values, taps, "valid")
        return np.apply_along_axis(np.convolve, 1, rows, taps, "valid")

    result = 1.0
    weights: Sequence[float] = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    for scale, weight in enumerate(weights):
        mean_a, mean_b = blur(source), blur(decoded)
        variance_a, variance_b = blur(source**2) - mean_a**2, blur(decoded**2) - mean_b**2
        covariance = blur(source * decoded) - mean_a * mean_b
        similarity = (2 * covariance + (0.03 * peak) ** 2) / (variance_a + variance_b + (0.03 * peak) ** 2)
        if scale == 4:
            similarity *= (2 * mean_a * mean_b + (0.01 * peak) ** 2) / (mean_a**2 + mean_b**2 + (0.01 * peak) ** 2)
        result *= similarity.mean() ** weight
        even = [values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2] for values in (source, decoded)]
        source, decoded = (
            values.reshape(values.shape[0] // 2, 2, values.shape[1] // 2, 2).mean(axis=(1, 3)) for values in even
        )
    return result


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_ms_ssim_is_its_definition(bit_depth: int) -> None:
    source = picture(213, 190, bit_depth, 3)[0]
    decoded = worse([source], bit_depth, 12 << (bit_depth - 8), 4)[0]
    expected = plain_ms_ssim(source.astype(np.float64), decoded.astype(np.float64), 2**bit_depth - 1)
    assert 0.8 < expected < 0.999
    assert metrics.ms_ssim(source, decoded, bit_depth) == pytest.approx(expected, abs=DEFINITION)


def test_small_planes_have_no_ms_ssim() -> None:
    source = picture(175, 200, 8, 5)
    assert metrics.ms_ssim(source[0], source[0]) is None
    assert metrics.frame_quality(source, source).ms_ssim is None
    larger = picture(176, 176, 8, 5)
    assert metrics.ms_ssim(larger[0], larger[0]) == pytest.approx(1)


def test_identical_pictures_count_as_the_ceiling() -> None:
    source = picture(176, 176, 8, 6)
    quality = metrics.frame_quality(source, source)
    assert quality.psnr == (metrics.CEILING_DB,) * 3
    assert quality.ssim_all == pytest.approx(1)
    assert all(value is not None and np.isfinite(value) for value in quality.as_dict().values())


def test_weights_are_six_one_one() -> None:
    quality = metrics.FrameQuality((40.0, 44.0, 48.0), (0.9, 0.9, 0.9), 0.9, None)
    assert quality.psnr_611 == pytest.approx((240 + 44 + 48) / 8)


def test_clips_average_the_decibels_of_frames() -> None:
    frames = [
        metrics.FrameQuality((30.0, 30.0, 30.0), (0.9, 0.9, 0.9), 0.9, 0.9),
        metrics.FrameQuality((40.0, 40.0, 40.0), (0.99, 0.99, 0.99), 0.99, None),
    ]
    means = metrics.clip_quality(frames)
    assert means["psnr"] == pytest.approx(35)
    assert means["ssim_db"] == pytest.approx(metrics.decibels(0.945))
    assert means["ms_ssim"] is None


def test_planes_that_do_not_match_are_refused() -> None:
    source = picture(64, 64, 8, 7)
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.psnr(source[0], source[1])
    with pytest.raises(ValueError, match="three planes"):
        metrics.frame_quality(source[:2], source[:2])
    with pytest.raises(ValueError, match="no frames"):
        metrics.clip_quality([])


def test_ssim_of_many_bits_does_not_overflow() -> None:
    source = picture(64, 64, 8, 7)[0]
    decoded = worse([source], 8, 12, 8)[0]
    for bit_depth in (12, 16):
        shift = bit_depth - 8
        deep, deep_decoded = (plane.astype(np.uint16) << shift for plane in (source, decoded))
        assert metrics.ssim(deep, deep_decoded, bit_depth) == pytest.approx(metrics.ssim(source, decoded), abs=2e-3)
