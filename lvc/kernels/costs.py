"""What differences from a prediction cost, for sixteen blocks of 8x8 samples at a time, a lane for each."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import compiled

Floats = npt.NDArray[np.float32]


@compiled
def summed(values: Floats) -> None:
    """Sums of 32 values for each of 16 lanes, [32 * 16]; they stand in the first 16, the others are overwritten."""
    for n in range(256):
        values[n] += values[n + 256]
    for n in range(128):
        values[n] += values[n + 128]
    for n in range(64):
        values[n] += values[n + 64]
    for n in range(16):
        values[n] = (values[n] + values[n + 32]) + (values[n + 16] + values[n + 48])


@compiled
def hadamard(values: Floats) -> None:
    """All sums and differences of 64 values for each of 16 lanes, [64 * 16]: eight times the orthonormal transform.

    Written out: only where lengths and distances are known do loops become vector instructions without checks.
    """
    for n in range(256):
        a, b = values[n] + values[n + 512], values[n + 256] + values[n + 768]
        c, d = values[n] - values[n + 512], values[n + 256] - values[n + 768]
        values[n], values[n + 256], values[n + 512], values[n + 768] = a + b, a - b, c + d, c - d
    for start in range(0, 1024, 256):
        for n in range(start, start + 64):
            a, b = values[n] + values[n + 128], values[n + 64] + values[n + 192]
            c, d = values[n] - values[n + 128], values[n + 64] - values[n + 192]
            values[n], values[n + 64], values[n + 128], values[n + 192] = a + b, a - b, c + d, c - d
    for start in range(0, 1024, 64):
        for n in range(start, start + 16):
            a, b = values[n] + values[n + 32], values[n + 16] + values[n + 48]
            c, d = values[n] - values[n + 32], values[n + 16] - values[n + 48]
            values[n], values[n + 16], values[n + 32], values[n + 48] = a + b, a - b, c + d, c - d


@compiled
def coding_costs(values: Floats, powers: Floats, per_power: np.float32, least: np.float32) -> None:
    """What 64 coefficients cost together, for each of 16 lanes, [64 * 16]; see :func:`lvc.encoder.cost.lagrangian_of`.

    Args:
        values: in steps; the costs stand in the first 16 then, the others are overwritten.
        powers: likewise as large; overwritten.
        per_power, least: what a float's bits, read as an integer, cost each, and what is added, in squared steps.
    """
    bits = powers.view(np.int32)
    for n in range(1024):
        powers[n] = max(abs(values[n]), np.float32(0.5))
    for n in range(1024):
        values[n] = min(np.float32(bits[n]) * per_power + least, values[n] * values[n])
    for n in range(512):
        values[n] += values[n + 512]
    summed(values)
