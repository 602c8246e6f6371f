"""Layers and blocks in one go give the numbers of any other way, and are left to others where these are better."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from lvc.errors import ModelError
from lvc.exact import layers, places, product
from lvc.exact.frozen import FrozenBlock, Runs
from lvc.exact.layers import Block, Conv, exact_layers, make_exact
from lvc.exact.near import EVERYWHERE, Near
from lvc.exact.product import ACT_MAX
from lvc.exact.qualities import KNOTS, Qualities, quality_knots
from lvc.kernels import networks, shared

Patch = pytest.MonkeyPatch
ROWS, COLS = 9, 70
"""More places than are packed at a time, and no multiple of that."""
NEEDED = [(0, 0), (4, 30), (5, 30), (8, 69)]
QUALITY = Qualities(quality_knots(torch.tensor([[37.0]])))


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """One thread, unless a test asks for more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def _words(monkeypatch: Patch) -> None:
    multiply_by("words", monkeypatch)


def multiply_by(way: str, monkeypatch: Patch) -> None:
    """Make all products so, where weights fit."""
    chosen = getattr(product, f"_as_{way}")
    monkeypatch.setattr(product, "_way", lambda matrix: chosen if matrix.words is not None else product._as_matrices)


def activations(seed: int, channels: int, rows: int = ROWS, cols: int = COLS, batch: int = 1) -> Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(-ACT_MAX, ACT_MAX + 1, (batch, channels, rows, cols))).float()


def exact(module: torch.nn.Module) -> None:
    """With offsets that matter, of sums and of qualities."""
    for seed, (_, layer) in enumerate(exact_layers(module)):
        random = np.random.default_rng(seed)
        layer.bias.copy_(torch.from_numpy(random.integers(-400, 401, layer.bias.shape)) / layers.UNIT)
        if layer.knots is not None:
            layer.knots.copy_(torch.from_numpy(random.integers(-900, 901, (KNOTS, len(layer.bias)))) / layers.UNIT)
        layer.snap()
    make_exact(module)


def conv(c_in: int, c_out: int, act: bool = False, by_quality: bool = False) -> Conv:
    torch.manual_seed(c_in)
    with torch.inference_mode(False), torch.no_grad():
        layer = Conv(c_in, c_out, act=act, by_quality=by_quality)
        exact(layer)
    return layer


def block_of(channels: int, expand: float = 2.0) -> Block:
    torch.manual_seed(channels)
    with torch.inference_mode(False), torch.no_grad():
        block = Block(channels, expand, gain=1.0)
        exact(block)
    return block


def widest(layer: Conv) -> None:
    """Make one weight too wide for a byte."""
    with torch.inference_mode(False), torch.no_grad():
        layer.weight.mul_(64).round_().div_(64)
        layer.weight[0, 0] = 255 / 64
        make_exact(layer)


def frozen(block: Block) -> FrozenBlock:
    return FrozenBlock(block.spatial.frozen, block.widen.frozen, block.narrow.frozen)


def near() -> Near:
    needed = np.zeros((ROWS, COLS), bool)
    for place in NEEDED:
        needed[place] = True
    return Near(needed)


def held(runs: Runs | None, rows: int = ROWS, cols: int = COLS) -> Tensor:
    """Which places are in runs, [rows, cols]."""
    if runs is None:
        return torch.ones(rows, cols, dtype=torch.bool)
    inside = torch.zeros(rows * cols, dtype=torch.bool)
    for start, count in runs.tolist():
        inside[start : start + count] = True
    return inside.view(rows, cols)


@pytest.mark.parametrize("is_near", [False, True], ids=["everywhere", "near"])
@pytest.mark.parametrize("quality", [None, QUALITY], ids=["", "quality"])
@pytest.mark.parametrize("act", [False, True], ids=["", "leaky"])
@pytest.mark.parametrize(("joined", "outputs"), [((7,), 5), ((4, 3), 8), ((8, 1, 4), 3), ((1,), 1)])
def test_layers(
    joined: tuple[int, ...], outputs: int, act: bool, quality: Qualities | None, is_near: bool, monkeypatch: Patch
) -> None:
    """However products are made; nothing is given outside of the runs, nor is what is taken changed."""
    where = near() if is_near else EVERYWHERE
    layer, runs = conv(sum(joined), outputs, act, quality is not None), where.runs(1)
    planes = [activations(seed, channels) for seed, channels in enumerate(joined)]
    planes[0] = planes[0].contiguous(memory_format=torch.channels_last)
    given = [plane.clone() for plane in planes]
    with places.uncompiled():
        wanted = layer(torch.cat(planes, 1), quality) * held(runs)
    multiply_by("words", monkeypatch)
    found = layer.in_one_go(planes, runs, quality)
    assert found is not None
    assert torch.equal(found, wanted)
    assert torch.equal(where.applied(layer, 1, planes, quality), wanted)
    assert all(torch.equal(plane, before) for plane, before in zip(planes, given, strict=True))
    multiply_by("matrices", monkeypatch)
    assert layer.in_one_go(planes, runs, quality) is None
    assert torch.equal(where.applied(layer, 1, planes, quality), wanted)
    assert float(wanted.min()) < 0 < float(wanted.max())


