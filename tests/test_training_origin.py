"""A training goes on only with the settings that it was begun with."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lvc.errors import ModelError
from lvc.training.command import train
from lvc.training.loop import Trainer
from lvc.training.origin import OtherOriginError
from lvc.training.settings import TrainingSettings
from tests.clips import make_clip
from tests.command_line import run
from tests.trainings import settings_in, state_of

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = ["--size", "tiny", "--batch", "1", "--crop", "64", "--device", "cpu", "--threads", "1"]


def other_clips(folder: Path) -> Path:
    """With the names and sizes of those of the fixture."""
    folder.mkdir()
    for kind in ("mix", "textures"):
        make_clip(folder / f"{kind}.y4m", "noise", width=96, height=96, frames=8)
    return folder


def begun(folder: Path, clips: Path, **changes: Any) -> Path:
    """A checkpoint after one step."""
    settings = settings_in(folder, clips, steps=1, **changes)
    Trainer(settings).run()
    return settings.checkpoint


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> bytes:
    """Such a checkpoint."""
    return begun(tmp_path_factory.mktemp("begun"), clips).read_bytes()


@pytest.fixture
def path(tmp_path: Path, kept: bytes) -> Path:
    """Where it lies."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(kept)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: {"batch": 2}, "was begun with --batch 1 instead of 2. "),
        (
            lambda folder: {"crop": 96, "seed": 7},
            "was begun with --crop 64 instead of 96, with --seed 1 instead of 7. ",
        ),
        (lambda folder: {"only": "intra"}, "was begun without --only. "),
        (lambda folder: {"size": "lite"}, "was begun with --size tiny instead of lite. "),
        (lambda folder: {"clips": other_clips(folder)}, "was begun with other clips. "),
        (lambda folder: {"stills": other_clips(folder)}, "was begun without --stills. "),
        (lambda folder: {"start_from": folder.parent / "model.ckpt"}, "was begun without --start-from. "),
    ],
)
def test_other_settings_are_refused(
    tmp_path: Path, clips: Path, path: Path, kept: bytes, change: Callable[[Path], dict[str, Any]], said: str
) -> None:
    """By name, with what can be done instead; the checkpoint stays."""
    changes = {"clips": clips} | change(tmp_path / "other")
    with pytest.raises(OtherOriginError) as refused:
        Trainer(settings_in(tmp_path, steps=2, **changes)).run(lambda *_: pytest.fail("a step was made"))
    assert f"{path} {said}" in str(refused.value)
    assert "begins anew" in str(refused.value)
    assert path.read_bytes() == kept


def test_what_is_started_from_is_compared_by_content(tmp_path: Path, clips: Path) -> None:
    start = tmp_path / "start.ckpt"
    Trainer(settings_in(tmp_path, clips, checkpoint=start)).save()
    begun(tmp_path, clips, start_from=start, only="inter")
    moved = start.rename(tmp_path / "moved.ckpt")
    Trainer(settings_in(tmp_path, clips, steps=2, start_from=moved, only="inter")).run()
    Trainer(settings_in(tmp_path, clips, seed=2, checkpoint=moved)).save()
    with pytest.raises(OtherOriginError, match="begun with another --start-from"):
        Trainer(settings_in(tmp_path, clips, steps=2, start_from=moved, only="inter")).run()
    with pytest.raises(OtherOriginError, match="begun with another --start-from, with --only inter"):
        Trainer(settings_in(tmp_path, clips, steps=2, start_from=start_of(tmp_path, clips))).run()


def test_what_was_started_from_may_be_gone(tmp_path: Path, clips: Path) -> None:
    """Or be the model that the training has written; a new one needs it."""
    start, other = tmp_path / "m.lvcm", tmp_path / "other.ckpt"
    Trainer(settings_in(tmp_path, clips, checkpoint=start)).save()
    settings = settings_in(tmp_path, clips, steps=1, start_from=start, output=start)
    Trainer(settings).run()
    origin = state_of(settings.checkpoint)["origin"]
    start.write_bytes(b"a model")
    Trainer(replace(settings, steps=2)).run()
    with pytest.raises(OtherOriginError, match="begun with another --start-from"):
        Trainer(replace(settings, steps=3, output=tmp_path / "n.lvcm")).run()
    start.unlink()
    Trainer(replace(settings, steps=3)).run()
    state = state_of(settings.checkpoint)
    assert (state["step"], state["origin"]) == (3, origin)
    with pytest.raises(ModelError, match=f"{start}: No such file"):
        Trainer(replace(settings, checkpoint=other)).run()
    Trainer(settings_in(tmp_path, clips, checkpoint=other)).run()
    with pytest.raises(ModelError, match=f"{start}: No such file"):  # it was begun without
        Trainer(replace(settings, checkpoint=other)).run()


