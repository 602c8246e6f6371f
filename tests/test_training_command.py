"""``lvc train``: what it says, what it refuses and what it leaves, on one process and on several."""

import json
import os
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from lvc.cli import main
from lvc.errors import InputError, ModelError
from lvc.model import find_model
from lvc.training.command import FIT_ROUNDS, train
from lvc.training.loop import Trainer
from lvc.training.validate import QUALITIES
from tests.clips import make_clip
from tests.trainings import ROOT, equal, settings_in, state_of

pytestmark = pytest.mark.usefixtures("one_thread")


COMMAND = """
import functools
import lvc.cli
from lvc.training import command
command.train = functools.partial(command.train, fit_crops=2)  # for the time it takes
lvc.cli.main()
"""
TELLING = "import lvc.cli.progress\nlvc.cli.progress.PLAIN_SECONDS = 0\n" + COMMAND
OFTEN = COMMAND.replace(
    "lvc.cli.main",
    "command.TrainingSettings = functools.partial(command.TrainingSettings, save_minutes=0.0)\nlvc.cli.main",
)


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
        first, *events = map(json.loads, process.stdout.read().splitlines())
    assert first == {"type": "training", "minutes": None, "steps": 5}
    assert {event["type"] for event in events} <= {"progress"}
    assert not output.exists()
    before = state_of(tmp_path / "model.ckpt")["step"]
    assert 0 < before < 5
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr
    _, note, *events, result = map(json.loads, done.stdout.splitlines())
    assert note == {"type": "note", "message": f"{tmp_path / 'model.ckpt'} goes on from step {before}"}
    last = [event for event in events if event.get("phase") == "training"][-1]
    assert (last["type"], last["done"], last["total"], last["share"]) == ("progress", 5, 5, 1)
    assert {event["phase"] for event in events if event["type"] == "progress"} == {"reading", "training", "fitting"}
    model = find_model(str(output))
    assert (result["command"], result["output"], result["id"]) == ("train", str(output), model.id.hex())
    assert result["card"]["steps"] == model.card["steps"] == state_of(tmp_path / "model.ckpt")["step"] == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.ckpt", "model.jsonl"]
    Trainer(settings_in(tmp_path, clips)).start(output)  # a model, whatever its name


def test_what_is_said_of_a_training(tmp_path: Path) -> None:
    """Its length, what cannot be read, how far it has come; points of the clips for validation lie in the log."""
    folders = {name: tmp_path / name for name in ("clips", "validation", "stills")}
    for (name, folder), frames in zip(folders.items(), (5, 2, 1), strict=True):
        folder.mkdir()
        make_clip(folder / f"{name}.y4m", "mix", width=64, height=64, frames=frames)
        (folder / "broken.png").write_bytes(b"no picture")
    clips, output = folders.pop("clips"), tmp_path / "model.lvcm"
    options = ["--size", "tiny", "--steps", "2", "--batch", "1", "--crop", "64", "--device", "cpu", "--threads", "1"]
    options += [text for name, folder in folders.items() for text in (f"--{name}", str(folder))]
    done = subprocess.run(
        [sys.executable, "-c", TELLING, "train", str(clips), "-o", str(output), *options],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (0, b""), said
    assert said.startswith("lvc: training for 2 steps, over all runs\n")
    for folder in (clips, *folders.values()):
        assert f"lvc: warning: a clip is left out: {folder / 'broken.png'}" in said
    assert all(f"lvc: training: {percent} %, step " in said for percent in ("0.0", "50.0", "100.0"))
    assert "step 1, 1 frames, cost " in said
    assert "lvc: reading clips: 100.0 %, 2 of 2\n" in said
    assert said.count("lvc: fitting: 100.0 %, 2 of 2\n") >= FIT_ROUNDS
    assert all(line.startswith("lvc: ") for line in said.splitlines())
    assert "\r" not in said
    last, row = [json.loads(line) for line in (tmp_path / "model.jsonl").read_text().splitlines()]
    assert (last["type"], last["step"]) == ("step", 2)
    assert (row["type"], row["step"], len(row["points"])) == ("validation", 2, len(QUALITIES))
    assert find_model(str(output)).card["validation_score"] == row["score"]


def test_the_length_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said at the start, also where nothing was said of it."""
    lengths: list[tuple[float | None, int | None]] = []
    monkeypatch.setattr("lvc.training.command.train", lambda *_, **o: lengths.append((o["minutes"], o["steps"])))
    for options, said in (([], "480 minutes"), (["--minutes", "2.5"], "2.5 minutes"), (["--steps", "7"], "7 steps")):
        result = CliRunner().invoke(main, ["train", str(tmp_path), "-o", str(tmp_path / "model"), *options])
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == f"lvc: training for {said}, over all runs\n"
    assert lengths == [(480.0, None), (2.5, None), (None, 7)]


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize(("rank", "told"), [("0", 1), ("1", 0)])
def test_one_process_of_many_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str, told: int) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr(
        "lvc.training.command.train", lambda *_, **__: warnings.warn("a clip is left out", stacklevel=1)
    )
    result = CliRunner().invoke(main, ["train", str(tmp_path), "-o", str(tmp_path / "model"), "--steps", "1"])
    assert result.exit_code == 0
    assert result.stderr.count("a clip is left out") == told


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
        train(tmp_path, tmp_path / "old.lvcm", overwrite=True)


def test_checkpoints_of_other_things_are_refused(tmp_path: Path, clips: Path) -> None:
    settings = settings_in(tmp_path, clips, steps=1)
    settings.checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match="no checkpoint"):
        Trainer(settings).run()
    torch.save({"size": "lite"}, settings.checkpoint)
    with pytest.raises(ModelError, match="'lite' model, not 'tiny'"):
        Trainer(settings).run()


def launcher() -> list[str]:
    """Of two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]


