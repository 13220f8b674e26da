"""Spans as the terminal shows them, and what their attributes say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind

from eco2_tracing._console.terminal import escaped


class Event(Protocol):
    """The part of a span's event that is shown."""

    @property
    def name(self) -> str:
        """The name, such as ``exception``."""

    @property
    def attributes(self) -> Mapping[str, object] | None:
        """The attributes."""


class Row(NamedTuple):
    """One ended span.

    Attributes:
        name: The name.
        kind: The kind.
        span_id: The id.
        parent_id: The id of the parent; 0 for a root.
        attributes: The masked attributes.
        start: Nanoseconds since the epoch.
        end: The same.
        failed: True if the status is ERROR.
        events: The masked events.
        service: ``service.name``; empty where all rows have the same.
    """

    name: str
    kind: SpanKind
    span_id: int
    parent_id: int
    attributes: Mapping[str, object]
    start: int
    end: int
    failed: bool
    events: Sequence[Event] = ()
    service: str = ""


class LocalTrace(NamedTuple):
    """One local trace, or a part of it.

    Attributes:
        trace_id: The trace id.
        root: The local root; of a part, its first span.
        rows: All spans, ordered by their start.
        reason: Why it was kept: ``head``, ``error``, ``slow``, ``upstream``; empty for a part.
        late: True for spans that ended after their local root.
    """

    trace_id: int
    root: Row
    rows: Sequence[Row]
    reason: str
    late: bool = False


_LONGEST_SEARCHED = 2048
_OPERATION = re.compile(r"\s*([A-Za-z]+)")
_TABLE = re.compile(r"(?i)\b(?:from|into|update|join|table)\s+([^\s(),;]+)")
# The names in `db.system.name` and, before it, in `db.system`.
_SQL = frozenset(
    {
        "postgresql", "mysql", "mariadb", "sqlite", "mssql", "microsoft.sql_server", "oracle", "oracle.db",
        "other_sql", "cockroachdb", "db2", "ibm.db2", "clickhouse", "trino", "h2", "hsqldb", "firebird",
    }
)  # fmt: skip
_SHORT_SYSTEMS = {"mongodb": "mongo", "aws-api": "aws"}
_LONGEST_KIND = 16


def text_of(row: Row, *keys: str) -> str:
    """Return the first attribute that is set, as an escaped text; an empty text without one."""
    for key in keys:
        value = row.attributes.get(key)
        if value is not None and value != "":
            return escaped(str(value))
    return ""


def status_of(row: Row) -> str:
    """Return the HTTP status code, or an empty text. Zipkin spans have the older attribute."""
    return text_of(row, "http.response.status_code", "http.status_code")


def error_of(row: Row) -> str:
    """Return the short name of a failed span's error type, unless it is the status code."""
    kind = text_of(row, "error.type")
    return "" if not row.failed or kind == status_of(row) else kind.rpartition(".")[2]


def database_of(row: Row) -> str:
    """Return the database system of a span, or an empty text."""
    attributes = row.attributes
    return str(attributes.get("db.system.name") or attributes.get("db.system") or "")


def is_http_call(row: Row) -> bool:
    """Return True for an outgoing HTTP call."""
    return row.kind is SpanKind.CLIENT and (
        "http.request.method" in row.attributes or "http.method" in row.attributes
    )


def call_kind(row: Row) -> str:
    """Return the kind of an outgoing call, such as ``http``, ``sql`` or ``kafka``; empty for other spans."""
    system = database_of(row)
    if system:
        return "sql" if system in _SQL else _short(system)
    if row.kind is SpanKind.CLIENT:
        if is_http_call(row):
            return "http"
        return _short(str(row.attributes.get("rpc.system.name") or row.attributes.get("rpc.system") or ""))
    if row.kind is SpanKind.PRODUCER:
        return _short(str(row.attributes.get("messaging.system") or "message"))
    return ""


def _short(system: str) -> str:
    return escaped(_SHORT_SYSTEMS.get(system, system)[:_LONGEST_KIND])


def statement_of(row: Row) -> str:
    """Return the masked statement of a database span, or an empty text."""
    attributes = row.attributes
    return str(attributes.get("db.query.text") or attributes.get("db.statement") or "")


def title_of(row: Row) -> str:
    """Return what a span does in a few words: ``SELECT characters``, ``GET /users/7``, or its name."""
    name = escaped(row.name)
    if database_of(row):
        return _query_title(row) or name
    if is_http_call(row):
        # Where services are shown, the next row is that of the called one.
        host = "" if row.service else text_of(row, "server.address")
        place = f"{host}{_path_of(row)}"
        return f"{name} {place}" if place else name
    return name


def _path_of(row: Row) -> str:
    """Return the escaped path of an outgoing call's URL."""
    try:
        return escaped(urlsplit(str(row.attributes.get("url.full", ""))).path)
    except ValueError:  # a bracket in the host
        return ""


def _query_title(row: Row) -> str:
    return text_of(row, "db.query.summary") or _statement_title(statement_of(row)[:_LONGEST_SEARCHED])


@lru_cache(256)
def _statement_title(statement: str) -> str:
    """Return operation and table of a masked statement, which most requests have in common."""
    operation, table = _OPERATION.match(statement), _TABLE.search(statement)
    if operation is None or table is None:
        return ""
    return escaped(f"{operation[1].upper()} {table[1].strip('`[]').replace(chr(34), '')}")


def duration(nanoseconds: int) -> str:
    """Return a duration with three digits or so: ``0.4 ms``, ``12.4 ms``, ``1.24 s``, ``75 s``."""
    ms = max(nanoseconds, 0) / 1e6
    if ms < 999.95:
        return f"{ms:.1f} ms"
    if ms < 9_995:
        return f"{ms / 1000:.2f} s"
    return f"{ms / 1000:.1f} s" if ms < 99_950 else f"{ms / 1000:,.0f} s"
