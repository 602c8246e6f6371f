"""Products of a matrix and every position of a picture, as fast as PyTorch can be made to do them.

Weights have a byte each, activations twelve bits. So a product of exact layers is also two products of bytes, which
processors with VNNI instructions or AMX tiles do four times as fast as those of floats: two times in all. Others do
those of words 1.5 times as fast, see :mod:`lvc.kernels.words`.
"""

import functools
import math
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from llvmlite.binding import get_host_cpu_features
from torch import Tensor

from lvc.errors import MismatchError
from lvc.kernels import layers as kernels
from lvc.kernels import shared, words
from lvc.memory import pass_on_shortage

ACT_MAX = 2047
"""Activations lie within +-ACT_MAX; such integers survive TF32 (11 significant bits)."""
_TRIED = (192, 192), (192, 320)
"""What ways are compared with: a matrix and columns, as most networks have them."""
_SMALL = (5, 3), (3, 1)
"""What they have to get right, too."""
_WORTH_SHARING = 1 << 25
"""Products, about 0.5 ms, from which on another thread helps more than it takes to wake."""
_ONEDNN = torch.backends.mkldnn.is_available()
_ROUNDS = 12
"""As many as one of them is not disturbed in: other pictures are coded at the same time."""
_HOPELESS = 10
"""A way that many times as slow as another one in each of the first three rounds is not measured any further."""
_OF_BYTES = "avx512vnni", "avxvnni", "amx-int8", "i8mm", "dotprod"
"""What LLVM calls that of a processor which products of bytes are made with. Without it they take 50 times as long."""
_race = threading.Lock()


class Matrix(NamedTuple):
    """Weights of an exact layer.

    floats: [C_out, ...].
    steps: in whole steps of the grid of each row, [C_out, ...] int8; None where some do not fit.
    words: the same, see :func:`lvc.kernels.words.packed`.
    grid: the steps, powers of two, [C_out].
    """

    floats: Tensor
    steps: Tensor | None
    words: words.Pairs | None
    grid: npt.NDArray[np.float32]

    @classmethod
    def of(cls, weight: Tensor, shift: Tensor) -> "Matrix":
        """Of weights that are multiples of 2^-shift, which is [C_out] float64."""
        whole = weight.double() * torch.exp2(shift)[:, None]
        steps = whole.to(torch.int8) if bool((whole.abs() <= 127).all()) else None
        return cls(
            weight, steps, None if steps is None else words.packed(steps.numpy()), torch.exp2(-shift).float().numpy()
        )


_Product = Callable[[Matrix, Tensor], Tensor]
_chosen: dict[tuple[int, bool, bool], _Product] = {}
"""The fastest way for a number of threads, with oneDNN or not, for matrices whose steps fit or not."""


def multiplied(matrix: Matrix, columns: Tensor) -> Tensor:
    """A matrix [C_out, C_in] times columns [C_in, n] of activations on a CPU, [C_out, n]: plain sums of products of
    integers, whoever computes them.
    """
    return _way(matrix)(matrix, columns)


def multiplied_twice(first: Matrix, offsets: npt.NDArray[np.float32], second: Matrix, columns: Tensor) -> Tensor:
    """The same of two matrices, one after the other.

    Args:
        offsets: what is added to the sums of the first one, [C_between], of which activations are made then, with a
            leaky slope.
    """
    left, right = best_words(first), best_words(second)
    if left is not None and right is not None:
        sums = torch.empty(len(second.grid), columns.shape[1])
        what = left, first.grid, offsets, float(ACT_MAX), right, second.grid
        _in_parts(first, words.multiply_twice, *what, columns, sums)
        return sums
    between = multiplied(first, columns)
    kernels.finish(between.numpy(), offsets, True, float(ACT_MAX))
    return multiplied(second, between)


def best_words(matrix: Matrix) -> words.Pairs | None:
    """Its words, where products with it are best made of them, by :mod:`lvc.kernels`."""
    return matrix.words if _way(matrix) is _as_words else None


