"""Processors that an application adds to the provider itself, after configuring."""

from __future__ import annotations

from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import eco2_tracing
from eco2_tracing.testing import b3_headers
from tests.requests.conftest import make_app


def configured(**settings):
    """Tracing, an application, and a processor that is added later."""
    eco2_tracing.configure_tracing(settings=eco2_tracing.TracingSettings(**settings))
    made = make_app()
    eco2_tracing.instrument_app(made)
    seen = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(seen))
    return TestClient(made, raise_server_exceptions=False), seen


def test_it_sees_server_spans():
    """An added processor gets server and client spans."""
    client, seen = configured(traces_exporter="none")
    with client:
        client.get("/items/7")
    assert [span.name for span in seen.get_finished_spans()] == ["GET /items/{item_id}"]


def test_it_sees_what_was_kept():
    """An added processor does not get unsampled spans."""
    client, seen = configured(traces_exporter="none")
    with client:
        client.get("/items/7", headers=b3_headers(sampled=False))
        client.get("/boom", headers=b3_headers(sampled=False))
    (span,) = seen.get_finished_spans()
    assert (span.name, span.context.trace_flags.sampled) == ("GET /boom", True)


def test_flushing_the_provider_delivers(otlp_receiver):
    """``force_flush`` of the global provider is what many tests and scripts call."""
    configured(exporter_otlp_endpoint=otlp_receiver.grpc_endpoint)
    with eco2_tracing.span("work"):
        pass
    assert trace.get_tracer_provider().force_flush()
    assert [span.name for span in otlp_receiver.spans] == ["work"]
