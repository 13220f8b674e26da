"""Headers of an inbound trace, and the assertions that a call went on with it."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind

from eco2_tracing.testing import (
    SPAN_ID,
    TRACE_ID,
    ReceivedSpan,
    SpanStore,
    assert_continued,
    assert_sent_on,
    b3_headers,
    traceparent_headers,
)


def test_b3_headers_say_the_decision_as_envoy_does():
    """Accept, deny, deferred and debug each have their form."""
    ids = {"X-B3-TraceId": TRACE_ID, "X-B3-SpanId": SPAN_ID}
    assert b3_headers() == {**ids, "X-B3-Sampled": "1"}
    assert b3_headers(sampled=False) == {**ids, "X-B3-Sampled": "0"}
    assert b3_headers(sampled=None) == ids
    assert b3_headers(debug=True) == {**ids, "X-B3-Flags": "1"}
    assert b3_headers("a" * 16, "b" * 16)["X-B3-TraceId"] == "a" * 16


def test_traceparent_says_the_decision():
    """The flag is 01 or 00."""
    assert traceparent_headers() == {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    assert traceparent_headers(sampled=False)["traceparent"].endswith("-00")


def child(trace_id=TRACE_ID, parent=SPAN_ID):
    """A span below the caller's."""
    return ReceivedSpan("GET /", SpanKind.SERVER, trace_id, "1" * 16, parent)


def test_a_continued_trace_is_handed_over():
    """A child of the caller's span is enough; short trace ids are padded as they are sent on."""
    held = SpanStore()
    held._add([child(), child("2" * 32)])
    assert assert_continued(held).spans == (child(),)
    short = child("a1".zfill(32), "b" * 16)
    assert assert_continued([short], trace_id="A1", parent_span_id="B" * 16).spans == (short,)


@pytest.mark.parametrize("spans", [[], [child("2" * 32)], [child(parent="3" * 16)]])
def test_a_trace_not_continued_is_told(spans):
    """Another trace, another parent or nothing at all fails, and the message says what there is."""
    with pytest.raises(AssertionError, match=rf"(?s){TRACE_ID} below span {SPAN_ID}.*(GET /|no span)"):
        assert_continued(spans)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-B3-TraceId": TRACE_ID.upper(), "X-B3-SpanId": "1" * 16},
        {"b3": f"{TRACE_ID}-{'1' * 16}-1"},
        {"traceparent": f"00-{TRACE_ID}-{'1' * 16}-01", "b3": "0"},
        {**b3_headers(span_id="1" * 16), **traceparent_headers(span_id="1" * 16)},
    ],
)
def test_headers_that_carry_the_trace_give_the_span_id(headers):
    """Every form counts, in any case, and a bare decision does not."""
    assert assert_sent_on(headers) == "1" * 16


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "none at all"),
        ({"accept": "*/*"}, "only: accept"),
        (b3_headers("2" * 32), "another trace"),
        ({**b3_headers(), **traceparent_headers("2" * 32)}, "another trace"),
        ({**b3_headers(), **traceparent_headers(span_id="2" * 16)}, "different spans"),
    ],
)
def test_headers_that_do_not_are_told(headers, message):
    """Missing headers, another trace and formats that disagree fail, each by its name."""
    with pytest.raises(AssertionError, match=message):
        assert_sent_on(headers)
