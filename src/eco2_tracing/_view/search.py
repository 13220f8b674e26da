"""Queries for traces."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from eco2_tracing._view.trace import StoredTrace, shown
from eco2_tracing.testing._convert import plain_value

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

_COLUMNS = "trace_id, service, name, route, status, start, end, spans, errors, logs"
_GIVEN = "trace_id IN (SELECT value FROM json_each(?))"
_SERVICES = f"SELECT DISTINCT trace_id, service FROM services WHERE {_GIVEN} ORDER BY trace_id, service"  # noqa: S608 - constants
_MOST_SERVICES = 50  # of one row of the list
SORTS = {
    "newest": "start DESC",
    "oldest": "start",
    "slowest": "max(end - start, 0) DESC, seq DESC",
    "spans": "spans DESC, seq DESC",
    "errors": "errors > 0 DESC, start DESC",
}
"""The orders of a list of traces, by name."""

WITH_PREFIX = "(trace_id >= ? AND trace_id < ? || 'g')"
"""The condition that an id begins with some hex digits, which are given twice. It uses the index."""

_Row = tuple[str, str, str, str, str, int, int, int, int, int, int]

MOST_FOUND = 10_000
_MOST_OPENED = 2000  # traces that are decoded to compare attributes


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of the list of traces.

    Attributes:
        trace_id: 32 hex digits.
        service: The service of the root.
        name: The name of the root.
        route: Method and route of the first span with ``http.route``.
        status: The status code of the root, or an empty text.
        start_ns: The first start of a span, in nanoseconds since the epoch.
        duration_ns: Nanoseconds from there to the last end.
        spans: The number of spans received.
        errors: The number of them with the status ERROR.
        logs: The number of log records.
        services: The services of the trace.
    """

    trace_id: str
    service: str
    name: str
    route: str
    status: str
    start_ns: int
    duration_ns: int
    spans: int
    errors: int
    logs: int
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """What a trace must have to be found; an empty condition is none.

    Attributes:
        service: The name of one of its services.
        route: A part of its route or of the name of its root, in any case.
        status: ``error``, ``ok``, a status code such as ``404``, or a class of them such as ``5xx``.
        min_ms: The least duration in milliseconds.
        max_ms: The greatest duration in milliseconds.
        attributes: Each is ``key=value``, or a key alone, of an attribute of one of its spans or resources.
        text: A text that is anywhere in its spans or log records, or the beginning of its id.
        trace_id: The beginning of its id.
        sort: A key of `SORTS`.
        limit: The most traces returned.
    """

    service: str = ""
    route: str = ""
    status: str = ""
    min_ms: float | None = None
    max_ms: float | None = None
    attributes: tuple[str, ...] = ()
    text: str = ""
    trace_id: str = ""
    sort: str = "newest"
    limit: int = 100


_CHUNK = "EXISTS (SELECT 1 FROM chunks c WHERE c.trace_id = traces.trace_id AND contains(c.data, ?))"


def _conditions(query: Query) -> Iterator[tuple[str, tuple[object, ...]]]:
    yield "spans > 0", ()
    if query.service:
        yield (
            "EXISTS (SELECT 1 FROM services s WHERE s.trace_id = traces.trace_id AND s.service = ?)",
            (query.service,),
        )
    if query.route:
        route = query.route.lower()
        yield "(instr(lower(route), ?) OR instr(lower(name), ?))", (route, route)
    if query.trace_id:
        yield WITH_PREFIX, (query.trace_id.lower(),) * 2
    if query.min_ms is not None:
        yield "max(end - start, 0) >= ?", (query.min_ms * 1e6,)
    if query.max_ms is not None:
        yield "max(end - start, 0) <= ?", (query.max_ms * 1e6,)
    if query.status:
        yield _status(query.status.lower())
    if query.text:
        text = query.text.lower()
        yield f"({WITH_PREFIX} OR {_CHUNK})", (text, text, text.encode())
    for attribute in query.attributes:
        yield _CHUNK, (attribute.partition("=")[0].lower().encode(),)


