"""Spans are encoded when they end: they take less memory and are not tracked by the garbage collector."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.resources import Resource

from eco2_tracing._export import SpanBatcher
from eco2_tracing._export.otlp.encoder import SpanEncoder
from tests.export.receivers import GrpcReceiver, HttpReceiver, eventually
from tests.export.spans import make_span
from tests.export.test_batcher import Recording
from tests.support.servers import free_port

if TYPE_CHECKING:
    from tests.export.conftest import Open

MANY = 640


@pytest.mark.parametrize("kind", [GrpcReceiver, HttpReceiver])
def test_while_no_receiver_listens(kind: Any, open_batcher: Open) -> None:
    """Spans wait as bytes, and arrive complete and in order."""
    port = free_port()
    endpoint = f"127.0.0.1:{port}" if kind is GrpcReceiver else f"http://127.0.0.1:{port}/v1/traces"
    batcher = open_batcher(endpoint, batcher={"max_batch_size": 100})
    names = [f"s{n}" for n in range(MANY)]
    for name in names:
        batcher.on_end(make_span(name))
    gc.collect()
    assert not any(map(gc.is_tracked, batcher._queue.spans))
    assert batcher.stats().queued == MANY
    with kind(port) as receiver:
        eventually(lambda: batcher.stats().sent == MANY)
        assert receiver.names == names
        assert batcher.shutdown()


def test_while_a_call_hangs(receiver: Any, open_batcher: Open) -> None:
    """Spans that end during a call are sent after it."""
    receiver.gate = threading.Event()
    batcher = open_batcher(receiver.endpoint)
    batcher.on_end(make_span("first"))
    eventually(lambda: receiver.attempts)
    for n in range(MANY):
        batcher.on_end(make_span(f"s{n}"))
    receiver.gate.set()
    assert batcher.force_flush(20_000)
    assert receiver.names == ["first", *(f"s{n}" for n in range(MANY))]


def test_bytes_of_large_spans() -> None:
    """The encoded bytes of large spans are reserved until they are taken."""
    exporter = Recording()
    batcher = SpanBatcher(exporter, schedule_delay_s=3600)
    for n in range(100):
        batcher.on_end(make_span(f"s{n}", {"text": "x" * 5000}))
    assert batcher._queue.bytes_waiting > 100 * 5000
    assert batcher.force_flush(20_000)
    assert batcher._queue.bytes_waiting == batcher._queue.bytes_taken == 0
    assert exporter.batches == [[f"s{n}" for n in range(100)]]
    assert batcher.shutdown()


def test_a_span_that_cannot_be_encoded() -> None:
    """It is queued as it is, and dropped with its batch, and only it."""
    encoder = SpanEncoder()
    bad = make_span(context=None)
    assert encoder.encode_span(bad) is bad
    requests, lost = encoder.encode([encoder.encode_span(make_span()), encoder.encode_span(bad), make_span()])
    assert ([request.spans for request in requests], lost) == ([2], 1)


def test_equal_resources_share_a_group() -> None:
    """Equal resources share one group in a request."""
    spans = [make_span(resource=Resource({"service.name": name})) for name in ("a", "b", "a")]
    ((body, count),), _ = SpanEncoder().encode(spans)
    assert (count, body.count(b"service.name")) == (3, 2)
