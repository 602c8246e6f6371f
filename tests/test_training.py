"""Training: it learns, survives a kill, and runs on several processes."""

import errno
import itertools
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lvc.cli import main
from lvc.container import BETWEEN, INTRA, PREDICTED, coding_order
from lvc.encoder import motion_search
from lvc.errors import InputError, ModelError, OutputError
from lvc.exact.layers import exact_layers, set_fake
from lvc.model import find_model
from lvc.model.codec import FrameCodec
from lvc.model.config import config_named
from lvc.model.prediction import Picture
from lvc.training.balance import Balance
from lvc.training.command import train
from lvc.training.data import CropSampler, load_clip, load_folder, to_picture
from lvc.training.loop import BETWEEN_KINDS, Trainer
from lvc.training.loss import LAMBDA, Carried, FrameCost, run_sequence, sequence_quality
from lvc.training.rate import HyperTables, TrainingCoder, logistic_bits
from lvc.training.schedule import Schedule
from lvc.training.settings import TrainingSettings
from tests.clips import clip_frames, make_clip

ROOT = Path(__file__).resolve().parent.parent
SIDE, FRAMES = 96, 8
SHORT = Schedule(stages=((0.0, 1), (0.3, 2), (0.7, 3)), pieces=(1,), warm_steps=3)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for kind in ("mix", "textures"):
        make_clip(folder / f"{kind}.y4m", kind, width=SIDE, height=SIDE, frames=FRAMES)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def settings_in(folder: Path, clips: Path, **changes: Any) -> TrainingSettings:
    settings = TrainingSettings(
        clips, folder / "model.ckpt", size="tiny", steps=9, batch=1, crop=64, fit_crops=2, quiet=True, schedule=SHORT
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


def cost_of(trainer: Trainer, clips: Path) -> float:
    """Mean binary logarithm of the Lagrangian on fixed pictures, intra and predicted."""
    torch.manual_seed(0)
    pictures = CropSampler(load_folder(clips, quiet=True), [], 64, 99).batch(4, 3)
    quality = torch.tensor([20.0, 40.0, 60.0, 80.0])
    set_fake(trainer.learner, on=False)
    with torch.no_grad():
        costs = run_sequence(trainer.learner.codec, trainer.learner.tables, pictures, [quality] * 3)
    return float(torch.stack([cost.lagrangian(quality).log2().mean() for cost in costs]).mean())


def test_the_loss_falls(tmp_path: Path, clips: Path) -> None:
    start = Trainer(settings_in(tmp_path, clips, checkpoint=tmp_path / "start.ckpt"))
    start.save()
    schedule = Schedule(peak=4e-3, stages=((0.0, 1), (0.1, 2)), alone=0.0, pieces=(1,), warm_steps=5)
    settings = settings_in(tmp_path, clips, steps=20, schedule=schedule, start_from=start.settings.checkpoint)
    trainer = Trainer(settings)
    rows: list[dict[str, Any]] = []
    trainer.run(lambda _, row: rows.append(row))
    # binary logarithms: a good deal lower
    assert cost_of(trainer, clips) < cost_of(start, clips) - 0.1
    assert [row["step"] for row in rows] == list(range(20))
    assert [row["frames"] for row in rows] == [1] * 2 + [2] * 18
    assert rows[0]["inter"] is None
    lines = (tmp_path / "model.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail)["step"] for line in lines] == [19]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from lvc.training.loop import Trainer
from tests.test_training import settings_in
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
    assert steps == [6, 7, 8]
    whole, killed = state_of(tmp_path / "whole" / "model.ckpt"), state_of(tmp_path / "killed" / "model.ckpt")
    for key in whole:
        assert equal(whole[key], killed[key]), key
    assert not equal(whole["learner"], state_of_start(tmp_path, clips))
    Trainer(settings_in(tmp_path / "killed", clips)).run(lambda *_: pytest.fail("there is nothing left to do"))


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


def test_checkpoints_of_other_things_are_refused(tmp_path: Path, clips: Path) -> None:
    settings = settings_in(tmp_path, clips, steps=1)
    settings.checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match="no checkpoint"):
        Trainer(settings).run()
    torch.save({"size": "lite"}, settings.checkpoint)
    with pytest.raises(ModelError, match="'lite' model, not 'tiny'"):
        Trainer(settings).run()


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


def test_two_halves_become_one_model(tmp_path: Path, clips: Path) -> None:
    """What intra pictures have for themselves is of one training, all else of the other, codebooks, too."""
    trainers = {}
    schedule = replace(SHORT, vector_from=0.5, fake_from=0.5)
    for only in ("intra", "inter"):
        path = tmp_path / f"{only}.ckpt"
        settings = settings_in(tmp_path, clips, only=only, checkpoint=path, steps=2, schedule=schedule.only(only))
        trainers[only] = Trainer(settings)
        trainers[only].run()
    whole = Trainer(settings_in(tmp_path, clips, only="inter"))
    whole.load(tmp_path / "inter.ckpt", weights_only=False)
    whole.take_intra(tmp_path / "intra.ckpt")
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


COMMAND = """
import functools
import lvc.cli
from lvc.training import command
command.train = functools.partial(command.train, fit_crops=2)  # for the time it takes
lvc.cli.main()
"""
OFTEN = COMMAND.replace(
    "lvc.cli.main",
    "command.TrainingSettings = functools.partial(command.TrainingSettings, save_minutes=0.0)\nlvc.cli.main",
)


def test_a_killed_command_goes_on(tmp_path: Path, clips: Path) -> None:
    """The same command once more ends the training, tells what it made, and leaves nothing else behind."""
    output = tmp_path / "model"
    options = ["--size", "tiny", "--steps", "5", "--batch", "1", "--crop", "64", "--device", "cpu", "--threads", "1"]
    command = [sys.executable, "-c", OFTEN, "train", str(clips), "-o", str(output), *options, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        while not (tmp_path / "model.ckpt").exists() and process.poll() is None:
            time.sleep(0.05)
        process.kill()
        assert process.stdout is not None
        assert json.loads(process.stdout.read()) == {"type": "training", "minutes": None, "steps": 5}
    assert not output.exists()
    before = state_of(tmp_path / "model.ckpt")["step"]
    assert 0 < before < 5
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    model = find_model(str(output))
    assert (result["command"], result["output"], result["id"]) == ("train", str(output), model.id.hex())
    assert result["card"]["steps"] == model.card["steps"] == state_of(tmp_path / "model.ckpt")["step"] == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.ckpt", "model.jsonl"]
    Trainer(settings_in(tmp_path, clips)).start(output)  # a model, whatever its name


def test_points_along_the_way(tmp_path: Path, clips: Path) -> None:
    trainer = Trainer(settings_in(tmp_path, clips, steps=2, validation=clips, validate_minutes=0.0))
    trainer.run()
    rows = [json.loads(line) for line in (tmp_path / "model.jsonl").read_text().splitlines()]
    assert [(row["type"], row["step"]) for row in rows] == [("validation", step) for step in (1, 2, 2)]
    assert trainer.validated == rows[-1]["score"]


def test_the_length_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said at the start, also where nothing was said of it."""
    lengths: list[tuple[float | None, int | None]] = []
    monkeypatch.setattr("lvc.training.command.train", lambda *_, **o: lengths.append((o["minutes"], o["steps"])))
    for options, said in (([], "480 minutes"), (["--minutes", "2.5"], "2.5 minutes"), (["--steps", "7"], "7 steps")):
        result = CliRunner().invoke(main, ["train", str(tmp_path), "-o", str(tmp_path / "model"), *options])
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == f"lvc: training for {said}, over all runs\n"
    assert lengths == [(480.0, None), (2.5, None), (None, 7)]


def test_outputs_that_are_refused(tmp_path: Path, clips: Path) -> None:
    """Before any clip is read."""
    (tmp_path / "old.lvcm").write_bytes(b"old")
    (tmp_path / "x.ckpt").write_bytes(b"checkpoint")
    for name, message in (
        ("old.lvcm", "exists"),
        ("x.ckpt", "call it x.lvcm"),
        ("x.jsonl", "call it x.lvcm"),
        ("missing/x.lvcm", "no folder"),
        ("-", "standard output"),
    ):
        output = name if name == "-" else str(tmp_path / name)
        result = CliRunner().invoke(main, ["train", str(tmp_path), "-o", output, "--quiet"])
        assert result.exit_code == 8
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.lvcm", "x.ckpt"]
    with pytest.raises(InputError, match="no readable clips"):
        train(tmp_path, tmp_path / "old.lvcm", overwrite=True, quiet=True)


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


def test_several_processes(tmp_path: Path, clips: Path) -> None:
    """The whole command under torchrun: training on two processes, and one model file, checkpoint and log."""
    (tmp_path / "command.py").write_text(COMMAND)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    options = ["--size", "tiny", "--steps", "3", "--batch", "1", "--crop", "64", "--device", "cpu", "--threads", "1"]
    output = tmp_path / "model.lvcm"
    done = subprocess.run(
        [*launcher, tmp_path / "command.py", "train", clips, "-o", output, *options, "--quiet"],
        capture_output=True,
        check=False,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["command.py", "model.ckpt", "model.jsonl", "model.lvcm"]
    model = find_model(str(output))
    assert model.card["steps"] == 3
    assert state_of(tmp_path / "model.ckpt")["step"] == 3


def test_the_command(tmp_path: Path, clips: Path) -> None:
    """A model file at the end, with a card, rate-distortion points in the log, and weights of the trained codec."""
    model = train(
        clips,
        tmp_path / "mine.lvcm",
        size="tiny",
        steps=2,
        batch=1,
        crop=64,
        validation=clips,
        fit_crops=2,
        device="cpu",
        threads=1,
        quiet=True,
    )
    assert model is not None
    found = find_model(str(tmp_path / "mine.lvcm"))
    assert found.id == model.id
    assert found.card["name"] == "mine"
    assert found.card["steps"] == 2
    rows = [json.loads(line) for line in (tmp_path / "mine.jsonl").read_text().splitlines()]
    points = [row for row in rows if row["type"] == "validation"][-1]["points"]
    qualities, rates, distortions, _ = zip(*points, strict=True)
    assert list(qualities) == sorted(qualities)
    assert list(rates) == sorted(rates)
    assert list(distortions) == sorted(distortions)
    assert found.card["validation_score"] == [row for row in rows if row["type"] == "validation"][-1]["score"]


def test_clips(clips: Path, tmp_path: Path) -> None:
    found = load_folder(clips, quiet=True)
    assert [tuple(clip.y.shape) for clip in found] == [(FRAMES, SIDE, SIDE)] * 2
    assert [tuple(clip.uv.shape) for clip in found] == [(FRAMES, 2, SIDE // 2, SIDE // 2)] * 2
    assert all(clip.motion > 0 for clip in found)
    with pytest.raises(InputError, match="no readable clips"):
        load_folder(tmp_path, quiet=True)
    make_clip(tmp_path / "odd.y4m", "pan", width=35, height=33, frames=3, bit_depth=10)
    clip = load_clip(tmp_path / "odd.y4m", limit=2)
    assert tuple(clip.y.shape) == (2, 32, 34)
    assert tuple(clip.uv.shape) == (2, 2, 16, 17)
    assert int(clip.y.max()) > 100


def test_crops(clips: Path) -> None:
    found = load_folder(clips, quiet=True)
    pictures = CropSampler(found, [], 64, 5).batch(3, 4)
    assert [tuple(picture.y.shape) for picture in pictures] == [(3, 1, 64, 64)] * 4
    again = CropSampler(found, [], 64, 5).batch(3, 4)
    assert all(torch.equal(a.y, b.y) and torch.equal(a.uv, b.uv) for a, b in zip(pictures, again, strict=True))
    other = CropSampler(found, [], 64, 6).batch(3, 4)
    assert not torch.equal(pictures[0].y, other[0].y)
    with pytest.raises(InputError, match="no clip is as large"):
        CropSampler(found, [], 128, 5).batch(1, 1)
    with pytest.raises(InputError, match="no clip is as large"):
        CropSampler(found, [], 64, 5).batch(1, FRAMES + 1)


def test_schedule() -> None:
    schedule = Schedule()
    assert [SHORT.frames(p) for p in (0, 0.29, 0.3, 0.69, 0.7, 1)] == [1, 1, 2, 2, 3, 3]
    assert not schedule.fake(0.5)
    assert schedule.fake(1.0)
    rates = [schedule.learning_rate(p / 20, 10_000) for p in range(21)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(schedule.peak)
    assert schedule.learning_rate(0, 0) == pytest.approx(schedule.peak / schedule.warm_steps)


def test_every_quality_pulls_equally() -> None:
    balance = Balance()
    quality = torch.tensor([1.0, 100.0])
    for _ in range(3):
        weight = balance.weight(0, quality, torch.tensor([8.0, 0.5]))
    assert weight.tolist() == pytest.approx([1 / 8, 2])
    weight = balance.weight(1, quality, torch.tensor([4.0, 4.0]))
    assert weight.tolist() == pytest.approx([1 / 4, 1 / 4])


def test_rate_of_training() -> None:
    """Probabilities of all integers sum to one; wide distributions cost more; the lagrangian is what it says."""
    for scale in (0.1, 1.0, 20.0):
        bits = logistic_bits(torch.arange(-500.0, 501.0), torch.tensor(scale))
        assert float(torch.exp2(-bits.double()).sum()) == pytest.approx(1, abs=1e-3)
    zero, three = (
        HyperTables()
        .bits(0, torch.tensor([0.0, 3.0]).view(2, 1, 1, 1).expand(2, 8, 1, 1), torch.ones(2, 1, 1, 1))
        .tolist()
    )
    assert 0 < zero < three
    cost = FrameCost(torch.tensor([0.5]), torch.tensor([2.0]), torch.tensor([30.0]))
    assert float(cost.lagrangian(torch.tensor([1.0]))) == pytest.approx(0.5 + LAMBDA / 128**2 * 2)


def test_qualities_of_a_sequence() -> None:
    """In coding order: intra pictures and anchors at every fourth position are finer, others coarser by depth."""
    base = torch.tensor([1.0, 50.0, 98.0])
    steps = coding_order([0, 2, 2, 2, 1])
    found = sequence_quality(base, steps, 8.0, 3.0, 6.0)
    assert [quality[1].item() for quality in found] == [58, 53, 44, 38, 38]
    assert [quality[0].item() for quality in found] == [9, 4, 1, 1, 1]
    assert [quality[2].item() for quality in found] == [100, 100, 92, 86, 86]
    found = sequence_quality(base, coding_order([0, *[1] * 8]), 8.0, 3.0, 6.0)
    assert [quality[1].item() for quality in found] == [58, 50, 50, 50, 53, 50, 50, 50, 53]


def test_sequences_with_pictures_between() -> None:
    """Costs come in coding order, and what refers to a picture makes it worth its bits: gradients flow through both."""
    torch.manual_seed(2)
    codec, tables = FrameCodec(config_named("tiny")), HyperTables()
    clip = list(clip_frames("pan", 64, 64, 5))
    pictures = [
        to_picture(
            torch.from_numpy(frame.planes[0].astype(np.uint8))[None],
            torch.from_numpy(np.stack(frame.planes[1:]).astype(np.uint8))[None],
        )
        for frame in clip
    ]
    steps = coding_order([INTRA, *BETWEEN_KINDS[0]])
    inputs = [Picture(picture.y.clone().requires_grad_(), picture.uv) for picture in pictures]
    costs = run_sequence(codec, tables, inputs, [torch.tensor([60.0])] * 5, steps=steps)
    assert [step.position for step in steps] == [0, 4, 2, 1, 3]
    assert len(costs) == 5
    assert float(costs[0].bits.detach()) > max(float(cost.bits.detach()) for cost in costs[1:])
    for cost, touched in zip(costs, ({0}, {0, 4}, {0, 2, 4}, {0, 1, 2, 4}, {0, 2, 3, 4}), strict=True):
        gradients = torch.autograd.grad(
            cost.bits.sum() + cost.error.sum(), [each.y for each in inputs], retain_graph=True, allow_unused=True
        )
        reached = {at for at, gradient in enumerate(gradients) if gradient is not None and bool(gradient.any())}
        assert reached == touched


class Noiseless(TrainingCoder):
    """The same each time."""

    def hyper(self, proposal: torch.Tensor | None, mask: torch.Tensor) -> torch.Tensor:
        assert proposal is not None
        self.bits = self.bits + self.tables.bits(self.kind, proposal, mask)
        return proposal.round() * mask


def test_pieces_of_a_sequence() -> None:
    """They cost what the whole sequence costs, and gradients stay within each."""
    torch.manual_seed(2)
    codec, tables = FrameCodec(config_named("tiny")), HyperTables()
    pictures = [
        to_picture(
            torch.from_numpy(frame.planes[0].astype(np.uint8))[None],
            torch.from_numpy(np.stack(frame.planes[1:]).astype(np.uint8))[None],
        )
        for frame in clip_frames("pan", 64, 64, 7)
    ]
    steps = coding_order([INTRA, PREDICTED, *BETWEEN_KINDS[1], PREDICTED])
    quality = [torch.tensor([60.0])] * 7
    with torch.no_grad():
        whole = run_sequence(codec, tables, pictures, quality, steps=steps, make_coder=Noiseless)
    inputs = [Picture(picture.y.clone().requires_grad_(), picture.uv) for picture in pictures]
    carried, parts = Carried(), []
    for piece in (slice(0, 2), slice(2, 6), slice(6, 7)):
        parts += run_sequence(
            codec, tables, inputs, quality[piece], steps=steps[piece], make_coder=Noiseless, carried=carried
        )
        carried.cut()
    for one, other in zip(whole, parts, strict=True):
        for a, b in zip(one, other, strict=True):  # sums may differ in their last bit
            torch.testing.assert_close(b.detach(), a, rtol=1e-6, atol=0)
    last = torch.autograd.grad(parts[-1].error.sum(), [each.y for each in inputs], allow_unused=True)
    assert [at for at, gradient in enumerate(last) if gradient is not None] == [6]


def test_long_sequences_in_training(tmp_path: Path, clips: Path) -> None:
    schedule = Schedule(stages=((0.0, 3),), pieces=(1, 3), pieces_from=0.3, warm_steps=3)
    rows: list[dict[str, Any]] = []
    Trainer(settings_in(tmp_path, clips, steps=20, schedule=schedule)).run(lambda _, row: rows.append(row))
    at = [row["at"] for row in rows]
    assert not any(at[:6])
    assert max(at) > 4
    assert all(0 in (a, b) or b > a for a, b in itertools.pairwise(at))
    assert max(at) < FRAMES


@pytest.mark.parametrize("only", ["intra", "inter"])
def test_only_one_kind_learns(tmp_path: Path, clips: Path, only: str) -> None:
    """Networks of the other kind, and what both share, stay as they are."""
    settings = settings_in(tmp_path, clips, steps=4, only=only, schedule=Schedule(pieces=(1,), warm_steps=1).only(only))
    trainer = Trainer(settings)
    before: dict[str, torch.Tensor] = {}

    def note(trainer: Trainer, row: dict[str, Any]) -> None:
        if row["step"] == 0:
            before.update({name: p.detach().clone() for name, p in trainer.learner.codec.named_parameters()})

    trainer.run(note)
    after = dict(trainer.learner.codec.named_parameters())
    changed = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert changed == ({"intra"} if only == "intra" else {"inter", "context"})


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(1)
    codec, tables = FrameCodec(config_named("tiny")), HyperTables()
    with torch.no_grad():
        for _, layer in exact_layers(codec):  # some start at zero, and stop gradients
            layer.weight.add_(torch.randn_like(layer.weight) * 0.05)
    random = np.random.default_rng(1)
    first, last = (
        to_picture(
            torch.from_numpy(random.integers(0, 256, (2, 64, 64)).astype(np.uint8)),
            torch.from_numpy(random.integers(0, 256, (2, 2, 32, 32)).astype(np.uint8)),
        )
        for _ in range(2)
    )
    pictures = [first, Picture((first.y + last.y) / 2, (first.uv + last.uv) / 2), last]
    steps = coding_order([INTRA, BETWEEN, PREDICTED])
    quality = torch.tensor([30.0, 80.0])
    costs = run_sequence(codec, tables, pictures, [quality] * 3, motion_search.FAST, TrainingCoder, steps)
    loss = torch.stack([cost.lagrangian(quality).sum() for cost in costs]).sum()
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    silent = [name for name, p in codec.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert silent == []
