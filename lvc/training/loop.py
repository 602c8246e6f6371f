"""The training loop: one command from clips to a model, resumable after a kill, on one process or many."""

import functools
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from lvc.catalogue import MAGIC
from lvc.container import Step
from lvc.errors import LvcError, ModelError
from lvc.exact.layers import set_fake
from lvc.model.codebook import Quantiser
from lvc.model.codec import FrameCodec
from lvc.model.prediction import Picture
from lvc.model.weights import Statistics
from lvc.model.weights import load as load_model
from lvc.output import appending
from lvc.training import checkpoint
from lvc.training.balance import Balance
from lvc.training.data import Clip, CropSampler, load_folder
from lvc.training.export import exported
from lvc.training.fit import fit
from lvc.training.graphs import GraphedSteps
from lvc.training.learner import Learner
from lvc.training.loss import Carried
from lvc.training.origin import Origin
from lvc.training.passage import Passage, longest_piece, new_passage
from lvc.training.progress import OnTraining, TrainingProgress, silent
from lvc.training.resume import resume
from lvc.training.schedule import Schedule
from lvc.training.settings import TrainingSettings
from lvc.training.start import measure_scales, take_model
from lvc.training.validate import validate
from lvc.training.vector import CodebookLearner, VectorCoder

TOLD_EVERY = 20
"""Steps between lines of the log, which the last step has, too; on CUDA also between those that are told of, and
between grids of rounded weights: to look means to wait."""
LEFT_OUT_AT_MOST = 100
"""Steps in a row whose gradients are not finite, after which a training ends."""


def _is_part(name: str, only: str) -> bool:
    """Whether a parameter serves one kind of pictures alone (the two rows of the tables do, too)."""
    if name.startswith("codec.intra."):
        return only == "intra"
    if name.startswith(("codec.inter.", "codec.context.")):
        return only == "inter"
    return name.startswith("tables.")


def _rounded(value: float, digits: int) -> float | None:
    return round(value, digits) if math.isfinite(value) else None


_OnStep = Callable[["Trainer", dict[str, Any]], None]
"""Is told of a step."""


