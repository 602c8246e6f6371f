"""Matrix products at every position: the same whatever computes them, gradients near those of float32."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import lvc
from lvc.exact import product
from lvc.exact.product import learned_pointwise, multiplied
from tests.clips import make_clip
from tests.models import tiny_bytes


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
        assert torch.equal(learned_pointwise(x, weight, bias).double(), want)
        columns = x.flatten(2)[1][:, 3:30]  # of a part, not next to each other
        for multiply in (multiplied, torch.mm, *([product._as_convolution] if onednn else [])):
            found = multiply(weight.flatten(1), columns) + bias[:, None]
            assert found.is_contiguous()
            assert torch.equal(found.double(), want.flatten(2)[1][:, 3:30])
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


def test_the_faster_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for slow, fast in ((torch.mm, product._as_convolution), (product._as_convolution, torch.mm)):
        calls = itertools.count()

        def seconds(way: object, *_: Tensor, slow: object = slow, calls: Iterator[int] = calls) -> float:
            is_disturbed = next(calls) < 20 and way is not slow  # most of the time, by what else is running
            return 9.0 if is_disturbed else 2.0 if way is slow else 1.0

        monkeypatch.setattr(product, "_seconds", seconds)
        assert product._fastest.__wrapped__(1, True) is fast
        assert product._fastest.__wrapped__(1, False) is torch.mm


def test_what_is_measured_multiplies_integers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of these sums are the same whoever computes them, and with them the bytes of the file."""
    clip, model = tmp_path / "clip.y4m", tmp_path / "tiny.lvcm"
    make_clip(clip, "mix", width=64, height=48, frames=4)
    model.write_bytes(tiny_bytes())
    seen = 0

    def counted(matrix: Tensor, columns: Tensor) -> Tensor:
        nonlocal seen
        seen += 1
        assert torch.equal(columns, columns.round())
        return torch.mm(matrix, columns)

    monkeypatch.setattr(product, "_fastest", lambda *_: counted)
    lvc.encode(clip, io.BytesIO(), model=model, device="cpu")
    assert seen > 100
