"""A sidecar creates no spans for exports that pass it."""

from __future__ import annotations

import httpx
import pytest
from tests.support.proxies import PROVIDERS, Backend, Port, Proxy

from eco2_tracing import TracingSettings, configure_tracing, flush_tracing, span
from eco2_tracing.testing import OtlpReceiver

PROXY = "auth-api.auth"


def export(endpoint, protocol, **variables):
    """Export one span to an endpoint."""
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        **variables,
    }
    assert configure_tracing(service_name="auth-api", settings=TracingSettings(**given))
    with span("work"):
        pass
    assert flush_tracing()


@pytest.mark.parametrize("provider", list(PROVIDERS))
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_sidecar_does_not_trace_exports(provider, protocol):
    """On a port named `grpc-otlp` or `http-otlp` the sidecar samples everything except exports."""
    with OtlpReceiver() as receiver:
        url = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        port = Port(url, "jaeger-collector:4317/*", "OUTBOUND", http2=protocol == "grpc")
        with Proxy(PROXY, PROVIDERS[provider], Backend.of_receiver(receiver), {"otlp": port}) as proxy:
            for _ in range(3):
                export(proxy.urls["otlp"], protocol)
            # Other requests are traced: once this span has arrived, spans of exports would have arrived too.
            httpx.get(f"{proxy.urls['otlp']}/else", trust_env=False)
            receiver.wait_for(lambda held: any(one.service == PROXY for one in held))
        assert len(receiver.find("work")) == 3
        (other,) = receiver.find(service=PROXY)
        assert "/else" in str(other.attributes)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_exports_carry_an_unsampled_context(protocol):
    """In both formats; a header of the environment replaces it."""
    with OtlpReceiver() as receiver:
        url = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        export(url, protocol, OTEL_EXPORTER_OTLP_HEADERS="X-B3-Sampled=1")
        assert receiver.last_headers["x-b3-sampled"] == "1"
        assert receiver.last_headers["traceparent"].endswith("-00")
