#!/usr/bin/env python3
"""Bring the benchmark in README.md up to date: run ``lvc bench`` on a folder of clips, then write curves and a table.

    python scripts/update_benchmark.py ../shared/data/val

README.md must hold the lines ``<!-- benchmark -->`` and ``<!-- /benchmark -->``; what stands between them is replaced.
The curves go to .github/benchmark.png. Takes 20 to 40 minutes on two cores, less where peers and points are cached.
"""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lvc.bench.cache import Cache, default_folder
from lvc.bench.codecs import parse_codec
from lvc.bench.curves import smooth_curve
from lvc.bench.measure import Conditions
from lvc.bench.session import Request, run_session
from lvc.bench.summary import MEASURES, Summary, rate_text
from lvc.compute import choose_device
from lvc.errors import LvcError

ROOT = Path(__file__).resolve().parent.parent
CODECS = ("lvc", "x264", "x265")
FRAMES = 32
PICTURE = ".github/benchmark.png"
START, END = "<!-- benchmark -->", "<!-- /benchmark -->"
SHOWN = ("psnr", "ms_ssim_db")


def table(summary: Summary, measure: str) -> str:
    """BD-rates as a Markdown table."""
    others = [codec for codec in summary.codecs if codec != summary.anchor]
    lines = [f"| BD-rate, {MEASURES[measure][0]}, against {summary.anchor} | " + " | ".join(others) + " |"]
    lines.append("|---|" + "---:|" * len(others))
    for clip in summary.clips:
        cells = [rate_text(summary.rate_difference(clip, codec, measure)) for codec in others]
        lines.append(f"| {clip} | " + " | ".join(cells) + " |")
    means = [summary.mean_rate_difference(codec, measure) for codec in others]
    cells = ["–" if mean is None else f"**{rate_text(mean)}**, {mean.clips} clips" for mean in means]
    return "\n".join([*lines, "| **mean** | " + " | ".join(cells) + " |"])


def compared(rows: list[dict[str, Any]], codec: str, other: str) -> str:
    """What a codec needs more or less than another one, in a sentence; empty where nothing can be said."""
    summary = Summary(rows, other)
    parts = []
    for measure in SHOWN:
        mean = summary.mean_rate_difference(codec, measure) if measure in summary.measures else None
        if mean is not None:
            direction = "more" if mean.value > 0 else "fewer"
            part = f"{abs(mean.value):.1f} % {direction} bits at the same {MEASURES[measure][0]}"
            parts.append(part + (f" (of {mean.clips} clips)" if mean.clips < len(summary.clips) else ""))
    return f"Against {other}, {codec} needs {', '.join(parts)} on average." if parts else ""


def section(rows: list[dict[str, Any]], names: list[str], conditions: Conditions, command: str) -> str:
    """What stands in README.md below the curves.

    Args:
        names: of the codecs, ours first, then the anchor.
    """
    summary = Summary(rows, names[1])
    tables = "\n\n".join(table(summary, measure) for measure in SHOWN if measure in summary.measures)
    sentence = conditions.describe()
    sentences = " ".join(compared(rows, names[0], other) for other in names[1:])
    return (
        f"{tables}\n\nNegative needs fewer bits than the anchor; the percentage "
        "in brackets is how much of the range of quality that either\ncurve covers is covered by both. "
        f"{sentences} {sentence[0].upper()}{sentence[1:]}. `{command}`, {datetime.now(UTC).date().isoformat()}."
    )


def plot(summary: Summary, path: Path) -> None:
    """PSNR curves of all clips in one picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    columns = min(3, len(summary.clips))
    rows = -(-len(summary.clips) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for index, clip in enumerate(summary.clips):
        axes = figure.add_subplot(rows, columns, index + 1)
        for codec in summary.codecs:
            points = summary.curve(clip, codec)
            rates, values = [point.rate for point in points], [point.values["psnr"] for point in points]
            (line,) = axes.plot(*smooth_curve(rates, values), label=codec)
            axes.plot(rates, values, ".", color=line.get_color())
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(clip, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(visible=True, alpha=0.3)
        if index == 0:
            axes.legend(fontsize=7)
    figure.supxlabel("bits per pixel", fontsize=9)
    figure.supylabel("PSNR 6:1:1, dB", fontsize=9)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


@click.command()
@click.argument("clips", type=click.Path(path_type=Path, exists=True))
@click.option("--jobs", default=1, show_default=True)
@click.option("--report", type=click.Path(path_type=Path), default=Path("report"), show_default=True)
def main(clips: Path, jobs: int, report: Path) -> None:
    names = [parse_codec(text).name for text in CODECS]
    options = [word for codec in CODECS for word in ("-c", codec)]
    options += ["--frames", str(FRAMES), "--anchor", CODECS[1], "--jobs", str(jobs), "-o", str(report)]
    command = shlex.join(["lvc", "bench", str(clips), *options])
    conditions = Conditions(frames=FRAMES, device=choose_device("auto"))
    cache = Cache(default_folder())
    request = Request([clips], CODECS, conditions, report, cache, CODECS[1], command=command, jobs=jobs)
    try:
        outcome = run_session(request)
    except LvcError as error:
        sys.exit(str(error))
    if outcome.interrupted is not None or outcome.failures:
        sys.exit("README.md stays as it is: " + ("; ".join(outcome.failures) or "interrupted"))
    rows = sorted(outcome.summary.rows, key=lambda row: (row["clip"], names.index(row["codec"]), row["bpp"]))
    plot(Summary(rows, names[1]), ROOT / PICTURE)
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text("utf-8").partition(START)
    _, found, after = rest.partition(END)
    if not found:
        sys.exit(f"README.md has no lines {START} and {END}")
    text = f"![Rate-distortion curves]({PICTURE})\n\n{section(rows, names, conditions, command)}"
    readme.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
