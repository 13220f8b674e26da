"""Which services call which, how often, how long, and how often it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

from eco2_tracing._console.rows import Row, database_of, text_of
from eco2_tracing._view.calls import outer_calls
from eco2_tracing._view.hops import GATEWAY, SIDECAR, hop_of
from eco2_tracing._view.rows import Forest, rows_of
from eco2_tracing._view.samples import MOST_SPANS, forests, percentile, top_down
from eco2_tracing._view.timing import children_of

if TYPE_CHECKING:
    from eco2_tracing._view.json_values import Json
    from eco2_tracing._view.trace import StoredTrace

_MOST_NODES = 200
_LONGEST = 128
_USUAL_PORTS = ("", "80", "443")
_ENTRIES = (SpanKind.SERVER, SpanKind.CONSUMER)
_CALLS = (SpanKind.CLIENT, SpanKind.PRODUCER)


def map_of(trace_ids: Iterable[str], get: Callable[[str], StoredTrace | None]) -> Json:
    """Return the map of some traces: its nodes, the calls between them, and how many traces it is made of.

    Args:
        trace_ids: The ids of the traces.
        get: Returns a trace.
    """
    made = _Map()
    for _, forest in forests(trace_ids, get, MOST_SPANS):
        made.add(forest)
    return made.view()


@dataclass(slots=True)
class _Figures:
    """The durations of spans in milliseconds, and how many of the spans failed."""

    kind: str = ""
    took: list[float] = field(default_factory=list)
    errors: int = 0

    def add(self, row: Row) -> None:
        self.took.append((row.end - row.start) / 1e6)
        self.errors += row.failed

    def view(self, seconds: float) -> Json:
        took = sorted(self.took)
        return {
            "errors": self.errors,
            "p50_ms": percentile(took, 0.5),
            "p95_ms": percentile(took, 0.95),
            "per_second": len(took) / seconds,
        }


class _Map:
    def __init__(self) -> None:
        self._nodes: dict[str, _Figures] = {}
        self._calls: dict[tuple[str, str], _Figures] = {}
        self._addresses: dict[str, str] = {}
        self._unanswered: list[tuple[str, str, Row]] = []
        self._first, self._last = 2**64, 0
        self._traces = 0

    def add(self, forest: Forest) -> None:
        """Count the spans of a trace."""
        self._traces += 1
        rows, parents = rows_of(forest), forest.parents
        hops = [hop_of(span, is_top=up < 0) for span, up in zip(forest.spans, parents, strict=True)]
        names = [span.service[:_LONGEST] or "?" for span in forest.spans]
        calls = outer_calls(rows, parents)
        answered: set[int] = set()
        for at, caller in enumerate(_callers(parents, hops)):
            row = rows[at]
            self._first, self._last = min(self._first, row.start), max(self._last, row.end)
            if hops[at] == SIDECAR or not _is_entry(at, caller, rows, names):
                continue
            node = self._node(names[at], "gateway" if hops[at] == GATEWAY else "service")
            node.add(row)
            if caller >= 0:
                answered.add(caller)
            self._enter(
                row, names[at], names[caller] if caller >= 0 else "", rows[caller] if caller >= 0 else None
            )
        for at, call in enumerate(calls):
            if call and not hops[at]:
                self._leave(names[at], rows[at], call, is_answered=at in answered)

    def _node(self, name: str, kind: str) -> _Figures:
        return self._nodes.setdefault(name, _Figures(kind))

    def _call(self, caller: str, called: str, row: Row) -> None:
        self._calls.setdefault((caller, called), _Figures()).add(row)

    def _enter(self, row: Row, name: str, caller: str, call: Row | None) -> None:
        """Count the span with which a service begins its part of a trace."""
        if row.kind is SpanKind.CONSUMER:
            broker = _broker(row if call is None or text_of(row, "messaging.system") else call)
            self._node(broker, "messaging")
            self._call(broker, name, row)
        elif call is not None:
            is_call = call.kind is SpanKind.CLIENT
            self._call(caller, name, call if is_call else row)
            if is_call:
                self._addresses.setdefault(_address(call), name)

    def _leave(self, name: str, row: Row, call: str, *, is_answered: bool) -> None:
        """Count a call, unless the called service's own span was."""
        if database_of(row):
            self._reach(name, _database(row), "database", row)
        elif row.kind is SpanKind.PRODUCER:
            self._reach(name, _broker(row), "messaging", row)
        elif not is_answered:
            self._unanswered.append((name, call, row))

    def _reach(self, caller: str, name: str, kind: str, row: Row) -> None:
        self._node(name, kind).add(row)
        self._call(caller, name, row)

    def view(self) -> Json:
        """Return the map."""
        for caller, call, row in self._unanswered:
            address = _address(row)
            known = self._addresses.get(address)
            if known is not None:  # of a service that did not answer this time
                self._call(caller, known, row)
            else:
                self._reach(caller, address or call, "external", row)
        seconds = max((self._last - self._first) / 1e9, 1.0)
        largest = sorted(self._nodes.items(), key=lambda item: -len(item[1].took))[:_MOST_NODES]
        shown = dict(largest)
        return {
            "nodes": [
                {"name": name, "kind": node.kind, "spans": len(node.took), **node.view(seconds)}
                for name, node in largest
            ],
            "calls": [
                {"from": caller, "to": called, "count": len(call.took), **call.view(seconds)}
                for (caller, called), call in self._calls.items()
                if caller in shown and called in shown
            ],
            "more_nodes": len(self._nodes) - len(shown),
            "traces": self._traces,
            "seconds": seconds,
        }


def _callers(parents: Sequence[int], hops: Sequence[str]) -> list[int]:
    """Return the index of the nearest span above each that is not a sidecar's, or -1."""
    callers = [-1] * len(parents)
    for at in top_down(children_of(parents), parents):
        up = parents[at]
        if up >= 0:
            callers[at] = callers[up] if hops[up] == SIDECAR else up
    return callers


def _is_entry(at: int, caller: int, rows: Sequence[Row], names: Sequence[str]) -> bool:
    """Return True for the span with which a service begins its part of a trace."""
    if caller < 0 or names[caller] != names[at]:
        return True
    return rows[at].kind in _ENTRIES and rows[caller].kind in _CALLS


def _database(row: Row) -> str:
    name = text_of(row, "db.namespace", "db.name", "server.address", "net.peer.name")
    return f"{database_of(row)} {name}".strip()[:_LONGEST]


def _broker(row: Row) -> str:
    system = text_of(row, "messaging.system") or "messages"
    return f"{system} {text_of(row, 'messaging.destination.name', 'messaging.destination')}".strip()[
        :_LONGEST
    ]


def _address(row: Row) -> str:
    host = text_of(row, "peer.service", "server.address", "net.peer.name", "http.host")
    port = text_of(row, "server.port", "net.peer.port")
    return (host if port in _USUAL_PORTS or not host else f"{host}:{port}")[:_LONGEST]
