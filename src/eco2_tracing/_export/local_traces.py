"""Puts exported spans together to local traces again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from eco2_tracing._console.rows import LocalTrace, Row

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

REASON = "eco2.sampling.reason"
"""The attribute that the tail sampler sets on each local root, and on no other span."""

_WAIT_S = 10.0
_MOST_TRACES = 512
_MOST_ENDED = 128  # traces whose spans are known, so that late ones are printed at once
_MOST_CHARACTERS = 4 * 1024 * 1024
_PER_ROW = 1024  # what a span takes beside its texts
_NO_ATTRIBUTES: dict[str, object] = {}


def row_of(span: ReadableSpan) -> Row:
    """Return an ended span as the terminal shows it."""
    context, parent, attributes = span.context, span.parent, span.attributes
    start = span.start_time or 0
    return Row(
        span.name,
        span.kind,
        context.span_id if context is not None else 0,
        parent.span_id if parent is not None else 0,
        # Each look-up in the mapping of the SDK takes ten times as long as in a dictionary.
        attributes if type(attributes) is dict else dict(attributes or ()),
        start,
        span.end_time or start,
        span.status.status_code is StatusCode.ERROR,
        span.events,
    )


class LocalTraces:
    """The spans of local traces whose root has not ended, and of the late ones whose parent has not.

    A span that ends after its local root, as in a background task, is returned with what is below it. What waits too
    long, or is too much, is returned as a part of a trace.

    Args:
        clock: Monotonic seconds.
        characters: The most characters of what waits; a span counts as some more than its texts.
    """

    def __init__(self, clock: Callable[[], float] = monotonic, characters: int = _MOST_CHARACTERS) -> None:
        self._clock = clock
        self._characters = characters
        self.reset()

    def reset(self) -> None:
        """Forget every span, as in a forked child."""
        self._waiting: dict[int, list[Row]] = {}
        self._since: dict[int, float] = {}
        self._sizes: dict[int, int] = {}
        self._ended: dict[int, set[int]] = {}

    def add(self, spans: Iterable[ReadableSpan]) -> list[LocalTrace]:
        """Take ended spans; return the local traces that are complete, in the order of their ends."""
        complete: list[LocalTrace] = []
        touched: dict[int, None] = {}
        for span in spans:
            row = row_of(span)
            context = span.context
            trace_id = context.trace_id if context is not None else 0
            reason = row.attributes.get(REASON)
            if reason is not None:
                complete.append(self._with_root(trace_id, row, str(reason)))
            else:
                self._put(trace_id, [row])
            touched[trace_id] = None
        for trace_id in touched:
            complete += self._late(trace_id)
            if trace_id in self._waiting:
                self._sizes[trace_id] = sum(map(_size, self._waiting[trace_id]))
        complete += self._overdue()
        return complete

    def drain(self) -> list[LocalTrace]:
        """Return everything that waits, as parts of traces."""
        return [self._part(trace_id) for trace_id in list(self._waiting)]

    def _put(self, trace_id: int, rows: Sequence[Row]) -> None:
        if not rows:
            return
        waiting = self._waiting.get(trace_id)
        if waiting is None:
            self._waiting[trace_id] = list(rows)
            self._since[trace_id] = self._clock()
        else:
            waiting += rows

    def _pop(self, trace_id: int) -> list[Row]:
        rows = self._waiting.pop(trace_id, [])
        self._since.pop(trace_id, None)
        self._sizes.pop(trace_id, None)
        return rows

    def _with_root(self, trace_id: int, root: Row, reason: str) -> LocalTrace:
        """Return a local trace: its root and what is below it.

        A process may have several local traces of one trace. A span whose parent was dropped belongs to the root during
        which it ran.
        """
        rows = self._pop(trace_id)
        rows.append(root)
        rows.sort(key=_start)
        inside = {root.span_id}
        members, others = [], []
        for row in rows:
            if row is root or row.parent_id in inside or (row.start >= root.start and row.end <= root.end):
                inside.add(row.span_id)
                members.append(row)
            else:
                others.append(row)
        self._put(trace_id, others)
        ended = self._ended.setdefault(trace_id, set())
        ended |= inside
        if len(self._ended) > _MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        return LocalTrace(trace_id, root, members, reason)

    def _late(self, trace_id: int) -> list[LocalTrace]:
        """Return the spans whose parents have all ended, one local trace for each span whose parent was returned."""
        ended = self._ended.get(trace_id)
        if ended is None:
            return []
        rows = sorted(self._pop(trace_id), key=_start)
        trees: dict[int, list[Row]] = {}
        top_of: dict[int, int] = {}
        others = []
        for row in rows:
            top = row.span_id if row.parent_id in ended else top_of.get(row.parent_id)
            if top is None:
                others.append(row)
            else:
                top_of[row.span_id] = top
                trees.setdefault(top, []).append(row)
        self._put(trace_id, others)
        if len(ended) < _PER_ROW:
            ended.update(top_of)
        return [LocalTrace(trace_id, tree[0], tree, "", late=True) for tree in trees.values()]

    def _overdue(self) -> list[LocalTrace]:
        """Return the oldest parts beyond the limits of time, traces and characters."""
        parts = []
        oldest_allowed = self._clock() - _WAIT_S
        while self._since:
            trace_id, since = next(iter(self._since.items()))
            if (
                since > oldest_allowed
                and sum(self._sizes.values()) <= self._characters
                and len(self._waiting) <= _MOST_TRACES
            ):
                break
            parts.append(self._part(trace_id))
        return parts

    def _part(self, trace_id: int) -> LocalTrace:
        rows = sorted(self._pop(trace_id), key=_start)
        return LocalTrace(trace_id, rows[0], rows, "")


def _size(row: Row) -> int:
    """Return about how many characters a span takes."""
    size = _PER_ROW
    for attributes in (row.attributes, *(event.attributes or _NO_ATTRIBUTES for event in row.events)):
        size += sum(len(value if isinstance(value, str) else str(value)) for value in attributes.values())
    return size


def _start(row: Row) -> int:
    return row.start
