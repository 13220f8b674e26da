"""One line about a local trace."""

from __future__ import annotations

import time
from collections.abc import Sequence

from opentelemetry.trace import SpanKind

from eco2_tracing._console.rows import (
    LocalTrace,
    Row,
    call_kind,
    database_of,
    duration,
    error_of,
    statement_of,
    status_of,
    text_of,
    title_of,
)
from eco2_tracing._console.terminal import (
    BOLD,
    BOLD_RED,
    CYAN,
    DIM,
    GREEN,
    YELLOW,
    Screen,
    cells,
    escaped,
    fitted,
    link,
)

MANY_CALLS = 5
"""So many equal calls in one local trace are reported."""

_LABEL = 40  # cells of method and route, so that the columns behind stand below each other
_SHORTEST_LABEL = 16
_SHORT_ID = 8
_TIMES = "\N{MULTIPLICATION SIGN}"
_NO_TIME_BELOW = 40
_STATUS_STYLES = {"2": GREEN, "3": CYAN, "4": YELLOW, "5": BOLD_RED}


class Clock:
    """Formats times of the day in local time. The last second is cached, because most lines share it."""

    __slots__ = ("_second",)

    def __init__(self) -> None:
        self._second = (-1, "")

    def time(self, nanoseconds: int) -> str:
        """Return ``HH:MM:SS.mmm``."""
        second, rest = divmod(nanoseconds, 1_000_000_000)
        cached = self._second
        if cached[0] != second:
            cached = self._second = (second, time.strftime("%H:%M:%S", time.localtime(second)))
        return f"{cached[1]}.{rest // 1_000_000:03d}"


def label_of(root: Row) -> str:
    """Return method and route of a request; for other roots what they do."""
    if root.kind is not SpanKind.SERVER:
        return title_of(root)
    method = text_of(root, "http.request.method", "http.method")
    place = text_of(root, "http.route", "url.path", "http.target")
    if not method and root.attributes.get("url.scheme") in ("ws", "wss"):
        method = "WS"
    return f"{method} {place}" if method and place else title_of(root)


def outcome_of(root: Row) -> tuple[str, str]:
    """Return the status of a local trace and its style: a status code, else ``ok`` or the error."""
    code = status_of(root)
    if code:
        return code, BOLD_RED if root.failed else _STATUS_STYLES.get(code[0], "")
    return (error_of(root) or "error", BOLD_RED) if root.failed else ("ok", GREEN)


def calls_of(root: Row, rows: Sequence[Row]) -> tuple[str, str]:
    """Count the outgoing calls below a root.

    Args:
        root: The local root; it is not counted.
        rows: The spans, ordered by their start.

    Returns:
        The calls by kind, such as ``2 http · 3 sql``; and a hint about many equal calls, which ends with ``(N+1?)``.
        Both may be empty.
    """
    counts: dict[str, int] = {}
    equal: dict[object, list[Row]] = {}
    databases: set[int] = set()
    for row in rows:
        kind = call_kind(row)
        if not kind or row is root:
            continue
        key: object
        if database_of(row):
            databases.add(row.span_id)
            # A database's driver below its ORM is the same query once more; a pool's check-out is none.
            if row.parent_id in databases or row.name == "connect":
                continue
            key = statement_of(row) or row.name
        else:
            key = (row.name, row.attributes.get("server.address"))
        counts[kind] = counts.get(kind, 0) + 1
        equal.setdefault((kind, key), []).append(row)
    calls = " · ".join([f"{count} {kind}" for kind, count in counts.items()])
    most = max(equal.values(), key=len, default=[])
    if len(most) < MANY_CALLS:
        return calls, ""
    first = most[0]
    where = text_of(first, "server.address")
    what = title_of(first) if database_of(first) else " ".join(filter(None, (escaped(first.name), where)))
    return calls, f"{len(most)} {_TIMES} {fitted(what, _LABEL)} (N+1?)"


class SummaryLine:
    """Formats one line for each local trace.

    Args:
        target: The address of a trace, with ``{trace_id}`` in the place of the id; empty without one.
    """

    __slots__ = ("_clock", "_target")

    def __init__(self, target: str = "") -> None:
        self._clock = Clock()
        self._target = target

    def of(self, trace: LocalTrace, screen: Screen) -> str:
        """Return the line.

        Args:
            trace: The local trace; the name of a part of one begins with ``…``.
            screen: The layout. In a narrow one, the last columns are left out, and then the name is shortened.
        """
        paint, trace_id, root = screen.paint, trace.trace_id, trace.root
        status, style = outcome_of(root)
        calls, hint = calls_of(root, trace.rows)
        label, took = label_of(root), duration(root.end - root.start)
        if not trace.reason:
            label = f"… {label}"
        wide = screen.width is None or screen.width >= _NO_TIME_BELOW
        stamp = f"{self._clock.time(root.start)} " if wide else ""
        tail = f" {status} {took:>8}"
        if screen.width is None:
            ident, room = f"{trace_id:032x}", max(cells(label), _LABEL)
        else:
            room = screen.width - len(stamp) - cells(tail)
            calls, hint, ident, room = self._columns(label, calls, hint, f"{trace_id:032x}", room, screen)
        label = fitted(label, min(max(_LABEL, cells(label)), room) if wide else room, pad=wide)
        shown = [paint(label, BOLD_RED if root.failed else BOLD), paint(status, style), f"{took:>8}"]
        line = f"{paint(stamp[:-1], DIM)} {' '.join(shown)}" if stamp else " ".join(shown)
        for text, colour in ((calls, ""), (hint, YELLOW)):
            if text:
                line = f"{line}  {paint(text, colour)}"
        return f"{line}  {self._ident(trace_id, ident, screen)}" if ident else line

    def _columns(
        self, label: str, calls: str, hint: str, ident: str, room: int, screen: Screen
    ) -> tuple[str, str, str, int]:
        """Return the last columns that leave room for the label, the most important first, and that room."""
        needed = min(cells(label), _SHORTEST_LABEL)
        short = ident[:_SHORT_ID]
        kept = ["", "", ""]
        for place, texts in ((1, (hint,)), (0, (calls,)), (2, (short,))):
            for text in texts:
                size = cells(text) + 2
                if text and room - size >= needed:
                    kept[place] = text
                    room -= size
        grown = room - (len(ident) - len(short))
        if kept[2] and not (screen.links and self._target) and grown >= max(cells(label), _LABEL):
            kept[2], room = ident, grown  # the whole id can be copied
        return kept[0], kept[1], kept[2], room

    def _ident(self, trace_id: int, text: str, screen: Screen) -> str:
        """Return the id: a link if the address of the trace is known."""
        shown = screen.paint(text, DIM)
        if not self._target or not screen.links:
            return shown
        return link(shown, self._target.replace("{trace_id}", f"{trace_id:032x}"))
