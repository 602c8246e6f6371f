"""``lvc bench``."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from lvc.bench.measure import Conditions
    from lvc.bench.session import Outcome

CTC_FRAMES = 96
"""Frames of the learned-codec papers where none are asked for (J. Li, B. Li and Y. Lu, DCVC-DC, CVPR 2023)."""

_DEFAULT_CODECS = ("lvc", "x264", "x265")

_EPILOG = """\b
Codec strings:
  lvc:preset=medium:quality=15,35,55,75:model=PATH
  x264:preset=medium:crf=22,27,32,37,42      also x265; tune=psnr is possible
  svtav1:preset=8:crf=30,40,50,57,63
  vp9:preset=1:crf=30,40,48,56,63            preset is libvpx's cpu-used
What is left out takes these values.

\b
Parts for --ablate:
  scalar     integers instead of codebooks    nosizes    no block is divided
  noadapt    tables do not learn              nofilter   no loop filters
  nomotion   all vectors are zero             nobetween  no pictures between anchors
  noskip     no block is skipped              nocascade  pictures of equal quality
  nodrop     chroma is never coarser          noweighting  references are as they are
  noaverage  pictures are coded as they are

\b
The report folder gets results.jsonl (a row per clip, codec and point; a run that
was interrupted goes on where it stopped), report.html and curves/*.png."""


def _frames(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A number of frames; 0 for all, None where nothing was given."""
    if value is None:
        return None
    if value == "all":
        return 0
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number of frames nor 'all'", context, parameter)
    return int(value)


def _noted(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    """Whoever tells of Python's warnings is to know of ``--quiet``."""
    from lvc.cli.events import events_of  # lvc.cli imports this module

    events_of(context).quiet = value
    return value


@click.command(epilog=_EPILOG)
@click.argument("clips", nargs=-1, metavar="CLIPS...", type=click.Path(path_type=Path))
@click.option("-c", "--codec", "codecs", multiple=True, metavar="STRING", help="A codec to run; may be repeated.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("report"),
    show_default=True,
    help="Folder of the report.",
)
@click.option(
    "--frames",
    callback=_frames,
    metavar="N|all",
    help=f"Frames from the start of each clip.  [default: 32, {CTC_FRAMES} with ctc]",
)
@click.option(
    "--anchor",
    metavar="STRING",
    help="Codec that the others are held against.  [default: the first peer; lvc with --ablate]",
)
@click.option("--threads", type=click.Choice(["1", "all"]), default="1", show_default=True, help="Threads per codec.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where lvc runs."
)
@click.option(
    "--conditions",
    type=click.Choice(["default", "ctc"]),
    default="default",
    show_default=True,
    help=f"ctc: as in papers on learned codecs: {CTC_FRAMES} frames, exactly one intra picture.",
)
@click.option("--ablate", multiple=True, metavar="PART", help="lvc without a part, against lvc; may be repeated.")
@click.option("--speed", is_flag=True, help="Speed on the first clip at 360p, 720p and 1080p instead of curves.")
@click.option("--frame", type=click.IntRange(0), metavar="N", help="Frame to show side by side.  [default: the middle]")
@click.option("--no-crops", is_flag=True, help="Leave the side-by-side pictures out.")
@click.option("--no-cache", is_flag=True, help="Measure everything that the report folder does not hold.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Points at a time; disturbs speeds."
)
@click.option("--quiet", is_flag=True, is_eager=True, callback=_noted, help="No progress and no warnings.")
def bench(
    clips: tuple[Path, ...],
    codecs: tuple[str, ...],
    folder: Path,
    frames: int | None,
    anchor: str | None,
    threads: str,
    device: str,
    conditions: str,
    ablate: tuple[str, ...],
    speed: bool,
    frame: int | None,
    no_crops: bool,
    no_cache: bool,
    jobs: int,
    quiet: bool,
) -> None:
    """Measure rate, quality and speed of lvc and of the codecs people use, on the same frames.

    CLIPS are video files or folders of them. What fails is named and left out, and the exit status is then 1. Where
    nothing is left to measure it is 2 if no codec string is right, else 3.
    """
    if not clips:
        raise click.UsageError("give at least one clip or folder of clips")
    if speed:
        _refuse_with_speed(click.get_current_context())
    from lvc.bench.cache import Cache, default_folder
    from lvc.bench.measure import Conditions
    from lvc.bench.session import Request, run_session

    if frames is None:
        frames = CTC_FRAMES if conditions == "ctc" else 32
    ctc = conditions == "ctc"
    strings = list(codecs or (("lvc",) if ablate else _DEFAULT_CODECS))
    if ablate:
        ours = next(filter(_is_ours, strings), "lvc")
        strings += [] if ours in strings else [ours]
        strings += [f"{ours}:ablate={part}" for part in ablate]
    chosen = Conditions(conditions, frames or None, 1 if threads == "1" else 0, ctc, _device(device, strings))
    if speed:
        _speed(clips, codecs, chosen, device, folder, quiet)
        return
    request = Request(
        clips=clips,
        codecs=strings,
        conditions=chosen,
        folder=folder,
        cache=Cache(None if no_cache else default_folder()),
        anchor=anchor,
        crops=not no_crops,
        frame=frame,
        command=shlex.join(["lvc", *sys.argv[1:]]),
        jobs=jobs,
        quiet=quiet,
    )
    click.echo(chosen.describe(), err=True)
    _end(run_session(request))


def _device(device: str, codecs: Sequence[str]) -> str:
    """``cpu`` or ``cuda``. Torch is asked only where lvc takes part."""
    if device == "cpu" or not any(map(_is_ours, codecs)):
        return "cpu"
    from lvc.compute import choose_device

    return choose_device(device)


def _is_ours(text: str) -> bool:
    """Whether a codec string is one of lvc."""
    return text.strip().partition(":")[0].lower() == "lvc"


def _end(outcome: "Outcome") -> None:
    """Print what there is and leave with the status that fits."""
    from lvc.bench.summary import text_tables

    if outcome.summary.rows:
        click.echo(text_tables(outcome.summary))
    notes = [*outcome.summary.missing(), *outcome.notes]
    _leave(notes, outcome.failures, outcome.report, interrupted=outcome.interrupted)


def _leave(
    notes: Sequence[str], failures: Sequence[str], report: Path, *, interrupted: KeyboardInterrupt | None
) -> None:
    for note in notes:
        click.echo(f"lvc: note: {note}", err=True)
    for failure in failures:
        click.echo(f"lvc: warning: {failure.rstrip('.')}", err=True)
    click.echo(f"{report}", err=True)
    if interrupted is not None:
        raise interrupted
    if failures:
        click.echo(f"lvc: error: {len(failures)} left out", err=True)
        raise click.exceptions.Exit(1)


def _refuse_with_speed(context: click.Context) -> None:
    """Options that say nothing about speed."""
    for name in ("conditions", "ablate", "anchor", "frame", "jobs"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} does not go with --speed")


def _speed(
    clips: Sequence[Path], codecs: Sequence[str], conditions: "Conditions", device: str, folder: Path, quiet: bool
) -> None:
    from lvc.bench.speed import measure_speed, plan_speed, speed_text

    plan = plan_speed(clips, codecs or _DEFAULT_CODECS, conditions.threads, conditions.frames, device)
    click.echo(plan.describe(), err=True)
    rows, interrupted = measure_speed(plan, folder, quiet=quiet)
    if not rows and interrupted is not None:
        raise interrupted
    click.echo(speed_text(rows))
    failed = [f"{row.size} {row.codec} {row.device}: {row.error}" for row in rows if row.error]
    _leave(plan.notes, [*plan.failures, *failed], folder / "speed.jsonl", interrupted=interrupted)
