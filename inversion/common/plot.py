"""Plots as SVG whose colours follow the page around them: class `m0` is the first colour, `m1` the next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import Literal, NamedTuple

COLOURS = ("#0f8a6d", "#c2571a", "#3f78c4", "#a8549a", "#9a7400", "#2f86ab", "#8a6d3b", "#737373")
HEIGHT = 340
LEFT, RIGHT, TOP, BOTTOM = 56, 190, 16, 44  # margins; the labels of the series stand on the right
BESIDE = 90  # margin on the right if the labels stand beside the points

# The look of a plot in a file of its own.
STYLE = """svg { font: 13px "IBM Plex Sans", ui-sans-serif, system-ui, sans-serif; background: #fff; }
text { fill: #686861; } line { stroke: #e5e5e0; } polyline { fill: none; stroke-width: 2; }
.series, .name { fill: var(--c); } .series polyline, circle.mean { stroke: var(--c); } .name { font-weight: 700; }
circle.mean { fill: none; stroke-width: 2.5; }"""


class Series(NamedTuple):
    """The points (x, y) of a method, in the order of x if they are joined."""

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Plot:
    """Series over one pair of axes.

    x, y: what the axes show, with the unit. marks: lines through the points, points alone, or points and their mean.
    logarithmic: the x axis; x is positive then. ticks: of the x axis, () for round values. unit: after each tick of x.
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    marks: Literal["lines", "points", "means"] = "lines"
    logarithmic: bool = False
    ticks: tuple[float, ...] = ()
    unit: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is no point."""
        return not any(one.points for one in self.series)


class _Axis(NamedTuple):
    """A range of values, and the pixels where it begins and ends."""

    low: float
    high: float
    begin: float
    end: float

    def place(self, value: float) -> float:
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)


def scatter(series: Sequence[Series], label: str) -> str:
    """Values against seconds, which have a logarithmic scale. label: of the values. Needs a point with seconds > 0."""
    title = f"{label} against the time of a run, for each method"
    return draw(
        Plot(title, "Time, logarithmic scale", label, tuple(series), "means", logarithmic=True, unit=" s"), 1080
    )


def draw(plot: Plot, width: int = 720, alone: bool = False) -> str:
    """The plot as an SVG element that is `width` units wide; "" without points. alone: as a file with its own look."""
    if plot.empty:
        return ""
    right = width - (BESIDE if plot.marks == "points" else RIGHT)
    points = [point for one in plot.series for point in one.points]
    x = _range([_scaled(plot, at) for at, _ in points], LEFT, right)
    y = _range([value for _, value in points], HEIGHT - BOTTOM, TOP)
    parts = [*_x_ticks(plot, x), *_y_ticks(y, right)]
    parts.append(f'<text class="axis" x="{LEFT}" y="{HEIGHT - 6}">{escape(plot.x)}</text>')
    parts.append(f'<text class="axis" x="{LEFT + 4}" y="{TOP + 4}">{escape(plot.y)}</text>')
    names: list[tuple[float, str, str]] = []  # height, colour, text
    ends: list[float] = []  # where the series end
    for i, one in enumerate(plot.series):
        if not one.points:
            continue
        places = [(x.place(_scaled(plot, at)), y.place(value)) for at, value in one.points]
        colour = f"m{i % len(COLOURS)}"
        parts.append(f'<g class="series {colour}">{_marks(plot, places)}</g>')
        height = fmean(b for _, b in places) if plot.marks == "means" else places[-1][1]
        names.append((height, colour, escape(one.label)))
        ends.append(places[-1][0])
    parts += _beside(names, ends) if plot.marks == "points" else _spread(names, right + 12)
    head = f'viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(plot.title)}"'
    if alone:
        colours = " ".join(f".m{i} {{ --c: {colour}; }}" for i, colour in enumerate(COLOURS))
        head, parts = f'xmlns="http://www.w3.org/2000/svg" {head}', [f"<style>{STYLE} {colours}</style>", *parts]
    return f"<svg {head}>{''.join(parts)}</svg>"


def _scaled(plot: Plot, x: float) -> float:
    return math.log10(x) if plot.logarithmic else x


def _marks(plot: Plot, places: Sequence[tuple[float, float]]) -> str:
    """The points of a series at their places in pixels, with a line through them or a ring at their mean."""
    dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>' for a, b in places)
    if plot.marks == "means":
        a, b = fmean(a for a, _ in places), fmean(b for _, b in places)
        return f'{dots}<circle class="mean" cx="{a:.1f}" cy="{b:.1f}" r="8"/>'
    if plot.marks == "lines":
        return f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in places)}"/>{dots}'
    return dots


def _range(values: Sequence[float], begin: float, end: float) -> _Axis:
    """An axis for the values, with a margin around them."""
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
    return _Axis(low - margin, high + margin, begin, end)


def _x_ticks(plot: Plot, x: _Axis) -> Iterator[str]:
    """The given ticks; else at round values, on a logarithmic axis at 1, 2 and 5 times a power of ten."""
    if plot.ticks:
        shown = list(plot.ticks)
    elif plot.logarithmic:
        powers = range(math.floor(x.low), math.ceil(x.high) + 1)
        values = [step * 10.0**power for power in powers for step in (1, 2, 5)]
        shown = [value for value in values if x.low <= math.log10(value) <= x.high]
    else:
        shown = _round_values(x)
    if len(shown) > 9:
        shown = shown[:: math.ceil(len(shown) / 9)]
    for value in shown:
        at = x.place(_scaled(plot, value))
        yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        text = f"{value:g}{plot.unit}"
        yield f'<text class="tick" text-anchor="middle" x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}">{text}</text>'


def _y_ticks(y: _Axis, right: float) -> Iterator[str]:
    """About five ticks at round values."""
    for value in _round_values(y):
        at = y.place(value)
        yield f'<line x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{at + 4:.1f}">{value:.6g}</text>'


def _round_values(axis: _Axis) -> list[float]:
    """About five round values on an axis."""
    rough = (axis.high - axis.low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [i * step for i in range(math.ceil(axis.low / step), math.floor(axis.high / step) + 1)]


def _beside(names: Sequence[tuple[float, str, str]], ends: Sequence[float], gap: float = 14.0) -> Iterator[str]:
    """The labels beside their points, moved down where they would touch the label of a higher point."""
    placed: list[tuple[float, float, float]] = []  # left, right and height
    for (height, colour, text), at in sorted(zip(names, ends, strict=True)):
        left, right = at + 8, at + 8 + 8 * len(text)
        while any(a < right and left < b and abs(height - h) < gap for a, b, h in placed):
            height += 2.0
        placed.append((left, right, height))
        yield f'<text class="name {colour}" x="{left:.1f}" y="{height + 4:.1f}">{text}</text>'


def _spread(names: Sequence[tuple[float, str, str]], x: float, gap: float = 16.0) -> Iterator[str]:
    """The labels at their heights, moved down where they would touch, and up again where they would leave the plot."""
    heights: list[float] = []
    ordered = sorted(names)
    for height, *_ in ordered:
        heights.append(max(height, heights[-1] + gap) if heights else height)
    limit = float(HEIGHT - BOTTOM)
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], limit)
        limit = heights[i] - gap
    for height, (_, colour, text) in zip(heights, ordered, strict=True):
        yield f'<text class="name {colour}" x="{x:.0f}" y="{height + 4:.1f}">{text}</text>'
