"""A trace as Markdown, for a ticket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eco2_tracing._console.exceptions import exception_lines
from eco2_tracing._console.rows import duration
from eco2_tracing._console.terminal import UNLIMITED, Screen, escaped
from eco2_tracing._view.draw import tree_of
from eco2_tracing._view.rows import forest_of, rows_of

if TYPE_CHECKING:
    from eco2_tracing._view.trace import StoredTrace

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!~&])")


def markdown_of(trace: StoredTrace) -> str:
    """Return a trace as Markdown: its figures, its tree, its exceptions and what is wrong with it."""
    return "\n".join(_lines(trace)) + "\n"


def _lines(trace: StoredTrace) -> Iterator[str]:
    forest = forest_of(trace)
    rows = rows_of(forest)
    spans = forest.spans
    services = dict.fromkeys(span.service or "?" for span in spans)
    yield f"### {_plain(rows[0].name) if rows else 'Trace without spans'}"
    yield ""
    yield f"- Trace: `{trace.trace_id}`"
    if rows:
        took = duration(max(row.end for row in rows) - rows[0].start)
        errors = sum(row.failed for row in rows)
        yield f"- Duration: {took}; spans: {len(rows)}; errors: {errors}"
        yield f"- Services: {', '.join(map(_plain, services))}"
    for remark in forest.remarks:
        yield f"- {remark}"
    screen = Screen(colour=False, width=UNLIMITED)
    yield ""
    yield from _fenced(tree_of(rows, trace.lines, screen))
    exceptions = exception_lines(rows)
    if exceptions:
        yield ""
        yield from _fenced(exceptions)


def _fenced(lines: list[str]) -> Iterator[str]:
    """Yield lines in a block whose fence is longer than every one in it."""
    longest = max((len(found) for line in lines for found in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield from lines
    yield fence


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", escaped(text[:200]))
