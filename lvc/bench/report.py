"""``report.html``: one page that holds everything, fetches nothing, and reads on a phone."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from lvc.bench.cache import Row
from lvc.bench.crops import CropRow
from lvc.bench.curves import Difference, smooth_curve
from lvc.bench.png import encode_png
from lvc.bench.style import STYLE
from lvc.bench.summary import MEASURES, Mean, Summary, quality_text, rate_text
from lvc.bench.svg import SERIES_STYLES, Series, chart, marker_key

_DIFFERENCES_INTRO = (
    "BD-rate, piecewise cubic: negative needs fewer bits than the anchor. In brackets the overlap of the two curves: "
    "what both cover of what either covers. BD differences in quality below each table."
)
_SPEED_INTRO = (
    "Wall time inside each codec, over all points and clips of this run, in million luma samples per second; down is "
    "fewer bits, right is faster. Points taken from the cache keep the speed of the run that measured them; "
    "<code>lvc bench --speed</code> measures all in turn."
)
_CROPS_INTRO = (
    "The part of the frame in which the codecs together lose most, at the rate of lvc's middle point; peers are run "
    "again to meet that rate."
)


@dataclass(frozen=True)
class About:
    """What is true of the whole run.

    Attributes:
        command: the command line.
        date: when it ended.
        conditions: one sentence.
        versions: of the libraries and models.
        failures: one sentence each.
        notes: what else a reader should know, one sentence each.
    """

    command: str
    date: str
    conditions: str
    versions: Sequence[str]
    failures: Sequence[str] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)


def html_report(summary: Summary, about: About, crops: Sequence[CropRow] = ()) -> str:
    """The page as text; write it as UTF-8."""
    styles = {codec: index for index, codec in enumerate(_ours_first(summary.codecs))}
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>lvc bench: {len(summary.clips)} clips</title><style>{STYLE}</style></head><body><main>",
        _head(about),
        _legend(styles),
    ]
    if summary.anchor is not None:
        parts += [_differences(summary), _speed_section(summary, styles)]
    parts += ["<h2>Curves</h2>", *(_clip_section(summary, clip, styles) for clip in summary.clips)]
    if crops:
        parts += ["<h2>Side by side</h2>", f"<p>{_CROPS_INTRO}</p>", *map(_crop_row, crops)]
    parts += [_points_table(summary), _about_section(summary, about), "</main></body></html>"]
    return "\n".join(parts)


def rd_series(summary: Summary, clip: str, measure: str, styles: dict[str, int]) -> list[Series]:
    """Curves of one clip and measure: bits per pixel over quality."""
    series = []
    for codec in summary.codecs:
        points = [point for point in summary.curve(clip, codec) if measure in point.values]
        if not points:
            continue
        rates, values = [point.rate for point in points], [point.values[measure] for point in points]
        smooth_rates, smooth_values = smooth_curve(rates, values)
        tips = [
            f"{point.label}: {point.rate:.4f} bit/pixel, {point.kbps:.0f} kb/s, {point.values[measure]:.2f}"
            for point in points
        ]
        line = [(float(x), float(y)) for x, y in zip(smooth_rates, smooth_values, strict=True)]
        series.append(Series(codec, styles[codec], list(zip(rates, values, tips, strict=True)), line))
    return series


def _ours_first(codecs: Sequence[str]) -> list[str]:
    """Let lvc keep the first colour whatever the order of the command line."""
    return sorted(codecs, key=lambda codec: not codec.startswith("lvc"))


def _head(about: About) -> str:
    failures = ""
    if about.failures:
        items = "".join(f"<li>{escape(failure)}</li>" for failure in about.failures)
        failures = f'<div class="failures"><strong>{len(about.failures)} left out</strong><ul>{items}</ul></div>'
    return (
        f"<h1>lvc bench</h1><p>{escape(about.conditions)}</p>"
        f'<p class="command"><code>{escape(about.command)}</code> <time>{escape(about.date)}</time></p>{failures}'
    )


def _legend(styles: dict[str, int]) -> str:
    items = "".join(f"<li>{marker_key(style)} {escape(codec)}</li>" for codec, style in styles.items())
    return f'<ul class="legend">{items}</ul>'


def _differences(summary: Summary) -> str:
    others = [codec for codec in summary.codecs if codec != summary.anchor]
    if not others:
        return ""
    parts = [
        f"<h2>Rate at equal quality, against {escape(summary.anchor or '')}</h2>",
        f"<p>{_DIFFERENCES_INTRO}</p>",
    ]
    for index, measure in enumerate(summary.measures):
        title, unit = MEASURES[measure]
        rates = [
            [clip, *(_cell(summary.rate_difference(clip, codec, measure)) for codec in others)]
            for clip in summary.clips
        ]
        means = [summary.mean_rate_difference(codec, measure) for codec in others]
        rates.append(["mean", *(_cell(mean) + _clips(mean) for mean in means)])
        qualities = [
            [
                escape(clip),
                *(escape(quality_text(summary.quality_difference(clip, codec, measure), unit)) for codec in others),
            ]
            for clip in summary.clips
        ]
        means = [summary.mean_quality_difference(codec, measure) for codec in others]
        qualities.append(["mean", *(escape(quality_text(mean, unit)) + _clips(mean) for mean in means)])
        header = ["clip", *map(escape, others)]
        parts.append(
            f"<details{' open' if index == 0 else ''}><summary>{escape(title)}</summary>"
            f"{_table(header, [[escape(row[0]), *row[1:]] for row in rates], last_is_total=True)}"
            f"<details><summary>Quality at equal rate, BD-{escape(title)}</summary>"
            f"{_table(header, qualities, last_is_total=True)}</details></details>"
        )
    return "\n".join(parts)


def _cell(difference: Difference | Mean | None) -> str:
    text = escape(rate_text(difference))
    if difference is None or difference.value is None:
        return f'<span class="none">{text}</span>'
    return f'<span class="{"fewer" if difference.value < 0 else "more"}">{text}</span>'


def _clips(mean: Mean | None) -> str:
    return "" if mean is None else f" <small>{mean.clips} {'clip' if mean.clips == 1 else 'clips'}</small>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], last_is_total: bool = False) -> str:
    """A table of cells that are HTML already; it scrolls by itself where the screen is narrow."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    lines = []
    for index, row in enumerate(rows):
        kind = ' class="total"' if last_is_total and index == len(rows) - 1 else ""
        lines.append(f"<tr{kind}><th>{row[0]}</th>" + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _clip_section(summary: Summary, clip: str, styles: dict[str, int]) -> str:
    row = next(row for row in summary.rows if row["clip"] == clip)
    size = f"{row['width']}×{row['height']}, {row['bit_depth']} bit"
    about = f"{size}, {row['frame_rate']:g} frames/s, {row['frames']} frames"
    charts = []
    for measure in summary.measures:
        title, unit = MEASURES[measure]
        drawing = chart(
            f"{clip}: {title} over rate",
            "bits per pixel",
            f"{title}, {unit}",
            rd_series(summary, clip, measure, styles),
        )
        if drawing:
            charts.append(f"<figure>{drawing}</figure>")
    head = f'<h3>{escape(clip)}</h3><p class="small">{about}</p>'
    return f'<section>{head}<div class="grid">{"".join(charts)}</div></section>'


def _speed_section(summary: Summary, styles: dict[str, int]) -> str:
    measure = summary.measures[0] if summary.measures else "psnr"
    rows = []
    encode: list[Series] = []
    decode: list[Series] = []
    for codec in summary.codecs:
        speed = summary.speed(codec)
        rows.append([escape(codec), *speed.texts()])
        rate = 0.0
        if codec != summary.anchor:
            mean = summary.mean_rate_difference(codec, measure)
            if mean is None:
                continue
            rate = mean.value
        for series, value in ((encode, speed.encode), (decode, speed.decode)):
            if value is None:
                continue
            tip = f"{codec}: {value:.2f} million samples/s, {rate:+.1f} % rate"
            series.append(Series(codec, styles[codec], [(value, rate, tip)], labelled=True))
    label = f"BD-rate, {MEASURES[measure][0]}, %"
    plots = [
        f"<figure>{drawing}</figure>"
        for name, series in (("Encoding", encode), ("Decoding", decode))
        if (drawing := chart(f"{name} speed against rate", f"{name}, million samples/s", label, series))
    ]
    return f'<h2>Speed against rate</h2><p>{_SPEED_INTRO}</p><div class="grid">{"".join(plots)}</div>' + _table(
        ["million samples/s", "encode", "decode", "encoder's peak memory"], rows
    )


def _crop_row(row: CropRow) -> str:
    left, top, width, height = row.place
    pictures = []
    for crop in row.crops:
        data = base64.b64encode(encode_png(crop.pixels)).decode("ascii")
        pictures.append(
            f'<figure><img src="data:image/png;base64,{data}" width="{crop.pixels.shape[1]}" '
            f'height="{crop.pixels.shape[0]}" alt="{escape(crop.name)}, frame {row.frame} of {escape(row.clip)}">'
            f"<figcaption><strong>{escape(crop.name)}</strong> {escape(crop.note)}</figcaption></figure>"
        )
    return (
        f'<section><h3>{escape(row.clip)}</h3><p class="small">frame {row.frame}, {width}×{height} at {left}, {top}</p>'
        f'<div class="grid crops">{"".join(pictures)}</div></section>'
    )


def _points_table(summary: Summary) -> str:
    header = ["clip and point", "bit/pixel", "kb/s", *(MEASURES[name][0] for name in summary.measures)]
    header += ["encode frames/s", "decode frames/s", "MiB"]
    return (
        f"<h2>All points</h2><details><summary>{len(summary.rows)} rows, as in results.jsonl</summary>"
        f"{_table(header, [_point_row(row, summary.measures) for row in summary.rows])}</details>"
    )


def _point_row(row: Row, measures: Sequence[str]) -> list[str]:
    values = [row["metrics"].get(name) for name in measures]
    return [
        escape(f"{row['clip']} {row['string']}"),
        f"{row['bpp']:.4f}",
        f"{row['kbps']:.0f}",
        *("–" if value is None else f"{value:.2f}" for value in values),
        f"{row['encode_fps']:.2f}",
        "–" if row["decode_fps"] is None else f"{row['decode_fps']:.2f}",
        "–" if not row.get("peak_bytes") else f"{row['peak_bytes'] / 2**20:.0f}",
    ]


def _about_section(summary: Summary, about: About) -> str:
    lines = [*about.versions, *summary.missing(), *about.notes]
    if len(summary.codecs) > SERIES_STYLES:
        lines.append(f"more than {SERIES_STYLES} codecs: colours and markers repeat")
    return "<h2>About</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
