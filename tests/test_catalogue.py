"""What is known of models without loading them."""

import io

import pytest

import lvc
from lvc import catalogue
from lvc.bench.stages import macs
from lvc.encoder import EncoderSettings, encode_stream
from lvc.model import Model, find_model
from lvc.model.config import CONFIGS
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import tiny_model

SIZE = (256, 128)


class Clip(FrameList):
    def __init__(self, count: int) -> None:
        self.frames = list(clip_frames("noise", *SIZE, count))
        self.info = clip_info(*SIZE, count)


def counted(model: Model, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """Multiply-accumulates per sample of decoding and encoding so many frames."""
    monkeypatch.setattr("lvc.model.model_for", lambda _: model)
    file = io.BytesIO()
    settings = EncoderSettings(preset="fast", ablate=frozenset({"nodrop"}))  # intra pictures once
    encoding = macs(lambda: encode_stream(Clip(count), file, model=model, settings=settings))

    def decode() -> None:
        with lvc.open(io.BytesIO(file.getvalue()), device="cpu", threads=1) as video:
            assert len(list(video)) == count

    samples = SIZE[0] * SIZE[1]
    return macs(decode) / samples, encoding / samples


@pytest.mark.parametrize("size", ["tiny", "lite"])
def test_costs_are_what_is_counted(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if size != "tiny" and size not in [info.name for info in catalogue.installed()]:
        pytest.skip("this model is not installed")
    model = tiny_model() if size == "tiny" else find_model(size)
    known = catalogue.MACS[size]
    counted(model, 1, monkeypatch)  # what is done once in a process is not to count
    one, three = counted(model, 1, monkeypatch), counted(model, 3, monkeypatch)
    assert (known.decode_intra, known.encode_intra) == pytest.approx(one, rel=0.02)
    predicted = [(b - a) / 2 for a, b in zip(one, three, strict=True)]
    assert (known.decode_predicted, known.encode_predicted) == pytest.approx(predicted, rel=0.02)


def test_costs_of_all_sizes_are_known() -> None:
    assert catalogue.MACS.keys() == CONFIGS.keys()
