"""What the semantic conventions say of attributes by their names."""

from __future__ import annotations

PLAIN, TEXT, SECRET, QUERY, URL, SQL, CODE, LONG, UNCLEAN, NAME, OPAQUE = range(11)
"""How a value is searched: not at all, as a text, masked whole, by its form; its name is not clean; as a name; masked
if it looks opaque."""

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
    # The conventions leave no room for a secret in these: not searched, for speed.
    (
        "http.request.method", "http.route", "url.scheme", "network.protocol.name", "network.protocol.version",
        "db.system", "db.system.name", "db.operation.name", "messaging.system", "http.method", "http.scheme",
        "http.flavor",
    ),
    PLAIN,
) | dict.fromkeys(
    # Few different ones: what was found in one is remembered.
    (
        "server.address", "client.address", "network.peer.address", "error.type", "exception.type", "db.namespace",
        "db.collection.name", "net.host.name", "db.name", "messaging.destination.name",
    ),
    NAME,
)  # fmt: skip
"""Attributes whose form the semantic conventions tell."""
