"""Short trainings of tiny models, for tests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lvc.training.schedule import Schedule
from lvc.training.settings import TrainingSettings

ROOT = Path(__file__).resolve().parent.parent
SIDE, FRAMES = 96, 8
SHORT = Schedule(stages=((0.0, 1), (0.3, 2), (0.7, 3)), pieces=(1,), warm_steps=3)


def settings_in(folder: Path, clips: Path, **changes: Any) -> TrainingSettings:
    settings = TrainingSettings(
        clips, folder / "model.ckpt", size="tiny", steps=9, batch=1, crop=64, fit_crops=2, schedule=SHORT
    )
    return replace(settings, **changes)


def state_of(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, weights_only=True)
    del state["elapsed"]
    return state


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
