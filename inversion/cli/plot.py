"""A scatter plot as SVG whose colours follow the page around it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from statistics import fmean
from typing import NamedTuple

COLOURS = ("#0f8a6d", "#c2571a", "#3f78c4", "#a8549a", "#9a7400", "#2f86ab", "#8a6d3b", "#737373")
WIDTH, HEIGHT = 1080, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 190, 16, 44  # margins; the labels of the methods stand on the right


class Series(NamedTuple):
    """The points (seconds, value) of a method."""

    label: str
    points: Sequence[tuple[float, float]]


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
    points = [point for one in series for point in one.points]
    x = _range([math.log10(seconds) for seconds, _ in points], LEFT, WIDTH - RIGHT)
    y = _range([value for _, value in points], HEIGHT - BOTTOM, TOP)
    parts = [*_x_ticks(x), *_y_ticks(y)]
    parts.append(f'<text class="axis" x="{LEFT}" y="{HEIGHT - 6}">Time, logarithmic scale</text>')
    parts.append(f'<text class="axis" x="{LEFT + 4}" y="{TOP + 4}">{escape(label)}</text>')
    names: list[tuple[float, str, str]] = []  # height, colour, text
    for i, one in enumerate(series):
        if not one.points:
            continue
        places = [(x.place(math.log10(seconds)), y.place(value)) for seconds, value in one.points]
        colour = f"m{i % len(COLOURS)}"
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>' for a, b in places)
        a, b = fmean(a for a, _ in places), fmean(b for _, b in places)
        ring = f'<circle class="mean" cx="{a:.1f}" cy="{b:.1f}" r="8"/>'
        parts.append(f'<g class="series {colour}">{dots}{ring}</g>')
        names.append((b, colour, escape(one.label)))
    parts += _spread(names)
    title = f"{escape(label)} against the time of a run, for each method"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def _range(values: Sequence[float], begin: float, end: float) -> _Axis:
    """An axis for the values, with a margin around them."""
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
    return _Axis(low - margin, high + margin, begin, end)


def _x_ticks(x: _Axis) -> Iterator[str]:
    """Ticks at 1, 2 and 5 times a power of ten; if these are many, at the powers only."""
    powers = range(math.floor(x.low), math.ceil(x.high) + 1)
    values = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    shown = [value for value in values if x.low <= math.log10(value) <= x.high]
    if len(shown) > 9:
        shown = shown[:: math.ceil(len(shown) / 9)]
    for value in shown:
        at = x.place(math.log10(value))
        yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text class="tick" text-anchor="middle" x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}">{value:g} s</text>'


def _y_ticks(y: _Axis) -> Iterator[str]:
    """About five ticks at round values."""
    rough = (y.high - y.low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    for i in range(math.ceil(y.low / step), math.floor(y.high / step) + 1):
        at = y.place(i * step)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{at + 4:.1f}">{i * step:.6g}</text>'


def _spread(names: Sequence[tuple[float, str, str]], gap: float = 16.0) -> Iterator[str]:
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
        yield f'<text class="name {colour}" x="{WIDTH - RIGHT + 12}" y="{height + 4:.1f}">{text}</text>'
