"""Prediction from one or two references, or from nothing, block by block."""

import numpy as np
import pytest
import torch

from lvc.exact.arithmetic import exact_arithmetic
from lvc.model.modes import BOTH, FIRST, NONE, SECOND
from lvc.model.prediction import MIDDLE, Memory, Picture, Prediction
from tests.models import tiny_model

KNOWN = ((FIRST, NONE), (FIRST, SECOND, BOTH, NONE))
"""What occurs in pictures with one reference, and with two."""
references_1_2 = pytest.mark.parametrize("references", [1, 2])


def random_memory(seed: int) -> Memory:
    torch.manual_seed(seed)
    nothing = tiny_model().codec.nothing(2, (64, 96), torch.device("cpu"))
    picture = Picture(*(torch.randint_like(plane, 0, 1024) for plane in nothing.picture))
    return Memory(picture, torch.randint_like(nothing.state, -300, 301), torch.randint_like(nothing.magnitudes, 0, 90))


def planes_of(memory: Memory) -> list[torch.Tensor]:
    return [*memory.picture, memory.state, memory.magnitudes]


def test_each_block_is_one_of_both_or_their_mean() -> None:
    """Block by block, in whole numbers; halves go to the even neighbour."""
    first, second = random_memory(1), random_memory(2)
    wanted_modes = torch.from_numpy(np.random.default_rng(3).integers(0, 3, (2, 1, 4, 6)))
    with exact_arithmetic():
        mixed = tiny_model().codec.mixed(first, second, wanted_modes)
    halves = 0
    for a, b, found, side in zip(*map(planes_of, (first, second, mixed)), (16, 8, 2, 1), strict=True):
        assert found.shape == a.shape
        for n, y, x in np.ndindex(2, 4, 6):
            at = (n, slice(None), slice(y * side, (y + 1) * side), slice(x * side, (x + 1) * side))
            total = a[at].long() + b[at].long()
            even = total // 2 + (total % 2) * (total // 2 % 2)
            wanted = [a[at], b[at], even.float()][int(wanted_modes[n, 0, y, x])]
            assert torch.equal(found[at], wanted)
            halves += int((total % 2).sum())
    assert halves > 1000


@pytest.mark.parametrize("kinds", [(FIRST, SECOND, BOTH), (FIRST, SECOND, BOTH, NONE)])
def test_the_difference_of_what_was_averaged(kinds: tuple[int, ...]) -> None:
    """First minus second where a block is the mean of both, and nowhere else; none where there is one reference."""
    codec, first, second = tiny_model().codec, random_memory(1), random_memory(2)
    wanted = torch.from_numpy(np.random.default_rng(8).choice(kinds, (2, 1, 4, 6)))
    with exact_arithmetic():
        apart = codec.mixed(first, second, wanted).apart
        assert codec.mixed(first, None, torch.where(wanted == NONE, NONE, FIRST)).apart is None
    assert apart is not None
    for a, b, found, side in zip(first.picture, second.picture, apart, (16, 8), strict=True):
        at = (wanted == BOTH).repeat_interleave(side, 2).repeat_interleave(side, 3)
        assert torch.equal(found, torch.where(at, a - b, 0.0))


def test_the_context_sees_that_difference() -> None:
    """Two references that agree, and others with the same mean: what is expected is not the same."""
    codec = tiny_model().codec
    same = random_memory(1)
    step = torch.where(same.picture.y < 512, 1.0, -1.0) * 40
    either, other = (same._replace(picture=Picture(same.picture.y + sign * step, same.picture.uv)) for sign in (1, -1))
    modes, quality = torch.full((2, 1, 4, 6), BOTH), torch.tensor([50.0, 50.0])
    with exact_arithmetic():
        pasts = [codec.mixed(same, same, modes), codec.mixed(either, other, modes)]
        assert torch.equal(pasts[0].picture.y, pasts[1].picture.y)
        found = [Prediction(past, quality, intra=False) for past in pasts]
        for prediction in found:
            codec.look(prediction)
    assert found[0].c16 is not None
    assert found[1].c16 is not None
    assert not torch.equal(found[0].c16, found[1].c16)


@pytest.mark.parametrize("alone", [0, 1, None])
@references_1_2
def test_nothing_is_as_in_an_intra_picture(references: int, alone: int | None) -> None:
    """In these blocks alone, with one reference and with two; also where only one picture of a batch has them."""
    codec, first = tiny_model().codec, random_memory(4)
    second = random_memory(5) if references == 2 else None
    wanted = torch.from_numpy(np.random.default_rng(6).choice(KNOWN[references - 1], (2, 1, 4, 6)))
    if alone is not None:
        other = wanted[1 - alone]
        other[other == NONE] = FIRST
    without = torch.where(wanted == NONE, FIRST, wanted)
    with exact_arithmetic():
        nothing = codec.nothing(2, (64, 96), torch.device("cpu"))
        mixed, rest = codec.mixed(first, second, wanted), codec.mixed(first, second, without)
        each = [codec.mixed(first.pick(n), second and second.pick(n), wanted[n : n + 1]) for n in range(2)]
    assert float(nothing.picture.y.min()) == float(nothing.picture.uv.max()) == MIDDLE
    assert bool(nothing.state.any())
    assert not nothing.magnitudes.any()
    assert bool((wanted[1 if alone is None else alone] == NONE).any())
    for found, blank, old, a, b, side in zip(
        *map(planes_of, (mixed, nothing, rest, *each)), (16, 8, 2, 1), strict=True
    ):
        at = (wanted == NONE).repeat_interleave(side, 2).repeat_interleave(side, 3).expand_as(found)
        assert torch.equal(found[at], blank[at])
        assert torch.equal(found[~at], old[~at])
        assert bool((old[at] != blank[at]).any())
        assert torch.equal(found, torch.cat([a, b]))
    if references == 1:
        assert all(map(torch.equal, planes_of(rest), planes_of(first)))


def test_a_picture_of_nothing_is_an_intra_one() -> None:
    codec = tiny_model().codec
    with exact_arithmetic():
        found = codec.mixed(random_memory(4), None, torch.full((2, 1, 4, 6), NONE))
        assert all(map(torch.equal, planes_of(found), planes_of(codec.nothing(2, (64, 96), torch.device("cpu")))))
