"""Products of a matrix and every position of a picture, as fast as PyTorch can be made to do them."""

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_Product = Callable[[Tensor, Tensor], Tensor]

_TRIED = (192, 192), (192, 320)
"""What ways are compared with: a matrix and columns, as most networks have them."""
_ROUNDS = 12
"""As many as one of them is not disturbed in: other pictures are coded at the same time."""


def multiplied(matrix: Tensor, columns: Tensor) -> Tensor:
    """A matrix [C_out, C_in] times columns [C_in, n] on a CPU, [C_out, n]: plain sums of products of integers, whoever
    computes them.
    """
    return _fastest(torch.get_num_threads(), _has_onednn())(matrix, columns)


def _as_convolution(matrix: Tensor, columns: Tensor) -> Tensor:
    """By oneDNN."""
    return _by_onednn(columns[None, :, None], matrix[:, :, None, None], None)[0, :, 0].contiguous()


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


@functools.cache
def _fastest(threads: int, has_onednn: bool) -> _Product:  # noqa: ARG001 -- the threads of now
    """Of the two ways, the one that is faster here, as a few milliseconds show. Sums are exact either way.

    It depends on the processor, on PyTorch's libraries and on the number of threads: measured with one, products of
    matrices take 1.7 times as long as oneDNN on an AMD EPYC, on an Intel Xeon oneDNN takes 1.5 to 9 times as long.
    """
    if not has_onednn:
        return torch.mm
    ways: tuple[_Product, _Product] = torch.mm, _as_convolution
    least = dict.fromkeys(ways, math.inf)
    with torch.inference_mode():
        matrix, columns = (torch.ones(shape, device="cpu") for shape in _TRIED)
        for way in ways * _ROUNDS:
            least[way] = min(least[way], _seconds(way, matrix, columns))
    return min(ways, key=least.__getitem__)


def _seconds(way: _Product, matrix: Tensor, columns: Tensor) -> float:
    """The time that a way takes once."""
    begin = time.perf_counter()
    way(matrix, columns)
    return time.perf_counter() - begin


def _has_onednn() -> bool:
    """Whether this PyTorch has oneDNN, and it is not switched off."""
    return torch.backends.mkldnn.is_available() and bool(getattr(torch.backends.mkldnn, "enabled", False))


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
