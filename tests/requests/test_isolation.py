"""A request starts from its own headers, whatever context the server's event loop has."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from importlib import import_module
from weakref import WeakSet

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import eco2_tracing
from eco2_tracing import TracingSettings, configure_tracing, instrument_app
from eco2_tracing._instrumentation.common import isolation as serving_module
from eco2_tracing._instrumentation.common.isolation import run_in
from eco2_tracing.logs import EcsFormatter
from tests.requests.connections import (
    LIMIT_S,
    PARSERS,
    Connection,
    Seen,
    get,
    headers_of_alice,
    make_app,
    of_alice,
    post,
    serving,
)

READ, REFUSE, HEALTH = post("/read"), post("/refuse"), post("/health/read")


class Lines(logging.Handler):
    """Each line as JSON, formatted at once."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(EcsFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines():
    """The lines of all loggers."""
    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


def external(**settings: str) -> None:
    """Install another provider."""
    trace.set_tracer_provider(TracerProvider())
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none"))


def ours(**settings: object) -> None:
    """Configure this library."""
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none", **settings))


MODES = {
    "recorded": (ours, {}, "1"),
    "unsampled": (ours, {}, "0"),
    "unsampled, errors not kept": (ours, {"error_sampling_rate": 0.0}, "0"),
    "disabled": (ours, {"sdk_disabled": True}, "1"),
    "contrib": (ours, {"instrumentation": "contrib"}, "1"),
    "external provider": (external, {}, "1"),
}


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", ["/read", "/refuse", "/health/read"])
def test_large_bodies(path, mode, parser, lines):
    """Reading is resumed in the context of an earlier request; later requests inherit nothing."""
    configure, settings, sampled = MODES[mode]
    configure(**settings)
    seen = Seen()
    app = make_app(seen)
    instrument_app(app)
    with serving(app, http=parser) as port, Connection(port) as connection:
        connection.ask(post(path, headers_of_alice(sampled)))
        assert of_alice(*seen.calls)
        del seen.calls[:], seen.requests[:], lines[:]
        for _ in range(2):
            assert connection.ask(post(path)) == [200]
    assert len(seen.calls) == len(seen.requests) == 2
    assert not of_alice(*seen.calls, *seen.requests, *lines)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", ["/read", "/health/read"])
def test_pipelined(path, mode, parser, lines):
    """The next request begins while the last byte of the previous response is sent."""
    configure, settings, sampled = MODES[mode]
    configure(**settings)
    seen = Seen()
    app = make_app(seen)
    instrument_app(app)
    with serving(app, http=parser) as port, Connection(port) as connection:
        small = post(path, headers_of_alice(sampled), b"x"), post(path, {}, b"x"), post(path, {}, b"x")
        assert connection.ask(*small) == [200] * 3
    assert len(seen.calls) == 3
    assert of_alice(seen.calls[0])
    assert not of_alice(
        *seen.calls[1:], *seen.requests[1:], *[line for line in lines if "served" in line][1:]
    )


@pytest.mark.parametrize("parser", PARSERS)
def test_context_left_by_an_application(parser, captured_spans, lines):
    """An attached context, bound fields and suppression end with the request."""
    seen = Seen()
    app = make_app(seen)
    instrument_app(app)
    with serving(app, http=parser) as port, Connection(port) as connection:
        connection.ask(post("/careless"))
        connection.ask(READ)
        connection.ask(post("/careless", {}, b"x"), post("/read", {}, b"x"))
    assert len(seen.requests) == 2
    assert not of_alice(*seen.requests, *seen.calls, *(line for line in lines if "careless" not in line))
    names = [span.name for span in captured_spans.spans if span.kind is SpanKind.SERVER]
    assert names == ["POST /careless", "POST /read"] * 2


@pytest.mark.parametrize("parser", PARSERS)
def test_lines_of_the_server(parser, captured_spans, lines):
    """The server's lines between and after requests have no ids and fields of an earlier request."""
    app = make_app(Seen())
    instrument_app(app)
    with serving(app, http=parser) as port:
        for first in (post("/bind", headers_of_alice()), post("/refuse", headers_of_alice())):
            with Connection(port) as connection:
                connection.ask(first)
                del lines[:]
                assert connection.ask(b"nonsense\r\n\r\n") == [400]
                (line,) = (line for line in lines if "Invalid HTTP request" in line)
                assert not of_alice(line)
                assert "trace.id" not in line


