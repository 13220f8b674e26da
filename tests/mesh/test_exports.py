"""Exports that pass a sidecar are not traced by it: what carries spans makes none."""

from __future__ import annotations

import httpx
import pytest
from tests.support.proxies import PROVIDERS, Backend, Port, Proxy

from eco2_tracing import TracingSettings, configure_tracing, flush_tracing, span
from eco2_tracing.testing import OtlpReceiver

PROXY = "auth-api.auth"


def export(endpoint, protocol, **variables):
    """Trace this process to an endpoint, and send one span there."""
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
def test_a_sidecar_does_not_trace_exports(provider, protocol):
    """On a port named `grpc-otlp` or `http-otlp` the sidecar samples everything, but for exports."""
    with OtlpReceiver() as receiver:
        url = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        port = Port(url, "jaeger-collector:4317/*", "OUTBOUND", http2=protocol == "grpc")
        with Proxy(PROXY, PROVIDERS[provider], Backend.of_receiver(receiver), {"otlp": port}) as proxy:
            for _ in range(3):
                export(proxy.urls["otlp"], protocol)
            # Anything else is traced: when its span has come, those of the exports would have, too.
            httpx.get(f"{proxy.urls['otlp']}/else", trust_env=False)
            receiver.wait_for(lambda held: any(one.service == PROXY for one in held))
        assert len(receiver.find("work")) == 3
        (other,) = receiver.find(service=PROXY)
        assert "/else" in str(other.attributes)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_each_export_says_so(protocol):
    """The decision is in both formats; who sets such a header by the environment has the last word."""
    with OtlpReceiver() as receiver:
        url = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        export(url, protocol, OTEL_EXPORTER_OTLP_HEADERS="X-B3-Sampled=1")
        assert receiver.last_headers["x-b3-sampled"] == "1"
        assert receiver.last_headers["traceparent"].endswith("-00")
