"""Checkpoints of trainings: complete, and refused in one sentence where they are not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lvc.errors import ModelError
from lvc.training.data import CropSampler, load_folder
from lvc.training.loop import Trainer
from tests.clips import make_clip
from tests.trainings import SHORT, equal, settings_in, state_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "mix.y4m", "mix", width=96, height=96, frames=6)
    return folder


class KilledError(Exception):
    """As a kill would."""


def test_a_training_with_codebooks_goes_on_as_if_it_had_not_ended(tmp_path: Path, clips: Path) -> None:
    """With averages, badly served vectors and steps of the codebooks, and the score of the last validation."""
    schedule = replace(SHORT, vector_from=0.0, fake_from=0.5)
    first, second = tmp_path / "whole.ckpt", tmp_path / "halves.ckpt"
    Trainer(settings_in(tmp_path, clips, checkpoint=first, schedule=schedule, steps=6)).run()
    settings = settings_in(tmp_path, clips, checkpoint=second, schedule=schedule, steps=6, save_minutes=0.0)

    def stop(trainer: Trainer, row: dict[str, Any]) -> None:
        trainer.validated = 1.25
        if trainer.step == 4:
            raise KilledError

    with pytest.raises(KilledError):
        Trainer(settings).run(stop)
    assert state_of(second)["step"] == 3
    resumed = Trainer(settings)
    resumed.run()
    assert resumed.validated == 1.25
    whole, halves = state_of(first), state_of(second)
    assert whole["averages"]["step"] == 6
    for key in whole.keys() - {"validated"}:
        assert equal(whole[key], halves[key]), key


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, clips: Path) -> None:
    settings = settings_in(tmp_path, clips, steps=1, schedule=replace(SHORT, vector_from=0.0))
    Trainer(settings).run()
    path = settings.checkpoint
    good = torch.load(path, weights_only=True)
    moments = {
        **good["optimiser"],
        "state": {k: {**v, "exp_avg": torch.zeros(1, 7)} for k, v in good["optimiser"]["state"].items()},
    }
    entries, counts, low = good["codebooks"][0][0]
    shorter = [[(entries, counts[1:], low), *good["codebooks"][0][1:]], good["codebooks"][1]]
    cases: list[Any] = [torch.zeros(3), [1], {}, {"size": "tiny"}]
    cases += [{name: value for name, value in good.items() if name != left_out} for left_out in ("step", "balance")]
    for changed in (
        {"learner": {"codec.nothing": torch.zeros(1)}},
        {"optimiser": {"state": {}, "param_groups": []}},
        {"optimiser": moments},
        {"random": "{}"},
        {"torch_random": torch.zeros(3, dtype=torch.uint8)},
        {"balance": torch.zeros(3)},
        {"origin": [1]},
        {"codebooks": [[]]},
        {"codebooks": shorter},
        {"averages": {"step": 1, "averages": [[], []]}},
    ):
        cases.append({**good, **changed})
    trainer = Trainer(settings)
    trainer.sampler = CropSampler(load_folder(clips), [], settings.crop, 1)
    for case in cases:
        torch.save(case, path)
        with pytest.raises(ModelError, match=r"model\.ckpt is (no|a damaged) checkpoint"):
            trainer.load(path, weights_only=False)
    path.unlink()
    path.mkdir()
    with pytest.raises(ModelError, match=r"model\.ckpt: Is a directory"):
        trainer.load(path, weights_only=False)
