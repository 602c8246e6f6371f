"""Training: it learns, goes on as if it had not ended, and becomes one model."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lvc.encoder import run_choice
from lvc.errors import OutputError
from lvc.exact.layers import exact_layers, set_fake
from lvc.training.data import CropSampler, load_folder
from lvc.training.fit import collect
from lvc.training.loop import Trainer
from lvc.training.loss import run_sequence
from lvc.training.schedule import Schedule
from lvc.training.vector import VectorCoder
from tests.models import tiny_model
from tests.trainings import FRAMES, ROOT, SHORT, equal, settings_in, state_of

pytestmark = pytest.mark.usefixtures("one_thread")


def cost_of(trainer: Trainer, clips: Path) -> float:
    """Mean binary logarithm of the Lagrangian on fixed pictures, intra and predicted."""
    torch.manual_seed(0)
    pictures = CropSampler(load_folder(clips), [], 64, 99).batch(4, 3)
    quality = torch.tensor([20.0, 40.0, 60.0, 80.0])
    set_fake(trainer.learner, on=False)
    with torch.no_grad():
        costs = run_sequence(trainer.learner.codec, trainer.learner.tables, pictures, [quality] * 3)
    return float(torch.stack([cost.lagrangian(quality).log2().mean() for cost in costs]).mean())


def test_the_loss_falls(tmp_path: Path, clips: Path) -> None:
    start = Trainer(settings_in(tmp_path, clips, checkpoint=tmp_path / "start.ckpt"))
    start.save()
    schedule = Schedule(peak=4e-3, stages=((0.0, 1), (0.1, 2)), alone=0.0, pieces=(1,), warm_steps=5)
    settings = settings_in(tmp_path, clips, steps=30, schedule=schedule, start_from=start.settings.checkpoint)
    trainer = Trainer(settings)
    rows: list[dict[str, Any]] = []
    trainer.run(lambda _, row: rows.append(row))
    # binary logarithms: a good deal lower
    assert cost_of(trainer, clips) < cost_of(start, clips) - 0.1
    assert [row["step"] for row in rows] == list(range(1, 31))
    assert rows[-1]["progress"] == 1
    assert [row["frames"] for row in rows] == [1] * 3 + [2] * 27
    assert rows[0]["inter"] is None
    lines = (tmp_path / "model.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail)["step"] for line in lines] == [20, 30]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from lvc.training.loop import Trainer
from tests.trainings import settings_in
torch.set_num_threads(1)
def on_step(trainer, row):
    if trainer.step == 7:  # step 6 is the last one that was saved
        os.kill(os.getpid(), signal.SIGKILL)
Trainer(settings_in(Path(sys.argv[1]), Path(sys.argv[2]), save_minutes=0.0)).run(on_step)
"""


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "whole").mkdir()
    Trainer(settings_in(tmp_path / "whole", clips)).run()
    (tmp_path / "killed").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "killed", clips], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert state_of(tmp_path / "killed" / "model.ckpt")["step"] == 6
    trainer = Trainer(settings_in(tmp_path / "killed", clips))
    steps: list[int] = []
    trainer.run(lambda _, row: steps.append(row["step"]))
    assert steps == [7, 8, 9]
    whole, killed = state_of(tmp_path / "whole" / "model.ckpt"), state_of(tmp_path / "killed" / "model.ckpt")
    for key in whole:
        assert equal(whole[key], killed[key]), key
    assert not equal(whole["learner"], state_of_start(tmp_path, clips))
    Trainer(settings_in(tmp_path / "killed", clips)).run(lambda *_: pytest.fail("there is nothing left to do"))


