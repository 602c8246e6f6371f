"""From rows to what a reader wants to know: curves, Bjøntegaard differences, speed."""

from collections.abc import Sequence
from dataclasses import dataclass

from lvc.bench.cache import Row
from lvc.bench.curves import Difference, bd_quality, bd_rate

MEASURES = {
    "psnr": ("PSNR 6:1:1", "dB"),
    "psnr_y": ("PSNR Y", "dB"),
    "ssim_db": ("SSIM", "dB"),
    "ms_ssim_db": ("MS-SSIM Y", "dB"),
    "xpsnr": ("XPSNR", "dB"),
    "vmaf": ("VMAF", "points"),
}
"""Name and unit of the measures that curves are drawn of."""


@dataclass(frozen=True)
class Point:
    """One point of a curve.

    Attributes:
        rate: bits per luma sample.
        kbps: the same in kb/s.
        label: the codec string.
        values: measures by name; those that could not be had are missing.
    """

    rate: float
    kbps: float
    label: str
    values: dict[str, float]


@dataclass(frozen=True)
class Speed:
    """How fast a codec was over all its points on all clips of a run.

    Attributes:
        encode, decode: million luma samples per second, wall time; None where nothing was decoded (``--ablate``: the
            pictures come from the encoder).
        peak_bytes: largest memory of the process that encoded a point.
    """

    encode: float
    decode: float | None
    peak_bytes: int | None

    def texts(self) -> list[str]:
        """A row of a table."""
        memory = "–" if self.peak_bytes is None else f"{self.peak_bytes / 2**20:.0f} MiB"
        return [f"{self.encode:.2f}", "–" if self.decode is None else f"{self.decode:.2f}", memory]


@dataclass(frozen=True)
class Mean:
    """A Bjøntegaard difference on average over clips.

    Attributes:
        value: as in :class:`lvc.bench.curves.Difference`.
        clips: how many have one.
        overlaps: the smallest and the largest of these.
    """

    value: float
    clips: int
    overlaps: tuple[float, float]


class Summary:
    """Rows of one run, ordered.

    Args:
        rows: finished rows, all under the same conditions.
        anchor: name of the codec that the others are held against, whether or not it has rows; where None, the first
            that is not lvc, else the first.

    Attributes:
        clips, codecs: names in order of appearance.
        measures: keys of ``MEASURES`` that at least one row has.
        anchor: name of the anchor; None where none is given and there are no rows.
    """

    def __init__(self, rows: Sequence[Row], anchor: str | None = None) -> None:
        self.rows = list(rows)
        self.clips = list(dict.fromkeys(row["clip"] for row in rows))
        self.codecs = list(dict.fromkeys(row["codec"] for row in rows))
        self.measures = [name for name in MEASURES if any(row["metrics"].get(name) is not None for row in rows)]
        if anchor is None:
            peers = [codec for codec in self.codecs if not codec.startswith("lvc")]
            anchor = next(iter(peers or self.codecs), None)
        self.anchor = anchor

    def curve(self, clip: str, codec: str) -> list[Point]:
        """Points of one codec on one clip by rising rate; empty where it has none."""
        points = [
            Point(
                row["bpp"],
                row["kbps"],
                row["string"],
                {name: value for name, value in row["metrics"].items() if value is not None},
            )
            for row in self.rows
            if row["clip"] == clip and row["codec"] == codec
        ]
        return sorted(points, key=lambda point: point.rate)

    def rate_difference(self, clip: str, codec: str, measure: str) -> Difference | None:
        """BD-rate against the anchor in per cent; None where one of the two did not run."""
        curves = self._pair(clip, codec, measure)
        return bd_rate(*curves[0], *curves[1]) if curves else None

    def quality_difference(self, clip: str, codec: str, measure: str) -> Difference | None:
        """BD-PSNR, or the like of other measures, against the anchor; None where one of the two did not run."""
        curves = self._pair(clip, codec, measure)
        return bd_quality(*curves[0], *curves[1]) if curves else None

    def mean_rate_difference(self, codec: str, measure: str) -> Mean | None:
        """Mean BD-rate over the clips that have one; None where none has."""
        return _mean([self.rate_difference(clip, codec, measure) for clip in self.clips])

    def mean_quality_difference(self, codec: str, measure: str) -> Mean | None:
        """Mean BD-quality over the clips that have one; None where none has."""
        return _mean([self.quality_difference(clip, codec, measure) for clip in self.clips])

    def speed(self, codec: str) -> Speed:
        """Speed over all rows of a codec of this run."""
        rows = [row for row in self.rows if row["codec"] == codec]
        samples = sum(row["width"] * row["height"] * row["frames"] for row in rows) / 1e6
        peaks = [row["peak_bytes"] for row in rows if row.get("peak_bytes")]
        decoding = sum(row["decode_seconds"] for row in rows)
        return Speed(
            samples / max(1e-9, sum(row["encode_seconds"] for row in rows)),
            samples / decoding if decoding else None,
            max(peaks, default=None),
        )

    def missing(self) -> list[str]:
        """One sentence for each measure that rows lack because FFmpeg does."""
        return list(dict.fromkeys(text for row in self.rows for text in row.get("missing", {}).values()))

    def _pair(
        self, clip: str, codec: str, measure: str
    ) -> tuple[tuple[list[float], list[float]], tuple[list[float], list[float]]] | None:
        if self.anchor is None:
            return None
        anchor, test = (self._values(clip, name, measure) for name in (self.anchor, codec))
        return (anchor, test) if anchor[0] and test[0] else None

    def _values(self, clip: str, codec: str, measure: str) -> tuple[list[float], list[float]]:
        points = [point for point in self.curve(clip, codec) if measure in point.values]
        return [point.rate for point in points], [point.values[measure] for point in points]


