"""Which references the encoder chooses for each block."""

import pytest
import torch

from lvc.encoder.mode_choice import choose_modes, target_beside
from lvc.model.modes import BOTH, FIRST, NONE, SECOND

references_1_2 = pytest.mark.parametrize("references", [1, 2])


def test_the_better_match_is_chosen() -> None:
    random = torch.Generator().manual_seed(1)
    target = torch.randint(0, 1024, (1, 1, 64, 96), generator=random).float()
    quality = torch.tensor([60.0])
    noise = [torch.randn(target.shape, generator=random) * 40 for _ in range(2)]
    far = (target + 300) % 1024
    assert bool((choose_modes(target, target + noise[0], far, quality) == FIRST).all())
    assert bool((choose_modes(target, far, target + noise[0], quality) == SECOND).all())
    assert bool((choose_modes(target, target + noise[0], target + noise[1], quality) == BOTH).all())
    assert bool((choose_modes(target, target + 80, target - 80, quality) == BOTH).all())


def test_both_where_it_makes_no_difference() -> None:
    """It is the cheapest to say; the coarser the quality, the more that counts."""
    flat = torch.full((2, 1, 32, 32), 500.0)
    assert bool((choose_modes(flat, flat, flat, torch.tensor([10.0, 100.0])) == BOTH).all())
    chosen = choose_modes(flat, flat, flat + 3, torch.tensor([1.0, 100.0]))
    assert bool((chosen[0] == BOTH).all())
    assert bool((chosen[1] == FIRST).all())


def test_the_choice_is_made_block_by_block() -> None:
    random = torch.Generator().manual_seed(2)
    target = torch.randint(0, 1024, (1, 1, 64, 96), generator=random).float()
    wanted = torch.randint(0, 2, (1, 1, 4, 6), generator=random)
    here = wanted.repeat_interleave(16, 2).repeat_interleave(16, 3)
    far = (target + 300) % 1024
    first, second = torch.where(here == FIRST, target, far), torch.where(here == SECOND, target, far)
    assert torch.equal(choose_modes(target, first, second, torch.tensor([60.0])), wanted)


def test_neighbours_agree_unless_it_costs_much() -> None:
    """A single block that another reference predicts a little better goes with its neighbours."""
    target, quality = 4 * wave(), torch.tensor([60.0])
    little, much = (noise_like(target, size, 3) for size in (2, 100))
    there = torch.zeros(1, 1, 4, 6, dtype=torch.bool)
    there[0, 0, 2, 3] = True
    here = there.repeat_interleave(16, 2).repeat_interleave(16, 3)
    far = target + 300 * noise_like(target, 1, 4)
    for noise, moves in ((little, False), (much, True)):
        first, second = torch.where(here, target + noise, target), torch.where(here, target, far)
        wanted = torch.where(there & moves, SECOND, FIRST)
        assert torch.equal(choose_modes(target, first, second, quality), wanted)
    everywhere = target + much, target
    assert bool((choose_modes(target, *everywhere, quality) == SECOND).all())


def test_one_of_two_should_be_what_the_other_leaves_to_it() -> None:
    target, other = wave(), wave() + 7
    modes = torch.randint(0, 4, (1, 1, 4, 6), generator=torch.Generator().manual_seed(3))
    wanted = target_beside(target, other, modes)
    both = (modes == BOTH).repeat_interleave(16, 2).repeat_interleave(16, 3)
    assert torch.equal((other + wanted)[both] / 2, target[both])
    assert torch.equal(wanted[~both], target[~both])
    assert torch.equal(target_beside(target, None, modes), target)


def wave(height: int = 64, width: int = 96) -> torch.Tensor:
    """Luma that changes slowly, [1, 1, H, W]."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return (400 + y + 0.7 * x).round()[None, None]


def noise_like(plane: torch.Tensor, size: float, seed: int) -> torch.Tensor:
    return torch.randn(plane.shape, generator=torch.Generator().manual_seed(seed)) * size


@references_1_2
@pytest.mark.parametrize("quality", [20.0, 60.0, 90.0])
def test_what_is_new_and_smooth_is_predicted_from_nothing(quality: float, references: int) -> None:
    """Where predictions are wild noise; not where they are good, not even in the same picture."""
    target, at = wave(), torch.tensor([quality])
    wild, other = ((512 + noise_like(target, 150, seed)).clamp(0, 1023).round() for seed in (1, 2))
    good = (target + noise_like(target, 1, 3)).round()
    second = {1: (None, None), 2: (other, good)}[references]
    assert bool((choose_modes(target, wild, second[0], at) == NONE).all())
    assert not bool((choose_modes(target, good, second[1], at) == NONE).any())
    assert not bool((choose_modes(target, target, None if second[0] is None else target, at) == NONE).any())
    new = torch.zeros(1, 1, 4, 6, dtype=torch.bool)
    new[..., 1:3, 2:5] = True
    here = new.repeat_interleave(16, 2).repeat_interleave(16, 3)
    parts = [None if bad is None else torch.where(here, bad, good) for bad in (wild, second[0])]
    assert parts[0] is not None
    found = choose_modes(target, parts[0], parts[1], at)
    assert torch.equal(found == NONE, new)
    assert found.dtype == torch.int64


@references_1_2
def test_what_is_rough_is_predicted_from_the_better_of_two_evils(references: int) -> None:
    """Nothing wins nothing where the picture itself is as wild as what its prediction misses."""
    target = (512 + noise_like(wave(), 100, 1)).round()
    near = [(target + noise_like(target, 60, seed)).round() for seed in (2, 3)]
    for quality in (20.0, 60.0, 90.0):
        found = choose_modes(target, near[0], near[1] if references == 2 else None, torch.tensor([quality]))
        assert not bool((found == NONE).any())


def test_with_one_reference_it_is_that_or_nothing() -> None:
    random = torch.Generator().manual_seed(7)
    for seed in range(20):
        target = wave() if seed % 2 else (512 + noise_like(wave(), 80, seed)).round()
        guess = (target + noise_like(target, float(torch.rand(1, generator=random)) * 200, seed + 50)).round()
        found = choose_modes(target, guess, None, torch.tensor([5.0 * seed + 1]))
        assert bool(((found == FIRST) | (found == NONE)).all())


@references_1_2
def test_the_choice_for_a_batch_is_the_choice_for_each(references: int) -> None:
    """Training chooses for pictures of several qualities at once."""
    target = torch.cat([wave(), (512 + noise_like(wave(), 90, 1)).round(), wave(), wave().flip(3)])
    guesses = [torch.cat([(part + noise_like(part, 90, seed)).round() for part in target.split(1)]) for seed in (2, 3)]
    for guess in guesses:
        guess[0, :, :32] = target[0, :, :32]
        guess[3] = target[3]
    quality = torch.tensor([30.0, 60.0, 95.0, 50.0])
    second = guesses[1] if references == 2 else None
    together = choose_modes(target, guesses[0], second, quality)
    assert 0 < int((together == NONE).sum()) < together.numel()
    for n in range(4):
        part = slice(n, n + 1)
        alone = choose_modes(target[part], guesses[0][part], None if second is None else second[part], quality[part])
        assert torch.equal(alone, together[part])
