"""Prints each received trace once it is complete, as the exporter `waterfall` does."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, TextIO

import orjson

from eco2_tracing._console.rows import LocalTrace, Row
from eco2_tracing._console.terminal import screen_of
from eco2_tracing._console.waterfall import Waterfall
from eco2_tracing._export.local_traces import REASON
from eco2_tracing._export.stdout import LineWriter
from eco2_tracing._view.rows import forest_of, rows_of

if TYPE_CHECKING:
    from eco2_tracing._view.store import Store
    from eco2_tracing._view.trace import StoredTrace

_QUIET_S = 0.5  # services export at different times
_LONGEST_S = 10.0
_MOST_WAITING, _MOST_PRINTED = 1000, 1000
_PER_TURN = 20
_TURN_S = 0.1


class Follower:
    """Prints traces that have not changed for a while.

    Spans that arrive later are printed as such.

    Args:
        store: The store.
        stream: Where to print.
        clock: Monotonic seconds.
        quiet_s: Seconds without a change after which a trace is printed.
    """

    def __init__(
        self,
        store: Store,
        stream: TextIO,
        clock: Callable[[], float] = monotonic,
        quiet_s: float = _QUIET_S,
    ) -> None:
        self._store = store
        self._writer = LineWriter(stream)
        self._clock = clock
        self._quiet_s = quiet_s
        self._waterfall = Waterfall()
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._printed: OrderedDict[str, set[int]] = OrderedDict()
        self._skipped = 0
        self._end = store.listen(self.changed)

    def changed(self, trace_ids: Iterable[str]) -> None:
        """Wait for the end of traces that have changed."""
        now = self._clock()
        with self._lock:
            for trace_id in trace_ids:
                first = self._waiting.pop(trace_id, (now, now))[0]
                self._waiting[trace_id] = (first, now)
            while len(self._waiting) > _MOST_WAITING:
                self._waiting.popitem(last=False)
                self._skipped += 1

    def run(self, stopped: threading.Event) -> None:
        """Print until the event is set, then what still waits."""
        while not stopped.wait(_TURN_S):
            self.print_due()
        self.print_due(rest=True)
        self._end()

    def print_due(self, *, rest: bool = False) -> None:
        """Print the traces that are due; with `rest`, all that wait."""
        for trace_id in self._due(rest=rest):
            trace = self._store.get(trace_id)
            if trace is not None:
                self._print(trace)
        with self._lock:
            skipped, self._skipped = self._skipped, 0
        if skipped:
            self._writer.write(f"… {skipped} more traces: they arrive faster than they can be printed\n")

    def _due(self, *, rest: bool) -> list[str]:
        now = self._clock()
        with self._lock:
            due = [
                trace_id
                for trace_id, (first, last) in self._waiting.items()
                if rest or now - last >= self._quiet_s or now - first >= _LONGEST_S
            ][: _MOST_WAITING if rest else _PER_TURN]
            for trace_id in due:
                del self._waiting[trace_id]
        return due

    def _print(self, trace: StoredTrace) -> None:
        rows = rows_of(forest_of(trace))
        known = self._printed.pop(trace.trace_id, None)
        self._printed[trace.trace_id] = {row.span_id for row in rows}
        if len(self._printed) > _MOST_PRINTED:
            self._printed.popitem(last=False)
        rows = [row for row in rows if known is None or row.span_id not in known]
        if rows:
            lines = () if known else [orjson.dumps(line).decode() for line in trace.lines]
            local = _local_trace(trace.trace_id, rows, late=known is not None)
            self._writer.write(self._waterfall.text(local, lines, screen_of(self._writer.stream)))


def _local_trace(trace_id: str, rows: Sequence[Row], *, late: bool) -> LocalTrace:
    root = next((row for row in rows if not row.parent_id), rows[0])
    reason = str(root.attributes.get(REASON, "" if late else "head"))
    return LocalTrace(int(trace_id, 16), root, rows, reason, late)
