"""Bar and line charts as SVG, in light and dark by ``prefers-color-scheme``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 14px; font-weight: 600 }
.note { font-size: 11px; fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.range { stroke: #1f2328; stroke-width: 1.2 }
.c0 { fill: #0969da; stroke: #0969da } .c1 { fill: #9cc4f5; stroke: #9cc4f5 }
.c2 { fill: #bc4c00; stroke: #bc4c00 } .c3 { fill: #f2b48a; stroke: #f2b48a }
.c4 { fill: #6e7781; stroke: #6e7781 }
.line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .note { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .range { stroke: #f0f6fc }
  .c0 { fill: #4493f8; stroke: #4493f8 } .c1 { fill: #1f4d8a; stroke: #1f4d8a }
  .c2 { fill: #f0883e; stroke: #f0883e } .c3 { fill: #7a4419; stroke: #7a4419 }
  .c4 { fill: #9198a1; stroke: #9198a1 }
}
"""
COLOURS = 5


@dataclass(frozen=True)
class Bar:
    """One bar, with the range of its value."""

    label: str
    value: float
    low: float
    high: float
    colour: int = 0


@dataclass(frozen=True)
class Line:
    """One line of a chart, as points (x, y)."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int = 0


@dataclass(frozen=True)
class Panel:
    """A line chart with its axes' names."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]


def text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    """Write words."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def stroke(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Draw a straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """Put parts into a document."""
    body = "\n".join(parts)
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
    return f"{head}\n<style>{STYLE}</style>\n{body}\n</svg>\n"


def ticks(most: float, count: int = 5) -> list[float]:
    """Give round numbers from 0 to at least ``most``."""
    most = most or 1
    rough = most / count
    power = 10 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [step * number for number in range(ceil(most / step) + 1)]


def number(value: float) -> str:
    """Write a number on an axis."""
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def bars(title: str, note: str, unit: str, groups: Sequence[Sequence[Bar]], legend: Sequence[str]) -> str:
    """Draw horizontal bars in groups, with the range of each.

    Args:
        title: Above the chart.
        note: Below the title: date, versions, command.
        unit: After each value.
        groups: Bars that belong together.
        legend: The meaning of the colours 0, 1, ….
    """
    width, left, right, top = 760.0, 262.0, 110.0, 74.0
    most = ticks(max(one.high for group in groups for one in group))[-1]
    scale = (width - left - right) / most
    parts = [text(12, 22, title, kind="title"), text(12, 40, note, kind="note")]
    x = 12.0
    for colour, words in enumerate(legend):
        parts += [f'<rect x="{x}" y="50" width="11" height="11" class="c{colour}"/>', text(x + 16, 60, words)]
        x += 34 + 6.6 * len(words)
    y = top
    for group in groups:
        for one in group:
            parts.append(text(left - 8, y + 11, one.label, anchor="end"))
            bar = f'x="{left}" y="{y:.1f}" width="{max(one.value, 0) * scale:.1f}" height="13"'
            parts.append(f'<rect {bar} class="c{one.colour}"/>')
            parts.append(stroke(left + one.low * scale, y + 6.5, left + one.high * scale, y + 6.5, "range"))
            end = left + max(one.high, one.value) * scale
            parts.append(text(end + 6, y + 11, f"{one.value:.3g} {unit}"))
            y += 16
        y += 7
    return document(width, y + 6, title, parts)


def _panel(panel: Panel, left: float, top: float, width: float, height: float) -> list[str]:
    xs = [x for line in panel.lines for x, _ in line.points]
    ys = [y for line in panel.lines for _, y in line.points]
    y_ticks, x_most = ticks(max(ys), 4), max(xs)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x / x_most * width, top + height - y / y_ticks[-1] * height

    parts = [text(left - 40, top - 12, panel.title, kind="title")]
    for tick in y_ticks:
        _, y = at(0, tick)
        parts += [
            stroke(left, y, left + width, y, "grid"),
            text(left - 6, y + 4, number(tick), anchor="end", kind="note"),
        ]
    for tick in sorted(set(xs)):
        if tick == x_most or tick / x_most > 0.09 or tick == min(xs):
            parts.append(text(at(tick, 0)[0], top + height + 15, number(tick), anchor="middle", kind="note"))
    axes = f"{panel.y}, by {panel.x}"
    parts.append(text(left + width / 2, top + height + 31, axes, anchor="middle", kind="note"))
    for line in panel.lines:
        points = [at(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" class="line c{line.colour}" style="fill:none"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" class="c{line.colour}"/>' for x, y in points]
    return parts


def panels(title: str, note: str, charts: Sequence[Panel]) -> str:
    """Draw line charts, two beside each other, with one legend of all their lines."""
    parts = [text(12, 22, title, kind="title"), text(12, 40, note, kind="note")]
    x = 12.0
    for words, colour in {line.label: line.colour for chart in charts for line in chart.lines}.items():
        parts += [f'<rect x="{x}" y="50" width="11" height="11" class="c{colour}"/>', text(x + 16, 60, words)]
        x += 34 + 6.6 * len(words)
    for index, chart in enumerate(charts):
        column, row = index % 2, index // 2
        parts += _panel(chart, 62 + column * 385, 104 + row * 220, 300, 130)
    return document(760, 84 + 220 * ceil(len(charts) / 2), title, parts)
