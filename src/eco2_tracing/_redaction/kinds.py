"""The kinds of attribute values, by the attribute names of the semantic conventions."""

from __future__ import annotations

PLAIN, TEXT, SECRET, QUERY, URL, SQL, CODE, LONG, UNCLEAN, NAME, OPAQUE = range(11)
"""How a value is masked.

`PLAIN` values are not searched, and `TEXT` and `LONG` values as free text. `SECRET` values are masked whole, `CODE`
values if they are texts, `OPAQUE` values if they look generated. `QUERY`, `URL` and `SQL` values are parsed. The name
of an `UNCLEAN` value holds a secret itself. `NAME` values have few different texts, so results are cached.
"""

KINDS = {
    "url.query": QUERY,
    "query_string": QUERY,
    "raw_path": URL,
    "url.full": URL,
    "url.original": URL,
    "url.path": URL,
    "http.url": URL,
    "http.target": URL,
    "db.statement": SQL,
    "db.query.text": SQL,
    "code": CODE,
    "exception.stacktrace": LONG,
} | dict.fromkeys(
    # By the conventions these hold no secrets, so they are not searched.
    (
        "http.request.method", "http.route", "url.scheme", "network.protocol.name", "network.protocol.version",
        "db.system", "db.system.name", "db.operation.name", "messaging.system", "http.method", "http.scheme",
        "http.flavor",
    ),
    PLAIN,
) | dict.fromkeys(
    # These have few different values, so results are cached.
    (
        "server.address", "client.address", "network.peer.address", "error.type", "exception.type", "db.namespace",
        "db.collection.name", "net.host.name", "db.name", "messaging.destination.name",
    ),
    NAME,
)  # fmt: skip
"""Attributes whose kind the semantic conventions define."""
