"""Which pictures are interpolated by smooth filters."""

import pytest
import torch

from lvc.encoder.interpolation_choice import SHARE, choose_smooth
from lvc.exact import warp
from lvc.model.modes import BOTH, FIRST, NONE

QUALITY = torch.tensor([60.0, 60.0])
FIELD = torch.full((2, 8, 8, 2), 2)


def prediction(reference: torch.Tensor, smooth: bool) -> torch.Tensor:
    return warp.compensate(reference, FIELD, smooth=torch.full((2,), smooth))


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """What two pictures show, and references to them: the first one is noisy, the second one is not."""
    torch.manual_seed(1)
    texture = torch.rand(2, 1, 64, 64).mul(900).round()
    flat = torch.full((1, 1, 64, 64), 500.0)
    noisy = flat + torch.randn(1, 1, 64, 64).mul(40).round()
    target = torch.cat([flat, prediction(texture, False)[1:]])
    return target, torch.cat([noisy, texture[1:]])


@pytest.mark.parametrize(("mode", "wanted"), [(FIRST, [True, False]), (NONE, [False, False])])
def test_noisy_references_are_smoothed_and_detailed_ones_are_not(mode: int, wanted: list[bool]) -> None:
    """Blocks that are predicted from nothing do not count."""
    target, reference = scene()
    modes = torch.full((2, 1, 4, 4), mode)
    sharp = prediction(reference, False)
    assert choose_smooth(target, [sharp], [reference], [FIELD], modes, QUALITY).tolist() == wanted


def test_both_references_count() -> None:
    target, reference = scene()
    modes = torch.full((2, 1, 4, 4), BOTH)
    sharp = [prediction(reference, False), target.clone()]
    fields = [FIELD, torch.zeros_like(FIELD)]  # smooth filters change whole positions, too
    assert choose_smooth(target, sharp, [reference, target], fields, modes, QUALITY).tolist() == [True, False]


def test_anchors_take_them_only_for_a_clear_gain() -> None:
    assert SHARE[0] < SHARE[1] <= 1
