"""Networks that are asked near the blocks that are coded alone give what they would give if asked everywhere."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lvc.exact import frozen, product
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.layers import Block, Depthwise, make_exact
from lvc.exact.near import EVERYWHERE, Extent, Near
from lvc.exact.product import ACT_MAX
from lvc.exact.qualities import Qualities, quality_knots
from lvc.kernels import nearness, networks
from lvc.model import codec as frame_codec
from lvc.model.codec import FrameCodec
from lvc.model.entropy import SymbolCoder
from lvc.model.group import fresh_tables
from lvc.model.levels import LEVEL_MAX
from lvc.model.networks import CELL_REACH, HYPER_CHANNELS, PIXELS, SIZE_PLANES
from lvc.model.prediction import Memory, Picture, Prediction
from lvc.model.transform import LATENTS
from lvc.rangecoder import RangeDecoder, RangeEncoder
from tests.models import tiny_model

ROWS, COLS = 22, 40
SOME = [(3, 5), (4, 5), (20, 38), (21, 0)]


def needed_blocks(at: list[tuple[int, int]]) -> np.ndarray:
    needed = np.zeros((ROWS, COLS), dtype=bool)
    for place in at:
        needed[place] = True
    return needed


def activations(channels: int, scale: int = 1, least: int = -ACT_MAX, most: int = ACT_MAX) -> Tensor:
    return torch.randint(least, most + 1, (1, channels, ROWS * scale, COLS * scale)).float()


def within(needed: np.ndarray, reach: int) -> np.ndarray:
    """Places within a distance, by definition."""
    at = np.argwhere(needed)
    y, x = np.indices(needed.shape)
    apart = [np.maximum(abs(y - row), abs(x - col)) for row, col in at]
    return np.asarray(np.min(apart, 0) <= reach)


def qualities(by_block: bool) -> Qualities:
    if not by_block:
        return Qualities(quality_knots(torch.tensor([[37.0]])))
    where = torch.randint(0, 3, (1, ROWS, COLS))
    return Qualities(quality_knots(torch.tensor([[12.0, 47.0, 80.0]])), where)


def same(found: Tensor, wanted: Tensor, needed: np.ndarray, reach: int) -> bool:
    """Whether they are, within a distance."""
    scale = found.shape[2] // ROWS
    at = torch.from_numpy(within(needed.repeat(scale, 0).repeat(scale, 1), reach))
    return torch.equal(found[0][:, at], wanted[0][:, at])


@pytest.mark.parametrize("reach", [0, 1, 2, 5, 11, 60])
@pytest.mark.parametrize("at", [SOME, [(0, 0)], [(10, 20)]], ids=["some", "corner", "middle"])
def test_runs_hold_all_places_within_a_distance(at: list[tuple[int, int]], reach: int) -> None:
    """And few others, in order, each run in one row."""
    needed = needed_blocks(at)
    runs = Near(needed).runs(reach)
    places = np.concatenate([np.arange(start, start + count) for start, count in runs])
    assert (np.diff(places) > 0).all()
    assert (runs[:, 0] // COLS == (runs.sum(1) - 1) // COLS).all()
    wanted = within(needed, reach).ravel()
    held = np.zeros(wanted.shape, dtype=bool)
    held[places] = True
    assert held[wanted].all()
    if not wanted.all():
        assert len(places) <= wanted.sum() + nearness._GAP * len(runs) < ROWS * COLS


def test_planes_come_back() -> None:
    near, first, second = Near(needed_blocks(SOME)), activations(3), activations(5)
    columns = near.joined(2, first, second)
    assert columns.shape[:3] == (1, 8, 1)
    put = near.put(2, columns)
    at = torch.from_numpy(within(needed_blocks(SOME), 2))
    assert torch.equal(put[0][:, at], torch.cat([first, second], 1)[0][:, at])
    far = torch.from_numpy(~within(needed_blocks(SOME), 2 + nearness._GAP))
    assert not put[0][:, far].any()


@pytest.mark.parametrize("at", [SOME, [(0, 0)]], ids=["some", "corner"])
def test_layers(at: list[tuple[int, int]]) -> None:
    torch.manual_seed(4)
    layers = torch.nn.ModuleList([Depthwise(12), Block(12)])
    for layer in (layer for module in layers for layer in module.modules() if hasattr(layer, "snap")):
        layer.snap()  # type: ignore[operator]
    make_exact(layers)
    near, x = Near(needed_blocks(at)), activations(12)
    with torch.inference_mode():
        depthwise, block = layers
        columns = depthwise(x, near.runs(1))
        assert torch.equal(columns, near.joined(1, depthwise(x)))
        assert same(block(x.clone(), near.runs(3)), block(x), needed_blocks(at), 3)


@pytest.mark.parametrize("by_block", [False, True])
def test_networks(by_block: bool) -> None:
    torch.manual_seed(5)
    codec, quality, needed = tiny_model().codec, qualities(by_block), needed_blocks(SOME)
    config, branch = codec.config, codec.inter
    where = Extent(Near(needed.repeat(2, 0).repeat(2, 1)), Near(needed))
    sizes = torch.randint(0, 2, (1, SIZE_PLANES, ROWS, COLS)).float() * 128
    with torch.inference_mode():
        planes = activations(PIXELS, 2), activations(config.fine, 2), activations(LATENTS, 1, 0)
        apart = activations(PIXELS, 2)
        c8, c16 = codec.context(*planes, quality, apart)
        reaches = branch.reaches
        near8, near16 = codec.context(*planes, quality, apart, where, reaches)
        assert same(near8, c8, needed, reaches[0])
        assert same(near16, c16, needed, reaches[1])
        hyper = activations(config.coarse // 4)
        prior = branch.prior
        every = prior.start(c16, hyper, sizes, quality)
        some = prior.start(near16, hyper, sizes, quality, where.coarse)
        blocks = torch.from_numpy(needed).float()
        for index in range(len(prior.passes)):
            pairs = zip(
                prior.parameters_of(index, some, sizes, quality, where.coarse),
                prior.parameters_of(index, every, sizes, quality),
                strict=True,
            )
            for found, wanted in pairs:
                assert same(found, wanted, needed, 0)
            if index < len(prior.passes) - 1:
                n = prior.embed[index].weight.shape[1] // 3
                known = [activations(n) * blocks for _ in range(3)]
                every = prior.advance(index, every, known[0], known[1], known[2])
                some = prior.advance(index, some, known[0], known[1], known[2], where.coarse)
        decoding = activations(PIXELS, 2), activations(PIXELS, 2)
        for found, wanted in zip(
            branch.decoder(*decoding, near8, quality, where.fine), branch.decoder(*decoding, c8, quality), strict=True
        ):
            assert same(found, wanted, needed, 0)


def test_networks_of_the_encoder() -> None:
    """They are given fractions, whose sums are rounded: only nearly the same is asked for."""
    torch.manual_seed(6)
    codec, quality, needed = tiny_model().codec, qualities(False), needed_blocks(SOME)
    near, branch = Near(needed), codec.inter
    normal, c16 = activations(LATENTS) / 64, activations(codec.config.coarse)
    sizes = torch.zeros(1, SIZE_PLANES, ROWS, COLS)
    with torch.inference_mode():
        found = branch.analysis(normal, c16, sizes, quality, near)
        assert same(found, branch.analysis(normal, c16, sizes, quality), needed, CELL_REACH)
        cells = torch.from_numpy(needed.reshape(ROWS // 2, 2, COLS // 2, 2).any((1, 3)))
        found = branch.hyper.analyse(normal, c16, sizes, quality, near)
        wanted = branch.hyper.analyse(normal, c16, sizes, quality)
        assert found.shape == (1, HYPER_CHANNELS, ROWS // 2, COLS // 2)
        assert torch.allclose(found[0][:, cells], wanted[0][:, cells], rtol=0, atol=1e-4)


def random_prediction(codec: FrameCodec, skip: Tensor, levels: bool, two: bool) -> Prediction:
    nothing = codec.nothing(1, (ROWS * 16, COLS * 16), torch.device("cpu"))
    picture = Picture(*(torch.randint_like(plane, 0, 1024) for plane in nothing.picture))
    apart = Picture(*(torch.randint_like(plane, -9, 10) for plane in nothing.picture)) if two else None
    past = Memory(
        picture, torch.randint_like(nothing.state, -300, 301), torch.randint_like(nothing.magnitudes, 0, 90), apart
    )
    maps = torch.randint(-LEVEL_MAX, LEVEL_MAX + 1, skip.shape) if levels else None
    return Prediction(past, torch.tensor([44.0]), intra=False, skip=skip, levels=maps)


def coded(prediction: Prediction, payload: bytes | None) -> tuple[bytes, list[Tensor]]:
    """A random picture coded, or decoded: what was written, and what it leaves."""
    model, skip = tiny_model(), prediction.skip
    assert skip is not None
    prediction = Prediction(prediction.past, prediction.quality, intra=False, skip=skip, levels=prediction.levels)
    target = Picture(prediction.picture.y.flip(3), prediction.picture.uv.flip(3))
    coder = RangeEncoder() if payload is None else RangeDecoder(payload)
    with exact_arithmetic():
        missed = model.codec.transformed(prediction, target, torch.zeros_like(skip)) if payload is None else None
        symbols = SymbolCoder(model.statistics.quantisers, [coder], [fresh_tables(model.statistics)], intra=False)
        memory = model.codec.reconstruct(prediction, model.codec.code(prediction, missed, symbols))
    if isinstance(coder, RangeEncoder):
        payload = coder.finish()
    assert payload is not None
    return payload, [*memory.picture, memory.state, memory.magnitudes]


@pytest.mark.parametrize("two", [False, True], ids=["one", "two"])
@pytest.mark.parametrize("levels", [False, True], ids=["one quality", "qualities"])
@pytest.mark.parametrize("at", [SOME, [(10, 20)], []], ids=["some", "one", "none"])
@pytest.mark.parametrize("way", ["words", "matrices"])
def test_a_picture(
    way: str, at: list[tuple[int, int]], levels: bool, two: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it was written, and however it is read, all is the same; near is less work."""
    monkeypatch.setattr(product, "_way", lambda _: getattr(product, f"_as_{way}"))
    torch.manual_seed(7)
    skip = torch.from_numpy(~needed_blocks(at))[None, None].float()
    prediction = random_prediction(tiny_model().codec, skip, levels, two)
    columns: list[int] = []

    def counted(matrix: product.Matrix, given: Tensor) -> Tensor:
        columns.append(given.shape[1])
        return product.multiplied(matrix, given)

    def counted_layer(planes: tuple[np.ndarray, ...], runs: np.ndarray, *rest: Any) -> None:
        columns.append(int(runs[:, 1].sum()) if len(runs) else planes[0].shape[1])
        layer(planes, runs, *rest)

    layer = networks.layer
    monkeypatch.setattr(networks, "layer", counted_layer)
    monkeypatch.setattr(frozen, "multiplied", counted)
    work = []
    for writing in (1.0, -1.0):
        monkeypatch.setattr(frame_codec, "FULL", writing)
        payload, left = coded(prediction, None)
        assert bool(payload) == bool(at)
        for reading in (1.0, -1.0):
            columns.clear()
            monkeypatch.setattr(frame_codec, "FULL", reading)
            _, found = coded(prediction, payload)
            work.append(sum(columns))
            assert all(torch.equal(a, b) for a, b in zip(found, left, strict=True))
    assert work[0] < work[1] * 0.6
    assert bool(work[0]) == bool(at)


def test_where_it_is_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where pictures come in batches, networks are asked everywhere."""
    codec = tiny_model().codec
    asked: list[Extent] = []
    monkeypatch.setattr(codec.context, "forward", lambda *args: (asked.append(args[5]), (None, None))[1])
    few, many = torch.ones(1, 1, ROWS, COLS), torch.zeros(1, 1, ROWS, COLS)
    few[0, 0, 3, 3] = 0
    for skip in (few, many):
        codec.look(random_prediction(codec, skip, False, False))
    batch = random_prediction(codec, few.repeat(2, 1, 1, 1), False, False)
    codec.look(batch)
    assert [extent.coarse is EVERYWHERE for extent in asked] == [False, True, True]
