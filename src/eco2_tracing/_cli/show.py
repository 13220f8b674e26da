"""The commands `eco2-tracing show` and `eco2-tracing export`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from eco2_tracing._console.terminal import screen_of
from eco2_tracing._view.draw import text_of_trace
from eco2_tracing._view.files import exported, traces_of
from eco2_tracing._view.store import Store, StoreError
from eco2_tracing._view.trace import StoredTrace

_ID = re.compile(r"[0-9a-fA-F]{4,32}")
_TIMEOUT_S = 10


class _NotFoundError(Exception):
    """The trace was not found; the message says where it was looked for."""


def run_show(arguments: argparse.Namespace) -> int:
    """Print a trace, or each trace of a file.

    Returns:
        0, or 2 if there is none.
    """
    try:
        traces = _load(arguments)
    except (_NotFoundError, StoreError, OSError, ValueError) as error:
        return _fail("show", error)
    for trace in traces:
        _write(text_of_trace(trace, screen_of(sys.stdout)).encode("utf-8", "replace"))
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """Write a trace to standard output.

    Returns:
        0, or 2 if there is none.
    """
    try:
        traces = _load(arguments)
    except (_NotFoundError, StoreError, OSError, ValueError) as error:
        return _fail("export", error)
    if len(traces) > 1:
        listed = ", ".join(trace.trace_id for trace in traces[:5])
        return _fail("export", ValueError(f"{arguments.trace} has {len(traces)} traces: {listed}"))
    _write(exported(traces[0], arguments.format))
    return 0


def _write(text: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _fail(command: str, error: Exception) -> int:
    print(f"eco2-tracing {command}: {error}", file=sys.stderr)
    return 2


def _load(arguments: argparse.Namespace) -> list[StoredTrace]:
    """Return the traces that the arguments name, at least one."""
    path = Path(arguments.trace)
    if path.is_file():
        found = traces_of(path.read_bytes())
        if not found:
            raise _NotFoundError(f"{path} has no trace")
        return found
    if not _ID.fullmatch(arguments.trace):
        raise _NotFoundError(f"{arguments.trace} is neither a file nor a trace id")
    if arguments.store is not None:
        return [_of_store(arguments.store, arguments.trace)]
    return _of_viewer(arguments.port, arguments.trace)


def _of_store(path: str, prefix: str) -> StoredTrace:
    if not Path(path).is_file():
        raise _NotFoundError(f"file not found: {path}")
    store = Store(path)
    try:
        ids = store.ids(prefix, 6)
        if len(ids) != 1:
            listed = f": {', '.join(ids)}" if ids else ""
            raise _NotFoundError(f"{len(ids) or 'no'} traces in {path} begin with {prefix}{listed}")
        # A viewer may have removed it meanwhile.
        return store.get(ids[0]) or StoredTrace.of_chunks(ids[0], ())
    finally:
        store.close()


def _of_viewer(port: int, prefix: str) -> list[StoredTrace]:
    base = f"http://127.0.0.1:{port}"
    opener = build_opener(ProxyHandler({}))  # loopback needs no proxy of the environment
    try:
        with opener.open(f"{base}/api/traces/{prefix}/export?format=otlp", timeout=_TIMEOUT_S) as response:
            return traces_of(response.read())
    except HTTPError as error:
        with error:
            raise _NotFoundError(
                f"the viewer at {base} has no trace, or several, that begin with {prefix}"
            ) from None
    except (URLError, TimeoutError):
        raise _NotFoundError(
            f"no viewer answers at {base}: start `eco2-tracing view`, or name its file with --store FILE"
        ) from None