def _status(status: str) -> tuple[str, tuple[object, ...]]:
    if status in ("error", "ok"):
        return ("errors > 0" if status == "error" else "errors = 0"), ()
    if status.endswith("xx"):
        return "(length(status) = 3 AND substr(status, 1, 1) = ?)", (status[0],)
    return "status = ?", (status,)


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a query.

    Attributes:
        summaries: The traces, in the order of the query, at most its limit.
        count: The number of all that it finds. Of a query for attributes, of those among the first 2 000 that its other
            conditions find.
    """

    summaries: Sequence[Summary]
    count: int


def find_summaries(
    database: sqlite3.Connection, query: Query, get: Callable[[str], StoredTrace | None]
) -> Found:
    """Return the traces that a query finds.

    Args:
        database: The database of a store.
        query: The query.
        get: Returns a trace.
    """
    conditions = list(_conditions(query))
    where = " AND ".join(text for text, _ in conditions)
    values = [value for _, given in conditions for value in given]
    limit = max(0, min(query.limit, MOST_FOUND))
    # To count all in the same statement reads all rows, also where an index gives the first ones.
    counted = "count(*) OVER ()" if query.text else "0"
    statement = f"SELECT {_COLUMNS}, {counted} FROM traces WHERE {where} ORDER BY {SORTS[query.sort]} LIMIT ?"  # noqa: S608 - constants
    rows = database.execute(statement, (*values, _MOST_OPENED if query.attributes else limit)).fetchall()
    count = max(rows[0][-1], len(rows)) if rows else 0
    if len(rows) == limit and not query.text:
        count = database.execute(f"SELECT count(*) FROM traces WHERE {where}", values).fetchone()[0]  # noqa: S608 - constants
    if query.attributes:
        wanted = _Wanted(query.attributes)
        rows = [row for row in rows if wanted.are_in(get(row[0]))]
        count = len(rows)
    return Found(_summaries(database, rows[:limit]), count)


def summaries_of(database: sqlite3.Connection, trace_ids: Iterable[str]) -> list[Summary]:
    """Return the summaries of some traces, as far as they have spans."""
    statement = f"SELECT {_COLUMNS}, 0 FROM traces WHERE spans > 0 AND {_GIVEN}"  # noqa: S608 - constants
    ids = orjson.dumps(list(trace_ids)).decode()
    return _summaries(database, database.execute(statement, (ids,)).fetchall())


def _summaries(database: sqlite3.Connection, rows: Sequence[_Row]) -> list[Summary]:
    services: dict[str, list[str]] = {row[0]: [] for row in rows}
    ids = orjson.dumps(list(services)).decode()
    for trace_id, service in database.execute(_SERVICES, (ids,)):
        services[trace_id].append(service)
    return [
        Summary(*row[:6], max(row[6] - row[5], 0), *row[7:10], tuple(services[row[0]][:_MOST_SERVICES]))
        for row in rows
    ]


class _Wanted:
    """Attributes that a trace must have. They are compared in the encoded form, which takes a tenth of decoding all.

    Args:
        attributes: Each is ``key=value``, or a key alone.
    """

    def __init__(self, attributes: Sequence[str]) -> None:
        self._values: dict[str, set[str | None]] = {}
        for attribute in attributes:
            key, mark, value = attribute.partition("=")
            self._values.setdefault(key, set()).add(value if mark else None)

    def are_in(self, trace: StoredTrace | None) -> bool:
        """Return True if each is an attribute of some span or resource."""
        missing = {key: set(values) for key, values in self._values.items()}
        for pairs in _attributes(trace):
            for pair in pairs:
                values = missing.get(pair.key)
                if values is None:
                    continue
                values -= {None, shown(plain_value(pair.value))}
                if not values:
                    del missing[pair.key]
                    if not missing:
                        return True
        return False


def _attributes(trace: StoredTrace | None) -> Iterator[Iterable[KeyValue]]:
    for group in trace.request.resource_spans if trace is not None else ():
        yield group.resource.attributes
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield span.attributes
