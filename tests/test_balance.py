"""Costs that are not finite leave a training as it was, and end it where no others come."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lvc.errors import LvcError
from lvc.training import loop
from lvc.training.balance import Balance
from lvc.training.loop import Trainer
from tests.clips import make_clip
from tests.trainings import settings_in

pytestmark = pytest.mark.usefixtures("one_thread")


def test_costs_that_are_not_finite_are_kept_out_of_the_averages() -> None:
    balance = Balance()
    quality = torch.tensor([10.0, 10.0, 90.0])
    balance.weight(0, quality, torch.tensor([4.0, torch.nan, torch.inf]))
    assert balance.level[0, [0, 8]].tolist() == [4.0, 0.0]
    balance.weight(0, quality, torch.tensor([torch.nan, torch.nan, 2.0]))
    assert balance.level[0, [0, 8]].tolist() == [4.0, 2.0]


def test_a_training_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "mix.y4m", "mix", width=64, height=64, frames=8)
    monkeypatch.setattr(loop, "LEFT_OUT_AT_MOST", 3)
    trainer = Trainer(settings_in(tmp_path, tmp_path, steps=9))
    rows: list[dict[str, Any]] = []

    def spoil(trainer: Trainer, row: dict[str, Any]) -> None:
        rows.append(row)
        with torch.no_grad():
            next(trainer.learner.codec.intra.parameters()).fill_(torch.nan)

    with pytest.raises(LvcError, match="the last 3 steps had gradients that are not finite"):
        trainer.run(spoil)
    assert [row["left_out"] for row in rows] == [0, 1, 2]
    assert rows[-1]["norm"] is None
    json.dumps(rows, allow_nan=False)
    assert bool(torch.isfinite(trainer.balance.level).all())
