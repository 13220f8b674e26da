"""Flush, shutdown and exit respect their limits in every state of the collector."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.export.receivers import BlackHole, Scripted, unreachable
from tests.lifecycle.servers import LIMIT_S, environment
from tests.support import programs
from tests.support.servers import free_port

BOUND_S = 5.0


@contextmanager
def refused() -> Iterator[int]:
    """A closed port."""
    yield free_port()


@contextmanager
def silent() -> Iterator[int]:
    """A server that accepts connections and never answers."""
    with BlackHole() as hole:
        yield hole.port


@contextmanager
def resetting() -> Iterator[int]:
    """A server that resets every connection."""

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with Scripted(script) as peer:
        yield peer.port


@contextmanager
def mumbling() -> Iterator[int]:
    """A server that answers with invalid data."""

    def script(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(b"HTTP/1.1 503 \r\n")

    with Scripted(script) as peer:
        yield peer.port


@contextmanager
def nameless() -> Iterator[int]:
    """A name whose resolution never ends."""
    yield 4317


SCRIPT = """
import signal, socket, sys, threading, time
from eco2_tracing import configure_tracing, flush_tracing, shutdown_tracing, span, tracing_status

if sys.argv[1] == "nameless":
    socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
configure_tracing(service_name="bounded")
for _ in range(3000):
    with span("queued", attributes={"text": "x" * 1000}):
        pass
begun = time.monotonic()
flushed = flush_tracing(1.0)
print(flushed, time.monotonic() - begun)
begun = time.monotonic()
if sys.argv[2] == "shutdown":
    print(shutdown_tracing(1.0), sum(tracing_status().spans_dropped.values()), flush=True)
print(begun, flush=True)
if sys.argv[2] == "signal":
    signal.raise_signal(signal.SIGTERM)
"""
GRPC, HTTP = "grpc", "http/protobuf"


CASES = [
    (refused, GRPC, "exit"),
    (silent, HTTP, "exit"),
    (unreachable, GRPC, "exit"),
    (resetting, HTTP, "exit"),
    (mumbling, GRPC, "exit"),
    (nameless, GRPC, "exit"),
    (nameless, HTTP, "signal"),
    (silent, GRPC, "shutdown"),
]


def run(state, protocol: str, end: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run the script; return what became of it, and when it had ended."""
    with state() as port:
        host = "collector.example" if state is nameless else "127.0.0.1"
        done = programs.run(
            [sys.executable, "-c", SCRIPT, state.__name__, end],
            env=environment(f"http://{host}:{port}", OTEL_EXPORTER_OTLP_PROTOCOL=protocol),
            timeout=LIMIT_S,
        )
        return done, time.monotonic()


@pytest.fixture(scope="module")
def ends():
    """The results of all cases, which run at the same time because they wait."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        return dict(zip(CASES, pool.map(lambda case: run(*case), CASES), strict=True))


@pytest.mark.quiet
@pytest.mark.parametrize(("state", "protocol", "end"), CASES)
def test_limits_are_kept(state, protocol, end, ends):
    """A flush that cannot succeed returns False at its limit, and the process exits soon with its own status."""
    done, ended = ends[state, protocol, end]
    assert done.returncode == (-15 if end == "signal" else 0), done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    flushed, seconds = lines[0].split()
    assert flushed == "False"
    # Within a tenth on a machine of its own; here others may be at work.
    assert 1.0 <= float(seconds) <= 2.0
    assert ended - float(lines[-1]) <= BOUND_S
    if end == "shutdown":
        assert lines[1] == "False 0"  # the configuration is gone, and its figures with it


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_odd_limits(timeout_s, monkeypatch, otlp_receiver):
    """Every number is accepted as a time limit."""
    from eco2_tracing import configure_tracing, flush_tracing, shutdown_tracing, span

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp_receiver.grpc_endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    configure_tracing("x")
    with span("one"):
        pass
    assert flush_tracing(timeout_s) is (timeout_s > 1)
    assert flush_tracing(LIMIT_S) is True
    with span("two"):
        pass
    assert shutdown_tracing(timeout_s) is (timeout_s > 1)
