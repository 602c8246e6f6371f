"""Latents between the passes of the prior, compiled: which class each has, and what is known of them after a pass."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from lvc.exact import places
from lvc.exact.product import ACT_MAX
from lvc.model.codebook import CLASSES
from lvc.model.codec import MEAN_UNITS
from lvc.model.entropy import LARGE, SCALE_MAX, SymbolCoder, classify
from lvc.model.group import fresh_tables
from lvc.model.passes import Known, known
from lvc.model.transform import LATENT_MAX
from lvc.rangecoder import RangeDecoder, RangeEncoder
from tests.models import tiny_model

SHAPES = [(1, 1, 1), (3, 5, 7), (24, 4, 6)]
"""Channels, rows, columns."""
NOWHERE = -float(1 << 20)
"""What log-scales are where nothing is coded."""


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def integers(random: np.random.Generator, most: int, *shape: int) -> Tensor:
    return torch.from_numpy(random.integers(-most, most + 1, shape)).float()


def halves(shape: tuple[int, ...], batch: int) -> list[Tensor]:
    """Masks of two passes and of what is skipped, no place in two of them."""
    which = torch.from_numpy(np.random.default_rng(shape).integers(0, 3, (batch, 1, *shape[1:])))
    return [(which == number).float() for number in range(3)]


def two_passes(shape: tuple[int, ...], batch: int, by_block: bool = False, exact: bool = True) -> list[Known]:
    """What is known after each pass; limits are reached everywhere."""
    random = np.random.default_rng([*shape, batch])
    channels, height, width = shape
    unit = torch.from_numpy(random.choice(MEAN_UNITS, (1, channels, 1, 1))).float()
    step = torch.from_numpy(random.uniform(1, 200, (batch, channels, 1, 1))).float()
    if by_block:
        step = step.expand(-1, -1, height, width)
    found: list[Known] = []
    for mask in halves(shape, batch)[:2]:
        residual = integers(random, 300, batch, channels + 2, height, width)[:, 2:]  # not next to each other
        residual = residual * 2.0 ** integers(random, 14, *residual.shape).abs() * mask
        mean = integers(random, ACT_MAX, batch, channels + 2, height, width)[:, 1:-1]
        before = Known(*(part.clone() for part in found[-1])) if found else None
        found.append(known(residual, mean, unit, step, mask, before, exact))
    return found


def same(one: Known, other: Known) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_known(shape: tuple[int, ...], batch: int) -> None:
    """The same as by PyTorch, and by PyTorch with steps of each block."""
    found = two_passes(shape, batch)
    with places.uncompiled():
        wanted = two_passes(shape, batch)
    for one, other, by_block in zip(found, wanted, two_passes(shape, batch, by_block=True), strict=True):
        assert same(one, other)
        assert same(one, by_block)
        assert all(torch.equal(part, part.round()) for part in (one.residual, one.mean, one.value, one.read))
    if shape != (1, 1, 1):
        limits = [float(part.abs().max()) for part in found[-1]]
        assert limits[0] == limits[3] == ACT_MAX
        assert limits[2] == LATENT_MAX


def test_what_is_known_stays_elsewhere() -> None:
    """A pass gives what it decodes, and nothing else changes; what is skipped is zero."""
    shape, batch = SHAPES[1], 2
    first, second, neither = (mask.expand(-1, shape[0], -1, -1).bool() for mask in halves(shape, batch))
    one, two = two_passes(shape, batch)
    for before, after in zip(one, two, strict=True):
        assert bool(before[first].any())
        assert not bool(before[~first].any())
        assert torch.equal(after[first], before[first])
        assert bool(after[second].any())
        assert not bool(after[neither].any())


def test_before_models_are_exact_nothing_is_rounded() -> None:
    found = two_passes(SHAPES[1], 2, exact=False)[-1]
    assert not torch.equal(found.value, found.value.round())
    assert not torch.equal(found.read, found.read.round())


def test_halves_are_rounded_to_even() -> None:
    residual = torch.tensor([32.0, 96, -32, -96, 160]).view(1, 5, 1, 1)
    nothing, one = torch.zeros(1, 5, 1, 1), torch.ones(1, 5, 1, 1)
    found = known(residual, nothing, one * 4, one, one[:, :1], None, exact=True)
    assert found.value.flatten().tolist() == [0, 2, 0, -2, 2]
    found = known(2 * residual, nothing, one * 2, one, one[:, :1], None, exact=True)
    assert found.read.flatten().tolist() == [0, 2, 0, -2, 2]


def coder_of(batch: int, payloads: list[bytes] | None = None) -> SymbolCoder:
    statistics = tiny_model().statistics
    coders = [RangeEncoder() for _ in range(batch)] if payloads is None else [RangeDecoder(each) for each in payloads]
    return SymbolCoder(statistics.quantisers, coders, [fresh_tables(statistics) for _ in coders], intra=False)


def scales(random: np.random.Generator, *shape: int) -> Tensor:
    """Of all classes, and some beyond what classes are listed for."""
    found = integers(random, SCALE_MAX, *shape)
    for value in (NOWHERE, -SCALE_MAX - 1, -SCALE_MAX, SCALE_MAX, SCALE_MAX + 1, 1e6):
        found[torch.from_numpy(random.random(shape) < 0.05)] = value
    return found


def plain_order(scale: Tensor, mask: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By numpy's sorting."""
    classes = (classify(scale.contiguous(), thresholds) * (mask != 0)).ravel()
    order = np.argsort(classes, kind="stable")
    counts = np.bincount(classes, minlength=CLASSES)
    return order[counts[0] :], counts.cumsum() - counts[0]


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_classes_are_sorted(shape: tuple[int, ...], share: float) -> None:
    """Class by class, without class 0 and what is not meant."""
    random = np.random.default_rng([*shape, 1])
    coder, scale = coder_of(1), scales(random, *shape)
    mask = (random.random((1, *shape[1:])) < share).astype(np.float32)
    order, ends = coder._sorted(scale, mask)
    wanted, wanted_ends = plain_order(scale, mask, coder.thresholds)
    assert np.array_equal(order, wanted)
    assert np.array_equal(ends, wanted_ends)
    assert len(order) <= int(mask.sum()) * shape[0]
    if shape == SHAPES[2] and share == 1:
        assert (np.diff(ends) > 0).all()
        assert len(order) < scale.numel()


