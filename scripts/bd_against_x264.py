#!/usr/bin/env python3
"""BD-rate of lvc (and of x265 medium beside it) against x264 medium, without pictures: a short form of ``lvc bench``.

python scripts/bd_against_x264.py ../clips --quality 15,35,55,75 --jobs 2
"""

import sys
from pathlib import Path

import click

from lvc.cli import main


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--frames", default="32", show_default=True)
@click.option("--quality", default="15,35,55,75", show_default=True, help="Qualities of lvc; 'none' runs peers only.")
@click.option("--preset", default="medium", show_default=True)
@click.option("--model", help="Model name or file.")
@click.option("--jobs", default=1, show_default=True)
@click.option("-o", "--output", default="report", show_default=True)
def run(
    clips: tuple[Path, ...], frames: str, quality: str, preset: str, model: str | None, jobs: int, output: str
) -> None:
    ours = f"lvc:preset={preset}:quality={quality}" + (f":model={model}" if model else "")
    codecs = ["x264", "x265"] + ([] if quality == "none" else [ours])
    options = [word for codec in codecs for word in ("-c", codec)]
    options += ["--frames", frames, "--jobs", str(jobs), "-o", output, "--no-crops", "--anchor", "x264"]
    sys.argv = ["lvc", "bench", *map(str, clips), *options]
    main()


if __name__ == "__main__":
    run()
