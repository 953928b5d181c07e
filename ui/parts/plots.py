"""Quality against seconds as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 130, 30, 46
HEADROOM = 8.0  # dB shown below the lowest result


@dataclass(frozen=True)
class Line:
    """One method's line: (seconds, dB) points in the order of time. taken: an earlier run did its first steps."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    taken: bool = False


def quality_plot(lines: Sequence[Line]) -> str:
    """PSNR against seconds, one line per method with its name at its end. "" if there are no points."""
    lines = [line for line in lines if line.points]
    if not lines:
        return ""
    floor = min(line.points[-1][1] for line in lines) - HEADROOM  # the first steps are too low to be compared
    lines = [replace(line, points=[p for p in line.points if p[1] >= floor]) for line in lines]
    xs, ys = [[point[axis] for line in lines for point in line.points] for axis in (0, 1)]
    x_ticks, y_ticks = ticks(0.0, max(xs)), ticks(min(ys), max(ys))
    x_range, y_range = (0.0, max(x_ticks[-1], max(xs))), (y_ticks[0], y_ticks[-1])

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [_axes(at, x_ticks, y_ticks)]
    places = _apart([at(*line.points[-1])[1] for line in lines])
    parts += [
        _line(line, [at(*point) for point in line.points], place) for line, place in zip(lines, places, strict=True)
    ]
    names, taken = (", ".join(line.name for line in some) for some in (lines, [line for line in lines if line.taken]))
    note = f'<p class="note">The curve starts where an earlier run ended: {escape(taken)}.</p>' if taken else ""
    return (
        f'<div class="plot"><h3>Quality over time</h3><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="PSNR against seconds: {escape(names)}">{"".join(parts)}</svg>{note}</div>'
    )


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, about `wanted` of them, at least two."""
    span = max(high - low, 1e-6, abs(high) * 1e-3)
    magnitude = 10.0 ** math.floor(math.log10(span / wanted))
    step = next(magnitude * f for f in (1, 2, 5, 10) if span / (magnitude * f) <= wanted)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def _axes(at: Callable[[float, float], tuple[float, float]], x_ticks: Sequence[float], y_ticks: Sequence[float]) -> str:
    parts = []
    for y in y_ticks:
        _, py = at(x_ticks[0], y)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py:.1f}" y2="{py:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{py + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in x_ticks:
        px, py = at(x, y_ticks[0])
        parts.append(f'<text x="{px:.1f}" y="{py + 21:.1f}" text-anchor="middle">{x:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">seconds</text>')
    parts.append(f'<text x="{LEFT}" y="16">PSNR in dB</text>')
    return "".join(parts)


def _line(line: Line, points: Sequence[tuple[float, float]], name_y: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    seconds, psnr = line.points[-1]
    return (
        f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2" stroke-linejoin="round"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{line.colour}"/>'
        f'<text class="name" x="{x + 9:.1f}" y="{name_y + 4:.1f}">{escape(line.name)}'
        f"<title>{psnr:.2f} dB after {seconds:.1f} s</title></text>"
    )


def _apart(heights: Sequence[float], gap: float = 15.0) -> list[float]:
    """The heights, pushed down where needed so that names do not overlap."""
    placed = list(heights)
    last = -math.inf
    for i in sorted(range(len(placed)), key=placed.__getitem__):
        last = placed[i] = max(placed[i], last + gap)
    return placed
