"""Groups whose chroma is coarser than their luma."""

import io

import numpy as np
import pytest
import torch

from lvc.container import GopChunk, Reader
from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream, group
from lvc.encoder.chroma_choice import MOST_DROP, choose_chroma_drop
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model.chroma import DROP_MAX, code_chroma_drop
from lvc.model.prediction import Prediction
from lvc.model.transform import chroma_latents
from lvc.rangecoder import RangeDecoder, RangeEncoder
from lvc.video import Frame, Plane
from tests.clips import FrameList, clip_info
from tests.models import plain_model, tiny_model

WIDTH, HEIGHT = 64, 48


class Source(FrameList):
    """Frames of this size, which follow each other."""

    def __init__(self, pictures: list[list[Plane]]) -> None:
        self.info = clip_info(WIDTH, HEIGHT, len(pictures))
        self.warnings: list[str] = []
        self.frames = [Frame(planes, pts, 1) for pts, planes in enumerate(pictures)]


def noise(grey: float, colours: float, seed: int = 1) -> list[Plane]:
    """Of so many grey levels in luma and in chroma."""
    random = np.random.default_rng(seed)
    shapes = (HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2)
    return [
        (128 + random.normal(0, deviation, shape)).clip(16, 235).astype(np.uint16)
        for shape, deviation in zip(shapes, (grey, colours, colours), strict=True)
    ]


@pytest.mark.parametrize("drop", range(DROP_MAX + 1))
def test_every_drop_comes_back(drop: int) -> None:
    encoder = RangeEncoder()
    assert code_chroma_drop(encoder, drop) == drop
    assert encoder.bits == 4
    assert code_chroma_drop(RangeDecoder(encoder.finish()), None) == drop


@pytest.mark.parametrize("intra", [True, False])
def test_steps_are_those_of_a_lower_quality(intra: bool) -> None:
    """As the description says: chroma from its own row of the table, one at least; luma from the picture's."""
    codec = tiny_model().codec
    memory = codec.nothing(3, (32, 32), torch.device("cpu"))
    qualities, drops = [60, 60, 5], [0, 9, 12]
    prediction = Prediction(memory, torch.tensor(qualities).float(), intra, chroma_drop=torch.tensor(drops))
    steps = codec.step_of(prediction)[:, :, 0, 0]
    for found, quality, drop in zip(steps, qualities, drops, strict=True):
        for latent, is_chroma in enumerate(chroma_latents().tolist()):
            row = max(1, quality - drop) if is_chroma else quality
            assert int(found[latent]) == int(codec.steps.table[0 if intra else 1, row - 1, latent])


def test_levels_and_drops_add_up() -> None:
    codec = tiny_model().codec
    levels = torch.tensor([[0, 3], [-2, 0]]).view(1, 1, 2, 2)
    memory = codec.nothing(1, (32, 32), torch.device("cpu"))
    prediction = Prediction(memory, torch.tensor([50.0]), True, levels=levels, chroma_drop=torch.tensor([7]))
    steps = codec.step_of(prediction)
    chroma = chroma_latents()
    for y, x in np.ndindex(2, 2):
        quality = 50 + 4 * int(levels[0, 0, y, x])
        assert torch.equal(steps[0, ~chroma, y, x].int(), codec.steps.table[0, quality - 1][~chroma])
        assert torch.equal(steps[0, chroma, y, x].int(), codec.steps.table[0, quality - 8][chroma])


@pytest.mark.parametrize(
    ("errors", "drop"),
    [
        ((1.0, 0.1, 0.1), 0),  # 10 dB better: fine
        ((1.0, 10**-0.5, 10**-0.5), 0),
        ((1.0, 10**-0.3, 10**-0.3), 5),
        ((1.0, 10**-0.1, 10**-0.5), 5),  # the mean of decibels counts
        ((1.0, 1.0, 1.0), 12),
        ((1.0, 100.0, 100.0), MOST_DROP),
        ((1.0, 0.0, 0.0), 0),  # no colours at all
        ((0.0, 1.0, 1.0), 0),
    ],
)
def test_the_choice(errors: tuple[float, float, float], drop: int) -> None:
    """Planes that miss the source by these mean squared errors."""
    source: list[Plane] = [np.full((8, 8), 500, np.uint16) for _ in errors]
    random = np.random.default_rng(1)
    decoded = []
    for plane, error in zip(source, errors, strict=True):
        miss = np.sqrt(error * 1000) * random.choice((-1, 1), plane.shape)
        decoded.append((plane + miss.round()).astype(np.uint16))
    assert abs(choose_chroma_drop(source, decoded) - drop) <= (1 if 0 < drop < MOST_DROP else 0)


@pytest.mark.parametrize("batch", [1, 4])
def test_groups_with_and_without(batch: int) -> None:
    """Decoders follow, also where the groups of a batch differ; and the bytes go to luma."""
    model = plain_model()
    source = Source(2 * [*[noise(40, 1)] * 3, *[noise(3, 60)] * 3])
    sink = io.BytesIO()
    encode_stream(source, sink, model=model, settings=EncoderSettings(quality=40, keyint=3, scene_cuts=False))
    sink.seek(0)
    groups = [item.gop for item in Reader(sink) if isinstance(item, GopChunk)]
    drops = [code_chroma_drop(RangeDecoder(gop.frames[0].payload), None) for gop in groups]
    assert drops[0] == drops[2] == 0
    assert drops[1] == drops[3] > 0
    sink.seek(0)
    frames = [item for item in Decoder(sink, load_model=lambda _: model, batch=batch) if isinstance(item, Frame)]
    assert len(frames) == 12  # each compared with its checksum


@pytest.mark.parametrize("tune", ["psnr", "ssim"])
def test_it_makes_files_smaller(tune: str) -> None:
    """Whatever pictures are to be alike in, unless it is switched off; luma keeps its quality."""
    model, source = plain_model(), Source([noise(3, 60)])
    results = {}
    for ablate in ("", "nodrop"):
        settings = EncoderSettings(quality=40, tune=tune, ablate=frozenset({ablate}))
        coder = group.GroupEncoder(model, source.info, settings, torch.device("cpu"))
        with exact_arithmetic():
            (coded,) = coder.encode(source.frames[0]) + coder.finish()
        error = float(np.square(source.frames[0].planes[0].astype(float) - coded.planes[0]).mean())
        drop = code_chroma_drop(RangeDecoder(coded.record.payload), None)
        results[ablate] = drop, len(coded.record.payload), error
    assert results[""][0] > results["nodrop"][0] == 0
    assert results[""][1] < results["nodrop"][1]
    assert results[""][2] == pytest.approx(results["nodrop"][2], rel=0.02)
