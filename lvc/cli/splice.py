"""``lvc cat`` and ``lvc cut``."""

from dataclasses import asdict
from fractions import Fraction

import click

from lvc import api
from lvc.cli.events import Events
from lvc.cli.options import (
    FILE,
    ends,
    may_overwrite,
    note_stream,
    overwrite_options,
    parsed,
    seconds_of,
    talk_options,
)
from lvc.cli.progress import ProgressLine

_VIDEO_ONLY = "Leave audio, subtitles and all other streams out; tags and chapters stay."


@click.command()
@click.argument("sources", metavar="INPUT...", type=FILE, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    "destination",
    required=True,
    type=FILE,
    is_eager=True,
    callback=note_stream,
    metavar="OUTPUT",
    help="The joined file.",
)
@click.option("--video-only", is_flag=True, help=_VIDEO_ONLY)
@overwrite_options
@talk_options
def cat(
    sources: tuple[str, ...],
    destination: str,
    video_only: bool,
    always: bool,
    never: bool,
    events: Events,
    quiet: bool,
) -> None:
    """Join .lvc files without encoding them again.

    They must have been encoded with the same model, and have the same picture size and other streams.
    """
    overwrite = may_overwrite(destination, sources[0], always=always, never=never)
    with ProgressLine("joining", quiet=quiet, events=events) as line:
        result = api.cat(sources, destination, video_only=video_only, overwrite=overwrite, progress=line)
    line.result("cat", {"inputs": sources, "output": destination, **asdict(result)})


@click.command()
@ends
@click.option(
    "--start",
    default="0",
    callback=parsed(seconds_of),
    metavar="[[H:]M:]S",
    help="From the group in which this time lies.",
)
@click.option(
    "--end",
    callback=parsed(seconds_of),
    metavar="[[H:]M:]S",
    help="To the end of the group in which this time lies.",
)
@click.option("--video-only", is_flag=True, help=_VIDEO_ONLY)
@overwrite_options
@talk_options
def cut(
    source: str,
    destination: str,
    start: Fraction,
    end: Fraction | None,
    video_only: bool,
    always: bool,
    never: bool,
    events: Events,
    quiet: bool,
) -> None:
    """Cut a piece out of a .lvc file without encoding it again.

    Times count from the first frame. The piece consists of whole groups of pictures (see lvc info): it holds all that
    was asked for, and up to a group more on either side.
    """
    if end is not None and end <= start:
        message = f"--end, {float(end):.6g} seconds, must be after --start, {float(start):.6g} seconds."
        raise click.UsageError(message)
    overwrite = may_overwrite(destination, source, always=always, never=never)
    with ProgressLine("cutting", quiet=quiet, events=events) as line:
        result = api.cut(
            source, destination, start=start, end=end, video_only=video_only, overwrite=overwrite, progress=line
        )
        if result.starts[0] < start:
            line.warn(f"the piece begins with the group of pictures at {result.starts[0]:.6g} seconds")
    line.result("cut", {"input": source, "output": destination, **asdict(result)})
