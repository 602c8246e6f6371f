"""Which blocks the encoder cuts into small transforms."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lvc.encoder.block_choice import Blocks, choose_blocks
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model.prediction import Picture, Prediction
from lvc.model.transform import LATENT_UNIT
from tests.models import plain_model
from tests.residuals import HEIGHT, WIDTH, gradient, random_sizes, text, tiles


def flat_prediction(quality: float, intra: bool = False, batch: int = 1) -> Prediction:
    """Mid-grey; the choice looks at nothing but the difference to it, and the quality."""
    codec = plain_model().codec
    nothing = codec.nothing(batch, (HEIGHT, WIDTH), torch.device("cpu"))
    return Prediction(nothing, torch.full((batch,), quality), intra=intra)


def as_picture(residual: np.ndarray) -> Picture:
    luma = torch.from_numpy(residual).float()[None, None] + 512
    return Picture(luma, torch.full((1, 2, HEIGHT // 2, WIDTH // 2), 512.0))


def chosen(prediction: Prediction, target: Picture, count: int = 3) -> Blocks:
    is_whole = None if prediction.intra else torch.ones(len(target.y), HEIGHT // 8, WIDTH // 8, dtype=torch.bool)
    with exact_arithmetic():
        blocks = choose_blocks(plain_model().codec, prediction, is_whole, target, count)
    for found in (blocks.skip, blocks.sizes):
        assert found.shape == (len(target.y), 1, HEIGHT // 16, WIDTH // 16)
    assert bool(((blocks.skip == 0) | (blocks.skip == 1)).all())
    assert bool(((blocks.sizes == 0) | (blocks.sizes == 1) | (blocks.sizes == 2)).all())
    assert not bool((blocks.sizes * blocks.skip).any())
    missed = plain_model().codec.transformed(prediction, target, blocks.sizes)
    assert torch.allclose(blocks.missed * (1 - blocks.skip), missed * (1 - blocks.skip), atol=1e-2)
    return blocks


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("quality", [40.0, 60.0, 80.0])
def test_sharp_things_are_cut_and_smooth_ones_are_not(quality: float, intra: bool) -> None:
    prediction = flat_prediction(quality, intra)
    for size, residual in enumerate((gradient(), tiles(), text())):
        blocks = chosen(prediction, as_picture(residual))
        assert not bool(blocks.skip.any())
        assert bool((blocks.sizes == size).all())
    for count in (1, 2):
        assert int(chosen(prediction, as_picture(text()), count).sizes.max()) == count - 1


def test_the_choice_is_made_block_by_block() -> None:
    columns = np.arange(WIDTH) // 16
    little = np.random.default_rng(4).normal(0, 4, (HEIGHT, WIDTH))
    residual = np.where(columns < 2, text(), np.where(columns < 4, gradient(), little))
    blocks = chosen(flat_prediction(60.0), as_picture(residual))
    for at, skip, size in ((slice(0, 2), 0, 2), (slice(2, 4), 0, 0), (slice(4, 6), 1, 0)):
        assert bool((blocks.skip[..., at] == skip).all())
        assert bool((blocks.sizes[..., at] == size).all())
    intra = chosen(flat_prediction(60.0, intra=True), as_picture(residual))
    assert not bool(intra.skip.any())
    assert torch.equal(intra.sizes[..., :4], blocks.sizes[..., :4])


def test_the_smallest_lagrangian_is_chosen() -> None:
    """Of latents made at random in one of the transforms, sparse, that one: what another needs is far more."""
    codec, random = plain_model().codec, np.random.default_rng(3)
    wanted = random_sizes(1, 4)
    latents = torch.from_numpy(random.normal(0, 4000, (1, 384, HEIGHT // 16, WIDTH // 16))).float()
    latents = latents * torch.from_numpy(random.random(latents.shape) < 0.04)
    latents[:, :24] = 0
    y, _ = codec.transform.inverse(latents.round(), wanted)
    target = as_picture((y / LATENT_UNIT)[0, 0].double().numpy())
    blocks = chosen(flat_prediction(60.0, intra=True), target)
    assert torch.equal(blocks.sizes, wanted)


def test_the_choice_for_a_batch_is_the_choice_for_each() -> None:
    columns = np.arange(WIDTH) // 16
    residuals = [text(2), gradient(), np.where(columns % 2, text(3), 0)]
    parts = [flat_prediction(quality) for quality in (30.0, 60.0, 90.0)]
    targets = [as_picture(residual) for residual in residuals]
    both = replace(flat_prediction(60.0, batch=3), quality=torch.cat([part.quality for part in parts]))
    found = chosen(both, Picture(*(torch.cat(planes) for planes in zip(*targets, strict=True))))
    for index, (part, target) in enumerate(zip(parts, targets, strict=True)):
        alone = chosen(part, target)
        assert torch.equal(found.skip[index : index + 1], alone.skip)
        assert torch.equal(found.sizes[index : index + 1], alone.sizes)
