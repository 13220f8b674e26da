"""Queries for traces."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from eco2_tracing._view.trace import StoredTrace, shown

_COLUMNS = "trace_id, service, name, route, status, start, end, spans, errors, logs, seq"
_SERVICES = "SELECT service FROM services WHERE trace_id = ? ORDER BY service LIMIT 50"
SORTS = {
    "newest": "start DESC",
    "oldest": "start",
    "slowest": "max(end - start, 0) DESC, seq DESC",
    "spans": "spans DESC, seq DESC",
    "errors": "errors > 0 DESC, start DESC",
}
"""The orders of a list of traces, by name."""

MOST_FOUND = 10_000
_MOST_OPENED = 2000  # traces that are decoded to compare attributes


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of the list of traces.

    Attributes:
        trace_id: 32 hex digits.
        service: The service of the root.
        name: The name of the root.
        route: The first ``http.route`` of the trace.
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
        yield "substr(trace_id, 1, ?) = ?", (len(query.trace_id), query.trace_id.lower())
    if query.min_ms is not None:
        yield "max(end - start, 0) >= ?", (query.min_ms * 1e6,)
    if query.max_ms is not None:
        yield "max(end - start, 0) <= ?", (query.max_ms * 1e6,)
    if query.status:
        yield _status(query.status.lower())
    if query.text:
        text = query.text.lower()
        yield f"(substr(trace_id, 1, ?) = ? OR {_CHUNK})", (len(text), text, text.encode())
    for attribute in query.attributes:
        yield _CHUNK, (attribute.partition("=")[0].lower().encode(),)


def _status(status: str) -> tuple[str, tuple[object, ...]]:
    if status in ("error", "ok"):
        return ("errors > 0" if status == "error" else "errors = 0"), ()
    if status.endswith("xx"):
        return "(length(status) = 3 AND substr(status, 1, 1) = ?)", (status[0],)
    return "status = ?", (status,)


def find_summaries(
    database: sqlite3.Connection, query: Query, get: Callable[[str], StoredTrace | None]
) -> list[Summary]:
    """Return the traces that a query finds, in its order.

    Args:
        database: The database of a store.
        query: The query.
        get: Returns a trace.
    """
    conditions = list(_conditions(query))
    where = " AND ".join(text for text, _ in conditions)
    values = [value for _, given in conditions for value in given]
    limit = max(0, min(query.limit, MOST_FOUND))
    statement = f"SELECT {_COLUMNS} FROM traces WHERE {where} ORDER BY {SORTS[query.sort]} LIMIT ?"  # noqa: S608 - constants
    rows = iter(
        database.execute(statement, (*values, _MOST_OPENED if query.attributes else limit)).fetchall()
    )
    if query.attributes:
        rows = (row for row in rows if _has_attributes(get(row[0]), query.attributes))
    return [_summary(database, row) for row in islice(rows, limit)]


def _summary(
    database: sqlite3.Connection, row: tuple[str, str, str, str, str, int, int, int, int, int, int]
) -> Summary:
    trace_id, service, name, route, status, start, end, spans, errors, logs, _seq = row
    services = tuple(found[0] for found in database.execute(_SERVICES, (trace_id,)))
    return Summary(
        trace_id, service, name, route, status, start, max(end - start, 0), spans, errors, logs, services
    )


def _has_attributes(trace: StoredTrace | None, wanted: tuple[str, ...]) -> bool:
    """Return True if each attribute is one of some span or resource."""
    spans = trace.spans if trace is not None else ()
    return all(
        any(_has(each, *one.partition("=")) for span in spans for each in (span.attributes, span.resource))
        for one in wanted
    )


def _has(attributes: Mapping[str, object], key: str, mark: str, value: str) -> bool:
    return key in attributes and (not mark or shown(attributes[key]) == value)
