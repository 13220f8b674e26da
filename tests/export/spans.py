"""Spans to send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

RESOURCE = Resource({"service.name": "orders"})
SCOPE = InstrumentationScope("tests", "1")


def make_span(
    name: str = "work", attributes: Mapping[str, Any] | None = None, *, sampled: bool = True, **fields: Any
) -> ReadableSpan:
    """Make an ended span."""
    defaults: dict[str, Any] = {
        "context": SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(sampled)),
        "resource": RESOURCE,
        "instrumentation_scope": SCOPE,
        "start_time": 1,
        "end_time": 2,
    }
    return ReadableSpan(name, attributes=attributes, **(defaults | fields))
