"""A stored trace as the terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eco2_tracing._console.exceptions import exception_lines
from eco2_tracing._console.lines import LogLine, tree_line
from eco2_tracing._console.rows import LocalTrace, Row
from eco2_tracing._console.summary import SummaryLine
from eco2_tracing._console.terminal import DIM, RED, UNLIMITED, YELLOW, Screen, fitted
from eco2_tracing._console.tree import Tree, service_colours
from eco2_tracing._view.rows import forest_of, rows_of

if TYPE_CHECKING:
    from eco2_tracing._view.trace import StoredTrace

_INDENT = "  "


def tree_of(rows: Sequence[Row], lines: Sequence[LogLine], screen: Screen) -> list[str]:
    """Return the lines of the tree; without spans, the log lines alone."""
    if not rows:
        return [tree_line(line, screen.paint, screen.width or UNLIMITED) for line in lines]
    colours = service_colours(tuple(dict.fromkeys(row.service for row in rows if row.service)))
    return Tree(rows, lines, screen, colours).draw()


def text_of_trace(trace: StoredTrace, screen: Screen) -> str:
    """Return a trace as text: one line about it, its tree, its exceptions and what is wrong with it.

    Args:
        trace: The trace.
        screen: The layout.
    """
    forest = forest_of(trace)
    rows = rows_of(forest)
    width = (screen.width or UNLIMITED) - len(_INDENT)
    inner = Screen(colour=False, width=width, links=screen.links)
    paint = inner.paint = screen.paint
    drawn = tree_of(rows, trace.lines, inner)
    for line in exception_lines(rows):
        drawn.append(paint(fitted(line, width), DIM if line.startswith(" ") else RED))
    drawn += [paint(fitted(remark, width), YELLOW) for remark in forest.remarks]
    head = trace.trace_id
    if rows:
        tops = (row for row, up in zip(rows, forest.parents, strict=True) if up < 0)
        root = min(tops, key=lambda row: row.start)
        head = SummaryLine().of(LocalTrace(int(trace.trace_id, 16), root, rows, "head"), screen)
    return "\n".join([head, *(f"{_INDENT}{line}" for line in drawn), ""])
