"""What an ASGI application around ours puts there for a request counts, on connections of many requests too."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request
from opentelemetry import context, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

import eco2_tracing
from eco2_tracing import TracingSettings, configure_tracing, instrument_app
from tests.requests.connections import PARSERS, Connection, Seen, headers_of_alice, make_app, post, serving

SHARED = object()
SMALL = b"x"


def servers(captured) -> list[str]:
    """The names of the server spans."""
    return [span.name for span in captured.spans if span.kind is SpanKind.SERVER]


def quiet(app):
    """Switch instrumentation off for one path."""

    async def surround(scope, receive, send):
        if scope.get("path") != "/careless":
            return await app(scope, receive, send)
        with suppress_instrumentation():
            return await app(scope, receive, send)

    return surround


def shared(app):
    """Put the same object into the context of each request, and of the lifespan."""

    async def surround(scope, receive, send):
        token = context.attach(context.set_value("shared", SHARED))
        try:
            await app(scope, receive, send)
        finally:
            context.detach(token)

    return surround


def in_a_span(app):
    """Run each request within a span."""

    async def surround(scope, receive, send):
        with eco2_tracing.span("checked"):
            await app(scope, receive, send)

    return surround


@pytest.mark.parametrize("parser", PARSERS)
def test_suppressed_around_one_path(parser, captured_spans):
    """Each request for it, and no other."""
    app = make_app(Seen())
    instrument_app(app)
    with serving(quiet(app), http=parser) as port, Connection(port) as connection:
        for path in ("/careless", "/read", "/careless", "/careless", "/refuse"):
            connection.ask(post(path))
        paths = ("/careless", "/careless", "/read", "/careless")
        connection.ask(*[post(path, {}, SMALL) for path in paths])
    assert servers(captured_spans) == ["POST /read", "POST /refuse", "POST /read"]


def make_reader(found: list[object]) -> FastAPI:
    """An application that looks for a value before and after it reads the body."""
    app = FastAPI()

    @app.post("/look")
    async def look(request: Request) -> None:
        found.append(context.get_value("shared"))
        await request.body()
        found.append(context.get_value("shared"))

    @app.post("/glance")
    async def glance() -> None:
        found.append(context.get_value("shared"))

    instrument_app(app)
    return app


def external() -> None:
    """Let another provider be in charge."""
    trace.set_tracer_provider(TracerProvider())
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none"))


@pytest.mark.parametrize("configure", [lambda: configure_tracing("shop"), external], ids=["ours", "external"])
@pytest.mark.parametrize("parser", PARSERS)
def test_an_object_that_all_requests_share(parser, configure):
    """It is not taken for what an earlier request, or the start of the server, has left over."""
    configure()
    found: list[object] = []
    with serving(shared(make_reader(found)), http=parser) as port, Connection(port) as connection:
        for path in ("/look", "/look", "/glance", "/look"):
            connection.ask(post(path))
        connection.ask(*[post("/look", {}, SMALL)] * 3)
    assert found == [SHARED] * 13


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "outer", ["starlette.middleware.opentelemetry", "opentelemetry.instrumentation.asgi"]
)
def test_requests_of_one_trace_below_another_instrumentation(outer, parser, captured_spans):
    """A span around the application is that of the request, also where the request before had the same caller."""
    module = pytest.importorskip(outer, reason="this instrumentation is not installed")
    app = make_app(Seen())
    instrument_app(app)
    surrounded = module.OpenTelemetryMiddleware(in_a_span(app))
    with serving(surrounded, http=parser) as port, Connection(port) as connection:
        for path in ("/read", "/read", "/refuse", "/refuse"):
            connection.ask(post(path, headers_of_alice()))
        connection.ask(*[post("/read", headers_of_alice(), SMALL)] * 3)
    assert len(servers(captured_spans)) == 7


@pytest.mark.parametrize("parser", PARSERS)
def test_fields_without_a_configuration(parser):
    """Bound fields end with the request where nothing but logging is configured."""
    found: list[object] = []
    app = FastAPI()

    @app.post("/bind")
    async def bind(request: Request, user: str | None = None) -> None:
        if user is not None:
            eco2_tracing.bind_log_fields(user_id=user)
        await request.body()
        current = eco2_tracing.logs._request.active_request()
        found.append(current and current.fields)

    instrument_app(app)
    with serving(app, http=parser) as port, Connection(port) as connection:
        for path in ("/bind?user=alice", "/bind", "/bind?user=bob"):
            connection.ask(post(path))
        connection.ask(post("/bind?user=alice", {}, SMALL), post("/bind", {}, SMALL))
    assert found == [{"user_id": "alice"}, None, {"user_id": "bob"}, {"user_id": "alice"}, None]
