"""What a GPU encodes, decodes and trains, by what everybody calls."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

import lvc
from lvc.training.command import train
from tests.clips import make_clip
from tests.models import tiny_bytes

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_its_pictures_are_those_of_a_cpu(tmp_path: Path) -> None:
    """Whoever has encoded."""
    model, clip = tmp_path / "tiny.lvcm", tmp_path / "clip.mkv"
    model.write_bytes(tiny_bytes())
    make_clip(clip, "mix", width=96, height=64, frames=10)
    for encoder in ("cpu", "cuda"):
        coded = io.BytesIO()
        lvc.encode(clip, coded, model=model, device=encoder)
        seen = []
        for decoder in ("cpu", "cuda"):
            coded.seek(0)
            with lvc.open(coded, model=model, device=decoder) as video:
                seen.append([frame.planes for frame in video])
        assert len(seen[0]) == 10
        for one, other in zip(*seen, strict=True):
            assert all(map(np.array_equal, one, other))


def test_a_training_becomes_a_model(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / "pan.mkv", "pan", width=96, height=96, frames=16)
    model = tmp_path / "new.lvcm"
    train(tmp_path / "clips", model, size="tiny", steps=2, batch=1, crop=64, fit_crops=2, device="cuda")
    coded = io.BytesIO()
    assert lvc.encode(tmp_path / "clips" / "pan.mkv", coded, model=model, device="cuda").frames == 16
