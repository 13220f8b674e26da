"""Suppression of instrumentation, by the context keys of contrib's public context managers."""

from __future__ import annotations

from opentelemetry.context import Context, get_current
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation


def _suppressed() -> Context:
    before = get_current()
    with suppress_instrumentation(), suppress_http_instrumentation():
        return Context({key: value for key, value in get_current().items() if before.get(key) is not value})


SUPPRESSED = _suppressed()
"""A context in which no instrumentation is active."""

_KEYS = tuple(SUPPRESSED)


def is_suppressed(context: Context) -> bool:
    """Return True if a context suppresses all instrumentation, or that of HTTP clients."""
    return any(context.get(key) for key in _KEYS)
