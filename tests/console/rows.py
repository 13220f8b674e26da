"""Rows and traces for the tests of the terminal's text."""

from __future__ import annotations

import re

from opentelemetry.trace import SpanKind

from eco2_tracing._console.rows import LocalTrace, Row
from eco2_tracing._console.terminal import Screen

MS = 1_000_000
TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SGR = re.compile(r"\x1b\[[0-9;]*m")
PLAIN = Screen(colour=False)
SERVER = {
    "http.request.method": "GET",
    "http.route": "/users/{id}",
    "http.response.status_code": 200,
    "url.scheme": "http",
    "url.path": "/users/7",
    "server.address": "127.0.0.1",
    "server.port": 8000,
}


def row(name, span_id, parent=0, start=0, end=1, *, kind=SpanKind.INTERNAL, failed=False, service="", **more):
    """A span with times in milliseconds; the rest are attributes, and ``events``."""
    events = more.pop("events", ())
    return Row(
        name,
        kind,
        span_id,
        parent,
        more.pop("attributes", {}) | more,
        start * MS,
        end * MS,
        failed,
        events,
        service,
    )


def server(end=12, *, failed=False, events=(), **attributes):
    """The span of a request, with id 1."""
    return row(
        "GET /users/{id}", 1, 0, 0, end, kind=SpanKind.SERVER, failed=failed, events=events,
        attributes=SERVER | attributes,
    )  # fmt: skip


def query(span_id, parent=1, start=0, end=1, text="SELECT * FROM characters WHERE id = ?", **attributes):
    """The span of a database call."""
    return row(
        "SELECT", span_id, parent, start, end, kind=SpanKind.CLIENT,
        attributes={"db.system.name": "postgresql", "db.query.text": text} | attributes,
    )  # fmt: skip


def call(span_id, parent=1, start=0, end=1, host="character-api", **attributes):
    """The span of an outgoing HTTP call."""
    given = {"http.request.method": "GET", "server.address": host, "url.full": f"http://{host}/characters/7"}
    return row("GET", span_id, parent, start, end, kind=SpanKind.CLIENT, attributes=given | attributes)


def local_trace(root, *others, reason="head", late=False):
    """A local trace of these rows."""
    return LocalTrace(TRACE_ID, root, [root, *others], reason, late)