def test_an_interrupt_loses_nothing(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between steps and within one a checkpoint is written; only half of an optimiser's step would not be one."""
    trainer = Trainer(settings_in(tmp_path, clips))

    def interrupt(trainer: Trainer, row: dict[str, Any]) -> None:
        if trainer.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.run(interrupt)
    assert state_of(tmp_path / "model.ckpt")["step"] == 4
    trainer = Trainer(settings_in(tmp_path, clips))
    forward = trainer.learner.forward

    def ended(*arguments: Any) -> Any:
        if trainer.step == 6:
            raise SystemExit(143)
        return forward(*arguments)

    monkeypatch.setattr(trainer.learner, "forward", ended)
    with pytest.raises(SystemExit):
        trainer.run()
    before = (tmp_path / "model.ckpt").read_bytes()
    assert state_of(tmp_path / "model.ckpt")["step"] == 6
    trainer = Trainer(settings_in(tmp_path, clips))
    step = trainer.optimiser.step

    def half(*arguments: Any) -> None:
        step(*arguments)
        if trainer.step == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer.optimiser, "step", half)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert (tmp_path / "model.ckpt").read_bytes() == before
    steps: list[int] = []
    Trainer(settings_in(tmp_path, clips)).run(lambda _, row: steps.append(row["step"]))
    assert steps == [7, 8, 9]


def state_of_start(tmp_path: Path, clips: Path) -> dict[str, Any]:
    trainer = Trainer(settings_in(tmp_path, clips))
    learner: dict[str, Any] = trainer.learner.state_dict()
    return learner


def test_other_processes_resume_with_crops_of_their_own(
    tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(settings_in(tmp_path, clips, steps=1)).run()
    states = []
    for rank in ("0", "1", "2"):
        monkeypatch.setenv("RANK", rank)
        trainer = Trainer(settings_in(tmp_path, clips, steps=1))
        trainer.run()
        assert trainer.sampler is not None
        assert trainer.step == 1
        states.append(json.dumps(trainer.sampler.random.bit_generator.state))
    assert len(set(states)) == 3


def test_weights_only(tmp_path: Path, clips: Path) -> None:
    first = Trainer(settings_in(tmp_path, clips, steps=2))
    first.run()
    other = replace(first.settings, checkpoint=tmp_path / "other.ckpt", start_from=first.settings.checkpoint, steps=3)
    trainer = Trainer(other)
    weights: list[torch.Tensor] = []
    honest = trainer._one_step

    def watched(learner: torch.nn.Module) -> dict[str, Any]:
        weights.append(trainer.learner.codec.start_state.detach().clone())
        weights.append(trainer.learner.codec.inter.hyper.decode.weight.detach().clone())
        return honest(learner)

    trainer._one_step = watched  # type: ignore[method-assign]
    trainer.run()
    assert torch.equal(weights[1], first.learner.codec.inter.hyper.decode.weight)
    assert trainer.step == 3


def test_points_along_the_way(tmp_path: Path, clips: Path) -> None:
    trainer = Trainer(settings_in(tmp_path, clips, steps=2, validation=clips, validate_minutes=0.0))
    trainer.run()
    rows = [json.loads(line) for line in (tmp_path / "model.jsonl").read_text().splitlines()]
    assert [(row["type"], row["step"]) for row in rows] == [
        ("validation", 1),
        ("step", 2),
        ("validation", 2),
        ("validation", 2),
    ]
    assert trainer.validated == rows[-1]["score"]


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(settings_in(tmp_path, clips))
    trainer.save()
    before = (tmp_path / "model.ckpt").read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        trainer.save()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("model.ckpt", before)]


def test_two_halves_become_one_model(tmp_path: Path, clips: Path) -> None:
    """What intra pictures have for themselves is of one training, all else of the other, codebooks, too."""
    trainers = {}
    schedule = replace(SHORT, vector_from=0.5, fake_from=0.5)
    for only in ("intra", "inter"):
        path = tmp_path / f"{only}.ckpt"
        settings = settings_in(tmp_path, clips, only=only, checkpoint=path, steps=2, schedule=schedule.only(only))
        trainers[only] = Trainer(settings)
        trainers[only].run()
    whole = Trainer(settings_in(tmp_path, clips))
    whole.take_halves(tmp_path / "intra.ckpt", tmp_path / "inter.ckpt")
    intra, inter, both = (each.learner.state_dict() for each in (trainers["intra"], trainers["inter"], whole))
    for name, value in both.items():
        if name != "tables.logits":
            assert torch.equal(value, (intra if name.startswith("codec.intra.") else inter)[name]), name
    assert torch.equal(both["tables.logits"][0], intra["tables.logits"][0])
    assert torch.equal(both["tables.logits"][1], inter["tables.logits"][1])
    assert not torch.equal(intra["codec.intra.hyper.decode.weight"], inter["codec.intra.hyper.decode.weight"])
    assert whole.step == 4
    books = [each.codebooks.quantisers() for each in (*trainers.values(), whole) if each.codebooks is not None]
    assert len(books) == 3
    for kind in (0, 1):
        pairs = zip(books[kind][kind].books, books[2][kind].books, strict=True)
        assert all(np.array_equal(a.entries, b.entries) and np.array_equal(a.counts, b.counts) for a, b in pairs)
    whole.save()
    trainers["whole"] = Trainer(replace(whole.settings, steps=6, schedule=schedule))
    trainers["whole"].run()
    assert trainers["whole"].step == 6
    assert trainers["whole"].steps_in_run == 6