@pytest.mark.parametrize("edge", [0, 1])
def test_classes_begin_where_they_should(edge: int) -> None:
    """At every threshold, and one below it."""
    coder = coder_of(1)
    scale = torch.from_numpy(coder.thresholds - edge).float()[:, None, None]
    order, ends = coder._sorted(scale, np.ones((1, 1, 1), np.float32))
    assert order.tolist() == list(range(edge, CLASSES - 1))
    assert ends.tolist() == np.arange(CLASSES).clip(0, CLASSES - 1 - edge).tolist()


def test_planes_that_are_a_part_of_others() -> None:
    """As networks give them."""
    random, coder = np.random.default_rng(7), coder_of(1)
    scale = scales(random, 5, 12, 6).transpose(0, 1)[1:8]
    order, ends = coder._sorted(scale, np.ones((1, 5, 6), np.float32))
    wanted, wanted_ends = plain_order(scale, np.ones((1, 5, 6)), coder.thresholds)
    assert np.array_equal(order, wanted)
    assert np.array_equal(ends, wanted_ends)


def test_large_latents_that_cannot_be_sent_are_noted() -> None:
    """Those of class 0, where something is meant to be sent."""
    random, coder = np.random.default_rng(8), coder_of(1)
    scale, mask = scales(random, 6, 5, 4), (random.random((1, 5, 4)) < 0.7).astype(np.float32)
    wanted = torch.from_numpy(random.normal(0, 1.5, (6, 5, 4))).float()
    coder._note_lost(0, wanted, scale, mask)
    block, value = coder.lost[0][0]
    gone = (wanted.abs().numpy() > LARGE) & (scale.numpy() < coder.thresholds[0]) & (mask != 0)
    assert 0 < gone.sum() < ((wanted.abs().numpy() > LARGE) & (mask != 0)).sum()
    assert value.tolist() == wanted.numpy()[gone].tolist()
    assert block.tolist() == (np.flatnonzero(gone.ravel()) % 20).tolist()


@pytest.mark.parametrize("masks", [1, 3])
def test_pictures_of_a_batch(masks: int) -> None:
    """Each is coded as it would be alone, with a mask of its own or the same one for all, and is read back."""
    random, shape = np.random.default_rng(masks), (8, 4, 6)
    wanted, scale = integers(random, 9, 3, *shape), scales(random, 3, *shape)
    mask = torch.from_numpy(random.random((masks, 1, *shape[1:])) < 0.6).float()
    coder = coder_of(3)
    found = coder.residual(wanted, scale, mask, 1)
    payloads = [each.finish() for each in coder.coders if isinstance(each, RangeEncoder)]
    assert torch.equal(coder_of(3, payloads).residual(None, scale, mask, 1), found)
    for number, payload in enumerate(payloads):
        one, at = coder_of(1), slice(number, number + 1)
        own = mask[at] if masks > 1 else mask
        assert torch.equal(one.residual(wanted[at], scale[at], own, 1), found[at])
        assert isinstance(one.coders[0], RangeEncoder)
        assert one.coders[0].finish() == payload
        nothing = (own == 0) | (scale[at] < float(coder.thresholds[0]))
        assert not bool(found[at][nothing].any())
        assert bool(found[at][~nothing].any())
    assert len(set(payloads)) == 3
