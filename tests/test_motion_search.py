"""The search that makes motion fields."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch

from lvc.encoder import EncoderSettings, encode_stream, motion_search
from lvc.encoder import predictor as encoder_predictor
from lvc.encoder.matching import VECTOR_WEIGHT, Matcher, misses_of, vector_weight
from lvc.encoder.motion_blocks import RateChooser, block_sizes
from lvc.encoder.motion_search import (
    FAST,
    LOOK,
    MEDIUM,
    SLOW,
    TRAINING,
    SearchEffort,
)
from lvc.exact import warp
from lvc.model import find_model
from lvc.model.motion import (
    LEVELS,
    VECTOR_LIMIT,
    MotionField,
    MotionTables,
    code_field,
)
from lvc.rangecoder import RangeDecoder, RangeEncoder
from tests.clips import FrameList, clip_frames, clip_info


def luma(frames: int = 1, height: int = 160, width: int = 256) -> torch.Tensor:
    """Texture, 10-bit."""
    frame = next(iter(clip_frames("static", width, height, frames, bit_depth=10)))
    return torch.from_numpy(frame.planes[0].astype(np.float32))[None, None]


def found_by(
    target: torch.Tensor, reference: torch.Tensor, effort: SearchEffort, previous: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Field and levels after both steps, search and choice of block sizes."""
    quality, planes = torch.full((len(target),), 60.0), warp.readable(reference)
    field = motion_search.search(target, reference, planes, previous, quality, effort)
    assert torch.equal(field[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2), field)
    return block_sizes(target, planes, field, quality)


@pytest.mark.parametrize("effort", [FAST, MEDIUM, SLOW])
@pytest.mark.parametrize("vector", [(0, 0), (12, -20), (5, 2), (-3, 7), (-80, 60), (1, 41)])
def test_search_finds_a_shift(effort: SearchEffort, vector: tuple[int, int]) -> None:
    """Whole and quarter samples; away from the border, where the reference has nothing to show."""
    reference = luma()
    rows, cols = reference.shape[2] // 8, reference.shape[3] // 8
    true = torch.tensor(vector).expand(1, rows, cols, 2)
    target = warp.sample(warp.readable(reference), true, 8)
    field, levels = found_by(target, reference, effort)
    assert field.shape == (1, rows, cols, 2)
    # the fast preset tries four directions only and may end a quarter sample beside
    away = (field - true).abs().amax(-1)[0, 4:-4, 4:-4]
    assert float((away <= (1 if effort is FAST else 0)).float().mean()) > 0.95
    predicted = warp.sample(warp.readable(reference), field, 8)
    assert float((predicted - target).abs()[..., 32:-32, 32:-32].mean()) < (3 if effort is FAST else 0.5)
    assert float(levels.float().mean()) > 1.5


