"""``lvc train``: the whole curriculum, resumable, to an exported model file."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

from lvc.catalogue import SUFFIX
from lvc.compute import choose_device, cpu_threads
from lvc.errors import OutputError
from lvc.model.weights import Model, Statistics
from lvc.output import STANDARD, check_output, write_file
from lvc.training.export import exported
from lvc.training.fit import fit
from lvc.training.loop import Trainer
from lvc.training.progress import OnTraining, silent
from lvc.training.settings import CHECKPOINT_SUFFIX, DEFAULT_MINUTES, LOG_SUFFIX, TrainingSettings

FIT_ROUNDS = 2


@contextlib.contextmanager
def _processes(device: str) -> Iterator[tuple[int, str]]:
    """Join the other processes of torchrun, where there are any; gives this one's rank and device."""
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if world == 1:
        yield rank, device
        return
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield rank, device
    finally:
        torch.distributed.destroy_process_group()


def _check_files(output: Path, overwrite: bool) -> None:
    """Refuse an output before any work is done for it.

    Raises:
        OutputError: see :func:`lvc.output.check_output`; or it has the name of what lies beside the model.
    """
    if output == Path(STANDARD):
        raise OutputError("a model goes to a file, not to standard output")
    if output.suffix in (CHECKPOINT_SUFFIX, LOG_SUFFIX):
        raise OutputError(f"{output}: files beside the model have this name; call it {output.stem}{SUFFIX}")
    check_output(output, overwrite=overwrite)


def train(
    clips: Path,
    output: Path,
    *,
    size: str = "lite",
    minutes: float | None = None,
    steps: int | None = None,
    batch: int = 4,
    crop: int = 128,
    validation: Path | None = None,
    stills: Path | None = None,
    start_from: Path | None = None,
    only: str | None = None,
    fit_crops: int = 64,
    seed: int = 1,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    progress: OnTraining | None = None,
) -> Model | None:
    """Train to the end of the schedule, fit codebooks, export.

    Checkpoint (``output`` with suffix .ckpt) and log (.jsonl, one JSON object a line) lie beside the model; a run that
    was ended goes on from them, with the same settings (see :mod:`lvc.training.origin`).

    Args:
        minutes: length of the schedule in wall time over all runs; None for :data:`DEFAULT_MINUTES`.
        steps: its length instead of ``minutes``, where given.
        start_from: a checkpoint whose weights a new training starts from.
        only: "intra" or "inter", see :class:`~lvc.training.settings.TrainingSettings`.
        fit_crops: crops from which codebooks and tables are counted.
        overwrite: whether a model file at ``output`` may be replaced.
        progress: is told how far it is, in the first process of a distributed training.

    Returns:
        The exact model; None in the other processes of a distributed training.

    Raises:
        InputError: no readable clips.
        LvcError: ``cuda`` was asked for and is not there.
        ModelError: a checkpoint of another size, or a bound that does not hold.
        OtherOriginError: the checkpoint beside the model is of a training with other settings.
        OutputError: the model, its checkpoint or its log cannot be written, or the model exists.
    """
    _check_files(output, overwrite)
    with cpu_threads(threads), _processes(choose_device(device)) as (rank, where):
        settings = TrainingSettings(
            clips=clips,
            checkpoint=output.with_suffix(CHECKPOINT_SUFFIX),
            size=size,
            minutes=minutes or DEFAULT_MINUTES,
            steps=steps,
            batch=batch,
            crop=crop,
            device=where,
            seed=seed,
            validation=validation,
            stills=stills,
            start_from=start_from,
            output=output,
            fit_crops=fit_crops,
            only=only,
        )
        trainer = Trainer(settings, progress if rank == 0 else None)
        trainer.run()
    if rank != 0:
        return None
    return finish(trainer, output, fit_crops, progress or silent)


def finish(trainer: Trainer, output: Path, fit_crops: int, progress: OnTraining = silent) -> Model:
    """Fit codebooks and tables to the trained networks, and write the model file."""
    settings = trainer.settings
    card = {
        "name": output.stem,
        "steps": trainer.step,
        "training_seconds": round(trainer.elapsed),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {settings.device}, torch {torch.__version__}",
        "validation_score": trainer.validated,
    }
    clips = trainer.clips
    codec = trainer.learner.codec
    start = None if trainer.codebooks is None else trainer.codebooks.quantisers()
    statistics = Statistics.start()
    data, model = exported(codec, statistics, card, output.stem)
    for _ in range(FIT_ROUNDS):
        statistics = fit(model, clips, fit_crops, progress, start)
        data, model = exported(codec, statistics, card, output.stem)
    write_file(output, data)
    return model
