"""``lvc decode``."""

from dataclasses import asdict
from fractions import Fraction
from typing import Any

import click

from lvc import api
from lvc.cli.events import Events
from lvc.cli.options import (
    batch_option,
    compute_options,
    ends,
    may_overwrite,
    model_option,
    overwrite_options,
    span_options,
    talk_options,
    workers_option,
)
from lvc.cli.progress import ProgressLine
from lvc.decoding import check_crf
from lvc.edit import Span

_CRF_HELP = "Its quality: 0 to 51 (x264, x265) or 63 (VP9, AV1).  [default: visually lossless]"


@click.command()
@ends
@click.option("--format", metavar="FORMAT", help="mp4, mov, mkv, webm or y4m.  [default: by the extension; y4m for -]")
@click.option("--codec", metavar="NAME", help="Video encoder of FFmpeg.  [default: libx264]")
@click.option("--crf", type=click.FloatRange(0, 63), metavar="N", help=_CRF_HELP)
@click.option("--lossless", is_flag=True, help="FFV1 in Matroska: exactly the decoded pictures.")
@click.option("--keep-going", is_flag=True, help="Decode what a damaged or truncated file still holds.")
@model_option("The model of the file, where that is not installed.")
@click.option(
    "--preview",
    is_flag=True,
    help="Only the first picture of each group, at a fraction of the time; from the group that --start lies in.",
)
@click.option(
    "--layers",
    type=click.IntRange(1, 3),
    metavar="1...3",
    help="A faster, coarser --preview: low frequencies alone, low and middle ones, or all. Only all are checked.",
)
@span_options
@workers_option
@batch_option
@compute_options
@overwrite_options
@talk_options
def decode(
    source: str,
    destination: str,
    start: Fraction,
    frames: int | None,
    always: bool,
    never: bool,
    events: Events,
    quiet: bool,
    **options: Any,
) -> None:
    """Decode a .lvc file, or a part of it, to a video.

    INPUT is a .lvc file, or - for standard input. OUTPUT is a file whose extension names the format, or - for y4m on
    standard output.
    """
    if options["lossless"] and (options["codec"] or options["crf"] is not None):
        raise click.UsageError("--lossless chooses codec and quality: leave out --codec and --crf.")
    if options["crf"] is not None:
        try:
            check_crf(destination, options["format"], options["codec"], options["crf"])
        except ValueError as error:
            raise click.UsageError(f"--crf: {error}.") from error
    options["span"] = Span(start, frames)
    overwrite = may_overwrite(destination, source, always=always, never=never)
    with ProgressLine("decoding", quiet=quiet, events=events) as line:
        result = api.decode(source, destination, overwrite=overwrite, progress=line, warn=line.warn, **options)
    line.result("decode", {"input": source, "output": destination, **asdict(result)})
