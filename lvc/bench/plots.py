"""PNG of each curve, with matplotlib (the extra ``plots``)."""

import re
from importlib.util import find_spec
from pathlib import Path

from lvc.bench.curves import smooth_curve
from lvc.bench.names import distinct_names
from lvc.bench.summary import MEASURES, Summary


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def write_plots(summary: Summary, folder: Path) -> list[Path]:
    """One ``<clip>-<measure>.png`` per clip and measure, over bits per pixel on a logarithmic axis.

    Clips whose names differ in other characters than letters and digits only are numbered.

    Args:
        folder: made where it is missing.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the folder cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    safe = [re.sub(r"[^A-Za-z0-9._-]+", "_", clip) for clip in summary.clips]
    stems = distinct_names([(stem, f"{stem}-{number}") for number, stem in enumerate(safe, 1)])
    for clip, stem in zip(summary.clips, stems, strict=True):
        for measure in summary.measures:
            title, unit = MEASURES[measure]
            figure = Figure(figsize=(6.4, 4.4), dpi=120, layout="constrained")
            FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            for index, codec in enumerate(summary.codecs):
                points = [point for point in summary.curve(clip, codec) if measure in point.values]
                if not points:
                    continue
                rates, values = [point.rate for point in points], [point.values[measure] for point in points]
                (line,) = axes.plot(*smooth_curve(rates, values), label=codec)
                axes.plot(rates, values, "os^Dxv"[index % 6], color=line.get_color())
            axes.set(xscale="log", xlabel="bits per pixel", ylabel=f"{title}, {unit}", title=clip)
            axes.grid(visible=True, which="both", alpha=0.3)
            if axes.lines:
                axes.legend()
            path = folder / f"{stem}-{measure}.png"
            figure.savefig(path)
            written.append(path)
    return written