def test_the_command_tells_where_it_replaces_what_it_starts_from(
    tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.lvcm"
    result = run("train", clips, "-o", output, "--start-from", output, "-y", "--steps", "1", *OPTIONS)
    assert result.exit_code == 6
    assert f"{output}: No such file" in result.stderr
    told: list[TrainingSettings] = []
    monkeypatch.setattr(Trainer, "run", lambda trainer: told.append(trainer.settings))
    monkeypatch.setattr("lvc.training.command.finish", lambda *_: None)
    train(clips, output, start_from=output, size="tiny", device="cpu")
    assert told[0].start_from == told[0].output == output


def start_of(folder: Path, clips: Path) -> Path:
    path = folder / "new.ckpt"
    Trainer(settings_in(folder, clips, seed=3, checkpoint=path)).save()
    return path


def test_what_may_be_others(tmp_path: Path, clips: Path, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The length, the clips for validation, and where the clips lie; how far it was is told."""
    caplog.set_level(logging.INFO, "lvc")
    begun(tmp_path, clips, checkpoint=tmp_path / "new.ckpt")
    assert not caplog.messages
    moved = tmp_path / "moved"
    moved.symlink_to(clips)
    trainer = Trainer(settings_in(tmp_path, moved, steps=3, validation=clips))
    trainer.run()
    assert trainer.step == 3
    assert caplog.messages == [f"{path} goes on from step 1"]
    caplog.clear()
    Trainer(settings_in(tmp_path, clips, steps=3)).run()
    (message,) = caplog.messages
    assert message.startswith(f"{path} is finished after 3 steps: only codebooks and tables are fitted")
    assert "--steps" in message
    caplog.clear()
    Trainer(settings_in(tmp_path, clips, steps=4)).run()
    assert caplog.messages == [f"{path} goes on from step 3"]


def test_checkpoints_without_settings_go_on(tmp_path: Path, clips: Path, path: Path) -> None:
    """Those that earlier versions wrote, or that were put together; from there on their settings are kept."""
    state = torch.load(path, weights_only=True)
    del state["origin"]
    torch.save(state, path)
    Trainer(settings_in(tmp_path, clips, steps=2, batch=2)).run()
    assert state_of(path)["step"] == 2
    with pytest.raises(OtherOriginError, match="--batch 2 instead of 1"):
        Trainer(settings_in(tmp_path, clips, steps=3)).run()
    Trainer(settings_in(tmp_path, clips)).save()
    Trainer(settings_in(tmp_path, clips, steps=1, batch=2)).run()


def test_the_command_refuses_them_as_wrong_usage(tmp_path: Path, clips: Path, path: Path) -> None:
    arguments = ["train", clips, "-o", tmp_path / "model.lvcm", "--steps", "2", *OPTIONS]
    arguments[arguments.index("--batch") + 1] = "3"
    result = run(*arguments)
    assert result.exit_code == 2
    assert f"Error: {path} was begun with --batch 1 instead of 3. " in result.stderr
    result = run(*arguments, "--json")
    event = json.loads(result.stdout.splitlines()[-1])
    assert (event["type"], event["status"]) == ("error", 2)
    assert event["message"].startswith(f"{path} was begun with --batch 1 instead of 3. ")
    assert not (tmp_path / "model.lvcm").exists()


def test_all_processes_refuse_them(tmp_path: Path, clips: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one tells the others, so that none waits for it."""
    told: list[Any] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, broadcast in (("0", lambda box, _: told.extend(box)), ("1", lambda box, _: box.__setitem__(0, told[0]))):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setattr("torch.distributed.broadcast_object_list", broadcast)
        with pytest.raises(OtherOriginError, match="--batch 1 instead of 2"):
            Trainer(settings_in(tmp_path, clips, steps=2, batch=2)).run()
