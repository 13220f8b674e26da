"""A trace as a tree on the left, with bars of time on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eco2_tracing._console.lines import LogLine, is_noise, moment_of, tree_line
from eco2_tracing._console.rows import Row, duration, error_of, status_of, title_of
from eco2_tracing._console.terminal import (
    BLUE,
    BOLD,
    BOLD_RED,
    CYAN,
    DIM,
    GREEN,
    MAGENTA,
    RED,
    UNLIMITED,
    YELLOW,
    Screen,
    escaped,
    fitted,
)

MOST_ROWS = 100
"""Spans of one tree that are shown."""
MOST_LINES = 50
"""Log lines of one tree that are shown."""

_SERVICES = (MAGENTA, CYAN, GREEN, BLUE, YELLOW)
_LABEL, _NOTE, _TIME = 46, 22, 9  # cells in a wide terminal; the rest of a line is the bar's
_WIDE, _MEDIUM, _NARROW = 98, 64, 32
_GAP_SHARE, _GAP_NS = 0.15, 10_000_000


class _Gap(NamedTuple):
    start: int
    end: int


class _Columns(NamedTuple):
    label: int
    bar: int
    note: int


def service_colours(services: Sequence[str]) -> dict[str, str]:
    """Return a style for each service, in the order given."""
    return {service: _SERVICES[at % len(_SERVICES)] for at, service in enumerate(services)}


def bar(start: float, end: float, width: int) -> str:
    """Draw a bar to the half cell.

    Args:
        start: Its start, as a share of the line from 0 to 1.
        end: Its end, from `start` to 1.
        width: Cells of the line.

    Returns:
        A line of `width` characters; the bar is at least half a cell long.
    """
    first = min(int(start * width * 2), width * 2 - 1)
    last = max(round(end * width * 2), first + 1)
    drawn = " " * (first // 2)
    if first % 2:
        drawn += "╺"
        first += 1
    drawn += "━" * ((last - first) // 2)
    if (last - first) % 2 and last > first:
        drawn += "╸"
    return drawn.ljust(width)


class Tree:
    """Draws one trace.

    Args:
        rows: The spans, ordered by their start.
        lines: The log lines of the trace, by time.
        screen: The layout.
        colours: The style of each service; without it, all rows are of one service.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        lines: Sequence[LogLine],
        screen: Screen,
        colours: Mapping[str, str] | None = None,
    ) -> None:
        self._rows = rows
        self._paint = screen.paint
        self._drawn: list[str] = []
        self._width = screen.width or UNLIMITED
        self._columns = _columns(self._width)
        self._colours = colours or {}
        self._begin = rows[0].start
        self._whole = max(max([row.end for row in rows]) - self._begin, 1)
        self._children: dict[int, list[Row]] = {}
        self._logs: dict[int, list[tuple[int, LogLine]]] = {}
        self._tops: list[Row] = []
        self._left = MOST_ROWS
        self._service = ""
        self._sort(lines)

    def _sort(self, lines: Sequence[LogLine]) -> None:
        known = {row.span_id for row in self._rows}
        for row in self._rows:
            is_child = row.parent_id in known and row.parent_id != row.span_id
            (self._children.setdefault(row.parent_id, []) if is_child else self._tops).append(row)
        if not self._tops:  # ids that occur twice may form a cycle
            first = self._rows[0]
            self._children[first.parent_id].remove(first)
            self._tops.append(first)
        for line in [line for line in lines if not is_noise(line)][-MOST_LINES:]:
            owner = _span_id(line)
            owner = owner if owner in known else self._tops[0].span_id
            self._logs.setdefault(owner, []).append((moment_of(line), line))

    def draw(self) -> list[str]:
        """Return the lines."""
        for top in self._tops:
            self._draw(top, "", "")
        hidden = len(self._rows) - MOST_ROWS
        if hidden > 0:
            self._drawn.append(self._paint(f"… {hidden} more spans", DIM))
        return self._drawn

    def _draw(self, row: Row, guide: str, stem: str) -> None:
        """Draw a span and what is below it.

        Args:
            row: The span.
            guide: The tree lines in front of its name.
            stem: The tree lines in front of what is below it.
        """
        if self._left <= 0:
            return
        self._left -= 1
        self._drawn.append(self._span(row, guide))
        if row.span_id not in self._children and row.span_id not in self._logs:
            return
        items = self._items(row)
        last = max([at for at, (_, item) in enumerate(items) if isinstance(item, Row)], default=-1)
        for at, (_, item) in enumerate(items):
            going_on = stem + ("│ " if at < last else "  ")
            if isinstance(item, Row):
                self._draw(item, stem + ("├╴" if at < last else "└╴"), going_on)
            elif isinstance(item, _Gap):
                self._drawn.append(self._gap(item, going_on))
            else:
                front = going_on[: self._width // 2]
                text = tree_line(item, self._paint, self._width - len(front))
                self._drawn.append(self._paint(front, DIM) + text)

    def _items(self, row: Row) -> list[tuple[int, Row | _Gap | LogLine]]:
        """Return children, gaps and log lines of a span by time."""
        children = self._children.pop(row.span_id, [])
        items: list[tuple[int, Row | _Gap | LogLine]] = [(child.start, child) for child in children]
        items += self._logs.pop(row.span_id, ())
        if children:
            least = max(self._whole * _GAP_SHARE, _GAP_NS)
            covered = row.start
            for start, end in [*((child.start, child.end) for child in children), (row.end, row.end)]:
                if start - covered >= least:
                    items.append((covered, _Gap(covered, start)))
                covered = max(covered, end)
        items.sort(key=_moment)
        return items

    def _span(self, row: Row, guide: str) -> str:
        paint, columns = self._paint, self._columns
        colour, service = "", ""
        if row.service:
            colour = self._colours.get(row.service, "")
            service = "" if row.service == self._service else f"{escaped(row.service)} "
            self._service = row.service
        guide = guide[: columns.label]
        name = fitted(service + title_of(row), columns.label - len(guide), pad=True)
        label = paint(guide, DIM)
        if service:
            label += paint(name[: len(service)], f"{BOLD};{colour}" if colour else BOLD)
            name = name[len(service) :]
        label += paint(name, BOLD_RED if row.failed and not colour else "")
        text = self._line(label, row.start, row.end, RED if row.failed else colour or CYAN)
        note = fitted(_note(row), columns.note)
        return f"{text}  {paint(note, BOLD_RED if row.failed else GREEN)}" if note else text

    def _gap(self, gap: _Gap, guide: str) -> str:
        label = fitted(f"{guide}· no span", self._columns.label, pad=True)
        return self._line(self._paint(label, DIM), gap.start, gap.end, DIM)

    def _line(self, label: str, start: int, end: int, style: str) -> str:
        took = f"{duration(end - start):>{_TIME}}"
        if not self._columns.bar:
            return f"{label} {took}"
        begin, whole = self._begin, self._whole
        drawn = bar((start - begin) / whole, (end - begin) / whole, self._columns.bar)
        if style == DIM:
            drawn = drawn.translate(_DOTTED)
        return f"{label}  {self._paint(drawn, style)} {took}"


_DOTTED = str.maketrans("╺━╸", "┄┄┄")


def _moment(item: tuple[int, object]) -> int:
    return item[0]


def _columns(width: int) -> _Columns:
    """Return the widths of the columns; a narrow terminal has no bars."""
    if width >= _WIDE:
        return _Columns(_LABEL, width - _LABEL - _NOTE - _TIME - 5, _NOTE)
    if width >= _MEDIUM:
        label = width * 2 // 5
        return _Columns(label, width - label - _TIME - 21, 16)
    if width >= _NARROW:
        return _Columns(width - _TIME - 7, 0, 4)
    return _Columns(width - _TIME - 1, 0, 0)


def _span_id(line: LogLine) -> int:
    try:
        return int(str(line.get("span.id", "")), 16)
    except ValueError:
        return 0


def _note(row: Row) -> str:
    """Return the last column: status code, error type, attributes ``app.*``."""
    if row.failed:
        return " ".join(filter(None, (status_of(row), error_of(row)))) or "error"
    own = [key for key in row.attributes if key.startswith("app.")]
    if not own:
        return status_of(row)
    shown = [f"{escaped(key[4:])}={escaped(str(row.attributes[key]))}" for key in own]
    return " ".join([status_of(row), *shown]).strip()
