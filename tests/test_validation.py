"""Rate-distortion points of clips of any size."""

import math
from pathlib import Path

import pytest
import torch

from lvc.model.codec import FrameCodec
from lvc.model.config import config_named
from lvc.training.data import load_clip
from lvc.training.rate import HyperTables
from lvc.training.validate import picture_of, validate
from tests.clips import make_clip

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("size", [(16, 34), (18, 16), (70, 30)])
def test_small_clips_are_padded(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    make_clip(tmp_path / "small.y4m", "pan", width=width, height=height, frames=2)
    clip = load_clip(tmp_path / "small.y4m")
    picture = picture_of(clip, 1, "cpu")
    expected = (1, 1, 32, max(32, width // 32 * 32))
    assert tuple(picture.y.shape) == expected
    assert tuple(picture.uv.shape) == (1, 2, expected[2] // 2, expected[3] // 2)
    if height < 32:
        assert torch.equal(
            picture.y[:, :, height:], picture.y[:, :, height - 1 : height].expand(-1, -1, 32 - height, -1)
        )
    torch.manual_seed(1)
    codec = FrameCodec(config_named("tiny"))
    assert math.isfinite(validate(codec, HyperTables(), [clip], torch.device("cpu"))["score"])