@pytest.mark.parametrize("parser", PARSERS)
def test_lines_of_a_failure(parser, captured_spans, lines):
    """The server logs the traceback of a later request with that request's ids."""
    app = make_app(Seen())
    instrument_app(app)
    with serving(app, http=parser) as port, Connection(port) as connection:
        assert connection.ask(post("/bind", headers_of_alice(), b"x"), get("/boom")) == [200, 500]
    (line,) = (line for line in lines if "Exception in ASGI" in line)
    assert not of_alice(line)
    assert '"trace.id"' in line


@pytest.mark.parametrize("parser", PARSERS)
def test_websocket_after_requests(parser, captured_spans):
    """An upgraded connection inherits nothing of earlier requests."""
    pytest.importorskip("websockets", reason="uvicorn needs websockets for this")
    seen = Seen()
    app = make_app(seen)
    instrument_app(app)
    upgrade = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    }
    with serving(app, http=parser) as port, Connection(port) as connection:
        connection.ask(post("/refuse", headers_of_alice()))
        assert connection.ask(get("/socket", upgrade)) == [101]
        connection.socket.recv(1)  # the first byte of the message, after the call
    assert len(seen.calls) == 2
    assert not of_alice(seen.calls[1], seen.requests[1])


def test_inside_contribs_middleware(captured_spans):
    """Context left by contrib's outer middleware is not taken for that of the current request."""
    asgi = pytest.importorskip("opentelemetry.instrumentation.asgi", reason="contrib is not installed")
    seen = Seen()
    app = make_app(seen)
    instrument_app(app)
    with serving(asgi.OpenTelemetryMiddleware(app)) as port, Connection(port) as connection:
        connection.ask(post("/read", headers_of_alice()))
        connection.ask(READ)
        connection.ask(REFUSE)
        connection.ask(READ)
    assert of_alice(seen.calls[0])
    assert not of_alice(*seen.calls[1:], *seen.requests[1:])


def test_context_of_the_server_start(captured_spans):
    """A server that was started within a span with baggage serves requests without them."""
    seen = Seen()
    app = make_app(seen)
    instrument_app(app)

    token = context.attach(baggage.set_baggage("tenant", "alice"))
    started = context.get_current()
    context.detach(token)

    async def as_started(scope, receive, send):
        token = context.attach(started)
        try:
            await app(scope, receive, send)
        finally:
            context.detach(token)

    with serving(as_started) as port, Connection(port) as connection:
        connection.ask(READ)
    assert not of_alice(*seen.calls, *seen.requests)


@contextmanager
def started_here(app, lifespan: str) -> Iterator[int]:
    """Run uvicorn in a thread that has the context of its start."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, lifespan=lifespan, loop="asyncio", log_config=None, proxy_headers=False)
    )
    here = copy_context()
    thread = threading.Thread(target=here.run, args=(server.run, [listener]), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(LIMIT_S)
        listener.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lifespan", ["on", "off"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_server_started_inside_a_span(mode, lifespan, wrapped, lines):
    """Its requests have neither the span nor baggage, suppression or log fields of its start."""
    asgi = pytest.importorskip("opentelemetry.instrumentation.asgi", reason="contrib is not installed")
    configure, settings, _ = MODES[mode]
    configure(**settings)
    seen = Seen()
    app = make_app(seen)
    instrument_app(app)
    served = asgi.OpenTelemetryMiddleware(app) if wrapped else app

    def start() -> str | None:
        context.attach(baggage.set_baggage("tenant", "alice"))
        eco2_tracing.bind_log_fields(user_id="alice")
        with (
            eco2_tracing.span("start"),
            suppress_instrumentation(),
            started_here(served, lifespan) as port,
            Connection(port) as connection,
        ):
            connection.ask(READ)
            connection.ask(post("/health/read"))
            return eco2_tracing.current_trace_id()

    started = copy_context().run(start)
    assert len(seen.calls) == len(seen.requests) == 2
    assert not of_alice(*seen.calls, *seen.requests, *(line for line in lines if "served" in line))
    if started is not None:
        assert not any(started in repr(each) for each in (*seen.calls, *seen.requests))
    assert not serving_module.server_contexts


def test_calls_in_the_process_of_a_server(captured_spans):
    """What surrounds the start of a server counts for a call in the process that is made beside it."""
    seen: list[object] = []
    app = inner_app(seen)
    token = context.attach(baggage.set_baggage("tenant", "alice"))
    try:
        with started_here(app, "off") as port, Connection(port) as connection:
            connection.ask(get("/inner"))
            TestClient(app).get("/inner")
    finally:
        context.detach(token)
    assert seen == [{}, {"tenant": "alice"}]


def test_another_uvicorn(caplog):
    """A version without the method is reported once, and served as before."""
    serving_module._patch(types.ModuleType("uvicorn.server"))
    assert "watching uvicorn" in caplog.text


def inner_app(seen: list[object]) -> FastAPI:
    """An application that reports its baggage."""
    app = FastAPI()

    @app.get("/inner")
    async def inner() -> str | None:
        seen.append(dict(baggage.get_all()))
        return eco2_tracing.current_trace_id()

    instrument_app(app)
    return app


def test_in_process_calls(captured_spans):
    """Context attached for the call is used: baggage, and suppressed instrumentation."""
    seen: list[object] = []
    app = inner_app(seen)

    async def call() -> str:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://inner") as client:
            return (await client.get("/inner")).json()

    outer = FastAPI()

    @outer.get("/outer")
    async def begin() -> list[str]:
        token = context.attach(baggage.set_baggage("tenant", "alice"))
        try:
            with suppress_instrumentation():
                await call()
            return [await call(), *await asyncio.gather(call(), call())]
        finally:
            context.detach(token)

    instrument_app(outer)
    with TestClient(outer) as client:
        ids = client.get("/outer").json()
    assert seen == [{"tenant": "alice"}] * 4
    assert len(set(ids)) == 1
    servers = [span for span in captured_spans.spans if span.kind is SpanKind.SERVER]
    assert [span.name for span in servers] == ["GET /inner"] * 3 + ["GET /outer"]


def test_test_client_within_a_span(captured_spans):
    """With and without a lifespan."""
    seen: list[object] = []
    app = inner_app(seen)
    token = context.attach(baggage.set_baggage("tenant", "alice"))
    try:
        TestClient(app).get("/inner")
        with TestClient(app) as client:
            client.get("/inner")
    finally:
        context.detach(token)
    assert seen == [{"tenant": "alice"}] * 2


class Held:
    """A value of a request's context variable."""


