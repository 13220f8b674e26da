"""What the semantic conventions say of attributes by their names."""

from __future__ import annotations

PLAIN, TEXT, SECRET, QUERY, URL, SQL, CODE, LONG, UNCLEAN = range(9)
"""How a value is searched: not at all, as a text, masked whole, by its form; or its name is not clean."""

KINDS = {
    "url.query": QUERY,
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
    # The conventions leave no room for a secret in these: not searched, for speed.
    (
        "http.request.method", "http.route", "url.scheme", "network.protocol.name",
        "network.protocol.version", "server.address", "client.address", "network.peer.address",
        "error.type", "exception.type", "db.system", "db.system.name", "db.operation.name",
        "db.namespace", "db.collection.name", "http.method", "http.scheme", "http.flavor", "net.host.name",
    ),
    PLAIN,
)  # fmt: skip
"""Attributes whose form the semantic conventions tell."""
