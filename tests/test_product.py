"""Matrix products at every position: the same whatever computes them, gradients near those of float32."""

import io
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import lvc
from lvc.exact import product, threads
from lvc.exact.product import ACT_MAX, Matrix, learned_pointwise, multiplied, multiplied_twice
from lvc.kernels import layers as kernels
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


def matrix_of(weight: Tensor) -> Matrix:
    """Of whole numbers."""
    return Matrix.of(weight.flatten(1), torch.zeros(len(weight), dtype=torch.float64))


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
        has_bytes = product._is_exact(product._as_bytes, product._Example.of(True, *product._SMALL))
        by_onednn = [product._as_convolution, *([product._as_bytes] if has_bytes else [])]
        for multiply in (multiplied, product._as_matrices, product._as_words, *(by_onednn if onednn else [])):
            found = multiply(matrix_of(weight), columns) + bias[:, None]
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


@pytest.mark.parametrize("has_bytes", [True, False])
def test_the_fastest_way_is_taken(has_bytes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "_has_bytes", lambda: has_bytes)
    monkeypatch.setattr(product, "_is_exact", lambda *_: True)
    of_onednn = [product._as_convolution, *([product._as_bytes] if has_bytes else [])]
    of_steps = [product._as_words, product._as_bytes]
    ways = [product._as_matrices, product._as_words, *of_onednn]
    for fast in ways:
        calls = itertools.count()

        def seconds(way: object, *_: object, fast: object = fast, calls: Iterator[int] = calls) -> float:
            is_disturbed = next(calls) < 10 * len(ways) and way is fast  # most of the time, by what else is running
            return 9.0 if is_disturbed else 1.0 if way is fast else 2.0

        monkeypatch.setattr(product, "_seconds", seconds)
        assert product._fastest(True, True) is fast
        assert (product._fastest(False, True) is fast) == (fast not in of_onednn)
        assert (product._fastest(True, False) is fast) == (fast not in of_steps)


def test_what_is_far_slower_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def seconds(way: object, *_: object) -> float:
        tried.append(way)
        is_first = len(tried) <= 3
        return 90.0 if is_first or way is product._as_convolution else 1.0 if way is product._as_words else 8.0

    monkeypatch.setattr(product, "_has_bytes", lambda: False)
    monkeypatch.setattr(product, "_is_exact", lambda *_: True)
    monkeypatch.setattr(product, "_seconds", seconds)
    assert product._fastest(True, True) is product._as_words
    assert tried.count(product._as_convolution) == 3
    assert tried.count(product._as_matrices) == tried.count(product._as_words) > 10


