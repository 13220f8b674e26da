"""The pytest fixtures of users' tests."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider

from eco2_tracing import configure_tracing, flush_tracing, instrument_app, span, tracing_status
from eco2_tracing._lifecycle.defaults import service_of_tests
from eco2_tracing.testing import (
    SPAN_ID,
    CapturedSpans,
    assert_continued,
    assert_sent_on,
    b3_headers,
)
from eco2_tracing.testing.plugin import clean_state


@pytest.fixture
def no_exporter(monkeypatch):
    """Export nothing."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")


def make_app(peer):
    """An application with one route that calls a peer."""
    app = FastAPI()
    instrument_app(app)

    @app.get("/call")
    async def call():
        async with httpx.AsyncClient(transport=httpx.MockTransport(peer)) as client:
            return (await client.get("http://character-api/")).status_code

    return app


def test_captured_spans_of_a_request(captured_spans):
    """With the headers of its call, without a network."""
    sent = []

    def peer(request):
        sent.append(request.headers)
        return httpx.Response(200)

    with TestClient(make_app(peer)) as client:
        assert client.get("/call", headers=b3_headers()).json() == 200
    traces = assert_continued(captured_spans)
    assert [span.name for _, span in traces.walk()] == ["GET /call", "GET"]
    assert traces.spans[0].parent_span_id == SPAN_ID
    assert assert_sent_on(sent[0]) == captured_spans.one("GET").span_id


def test_captured_spans_of_an_application_configured_at_import(no_exporter, request):
    """The fixture replaces its configuration."""
    configure_tracing(service_name="imported", span_processors=(before := CapturedSpans(),))
    app = make_app(lambda _request: httpx.Response(500))
    captured = request.getfixturevalue("captured_spans")
    configure_tracing(service_name="again")
    with TestClient(app) as client:
        client.get("/call")
    assert [span.name for span in captured.spans] == ["GET", "GET /call"]
    assert before.spans == ()


def test_captured_spans_follow_the_environment(monkeypatch, request):
    """The environment applies, except for the exporter."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    captured = request.getfixturevalue("captured_spans")
    with trace.get_tracer("t").start_as_current_span("a"):
        pass
    assert captured.one("a").service == "from-environment"


def test_captured_spans_carry_the_services_name(no_exporter, request):
    """As the application's call says: before the fixture, in the test, and in an earlier test."""
    attributes = {"team": "payments"}
    configure_tracing("auth-api", "1.2.0", "prod", resource_attributes=attributes)
    captured_spans = request.getfixturevalue("captured_spans")
    with span("before"):
        pass
    before = captured_spans.one("before")
    assert before.service == "auth-api"
    expected = {"service.version": "1.2.0", "deployment.environment.name": "prod", "team": "payments"}
    assert expected.items() <= before.resource.items()
    sent = []
    configure_tracing("shop", before_export=lambda each: each.name != "dropped", span_processors=[sent])
    for name in ("in the test", "dropped"):
        with span(name):
            pass
    assert captured_spans.one("in the test").service == "shop"
    assert captured_spans.find("dropped") == ()
    later = CapturedSpans()
    with clean_state():
        service_of_tests.configure(later)
        with span("in a later test"):
            pass
    assert later.one("in a later test").service == "shop"


def test_otlp_receiver_receives_the_export(clean_tracing, otlp_receiver, monkeypatch):
    """Only its endpoint has to be set."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp_receiver.grpc_endpoint)
    configure_tracing(service_name="auth-api")
    with trace.get_tracer("t").start_as_current_span("a"):
        pass
    assert flush_tracing()
    assert otlp_receiver.one("a", service="auth-api").is_error is False


def test_clean_state_resets(no_exporter):
    """Within and after the block nothing is configured."""
    configure_tracing(service_name="before")
    with clean_state():
        assert not tracing_status().enabled
        configure_tracing(service_name="inside")
        assert tracing_status().enabled
        assert isinstance(trace.get_tracer_provider(), TracerProvider)
    assert not tracing_status().enabled
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_clean_state_restores_other_packages(no_exporter):
    """A provider and a propagator of other packages are restored."""
    provider, textmap = TracerProvider(), propagate.get_global_textmap()
    trace.set_tracer_provider(provider)
    with pytest.raises(RuntimeError, match="test"), clean_state():
        configure_tracing(service_name="inside")
        assert trace.get_tracer_provider() is not provider
        raise RuntimeError("a test that fails")
    assert trace.get_tracer_provider() is provider
    assert propagate.get_global_textmap() is textmap


def test_plugin_is_found_and_imports_little():
    """Its import loads no gRPC, protobuf or httpx."""
    (point,) = entry_points(group="pytest11", name="eco2_tracing")
    program = (
        f"import sys, {point.value};"
        "print([name for name in ('grpc', 'google.protobuf', 'httpx', 'rich') if name in sys.modules])"
    )
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
