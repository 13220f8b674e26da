"""A trace of Jaeger's `/api/v3`, in OTLP's JSON, to received spans."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import SpanKind, StatusCode

from eco2_tracing.testing import ReceivedEvent, ReceivedLink, ReceivedSpan, ReceivedTrace

_KINDS = (SpanKind.INTERNAL, SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT)
_KINDS += (SpanKind.PRODUCER, SpanKind.CONSUMER)


def _value(value: dict[str, Any]) -> object:
    ((kind, given),) = value.items()
    if kind == "intValue":
        return int(given)
    if kind == "arrayValue":
        return tuple(_value(one) for one in given.get("values", ()))
    return given


def _attributes(given: dict[str, Any]) -> dict[str, object]:
    """Attributes without Jaeger's own, such as warnings about clocks."""
    pairs = {pair["key"]: _value(pair["value"]) for pair in given.get("attributes", ())}
    return {key: value for key, value in pairs.items() if not key.startswith("@jaeger@")}


def _span(span: dict[str, Any], resource: dict[str, object], scope: dict[str, str]) -> ReceivedSpan:
    status = span.get("status", {})
    return ReceivedSpan(
        name=span["name"],
        kind=_KINDS[span.get("kind", 0)],
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_span_id=span.get("parentSpanId") or None,
        attributes=_attributes(span),
        resource=resource,
        status=StatusCode(status.get("code", 0)),
        status_description=status.get("message", ""),
        events=tuple(
            ReceivedEvent(event["name"], int(event["timeUnixNano"]), _attributes(event))
            for event in span.get("events", ())
        ),
        links=tuple(
            ReceivedLink(link["traceId"], link["spanId"], _attributes(link), link.get("traceState", ""))
            for link in span.get("links", ())
        ),
        trace_state=span.get("traceState", ""),
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        scope=scope.get("name", ""),
        scope_version=scope.get("version", ""),
        flags=span.get("flags", 0),
    )


def trace_of_json(trace_id: str, answer: Any) -> ReceivedTrace:
    """The trace of a response; without spans if it is `None`."""
    spans = [
        _span(span, _attributes(part.get("resource", {})), scoped.get("scope", {}))
        for part in (answer or {}).get("result", {}).get("resourceSpans", ())
        for scoped in part.get("scopeSpans", ())
        for span in scoped["spans"]
    ]
    return ReceivedTrace(trace_id, tuple(sorted(spans, key=lambda one: one.start_ns)))
