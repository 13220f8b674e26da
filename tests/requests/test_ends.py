"""Ends of connections: disconnects and shutdowns are no errors, exceptions of the application are."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec

import pytest
from benchmarks._broken import BROKEN, connect, dropped_socket, hang_up, lines, open_socket, read_head, say
from benchmarks.reliability import _routes_broken
from benchmarks.reliability._processes import serving
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import eco2_tracing
from eco2_tracing.testing import CapturedSpans, OtlpReceiver

UVICORN = ("--no-access-log", "--timeout-graceful-shutdown", "1")
SERVERS = {
    "uvicorn, websockets": ("uvicorn", "uvicorn", (*UVICORN, "--ws", "websockets", "--http", "h11")),
    "uvicorn, websockets-sansio": ("websockets", "uvicorn", (*UVICORN, "--ws", "websockets-sansio")),
    "uvicorn, wsproto": ("wsproto", "uvicorn", (*UVICORN, "--ws", "wsproto", "--http", "h11")),
    "gunicorn": ("uvicorn_worker", "gunicorn", ("--graceful-timeout", "1")),
    "hypercorn": ("hypercorn", "hypercorn", ("--graceful-timeout", "1")),
    "granian": ("granian", "granian", ()),
}
# They stop after their clients: hypercorn waits for asyncio's `Server.wait_closed`, which does so since Python 3.12.
WAIT_FOR_CLIENTS = {"granian", "hypercorn"} if sys.version_info >= (3, 12) else {"granian"}
FAILURES = {
    "after the end": dropped_socket(lambda one: hang_up(one, 1000), "/fails-after-the-end"),
    "the end alone": dropped_socket(lambda one: hang_up(one, 1000), "/raises-the-end"),
    "JSON of its own": dropped_socket(lambda one: hang_up(one, 1000), "/decodes-its-own", "hi"),
}


@pytest.fixture(autouse=True)
def _collected():
    """Trigger warnings at garbage collection within the test."""
    yield
    gc.collect()


def b3(number: int, flag: int) -> dict[str, str]:
    """Headers of a caller with a decision and a new trace."""
    return {"x-b3-traceid": f"{number + 1:032x}", "x-b3-spanid": f"{1:016x}", "x-b3-sampled": str(flag)}


def is_server(span) -> bool:
    """Whether a span is a server span."""
    return span.parent_span_id == f"{1:016x}"


def name_of(span) -> str:
    """The scenario of a span's request."""
    number = (int(span.trace_id, 16) - 1) // 2
    return [*BROKEN][number] if number < len(BROKEN) else "open at the end"


def failing_request(port: int, headers, first: str = "GET /disconnected-database") -> None:
    """Request a route that fails without the caller's influence."""
    with connect(port) as connection:
        connection.sendall(lines(f"{first} HTTP/1.1", {"content-length": "0"}, headers))
        read_head(connection)


def failing_request_below_middleware(port: int, headers) -> None:
    """Request a route whose exception middleware handles."""
    failing_request(port, headers, "POST /apologizes/fails")


@pytest.fixture(params=SERVERS)
def server(request):
    """A server's name and options."""
    needs, name, options = SERVERS[request.param]
    if find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    return name, options


def service(receiver, server, **environ):
    """Run the service, whose spans are exported at once."""
    name, options = server
    environ = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_TRACES_SAMPLER": "parentbased_always_on", **environ}
    return serving(
        "ours", receiver.grpc_endpoint, server=name, options=options, routes="_routes_broken", environ=environ
    )


def left_open(port: int, stack: ExitStack, flag: int) -> None:
    """Open a WebSocket and an upload that are open when the server stops."""
    socket = stack.enter_context(open_socket(port, "/echo", b3(1000 + flag, flag)))
    say(socket, "hi")
    socket.recv(100)
    upload = stack.enter_context(connect(port))
    size = {"content-length": "1000"}
    upload.sendall(lines("POST /read HTTP/1.1", size, b3(1002 + flag, flag)) + b"half")


def test_disconnects_and_shutdowns_are_no_failures(server):
    """No sampled span is an error, and no unsampled trace is kept."""
    chosen = {f"{2 * number + 2:032x}" for number in range(len(BROKEN))}
    with OtlpReceiver() as receiver:
        with service(receiver, server) as served, ExitStack() as stack:
            with ThreadPoolExecutor(4) as pool:  # hypercorn leaves open what its clients wait to see closed
                sends = [send for send in BROKEN.values() for _ in range(2)]
                calls = [pool.submit(send, served.port, b3(n, n % 2)) for n, send in enumerate(sends)]
            assert [call.exception() for call in calls] == [None] * len(calls)
            receiver.wait_for(lambda spans: {one.trace_id for one in spans if is_server(one)} >= chosen)
            left_open(served.port, stack, 0)
            left_open(served.port, stack, 1)
            served.get("/health")
            served.process.send_signal(signal.SIGTERM)
            if server[0] in WAIT_FOR_CLIENTS:
                stack.close()
            served.process.wait(60)
        failed = [span for span in receiver.spans if span.is_error or span.events]
        assert [(name_of(span), span.name, span.status_description) for span in failed] == []
        assert {span.trace_id for span in receiver.spans} <= {*chosen, f"{1002:032x}", f"{1004:032x}"}
        assert {span.attributes.get("eco2.sampling.reason") for span in receiver.spans} <= {"head", None}


