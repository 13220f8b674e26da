"""An instrumentation outside the instrumented application: one server span, and one log line."""

from __future__ import annotations

import logging
from importlib.util import find_spec

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from eco2_tracing import current_trace_id, instrument_app, span
from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers


def inner_app() -> FastAPI:
    """The instrumented application, which returns its trace id."""
    app = FastAPI()

    @app.get("/items/{item}")
    async def read(item: int) -> str | None:
        with span("inner"):
            return current_trace_id()

    @app.get("/health")
    async def health() -> None: ...

    instrument_app(app)
    return app


def natively_traced():
    """A FastAPI that traces itself, for there is a provider."""
    outer = FastAPI(telemetry={"operation_spans": False})
    outer.mount("/sub", inner_app())
    return outer


def traced_by_contrib():
    """An application that contrib's ASGI middleware stands outside of."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(not_traced(), exclude_spans=["send", "receive"])


def not_traced():
    """Starlette has no telemetry of its own."""
    return Starlette(routes=[Mount("/sub", inner_app())])


def lines(caplog) -> list[str]:
    """The log lines about external instrumentation."""
    return [record.getMessage() for record in caplog.records if "in charge" in record.getMessage()]


@pytest.mark.parametrize(
    ("make", "scope", "told"),
    [
        pytest.param(
            natively_traced,
            "fastapi",
            1,
            marks=pytest.mark.skipif(
                find_spec("fastapi.telemetry") is None, reason="no telemetry of its own"
            ),
        ),
        (traced_by_contrib, "opentelemetry.instrumentation.asgi", 1),
        (not_traced, "eco2_tracing.fastapi", 0),
    ],
)
def test_one_server_span(make, scope, told, captured_spans, caplog):
    """The outer instrumentation makes the server span, in the mesh's trace, and one line names it."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    with TestClient(make()) as client:
        for _ in range(2):
            captured_spans.clear()
            assert client.get("/sub/items/1", headers=b3_headers()).json() == TRACE_ID
            (server,) = captured_spans.find(kind=SpanKind.SERVER)
            assert (server.scope, server.trace_id, server.parent_span_id) == (scope, TRACE_ID, SPAN_ID)
            assert captured_spans.one("inner").parent_span_id == server.span_id
        assert client.get("/sub/health", headers=b3_headers()).status_code == 200
    assert len(lines(caplog)) == told


def test_a_service_that_calls_itself(captured_spans):
    """A call within the process is a request with its own server span."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    inner = inner_app()
    outer = FastAPI(telemetry={"tracing": False}) if find_spec("fastapi.telemetry") else FastAPI()

    @outer.get("/call")
    async def call() -> object:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(inner), base_url="http://orders"
        ) as client:
            return (await client.get("/items/1")).json()

    with TestClient(OpenTelemetryMiddleware(outer, exclude_spans=["send", "receive"])) as client:
        assert client.get("/call", headers=b3_headers()).json() == TRACE_ID
    assert len(captured_spans.find(kind=SpanKind.SERVER)) == 2
    (made,) = captured_spans.find(kind=SpanKind.CLIENT)
    assert captured_spans.one("GET /items/{item}").parent_span_id == made.span_id
