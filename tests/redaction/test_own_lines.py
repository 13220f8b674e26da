"""The library's own messages hold no credentials: start line, warnings, status and failed exports."""

from __future__ import annotations

import logging

import pytest

from eco2_tracing import TracingSettings, configure_tracing, flush_tracing, span, tracing_status
from tests.support.servers import free_port

from .planted import SECRET


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    "endpoint", ["http://bob:{secret}@127.0.0.1:{port}/?token={secret}", "http://127.0.0.1:{port}/{port}"]
)
def test_where_spans_go(caplog, protocol, endpoint):
    """Log and status show neither headers nor user information and query of the endpoint."""
    caplog.set_level(logging.DEBUG)
    settings = TracingSettings(
        exporter_otlp_protocol=protocol,
        exporter_otlp_endpoint=endpoint.format(secret=SECRET, port=free_port()),
        exporter_otlp_headers=f"authorization=Bearer {SECRET},x-api-key={SECRET}",
    )
    configure_tracing("planted", settings=settings)
    with span("one"):
        pass
    flush_tracing(0.3)
    assert "tracing planted to " in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in repr(tracing_status())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"ftp://bob:{SECRET}@h/?token={SECRET}"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://h:port/?api_key={SECRET}"),
        ("OTEL_RESOURCE_ATTRIBUTES", f"password={SECRET},broken"),
        ("OTEL_TRACES_SAMPLER_ARG", f"endpoint=http://h?token={SECRET},x"),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"broken {SECRET}"),
    ],
)
def test_what_is_wrong_with_settings(monkeypatch, caplog, variable, value):
    """A bad value is shown without the secrets in it."""
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "jaeger_remote")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    configure_tracing("planted")
    assert SECRET not in caplog.text
    assert SECRET not in repr(TracingSettings().problems)
