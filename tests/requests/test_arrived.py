"""Attributes are those that the request arrived with, whatever the application does to the scope."""

from __future__ import annotations

import pytest
from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.datastructures import MutableHeaders
from starlette.websockets import WebSocketDisconnect

import eco2_tracing
from eco2_tracing import TracingSettings, configure_tracing
from eco2_tracing.testing import CapturedSpans
from tests.requests.test_odd_requests import serve

CAPTURE = {
    "http_capture_headers_server_request": "x-.*,cf-ray,user-agent",
    "http_capture_headers_server_response": "cf-.*",
}
HEADERS = [(b"host", b"shop.example"), (b"user-agent", b"curl/8"), (b"x-one", b"1"), (b"Cf-Ray", b"7d")]


def change(scope) -> None:
    """Change in place everything that attributes are made of."""
    scope["headers"].append((b"x-added", b"2"))
    scope["headers"][:] = [pair for pair in scope["headers"] if pair[0] != b"user-agent"]
    scope.update(
        path="/items/1", raw_path=b"/items/1", query_string=b"changed=1", scheme="https", http_version="3",
        client=("203.0.113.9", 1), server=("other.example", 443), root_path="",
    )  # fmt: skip
    if scope["type"] == "http":
        scope["method"] = "PUT"
    MutableHeaders(scope=scope)["x-later"] = "3"


class Changing:
    """Middleware that changes the scope."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            change(scope)
        await self.app(scope, receive, send)


def changed_by_middleware() -> FastAPI:
    """An application whose middleware changes the scope before routing."""
    app = FastAPI()
    app.put("/items/{n}")(lambda n: n)
    app.add_middleware(Changing)
    return app


def changed_by_a_dependency() -> FastAPI:
    """An application whose dependency changes the scope after routing."""

    def dependency(request: Request) -> None:
        change(request.scope)

    app = FastAPI()
    app.post("/asked/{n}", dependencies=[Depends(dependency)])(lambda n: n)
    return app


WANTED = {
    "http.request.method": "POST",
    "url.path": "/asked/1",
    "url.query": "drop=1",
    "url.scheme": "http",
    "network.protocol.version": "1.1",
    "client.address": "10.1.2.3",
    "client.port": 50123,
    "server.address": "10.9.8.7",
    "server.port": 8080,
    "user_agent.original": "curl/8",
    "http.request.header.user-agent": ("curl/8",),
    "http.request.header.x-one": ("1",),
    "http.request.header.cf-ray": ("7d",),
    "http.response.status_code": 200,
}


def attributes_of(span) -> dict:
    """The attributes of a span without those of sampling."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in span.attributes.items()
        if not name.startswith(("sampler.", "eco2."))
    }


def ask(app) -> None:
    """Send the request."""
    serve(
        app,
        method="POST",
        path="/asked/1",
        raw_path=b"/asked/1",
        query_string=b"drop=1",
        headers=list(HEADERS),
        client=("10.1.2.3", 50123),
        server=("10.9.8.7", 8080),
    )


@pytest.mark.parametrize(
    ("make", "route"), [(changed_by_middleware, "/items/{n}"), (changed_by_a_dependency, "/asked/{n}")]
)
@pytest.mark.parametrize("chosen", [True, False])
def test_changes_of_the_scope_are_not_on_the_span(make, route, chosen):
    """Also for a request that the head sampler did not sample."""
    app, captured = make(), CapturedSpans()
    settings = TracingSettings(
        traces_exporter="none",
        traces_sampler="traceidratio",
        traces_sampler_arg="1" if chosen else "0",
        slow_threshold_ms=0.000001,
        **CAPTURE,
    )
    configure_tracing("shop", settings=settings, span_processors=[captured])
    eco2_tracing.instrument_app(app)
    ask(app)
    (span,) = captured.spans
    assert span.name == f"POST {route}"
    assert attributes_of(span) == {**WANTED, "http.route": route}


@pytest.mark.parametrize(
    ("make", "route"), [(changed_by_middleware, "/items/{n}"), (changed_by_a_dependency, "/asked/{n}")]
)
def test_with_another_tracer_provider(make, route):
    """The same holds for spans of that provider."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    app = make()
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none", **CAPTURE))
    eco2_tracing.instrument_app(app)
    ask(app)
    (span,) = exporter.get_finished_spans()
    assert span.name == f"POST {route}"
    assert attributes_of(span) == {**WANTED, "http.route": route}


def test_attributes_of_a_websocket():
    """They are those of the handshake."""
    app, captured = FastAPI(), CapturedSpans()

    @app.websocket("/items/{n}")
    async def socket(websocket: WebSocket, n: str) -> None:
        await websocket.close()

    app.add_middleware(Changing)
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none"), span_processors=[captured])
    eco2_tracing.instrument_app(app)
    with (
        TestClient(app, headers={"user-agent": "curl/8"}) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/asked/1?drop=1"),
    ):
        pass
    (span,) = captured.spans
    assert span.attributes["url.path"] == "/asked/1"
    assert span.attributes["url.query"] == "drop=1"
    assert span.attributes["user_agent.original"] == "curl/8"
    assert span.attributes["url.scheme"] == "ws"


def test_captured_response_headers_have_the_conventions_names():
    """In lower case, with hyphens."""
    app, captured = FastAPI(), CapturedSpans()

    @app.get("/")
    def answer(response: Response) -> None:
        response.headers["CF-Cache-Status"] = "HIT"

    configure_tracing(
        "shop", settings=TracingSettings(traces_exporter="none", **CAPTURE), span_processors=[captured]
    )
    eco2_tracing.instrument_app(app)
    with TestClient(app) as client:
        client.get("/")
    assert captured.spans[0].attributes["http.response.header.cf-cache-status"] == ("HIT",)
