"""A request sends a message through a real broker, and a consumer handles it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from fastapi import FastAPI
from opentelemetry import baggage, trace
from opentelemetry.trace import SpanKind, StatusCode
from starlette.testclient import TestClient
from tests.messaging.services import WAYS

from eco2_tracing import (
    TracingSettings,
    configure_tracing,
    current_trace_id,
    instrument_app,
    shutdown_tracing,
    span,
)
from eco2_tracing.testing import CapturedSpans, OtlpReceiver

TRACE_ID, SPAN_ID = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312"
B3 = {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID}
SAMPLED, UNSAMPLED = {**B3, "x-b3-sampled": "1"}, {**B3, "x-b3-sampled": "0"}
each_way = pytest.mark.parametrize("way", WAYS, ids=str)
# One for each client: what is tested does not depend on how it gets the message.
each_client = pytest.mark.parametrize("way", {way.client: way for way in WAYS}.values(), ids=str)


class Refused(Exception):
    """What a handler fails with."""


@pytest.fixture
def capture(clean_tracing):
    """Configure tracing, and give the spans that would be exported."""

    def configure(**settings):
        captured = CapturedSpans()
        configure_tracing(
            settings=TracingSettings(traces_exporter=("none",), **settings), span_processors=(captured,)
        )
        return captured

    return configure


@pytest.fixture
def name():
    """A topic or queue that no other test uses."""
    return f"orders-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def send(way, port_of, name):
    """Send a message from within a request of a traced application."""
    pytest.importorskip(way.client)
    instrumentation = importlib.util.find_spec(f"opentelemetry.instrumentation.{way.client}")
    if instrumentation is None:
        pytest.skip(f"opentelemetry-instrumentation for {way.client} is not installed")
    port = port_of(way.broker)

    def request(headers):
        app = FastAPI()

        @app.post("/orders")
        async def order() -> str | None:
            await way.produce(port, name, b"tea")
            return current_trace_id()

        instrument_app(app)
        with TestClient(app) as client:
            return client.post("/orders", headers=headers).json()

    return request


@pytest.fixture
def consume(way, port_of, name):
    """Let a consumer handle one message."""
    return lambda handle: way.consume(port_of(way.broker), name, handle, way.how)


@each_way
def test_a_consumer_works_inside_the_producers_trace(way, capture, send, consume, name):
    """One span of each kind and no more: the request, the sending below it, the work below that."""
    captured = capture()
    assert send({**SAMPLED, "baggage": "shop=tea"}) == TRACE_ID
    seen = []

    def handle(body):
        seen.append((body, dict(baggage.get_all())))
        with span("brew"):
            pass

    consume(handle)
    assert seen == [(b"tea", {"shop": "tea"})]
    with trace.use_span(trace.INVALID_SPAN), span("afterwards"):
        pass
    by_name = {found.name: found for found in captured.spans}
    assert len(by_name) == len(captured.spans) == 5
    request, work = by_name["POST /orders"], by_name[f"process {name}"]
    sent = by_name[f"send {name}" if way.broker == "kafka" else f"publish {name}"]
    assert {found.trace_id for found in (request, sent, work, by_name["brew"])} == {TRACE_ID}
    assert [found.parent_span_id for found in (sent, work, by_name["brew"])] == [
        request.span_id,
        sent.span_id,
        work.span_id,
    ]
    assert (sent.kind, work.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert by_name["afterwards"].parent_span_id is None
    for found, operation in ((sent, "send"), (work, "process")):
        assert found.attributes["messaging.system"] == way.broker
        assert found.attributes["messaging.operation.type"] == operation
        assert found.attributes["messaging.destination.name"] == name
        assert found.attributes["server.address"] == "127.0.0.1"


@each_way
def test_a_failing_consumer_is_kept(way, capture, send, consume, name):
    """Of an unsampled request nothing is exported but the work that failed, in the request's trace."""
    captured = capture()
    assert send(UNSAMPLED) == TRACE_ID

    def handle(body):
        with span("brew"):
            pass
        raise Refused

    with pytest.raises(Refused):
        consume(handle)
    work, brew = sorted(captured.spans, key=lambda found: found.start_ns)
    assert (work.name, brew.name) == (f"process {name}", "brew")
    assert (work.trace_id, work.status, brew.parent_span_id) == (TRACE_ID, StatusCode.ERROR, work.span_id)
    assert work.attributes["error.type"] == "Refused"
    assert [event.name for event in work.events] == ["exception"]


@each_client
def test_a_producer_that_is_not_trusted_is_linked_to(way, capture, send, consume, name):
    """Where inbound is not trusted a consumer begins a trace of its own, linked, and takes no baggage over."""
    captured = capture(trust_inbound=False)
    trace_id = send({**SAMPLED, "baggage": "shop=tea"})
    assert trace_id != TRACE_ID
    seen = []
    consume(lambda body: seen.append(dict(baggage.get_all())))
    (sent,) = (found for found in captured.spans if found.kind is SpanKind.PRODUCER)
    (work,) = (found for found in captured.spans if found.kind is SpanKind.CONSUMER)
    assert (sent.trace_id, work.parent_span_id) == (trace_id, None)
    assert work.trace_id != trace_id
    assert [(link.trace_id, link.span_id) for link in work.links] == [(trace_id, sent.span_id)]
    assert seen == [{}]


@each_client
def test_a_consumer_in_another_process(way, clean_tracing, send, name, port_of):
    """What a service imports before it configures tracing is traced; its spans arrive, in the same trace."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_TRACING_"))}
    with OtlpReceiver() as receiver:
        configure_tracing(
            "shop",
            settings=TracingSettings(otel_exporter_otlp_endpoint=receiver.grpc_endpoint),
        )
        assert send(SAMPLED) == TRACE_ID
        assert shutdown_tracing()
        script = Path(__file__).with_name("worker.py")
        done = subprocess.run(
            [sys.executable, str(script), str(way), str(port_of(way.broker)), name],
            env={
                **kept,
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint,
                "OTEL_SERVICE_NAME": "kitchen",
            },
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        spans = {found.name: found for found in receiver.spans}
    work, brew = spans[f"process {name}"], spans["brew"]
    assert (work.service, brew.service) == ("kitchen", "kitchen")
    assert {found.trace_id for found in spans.values()} == {TRACE_ID}
    sent = next(found for found in spans.values() if found.kind is SpanKind.PRODUCER)
    assert (work.parent_span_id, brew.parent_span_id) == (sent.span_id, work.span_id)