@pytest.mark.parametrize("mode", MODES)
def test_connection_accumulates_nothing(mode):
    """Context of a request is released with the next one, however long the connection lives."""
    configure, settings, _ = MODES[mode]
    configure(**settings)
    held: ContextVar[Held] = ContextVar("held")
    alive: WeakSet[Held] = WeakSet()
    app = FastAPI()

    @app.post("/hold")
    async def hold() -> None:
        thing = Held()
        held.set(thing)
        alive.add(thing)

    instrument_app(app)
    with serving(app) as port, Connection(port) as connection:
        for _ in range(5):
            connection.ask(post("/hold"))
            connection.ask(*[post("/hold", headers_of_alice(), b"x")] * 5)
        gc.collect()
        assert len(alive) <= 3


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("sampled", ["0", "1"])
def test_ended_requests_are_freed(parser: str, sampled: str) -> None:
    """Uvicorn's keep-alive timers hold no ended request: they would make the garbage collector run often."""
    ours()
    # FastAPI's own telemetry sets a context around the request once a test has set a global meter provider.
    app = Starlette(routes=[Route("/item", lambda _request: PlainTextResponse("ok"))])
    instrument_app(app)
    # pytest's handler would keep the access lines, with their requests, where a test has set the level of the logger.
    request = b"GET /item HTTP/1.1\r\nhost: x\r\nx-b3-sampled: " + sampled.encode() + b"\r\n\r\n"
    with (
        serving(app, http=parser, access_log=False) as port,
        Connection(port) as idle,
        Connection(port) as connection,
    ):
        idle.ask(request)  # asyncio removes no cancelled timer while an earlier one is active
        for _ in range(20):
            connection.ask(request)
        gc.collect()
        cycle = import_module(f"uvicorn.protocols.http.{parser}_impl").RequestResponseCycle
        alive = [one for one in gc.get_objects() if type(one) is cycle]
        assert len(alive) <= 3


def test_a_server_waits_in_its_own_context() -> None:
    """`run_in` keeps the context while the server waits, and passes a cancellation on to it."""
    variable: ContextVar[str] = ContextVar("variable", default="server")
    seen: list[str] = []

    async def send(waiting: asyncio.Event) -> None:
        await asyncio.sleep(0)
        seen.append(variable.get())
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(f"{variable.get()} cancelled")
            raise

    async def request(waiting: asyncio.Event) -> None:
        server = copy_context()
        variable.set("request")
        await run_in(server, send(waiting))

    async def main() -> None:
        waiting = asyncio.Event()
        task = asyncio.create_task(request(waiting))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["server", "server cancelled"]
