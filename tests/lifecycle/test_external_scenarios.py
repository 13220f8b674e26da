"""Four set-ups with external instrumentation: one server span, one client span, one log line."""

from __future__ import annotations

import logging
from importlib.util import find_spec

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.testclient import TestClient

from eco2_tracing import configure_tracing, instrument_app
from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers

OURS = ("eco2_tracing.fastapi", "eco2_tracing.httpx")
CONTRIBS = ("opentelemetry.instrumentation.fastapi", "opentelemetry.instrumentation.httpx")


def make_app(**arguments) -> FastAPI:
    """An application that calls over a real transport, where contrib's instrumentation stands."""
    app = FastAPI(**arguments)

    @app.get("/call")
    async def call() -> str:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("http://127.0.0.1:1/")
        return "done"

    return app


class Scene:
    """The tools of a scenario. A fixture restores global state.

    Args:
        exporter: What every provider exports to.
    """

    def __init__(self, exporter):
        self.exporter = exporter
        self.undo = []

    def processor(self):
        """A processor that exports."""
        return SimpleSpanProcessor(self.exporter)

    def provider(self):
        """A provider that is not ours."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self.processor())
        self.undo.append(provider.shutdown)
        return provider

    def apply_contrib(self, app):
        """Instrument by hand as contrib's documentation says."""
        FastAPIInstrumentor.instrument_app(app, exclude_spans=["send", "receive"])
        HTTPXClientInstrumentor().instrument()
        self.undo.append(HTTPXClientInstrumentor().uninstrument)


def provider_of_the_application(scene):
    """A provider without instrumentations."""
    trace.set_tracer_provider(scene.provider())
    configure_tracing("orders")
    instrument_app(app := make_app())
    return app, OURS, ["a tracer provider is already installed"]


def all_of_it_before(scene):
    """It installs one and applies contrib's instrumentations: what ``opentelemetry-instrument`` does."""
    trace.set_tracer_provider(scene.provider())
    scene.apply_contrib(app := make_app())
    configure_tracing("orders")
    instrument_app(app)
    return app, CONTRIBS, ["a tracer provider is already installed"]


def contrib_before(scene):
    """Contrib's instrumentations are applied already, and the provider is ours."""
    scene.apply_contrib(app := make_app())
    configure_tracing("orders", span_processors=[scene.processor()])
    instrument_app(app)
    return app, CONTRIBS, ["stays in charge of client spans", "stays in charge of server spans"]


def contrib_after(scene):
    """Contrib's instrumentations are applied to what is ours already; contrib warns of the application itself."""
    configure_tracing("orders", span_processors=[scene.processor()])
    instrument_app(app := make_app())
    scene.apply_contrib(app)
    return app, OURS, ["eco2-tracing is in charge of client spans"]


def native_by_hand(scene):
    """FastAPI is given a provider."""
    if find_spec("fastapi.telemetry") is None:
        pytest.skip("this FastAPI has no telemetry of its own")
    configure_tracing("orders", span_processors=[scene.processor()])
    instrument_app(app := make_app(telemetry={"tracer_provider": scene.provider()}))
    return app, OURS, ["eco2-tracing creates this application's server spans"]


@pytest.mark.parametrize(
    "scenario",
    [provider_of_the_application, all_of_it_before, contrib_before, contrib_after, native_by_hand],
    ids=lambda scenario: scenario.__name__,
)
def test_one_of_each(scenario, monkeypatch, caplog):
    """One trace with the client span below the server span, each made by the instrumentation that the line names."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    caplog.set_level(logging.INFO)
    scene = Scene(InMemorySpanExporter())
    try:
        app, scopes, told = scenario(scene)
        assert TestClient(app).get("/call", headers=b3_headers()).json() == "done"
    finally:
        for undo in scene.undo:
            undo()
    client, server = scene.exporter.get_finished_spans()
    assert (server.kind, client.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert (server.instrumentation_scope.name, client.instrumentation_scope.name) == scopes
    assert (f"{server.context.trace_id:032x}", f"{server.parent.span_id:016x}") == (TRACE_ID, SPAN_ID)
    assert client.parent.span_id == server.context.span_id
    said = [r.getMessage() for r in caplog.records if r.name == "eco2_tracing"]
    assert len(said) <= 2, said
    said = [line for line in said if "charge" in line or "creates" in line]
    assert len(said) == len(told), said
    for line, part in zip(said, told, strict=True):
        assert part in line
