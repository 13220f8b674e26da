"""Header names as lower-case bytes, the form of ASGI."""

from __future__ import annotations

B3 = b"b3"
B3_TRACE_ID = b"x-b3-traceid"
B3_SPAN_ID = b"x-b3-spanid"
B3_PARENT_SPAN_ID = b"x-b3-parentspanid"
B3_SAMPLED = b"x-b3-sampled"
B3_FLAGS = b"x-b3-flags"
TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"
BAGGAGE = b"baggage"
REQUEST_ID = b"x-request-id"

TRACE_HEADERS: frozenset[bytes] = frozenset(
    {
        B3, B3_TRACE_ID, B3_SPAN_ID, B3_PARENT_SPAN_ID, B3_SAMPLED, B3_FLAGS, TRACEPARENT, TRACESTATE,
        b"elastic-apm-traceparent", b"grpc-trace-bin",
        b"ot-tracer-sampled", b"ot-tracer-spanid", b"ot-tracer-traceid",
        b"sw8", b"sw8-correlation", b"sw8-x",
        b"uber-trace-id", b"x-amzn-trace-id", b"x-cloud-trace-context",
        b"x-datadog-origin", b"x-datadog-parent-id", b"x-datadog-sampling-priority", b"x-datadog-tags",
        b"x-datadog-trace-id",
        b"x-ot-span-context",
    }
)  # fmt: skip
"""All known trace headers. They are removed from each attempt of a call before ours are injected.

``baggage`` and ``x-request-id`` are missing here: an application may set those itself.
"""

VENDOR_BAGGAGE_PREFIXES = (b"ot-baggage-", b"uberctx-")
"""Prefixes of baggage headers of the OpenTracing and Jaeger formats, which have one header for each member."""
