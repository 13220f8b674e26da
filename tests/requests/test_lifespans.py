"""The end of a lifespan exports queued spans, wherever tracing was configured."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from eco2_tracing import (
    TracingSettings,
    configure_tracing,
    instrument_app,
    shutdown_tracing,
    span,
    tracing_status,
)


@pytest.mark.parametrize("early", [True, False], ids=["before", "in its start-up"])
def test_end_of_a_lifespan_flushes(clean_tracing, early):
    """Spans of the application's shutdown are exported too, and tracing continues afterwards."""
    exporter = InMemorySpanExporter()
    settings = TracingSettings(traces_exporter=("none",))

    def configure():
        configure_tracing(settings=settings, span_processors=(BatchSpanProcessor(exporter),))

    @asynccontextmanager
    async def lifespan(_app):
        if not early:
            configure()
        yield
        with span("closing"):
            pass

    if early:
        configure()
    app = FastAPI(lifespan=lifespan)
    instrument_app(app)
    with TestClient(app) as client:
        client.get("/nothing")
    names = [ended.name for ended in exporter.get_finished_spans()]
    assert "GET" in names
    assert names[-1] == "closing"
    assert tracing_status().enabled


def test_lifespan_after_a_shutdown(clean_tracing):
    """The lifespan ends as usual."""
    app = FastAPI()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)))
    instrument_app(app)
    with TestClient(app) as client:
        shutdown_tracing()
        assert client.get("/nothing").status_code == 404
