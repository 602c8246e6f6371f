"""``lvc verify``."""

from dataclasses import asdict
from typing import Any

import click

from lvc import api
from lvc.cli.events import Events
from lvc.cli.options import FILE, batch_option, compute_options, model_option, talk_options
from lvc.cli.progress import ProgressLine


@click.command()
@click.argument("source", metavar="FILE", type=FILE)
@model_option("The model of the file, where that is not installed.")
@batch_option
@compute_options
@talk_options
def verify(source: str, events: Events, quiet: bool, **options: Any) -> None:
    """Decode a .lvc file and check everything, writing nothing.

    FILE may be - for standard input. Exit status 0 says that every byte is intact and that this machine decodes
    exactly the pictures that the encoder saw.
    """
    with ProgressLine("verifying", quiet=quiet, events=events) as line:
        result = api.verify(source, progress=line, **options)
    line.result("verify", {"input": source, **asdict(result)})
    if not (events.wanted or quiet):
        click.echo(f"{source}: intact, {result.frames} frames decode exactly")