def test_exceptions_of_the_application_are_failures(server):
    """Also after the peer has disconnected, and for the classes that signal a disconnect."""
    with OtlpReceiver() as receiver:
        with service(receiver, server) as served:
            sends = [failing_request, *FAILURES.values(), failing_request_below_middleware]
            for number, send in enumerate(sends):
                send(served.port, b3(number, 0))
            receiver.wait_for(lambda spans: len({span.trace_id for span in spans}) == len(sends))
        for span in receiver.spans:
            assert span.status is StatusCode.ERROR
            assert span.attributes["eco2.sampling.reason"] == "error"
            raised = [] if span.name == "POST /apologizes/fails" else ["exception"]
            assert [event.name for event in span.events] == raised


def test_contrib_mode_keeps_no_disconnects():
    """Contrib sets ERROR on its own span, but no trace is kept."""
    server = SERVERS["uvicorn, wsproto"][1:]
    with OtlpReceiver() as receiver:
        with service(receiver, server, ECO2_TRACING_INSTRUMENTATION="contrib") as served:
            for number, send in enumerate(BROKEN.values()):
                send(served.port, b3(number, 0))
            failing_request(served.port, b3(999, 0))
            receiver.wait_for(lambda spans: any(span.trace_id == f"{1000:032x}" for span in spans))
        assert {span.trace_id for span in receiver.spans} == {f"{1000:032x}"}


def ended_early(app, path: str, kind: str, *messages: dict) -> None:
    """Serve one connection whose peer disconnects after these messages."""
    arrived = iter(messages)

    async def receive():
        return next(arrived)

    async def send(message):
        if message["type"] == "websocket.send":
            raise ConnectionResetError("nobody listens")

    scope = {"type": kind, "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "path": path}
    scope |= {"method": "POST"} if kind == "http" else {"subprotocols": []}
    scope |= {"query_string": b"", "root_path": "", "headers": [], "client": None, "server": None}
    try:
        asyncio.run(app(scope, receive, send))
    except Exception:
        pass


GONE = {"type": "websocket.disconnect", "code": 1005}
HALF = {"type": "http.request", "body": b"half", "more_body": True}
OPENED = {"type": "websocket.connect"}


# Streams of older versions of Starlette's middleware warn when they are collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("path", "kind", "messages", "status"),
    [
        ("/echo", "websocket", [OPENED, GONE], StatusCode.UNSET),
        ("/echo", "websocket", [OPENED, {"type": "websocket.receive", "text": "hi"}], StatusCode.UNSET),
        ("/echo-in-group", "websocket", [OPENED, GONE], StatusCode.UNSET),
        ("/loads", "websocket", [OPENED, {"type": "websocket.receive", "text": "{"}], StatusCode.UNSET),
        ("/loads", "websocket", [OPENED, {"type": "websocket.receive", "bytes": b"{"}], StatusCode.UNSET),
        (
            "/decodes-its-own",
            "websocket",
            [OPENED, {"type": "websocket.receive", "text": "{}"}],
            StatusCode.ERROR,
        ),
        ("/decodes", "websocket", [OPENED, {"type": "websocket.receive", "text": "{"}], StatusCode.UNSET),
        ("/decodes", "websocket", [OPENED, {"type": "websocket.receive", "text": ""}], StatusCode.UNSET),
        (
            "/decodes-its-own-with-another",
            "websocket",
            [OPENED, {"type": "websocket.receive", "text": "{}"}],
            StatusCode.ERROR,
        ),
        ("/raises-the-end", "websocket", [OPENED], StatusCode.ERROR),
        ("/fails-after-the-end", "websocket", [OPENED, GONE], StatusCode.ERROR),
        ("/read", "http", [HALF, {"type": "http.disconnect"}], StatusCode.UNSET),
        ("/apologizes/read", "http", [HALF, {"type": "http.disconnect"}], StatusCode.UNSET),
        ("/apologizes/fails", "http", [{"type": "http.request", "body": b""}], StatusCode.ERROR),
    ],
)
@pytest.mark.parametrize("provider", ["ours", "theirs"])
def test_disconnects_with_another_provider(provider, path, kind, messages, status):
    """The same ends are no errors on spans of another provider."""
    captured = CapturedSpans()
    exporter = InMemorySpanExporter()
    if provider == "theirs":
        theirs = TracerProvider(shutdown_on_exit=False)
        theirs.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(theirs)
    eco2_tracing.configure_tracing(
        "shop", settings=eco2_tracing.TracingSettings(traces_exporter="none"), span_processors=[captured]
    )
    app = FastAPI()
    _routes_broken.add(app)
    eco2_tracing.instrument_app(app)
    ended_early(app, path, kind, *messages)
    if provider == "theirs":
        (span,) = exporter.get_finished_spans()
        found = span.status.status_code
    else:
        (span,) = captured.spans
        found = span.status
    assert found is status
    if status is StatusCode.UNSET:
        assert not span.events
        assert span.attributes.get("http.response.status_code") != 500
