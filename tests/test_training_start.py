"""What is refused before a training reads a clip, and what ``lvc train`` says of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lvc.errors import InputError, LvcError, ModelError
from lvc.model.config import CONFIGS
from lvc.model.prediction import ALIGN
from lvc.training.loop import Trainer
from lvc.training.settings import CROP_UNIT, LEAST_CROP, MOST_CROP, SAVE_MINUTES, SIZES
from tests.command_line import run
from tests.trainings import settings_in

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvc.training.loop.load_folder", lambda *_, **__: pytest.fail("clips are read"))


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(
    ("option", "content", "error"),
    [
        ("start_from", b"no model", ModelError),
        ("checkpoint", b"no checkpoint", ModelError),
        ("validation", None, InputError),
        ("stills", None, InputError),
        ("clips", None, InputError),
    ],
)
def test_what_is_refused_before_clips_are_read(
    tmp_path: Path, clips: Path, option: str, content: bytes | None, error: type[LvcError]
) -> None:
    """Files that are none of ours, and folders without a clip."""
    path = tmp_path / "other.ckpt"
    changes: dict[str, Any] = {"clips": clips, option: path}
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(error, match=str(path)):
        Trainer(replace(settings_in(tmp_path, clips), **changes)).run()


@pytest.mark.usefixtures("unread")
def test_a_damaged_checkpoint_is_refused_before_clips_are_read(tmp_path: Path, clips: Path) -> None:
    settings = settings_in(tmp_path, clips)
    Trainer(settings).save()
    state = torch.load(settings.checkpoint, weights_only=True)
    torch.save({**state, "random": "{}"}, settings.checkpoint)
    with pytest.raises(ModelError, match="damaged"):
        Trainer(settings).run()


def test_settings_repeat_what_takes_long_to_import() -> None:
    assert tuple(CONFIGS) == SIZES
    assert CROP_UNIT == ALIGN
    assert LEAST_CROP % ALIGN == MOST_CROP % ALIGN == 0


def test_help() -> None:
    """Names the sizes and when a checkpoint is written."""
    text = " ".join(run("train", "--help").stdout.split())
    assert tuple(CONFIGS) == SIZES
    assert "--size [" + "|".join(CONFIGS) + "]" in text
    assert f"every {SAVE_MINUTES:g} minutes" in text
