"""Compiled loops against what PyTorch makes of the same, which is what runs on GPUs and in training."""

import json
import logging
import lzma
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch
from torch import Tensor

from lvc import kernels
from lvc.encoder import motion_search
from lvc.encoder.matching import misses_of
from lvc.encoder.motion_blocks import RateChooser, block_sizes
from lvc.encoder.motion_search import FAST, LOOK, MEDIUM, SLOW, TRAINING, SearchEffort
from lvc.exact import layers, warp
from lvc.exact.layers import Block, Conv, Depthwise, make_exact
from lvc.exact.product import ACT_MAX
from lvc.exact.qualities import KNOTS, Qualities, quality_knots
from lvc.kernels import blocks, networks, searching, sorting, vectors
from lvc.model import codebook
from lvc.model.codebook import lattice_codebook
from lvc.model.levels import LEVEL_MAX
from lvc.model.modes import FIRST, NONE
from lvc.model.prediction import Memory, Picture, Prediction
from tests.compiled import both
from tests.models import tiny_model

VECTORS = Path(__file__).parent / "vectors"


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def integers(*shape: int, most: int = ACT_MAX, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-most, most + 1, shape)).float()


def texture(seed: int, height: int = 96, width: int = 160) -> Tensor:
    """Neighbouring samples alike, 10-bit."""
    noise = torch.from_numpy(np.random.default_rng(seed).integers(0, 1024, (1, 1, 4 * height, 4 * width))).float()
    return torch.nn.functional.avg_pool2d(noise, 4).round()


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 43])
def test_every_row_has_its_turn_once(rows: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    found, lock = np.zeros(rows, np.int64), threading.Lock()

    def count(into: np.ndarray, first: int, last: int) -> None:
        with lock:
            into[first:last] += 1

    kernels.shared(count, rows, found)
    assert (found == 1).all()


def test_what_a_thread_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def fail(first: int, last: int) -> None:
        if first:
            raise ValueError("of the other half")

    with pytest.raises(ValueError, match="of the other half"):
        kernels.shared(fail, 100)


def test_only_what_is_over_at_once_keeps_the_lock_of_python() -> None:
    """Else threads would wait for each other; where it is let go for microseconds, they mostly do, too."""
    short: tuple[Any, ...] = (sorting.by_key, vectors.know, vectors.savings)
    long: tuple[Any, ...] = (searching.search, networks.block, blocks.sizes)
    assert not any(kernel.targetoptions["nogil"] for kernel in short)
    assert all(kernel.targetoptions["nogil"] for kernel in long)


def test_a_user_is_told_of_compiling_where_it_takes_long(tmp_path: Path) -> None:
    (tmp_path / "tiny.lvcm").write_bytes(lzma.decompress((VECTORS / "tiny.lvcm.xz").read_bytes()))
    # which way products are made is measured each time, so another one may be compiled the second time
    program = (
        "from lvc import cli; from lvc.exact import product; product._way = lambda _: product._as_matrices; cli.run()"
    )
    command = [
        sys.executable,
        "-c",
        program,
        "verify",
        VECTORS / "still.lvc",
        "--model",
        tmp_path / "tiny.lvcm",
        "--json",
    ]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for is_new in (True, False):
        told = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=600)
        events = [json.loads(line) for line in told.stdout.splitlines()]
        notes = [event["message"] for event in events if event["type"] == "note"]
        assert notes == ([kernels.COMPILING] if is_new else [])
        assert not told.stderr


@pytest.mark.parametrize("module", ["another.program", None])
def test_nothing_is_told_of_what_others_compile(
    module: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernels._notice, "_told", False)

    def ours(x: int) -> int:
        return x + 1

    def theirs(x: int) -> int:
        return x + 1

    compile_it: Any = numba.njit
    ours.__module__ = kernels.__name__
    theirs.__module__ = module  # type: ignore[assignment]  # as it is in functions made from text
    with caplog.at_level(logging.INFO, "lvc"):
        assert compile_it(theirs)(2) == 3
        assert not caplog.messages
        assert compile_it(ours)(2) == 3
        assert caplog.messages == [kernels.COMPILING]


