"""Exact layers: the bound proof, and results equal to integers computed another way."""

import contextlib
import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lvc.errors import MismatchError, ModelError
from lvc.exact import device as exact_device
from lvc.exact import places
from lvc.exact.arithmetic import exact_arithmetic, passes_self_test
from lvc.exact.layers import (
    SHIFT_MAX,
    SUM_LIMIT,
    UNIT,
    Block,
    Conv,
    Depthwise,
    ExactLayer,
    exact_layers,
    make_exact,
    set_fake,
)
from lvc.exact.product import ACT_MAX
from lvc.exact.qualities import KNOTS, Qualities, quality_knots
from lvc.kernels import interpolation
from lvc.kernels import layers as layer_kernels

Ints = npt.NDArray[np.int64]


def randomise(layer: ExactLayer, scale: float, seed: int = 0) -> None:
    torch.manual_seed(seed)
    with torch.no_grad():
        layer.weight.normal_(0, scale)
        layer.bias.normal_(0, 0.5)
        if layer.knots is not None:
            layer.knots.normal_(0, 0.7)


def integers(layer: ExactLayer) -> tuple[Ints, Ints]:
    """Weights and biases of a snapped layer in steps of 2^-SHIFT_MAX."""
    steps = 2.0**SHIFT_MAX
    weight, bias = layer.weight.detach().double().flatten(1) * steps, layer.bias.detach().double() * (UNIT * steps)
    assert torch.equal(weight, weight.round())
    assert torch.equal(bias, bias.round())
    return weight.long().numpy(), bias.long().numpy()