@pytest.mark.parametrize("is_near", [False, True], ids=["everywhere", "near"])
@pytest.mark.parametrize(("channels", "expand"), [(12, 2.0), (5, 1.4), (1, 1.0), (67, 1.0)])
def test_blocks(channels: int, expand: float, is_near: bool, monkeypatch: Patch) -> None:
    """In place where there are runs, and there alone; else what is taken stays as it is."""
    block, x = block_of(channels, expand), activations(channels, channels)
    runs = near().runs(1) if is_near else None
    with places.uncompiled():
        every = block(x.clone())
    wanted = torch.where(held(runs), every, x)
    for way in ("words", "matrices"):
        multiply_by(way, monkeypatch)
        given = x.clone() if is_near else x.contiguous(memory_format=torch.channels_last)
        found = frozen(block).apply(given, runs)
        assert torch.equal(found, wanted)
        assert torch.equal(given, wanted if is_near else x)
        assert (found.data_ptr() == given.data_ptr()) == is_near
    assert not torch.equal(wanted, x)


@pytest.mark.usefixtures("_words")
def test_what_is_left_to_others() -> None:
    """Several pictures, qualities by block, weights that are no bytes."""
    layer = conv(6, 4, by_quality=True)
    one, two = activations(1, 6), activations(1, 6, batch=2)
    by_block = QUALITY._replace(where=torch.zeros(1, ROWS, COLS, dtype=torch.int64))
    both = Qualities(QUALITY.weights.expand(2, -1, -1))
    assert layer.in_one_go([one], None, QUALITY) is not None
    assert layer.in_one_go([one], None, by_block) is None
    assert layer.in_one_go([two], None, both) is None
    with places.uncompiled():
        assert layer.in_one_go([one], None, QUALITY) is None
    with pytest.raises(ModelError, match="without a quality"):
        layer.in_one_go([one], None, None)
    plain = conv(6, 4)
    assert plain.in_one_go([one], None, by_block) is None
    assert plain.in_one_go([one], None, None) is not None
    wide = conv(6, 4)
    widest(wide)
    assert wide.frozen.matrix.words is None
    assert wide.in_one_go([one], None, None) is None


@pytest.mark.usefixtures("_words")
@pytest.mark.parametrize("which", ["widen", "narrow", "both", "batch"])
def test_blocks_that_are_left_to_others(which: str, monkeypatch: Patch) -> None:
    block, x = block_of(6), activations(2, 6, batch=2 if which == "batch" else 1)
    for name in ("widen", "narrow"):
        if which in (name, "both"):
            widest(getattr(block, name))
    monkeypatch.setattr(networks, "block", None)
    found = frozen(block).apply(x.clone(), None)
    with places.uncompiled():
        assert torch.equal(found, block(x))
    if which != "batch":
        runs = near().runs(0)
        assert torch.equal(frozen(block).apply(x.clone(), runs), torch.where(held(runs), found, x))


LARGE = 128, 256
"""So many places of 32 channels to 32 are just worth sharing."""


@pytest.fixture
def shares(monkeypatch: Patch) -> list[int]:
    """How many parts were shared, in order."""
    seen: list[int] = []

    def noted(kernel: Callable[..., None], parts: int, *rest: object) -> None:
        seen.append(parts)
        shared(kernel, parts, *rest)

    monkeypatch.setattr(product, "shared", noted)
    return seen


@pytest.mark.usefixtures("_words")
@pytest.mark.parametrize(("rows", "is_large"), [(LARGE[0], True), (LARGE[0] - 1, False)])
def test_several_threads_share_large_pictures(rows: int, is_large: bool, shares: list[int]) -> None:
    layer, block, x = conv(32, 32, act=True), block_of(32, 1.0), activations(3, 32, rows, LARGE[1])
    assert product.is_shared(layer.frozen.matrix, rows * LARGE[1]) == is_large
    one = layer.in_one_go([x], None, None)
    alone = frozen(block).apply(x.clone(), None)
    assert one is not None
    assert not shares
    torch.set_num_threads(2)
    two = layer.in_one_go([x], None, None)
    assert (two is None) == is_large
    assert torch.equal(EVERYWHERE.applied(layer, 1, [x]), one)
    assert bool(shares) == is_large
    assert torch.equal(frozen(block).apply(x.clone(), None), alone)


@pytest.mark.usefixtures("_words")
def test_runs_count_not_the_picture(shares: list[int]) -> None:
    """A few places of a large one are not shared."""
    layer, block, x = conv(32, 32), block_of(32, 1.0), activations(4, 32, *LARGE)
    every = np.array([[row * LARGE[1], LARGE[1]] for row in range(LARGE[0])])
    few = every[3:-3:2].copy()
    with places.uncompiled():
        wanted, after = layer(x), block(x)
    torch.set_num_threads(2)
    assert layer.in_one_go([x], every, None) is None
    found = layer.in_one_go([x], few, None)
    inside = held(few, *LARGE)
    assert found is not None
    assert torch.equal(found, wanted * inside)
    assert torch.equal(frozen(block).apply(x.clone(), few), torch.where(inside, after, x))
    assert not shares
    assert torch.equal(frozen(block).apply(x.clone(), every), after)
