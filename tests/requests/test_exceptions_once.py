"""An exception event is on the innermost span that the exception leaves, and on the server span."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.trace import StatusCode

import eco2_tracing
from eco2_tracing import TracingSettings, configure_tracing, span, traced
from eco2_tracing.testing import CapturedSpans


def make_app() -> FastAPI:
    """An application whose exceptions leave several spans."""
    app = FastAPI()

    @traced("inner")
    def inner() -> None:
        raise LookupError("no such item")

    @app.get("/manual")
    def manual() -> None:
        with span("outer"):
            inner()

    @app.get("/call")
    def call() -> None:
        with span("outer"), span("inner"):
            httpx.get("http://127.0.0.1:1/")

    @app.get("/handled")
    def handled() -> None:
        try:
            inner()
        except LookupError:
            return

    @app.get("/plain")
    def plain() -> None:
        raise LookupError("no such item")

    return app


@pytest.mark.parametrize(
    ("path", "events", "failed"),
    [
        ("/manual", {"inner", "GET /manual"}, {"inner", "outer", "GET /manual"}),
        ("/call", {"GET", "GET /call"}, {"GET", "inner", "outer", "GET /call"}),
        ("/handled", {"inner"}, {"inner"}),
        ("/plain", {"GET /plain"}, {"GET /plain"}),
    ],
)
def test_event_is_on_the_innermost_span_and_the_server_span(path, events, failed):
    """The spans between have the status and `error.type` alone."""
    app, captured = make_app(), CapturedSpans()
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none"), span_processors=[captured])
    eco2_tracing.instrument_app(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.get(path)
    spans = captured.spans
    assert {one.name for one in spans if one.events} == events
    assert {one.name for one in spans if one.status is StatusCode.ERROR} == failed
    assert all(one.attributes["error.type"] for one in spans if one.status is StatusCode.ERROR)
    assert max(len(one.events) for one in spans) == 1