def test_pictures_that_are_coded_again_do_not_count(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders that are chosen at another quality would begin once more, with tables that count otherwise."""
    monkeypatch.setattr(run_choice, "run_cost", lambda *_: 1.0)
    counts = []
    for quality in (20, 80):
        monkeypatch.setattr(run_choice, "ORDER_QUALITY", quality)
        counts.append(collect(tiny_model(), load_folder(clips), 2).counts)
    pairs = [pair for rows in zip(*counts, strict=True) for pair in zip(*rows, strict=True)]
    assert any(a.any() for a, _ in pairs)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("only", ["intra", "inter"])
def test_only_one_kind_learns(tmp_path: Path, clips: Path, only: str) -> None:
    """Networks of the other kind, and what both share, stay as they are."""
    settings = settings_in(tmp_path, clips, steps=4, only=only, schedule=Schedule(pieces=(1,), warm_steps=1).only(only))
    trainer = Trainer(settings)
    before: dict[str, torch.Tensor] = {}

    def note(trainer: Trainer, row: dict[str, Any]) -> None:
        if row["step"] == 1:
            before.update({name: p.detach().clone() for name, p in trainer.learner.codec.named_parameters()})

    trainer.run(note)
    after = dict(trainer.learner.codec.named_parameters())
    changed = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert changed == ({"intra"} if only == "intra" else {"inter", "context"})


def test_long_sequences_in_training(tmp_path: Path, clips: Path) -> None:
    schedule = Schedule(stages=((0.0, 3),), pieces=(1, 3), pieces_from=0.3, warm_steps=3)
    rows: list[dict[str, Any]] = []
    Trainer(settings_in(tmp_path, clips, steps=20, schedule=schedule)).run(lambda _, row: rows.append(row))
    at = [row["at"] for row in rows]
    assert not any(at[:6])
    assert max(at) > 4
    assert all(0 in (a, b) or b > a for a, b in itertools.pairwise(at))
    assert max(at) < FRAMES


@pytest.mark.parametrize("is_new", [True, False])
def test_rounding_and_codebooks_begin_when_the_schedule_says(tmp_path: Path, clips: Path, is_new: bool) -> None:
    """With weights that have been trained before: at the first step."""
    schedule = Schedule(stages=((0.0, 1),), fake_from=0.4, vector_from=0.7)
    settings = settings_in(tmp_path, clips, steps=5, fit_crops=1, schedule=schedule)
    if not is_new:
        start = tmp_path / "start.ckpt"
        Trainer(replace(settings, checkpoint=start)).save()
        settings = replace(settings, steps=1, schedule=None, start_from=start)
    rounded, layers, books = [], [], []

    def note(trainer: Trainer, row: dict[str, Any]) -> None:
        rounded.append(trainer.rounded)
        layers.append({layer.fake for _, layer in exact_layers(trainer.learner)})
        coder = trainer.learner.make_coder(trainer.learner.tables, 1, trainer.device)
        books.append(isinstance(coder, VectorCoder) and coder.learner is trainer.codebooks and coder.learner.step)

    Trainer(settings).run(note)
    assert rounded == ([False, False, True, True, True] if is_new else [True])
    assert layers == [{each} for each in rounded]
    assert books == ([False, False, False, False, 1] if is_new else [1])  # as many steps have the codebooks learned
