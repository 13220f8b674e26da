"""Two traces side by side, by the structure of their spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eco2_tracing._console.rows import title_of
from eco2_tracing._view.rows import forest_of, rows_of
from eco2_tracing._view.samples import top_down
from eco2_tracing._view.siblings import without_ids
from eco2_tracing._view.timing import children_of, timing_of

if TYPE_CHECKING:
    from eco2_tracing._view.json_values import Json
    from eco2_tracing._view.trace import StoredTrace

_Key = tuple[int, str, str, str]
"""The index of the row above, service, kind and title."""


@dataclass(slots=True)
class _Side:
    """The spans of one trace in one row."""

    span: int
    count: int = 0
    total_ns: int = 0
    self_ns: int = 0
    errors: int = 0

    def view(self) -> Json:
        return {
            "count": self.count,
            "total_ms": self.total_ns / 1e6,
            "self_ms": self.self_ns / 1e6,
            "errors": self.errors,
            "span": self.span,
        }


@dataclass(slots=True)
class _Line:
    """One row: equal siblings of both traces.

    Attributes:
        parent: The index of the row above, or -1.
        offset: Nanoseconds from the start of the span above to that of the first span; orders siblings.
        sides: The spans of the left trace and of the right one.
    """

    parent: int
    service: str
    kind: str
    title: str
    offset: int
    sides: list[_Side | None] = field(default_factory=lambda: [None, None])


def compared(left: StoredTrace, right: StoredTrace) -> list[Json]:
    """Return the rows of a comparison, as a tree. Equal siblings are one row, whatever the ids in their paths."""
    lines: list[_Line] = []
    known: dict[_Key, int] = {}
    for side, trace in enumerate((left, right)):
        _add(trace, side, lines, known)
    return _tree(lines)


def _add(trace: StoredTrace, side: int, lines: list[_Line], known: dict[_Key, int]) -> None:
    forest = forest_of(trace)
    timing = timing_of(forest)
    rows = rows_of(forest)
    line_of = [-1] * len(rows)
    for at in top_down(children_of(forest.parents), forest.parents):
        row, up, service = rows[at], forest.parents[at], forest.spans[at].service
        above = line_of[up] if up >= 0 else -1
        # With a service, the title of a call has no host: hosts and ports differ from run to run.
        title = without_ids(title_of(row._replace(service=service or "?")))
        key = (above, service, row.kind.name.lower(), title)
        number = known.get(key)
        if number is None:
            number = known[key] = len(lines)
            offset = row.start - (rows[up].start if up >= 0 else rows[0].start)
            lines.append(_Line(*key, offset))
        line_of[at] = number
        found = lines[number].sides[side]
        if found is None:
            found = lines[number].sides[side] = _Side(at)
        found.count += 1
        found.total_ns += row.end - row.start
        found.self_ns += timing.self_ns[at]
        found.errors += row.failed


def _tree(lines: Sequence[_Line]) -> list[Json]:
    """Return the rows, each below the one that is above it, and siblings by time."""
    below: list[list[int]] = [[] for _ in lines]
    waiting: list[tuple[int, int, int | None]] = []
    for number in sorted(range(len(lines)), key=lambda one: -lines[one].offset):
        if lines[number].parent < 0:
            waiting.append((number, 0, None))
        else:
            below[lines[number].parent].append(number)
    made: list[Json] = []
    while waiting:
        number, depth, parent = waiting.pop()
        waiting += [(one, depth + 1, len(made)) for one in below[number]]
        made.append(_view(lines[number], depth, parent))
    return made


def _view(line: _Line, depth: int, parent: int | None) -> Json:
    left, right = line.sides
    before, after = (0 if side is None else side.total_ns for side in (left, right))
    return {
        "depth": depth,
        "parent": parent,
        "service": line.service,
        "title": line.title,
        "kind": line.kind,
        "left": left and left.view(),
        "right": right and right.view(),
        "delta_ms": (after - before) / 1e6,
    }