def test_searches_go_on_where_a_far_vector_is_expected() -> None:
    """Motion of one picture, taken to go on over many, leads far outside what is searched."""
    target, reference = texture(1), texture(1).roll(3, 3)
    field = torch.full((1, 12, 20, 2), 70_000)
    found = motion_search.search(target, reference, warp.readable(reference), field, torch.tensor([50.0]), MEDIUM)
    assert int(found.abs().max()) <= motion_search.VECTOR_MAX


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (7, 10)])
@pytest.mark.parametrize("batch", [1, 3])
def test_layers(batch: int, shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    with torch.inference_mode(False):
        some = torch.nn.ModuleList([Depthwise(12), Block(12), Conv(12, 12, act=True), Conv(12, 12)])
        for _, layer in layers.exact_layers(some):
            layer.snap()
            layer.bias.data = (integers(len(layer.bias), most=90) / layers.UNIT).detach()
        make_exact(some)
    x = integers(batch, 12, *shape)
    for layer in some:
        found, wanted = both(lambda layer=layer: layer(x.clone()))
        assert torch.equal(found, wanted)
        assert float(found.abs().max()) > 0


@pytest.mark.parametrize("by_block", [False, True])
def test_layers_that_depend_on_the_quality(by_block: bool) -> None:
    torch.manual_seed(2)
    with torch.inference_mode(False):
        layer = Conv(8, 6, act=True, by_quality=True)
        assert layer.knots is not None
        layer.knots.data = (integers(KNOTS, 6, most=300) / layers.UNIT).detach()
        layer.snap()
        make_exact(layer)
    where = torch.from_numpy(np.random.default_rng(3).integers(0, 2, (2, 3, 4))) if by_block else None
    quality = Qualities(quality_knots(torch.tensor([[3.0, 77.0], [50.0, 9.0]])[:, : 1 + by_block]), where)
    x = integers(2, 8, 6, 8)
    found, wanted = both(lambda: layer(x, quality))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("shift", [5, 6])
def test_warp(shift: int) -> None:
    x = integers(2, 5, 6, 9)
    field = torch.from_numpy(np.random.default_rng(shift).integers(-400, 401, (2, 6, 9, 2)))
    found, wanted = both(lambda: warp.warp(x, field, shift))
    assert torch.equal(found, wanted)


def test_luma_between_samples() -> None:
    luma = torch.cat([texture(1, 32, 64), texture(2, 32, 64)])
    field = torch.from_numpy(np.random.default_rng(1).integers(-300, 301, (2, 4, 8, 2)))
    field[:, :2] = torch.from_numpy(np.random.default_rng(2).integers(-9, 10, (2, 2, 8, 2)))
    found, wanted = both(lambda: warp.sample(warp.readable(luma), field, warp.BLOCK))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("second", [True, False])
def test_mixtures(second: bool) -> None:
    model = tiny_model().codec
    fine = model.config.fine

    def memory(seed: int) -> Memory:
        picture = Picture(integers(2, 1, 64, 96, most=500, seed=seed) + 512, integers(2, 2, 32, 48, seed=seed))
        return Memory(picture, integers(2, fine, 8, 12, seed=seed), integers(2, 384, 4, 6, seed=seed))

    a, b = memory(1), memory(2)
    modes = torch.from_numpy(np.random.default_rng(4).integers(0, 4, (2, 1, 4, 6)))
    modes = modes if second else torch.where(modes > 1, NONE, FIRST)

    def mixed() -> Tensor:
        found = model.mixed(a, b if second else None, modes)
        assert (found.apart is None) == (not second)
        parts = *found.picture, found.state, found.magnitudes, *(found.apart or ())
        return torch.cat([part.flatten() for part in parts])

    found, wanted = both(mixed)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("log_scale", [-3.0, -0.5, 0.0, 0.9, 3.0, 6.0])
def test_choice_of_entries(log_scale: float) -> None:
    book = lattice_codebook(log_scale)
    wanted = np.random.default_rng(5).logistic(0, 2.0**log_scale, (1000, book.dimension)) * 1.5
    bits, vectors = -np.log2(book.counts / book.counts.sum()), torch.from_numpy(wanted).float()
    found, other = both(lambda: torch.from_numpy(codebook.choose(book, bits, vectors)))
    assert float((found == other).float().mean()) > 0.995  # two entries may cost the same but for rounding
    assert bool((found == len(book.entries)).any()) == bool((other == len(book.entries)).any())


@pytest.mark.parametrize("levels", [False, True], ids=["one quality", "qualities"])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_reconstruction(share: float, levels: bool) -> None:
    """Some of the blocks have latents, some of the others are skipped."""
    random, model = np.random.default_rng(8), tiny_model().codec
    picture = Picture(integers(2, 1, 64, 96, most=511) + 512, integers(2, 2, 32, 48, most=511, seed=1) + 512)
    past = Memory(picture, integers(2, model.config.fine, 8, 12, seed=2), integers(2, 384, 4, 6, seed=3))
    has_latents = random.random((2, 1, 4, 6)) < share
    latents = torch.from_numpy(random.integers(-3000, 3000, (2, 384, 4, 6)) * has_latents).float()
    prediction = Prediction(
        past,
        torch.tensor([20.0, 70.0]),
        intra=False,
        skip=torch.from_numpy(~has_latents & (random.random(has_latents.shape) < 0.5)).float(),
        sizes=torch.from_numpy(random.integers(0, 4, has_latents.shape)).float(),
        levels=torch.from_numpy(random.integers(-LEVEL_MAX, LEVEL_MAX + 1, has_latents.shape)) if levels else None,
        c8=integers(2, model.config.fine, 8, 12, seed=4),
    )

    def reconstructed() -> Tensor:
        left = model.reconstruct(prediction, latents)
        return torch.cat([part.flatten() for part in (*left.picture, left.state, left.magnitudes)])

    found, wanted = both(reconstructed)
    assert torch.equal(found, wanted)
    assert bool((found[-latents.numel() :] != 0).any()) == (share > 0)


def moved(seed: int, height: int = 80, width: int = 176) -> tuple[Tensor, Tensor, Tensor]:
    """Two pictures that differ by motion of blocks of all sizes and some noise; the second one, and a field for 16x16
    blocks that is not quite that motion.
    """
    random = np.random.default_rng(seed)
    reference, field = texture(seed, height, width), np.zeros((1, height // 8, width // 8, 2), np.int64)
    for size, share in ((8, 1.0), (4, 0.3), (2, 0.1), (1, 0.05)):
        for y in range(0, height // 8, size):
            for x in range(0, width // 8, size):
                if random.random() < share:
                    field[0, y : y + size, x : x + size] = random.integers(-9, 10, 2)
    noise = torch.from_numpy(random.normal(0, 8, (1, 1, height, width))).float()
    target = warp.sample(warp.readable(reference), torch.from_numpy(field), warp.BLOCK) + noise
    coarse = field[:, ::2, ::2] + (random.random((1, height // 16, width // 16, 1)) < 0.02)
    return target.round().clamp(0, 1023), reference, torch.from_numpy(coarse.repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("size", [(16, 32), (48, 176)])
def test_misses(size: tuple[int, int], means: bool) -> None:
    difference = torch.cat([texture(17, *size), texture(18, *size)]) - 500
    found, wanted = both(lambda: misses_of(difference, torch.tensor([20.0, 70.0]), means))
    assert torch.allclose(found, wanted, rtol=1e-5)
    assert found.shape == (2, 1, size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("shares", [(1.0,), (0.0, 0.5, 1.0)])
@pytest.mark.parametrize("quality", [20.0, 70.0])
def test_sizes_of_blocks(quality: float, shares: tuple[float, ...]) -> None:
    pictures = [moved(14), moved(15)]
    target, reference, field = (torch.cat(each) for each in zip(*pictures, strict=True))
    share = torch.from_numpy(np.random.default_rng(6).choice(shares, (2, 10, 22)).astype(np.float32))
    qualities = torch.tensor([quality, quality + 5])

    def decided() -> Tensor:
        vectors, levels = block_sizes(target, warp.readable(reference), field, qualities, share, 2.7)
        return torch.cat([vectors, levels[..., None]], 3)

    found, wanted = both(decided)
    assert float((found == wanted).all(-1).float().mean()) > 0.99  # two may cost the same but for rounding
    assert np.bincount(found[..., 2].flatten(), minlength=4).min() > 0


@pytest.mark.parametrize("size", [1, 2, 8])
def test_cheaper_vectors(size: int) -> None:
    target, reference, field = moved(16)
    random = np.random.default_rng(7)
    y, x = (each.ravel() for each in np.mgrid[0:10:size, 0:22:size])
    wanted = field[0].numpy()[y, x]
    options = wanted + random.integers(-3, 4, (4, len(y), 2))
    saved = random.integers(-2, 7, (4, len(y))).astype(np.float64) * size
    share = torch.from_numpy(random.choice([0.0, 0.5, 1.0], (1, 10, 22)).astype(np.float32))

    def chosen() -> Tensor:
        chooser = RateChooser(target, warp.readable(reference), torch.tensor([50.0]), share, weight=2.7)
        return torch.from_numpy(chooser.best(y, x, size, wanted, options, saved))

    found, other = both(chosen)
    assert torch.equal(found, other)
    assert 0 < int((found.numpy() != wanted).any(-1).sum()) < len(y)


@pytest.mark.parametrize(("scale", "radius"), [(4, 7), (4, 3), (16, 5)])
def test_full_search(scale: int, radius: int) -> None:
    target = torch.cat([texture(7), texture(8)])
    reference = target.roll((9, -14), (2, 3)) + texture(9) / 8
    small, around = (torch.nn.functional.avg_pool2d(luma, scale) for luma in (target, reference))
    found, wanted = both(lambda: motion_search._full_search(small, around, scale, radius))
    assert found.shape == wanted.shape
    assert float((found == wanted).all(-1).float().mean()) > 0.98


def test_vectors_around() -> None:
    random = torch.Generator().manual_seed(4)
    field, fifth = (torch.randint(-9, 10, (2, 5, 7, 2), generator=random) for _ in range(2))
    five, middle = motion_search.surround(field, fifth)
    assert torch.equal(five, torch.stack([field, *motion_search.neighbours(field)]))
    assert torch.equal(middle, motion_search.neighbour_median(field, fifth))


@pytest.mark.parametrize("effort", [FAST, LOOK, MEDIUM, SLOW, TRAINING])
def test_search(effort: SearchEffort) -> None:
    """Both ways try the same vectors; rarely they differ where two are as good but for rounding."""
    target = torch.cat([texture(10), texture(11)])
    reference = (target.roll((2, -7), (2, 3)) + (texture(12) - 512) / 4).round().clamp(0, 1023)
    quality = torch.tensor([30.0, 60.0])
    previous = torch.tensor([8, -20]).expand(2, 12, 20, 2)

    def searched() -> Tensor:
        return motion_search.search(target, reference, warp.readable(reference), previous, quality, effort, 2.7)

    found, wanted = both(searched)
    assert float((found == wanted).all(-1).float().mean()) > 0.98
    assert float((found != 0).float().mean()) > 0.5
