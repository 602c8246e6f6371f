"""The setting in which exact layers run, and the known-answer test that a device must pass first."""

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import torch

from lvc.exact import warp
from lvc.exact.layers import ACT_MAX, Conv, Depthwise


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """No gradients, and no algorithm that is not a plain sum of products (Winograd, Fourier, reduced precision)."""
    before = torch.get_float32_matmul_precision()
    with (
        torch.inference_mode(),
        torch.backends.nnpack.flags(enabled=False),
        torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False),
    ):
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def _layer_answers(device: torch.device) -> bool:
    random = np.random.default_rng(7)
    dense, spatial = Conv(192, 64), Depthwise(64)
    weights = random.integers(-60, 61, (64, 192)), random.integers(-127, 128, (64, 3, 3))
    # the largest activations, and signs that drive some sums to the bound
    x = random.choice([-ACT_MAX, ACT_MAX, 3, -1], (2, 192, 12, 20))
    x[0, :, :6] = ACT_MAX * np.sign(weights[0][0])[:, None, None]
    with torch.no_grad():
        dense.weight.copy_(torch.from_numpy(weights[0] / 4096).view(64, 192, 1, 1))
        spatial.weight.copy_(torch.from_numpy(weights[1] / 1024).view(64, 1, 3, 3))
    dense.exact = spatial.exact = True
    given = torch.from_numpy(x).float().to(device).contiguous(memory_format=torch.channels_last)
    middle = dense.to(device)(given)
    found = spatial.to(device)(middle).cpu().numpy().astype(np.int64)
    want_middle = np.clip(np.rint(np.einsum("oc,bchw->bohw", weights[0], x) / 4096), -ACT_MAX, ACT_MAX).astype(np.int64)
    padded = np.pad(want_middle, ((0, 0), (0, 0), (1, 1), (1, 1)))
    want = np.zeros_like(want_middle)
    for dy in range(3):
        for dx in range(3):
            want += weights[1][None, :, dy, dx, None, None] * padded[:, :, dy : dy + 12, dx : dx + 20]
    want = np.clip(np.rint(want / 1024), -ACT_MAX, ACT_MAX).astype(np.int64)
    return bool((middle.cpu().numpy() == want_middle).all() and (found == want).all())


def _interpolation_answers(device: torch.device) -> bool:
    random = np.random.default_rng(8)
    picture = random.choice([0, 1023, 511, 400], (1, 2, 24, 40))
    found = warp.phases(torch.from_numpy(picture).float().to(device)).cpu().numpy()
    margin = warp.MARGIN
    padded = np.pad(picture, ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="edge")
    taps = np.array(warp._SHARP)
    height, width = (size + warp.LAST - warp.FIRST + 1 for size in (24, 40))
    for v in range(4):
        down = sum(taps[v, k] * padded[:, :, k : k + height] for k in range(8))
        for h in range(4):
            want = sum(taps[h, k] * down[..., k : k + width] for k in range(8))
            if not (found[:, :, 4 * v + h] == np.clip(np.rint(want / 4096), 0, 1023)).all():
                return False
    return True


@functools.cache
def passes_self_test(device: str) -> bool:
    """Whether this device computes the exact layers and filters as integers say. Takes milliseconds, runs once."""
    with exact_arithmetic():
        where = torch.device(device)
        return _layer_answers(where) and _interpolation_answers(where)