def finish(total: Ints, act: bool) -> Ints:
    """Leaky slope of 1/8, rounding half to even and limit of sums in steps of 2^-SHIFT_MAX, in integers only."""
    eighths = np.where(total < 0, total, 8 * total) if act else 8 * total
    unit = 8 << SHIFT_MAX
    low = eighths // unit
    rest = eighths - low * unit
    up = (rest > unit // 2) | ((rest == unit // 2) & (low % 2 != 0))
    return np.clip(low + up, -ACT_MAX, ACT_MAX)


def inputs(channels: int, weight: Ints, seed: int) -> Ints:
    """Random activations, most of them at the limit; the first pictures drive sums of channel 0 as far as they go."""
    random = np.random.default_rng(seed)
    x = random.choice([-ACT_MAX, ACT_MAX, ACT_MAX - 1, 1, 0], (3, channels, 5, 7))
    x[0] = (ACT_MAX * np.where(weight[0] >= 0, 1, -1))[:channels, None, None]
    return np.where(random.random(x.shape) < 0.02, random.integers(-ACT_MAX, ACT_MAX + 1, x.shape), x)


@pytest.mark.parametrize("act", [False, True])
@pytest.mark.parametrize("scale", [1e-4, 0.02, 0.3, 4.0])
@pytest.mark.parametrize("channels_last", [False, True])
def test_dense_layers_equal_integers(act: bool, scale: float, channels_last: bool) -> None:
    layer = Conv(160, 24, act=act, by_quality=True)
    randomise(layer, scale)
    layer.snap()
    make_exact(layer)
    weight, bias = integers(layer)
    x = inputs(160, weight, 1)
    quality = torch.tensor([1.0, 47.0, 100.0])
    given = torch.from_numpy(x).float()
    if channels_last:
        given = given.contiguous(memory_format=torch.channels_last)
    with exact_arithmetic():
        weights = quality_knots(quality)
        found = layer(given, Qualities(weights[:, None]))
        # each picture has all three, and each place the one of its picture; then each place another one
        everywhere = torch.arange(3)[:, None, None].expand(3, *given.shape[2:])
        assert torch.equal(layer(given, Qualities(weights.expand(3, 3, KNOTS), everywhere)), found)
        rows, cols = (2 * side for side in given.shape[2:])
        large = given.repeat_interleave(2, 2).repeat_interleave(2, 3)
        where = torch.from_numpy(np.random.default_rng(7).integers(0, 3, (3, rows // 2, cols // 2)))
        mixed = layer(large, Qualities(weights.expand(3, 3, KNOTS), where))
        for number in range(3):
            plain = layer(large, Qualities(weights[number].expand(3, 1, KNOTS)))
            at = (where == number).repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None].expand_as(plain)
            assert torch.equal(mixed[at], plain[at])
    assert layer.knots is not None
    knots = np.rint(layer.knots.detach().double().numpy() * UNIT).astype(np.int64)
    parts = np.rint(quality_knots(quality).double().numpy() * 4096).astype(np.int64)
    offset = np.rint(parts @ knots / 4096).astype(np.int64)
    total = np.einsum("oc,bchw->bohw", weight, x) + bias[None, :, None, None]
    total += (offset << SHIFT_MAX)[:, :, None, None]
    assert np.array_equal(found.numpy(), finish(total, act))


@pytest.mark.parametrize("scale", [0.01, 0.5, 10.0])
def test_depthwise_layers_equal_integers(scale: float) -> None:
    layer = Depthwise(32)
    randomise(layer, scale, 3)
    layer.snap()
    make_exact(layer)
    weight, bias = integers(layer)
    x = inputs(32, np.ones((1, 32), np.int64), 2)
    with exact_arithmetic():
        found = layer(torch.from_numpy(x).float())
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    total = np.zeros_like(x) + bias[None, :, None, None]
    for tap in range(9):
        dy, dx = divmod(tap, 3)
        total += weight[None, :, tap, None, None] * padded[:, :, dy : dy + 5, dx : dx + 7]
    assert np.array_equal(found.numpy(), finish(total, act=False))


def test_rounding_is_half_to_even_also_below_zero() -> None:
    layer = Conv(1, 1)
    with torch.no_grad():
        layer.weight.fill_(0.5)
    make_exact(layer)
    x = torch.arange(-7.0, 8.0).view(1, 1, 1, 15)
    assert layer(x).flatten().tolist() == [-4, -3, -2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2, 3, 4]


@pytest.mark.parametrize("scale", [1e-5, 0.03, 0.2, 3.0])
def test_snapped_layers_prove_their_bound_and_stay_as_they_are(scale: float) -> None:
    for layer in (Conv(192, 48, by_quality=True), Depthwise(48)):
        randomise(layer, scale, 5)
        layer.snap()
        layer.prove("it")
        before = copy.deepcopy(layer.state_dict())
        layer.snap()
        assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
        assert float(layer.weight.detach().abs().max()) > 0 or scale < 1e-4


def test_a_snapped_layer_is_close_to_what_it_was() -> None:
    layer = Conv(64, 64)
    randomise(layer, 0.1)
    free = layer.weight.detach().clone()
    layer.snap()
    peak = free.abs().amax(1, keepdim=True)
    assert bool(((layer.weight - free).abs() <= peak / 64).all())


def at_the_bound(excess: int) -> Conv:
    """A layer whose largest sum is ``excess`` steps from the bound."""
    layer = Conv(100, 1)
    steps = int(SUM_LIMIT) + excess
    weights, bias = divmod(steps, ACT_MAX)
    with torch.no_grad():
        layer.weight.fill_(weights // 100)
        layer.weight[0, : weights % 100] += 1
        layer.weight *= 0.5  # a grid of halves: neighbouring weights differ by one, so some are odd
        layer.bias.fill_(bias * 0.5 / UNIT)
    return layer


@pytest.mark.parametrize(("excess", "accepted"), [(-1, True), (0, False), (1, False)])
def test_the_proof_is_exact(excess: int, accepted: bool) -> None:
    layer = at_the_bound(excess)
    if accepted:
        layer.prove("it")
    else:
        with pytest.raises(ModelError, match="layer it breaks its bound"):
            layer.prove("it")


def test_the_largest_sum_that_the_proof_accepts_is_exact() -> None:
    layer = at_the_bound(-1)
    make_exact(layer)
    weight, bias = integers(layer)
    assert int(np.abs(weight).sum()) * ACT_MAX + int(abs(bias[0])) == (int(SUM_LIMIT) - 1) << (SHIFT_MAX - 1)
    x = torch.full((1, 100, 1, 1), float(ACT_MAX))
    with exact_arithmetic():
        total = torch.nn.functional.conv2d(x, layer.weight, layer.bias * UNIT)
    assert float(total) == (SUM_LIMIT - 1) / 2


@pytest.mark.parametrize("damage", ["off the grid", "too fine a grid", "infinite", "offset"])
def test_what_is_not_provable_is_refused(damage: str) -> None:
    layer = Conv(8, 4, by_quality=True)
    randomise(layer, 0.1)
    layer.snap()
    layer.prove("it")
    assert layer.knots is not None
    with torch.no_grad():
        if damage == "off the grid":
            layer.weight[1, 2] += 1e-6
        elif damage == "too fine a grid":
            layer.weight[1, 2] += 2.0 ** -(SHIFT_MAX + 1)
        elif damage == "infinite":
            layer.bias[0] = float("inf")
        else:
            layer.knots[3, 1] += 0.5 / UNIT
    with pytest.raises(ModelError, match="layer it"):
        layer.prove("it")


@pytest.mark.parametrize("kind", ["dense", "depthwise"])
def test_fake_quantisation_agrees_with_exact_arithmetic(kind: str) -> None:
    layer = Conv(48, 32, act=True) if kind == "dense" else Depthwise(48)
    randomise(layer, 0.15, 7)
    with torch.no_grad():  # biases train freely; the exact layer rounds them
        layer.bias.copy_((layer.bias * UNIT).round() / UNIT)
    fake, exact = copy.deepcopy(layer), layer
    set_fake(fake, on=True)
    exact.snap()
    make_exact(exact)
    x = torch.from_numpy(np.random.default_rng(8).integers(-ACT_MAX, ACT_MAX + 1, (2, 48, 6, 6))).float()
    found = fake(x)
    with exact_arithmetic():
        assert torch.equal(found.detach(), exact(x))
    found.sum().backward()
    assert fake.weight.grad is not None
    assert bool(fake.weight.grad.abs().sum() > 0)


def test_blocks_stay_within_the_range_of_activations() -> None:
    torch.manual_seed(0)
    block = Block(16)
    for _, layer in exact_layers(block):
        layer.snap()
    make_exact(block)
    x = torch.full((1, 16, 8, 8), float(ACT_MAX))
    with exact_arithmetic():
        y = block(x)
    assert torch.equal(y, y.round())
    assert float(y.abs().max()) == ACT_MAX


def test_quality_weights() -> None:
    weights = quality_knots(torch.arange(1.0, 101.0))
    assert weights.shape == (100, KNOTS)
    assert torch.equal(weights.sum(1), torch.ones(100))
    assert torch.equal(
        quality_knots(torch.tensor([[1.0, 50.0], [50.0, 100.0]])), weights[torch.tensor([[0, 49], [49, 99]])]
    )
    assert torch.equal(weights * 4096, (weights * 4096).round())
    assert bool(((weights > 0).sum(1) <= 2).all())
    position = (weights * torch.arange(KNOTS)).sum(1)
    assert torch.allclose(position, torch.arange(100) * (KNOTS - 1) / 99, atol=1e-3)


def test_layers_by_quality_need_one() -> None:
    with pytest.raises(ModelError, match="without a quality"):
        Conv(2, 2, by_quality=True)(torch.zeros(1, 2, 1, 1))


def test_devices_that_fail_their_self_test_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert passes_self_test("cpu")
    assert exact_device.working_device("cpu") == "cpu"
    monkeypatch.setattr(exact_device, "passes_self_test", lambda name: name == "cpu")
    with pytest.warns(RuntimeWarning, match="does not compute exactly"):
        assert exact_device.working_device("cuda") == "cpu"
    monkeypatch.setattr(exact_device, "passes_self_test", lambda _: False)
    with pytest.raises(MismatchError, match="nothing can be decoded here"):
        exact_device.working_device("cpu")


@pytest.mark.parametrize(
    ("where", "name", "which"),
    [
        (torch.nn.functional, "conv2d", torch.float32),
        (torch.nn.functional, "conv2d", torch.float64),
        (torch, "bmm", torch.float32),
        (torch.Tensor, "__matmul__", torch.float64),
    ],
)
def test_the_self_test_notices_inexact_arithmetic(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, which: torch.dtype
) -> None:
    honest = getattr(where, name)

    def rough(first: torch.Tensor, *others: object, **options: object) -> torch.Tensor:
        return honest(first, *others, **options) * (1 + 2.0**-12 * (first.dtype == which))

    passes_self_test.cache_clear()
    assert passes_self_test("cpu")
    passes_self_test.cache_clear()
    monkeypatch.setattr(where, name, rough)
    with places.uncompiled() if name in {"conv2d", "bmm"} else contextlib.nullcontext():
        assert not passes_self_test("cpu")
    passes_self_test.cache_clear()


@pytest.mark.parametrize(
    ("where", "name", "result"),
    [
        (layer_kernels, "finish", 0),
        (layer_kernels, "depthwise", 4),
        (interpolation, "overlap_luma", 8),
        (interpolation, "read_luma", 8),
    ],
)
def test_the_self_test_notices_loops_that_were_compiled_wrongly(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, result: int
) -> None:
    honest = getattr(where, name)

    def wrong(*given: np.ndarray) -> None:
        honest(*given)
        given[result].flat[0] += 1

    passes_self_test.cache_clear()
    assert passes_self_test("cpu")
    passes_self_test.cache_clear()
    monkeypatch.setattr(where, name, wrong)
    assert not passes_self_test("cpu")
    passes_self_test.cache_clear()


def test_threads_leave_exact_arithmetic_in_any_order() -> None:
    """What is set for the whole process stays until the last one has left, and is then what it was before."""
    entered, left = threading.Event(), threading.Event()

    def settings() -> tuple[object, ...]:
        return torch.get_default_dtype(), torch.backends.cudnn.enabled

    def first() -> None:
        with exact_arithmetic():
            entered.wait(60)
        left.set()

    before = settings()
    torch.set_default_dtype(torch.float64)
    chosen = settings()
    try:
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(first)
            while settings() == chosen and not done.done():
                time.sleep(0.01)
            with exact_arithmetic():
                entered.set()
                assert left.wait(60)
                assert settings() == (torch.float32, False)
            done.result()
        assert settings() == chosen
    finally:
        torch.set_default_dtype(torch.float32)
    assert settings() == before
