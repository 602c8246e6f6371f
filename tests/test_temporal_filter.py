"""Pictures that are averaged with those around them before they are coded."""

import numpy as np
import pytest
import torch

from lvc.encoder import EncoderSettings
from lvc.encoder.around import REACH, Around, with_around
from lvc.encoder.group import GroupEncoder
from lvc.encoder.picture import CodedPicture, PictureEncoder, Task
from lvc.encoder.temporal_filter import WEIGHTS, filtered
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model.prediction import Picture
from lvc.video import Frame
from tests.clips import clip_frames, clip_info
from tests.models import tiny_model

SIDE, MARGIN, SIGMA = 96, 32, 12.0
QUALITY = torch.tensor([50.0])


def scene(shift: int, seed: int | None, level: float = 0.0) -> Picture:
    """Smooth noise, moved by so many samples, with fresh noise on top unless the seed is None."""
    random = torch.Generator().manual_seed(1)
    size = SIDE + 2 * MARGIN
    base = torch.nn.functional.interpolate(
        torch.rand(1, 3, size // 8, size // 8, generator=random) * 600 + 200, size=size, mode="bicubic"
    )
    planes = base[:, :, MARGIN : MARGIN + SIDE, MARGIN + shift : MARGIN + SIDE + shift]
    if seed is not None:
        planes = planes + SIGMA * torch.randn(planes.shape, generator=random.manual_seed(seed))
    planes = (planes + level).round().clamp(0, 1023)
    return Picture(planes[:, :1].contiguous(), planes[:, 1:, ::2, ::2].contiguous())


def error(one: Picture, other: Picture) -> list[float]:
    return [float((a - b).square().mean()) ** 0.5 for a, b in zip(one, other, strict=True)]


@pytest.mark.parametrize("shift", [0, 3])
def test_noise_goes_and_the_scene_stays(shift: int) -> None:
    """Where it moves, too. Of eight others and the picture, by their weights, noise is left with half its size."""
    around = [(abs(at), scene(at * shift, 10 + at)) for at in range(-REACH, REACH + 1) if at]
    noisy, clean = scene(0, 10), scene(0, None)
    found = filtered(noisy, around, QUALITY)
    for before, after in zip(error(noisy, clean), error(found, clean), strict=True):
        assert 0.8 * SIGMA < before < 1.2 * SIGMA
        assert after < 0.65 * before
    assert all(torch.equal(plane, plane.round()) for plane in found)
    assert min(float(plane.min()) for plane in found) >= 0
    assert max(float(plane.max()) for plane in found) <= 1023


def test_fewer_pictures_do_less() -> None:
    noisy, clean = scene(0, 10), scene(0, None)
    around = [(1, scene(0, 11)), (1, scene(0, 12)), (2, scene(0, 13)), (2, scene(0, 14))]
    left = [error(filtered(noisy, around[:count], QUALITY), clean)[0] for count in (0, 2, 4)]
    assert left == sorted(left, reverse=True)
    assert left[0] == error(noisy, clean)[0]


@pytest.mark.parametrize("quality", [1.0, 100.0])
def test_what_is_unlike_is_left_out(quality: float) -> None:
    """What is black; at the finest quality what is a little brighter, too."""
    picture, black = scene(0, None), scene(0, None, -1023.0)
    assert all(map(torch.equal, filtered(picture, [(1, black)] * 2, QUALITY), picture))
    near = filtered(picture, [(1, scene(0, None, 12.0))], torch.tensor([quality]))
    assert error(near, picture)[0] == pytest.approx(12 * WEIGHTS[0] / (1 + WEIGHTS[0]) if quality == 1 else 0, abs=0.5)


def test_what_has_no_noise_is_left_as_it_is() -> None:
    """A black half, whose neighbours are nearly black; not the other half."""
    picture, others = scene(0, 10), scene(0, 11)
    for plane, other in zip(picture, others, strict=True):
        half = plane.shape[-1] // 2
        plane[..., :half], other[..., :half] = 64, 67
    found = filtered(picture, [(1, others)], QUALITY)
    for plane, source in zip(found, picture, strict=True):
        half = plane.shape[-1] // 2
        assert (plane[..., : half - 2] == 64).all()
        assert (plane[..., half:] != source[..., half:]).float().mean() > 0.5


def averaged_with(
    monkeypatch: pytest.MonkeyPatch, kind: str, frames: int, **settings: object
) -> tuple[dict[int, tuple[int, int]], list[CodedPicture]]:
    """Positions of pictures that were averaged, and with how many before and behind; and all pictures."""
    seen: dict[int, tuple[int, int]] = {}
    original = PictureEncoder.code

    def noted(encoder: PictureEncoder, task: Task) -> CodedPicture:
        if task.around != Around():
            seen[task.step.position] = len(task.around.before), len(task.around.after)
        return original(encoder, task)

    monkeypatch.setattr(PictureEncoder, "code", noted)
    chosen = EncoderSettings(quality=50, **settings)  # type: ignore[arg-type]
    encoder = GroupEncoder(tiny_model(), clip_info(64, 48, frames), chosen, torch.device("cpu"))
    coded: list[CodedPicture] = []
    with exact_arithmetic():
        for pair in with_around(clip_frames(kind, 64, 48, frames)):
            coded += encoder.encode(*pair)
        coded += encoder.finish()
    return seen, coded


def test_intra_pictures_and_anchors_of_long_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no others; the anchor at the end has nothing behind it."""
    seen, coded = averaged_with(monkeypatch, "pan", 17)
    assert seen == {0: (0, REACH), 8: (REACH, REACH), 16: (REACH, 0)}
    assert coded[0].aim is not None
    assert all(picture.aim is None for picture in coded if picture.step.depth or picture.step.position % 8)


def test_groups_without_pictures_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of these the intra picture alone; with the fast preset not that either."""
    assert averaged_with(monkeypatch, "pan", 9, ablate=frozenset({"nobetween"}))[0] == {0: (0, REACH)}
    for settings in ({"preset": "fast"}, {"ablate": frozenset({"noaverage"})}):
        seen, coded = averaged_with(monkeypatch, "pan", 9, **settings)
        assert not seen
        assert all(picture.aim is None for picture in coded)


def test_what_is_flat_stays_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first picture is black, others nearly so."""
    chroma = np.full((24, 32), 128, np.uint16)
    frames = [Frame([np.full((48, 64), min(at, 1), np.uint16), chroma, chroma], at, 1) for at in range(3)]
    encoder = GroupEncoder(tiny_model(), clip_info(64, 48, 3), EncoderSettings(), torch.device("cpu"))
    with exact_arithmetic():
        (first,) = encoder.encode(frames[0], Around((), tuple(frames[1:]))) + encoder.finish()
    assert int(first.planes[0].max()) == 0


def test_files_are_smaller_by_what_noise_takes() -> None:
    """The same scene under fresh noise, thrice as long as a run."""
    random, (first, *_) = np.random.default_rng(3), list(clip_frames("textures", 96, 64, 1))
    frames = []
    for at in range(17):
        planes = [np.clip(p + np.round(random.normal(0, 3, p.shape)), 0, 255).astype(np.uint16) for p in first.planes]
        frames.append(Frame(planes, at, 1))

    def size(*ablate: str) -> int:
        settings = EncoderSettings(quality=45, ablate=frozenset(ablate))
        encoder = GroupEncoder(tiny_model(), clip_info(96, 64, 17), settings, torch.device("cpu"))
        with exact_arithmetic():
            for at, frame in enumerate(frames):
                encoder.encode(
                    frame, Around(tuple(frames[max(0, at - REACH) : at][::-1]), tuple(frames[at + 1 : at + 1 + REACH]))
                )
            encoder.finish()
        return encoder.gop.payload_bytes

    assert size() < 0.97 * size("noaverage")
