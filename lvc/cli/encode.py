"""``lvc encode``."""

import os
from dataclasses import asdict
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lvc import api
from lvc.cli.events import Events
from lvc.cli.options import (
    compute_options,
    ends,
    may_overwrite,
    model_option,
    overwrite_options,
    parsed,
    span_options,
    talk_options,
    workers_option,
)
from lvc.cli.progress import ProgressLine, bit_rate
from lvc.container import limits
from lvc.edit import Crop, Edit, Span, parse_amount, parse_rate, parse_size
from lvc.ends import is_file
from lvc.passes import passes_for
from lvc.share import Share

if TYPE_CHECKING:
    from lvc.encoder.search import Try


_SHARED = (
    "RANK and WORLD_SIZE are set, so that several processes share this encode: it goes from a file to a file, goes on"
    " by itself after an interruption, and takes no --resume, --workers or --passes 1."
)


@click.command()
@ends
@click.option(
    "-q",
    "--quality",
    type=click.IntRange(1, 100),
    default=api.DEFAULT_QUALITY,
    show_default=True,
    metavar="1...100",
    help="Higher is better, and larger. --bitrate and --target-... find it.",
)
@click.option(
    "--bitrate",
    callback=parsed(parse_amount),
    metavar="RATE",
    help="Aim at bits per second of the video: 800k.",
)
@click.option("--target-size", callback=parsed(parse_amount), metavar="SIZE", help="Aim at bytes of the file: 20M.")
@click.option("--target-psnr", type=click.FloatRange(10, 60), metavar="DB", help="Aim at a PSNR (Y, U, V as 6:1:1).")
@click.option("--target-ssim", type=click.FloatRange(0.3, 0.9999), metavar="0...1", help="Aim at an SSIM.")
@click.option(
    "--max-bitrate", callback=parsed(parse_amount), metavar="RATE", help="Lower the quality where the rate is higher."
)
@click.option(
    "--passes",
    type=click.IntRange(1, 2),
    metavar="1|2",
    help="For a bit rate: 2 codes samples first, 1 adapts the quality on the way alone.  [default: 2; 1 for pipes]",
)
@click.option(
    "--preset",
    type=click.Choice(api.PRESETS),
    default="medium",
    show_default=True,
    help="Effort of the encoder. The speed of decoding does not depend on it.",
)
@click.option(
    "--tune",
    type=click.Choice(api.TUNES),
    default="psnr",
    show_default=True,
    help="What to be alike in: squared errors, or structure at several scales (MS-SSIM), at the cost of PSNR.",
)
@click.option(
    "--keyint",
    type=click.IntRange(1, limits.MAX_GOP_FRAMES),
    default=api.DEFAULT_KEYINT,
    show_default=True,
    metavar="N",
    help="Most frames from one intra frame to the next; scene cuts start a group too.",
)
@model_option("An installed model (see lvc models) or a model file.")
@span_options
@click.option("--crop", callback=parsed(Crop.parse), metavar="W:H[:X:Y]", help="Take this part of each picture.")
@click.option("--scale", callback=parsed(parse_size), metavar="WxH", help="Scale the pictures to this size.")
@click.option(
    "--fps",
    callback=parsed(parse_rate),
    metavar="RATE",
    help="Let the frames follow each other at this rate, such as 25 or 30000/1001; none is dropped or doubled, and"
    " audio and subtitles keep their times.",
)
@click.option(
    "--verify/--no-verify",
    default=None,
    help="Decode each group of pictures after it was coded, before the output gets its name.  [default: for files]",
)
@click.option(
    "--resume", is_flag=True, help="Go on where the same command was interrupted, and be ready to do so again."
)
@workers_option
@compute_options
@overwrite_options
@talk_options
def encode(
    source: str,
    destination: str,
    start: Fraction,
    frames: int | None,
    crop: Crop | None,
    scale: tuple[int, int] | None,
    fps: Fraction | None,
    bitrate: float | None,
    target_size: float | None,
    target_psnr: float | None,
    target_ssim: float | None,
    always: bool,
    never: bool,
    events: Events,
    quiet: bool,
    **options: Any,
) -> None:
    """Encode a video to a .lvc file.

    INPUT is any video that FFmpeg opens, or - for standard input: y4m, or what can be read in one go. OUTPUT is a file,
    or - for standard output.

    Where RANK and WORLD_SIZE are set, as torchrun does, so many processes with the same arguments and the same
    folders share one encode.
    """
    options["edit"] = Edit(Span(start, frames), fps, crop, scale)
    if options["resume"] and not (is_file(source) and is_file(destination)):
        raise click.UsageError("--resume goes from a file to a file.")
    wanted = {"bitrate": bitrate, "size": target_size, "psnr": target_psnr, "ssim": target_ssim}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if len(wanted) > 1:
        raise click.UsageError("Only one of --bitrate, --target-size, --target-psnr and --target-ssim can be aimed at.")
    given = click.get_current_context().get_parameter_source("quality") is ParameterSource.COMMANDLINE
    if wanted and given:
        raise click.UsageError("--quality is found by what is aimed at: leave it out, or use --max-bitrate.")
    if wanted or options["max_bitrate"]:
        rate_only = wanted.keys() <= {"bitrate"}
        try:
            passes_for(source, options["passes"], rate_only=rate_only, workers=options["workers"] or 1)
        except ValueError as error:
            raise click.UsageError(f"{error}.".capitalize()) from error
    elif options["passes"]:
        raise click.UsageError("--passes goes with --bitrate or --max-bitrate.")
    share = options["share"] = Share.from_environment(os.environ)
    if share is not None:
        alone = options["resume"] or (options["workers"] or 1) > 1 or options["passes"] == 1
        if alone or not (is_file(source) and is_file(destination)):
            raise click.UsageError(_SHARED)
        quiet = quiet or share.rank > 0
        events.wanted &= share.rank == 0
    helps = share is not None and share.rank > 0
    overwrite = may_overwrite(destination, source, always=always or helps, never=never and not helps)
    with ProgressLine("encoding", quiet=quiet, events=events) as line:
        if wanted or options["max_bitrate"]:
            from lvc.encoder.search import Target

            options["target"] = Target(**wanted) if wanted else None

            def tried(found: "Try") -> None:
                line.note("try", _told(found), asdict(found))
                line.begin()

            options["tried"] = tried
        result = api.encode(source, destination, overwrite=overwrite, progress=line, warn=line.warn, **options)
        if result.verify_seconds:
            text = f"verified: every picture decodes exactly; this took {result.verify_seconds:.1f} s"
            line.note("verified", text, {"seconds": round(result.verify_seconds, 3)})
    line.result("encode", {"input": source, "output": destination, **asdict(result)})


def _told(found: "Try") -> str:
    """A quality that was tried, for people."""
    likeness = "" if found.psnr is None else f", PSNR {found.psnr:.2f} dB"
    likeness += "" if found.ssim is None else f", SSIM {found.ssim:.4f}"
    return f"tried quality {found.quality:g}: about {found.bytes} bytes, {bit_rate(found.bits_per_second)}{likeness}"