def is_shared(matrix: Matrix, places: int) -> bool:
    """Whether so many columns are worth more than one thread."""
    return matrix.floats.numel() * places >= _WORTH_SHARING


def _way(matrix: Matrix) -> _Product:
    what = torch.get_num_threads(), _has_onednn(), matrix.steps is not None
    if what not in _chosen:
        with _race:  # threads that encode pictures ask at the same time, and would disturb each other's measuring
            if what not in _chosen:
                _chosen[what] = _fastest(what[1], what[2])
    return _chosen[what]


def _as_matrices(matrix: Matrix, columns: Tensor) -> Tensor:
    return torch.mm(matrix.floats, columns)


def _as_convolution(matrix: Matrix, columns: Tensor) -> Tensor:
    """By oneDNN."""
    return _by_onednn(columns[None, :, None], matrix.floats[:, :, None, None], None)[0, :, 0].contiguous()


def _as_bytes(matrix: Matrix, columns: Tensor) -> Tensor:
    """By oneDNN, in integers; of matrices whose steps fit.

    Raises:
        RuntimeError, AttributeError: this PyTorch does not do it.
    """
    inner, places = columns.shape
    halves = torch.empty(inner, 2 * places, dtype=torch.int8)
    kernels.halve(columns.contiguous().numpy(), halves.numpy())
    products: Tensor = torch._int_mm(matrix.steps, halves)  # type: ignore[arg-type]
    sums = torch.empty(len(products), places)
    kernels.join(products.numpy(), matrix.grid, sums.numpy())
    return sums


def _as_words(matrix: Matrix, columns: Tensor) -> Tensor:
    """By :mod:`lvc.kernels`; of matrices whose steps fit."""
    sums = torch.empty(len(matrix.grid), columns.shape[1])
    _in_parts(matrix, words.multiply, matrix.words, matrix.grid, columns, sums)
    return sums


def _in_parts(matrix: Matrix, kernel: Callable[..., None], *arguments: Any) -> None:
    """Call a kernel of words for all columns, by several threads where they are worth it."""
    *matrices, columns, sums = arguments
    given = *matrices, columns.contiguous().numpy(), sums.numpy()
    parts = words.parts(columns.shape[1])
    if is_shared(matrix, columns.shape[1]):
        shared(kernel, parts, *given)
    else:
        kernel(*given, 0, parts)


def _has_bytes() -> bool:
    """Whether the processor multiplies bytes."""
    features = get_host_cpu_features()
    return any(features.get(name) for name in _OF_BYTES)


def repeatable_pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """1x1 convolution [B, C_in, H, W] -> [B, C_out, H, W] of any numbers, whose sums are rounded: by one library alone,
    so that encodes and trainings can be repeated.
    """
    if x.device.type == "cpu" and _has_onednn():
        return _by_onednn(x, weight, bias)
    return F.conv2d(x, weight, bias)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """One thread alone would not get it from PyTorch."""
    found: Tensor = torch.ops.aten.mkldnn_convolution(x, weight, bias, (0, 0), (1, 1), (1, 1), 1)
    return found


class _Example(NamedTuple):
    """A matrix, columns and their product."""

    matrix: Matrix
    columns: Tensor
    product: Tensor

    @classmethod
    def of(cls, fits: bool, shape: tuple[int, int], places: tuple[int, int]) -> "_Example":
        """One of the largest numbers, with sums of either sign up to what exact layers may reach. Rounded factors show
        in it, and where a library makes products of bytes of sums of two that saturate at 16 bits.

        Args:
            fits: whether the steps of the matrix fit in bytes.
        """
        largest = 127 if fits else 129
        at_once = (1 << 24) // (largest * ACT_MAX)  # in a row, one further in each
        rows, inner = np.indices(shape)
        weights = np.where((inner - rows) % shape[1] < at_once, (1 - rows % 2 * 2) * largest, 0)
        columns = np.random.default_rng(7).choice([-ACT_MAX, ACT_MAX, 3, -1], places)
        columns[:, ::3] = ACT_MAX
        columns[:, 1::3] = -ACT_MAX
        product = weights.astype(np.float64) @ columns.astype(np.float64)
        matrix = Matrix.of(torch.from_numpy(weights).float(), torch.zeros(len(weights), dtype=torch.float64))
        return cls(matrix, torch.from_numpy(columns).float(), torch.from_numpy(product))


