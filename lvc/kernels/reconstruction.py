"""What happens to samples around the decoder network, see :meth:`lvc.model.codec.FrameCodec.reconstruct`.

Sums of samples and fractions are exact in float32, so each result is that of the same steps one after another.
"""

import numpy as np
import numpy.typing as npt

from lvc.kernels import ROUND, compiled

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@compiled
def place(luma: Doubles, chroma: Doubles, at: Ints, y: Floats, uv: Floats) -> None:
    """Round residuals of some 16x16 blocks, and put them where they belong.

    Args:
        luma, chroma: samples of n blocks by rows, [n, 256] and [n, 2 64].
        at: numbers of the blocks, by rows of the picture, [n].
        y, uv: [H, W] and [2, H/2, W/2]; only these blocks are written.
    """
    across = y.shape[1] // 16
    for n in range(len(at)):
        top, left = at[n] // across, at[n] % across
        for i in range(16):
            row, given = y[top * 16 + i, left * 16 : left * 16 + 16], luma[n, i * 16 : i * 16 + 16]
            for j in range(16):
                row[j] = np.float32(np.rint(given[j]))
        for plane in range(2):
            for i in range(8):
                row = uv[plane, top * 8 + i, left * 8 : left * 8 + 8]
                given = chroma[n, plane * 64 + i * 8 : plane * 64 + i * 8 + 8]
                for j in range(8):
                    row[j] = np.float32(np.rint(given[j]))


@compiled
def enter(
    predicted: Floats,
    residual: Floats,
    side: int,
    fraction: float,
    middle: float,
    most: float,
    sums: Floats,
    pictures: Floats,
    residuals: Floats,
    first: int,
    last: int,
) -> None:
    """First reconstruction, and what the decoder network reads of it and of the residual.

    Args:
        predicted, residual: [C, H, W]; ``residual`` in ``fraction`` of a grey level.
        side: of the squares of samples that become channels.
        middle: what is subtracted.
        most: activations lie within this.
        sums: predictions plus residuals, [C, H, W].
        pictures, residuals: activations, [C side side, H / side, W / side].
        first, last: rows of squares.
    """
    limit, part, grey = np.float32(most), np.float32(fraction), np.float32(middle)
    for plane in range(len(predicted)):
        for row in range(first, last):
            for i in range(side):
                y, channel = row * side + i, (plane * side + i) * side
                for j in range(side):
                    seen, missed = pictures[channel + j, row], residuals[channel + j, row]
                    for n in range(len(seen)):
                        x = n * side + j
                        value = predicted[plane, y, x] + residual[plane, y, x] * part
                        sums[plane, y, x] = value
                        missed[n] = min(max(residual[plane, y, x], -limit), limit)
                        seen[n] = (min(max(value - grey, -limit), limit) + ROUND) - ROUND


@compiled
def leave(
    sums: Floats,
    head: Floats,
    skip: Floats,
    predicted: Floats,
    side: int,
    fraction: float,
    peak: float,
    out: Floats,
    first: int,
    last: int,
) -> None:
    """Add what the network gives, round and limit; skipped blocks stay as they are predicted.

    Args:
        sums, predicted, out: [C, H, W].
        head: in ``fraction`` of a grey level, [C side side, H / side, W / side].
        skip: which blocks, each of 2x2 squares, are skipped (1) or not (0), [h, w].
        side: of squares.
        peak: the highest sample.
        first, last: rows of squares.
    """
    most, least, part = np.float32(peak), np.float32(0), np.float32(fraction)
    for plane in range(len(sums)):
        for row in range(first, last):
            skipped = skip[row // 2]
            for i in range(side):
                y, channel = row * side + i, (plane * side + i) * side
                for j in range(side):
                    added = head[channel + j, row]
                    for n in range(len(added)):
                        x = n * side + j
                        value = (sums[plane, y, x] + added[n] * part + ROUND) - ROUND
                        if skipped[n // 2] != 0:
                            value = predicted[plane, y, x]
                        out[plane, y, x] = min(max(value, least), most)


@compiled
def magnitudes(latents: Floats, steps: Floats, scale: float, most: float, out: Floats) -> None:
    """Latents by their steps, without signs: rounded multiples of 1 / ``scale``.

    Args:
        latents, out: [C, n]; ``out`` is written where latents are not 0.
        steps: [C, n].
        most: the largest one.
    """
    for channel in range(len(latents)):
        for n in range(latents.shape[1]):
            if latents[channel, n] != 0:
                size = np.rint(abs(np.float64(latents[channel, n])) * scale / np.float64(steps[channel, n]))
                out[channel, n] = np.float32(min(size, most))
