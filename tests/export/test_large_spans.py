"""Memory: the queue has a byte limit, and large spans are pruned."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from typing import Any

import pytest
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState

from eco2_tracing._export import SpanBatcher
from eco2_tracing._export.batch.queue import BYTES_PER_SPAN, LEAST_BYTES
from eco2_tracing._readable_span import SMALL, pruned_span, span_size
from tests.export.conftest import Open
from tests.export.receivers import Received, eventually
from tests.export.spans import make_span
from tests.export.test_batcher import Recording
from tests.support.servers import free_port

LONG = "x" * 1_000_000
ORDINARY: dict[str, Any] = {
    "http.request.method": "GET",
    "http.route": "/items/{item}",
    "url.path": "/items/12345",
    "server.port": 443,
    "probability": 0.25,
    "kept": True,
    "http.response.status_code": 200,
    "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}


def link(attributes: dict[str, Any] | None = None) -> Link:
    """A link to some other trace."""
    return Link(SpanContext(1, 2, is_remote=True), attributes)


def test_an_ordinary_span_is_light() -> None:
    """An ordinary span is small: its bytes are not counted and no lock is taken."""
    assert span_size(make_span(attributes=ORDINARY)) < SMALL
    assert span_size(make_span(attributes=BoundedAttributes(None, ORDINARY))) == span_size(
        make_span(attributes=ORDINARY)
    )
    assert span_size(make_span()) < 100


HEAVY: dict[str, dict[str, Any]] = {
    "text": {"attributes": {"a": LONG}},
    "wide text": {"attributes": {"a": "\N{SNOWMAN}" * 1_000_000}},
    "bytes": {"attributes": {"a": LONG.encode()}},
    "number": {"attributes": {"a": 1 << 8_000_000}},
    "numbers": {"attributes": {"a": tuple(range(1_000_000))}},
    "texts": {"attributes": {"a": [LONG, LONG]}},
    "mapping": {"attributes": {"a": {"b": {"c": LONG}, LONG: 1}}},
    "many": {"attributes": {f"key{n}": n for n in range(10_000)}},
    "events": {"events": [Event("e", {"exception.stacktrace": LONG})] * 100},
    "event names": {"events": [Event(LONG)]},
    "links": {"links": [link({"a": LONG})] * 100},
    "name": {"name": LONG},
    "status": {"status": Status(StatusCode.ERROR, LONG)},
    "tracestate": {
        "context": SpanContext(
            1, 2, False, TraceFlags(1), TraceState([(f"key{n}", "v" * 200) for n in range(32)])
        )
    },
}


@pytest.mark.parametrize("kind", HEAVY)
def test_what_is_heavy(kind: str) -> None:
    """Every part of a span counts towards its size, and the pruned span fits the limit."""
    span = make_span(**{"attributes": ORDINARY, **HEAVY[kind]})
    assert span_size(span) > SMALL
    for limit in (SMALL, 100_000):
        light = pruned_span(span, limit)
        assert span_size(light) < 2 * limit
        assert light.context is span.context
        assert (light.start_time, light.end_time) == (1, 2)
        assert light.name[:10] == span.name[:10]
        assert light.status.status_code is span.status.status_code


def nested(depth: int) -> Any:
    """A sequence in a sequence, and so on."""
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def test_nesting_ends() -> None:
    """Sizing and pruning stop at a depth."""
    deep, shallow = ({"a": nested(depth), "b": {"c": nested(depth)}, "d": "flat"} for depth in (500, 3))
    span = make_span(attributes=deep)
    assert span_size(span) < SMALL
    # OpenTelemetry before 1.45 lets no sequence of sequences into a span.
    allowed = BoundedAttributes(attributes=shallow)
    assert set(pruned_span(span, SMALL).attributes or {}) == set(allowed)


def test_what_is_kept_of_a_heavy_span() -> None:
    """Short attributes, the beginnings of long ones and the last events are kept; the rest is counted as dropped."""
    attributes = BoundedAttributes(
        20, {**ORDINARY, "long": LONG, "after": "short", "list": list(range(10_000))}
    )
    events = [Event(f"e{n}", {"text": LONG}) for n in range(1000)]
    span = make_span(attributes=attributes, events=events, links=[link()] * 200)
    light = pruned_span(span, 50_000)
    assert light.attributes is not None
    kept = dict(light.attributes)
    assert kept.items() >= {**ORDINARY, "after": "short"}.items()
    assert LONG.startswith(str(kept["long"]))
    assert len(str(kept["long"])) > 1000
    assert kept["list"] == tuple(range(16))
    assert light.events[-1].name == "e999"
    assert light.dropped_events == 1000 - len(light.events) > 0
    assert light.dropped_links == 200 - len(light.links)
    tight = pruned_span(span, 1000)
    assert tight.dropped_attributes == len(attributes) - len(tight.attributes or {}) > 0
    assert (tight.events, tight.links) == ((), ())
    assert (tight.dropped_events, tight.dropped_links) == (1000, 200)
    untouched = pruned_span(make_span(), SMALL)
    assert (untouched.dropped_attributes, untouched.dropped_events, untouched.dropped_links) == (0, 0, 0)


def test_memory_is_bounded_without_a_collector(open_batcher: Open) -> None:
    """Spans of 1 MB each wait within the byte limit, and none is dropped."""
    batcher = open_batcher(f"127.0.0.1:{free_port()}", batcher={"max_queue_size": 1000})
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(900):
            batcher.on_end(make_span(attributes={**ORDINARY, "id": n, "text": LONG[1:] + str(n % 10)}))
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert sum(batcher.stats().dropped.values()) == 0
    assert batcher.stats().queued == 901
    assert grown < 1000 * BYTES_PER_SPAN * 3
    assert not batcher.shutdown(0)


def test_heavy_spans_do_not_wait_for_company() -> None:
    """A batch is sent early once large spans fill half of the byte limit; their bytes are free afterwards."""
    exporter = Recording()
    batcher = SpanBatcher(exporter, schedule_delay_s=3600, max_queue_size=20)
    for _ in range(3):
        for _ in range(4):
            batcher.on_end(make_span(attributes={"text": LONG[: LEAST_BYTES // 5]}))
        eventually(lambda: batcher.stats().queued == 0 or batcher._queue.bytes_waiting <= LEAST_BYTES // 2)
        assert batcher.force_flush(20_000)
    assert batcher._queue.bytes_waiting == batcher._queue.bytes_taken == 0
    assert batcher._queue.shortened == 0
    assert sum(map(len, exporter.batches)) == 12
    assert batcher.shutdown()


def test_a_crowd_of_heavy_spans(
    receiver: Received, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """All large spans arrive, the first ones whole; small spans are unchanged; one line reports the pruned ones."""
    batcher = open_batcher(
        receiver.endpoint,  # type: ignore[attr-defined]  # either kind has one
        batcher={"schedule_delay_s": 3600, "max_queue_size": 100, "max_batch_size": 100},
    )
    receiver.gate = gate = threading.Event()
    for n in range(40):
        batcher.on_end(make_span(f"heavy{n}", {"first": n, "text": LONG[: LEAST_BYTES // 8]}))
        batcher.on_end(make_span(f"light{n}", ORDINARY))
    gate.set()
    assert batcher.force_flush(20_000)
    assert sorted(receiver.names) == sorted(f"{kind}{n}" for kind in ("light", "heavy") for n in range(40))
    by_name = {span.name: {a.key: a.value for a in span.attributes} for span in receiver.spans}
    assert len(by_name["heavy0"]["text"].string_value) == 32 * 1024
    assert all(by_name[f"heavy{n}"]["first"].int_value == n for n in range(40))
    assert all(len(by_name[f"light{n}"]) == len(ORDINARY) for n in range(40))
    assert batcher._queue.shortened > 0
    assert f"0 spans were dropped and {batcher._queue.shortened} shortened" in caplog.text
    assert batcher.shutdown()


def test_what_is_given_up_holds_nothing() -> None:
    """No bytes are counted after a shutdown."""
    exporter = Recording()
    exporter.gate.clear()
    batcher = SpanBatcher(exporter, schedule_delay_s=0.01)
    for _ in range(5):
        batcher.on_end(make_span(attributes={"text": LONG[:10_000]}))
    assert not batcher.shutdown(0)
    exporter.gate.set()
    assert batcher._queue.bytes_waiting == batcher._queue.bytes_taken == 0


@pytest.mark.parametrize("heavy", [False, True])
def test_names_that_are_none(heavy: bool, receiver: Received, open_batcher: Open) -> None:
    """A name that is not text is sent as text, and no span is lost."""
    batcher = open_batcher(receiver.endpoint)  # type: ignore[attr-defined]  # either kind has one
    name: Any = None
    attributes = {"long": LONG * 5} if heavy else {}
    batcher.on_end(make_span(name, attributes=attributes, events=[Event(name)]))
    assert batcher.force_flush(20_000)
    (got,) = receiver.spans
    assert (got.name, got.events[0].name) == ("None", "None")
    assert batcher.shutdown()


def test_real_spans_of_the_sdk(receiver: Received, open_batcher: Open) -> None:
    """Spans of the SDK are sized and pruned too."""
    batcher = open_batcher(receiver.endpoint)  # type: ignore[attr-defined]  # either kind has one
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(batcher)
    with provider.get_tracer("t").start_as_current_span("one") as span:
        span.set_attributes({f"k{n}": LONG[:100_000] for n in range(100)})
        span.record_exception(ValueError(LONG))
        assert isinstance(span, ReadableSpan)
    assert batcher.force_flush(20_000)
    (got,) = receiver.spans
    assert (len(got.attributes), got.events[0].name) == (100, "exception")
    assert batcher._queue.shortened == 1
    assert batcher.shutdown()
