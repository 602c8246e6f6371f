"""Charts as SVG text: rate-distortion curves, and speed against rate. Colours come from the page's style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 360, 250
"""Of a chart, in its own units; at 360 pixels of width its text is 11 pixels high."""

_DECADES = 0.7
"""Least width of the logarithmic axis."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 10, 36
_MARKERS = ("circle", "square", "triangle", "diamond", "cross", "ring")
_COLOURS = 6
"""Of the style sheet, ``s0`` and so on."""
SERIES_STYLES = len(_MARKERS) * _COLOURS
"""Pairs of colour and marker."""


@dataclass(frozen=True)
class Series:
    """One codec in a chart.

    Attributes:
        name: for tooltips.
        style: number of a pair of colour and marker, see ``SERIES_STYLES``; beyond these they repeat.
        points: (x, y, tooltip).
        line: (x, y) of the line through them; empty for none.
        labelled: whether the name is written beside the first point.
    """

    name: str
    style: int
    points: Sequence[tuple[float, float, str]]
    line: Sequence[tuple[float, float]] = field(default_factory=tuple)
    labelled: bool = False


def chart(title: str, x_label: str, y_label: str, series: Sequence[Series]) -> str:
    """An SVG element with a logarithmic x axis (x above 0) and a linear y axis; empty text without points.

    Args:
        title: read out by screen readers, not drawn.
    """
    drawn = [(x, y) for each in series for x, y in (*((x, y) for x, y, _ in each.points), *each.line)]
    xs, ys = [x for x, _ in drawn if x > 0], [y for _, y in drawn if math.isfinite(y)]
    if not xs or not ys:
        return ""
    low, high = math.log10(min(xs)), math.log10(max(xs))
    x_axis = _Axis(*_padded(low, high, (_DECADES - high + low) / 2), _LEFT, WIDTH - _RIGHT)
    y_axis = _Axis(*_padded(min(ys), max(ys), 1e-3), HEIGHT - _BOTTOM, _TOP)
    middle = (HEIGHT - _BOTTOM + _TOP) / 2
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(x_axis, y_axis),
        f'<text class="label" x="{(_LEFT + WIDTH - _RIGHT) / 2:.0f}" y="{HEIGHT - 4}">{escape(x_label)}</text>',
        f'<text class="label" transform="translate(10 {middle:.0f}) rotate(-90)">{escape(y_label)}</text>',
    ]
    for each in series:
        parts += _series(each, x_axis, y_axis)
    return "".join([*parts, "</svg>"])


def marker_key(style: int) -> str:
    """The line and marker of a series, as it stands in a legend."""
    colour, marker = _look(style)
    return (
        f'<svg class="key s{colour}" viewBox="0 0 28 12" aria-hidden="true"><path class="line" d="M2 6H26"/>'
        f"{_marker(marker, 14, 6)}</svg>"
    )


def _look(style: int) -> tuple[int, str]:
    """Colour and marker: both change from one style to the next, and no pair comes twice."""
    return style % _COLOURS, _MARKERS[(style + style // _COLOURS) % len(_MARKERS)]


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _padded(low: float, high: float, least: float) -> tuple[float, float]:
    pad = max(0.04 * (high - low), least)
    return low - pad, high + pad


def _grid(x_axis: _Axis, y_axis: _Axis) -> list[str]:
    parts = []
    for value in _log_ticks(x_axis.low, x_axis.high):
        x = x_axis(math.log10(value))
        parts.append(f'<path class="rule" d="M{x:.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 14}">{value:g}</text>')
    for value in _ticks(y_axis.low, y_axis.high):
        y = y_axis(value)
        parts.append(f'<path class="rule" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="tick side" x="{_LEFT - 4}" y="{y + 4:.1f}">{value:g}</text>')
    return parts


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 per decade between two logarithms; only 1 where that would crowd."""
    steps = (1, 2, 5) if high - low < 2.2 else (1,)
    ticks = [step * 10.0**decade for decade in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    return [float(f"{tick:.6g}") for tick in ticks if low <= math.log10(tick) <= high]


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    first = math.ceil(low / step)
    return [float(f"{index * step:.6g}") for index in range(first, math.floor(high / step) + 1)]


def _series(series: Series, x_axis: _Axis, y_axis: _Axis) -> list[str]:
    colour, marker = _look(series.style)
    parts = [f'<g class="s{colour}" data-series="{escape(series.name)}">']
    line = [(x_axis(math.log10(x)), y_axis(y)) for x, y in series.line if x > 0]
    if len(line) > 1:
        parts.append('<path class="line" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in line) + '"/>')
    places = [(x_axis(math.log10(x)), y_axis(y), text) for x, y, text in series.points if x > 0 and math.isfinite(y)]
    for x, y, text in places:
        parts.append(f"<g>{_marker(marker, x, y)}<title>{escape(text)}</title></g>")
    if series.labelled and places:
        x, y, _ = places[0]
        near_right = x > WIDTH * 0.6
        anchor, offset = ("end", -7) if near_right else ("start", 7)
        y += (4, -4, 12)[series.style % 3]  # so that neighbours do not cover each other
        parts.append(
            f'<text class="name" text-anchor="{anchor}" x="{x + offset:.1f}" y="{y:.1f}">{escape(series.name)}</text>'
        )
    return [*parts, "</g>"]


def _marker(kind: str, x: float, y: float) -> str:
    shapes = {
        "circle": f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.4"/>',
        "square": f'<path class="dot" d="M{x - 3:.1f} {y - 3:.1f}h6v6h-6z"/>',
        "triangle": f'<path class="dot" d="M{x:.1f} {y - 4:.1f}l3.8 6.6h-7.6z"/>',
        "diamond": f'<path class="dot" d="M{x:.1f} {y - 4.2:.1f}l4.2 4.2l-4.2 4.2l-4.2 -4.2z"/>',
        "cross": f'<path class="line" d="M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"/>',
        "ring": f'<circle class="line" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>',
    }
    return shapes[kind]
