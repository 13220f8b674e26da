"""Our own exports and polls are not traced, neither here nor by a proxy on the way."""

from __future__ import annotations

import os

from opentelemetry.context import Context, get_current
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation


def _suppressed() -> Context:
    before = get_current()
    with suppress_instrumentation(), suppress_http_instrumentation():
        return Context({key: value for key, value in get_current().items() if before.get(key) is not value})


SUPPRESSED = _suppressed()
"""A context in which no instrumentation is active."""

_KEYS = frozenset(SUPPRESSED)


def is_suppressed(context: Context) -> bool:
    """Return True if a context suppresses all instrumentation, or that of HTTP clients."""
    if _KEYS.isdisjoint(context):  # usual, and one call
        return False
    return any(context.get(key) for key in _KEYS)


def untraced_headers() -> dict[str, str]:
    """Return headers with the decision "not sampled", in each format that a mesh extracts.

    Without a decision in the request, a sidecar makes one, and begins a trace for each export that it samples.
    Envoy's Zipkin tracer extracts the first header, its OpenTelemetry tracer the second.
    """
    return {
        "x-b3-sampled": "0",
        "traceparent": f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00",
    }