def test_threads_do_not_disturb_each_others_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def fastest(*_: object) -> object:
        measured.append(threading.current_thread().name)
        time.sleep(0.2)
        return product._as_matrices

    monkeypatch.setattr(product, "_chosen", {})
    monkeypatch.setattr(product, "_fastest", fastest)
    matrix = matrix_of(tensors()[1])
    with ThreadPoolExecutor(3, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        assert set(pool.map(product._way, [matrix] * 3)) == {product._as_matrices}
    assert len(measured) == 1


@pytest.mark.parametrize(("rows", "inner", "count"), [(64, 128, 200), (5, 3, 7), (4, 1, 64), (192, 194, 65)])
def test_words_of_the_largest_numbers(rows: int, inner: int, count: int) -> None:
    """Of either sign, odd numbers of rows and columns, parts of tiles; one product and two."""
    random = torch.Generator().manual_seed(rows)
    weights = torch.randint(0, 2, (rows, inner), generator=random) * 254.0 - 127
    columns = torch.randint(0, 2, (inner, count), generator=random) * 2.0 * ACT_MAX - ACT_MAX
    matrix = Matrix.of(weights / 64, torch.full((rows,), 6.0, dtype=torch.float64))
    want = (weights.double() / 64) @ columns.double()
    assert torch.equal(product._as_words(matrix, columns).double(), want)


@pytest.mark.parametrize(("outer", "inner", "count"), [(64, 128, 1200), (6, 5, 70), (192, 192, 880)])
def test_two_products_are_those_of_each(outer: int, inner: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By words in one go, shared among threads or not; by others one after the other."""
    random = torch.Generator().manual_seed(outer)
    first, second = (
        Matrix.of(
            torch.randint(-127, 128, shape, generator=random) / 128,
            torch.full((shape[0],), 7.0, dtype=torch.float64),
        )
        for shape in ((inner, outer), (outer, inner))
    )
    columns = torch.randint(-ACT_MAX, ACT_MAX + 1, (outer, count), generator=random).float()
    offsets = torch.randint(-999, 1000, (inner,), generator=random).float().numpy()
    sums = first.floats.double() @ columns.double() + torch.from_numpy(offsets)[:, None]
    between = F.leaky_relu(sums, 0.125).clamp(-ACT_MAX, ACT_MAX).round()
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for way in (product._as_words, product._as_matrices):
                monkeypatch.setattr(product, "_way", lambda _, way=way: way)
                found = multiplied_twice(first, offsets, second, columns)
                assert torch.equal(found.double(), second.floats.double() @ between)
    finally:
        torch.set_num_threads(before)


def test_all_activations_are_halved_and_joined() -> None:
    columns = np.arange(-2047, 2048, dtype=np.float32)[None].repeat(2, 0)
    halves = np.empty((2, 2 * columns.shape[1]), np.int8)
    kernels.halve(columns, halves)
    sums = np.empty_like(columns)
    kernels.join(halves.astype(np.int32), np.array([1, 0.25], np.float32), sums)
    assert np.array_equal(sums, columns * np.array([[1], [0.25]], np.float32))


def test_weights_that_are_no_bytes() -> None:
    x, weight, _ = tensors()
    weight[3, 5] = 128
    matrix, columns = matrix_of(weight), x.flatten(2)[0]
    assert matrix.steps is None
    assert torch.equal(multiplied(matrix, columns).double(), weight.flatten(1).double() @ columns.double())


def saturated(a: Tensor, b: Tensor) -> Tensor:
    """As processors without VNNI instructions do: bytes without sign times bytes with one, pairs cut to 16 bits."""
    left, right = a.int(), b.int() + 128
    if left.shape[1] % 2:
        left, right = F.pad(left, (0, 1)), F.pad(right, (0, 0, 0, 1))
    pairs = (left[:, :, None] * right[None]).unflatten(1, (-1, 2)).sum(2).clamp(-(1 << 15), (1 << 15) - 1)
    return (pairs.sum(1) - 128 * a.int().sum(1)[:, None]).int()


def failing(_a: Tensor, _b: Tensor) -> Tensor:
    raise NotImplementedError("no such kernel")


@pytest.mark.parametrize("feature", ["fma", "avx512vnni", "amx-int8", "dotprod"])
def test_bytes_only_where_processors_multiply_them(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere they take 50 times as long, which takes a second to find out."""
    compared: list[object] = []
    monkeypatch.setattr(product, "get_host_cpu_features", lambda: {"avx2": True, "avxvnni": False, feature: True})
    monkeypatch.setattr(product, "_is_exact", lambda way, _: not compared.append(way))
    found = product._exact_ways(True, True)
    assert (product._as_bytes in found) == (product._as_bytes in compared) == (feature != "fma")


def test_bytes_are_multiplied_where_that_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    def makes() -> bool:
        return product._as_bytes in product._exact_ways(True, True)

    monkeypatch.setattr(product, "get_host_cpu_features", lambda: {"avxvnni": True})
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: a.int() @ b.int())
    assert makes()
    monkeypatch.setattr(torch, "_int_mm", saturated)
    assert not makes()
    monkeypatch.setattr(torch, "_int_mm", failing)
    assert not makes()
    monkeypatch.delattr(torch, "_int_mm")
    assert not makes()


def shortened(matrix: Matrix, columns: Tensor) -> Tensor:
    """Of factors of 8 bits."""
    return (matrix.floats.bfloat16().float() @ columns.bfloat16().float()).contiguous()


def overflowing(matrix: Matrix, columns: Tensor) -> Tensor:
    """As if sums had 24 bits with their sign."""
    return (matrix.floats @ columns).clamp(-(1 << 23), (1 << 23) - 1)


def one_off(matrix: Matrix, columns: Tensor) -> Tensor:
    """Wrong in the last place, where a loop may end too early."""
    found = matrix.floats @ columns
    found[-1, -1] += 1
    return found


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("wrong", [shortened, overflowing, one_off, failing])
def test_the_fastest_way_is_one_that_is_exact(fits: bool, wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "_as_matrices", wrong)
    monkeypatch.setattr(product, "_seconds", lambda way, *_: 1.0 if way is wrong else 2.0)
    assert product._fastest(True, fits) is not wrong
    for name in ("_as_convolution", "_as_words", "_as_bytes"):
        monkeypatch.setattr(product, name, wrong)
    with pytest.raises(lvc.MismatchError, match="nothing can be decoded here"):
        product._fastest(True, fits)


def test_ways_are_exact_with_the_threads_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that are decoded at the same time have fewer threads each than the self-test had."""
    exact = product._as_matrices

    def way(matrix: Matrix, columns: Tensor) -> Tensor:
        return (one_off if torch.get_num_threads() == 1 else exact)(matrix, columns)

    monkeypatch.setattr(product, "_as_matrices", way)
    monkeypatch.setattr(product, "_seconds", lambda tried, *_: 1.0 if tried is way else 2.0)
    monkeypatch.setattr(product, "_chosen", {})
    matrix, before = matrix_of(tensors()[1]), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert product._way(matrix) is way
        with threads.together(torch.device("cpu"), 2) as start:
            assert start(product._way, matrix).result() is not way
    finally:
        torch.set_num_threads(before)


def test_what_is_measured_multiplies_integers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of these sums are the same whoever computes them, and with them the bytes of the file."""
    clip, model = tmp_path / "clip.y4m", tmp_path / "tiny.lvcm"
    make_clip(clip, "mix", width=64, height=48, frames=4)
    model.write_bytes(tiny_bytes())
    seen = 0

    def counted(matrix: Matrix, columns: Tensor) -> Tensor:
        nonlocal seen
        seen += 1
        assert torch.equal(columns, columns.round())
        assert float(columns.abs().max()) <= ACT_MAX
        return torch.mm(matrix.floats, columns)

    monkeypatch.setattr(product, "_way", lambda _: counted)
    lvc.encode(clip, io.BytesIO(), model=model, device="cpu")
    assert seen > 100
