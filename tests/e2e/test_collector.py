"""Export through a real collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from tests.e2e.collector import COLLECTORS, Collector
from tests.support.jaeger import wait_for
from tests.support.proxies import PROVIDERS, Backend, Port, Proxy

from eco2_tracing import (
    TracingSettings,
    configure_tracing,
    current_trace_id,
    flush_tracing,
    span,
    tracing_status,
)
from eco2_tracing.testing import OtlpReceiver

ATTRIBUTES = {"text": "홍길동", "number": 3, "ratio": 0.5, "yes": True, "several": ("a", "b")}
TOKEN = "Bearer 0123456789"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """The receiver behind the collector."""
    with OtlpReceiver() as running:
        yield running


@pytest.fixture(params=list(COLLECTORS))
def collector(request: pytest.FixtureRequest, receiver: OtlpReceiver) -> Iterator[Collector]:
    """Each collector, in front of the receiver."""
    with COLLECTORS[request.param](receiver.grpc_endpoint) as running:
        yield running


def configure(endpoint, **variables):
    """Trace this process to an endpoint."""
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "20", **variables}
    assert configure_tracing(service_name="auth-api", settings=TracingSettings(**given))


def work(name="work", **attributes):
    """Create a span; return its trace id."""
    with span(name, attributes=attributes):
        return current_trace_id()


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_spans_are_forwarded(collector, receiver, protocol, compression):
    """By every protocol, unchanged."""
    endpoint = collector.grpc if protocol == "grpc" else collector.http
    configure(endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, OTEL_EXPORTER_OTLP_COMPRESSION=compression)
    trace_id = work(**ATTRIBUTES)
    assert flush_tracing()
    receiver.wait_for(1)
    held = receiver.one("work", trace_id=trace_id, service="auth-api")
    assert {key: held.attributes.get(key) for key in ATTRIBUTES} == ATTRIBUTES


def test_required_authorization_header(collector, receiver):
    """With `OTEL_EXPORTER_OTLP_HEADERS` spans are accepted; without it they are dropped and the reason is logged."""
    door = Port(collector.grpc, "collector:4317/*", "INBOUND", http2=True, demands=("authorization", TOKEN))
    backend = Backend.of_receiver(receiver)
    with Proxy("collector.observability", PROVIDERS["Zipkin"], backend, {"door": door}) as proxy:
        configure(proxy.urls["door"], OTEL_EXPORTER_OTLP_HEADERS=f"authorization={TOKEN.replace(' ', '%20')}")
        work("known")
        assert flush_tracing()
        receiver.wait_for(1)


def test_missing_authorization_header(collector, receiver):
    """Spans are dropped and counted, and no secret is logged."""
    door = Port(collector.grpc, "collector:4317/*", "INBOUND", http2=True, demands=("authorization", TOKEN))
    backend = Backend.of_receiver(receiver)
    with Proxy("collector.observability", PROVIDERS["Zipkin"], backend, {"door": door}) as proxy:
        configure(proxy.urls["door"], OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20wrong-secret")
        work("unknown")
        assert not flush_tracing()
        status = tracing_status()
        assert {reason: count for reason, count in status.spans_dropped.items() if count} == {
            "unauthenticated": 1
        }
        assert "wrong-secret" not in str(status)
    assert receiver.find("unknown") == ()


def test_restart_under_load(collector, receiver):
    """All spans since then are exported after the restart, and none is dropped."""
    configure(collector.grpc, OTEL_BSP_MAX_QUEUE_SIZE="50000")
    made, ended = [0], threading.Event()

    def load() -> None:
        while not ended.wait(0.001):
            work("load", number=made[0])
            made[0] += 1

    worker = threading.Thread(target=load)
    worker.start()
    try:
        receiver.wait_for(100)
        collector.kill()
        since = made[0]
        wait_for(lambda: tracing_status().last_export_error)
        wait_for(lambda: tracing_status().spans_queued > 50)
        collector.start()
        back = made[0]
        receiver.wait_for(lambda held: any(one.attributes["number"] >= back for one in held), 30)
    finally:
        ended.set()
        worker.join()
    assert flush_tracing(20)
    numbers = set(range(since + 1, made[0]))
    receiver.wait_for(lambda held: numbers <= {one.attributes["number"] for one in held}, 20)
    status = tracing_status()
    assert (status.spans_sent, status.spans_queued) == (made[0], 0)
    assert not any(status.spans_dropped.values())
