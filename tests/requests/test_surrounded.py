"""Context that an outer ASGI application attaches for a request is used, on shared connections too."""

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
    """Suppress instrumentation for one path."""

    async def surround(scope, receive, send):
        if scope.get("path") != "/careless":
            return await app(scope, receive, send)
        with suppress_instrumentation():
            return await app(scope, receive, send)

    return surround


def shared(app):
    """Attach the same object for each request and for the lifespan."""

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
def test_suppression_of_one_path(parser, captured_spans):
    """Each request of that path is suppressed, and no other."""
    app = make_app(Seen())
    instrument_app(app)
    with serving(quiet(app), http=parser) as port, Connection(port) as connection:
        for path in ("/careless", "/read", "/careless", "/careless", "/refuse"):
            connection.ask(post(path))
        paths = ("/careless", "/careless", "/read", "/careless")
        connection.ask(*[post(path, {}, SMALL) for path in paths])
    assert servers(captured_spans) == ["POST /read", "POST /refuse", "POST /read"]


def make_reader(found: list[object]) -> FastAPI:
    """An application that reads a context value before and after the body."""
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
    """Install another provider."""
    trace.set_tracer_provider(TracerProvider())
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none"))


@pytest.mark.parametrize("configure", [lambda: configure_tracing("shop"), external], ids=["ours", "external"])
@pytest.mark.parametrize("parser", PARSERS)
def test_object_shared_by_all_requests(parser, configure):
    """It is not taken for context of an earlier request or of the server's start."""
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
def test_requests_of_one_trace_inside_another_instrumentation(outer, parser, captured_spans):
    """The outer span belongs to the request, also if the previous request had the same caller."""
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
def test_bound_fields_without_tracing(parser):
    """They end with the request if only logging is configured."""
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
