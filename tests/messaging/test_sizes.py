"""Sizes, partitions and offsets of messages, with real brokers."""

from __future__ import annotations

import asyncio
import importlib.util
import uuid

import pytest
from opentelemetry.trace import SpanKind
from tests.messaging.services import WAYS

from eco2_tracing import TracingSettings, configure_tracing
from eco2_tracing._instrumentation.messaging.model import size_of
from eco2_tracing.testing import CapturedSpans

SIZE, PARTITION, OFFSET = (
    "messaging.message.body.size",
    "messaging.destination.partition.id",
    "messaging.kafka.offset",
)
BODY = b"green tea"


@pytest.fixture
def exchange(port_of, clean_tracing):
    """Send a message in one way and handle it; give the attributes of both spans."""

    def run(way, **settings):
        pytest.importorskip(way.client)
        if importlib.util.find_spec(f"opentelemetry.instrumentation.{way.client}") is None:
            pytest.skip(f"opentelemetry-instrumentation for {way.client} is not installed")
        port, name = port_of(way.broker), f"sizes-{uuid.uuid4().hex[:8]}"
        captured = CapturedSpans()
        settings = TracingSettings(traces_exporter=("none",), **settings)
        configure_tracing(settings=settings, span_processors=(captured,))
        asyncio.run(way.produce(port, name, BODY))
        handled = []
        way.consume(port, name, handled.append, way.how)
        assert handled == [BODY]
        by_kind = {found.kind: found.attributes for found in captured.spans}
        return by_kind[SpanKind.PRODUCER], by_kind[SpanKind.CONSUMER]

    return run


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_sizes(way, exchange):
    """Both spans of a message carry the size of its body, and that of a Kafka consumer partition and offset."""
    sent, processed = exchange(way, capture="sizes")
    assert (sent[SIZE], processed[SIZE]) == (len(BODY), len(BODY))
    if way.broker == "kafka":
        assert (processed[PARTITION], processed[OFFSET]) == ("0", 0)


@pytest.mark.parametrize("way", {way.client: way for way in WAYS}.values(), ids=str)
def test_without_sizes(way, exchange):
    """Without the variable no span has a size; partition and offset are always there."""
    sent, processed = exchange(way)
    assert SIZE not in sent
    assert SIZE not in processed
    assert (OFFSET in processed) is (way.broker == "kafka")


@pytest.mark.parametrize(
    ("body", "size"), [("\N{EURO SIGN}", 3), (b"ab", 2), (bytearray(4), 4), (None, None), (7, None)]
)
def test_size_of_bodies(body, size):
    """Texts are sent as UTF-8; of others than bytes none is known."""
    assert size_of(body) == size
