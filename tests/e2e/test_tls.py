"""Jaeger's own receivers with TLS: a private CA, and certificates for clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme
from tests.support.jaeger import Jaeger, running_jaeger, wait_for_trace

from eco2_tracing import (
    TracingSettings,
    configure_tracing,
    current_trace_id,
    flush_tracing,
    span,
    tracing_status,
)


@pytest.fixture(scope="module", params=["docker", "command"])
def secured(request: pytest.FixtureRequest, certificates) -> Iterator[Jaeger]:
    """A Jaeger that lets nobody in without a certificate of the private CA."""
    with running_jaeger(request.param, certificates.server) as running:
        yield running


def configure(jaeger, protocol, **variables):
    """Trace this process to Jaeger's TLS port for a protocol."""
    url = jaeger.otlp_grpc if protocol == "grpc" else jaeger.otlp_http
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url.replace("http://", "https://"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        **{name: str(value) for name, value in variables.items()},
    }
    assert configure_tracing(service_name="secured", settings=TracingSettings(**given))
    with span("secret work"):
        return current_trace_id()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_certificates_are_shown(secured, certificates, protocol):
    """With the CA and a certificate of our own the spans arrive."""
    trace_id = configure(
        secured,
        protocol,
        OTEL_EXPORTER_OTLP_CERTIFICATE=certificates.ca,
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=certificates.client,
        OTEL_EXPORTER_OTLP_CLIENT_KEY=certificates.client,
    )
    assert flush_tracing()
    assert [one.name for one in wait_for_trace(secured, trace_id, 1).spans] == ["secret work"]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("ours", [False, True], ids=["no certificate of ours", "a server of another CA"])
def test_strangers_are_not_spoken_to(secured, certificates, protocol, ours, tmp_path):
    """Where one side does not know the other nothing is sent, and the reason is told."""
    variables = {"OTEL_EXPORTER_OTLP_CERTIFICATE": certificates.ca}
    if ours:
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        variables = {
            "OTEL_EXPORTER_OTLP_CERTIFICATE": other,
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": certificates.client,
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": certificates.client,
        }
    trace_id = configure(secured, protocol, **variables)
    assert not flush_tracing(1.0)
    status = tracing_status()
    assert status.spans_sent == 0
    assert status.last_export_error
    assert secured.trace(trace_id).spans == ()