def _mean(differences: Sequence[Difference | None]) -> Mean | None:
    known = [(each.value, each.overlap) for each in differences if each is not None and each.value is not None]
    if not known:
        return None
    values, overlaps = zip(*known, strict=True)
    return Mean(sum(values) / len(values), len(values), (min(overlaps), max(overlaps)))


def rate_text(difference: Difference | Mean | None) -> str:
    """``-12.3 % (88%)``, with the overlap; the reason where there is no number; a dash for no run."""
    return _difference_text(difference, "{:+.1f} %")


def quality_text(difference: Difference | Mean | None, unit: str) -> str:
    """As :func:`rate_text`, in units of the quality."""
    return _difference_text(difference, f"{{:+.2f}} {unit}")


def _difference_text(difference: Difference | Mean | None, form: str) -> str:
    if difference is None:
        return "–"
    if isinstance(difference, Mean):
        least, most = (f"{overlap:.0%}" for overlap in difference.overlaps)
        return f"{form.format(difference.value)} ({least if least == most else f'{least[:-1]}–{most}'})"
    if difference.value is None:
        return difference.reason or "–"
    return f"{form.format(difference.value)} ({difference.overlap:.0%})"


def text_tables(summary: Summary) -> str:
    """BD-rates and BD-qualities per clip and on average for each measure, then speed: plain text, aligned."""
    parts = []
    others = [codec for codec in summary.codecs if codec != summary.anchor]
    for measure in summary.measures if others else ():
        title, unit = MEASURES[measure]
        rates, qualities = [[f"BD-rate, {title}", *others]], [[f"BD-{title}", *others]]
        for clip in summary.clips:
            rates.append([clip, *(rate_text(summary.rate_difference(clip, codec, measure)) for codec in others)])
            differences = [summary.quality_difference(clip, codec, measure) for codec in others]
            qualities.append([clip, *(quality_text(difference, unit) for difference in differences)])
        means = [summary.mean_rate_difference(codec, measure) for codec in others]
        rates.append(["mean", *(rate_text(mean) + _clips_text(summary, mean) for mean in means)])
        means = [summary.mean_quality_difference(codec, measure) for codec in others]
        qualities.append(["mean", *(quality_text(mean, unit) + _clips_text(summary, mean) for mean in means)])
        parts.append(f"against {summary.anchor}, in brackets the overlap of the curves\n{_align(rates)}")
        parts.append(_align(qualities))
    rows = [["speed, million samples/s", "encode", "decode", "encoder's peak memory"]]
    rows += [[codec, *summary.speed(codec).texts()] for codec in summary.codecs]
    parts.append(_align(rows))
    return "\n\n".join(parts)


def _clips_text(summary: Summary, mean: Mean | None) -> str:
    """How many clips a mean is of, where these are not all."""
    return "" if mean is None or mean.clips == len(summary.clips) else f", {mean.clips} of {len(summary.clips)}"


def _align(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
