#!/usr/bin/env python3
"""Make one model of two trainings, of which one learned intra pictures and the other all that follows them.

lvc train clips/ -o intra.lvcm --only intra --minutes 60 --start-from old.lvcm &
lvc train clips/ -o inter.lvcm --only inter --minutes 60 --start-from old.lvcm &
wait
python scripts/join_halves.py intra.ckpt inter.ckpt clips/ new.lvcm

Codebooks and tables are fitted again to the whole. A checkpoint of the whole lies beside the model, from which
lvc train clips/ -o new.lvcm --minutes N goes on, where N is more than both have taken together.
Files that exist are replaced only with -y.
"""

import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lvc.cli.events import Events  # noqa: E402
from lvc.cli.training_progress import TrainingLine  # noqa: E402
from lvc.errors import OutputError  # noqa: E402
from lvc.output import check_output  # noqa: E402
from lvc.training.command import finish  # noqa: E402
from lvc.training.data import load_folder  # noqa: E402
from lvc.training.loop import Trainer  # noqa: E402
from lvc.training.settings import CHECKPOINT_SUFFIX, TrainingSettings  # noqa: E402

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(help=__doc__)
@click.argument("intra", type=_FILE)
@click.argument("inter", type=_FILE)
@click.argument("clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--size", default="lite", show_default=True, help="Name of the model configuration.")
@click.option("--fit-crops", default=64, show_default=True, help="Crops from which codebooks and tables are counted.")
@click.option("-y", "always", is_flag=True, help="Replace a model or a checkpoint that exists.")
def main(intra: Path, inter: Path, clips: Path, output: Path, size: str, fit_crops: int, always: bool) -> None:
    """See the module."""
    whole = output.with_suffix(CHECKPOINT_SUFFIX)
    try:
        for written in (output, whole):
            for half in (intra, inter):
                check_output(written, source=half, overwrite=always)
    except OutputError as error:
        raise click.ClickException(str(error)) from error
    trainer = Trainer(TrainingSettings(clips, whole, size=size, minutes=1))
    trainer.take_halves(intra, inter)
    trainer.save()
    with TrainingLine(quiet=False, events=Events()) as line:
        trainer.clips = load_folder(clips, progress=line)
        finish(trainer, output, fit_crops, line)


if __name__ == "__main__":
    main()