class Trainer:
    """State of a training: parameters, optimiser, progress; knows how to save and resume itself.

    Args:
        settings: what it is told.
        progress: is told of clips, steps and crops, as one process of a distributed training should.
    """

    def __init__(self, settings: TrainingSettings, progress: OnTraining | None = None) -> None:
        self.settings = settings
        self._on_progress = progress
        usual = Schedule() if settings.start_from is None else Schedule.going_on()
        self.schedule = settings.schedule or usual.only(settings.only)
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = torch.device(settings.device)
        torch.manual_seed(settings.seed)
        self.learner: Learner = Learner(settings.size).to(self.device)
        transform: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in self.learner.named_parameters():
            if settings.only is not None and not _is_part(name, settings.only):
                parameter.requires_grad_(False)
                continue
            (transform if ".transform." in name or ".steps." in name else rest).append(parameter)
        self.optimiser = torch.optim.Adam(
            [{"params": rest, "factor": 1.0}, {"params": transform, "factor": 0.05}],
            lr=1e-3,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.prepare_optimiser()
        self.balance = Balance(self.device)
        self.stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self.graphs: GraphedSteps | None = None
        self.rounded = False
        self._result = torch.zeros(5)
        self._left_out = torch.zeros(2, device=self.device)
        self.origin: Origin | None = None
        self.step = 0
        self.elapsed = 0.0
        self.steps_in_run = 0
        self._is_between_steps = True
        self.random = np.random.default_rng(settings.seed + 1000 * self.rank)
        self.sampler: CropSampler | None = None
        self.clips: list[Clip] = []
        self.codebooks: CodebookLearner | None = None
        self.validated: float | None = None
        self.passage: Passage | None = None

    def prepare_optimiser(self) -> None:
        """Let the learning rate be where it can change without a new graph, and the whole step be part of one."""
        for group in self.optimiser.param_groups:
            group["fused"], group["capturable"] = True, self.device.type == "cuda"
            if self.device.type == "cuda":
                group["lr"] = torch.zeros((), device=self.device)
        self.optimiser._warned_capturable_if_run_uncaptured = True

    # -- state ----------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint, all or nothing.

        Raises:
            OutputError: the disk is full or the like.
        """
        checkpoint.write(self.settings.checkpoint, checkpoint.snapshot(self))

    def load(self, path: Path, weights_only: bool) -> None:
        """Resume from a checkpoint, or take only its weights.

        Raises:
            ModelError: when it cannot be read or is not a checkpoint of this size.
        """
        checkpoint.restore(self, checkpoint.read(path), path, weights_only)

    def start(self, path: Path) -> None:
        """Take the weights of a checkpoint or of a model file for a new training.

        Raises:
            ModelError: neither, or of another size.
        """
        with path.open("rb") as file:
            is_model = file.read(len(MAGIC)) == MAGIC
        if not is_model:
            self.load(path, weights_only=True)
            return
        model = load_model(path)
        if model.codec.config.name != self.settings.size:
            raise ModelError(f"{path} holds a {model.codec.config.name!r} model, not {self.settings.size!r}")
        take_model(self.learner.codec, self.learner.tables, model)

    def take_halves(self, intra: Path, inter: Path) -> None:
        """Take what two processes have trained, of which one learned intra pictures and the other all others.

        Networks, tables of the hyper-latent and, where both have them, codebooks. Of what their optimisers knew nothing
        is left: each knew a part of the parameters.

        Args:
            intra, inter: checkpoints of trainings with ``only``.

        Raises:
            ModelError: not a checkpoint of such a training, or of another size.
        """
        first, then = (Trainer(replace(self.settings, only=only)) for only in ("intra", "inter"))
        first.load(intra, weights_only=False)
        then.load(inter, weights_only=False)
        state, others = first.learner.state_dict(), then.learner.state_dict()
        state.update({name: value for name, value in others.items() if not name.startswith("codec.intra.")})
        state["tables.logits"] = torch.stack([first.learner.tables.logits[0], then.learner.tables.logits[1]])
        self.learner.load_state_dict(state)
        if first.codebooks is not None and then.codebooks is not None:
            self.use_codebooks(CodebookLearner([first.codebooks.quantisers()[0], then.codebooks.quantisers()[1]]))
        self.balance.level = torch.stack([first.balance.level[0], then.balance.level[1]])
        self.step, self.elapsed = first.step + then.step, first.elapsed + then.elapsed

    @property
    def progress(self) -> float:
        """0 at the start of the schedule, 1 at its end."""
        if self.settings.steps:
            return self.step / self.settings.steps
        return self.elapsed / (60 * self.settings.minutes)

    # -- running --------------------------------------------------------------------------------------------------

    def run(self, on_step: _OnStep | None = None) -> FrameCodec:
        """Train to the end of the schedule; returns the float codec (call ``snap`` and ``freeze`` on a copy).

        An interrupt (KeyboardInterrupt, SystemExit) is passed on after a checkpoint has been written.

        Raises:
            InputError: no readable clips, or none as large and as long as what is learned from.
            ModelError: the checkpoint, or the file to start from, cannot be read or is of another size; before any
                clip is read.
            OtherOriginError: the checkpoint is of a training with other settings; likewise.
        """
        settings = self.settings
        main = self.rank == 0
        is_new = not resume(self)
        if is_new and settings.start_from is not None:
            self.start(settings.start_from)
        validation = load_folder(settings.validation) if settings.validation and main else []
        stills = load_folder(settings.stills, self.device) if settings.stills else []
        clips = self.clips = load_folder(settings.clips, self.device, self._on_progress or silent)
        self.sampler = CropSampler(clips, stills, settings.crop, self.random)
        self.sampler.check(longest_piece(self.schedule))
        if is_new and settings.start_from is None:
            measure_scales(self.learner.codec, self.learner.tables, self.sampler.batch(16, 3))
        learner: nn.Module = self.learner
        if self.world > 1:
            learner = nn.parallel.DistributedDataParallel(self.learner, find_unused_parameters=True)
        if self.stream is not None:
            self.stream.wait_stream(torch.cuda.current_stream())
            if self.world == 1:
                self.graphs = GraphedSteps(functools.partial(self._learn, self.learner), self.stream)
        with torch.cuda.stream(self.stream), appending(settings.log if main else os.devnull) as journal:
            try:
                self._go_on(learner, validation, journal, on_step)
                if validation:
                    self._validate(validation, journal)
            except (KeyboardInterrupt, SystemExit):
                if main and self._is_between_steps:
                    self.save()
                raise
            if main:
                self.save()
        return self.learner.codec

    def _go_on(
        self, learner: nn.Module, validation: list[Clip], journal: BinaryIO, on_step: _OnStep | None = None
    ) -> None:
        """Step by step to the end of the schedule; the first process tells of it, validates and saves."""
        settings = self.settings
        began = saved = validated = time.monotonic()
        done = self._done()
        if not done:
            self._tell({})
        while not done:
            row = self._one_step(learner)
            now = time.monotonic()
            self.elapsed += now - began
            began = now
            self.step += 1
            self.steps_in_run += 1
            self._is_between_steps = True
            done = self._done()
            if self.rank:
                continue
            row |= {"step": self.step, "elapsed": round(self.elapsed, 1), "progress": round(self.progress, 4)}
            is_logged = done or self.step % TOLD_EVERY == 0
            is_wanted = on_step is not None or self._on_progress is not None
            if is_logged or (is_wanted and self.stream is None):
                row |= self._measured()
                self._tell(row)
                if on_step is not None:
                    on_step(self, row)
                if is_logged:
                    self._write(journal, row)
            whole = self.passage is None or not self.passage.pieces  # a checkpoint does not hold half passages
            if whole and now - saved > 60 * settings.save_minutes:
                self.save()
                saved = time.monotonic()
            if validation and now - validated > 60 * settings.validate_minutes:
                self._validate(validation, journal)
                validated = time.monotonic()

    def _done(self) -> bool:
        if self.world > 1:  # the first process's clock is that of all: learning rates must not differ
            clock = torch.tensor(self.elapsed, dtype=torch.float64, device=self.device)
            torch.distributed.broadcast(clock, 0)
            self.elapsed = float(clock)
        return self.progress >= 1

    def _one_step(self, learner: nn.Module) -> dict[str, Any]:
        """Learn from the next piece; gives what was learned from, for the row of the log."""
        schedule, progress = self.schedule, self.progress
        self._round(schedule.fake(progress))
        if schedule.vectors(progress) and self.codebooks is None:
            self.use_codebooks(CodebookLearner(self._fitted()))
        rate = schedule.learning_rate(progress, self.steps_in_run)
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * group["factor"])
            else:
                group["lr"] = rate * group["factor"]
        if self.passage is None or not self.passage.pieces:
            if self.sampler is None:
                raise ValueError("training has no clips yet")
            self.passage = new_passage(self.sampler, schedule, progress, self.settings.batch, self.device)
        pictures, carried = self.passage.pictures, self.passage.carried
        steps, qualities = self.passage.pieces.pop(0)
        if self.graphs is not None and self.codebooks is None:
            self._is_between_steps = False
            self._result = self.graphs(pictures, qualities, steps, carried)
        else:
            self._result = self._learn(learner, dict(enumerate(pictures)), qualities, steps, carried)
        if self.stream is None and not self._result[0].isfinite():  # nor would what builds on these pictures be finite
            self.passage.pieces.clear()
        if self.codebooks is not None:
            self.codebooks.advance()
        return {
            "type": "step",
            "frames": len(steps),
            "at": steps[0].position,
            "rate": rate,
        }

    def _learn(
        self,
        learner: nn.Module,
        pictures: Mapping[int, Picture],
        qualities: Sequence[Tensor],
        steps: Sequence[Step],
        carried: Carried,
    ) -> Tensor:
        """One step of the optimiser; gives [5]: norm of the gradient, bits per pixel and luma PSNR of the last picture,
        steps left out in this run, and of these the last in a row.
        """
        costs = learner(pictures, qualities, steps, carried)
        carried.cut()
        total = torch.zeros((), device=self.device)
        for step, cost, quality in zip(steps, costs, qualities, strict=True):
            lagrangian = cost.lagrangian(quality)
            kind = 0 if step.first is None else 1
            total = total + (lagrangian * self.balance.weight(kind, quality, lagrangian)).mean()
        loss = total / len(steps)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        # a step with gradients that are not finite is left out
        self._is_between_steps = False  # from here to the count of steps
        self.optimiser.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        self.optimiser.step()
        left_out = (~torch.isfinite(norm)).float()
        self._left_out.copy_(torch.stack([self._left_out[0] + left_out, (self._left_out[1] + 1) * left_out]))
        shown = torch.stack([norm, costs[-1].bits.mean(), costs[-1].psnr.mean()])
        return torch.cat([shown, self._left_out]).detach()

    def _measured(self) -> dict[str, Any]:
        """What the last step has shown; None (and not NaN, which JSON lacks) where it is not finite.

        Raises:
            LvcError: the training does not learn any more.
        """
        norm, bits, psnr, left_out, in_a_row = self._result.tolist()
        if in_a_row >= LEFT_OUT_AT_MOST:
            raise LvcError(f"the last {in_a_row:.0f} steps had gradients that are not finite: the training has failed")
        return {
            "norm": _rounded(norm, 3),
            "left_out": int(left_out),
            "intra": self.balance.mean_log(0),
            "inter": self.balance.mean_log(1),
            "bpp": _rounded(bits, 4),
            "psnr": _rounded(psnr, 2),
        }

    def _round(self, on: bool) -> None:
        """Train with rounded weights from here on, or not."""
        if on != self.rounded and self.graphs is not None:
            self.graphs.forget()
        if not on or on != self.rounded or self.stream is None or self.step % TOLD_EVERY == 0:
            set_fake(self.learner, on)
        self.rounded = on

    def _fitted(self) -> list[Quantiser]:
        """Codebooks fitted to the networks as they are now."""
        _, model = exported(self.learner.codec, Statistics.start(), {})
        return fit(model, self.clips, self.settings.fit_crops, self._on_progress or silent).quantisers

    def use_codebooks(self, codebooks: CodebookLearner) -> None:
        """From here on the codebooks are in the loop; each process of a distributed training keeps its own."""
        self.codebooks = codebooks
        self.learner.make_coder = functools.partial(VectorCoder, self.codebooks)

    def _tell(self, row: dict[str, Any]) -> None:
        """Report how far it is, and what the last step has shown."""
        if self._on_progress is not None:
            shown = {name: row.get(name) for name in ("frames", "intra", "inter")}
            share = min(1.0, self.progress)
            self._on_progress(TrainingProgress("training", self.step, self.settings.steps, share, **shown))

    def _write(self, journal: BinaryIO, row: dict[str, Any]) -> None:
        journal.write((json.dumps(row) + "\n").encode())

    def _validate(self, clips: list[Clip], journal: BinaryIO) -> None:
        row = validate(self.learner.codec, self.learner.tables, clips, self.device)
        self._write(journal, {"type": "validation", "step": self.step, "elapsed": round(self.elapsed, 1), **row})
        self.validated = row["score"]
