"""Trace context in the headers of messages of any producer."""

from __future__ import annotations

import pytest
from opentelemetry import propagate, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from eco2_tracing import TracingSettings, configure_tracing, span, tracing_status
from eco2_tracing._instrumentation.common.outgoing_headers import outgoing
from eco2_tracing._instrumentation.messaging.model import incoming

TRACE_ID = 0x463AC35C9F6413AD48485A3953BB6124
TRACEPARENT = f"00-{TRACE_ID:032x}-a2fb4a1d1a96d312-01"
ANYBODYS = ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "traceparent"]
OURS = [*ANYBODYS, "tracestate"]


def producer(headers):
    """Return the span context of a message's headers."""
    return trace.get_current_span(incoming(headers)).get_span_context()


@pytest.fixture
def current(captured_spans):
    """A span that is current."""
    with span("request") as current:
        yield current.get_span_context()


def test_headers_are_added_to_a_copy(current):
    """What the service gave stays what it was, however often it is used."""
    given = [("shop", b"tea"), ("shop", b"coffee")]
    for _ in range(2):
        sent = outgoing(given, "broker")
        assert [name for name, _ in sent] == ["shop", "shop", *OURS]
    assert given == [("shop", b"tea"), ("shop", b"coffee")]
    assert producer(sent).span_id == current.span_id


def test_a_forwarded_message_loses_the_headers_that_it_came_with(current):
    """Trace headers of the former producer go, in any case and of either type; other values stay what they are."""
    table = {"nested": [1, None]}
    came = [
        ("B3", b"0"),
        ("traceparent", TRACEPARENT),
        ("uber-trace-id", "1:2:3:1"),
        ("x", table),
        ("y", None),
    ]
    sent = outgoing(came, "broker")
    assert sent[:2] == [("x", table), ("y", None)]
    assert [name for name, _ in sent[2:]] == OURS
    assert producer(sent).span_id == current.span_id


@pytest.mark.parametrize(
    ("host", "own"), [(None, True), ("kafka", True), ("10.0.0.1", True), ("pkc-1.cloud.example", False)]
)
def test_a_broker_elsewhere_gets_trace_context_alone(current, host, own):
    """Baggage goes to internal brokers; the status lists external ones."""
    from opentelemetry import baggage, context

    token = context.attach(baggage.set_baggage("shop", "tea"))
    try:
        names = [name for name, _ in outgoing([], host)]
    finally:
        context.detach(token)
    assert names == ([*OURS, "baggage"] if own else ANYBODYS)
    assert (host in tracing_status().external_hosts) is not own or host is None


def test_a_hundred_brokers_elsewhere_are_remembered(current):
    """The status lists a limited number of external hosts."""
    for number in range(101):
        outgoing([], f"kafka-{number}.cloud.example")
    assert len(tracing_status().external_hosts) == 100


def test_nothing_goes_elsewhere_where_that_is_asked_for():
    """Without propagation to other hosts their messages have no trace headers."""
    configure_tracing(settings=TracingSettings(traces_exporter=("none",), propagate_externally=False))
    with span("request"):
        assert outgoing([("traceparent", "00-1-2-01")], "pkc-1.cloud.example") == []
    assert tracing_status().external_hosts == ()


def test_somebody_elses_propagator_is_used(current):
    """A propagator that the service has set writes and reads, too."""
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    try:
        sent = outgoing([("traceparent", "old"), ("shop", b"tea")], "broker")
        assert [name for name, _ in sent] == ["shop", "traceparent", "tracestate"]
        assert producer(sent).span_id == current.span_id
    finally:
        propagate.set_global_textmap(before)


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", TRACEPARENT.encode())],
        [("TraceParent", TRACEPARENT)],
        [("traceparent", b"00-older"), ("traceparent", TRACEPARENT.encode())],
        [("traceparent", TRACEPARENT), ("b3", b"\xff\xfe"), ("x", 7), ("y", None), ("z", {"a": 1})],
        [
            ("X-B3-TraceId", f"{TRACE_ID:032x}".encode()),
            ("X-B3-SpanId", b"a2fb4a1d1a96d312"),
            ("X-B3-Sampled", b"1"),
        ],
        [("b3", f"{TRACE_ID:032x}-a2fb4a1d1a96d312-1".encode())],
    ],
)
def test_headers_are_read_as_they_come(captured_spans, headers):
    """Bytes or text, any case, any format; the last of a name, as in Kafka; and nothing else stands in the way."""
    found = producer(headers)
    assert (found.trace_id, found.is_remote) == (TRACE_ID, True)


@pytest.mark.parametrize("headers", [None, [], [("traceparent", b"\xff")], [("b3", "no")], [("x", 1)]])
def test_a_message_without_context(captured_spans, headers):
    """Nothing comes of headers that say nothing."""
    assert not producer(headers).is_valid