def test_several_processes(tmp_path: Path, clips: Path) -> None:
    """The whole command under torchrun: training on two processes, and one model file, checkpoint and log."""
    (tmp_path / "command.py").write_text(COMMAND)
    options = ["--size", "tiny", "--steps", "3", "--batch", "1", "--crop", "64", "--device", "cpu", "--threads", "1"]
    output = tmp_path / "model.lvcm"
    done = subprocess.run(
        [*launcher(), tmp_path / "command.py", "train", clips, "-o", output, *options, "--quiet"],
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


TOGETHER = """
import sys, time
from dataclasses import replace
from pathlib import Path
import torch
from lvc.training.command import _processes
from lvc.training.loop import Trainer
from tests.clips import make_clip
from tests.trainings import ROOT, SHORT, equal, settings_in, state_of
torch.set_num_threads(1)
folder, clips = Path(sys.argv[1]), Path(sys.argv[2])
with _processes("cpu") as (rank, device):
    mine = folder / str(rank)  # only the first process has a checkpoint
    schedule = replace(SHORT, stages=((0.0, 1),), peak=1e-2, fake_from=2.0, vector_from=2.0)
    trainer = Trainer(settings_in(mine, clips, steps=None, minutes=0.05, schedule=schedule))
    began = time.monotonic
    if rank:  # and the clocks differ
        time.monotonic = lambda: 3 * began()
    trainer.run()
    torch.save(dict(trainer.learner.named_parameters()), mine / "end.pt")
    (mine / "steps").write_text(str(trainer.step))
"""


def test_processes_end_alike(tmp_path: Path, clips: Path) -> None:
    """Bit by bit, whatever their clocks say and whichever has the checkpoint that they go on from."""
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
    first = Trainer(settings_in(tmp_path / "0", clips, steps=2))
    first.run()
    first.elapsed = 1.5  # half of the time is over
    first.save()
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    done = subprocess.run(
        [*launcher(), script, tmp_path, clips],
        capture_output=True,
        check=False,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    one, other = (torch.load(tmp_path / name / "end.pt", weights_only=True) for name in ("0", "1"))
    assert equal(one, other)
    steps = [int((tmp_path / name / "steps").read_text()) for name in ("0", "1")]
    assert steps[0] == steps[1] > 2
    start = state_of(tmp_path / "0" / "model.ckpt")
    assert start["step"] == steps[0]
    assert not equal(one, dict(first.learner.named_parameters()))