def test_search_separates_two_motions() -> None:
    reference = luma()
    rows, cols = reference.shape[2] // 8, reference.shape[3] // 8
    true = torch.zeros(1, rows, cols, 2, dtype=torch.int64)
    true[:, :, cols // 2 :] = torch.tensor([8, -10])
    target = warp.sample(warp.readable(reference), true, 8)
    field, levels = found_by(target, reference, MEDIUM)
    assert float((field == true).all(-1)[0, 2:-2, 2:-2].float().mean()) > 0.9
    assert float(levels[0, :, cols // 2 - 1].float().mean()) <= float(levels.float().mean())


def test_a_mismatch_that_does_not_matter_splits_nothing() -> None:
    """Where a reference has no share blocks grow as large as they can, and the encoder takes any vector for them."""
    reference = luma()
    rows, cols = reference.shape[2] // 8, reference.shape[3] // 8
    random = np.random.default_rng(4)
    true = torch.from_numpy(random.integers(-20, 21, (1, rows // 2, cols // 2, 2)))
    true = true.repeat_interleave(2, 1).repeat_interleave(2, 2)
    quality, planes = torch.tensor([60.0]), warp.readable(reference)
    target = warp.sample(planes, true, 8)
    _, levels = block_sizes(target, planes, true, quality)
    assert float((levels == 1).float().mean()) > 0.9
    share = torch.ones(1, rows, cols)
    same, same_levels = block_sizes(target, planes, true, quality, share)
    assert torch.equal(same, true)
    assert torch.equal(same_levels, levels)
    share[:, :, 16:] = 0
    field, levels = block_sizes(target, planes, true, quality, share)
    assert torch.equal(field[:, :, :16], true[:, :, :16])
    assert float((levels[:, :, :16] == 1).float().mean()) > 0.9
    assert bool((levels[:, :, 16:] == LEVELS[0]).all())
    y, x = (np.array(axis) for axis in ([0, 2, 4], [0, 18, 30]))
    wanted, guess = true[0].numpy()[y, x], true[0].numpy()[y, x] + 90
    chosen = RateChooser(target, planes, quality, share).best(
        y, x, 2, wanted, np.stack([guess, wanted, guess + 1]), np.array([[0.1] * 3, [0.0] * 3, [0.1, 0.1, 0.2]])
    )
    assert np.array_equal(chosen, [wanted[0], guess[1], guess[2] + 1])


def test_half_of_a_mismatch_counts_where_a_reference_has_half_a_share() -> None:
    reference, quality = luma(), torch.tensor([60.0])
    planes = warp.phases(reference)
    target = (reference + torch.randn(reference.shape, generator=torch.Generator().manual_seed(5)) * 30).round()
    still = torch.zeros(1, reference.shape[2] // 8, reference.shape[3] // 8, 2, dtype=torch.int64)
    half = torch.full(still.shape[:-1], 0.5)
    found = Matcher(target, planes, quality, half)(still)
    assert torch.allclose(found, misses_of((target - reference) / 2, quality)[:, 0], rtol=1e-4)
    assert torch.equal(Matcher(target, planes, quality, 2 * half)(still), Matcher(target, planes, quality)(still))


def test_references_further_away_are_searched_more_widely() -> None:
    for effort in (FAST, MEDIUM, SLOW, TRAINING):
        assert effort.over(1) == effort
        efforts = [effort.over(pictures) for pictures in range(1, 17)]
        radii = [wider.radius for wider in efforts]
        assert radii == sorted(radii)
        assert radii[0] < radii[3] <= radii[-1] <= 16
        assert all((wider.wide_radius > 0) == (effort.wide_radius > 0) for wider in efforts)
        assert all(wider.propagations == effort.propagations for wider in efforts)


def test_search_of_a_batch_is_the_search_of_each() -> None:
    reference = torch.cat([luma(), luma().flip(3)])
    target = torch.cat([reference[:1].roll((3, 5), (2, 3)), reference[1:].roll((-4, 2), (2, 3))])
    previous = torch.zeros(2, 20, 32, 2, dtype=torch.int64)
    field, levels = found_by(target, reference, MEDIUM, previous)
    for index in range(2):
        at = slice(index, index + 1)
        alone = found_by(target[at], reference[at], MEDIUM, previous[at])
        assert torch.equal(alone[0], field[at])
        assert torch.equal(alone[1], levels[at])


@pytest.mark.parametrize("size", [(32, 32), (32, 64), (96, 32), (160, 224)])
@pytest.mark.parametrize("effort", [FAST, LOOK, MEDIUM, SLOW, TRAINING, MEDIUM.over(4)])
def test_what_search_finds_can_be_coded(size: tuple[int, int], effort: SearchEffort) -> None:
    random = np.random.default_rng(5)
    reference = luma(height=size[0], width=size[1])
    target = reference.roll((2, 3), (2, 3)) + torch.from_numpy(random.normal(0, 30, reference.shape)).float()
    field, levels = found_by(target.round().clamp(0, 1023), reference, effort)
    assert int(field.abs().max()) <= VECTOR_LIMIT
    wanted = MotionField(field[0].numpy(), levels[0].numpy())
    encoder = RangeEncoder()
    rows, cols = wanted.levels.shape
    code_field(encoder, MotionTables(), rows, cols, None, wanted)
    read = code_field(RangeDecoder(encoder.finish()), MotionTables(), rows, cols, None, None)
    assert np.array_equal(read.vectors, wanted.vectors)
    assert np.array_equal(read.levels, wanted.levels)


def test_noise_on_a_still_picture_is_no_motion() -> None:
    random = np.random.default_rng(6)
    reference = luma()
    target = (reference + torch.from_numpy(random.normal(0, 6, reference.shape)).float()).round().clamp(0, 1023)
    field, levels = found_by(target, reference, MEDIUM)
    assert float((field == 0).float().mean()) > 0.99
    assert float((levels == 3).float().mean()) > 0.9


@pytest.mark.parametrize("between", [False, True])
def test_bits_of_vectors_count_most_where_they_would_take_a_tenth(between: bool) -> None:
    weights = [vector_weight(quality, between) for quality in range(1, 101)]
    assert weights[:30] == [VECTOR_WEIGHT] * 30
    assert all(a <= b for a, b in pairwise(weights[:50]))
    assert all(a >= b for a, b in pairwise(weights[56:]))
    assert weights[69:] == [VECTOR_WEIGHT] * 31
    assert vector_weight(37.5, between) == pytest.approx(2.35)
    assert min(weights[49:57]) == max(weights) == (4.4 if between else 3.2)


def test_dearer_vectors_are_less_different() -> None:
    """Of a picture that is noise, so that any vector is nearly as good as another."""
    random = np.random.default_rng(9)
    reference = luma()
    target = (reference + torch.from_numpy(random.normal(0, 60, reference.shape)).float()).round().clamp(0, 1023)
    quality, planes = torch.tensor([50.0]), warp.readable(reference)

    def different(weight: float) -> int:
        field = motion_search.search(target, reference, planes, None, quality, MEDIUM, weight)
        field, _ = block_sizes(target, planes, field, quality, None, weight)
        return len(field.view(-1, 2).unique(dim=0))

    assert different(20.0) < different(2.0)


class Textures(FrameList):
    """17 pictures that move."""

    def __init__(self) -> None:
        self.info = clip_info(96, 64, 17)
        self.frames = list(clip_frames("textures", 96, 64, 17))


@pytest.mark.parametrize("quality", [40, 55])
def test_files_have_fewer_bits_of_dearer_vectors(quality: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they count is asked by the quality of the file, and by whether pictures lie between two."""
    asked: set[tuple[float, bool]] = set()

    def motion_bytes(weight: float) -> int:
        def priced(quality: float, between: bool) -> float:
            asked.add((quality, between))
            return weight

        monkeypatch.setattr(encoder_predictor, "vector_weight", priced)
        settings = EncoderSettings(quality=quality)
        return encode_stream(Textures(), io.BytesIO(), model=find_model("lite"), settings=settings).parts["motion"]

    assert motion_bytes(20.0) < motion_bytes(2.0)
    assert {(quality, False), (quality, True)} <= asked <= {(q, b) for q in (quality, 50) for b in (False, True)}
