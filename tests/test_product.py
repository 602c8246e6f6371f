"""Matrix products at every position: the same whatever computes them, gradients near those of float32."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lvc.exact import product
from lvc.exact.product import learned_pointwise, pointwise


def tensors(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Integers, whose sums are exact in any order."""
    random = np.random.default_rng(seed)
    x = torch.from_numpy(random.integers(-2047, 2048, (2, 24, 5, 7))).float()
    return (
        x.contiguous(memory_format=torch.channels_last),
        torch.from_numpy(random.integers(-9, 10, (10, 24, 1, 1))).float(),
        torch.from_numpy(random.integers(-999, 1000, 10)).float(),
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("onednn", [True, False])
def test_products_do_not_depend_on_who_computes_them(threads: int, onednn: bool) -> None:
    x, weight, bias = tensors()
    want = torch.einsum("oc,bchw->bohw", weight[:, :, 0, 0].double(), x.double()) + bias.double()[:, None, None]
    before = torch.get_num_threads(), torch.backends.mkldnn.enabled
    try:
        torch.set_num_threads(threads)
        torch._C._set_mkldnn_enabled(onednn)
        for multiply in (pointwise, learned_pointwise):
            assert torch.equal(multiply(x, weight, bias).double(), want)
    finally:
        torch.set_num_threads(before[0])
        torch._C._set_mkldnn_enabled(bool(before[1]))


@pytest.mark.parametrize("needed", [(True, True, True), (False, True, False), (True, False, False)])
def test_gradients_are_those_of_a_convolution(needed: tuple[bool, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "_has_bfloat16", lambda: True)  # elsewhere it is emulated
    found, wanted = [], []
    for multiply, gradients in ((learned_pointwise, found), (F.conv2d, wanted)):
        given = [tensor.requires_grad_(need) for tensor, need in zip(tensors(), needed, strict=True)]
        multiply(*given).square().mean().backward()
        gradients += [tensor.grad for tensor in given]
    for a, b, need in zip(found, wanted, needed, strict=True):
        assert (a is not None) == (b is not None) == need
        if a is not None and b is not None:
            assert float((a - b).norm() / b.norm()) < 0.01
