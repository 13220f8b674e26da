"""Traces in SQLite: OTLP as it was received, and one row for the list of traces."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from eco2_tracing._view.builds import Build, builds_of, traces_of_build
from eco2_tracing._view.parts import Part, split_logs, split_traces
from eco2_tracing._view.schema import (
    APPLICATION_ID,
    DELETE_TRACE,
    INSERT_CHUNK,
    PREPARE,
    SCHEMA,
    UPSERT_SERVICE,
    UPSERT_TRACE,
    VERSION,
)
from eco2_tracing._view.search import WITH_PREFIX, Found, Query, Summary, find_summaries, summaries_of
from eco2_tracing._view.trace import StoredTrace

if TYPE_CHECKING:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MOST_BYTES = 128 * 1024 * 1024
_PER_CHUNK = (
    640  # what the rows of a chunk and their indexes take beside its data, measured with five spans in each
)
_KEPT_SHARE = 0.995  # of the limit, after the oldest traces were removed: so few that it does not take long
_LARGEST_SHARE = 4  # one trace may take this part of the limit
_MOST_SERVICES = 1000

Listener = Callable[[Sequence[str]], None]
"""Called with the ids of the traces that have changed, in the thread of the receiver."""


class StoreError(Exception):
    """The file of a store cannot be used; the message says why."""


class Store:
    """Holds traces and their log records. Its methods may be called from any thread.

    Args:
        path: The file, which is made if it does not exist; without it, the traces are held in memory.
        most_bytes: The limit of what is held. The oldest traces are removed beyond it.

    Raises:
        StoreError: The file is no store, or cannot be written to.
    """

    def __init__(self, path: str = ":memory:", most_bytes: int = MOST_BYTES) -> None:
        self._lock = threading.RLock()
        self._most_bytes = most_bytes
        self._listeners: list[Listener] = []
        self._refused: dict[str, int] = {}
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._open()
        except sqlite3.Error as error:
            raise StoreError(f"{path} cannot be used as a store: {error}") from None

    def _open(self) -> None:
        run = self._database.execute
        found = run("PRAGMA application_id").fetchone()[0]
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and found != APPLICATION_ID:
            self._database.close()
            raise sqlite3.DatabaseError("it is another program's database")
        version = run("PRAGMA user_version").fetchone()[0]
        if tables and version != VERSION:
            self._database.close()
            raise sqlite3.DatabaseError(
                f"it was made by another version of eco2-tracing (tables of version {version}, not {VERSION}): "
                "choose another file, or remove this one"
            )
        self._database.executescript(PREPARE)
        self._database.executescript(SCHEMA)
        self._database.create_function("contains", 2, _contains, deterministic=True)
        self._bytes = int(run("SELECT coalesce(sum(bytes), 0) FROM traces").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call a function after each change; return one that ends this."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return end

    def add_traces(self, request: ExportTraceServiceRequest) -> int:
        """Hold the spans of a request; return how many are refused."""
        parts, invalid = split_traces(request)
        return self._add("traces", parts, "spans with an invalid id", invalid)

    def add_logs(self, request: ExportLogsServiceRequest) -> int:
        """Hold the log records of a request that have a trace id; return 0, because the others are no error."""
        parts, invalid = split_logs(request)
        self._add("logs", parts, "log records without a trace id", invalid)
        return 0

    def add_log_lines(self, requests: Iterable[ExportLogsServiceRequest]) -> None:
        """Hold log records that were lines, one of each request. A line that is held already is not held twice."""
        split = [split_logs(request) for request in requests]
        parts = [part for found, _ in split for part in found]
        self._add("logs", parts, "log records without a trace id", sum(invalid for _, invalid in split))

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count what was not stored."""
        if count:
            with self._lock:
                self._refused[reason] = self._refused.get(reason, 0) + count

    def _add(self, kind: str, parts: Iterable[Part], reason: str, invalid: int) -> int:
        encoded = [(part, part.message.SerializeToString()) for part in parts]
        changed, large = [], 0
        with self._lock:
            self.refuse(reason, invalid)
            with self._database:
                self._database.execute("BEGIN")
                for part, data in encoded:
                    if self._insert(kind, part, data):
                        changed.append(part.trace_id)
                    else:
                        large += part.spans + part.logs
                self._evict()
            self.refuse("spans and log records of traces that are too large", large)
            listeners = tuple(self._listeners)
        if changed:
            for listener in listeners:
                listener(changed)
        return invalid + large

    def _insert(self, kind: str, part: Part, data: bytes) -> bool:
        """Insert a part, unless the same was inserted before; return False if its trace is too large."""
        run = self._database.execute
        size = len(data) + _PER_CHUNK
        held = run("SELECT bytes FROM traces WHERE trace_id = ?", (part.trace_id,)).fetchone()
        if size + (held[0] if held else 0) > self._most_bytes // _LARGEST_SHARE:
            return False
        digest = blake2b(data, digest_size=16).digest()
        if not run(INSERT_CHUNK, (part.trace_id, kind, digest, data)).rowcount:
            return True  # an exporter sends a batch again if it did not get the response
        values = (
            part.trace_id, part.rank, part.root_start, part.service, part.name, part.status, part.route,
            part.start, part.end, part.spans, part.errors, part.logs, size,
        )  # fmt: skip
        run(UPSERT_TRACE, values)
        for build, times in part.builds.items():
            run(UPSERT_SERVICE, (part.trace_id, *build, *times))
        self._bytes += size
        return True

    def _evict(self) -> None:
        """Remove the oldest traces beyond the limit, and count them."""
        if self._bytes <= self._most_bytes:
            return
        run = self._database.execute
        removed = 0
        while self._bytes > self._most_bytes * _KEPT_SHARE:
            trace_id, size = run("SELECT trace_id, bytes FROM traces ORDER BY seq LIMIT 1").fetchone()
            for statement in DELETE_TRACE:
                run(statement, (trace_id,))
            self._bytes -= size
            removed += 1
        run("UPDATE counts SET count = count + ? WHERE name = 'removed'", (removed,))

    def find(self, query: Query) -> Found:
        """Return the traces that a query finds, and how many there are."""
        with self._lock:
            return find_summaries(self._database, query, self.get)

    def search(self, query: Query) -> Sequence[Summary]:
        """Return the traces that a query finds, in its order."""
        return self.find(query).summaries

    def summaries(self, trace_ids: Iterable[str]) -> list[Summary]:
        """Return the summaries of traces that are held and have spans, in any order."""
        with self._lock:
            return summaries_of(self._database, trace_ids)

    def builds(self, service: str = "") -> list[Build]:
        """Return the builds of a service, or of all, the newest first."""
        with self._lock:
            return builds_of(self._database, service)

    def traces_of(self, build: Build) -> list[str]:
        """Return the ids of the newest traces of a build."""
        with self._lock:
            return traces_of_build(self._database, build)

    def get(self, trace_id: str) -> StoredTrace | None:
        """Return a trace, or ``None``."""
        with self._lock:
            chunks = self._database.execute(
                "SELECT kind, data FROM chunks WHERE trace_id = ? ORDER BY id", (trace_id.lower(),)
            ).fetchall()
        return StoredTrace.of_chunks(trace_id.lower(), chunks) if chunks else None

    def ids(self, prefix: str, most: int = 10) -> list[str]:
        """Return the ids of traces that begin with some hex digits, the newest first."""
        with self._lock:
            rows = self._database.execute(
                f"SELECT trace_id FROM traces WHERE {WITH_PREFIX} ORDER BY seq DESC LIMIT ?",  # noqa: S608 - a constant
                (prefix.lower(), prefix.lower(), most),
            ).fetchall()
        return [row[0] for row in rows]

    def services(self) -> list[str]:
        """Return the names of the services."""
        with self._lock:
            rows = self._database.execute(
                "SELECT DISTINCT service FROM services ORDER BY service LIMIT ?", (_MOST_SERVICES,)
            ).fetchall()
        return [row[0] for row in rows]

    def counts(self) -> dict[str, object]:
        """Return how much is held, how many traces were removed for the limit, and what was refused since the start."""
        with self._lock:
            run = self._database.execute
            traces, spans, logs = run(
                "SELECT count(*), coalesce(sum(spans), 0), coalesce(sum(logs), 0) FROM traces"
            ).fetchone()
            removed = run("SELECT count FROM counts WHERE name = 'removed'").fetchone()[0]
            return {
                "traces": traces,
                "spans": spans,
                "logs": logs,
                "bytes": self._bytes,
                "most_bytes": self._most_bytes,
                "removed_traces": removed,
                "refused": dict(self._refused),
            }


def _contains(data: bytes, text: bytes) -> bool:
    """Return True if encoded OTLP contains a lower-case text; protobuf holds texts as they are."""
    return text in data.lower()
