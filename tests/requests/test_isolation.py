"""A request starts from its own headers, whatever context the server's event loop has left over."""

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

import eco2_tracing
from eco2_tracing import TracingSettings, configure_tracing, instrument_app
from eco2_tracing._instrumentation.common import serving as serving_module
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
    """Let another provider be in charge."""
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
    """Reading is resumed in the context of a request, or after it; later requests have nothing of it."""
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
    """The next request is begun while the last byte of the one before is sent."""
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
def test_what_an_application_leaves_behind(parser, captured_spans, lines):
    """A context that stays attached, bound fields and suppressed instrumentation end with the request."""
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
    """The server's own lines between and after requests have no ids and fields of an earlier one."""
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
    """The server logs the traceback of a later request with the ids of that request."""
    app = make_app(Seen())
    instrument_app(app)
    with serving(app, http=parser) as port, Connection(port) as connection:
        assert connection.ask(post("/bind", headers_of_alice(), b"x"), get("/boom")) == [200, 500]
    (line,) = (line for line in lines if "Exception in ASGI" in line)
    assert not of_alice(line)
    assert '"trace.id"' in line


@pytest.mark.parametrize("parser", PARSERS)
def test_a_websocket_after_requests(parser, captured_spans):
    """An upgraded connection has nothing of the requests before."""
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


def test_behind_contribs_middleware(captured_spans):
    """What contrib's middleware outside leaves over is not taken for what it put there for a request."""
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


def test_what_was_there_when_the_server_started(captured_spans):
    """A server that was started inside of a span, with baggage, serves requests that have neither."""
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
    assert not serving_module.serving


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
    serving_module._watch(types.ModuleType("uvicorn.server"))
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


def test_calls_in_the_process(captured_spans):
    """What code put there for the call counts: baggage, and instrumentation that it switched off."""
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


def test_a_test_client_inside_of_a_span(captured_spans):
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
    """Something that a request has in a context variable."""


@pytest.mark.parametrize("mode", MODES)
def test_nothing_piles_up_on_a_connection(mode):
    """What a request leaves over is gone with the next one, however long the connection lives."""
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