def _is_exact(way: _Product, example: _Example) -> bool:
    """Whether this PyTorch has a way, and a product is what it should be."""
    try:
        return torch.equal(way(example.matrix, example.columns).double(), example.product)
    except (RuntimeError, AttributeError) as error:
        pass_on_shortage(error)
        return False


def _exact_ways(has_onednn: bool, fits: bool) -> list[_Product]:
    """Those of the ways that give the right products with so many threads as there are now.

    Raises:
        MismatchError: there is none.
    """
    ways: list[_Product] = [_as_matrices, *([_as_words] if fits else [])]
    if has_onednn:
        ways += [_as_convolution, *([_as_bytes] if fits and _has_bytes() else [])]
    examples = [_Example.of(fits, *shapes) for shapes in (_TRIED, _SMALL)]
    with torch.inference_mode():
        exact = [way for way in ways if all(_is_exact(way, example) for example in examples)]
    if not exact:
        raise MismatchError("this machine does not compute products of integers exactly; nothing can be decoded here")
    return exact


def _fastest(has_onednn: bool, fits: bool) -> _Product:
    """Of the ways that are exact, the one that is fastest with so many threads as there are now, as a few milliseconds
    show.

    It depends on the processor, on PyTorch's libraries and on the number of threads: measured with one, products of
    matrices take 1.7 times as long as oneDNN on an AMD EPYC, on an Intel Xeon oneDNN takes 1.5 to 9 times as long.
    Bytes take half the time of oneDNN's floats on an EPYC with VNNI; on one without it words take two thirds of that of
    products of matrices.
    """
    least = dict.fromkeys(_exact_ways(has_onednn, fits), math.inf)
    with torch.inference_mode():
        ones, columns = (torch.ones(shape, device="cpu") for shape in _TRIED)
        matrix = Matrix.of(ones, torch.zeros(len(ones), dtype=torch.float64))
        for number in range(_ROUNDS):
            for way in least:
                least[way] = min(least[way], _seconds(way, matrix, columns))
            if number >= 2:  # in the first round is what is loaded or compiled
                limit = _HOPELESS * min(least.values())
                least = {way: seconds for way, seconds in least.items() if seconds <= limit}
    return min(least, key=least.__getitem__)


def _seconds(way: _Product, matrix: Matrix, columns: Tensor) -> float:
    """The time that a way takes once."""
    begin = time.perf_counter()
    way(matrix, columns)
    return time.perf_counter() - begin


def _has_onednn() -> bool:
    """Whether this PyTorch has oneDNN, and it is not switched off."""
    return _ONEDNN and bool(getattr(torch.backends.mkldnn, "enabled", False))


def learned_pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same in training: where the processor has products of bfloat16, gradients are made of these, since they carry
    much more noise anyway. What is computed forwards stays in float32.
    """
    if x.device.type == "cpu" and _has_bfloat16():
        found: Tensor = _Learned.apply(x, weight, bias)
        return found
    return repeatable_pointwise(x, weight, bias)


@functools.cache
def _has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16; elsewhere it would be emulated, slower than float32."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return _has_onednn() and supported is not None and bool(supported())


class _Learned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return repeatable_pointwise(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        matrix = weight.flatten(1)
        outer = gradients[0].permute(0, 2, 3, 1)
        rows = outer.reshape(-1, len(matrix))
        half = rows.bfloat16()
        inner = of_weight = None
        if ctx.needs_input_grad[0]:
            product = (half @ matrix.bfloat16()).float()
            inner = product.view(*outer.shape[:3], -1).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            inputs = x.permute(0, 2, 3, 1).reshape(len(rows), -1)
            of_weight = (half.t() @ inputs.bfloat16()).float().view_as(weight)
        return inner, of_weight, rows.sum(0)
