"""Which blocks an encoder skips."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, block_choice, encode_stream
from lvc.encoder import picture as encoder_picture
from lvc.encoder.block_choice import Blocks, choose_blocks, undone_blocks
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model import find_model
from lvc.model.codec import FrameCodec
from lvc.model.prediction import Memory, Picture, Prediction
from lvc.video import Frame
from tests.clips import FrameList, clip_frames, clip_info
from tests.compiled import both
from tests.models import plain_model

WIDTH, HEIGHT = 96, 64


def as_picture(frame: Frame) -> Picture:
    y, u, v = (torch.from_numpy(plane.astype(np.float32)) for plane in frame.planes)
    return Picture(y[None, None], torch.stack([u, v])[None])


def prediction_of(codec: FrameCodec, seed: int, quality: float) -> Prediction:
    """A picture as if predicted; the choice looks at nothing else."""
    frame = next(iter(clip_frames("static", WIDTH, HEIGHT, 1, bit_depth=10, seed=seed)))
    nothing = codec.nothing(1, (HEIGHT, WIDTH), torch.device("cpu"))
    with exact_arithmetic():
        return Prediction(nothing._replace(picture=as_picture(frame)), torch.tensor([quality]), intra=False)


def noisy(picture: Picture, size: float, cols: slice = slice(None), seed: int = 8) -> Picture:
    """With noise added in some of the columns of 16x16 blocks."""
    random = np.random.default_rng(seed)
    planes = []
    for plane, side in zip(picture, (16, 8), strict=True):
        noise = torch.from_numpy(random.normal(0, size, plane.shape)).float()
        here = torch.zeros(plane.shape[-1] // side)
        here[cols] = 1
        planes.append((plane + noise * here.repeat_interleave(side)).round().clamp(0, 1023))
    return Picture(*planes)


def chosen(prediction: Prediction, target: Picture, vector: int = 0) -> torch.Tensor:
    is_whole = torch.full((len(target.y), HEIGHT // 8, WIDTH // 8), vector % 4 == 0)
    with exact_arithmetic():
        skip = choose_blocks(plain_model().codec, prediction, is_whole, target).skip
    assert skip.shape == (len(target.y), 1, HEIGHT // 16, WIDTH // 16)
    assert bool(((skip == 0) | (skip == 1)).all())
    return skip


def test_little_difference_is_skipped_and_much_is_not() -> None:
    prediction = prediction_of(plain_model().codec, 0, 60.0)
    assert bool(chosen(prediction, noisy(prediction.picture, 4.0)).all())
    assert not bool(chosen(prediction, noisy(prediction.picture, 120.0)).any())


def test_more_is_skipped_where_less_depends_on_it() -> None:
    """In pictures between two, blocks that miss a little more than in anchors, and none fewer."""
    codec, prediction = plain_model().codec, prediction_of(plain_model().codec, 0, 60.0)
    whole = torch.ones(len(prediction.picture.y), HEIGHT // 8, WIDTH // 8, dtype=torch.bool)
    shares = []
    for size in (4.0, 8.0, 10.0, 12.0, 14.0, 16.0, 120.0):
        target = noisy(prediction.picture, size)
        with exact_arithmetic():
            maps = [choose_blocks(codec, prediction, whole, target, between=between).skip for between in (False, True)]
        assert bool((maps[0] <= maps[1]).all())
        shares.append([float(skip.mean()) for skip in maps])
    assert shares[0] == [1.0, 1.0]
    assert shares[-1] == [0.0, 0.0]
    assert sum(between for _, between in shares) > sum(anchor for anchor, _ in shares)


def test_the_choice_is_made_block_by_block() -> None:
    prediction = prediction_of(plain_model().codec, 0, 60.0)
    target = noisy(noisy(prediction.picture, 4.0), 120.0, slice(2, None), seed=9)
    skip = chosen(prediction, target)
    assert bool(skip[..., :2].all())
    assert not bool(skip[..., 2:].any())


def test_a_map_that_costs_more_than_it_wins_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = prediction_of(plain_model().codec, 0, 60.0)
    target = noisy(prediction.picture, 4.0)
    mixed = noisy(target, 120.0, slice(2, None), seed=9)
    monkeypatch.setattr(block_choice, "BORDER_BITS", 1e6)
    assert bool(chosen(prediction, target).all())
    assert not bool(chosen(prediction, mixed).any())
    monkeypatch.setattr(block_choice, "MAP_BITS", 1e6)
    assert not bool(chosen(prediction, target).any())


def test_what_is_fine_at_one_quality_is_too_coarse_at_another() -> None:
    codec = plain_model().codec
    skips = []
    for quality in (20.0, 95.0):
        prediction = prediction_of(codec, 0, quality)
        skips.append(float(chosen(prediction, noisy(prediction.picture, 12.0)).mean()))
    assert skips == [1.0, 0.0]


def test_between_samples_less_is_skipped() -> None:
    """Interpolating again and again blurs, copying does not."""
    prediction = prediction_of(plain_model().codec, 0, 60.0)
    counts = []
    for vector in (8, 5):
        skips = [chosen(prediction, noisy(prediction.picture, size), vector) for size in np.linspace(4, 60, 15)]
        counts.append(sum(float(skip.sum()) for skip in skips))
    assert counts[0] > counts[1] > 0


def test_the_choice_for_a_batch_is_the_choice_for_each() -> None:
    codec = plain_model().codec
    parts = [prediction_of(codec, seed, quality) for seed, quality in ((0, 30.0), (1, 60.0), (2, 95.0))]
    targets = [noisy(part.picture, size) for part, size in zip(parts, (16.0, 120.0, 2.0), strict=True)]
    both = replace(
        parts[0],
        past=Memory.join([part.past for part in parts]),
        quality=torch.cat([part.quality for part in parts]),
    )
    skip = chosen(both, Picture(*(torch.cat(planes) for planes in zip(*targets, strict=True))))
    for index, (part, target) in enumerate(zip(parts, targets, strict=True)):
        assert torch.equal(skip[index : index + 1], chosen(part, target))
    assert 0 < float(skip.mean()) < 1


def blocks_of(skip: torch.Tensor) -> Blocks:
    return Blocks(skip, 1.0 - skip, torch.zeros(len(skip), 384, *skip.shape[2:]))


@pytest.mark.parametrize("vector", [0, 2])
def test_what_coding_makes_worse_is_skipped_after_all(vector: int) -> None:
    """Or not better enough; what is skipped already stays so."""
    prediction = prediction_of(plain_model().codec, 0, 90.0)
    target, is_whole = noisy(prediction.picture, 8.0), torch.full((1, HEIGHT // 8, WIDTH // 8), vector % 4 == 0)

    def nearer(share: float, picture: Picture) -> torch.Tensor:
        """So much of the squared error is left."""
        return picture.y + (1 - share**0.5) * (target.y - picture.y)

    better, slightly = (nearer(share, prediction.picture) for share in (0.5, 0.95))
    worse = noisy(prediction.picture, 20.0, seed=4).y
    edges = torch.arange(WIDTH) // 16
    y = torch.where(edges < 2, better, torch.where(edges < 4, slightly, worse))
    skip = torch.zeros(1, 1, HEIGHT // 16, WIDTH // 16)
    skip[..., 0, 0] = 1
    coded = Picture(y, prediction.picture.uv)
    undone = undone_blocks(prediction, is_whole, target, coded, blocks_of(skip), 1000.0)
    assert undone is not None
    assert undone.skip[0, 0, 1:].tolist() == [[0, 0, vector == 0, vector == 0, 1, 1]] * (HEIGHT // 16 - 1)
    assert undone.skip[0, 0, 0].tolist() == [1, 0, vector == 0, vector == 0, 1, 1]
    assert torch.equal(undone.sizes, 1 - undone.skip)


def test_errors_of_blocks_compiled_are_the_same() -> None:
    picture = prediction_of(plain_model().codec, 0, 90.0).picture
    other = noisy(noisy(picture, 20.0), 60.0, slice(3, None))
    found, wanted = both(lambda: block_choice._squared_errors(picture, other))
    assert torch.allclose(found, wanted, rtol=1e-4)
    assert float(found.min()) > 0


def test_nothing_is_coded_again_for_little() -> None:
    prediction = prediction_of(plain_model().codec, 0, 90.0)
    target, is_whole = noisy(prediction.picture, 8.0), torch.ones(1, HEIGHT // 8, WIDTH // 8, dtype=torch.bool)
    worse, skip = noisy(prediction.picture, 12.0, seed=4), torch.zeros(1, 1, HEIGHT // 16, WIDTH // 16)
    assert undone_blocks(prediction, is_whole, target, worse, blocks_of(skip), 1000.0) is not None
    assert undone_blocks(prediction, is_whole, target, worse, blocks_of(skip), 1e9) is None
    assert undone_blocks(prediction, is_whole, target, target, blocks_of(skip), 1000.0) is None


class Page(FrameList):
    """A page of letters, a piece of which moves down beside where it stands."""

    def __init__(self, frames: int) -> None:
        self.info, self.frames = clip_info(192, 128, frames), page(frames)


def page(frames: int) -> list[Frame]:
    random, (width, height) = np.random.default_rng(3), (192, 128)
    still = np.full((height, width), 235, np.uint16)
    for y in range(6, height - 8, 12):
        for x in range(6, width - 8, 7):
            still[y : y + 8, x : x + 5] = np.where(random.random((8, 5)) < 0.5, 20, 235)
    grey, shown = np.full((height // 2, width // 2), 128, np.uint16), []
    for n in range(frames):
        luma = still.copy()
        luma[8 + 2 * n : 40 + 2 * n, 120:168] = still[8:40, 16:64]
        shown.append(Frame([luma, grey, grey.copy()], n, 1))
    return shown


def test_what_stands_still_does_not_get_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are coded again where that takes less, and the page beside what moves stays as good as it was."""
    source, results, model = Page(7), [], find_model(None)
    for undo in (block_choice.undone_blocks, lambda *_: None):
        monkeypatch.setattr(encoder_picture, "undone_blocks", undo)
        sink = io.BytesIO()
        settings = EncoderSettings(quality=80, ablate=frozenset(["nobetween"]))
        size = encode_stream(source, sink, model=model, settings=settings)
        sink.seek(0)
        decoded = [frame for frame in Decoder(sink, load_model=lambda _: model) if isinstance(frame, Frame)]
        still = [
            (a.planes[0].astype(float) - b.planes[0])[:, :112] for a, b in zip(source.frames, decoded, strict=True)
        ]
        results.append((size.bytes, [float(np.square(each).mean()) for each in still]))
    (size_now, errors), (size_before, errors_before) = results
    assert size_now < 0.995 * size_before
    assert errors[-1] < 1.01 * errors_before[-1]
    assert all(after < 1.005 * before for before, after in itertools.pairwise(errors))
    assert not all(after < 1.005 * before for before, after in itertools.pairwise(errors_before))
