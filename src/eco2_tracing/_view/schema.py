"""The tables of a store and the statements that write them."""

from __future__ import annotations

APPLICATION_ID = 0x65636F32
"""Marks a file as a store; its digits are ``eco2`` in ASCII."""

VERSION = 2
"""The version of the tables, which is in the file."""

PREPARE = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA busy_timeout = 5000;
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS traces (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, trace_id TEXT NOT NULL UNIQUE,
    rank INTEGER, root_start INTEGER, service TEXT, name TEXT, status TEXT, route TEXT,
    start INTEGER, end INTEGER, spans INTEGER, errors INTEGER, logs INTEGER, bytes INTEGER
);
CREATE INDEX IF NOT EXISTS traces_by_start ON traces (start);
CREATE TABLE IF NOT EXISTS services (
    trace_id TEXT, service TEXT, instance TEXT, version TEXT, first INTEGER, last INTEGER,
    PRIMARY KEY (trace_id, service, instance)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS services_by_name ON services (service, instance, first);
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY, trace_id TEXT, kind TEXT, digest BLOB, data BLOB, UNIQUE (trace_id, kind, digest)
);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, count INTEGER);
INSERT OR IGNORE INTO counts VALUES ('removed', 0);
"""

INSERT_CHUNK = "INSERT OR IGNORE INTO chunks (trace_id, kind, digest, data) VALUES (?, ?, ?, ?)"
UPSERT_SERVICE = """
INSERT INTO services VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)
"""
DELETE_TRACE = (
    "DELETE FROM traces WHERE trace_id = ?",
    "DELETE FROM services WHERE trace_id = ?",
    "DELETE FROM chunks WHERE trace_id = ?",
)

_ROOT = ("root_start", "service", "name", "status")
# A span without parent is the root; before it arrives, the first one of a server stands for it.
_IS_ROOT = "excluded.rank > rank OR (excluded.rank = rank AND excluded.root_start < root_start)"
_SET = ",\n".join(
    [
        *(f"{column} = CASE WHEN {_IS_ROOT} THEN excluded.{column} ELSE {column} END" for column in _ROOT),
        "rank = max(rank, excluded.rank)",
        "route = CASE WHEN route = '' THEN excluded.route ELSE route END",
        "start = min(start, excluded.start)",
        "end = max(end, excluded.end)",
        *(f"{column} = {column} + excluded.{column}" for column in ("spans", "errors", "logs", "bytes")),
    ]
)
UPSERT_TRACE = f"""
INSERT INTO traces
    (trace_id, rank, root_start, service, name, status, route, start, end, spans, errors, logs, bytes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (trace_id) DO UPDATE SET {_SET}
"""  # noqa: S608 - the columns are constants
