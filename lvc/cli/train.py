"""``lvc train``."""

import os
from pathlib import Path
from typing import Any

import click

from lvc.cli.events import Events
from lvc.cli.options import compute_options, may_overwrite, overwrite_options, talk_options
from lvc.cli.training_progress import TrainingLine
from lvc.training.settings import (
    CHECKPOINT_SUFFIX,
    CROP_UNIT,
    DEFAULT_MINUTES,
    LEAST_CROP,
    LOG_SUFFIX,
    MOST_CROP,
    SAVE_MINUTES,
    SIZES,
)

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _whole_units(_context: click.Context, _parameter: click.Parameter, crop: int) -> int:
    if crop % CROP_UNIT:
        raise click.BadParameter(f"{crop} is no multiple of {CROP_UNIT}.")
    return crop


@click.command()
@click.argument("clips", type=_FOLDER, metavar="CLIPS_FOLDER")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="MODEL",
    help=f"Model file to export. Beside it lie a checkpoint ({CHECKPOINT_SUFFIX}), written every {SAVE_MINUTES:g}"
    f" minutes and at the end, from which an interrupted run goes on, and a log ({LOG_SUFFIX}).",
)
@click.option(
    "--size",
    type=click.Choice(SIZES),
    default="lite",
    show_default=True,
    help="The dial for widths and depths: lite is for CPUs, base for GPUs, tiny for tests.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help=f"Length of the training, over all runs.  [default: {DEFAULT_MINUTES:g}]",
)
@click.option("--steps", type=click.IntRange(min=1), help="Length of the training, instead of --minutes.")
@click.option("--batch", type=click.IntRange(1, 1024), default=4, show_default=True, help="Crops in a step.")
@click.option(
    "--crop",
    type=click.IntRange(LEAST_CROP, MOST_CROP),
    callback=_whole_units,
    default=128,
    show_default=True,
    help=f"Size of a crop, samples: a multiple of {CROP_UNIT}.",
)
@click.option("--validation", type=_FOLDER, help="Clips for rate-distortion points along the way.")
@click.option("--stills", type=_FOLDER, help="Pictures to mix into the training of intra frames.")
@click.option(
    "--start-from",
    type=click.Path(dir_okay=False, readable=False, path_type=Path),  # one that goes on needs no such file
    metavar="FILE",
    help="Checkpoint or model file whose weights a new training starts from.",
)
@click.option(
    "--only",
    type=click.Choice(["intra", "inter"]),
    help="Train the networks of intra or of predicted pictures alone, and leave the others as they are.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, help="Of what is drawn by chance."
)
@compute_options
@overwrite_options
@talk_options
def train(
    clips: Path,
    output: Path,
    minutes: float | None,
    steps: int | None,
    always: bool,
    never: bool,
    events: Events,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a model on a folder of clips and export it.

    Goes on where it stopped when it is started again with the same arguments; those of its length, validation and
    devices may be others. For several devices or machines run torchrun --nproc-per-node N -m lvc train ...
    """
    if minutes is not None and steps is not None:
        raise click.UsageError("Give the length of the training once: --minutes or --steps.")
    is_first = os.environ.get("RANK", "0") == "0"
    overwrite = may_overwrite(str(output), str(clips), always=always or not is_first, never=never and is_first)
    events.wanted &= is_first
    events.quiet |= not is_first  # one process warns of a clip that all of them find
    quiet |= not is_first
    line = TrainingLine(quiet=quiet, events=events)
    if minutes is None and steps is None:
        minutes = DEFAULT_MINUTES
    length = f"{steps} steps" if minutes is None else f"{minutes:g} minutes"
    line.note("training", f"training for {length}, over all runs", {"minutes": minutes, "steps": steps})
    from lvc.training.command import train as run
    from lvc.training.origin import OtherOriginError

    options |= {"minutes": minutes, "steps": steps, "overwrite": overwrite}
    try:
        with line:
            model = run(clips, output, progress=None if quiet else line, **options)
    except OtherOriginError as error:
        raise click.UsageError(str(error)) from error
    if model is not None:
        fields = {"input": clips, "output": output, "id": model.id.hex(), "bytes": output.stat().st_size}
        line.result("train", {**fields, "card": model.card})
