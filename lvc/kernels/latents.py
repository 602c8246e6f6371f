"""What happens to latents between the passes of the prior, see :mod:`lvc.model.passes` and :mod:`lvc.model.entropy`."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@compiled
def sort(scale: Floats, mask: Floats, classes: Bytes, lowest: int, order: Ints, ends: Ints) -> None:
    """Where the latents of each class are, those of class 0 left out: by channels, then by places.

    Args:
        scale: log-scales, whole numbers, [n, h w].
        mask: which places are meant (1 or 0), [h w].
        classes: of the log-scales from ``lowest`` on; those below have class 0, those above the last one.
        order: numbers of latents in [n, h w], those of class 1 first, result; as large as there are latents.
        ends: where in it those of each class end, result; 0 for class 0.
    """
    channels, area = scale.shape
    found = np.empty((channels, area), np.uint8)
    highest = len(classes) - 1
    counts = np.zeros(len(ends), np.int64)
    for channel in range(channels):
        row, given = found[channel], scale[channel]
        for n in range(area):
            place = int(given[n]) - lowest
            row[n] = classes[min(max(place, 0), highest)] if mask[n] else 0
        for n in range(area):
            counts[row[n]] += 1
    total = 0
    for cls in range(1, len(ends)):
        ends[cls] = total  # where they begin, so far
        total += counts[cls]
    for channel in range(channels):
        row = found[channel]
        for n in range(area):
            cls = row[n]
            if cls:
                order[ends[cls]] = channel * area + n
                ends[cls] += 1
    ends[0] = 0


@compiled
def lost(wanted: Floats, scale: Floats, mask: Floats, large: float, least: float) -> tuple[Ints, Floats]:
    """Large latents of class 0, for which nothing is sent: the places of n of them, and what they are.

    Args:
        wanted: [n, h w].
        scale, mask: as for :func:`sort`.
        large: from this on they are.
        least: scale of class 1.
    """
    count, area = 0, len(mask)
    at, values = np.empty(wanted.size, np.int64), np.empty(wanted.size, np.float32)
    for channel in range(len(wanted)):
        row, scales = wanted[channel], scale[channel]
        for n in range(area):
            if abs(row[n]) > large and scales[n] < least and mask[n]:
                at[count], values[count] = n, row[n]
                count += 1
    return at[:count].copy(), values[:count].copy()


@compiled
def know(
    coded: Floats,
    mean: Floats,
    mask: Floats,
    unit: Floats,
    step: Floats,
    fraction: float,
    most: float,
    most_read: float,
    residuals: Floats,
    means: Floats,
    values: Floats,
    read: Floats,
) -> None:
    """Latents that a pass has decoded; what is not masked stays as it is. See :func:`lvc.model.passes.known`.

    Args:
        coded: residuals in ``fraction`` of a step, [n, h w].
        mean: predicted, [n, h w] in ``unit``.
        mask: which places are meant (1 or 0), [h w].
        unit, step: of each channel, [n].
        most: latents lie within this.
        most_read: activations do.
        residuals, means, values, read: results, [n, h w].
    """
    part, limit, last = np.float32(fraction), np.float32(most), np.float32(most_read)
    for channel in range(len(coded)):
        one, size = unit[channel], step[channel]
        given, centre = coded[channel], mean[channel]
        into, into_mean, into_value, into_read = residuals[channel], means[channel], values[channel], read[channel]
        for n in range(len(mask)):
            offset = (given[n] * size * part + ROUND) - ROUND
            value = min(max(centre[n] * one + offset, -limit), limit)
            nearest = (value / one + ROUND) - ROUND
            is_meant = mask[n] != 0
            into[n] = min(max(given[n], -last), last) if is_meant else into[n]
            into_mean[n] = centre[n] if is_meant else into_mean[n]
            into_value[n] = value if is_meant else into_value[n]
            into_read[n] = min(max(nearest, -last), last) if is_meant else into_read[n]
