"""Queued spans are encoded early: they take less memory and are not tracked by the garbage collector."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.resources import Resource

from eco2_tracing._export import SpanBatcher
from eco2_tracing._export.batch.queue import SpanQueue
from eco2_tracing._export.gil import SPANS_PER_TURN
from eco2_tracing._export.otlp.encoder import SpanEncoder
from tests.export.receivers import GrpcReceiver, HttpReceiver, eventually, free_port
from tests.export.spans import make_span
from tests.export.test_batcher import Recording

if TYPE_CHECKING:
    from tests.export.conftest import Open

MANY = 5 * SPANS_PER_TURN
BATCH = SPANS_PER_TURN + 36


def waits_as_bytes(batcher: SpanBatcher) -> bool:
    """Return whether all queued spans are encoded, except the last few."""
    return len(batcher._queue.spans) < SPANS_PER_TURN and len(batcher._queue.encoded) > 0


@pytest.mark.parametrize("kind", [GrpcReceiver, HttpReceiver])
def test_while_nobody_is_there(kind: Any, open_batcher: Open) -> None:
    """Spans are encoded between two tries, and arrive complete and in order."""
    port = free_port()
    endpoint = f"127.0.0.1:{port}" if kind is GrpcReceiver else f"http://127.0.0.1:{port}/v1/traces"
    batcher = open_batcher(endpoint, batcher={"max_batch_size": 100})
    names = [f"s{n}" for n in range(MANY)]
    for name in names:
        batcher.on_end(make_span(name))
    eventually(lambda: waits_as_bytes(batcher))
    gc.collect()
    assert not any(map(gc.is_tracked, batcher._queue.encoded))
    assert batcher.stats().queued == MANY
    with kind(port) as receiver:
        eventually(lambda: batcher.stats().sent == MANY)
        assert receiver.names == names
        assert batcher.shutdown()


def test_while_a_server_takes_its_time(receiver: Any, open_batcher: Open) -> None:
    """Spans are encoded while a call hangs."""
    receiver.gate = threading.Event()
    batcher = open_batcher(receiver.endpoint)
    batcher.on_end(make_span("first"))
    eventually(lambda: receiver.attempts)
    for n in range(MANY):
        batcher.on_end(make_span(f"s{n}"))
    eventually(lambda: waits_as_bytes(batcher))
    receiver.gate.set()
    assert batcher.force_flush(20_000)
    assert receiver.names == ["first", *(f"s{n}" for n in range(MANY))]


def test_while_there_is_time_for_company() -> None:
    """Spans are encoded while a batch fills, and a full batch is sent at once."""
    exporter = Recording()
    batcher = SpanBatcher(exporter, schedule_delay_s=3600, max_batch_size=BATCH)
    for n in range(SPANS_PER_TURN):
        batcher.on_end(make_span(f"s{n}"))
    eventually(lambda: len(batcher._queue.encoded) == SPANS_PER_TURN)
    for n in range(SPANS_PER_TURN, BATCH):
        batcher.on_end(make_span(f"s{n}"))
    eventually(lambda: exporter.batches)
    assert exporter.batches == [[f"s{n}" for n in range(BATCH)]]
    assert batcher.shutdown()


def test_no_more_wait_than_may() -> None:
    """Encoded spans count against the queue's limit until they are taken."""
    batcher = SpanBatcher(
        Recording(), schedule_delay_s=3600, max_queue_size=2 * SPANS_PER_TURN, max_batch_size=BATCH
    )
    for n in range(SPANS_PER_TURN):
        batcher.on_end(make_span(f"s{n}"))
    eventually(lambda: len(batcher._queue.encoded) == SPANS_PER_TURN)
    assert batcher._queue.capacity == SPANS_PER_TURN
    assert batcher.force_flush(20_000)
    assert batcher._queue.capacity == 2 * SPANS_PER_TURN
    assert batcher.shutdown()


def test_an_end_in_the_middle() -> None:
    """Spans that are being encoded during the shutdown are dropped and counted once."""
    queue = SpanQueue(1000, 512, lambda: 0.0)
    queue.spans.extend(make_span() for _ in range(SPANS_PER_TURN + 1))
    seen = []

    def encode(span: Any) -> Any:
        seen.append(queue.queued())
        queue.close()
        return span

    assert queue.encode_waiting(encode)
    assert seen == [SPANS_PER_TURN + 1] + [0] * (SPANS_PER_TURN - 1)
    assert not queue.encode_waiting(encode)
    stats = queue.stats("somewhere")
    assert (stats.queued, stats.dropped["shutdown"]) == (0, SPANS_PER_TURN + 1)


def test_heavy_spans_keep_their_bytes_until_they_are_taken() -> None:
    """The bytes of large spans stay reserved after they are encoded."""
    exporter = Recording()
    batcher = SpanBatcher(exporter, schedule_delay_s=3600)
    for n in range(SPANS_PER_TURN):
        batcher.on_end(make_span(f"s{n}", {"text": "x" * 5000}))
    eventually(lambda: len(batcher._queue.encoded) == SPANS_PER_TURN)
    assert batcher._queue.bytes_waiting > SPANS_PER_TURN * 5000
    assert batcher.force_flush(20_000)
    assert batcher._queue.bytes_waiting == batcher._queue.bytes_taken == 0
    assert exporter.batches == [[f"s{n}" for n in range(SPANS_PER_TURN)]]
    assert batcher.shutdown()


def test_what_cannot_be_prepared() -> None:
    """A span that cannot be encoded early is dropped with its batch, and only it."""
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
