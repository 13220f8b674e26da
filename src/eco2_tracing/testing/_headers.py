"""Trace headers of an inbound request, and assertions that the trace was continued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eco2_tracing.testing._model import ReceivedSpan, ReceivedTrace, group_by_trace
from eco2_tracing.testing._store import SpanStore

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
"""The default trace id of the helpers below, from the examples of the specifications."""

SPAN_ID = "00f067aa0ba902b7"
"""The default span id of the caller."""


def b3_headers(
    trace_id: str = TRACE_ID,
    span_id: str = SPAN_ID,
    *,
    sampled: bool | None = True,
    debug: bool = False,
) -> dict[str, str]:
    """Return the headers that Envoy's Zipkin tracer sends to a service.

    Args:
        trace_id: 16 or 32 hex digits.
        span_id: The span id of the caller: 16 hex digits.
        sampled: The sampling decision; `None` defers it to the service.
        debug: Send `X-B3-Flags: 1` in place of the decision.

    Returns:
        `X-B3-*` headers, for the ``headers`` argument of an HTTP client.

    Examples:
        >>> b3_headers()["X-B3-Sampled"]
        '1'
    """
    headers = {"X-B3-TraceId": trace_id, "X-B3-SpanId": span_id}
    if debug:
        headers["X-B3-Flags"] = "1"
    elif sampled is not None:
        headers["X-B3-Sampled"] = "1" if sampled else "0"
    return headers


def traceparent_headers(
    trace_id: str = TRACE_ID, span_id: str = SPAN_ID, *, sampled: bool = True
) -> dict[str, str]:
    """Return the W3C Trace Context header of the same trace.

    Args:
        trace_id: 32 hex digits.
        span_id: The span id of the caller: 16 hex digits.
        sampled: The sampling decision.

    Returns:
        `traceparent`, for the ``headers`` argument of an HTTP client.
    """
    return {"traceparent": f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"}


def assert_continued(
    spans: SpanStore | Iterable[ReceivedSpan],
    *,
    trace_id: str = TRACE_ID,
    parent_span_id: str = SPAN_ID,
) -> ReceivedTrace:
    """Assert that a request continued the trace of its headers.

    Args:
        spans: A receiver, captured spans, or some of their spans.
        trace_id: The trace id of the headers.
        parent_span_id: The span id of the headers.

    Returns:
        The spans of that trace.

    Raises:
        AssertionError: No span of that trace is a child of that span.
    """
    held = spans.spans if isinstance(spans, SpanStore) else tuple(spans)
    wanted, parent = trace_id.lower().zfill(32), parent_span_id.lower()
    ours = tuple(span for span in held if span.trace_id == wanted)
    if any(span.parent_span_id == parent for span in ours):
        return group_by_trace(ours)[0]
    listing = "\n".join(f"  {span}" for span in held) or "  no span at all"
    raise AssertionError(f"no span continued trace {wanted} below span {parent}; instead there is\n{listing}")


def _ids_sent(headers: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Trace and span id, by the header that carries them."""
    sent = {}
    low = {name.lower(): value for name, value in headers.items()}
    if "x-b3-traceid" in low:
        sent["x-b3-traceid"] = (low["x-b3-traceid"], low.get("x-b3-spanid", ""))
    for name, skip in (("b3", 0), ("traceparent", 1)):
        parts = low.get(name, "").split("-")[skip:]
        if len(parts) > 1:
            sent[name] = (parts[0], parts[1])
    return {name: (trace.lower().zfill(32), span.lower()) for name, (trace, span) in sent.items()}


def assert_sent_on(headers: Mapping[str, str], *, trace_id: str = TRACE_ID) -> str:
    """Assert that every trace header of an outgoing request carries the trace.

    Args:
        headers: The headers of the outgoing request, such as `request.headers` of httpx.
        trace_id: The expected trace id.

    Returns:
        The span id sent: 16 hex digits.

    Raises:
        AssertionError: There is no trace header, or one has another trace id, or two have different span ids.
    """
    sent = _ids_sent(headers)
    assert sent, f"no trace header was sent, only: {', '.join(sorted(headers)) or 'none at all'}"
    wanted = trace_id.lower().zfill(32)
    other = {name: trace for name, (trace, _) in sent.items() if trace != wanted}
    assert not other, f"another trace than {wanted} was sent: {other}"
    spans = {name: span for name, (_, span) in sent.items()}
    assert len(set(spans.values())) == 1, f"the headers have different spans: {spans}"
    return next(iter(spans.values()))
