"""``lvc train``."""

from pathlib import Path
from typing import Any

import click

from lvc.cli.options import compute_options

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("clips", type=_FOLDER, metavar="CLIPS_FOLDER")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="MODEL",
    help="Model file to export. Checkpoint and log lie beside it; an interrupted run goes on from them.",
)
@click.option("--size", default="lite", show_default=True, metavar="NAME", help="The dial for widths and depths.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Length of the training, over all runs.")
@click.option("--steps", type=click.IntRange(min=1), help="Length of the training, instead of --minutes.")
@click.option("--batch", type=click.IntRange(1, 1024), default=4, show_default=True, help="Crops in a step.")
@click.option("--crop", type=click.IntRange(64, 1024), default=128, show_default=True, help="Size of a crop, samples.")
@click.option("--validation", type=_FOLDER, help="Clips for rate-distortion points along the way.")
@click.option("--stills", type=_FOLDER, help="Pictures to mix into the training of intra frames.")
@click.option(
    "--start-from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Checkpoint or model file whose weights a new training starts from.",
)
@click.option(
    "--only",
    type=click.Choice(["intra", "inter"]),
    help="Train the networks of intra or of predicted pictures alone, and leave the others as they are.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything that is drawn by chance.")
@compute_options
@click.option("--quiet", is_flag=True, help="No progress.")
def train(clips: Path, output: Path, **options: Any) -> None:
    """Train a model on a folder of clips and export it.

    Goes on where it stopped when it is started again with the same arguments. For several devices or machines run
    torchrun --nproc-per-node N -m lvc train ...
    """
    if (options["minutes"] is None) == (options["steps"] is None):
        raise click.UsageError("Give the length of the training: either --minutes or --steps.")
    from lvc.training import train as run

    run(clips, output, **options)
