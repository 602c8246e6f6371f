"""The setting in which exact layers run, and the known-answer test that a device must pass first."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lvc.exact import warp
from lvc.exact.layers import Conv, Depthwise
from lvc.exact.overlap import overlapped
from lvc.exact.product import ACT_MAX

_PRODUCTS = ((torch.backends.cuda, "matmul"), (torch.backends.mkldnn, "matmul"), (torch.backends.mkldnn, "conv"))
"""Kinds of products whose precision programs may choose one by one."""


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """No gradients, and no algorithm that is not a plain sum of products (Winograd, Fourier, reduced precision).

    Whatever the program around has chosen does not count here, and holds again afterwards.
    """
    with (
        torch.inference_mode(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        _PROCESS_WIDE.held(),
        _usual_device(),
    ):
        yield


@contextlib.contextmanager
def usual_tensors() -> Iterator[None]:
    """Tensors of which nothing is said are of float32 and on the CPU."""
    with _PROCESS_WIDE.held(), _usual_device():
        yield


@contextlib.contextmanager
def _usual_device() -> Iterator[None]:
    # entered only where needed: it looks at every call
    elsewhere = torch.get_default_device().type != "cpu"
    with torch.device("cpu") if elsewhere else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _usual_type() -> Iterator[None]:
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)


@contextlib.contextmanager
def _without_cudnn() -> Iterator[None]:
    """Its ``flags`` would also ask for settings that exist in two ways, and fail where a program has used both."""
    cudnn = torch.backends.cudnn
    before = cudnn.enabled
    cudnn.enabled = False
    try:
        yield
    finally:
        cudnn.enabled = before


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """No factor is shortened to TF32 or bfloat16, whether that was chosen in PyTorch's old way or in its new one."""
    with contextlib.ExitStack() as put_back:
        with contextlib.suppress(RuntimeError):  # the old way refuses to answer where the new one was used
            if (before := torch.get_float32_matmul_precision()) != "highest":
                put_back.callback(torch.set_float32_matmul_precision, before)
                torch.set_float32_matmul_precision("highest")
        for backend, operation in _PRODUCTS:
            product: Any = getattr(backend, operation, None)
            chosen = getattr(product, "fp32_precision", "none")  # there since PyTorch 2.9
            if chosen not in ("none", "ieee"):
                put_back.callback(setattr, product, "fp32_precision", chosen)
                product.fp32_precision = "ieee"
        yield


@contextlib.contextmanager
def _any_order() -> Iterator[None]:
    """Exact sums are the same in any order: nothing has to be deterministic, or be refused for not being so."""
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode(0)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


class _ProcessWide:
    """What PyTorch has one setting of for all threads: the first to need it makes it, the last one takes it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._made = contextlib.ExitStack()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Have the settings; several threads may, one within the other or not."""
        with self._lock:
            if not self._users:
                self._make()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._made.close()

    def _make(self) -> None:
        with contextlib.ExitStack() as made:
            made.enter_context(torch.backends.nnpack.flags(enabled=False))
            for setting in (_without_cudnn, _full_precision, _any_order, _usual_type):
                made.enter_context(setting())
            self._made = made.pop_all()


_PROCESS_WIDE = _ProcessWide()


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
    """Filters of whole pictures, and what does the same for blocks with vectors of their own: products of matrices, and
    on CPUs compiled loops.
    """
    random = np.random.default_rng(8)
    picture = random.choice([0, 1023, 511, 400], (1, 2, 24, 40))
    given = torch.from_numpy(picture).float().to(device)
    found = warp.phases(given).cpu().numpy()
    vectors = torch.tensor([(v, h) for v in range(4) for h in range(4)], device=device)
    field = vectors[:, None, None].expand(-1, 24 // warp.BLOCK, 40 // warp.BLOCK, 2)
    every = given.expand(16, -1, -1, -1)
    blocks = warp.compensate(every, field).cpu().numpy()
    everywhere = torch.ones(field.shape[:3], dtype=torch.bool, device=device)  # all vectors of a picture are the same
    alone = overlapped(warp.Interpolator(every, warp.LUMA), field, everywhere).cpu().numpy()
    if not (alone == blocks).all():
        return False
    inner = np.s_[:, -warp.FIRST : 24 - warp.FIRST, -warp.FIRST : 40 - warp.FIRST]
    margin = warp.MARGIN
    padded = np.pad(picture, ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="edge")
    taps = np.array(warp._SHARP)
    height, width = (size + warp.LAST - warp.FIRST + 1 for size in (24, 40))
    for v in range(4):
        down = sum(taps[v, k] * padded[:, :, k : k + height] for k in range(8))
        for h in range(4):
            want = sum(taps[h, k] * down[..., k : k + width] for k in range(8))
            want = np.clip(np.rint(want / 4096), 0, 1023)
            if not (found[:, :, 4 * v + h] == want).all() or not (blocks[4 * v + h] == want[0][inner]).all():
                return False
    return True


def _transform_answers(device: torch.device) -> bool:
    """Products of float64, as the inverse transform has them: of matrices, and of every position of a picture."""
    random = np.random.default_rng(9)
    x, weight = random.integers(-(2**20), 2**20, (40, 256)), random.integers(-(2**14), 2**14, (256, 256))
    want = x @ weight.T
    given, matrix = (torch.from_numpy(values).double().to(device) for values in (x, weight))
    product = (given @ matrix.t()).cpu().numpy()
    picture = given.t().reshape(1, 256, 5, 8)
    filtered = F.conv2d(picture, matrix[:, :, None, None]).view(256, 40).t().cpu().numpy()
    return bool((product == want).all() and (filtered == want).all())


@functools.cache
def passes_self_test(device: str) -> bool:
    """Whether this device computes the exact layers and filters as integers say. Takes milliseconds, runs once."""
    with exact_arithmetic():
        where = torch.device(device)
        return _layer_answers(where) and _interpolation_answers(where) and _transform_answers(where)
