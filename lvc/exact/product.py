"""Products of a matrix and every position of a picture, as fast as PyTorch can be made to do them."""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """1x1 convolution [B, C_in, H, W] -> [B, C_out, H, W]: a plain sum of products, whatever computes it.

    One thread alone would get another library from PyTorch than several do, one that takes 1.7 times as long (measured
    on an AMD EPYC with AVX-512); so oneDNN is named here.
    """
    if x.device.type == "cpu" and torch.get_num_threads() == 1 and _has_onednn():
        found: Tensor = torch.ops.aten.mkldnn_convolution(x, weight, bias, (0, 0), (1, 1), (1, 1), 1)
        return found
    return F.conv2d(x, weight, bias)


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
    return pointwise(x, weight, bias)


@functools.cache
def _has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16; elsewhere it would be emulated, slower than float32."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return _has_onednn() and supported is not None and bool(supported())


class _Learned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return pointwise(x, weight, bias)

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
