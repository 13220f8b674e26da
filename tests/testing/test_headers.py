"""Trace headers, and the assertions that a trace was continued."""

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


def test_b3_headers_have_envoys_form():
    """Accept, deny, deferred and debug."""
    ids = {"X-B3-TraceId": TRACE_ID, "X-B3-SpanId": SPAN_ID}
    assert b3_headers() == {**ids, "X-B3-Sampled": "1"}
    assert b3_headers(sampled=False) == {**ids, "X-B3-Sampled": "0"}
    assert b3_headers(sampled=None) == ids
    assert b3_headers(debug=True) == {**ids, "X-B3-Flags": "1"}
    assert b3_headers("a" * 16, "b" * 16)["X-B3-TraceId"] == "a" * 16


def test_traceparent_flag():
    """01 or 00."""
    assert traceparent_headers() == {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    assert traceparent_headers(sampled=False)["traceparent"].endswith("-00")


def child(trace_id=TRACE_ID, parent=SPAN_ID):
    """A child of the caller's span."""
    return ReceivedSpan("GET /", SpanKind.SERVER, trace_id, "1" * 16, parent)


def test_assert_continued_returns_the_trace():
    """A child of the caller's span is enough; short trace ids are padded."""
    held = SpanStore()
    held._add([child(), child("2" * 32)])
    assert assert_continued(held).spans == (child(),)
    short = child("a1".zfill(32), "b" * 16)
    assert assert_continued([short], trace_id="A1", parent_span_id="B" * 16).spans == (short,)


@pytest.mark.parametrize("spans", [[], [child("2" * 32)], [child(parent="3" * 16)]])
def test_assert_continued_fails(spans):
    """For another trace, another parent or no span; the message lists the spans."""
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
def test_assert_sent_on_returns_the_span_id(headers):
    """For every format, in any case; a bare decision is ignored."""
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
def test_assert_sent_on_fails(headers, message):
    """For missing headers, another trace, and formats that differ."""
    with pytest.raises(AssertionError, match=message):
        assert_sent_on(headers)
