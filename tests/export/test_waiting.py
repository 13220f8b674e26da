"""What waits for the collector waits as bytes: little memory, and nothing for the garbage collector to walk over."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.resources import Resource

from eco2_tracing._export import SpanBatcher
from eco2_tracing._export.batch.queue import PREPARED_AT_ONCE, SpanQueue
from eco2_tracing._export.otlp.encoder import SpanEncoder
from tests.export.receivers import GrpcReceiver, HttpReceiver, eventually, free_port
from tests.export.spans import make_span
from tests.export.test_batcher import Recording

if TYPE_CHECKING:
    from tests.export.conftest import Open

MANY = 5 * PREPARED_AT_ONCE
BATCH = PREPARED_AT_ONCE + 36


def waits_as_bytes(batcher: SpanBatcher) -> bool:
    """Tell whether all that waits is bytes, but for the latest few spans."""
    return len(batcher._queue.spans) < PREPARED_AT_ONCE and len(batcher._queue.prepared) > 0


@pytest.mark.parametrize("kind", [GrpcReceiver, HttpReceiver])
def test_while_nobody_is_there(kind: Any, open_batcher: Open) -> None:
    """Between two tries what came in meanwhile is encoded; it arrives whole and in order."""
    port = free_port()
    endpoint = f"127.0.0.1:{port}" if kind is GrpcReceiver else f"http://127.0.0.1:{port}/v1/traces"
    batcher = open_batcher(endpoint, batcher={"max_batch_size": 100})
    names = [f"s{n}" for n in range(MANY)]
    for name in names:
        batcher.on_end(make_span(name))
    eventually(lambda: waits_as_bytes(batcher))
    gc.collect()
    assert not any(map(gc.is_tracked, batcher._queue.prepared))
    assert batcher.stats().queued == MANY
    with kind(port) as receiver:
        eventually(lambda: batcher.stats().sent == MANY)
        assert receiver.names == names
        assert batcher.shutdown()


def test_while_a_server_takes_its_time(receiver: Any, open_batcher: Open) -> None:
    """A call that hangs is no reason to let objects pile up."""
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
    """Spans are prepared as they come, and a batch that is complete still goes at once."""
    exporter = Recording()
    batcher = SpanBatcher(exporter, schedule_delay_s=3600, max_batch_size=BATCH)
    for n in range(PREPARED_AT_ONCE):
        batcher.on_end(make_span(f"s{n}"))
    eventually(lambda: len(batcher._queue.prepared) == PREPARED_AT_ONCE)
    for n in range(PREPARED_AT_ONCE, BATCH):
        batcher.on_end(make_span(f"s{n}"))
    eventually(lambda: exporter.batches)
    assert exporter.batches == [[f"s{n}" for n in range(BATCH)]]
    assert batcher.shutdown()


def test_no_more_wait_than_may() -> None:
    """Those that are prepared take the room of those that are not, and give it back."""
    batcher = SpanBatcher(
        Recording(), schedule_delay_s=3600, max_queue_size=2 * PREPARED_AT_ONCE, max_batch_size=BATCH
    )
    for n in range(PREPARED_AT_ONCE):
        batcher.on_end(make_span(f"s{n}"))
    eventually(lambda: len(batcher._queue.prepared) == PREPARED_AT_ONCE)
    assert batcher._queue.capacity == PREPARED_AT_ONCE
    assert batcher.force_flush(20_000)
    assert batcher._queue.capacity == 2 * PREPARED_AT_ONCE
    assert batcher.shutdown()


def test_an_end_in_the_middle() -> None:
    """What is being prepared when the time is over is lost with the rest, and counted once."""
    queue = SpanQueue(1000, 512, lambda: 0.0)
    queue.spans.extend(make_span() for _ in range(PREPARED_AT_ONCE + 1))
    seen = []

    def prepare(span: Any) -> Any:
        seen.append(queue.queued())
        queue.close()
        return span

    assert queue.prepare(prepare)
    assert seen == [PREPARED_AT_ONCE + 1] + [0] * (PREPARED_AT_ONCE - 1)
    assert not queue.prepare(prepare)
    stats = queue.stats("somewhere")
    assert (stats.queued, stats.dropped["shutdown"]) == (0, PREPARED_AT_ONCE + 1)


def test_heavy_spans_keep_their_bytes_until_they_are_taken() -> None:
    """Their room is theirs, prepared or not."""
    exporter = Recording()
    batcher = SpanBatcher(exporter, schedule_delay_s=3600)
    for n in range(PREPARED_AT_ONCE):
        batcher.on_end(make_span(f"s{n}", {"text": "x" * 5000}))
    eventually(lambda: len(batcher._queue.prepared) == PREPARED_AT_ONCE)
    assert batcher._queue.bytes_waiting > PREPARED_AT_ONCE * 5000
    assert batcher.force_flush(20_000)
    assert batcher._queue.bytes_waiting == batcher._queue.bytes_taken == 0
    assert exporter.batches == [[f"s{n}" for n in range(PREPARED_AT_ONCE)]]
    assert batcher.shutdown()


def test_what_cannot_be_prepared() -> None:
    """It stays as it is until its batch, where it is lost alone."""
    encoder = SpanEncoder()
    bad = make_span(context=None)
    assert encoder.prepare(bad) is bad
    requests, lost = encoder.encode([encoder.prepare(make_span()), encoder.prepare(bad), make_span()])
    assert ([request.spans for request in requests], lost) == ([2], 1)


def test_equal_resources_share_a_group() -> None:
    """A resource goes once in a request, however many objects tell of it; others apart."""
    spans = [make_span(resource=Resource({"service.name": name})) for name in ("a", "b", "a")]
    ((body, count),), _ = SpanEncoder().encode(spans)
    assert (count, body.count(b"service.name")) == (3, 2)
