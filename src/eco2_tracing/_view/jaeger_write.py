"""A trace as the JSON of Jaeger's API, which its page takes as an uploaded file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from eco2_tracing._view.trace import StoredTrace, shown

if TYPE_CHECKING:
    from eco2_tracing.testing import ReceivedSpan

Json = dict[str, object]


def jaeger_of(trace: StoredTrace) -> Json:
    """Return a trace as the response of Jaeger's ``/api/traces/<id>``."""
    processes: dict[str, Json] = {}
    names: dict[str, str] = {}
    spans = []
    for span in trace.spans:
        resource = shown(dict(span.resource))
        if resource not in names:
            names[resource] = f"p{len(names) + 1}"
            rest = {key: value for key, value in span.resource.items() if key != "service.name"}
            processes[names[resource]] = {"serviceName": span.service, "tags": _tags(rest)}
        spans.append(_span(span, names[resource]))
    data = {"traceID": trace.trace_id, "spans": spans, "processes": processes, "warnings": None}
    return {"data": [data], "total": 0, "limit": 0, "offset": 0, "errors": None}


def _span(span: ReceivedSpan, process: str) -> Json:
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": list(_references(span)),
        "startTime": span.start_ns // 1000,
        "duration": max(span.end_ns - span.start_ns, 0) // 1000,
        "tags": [*_tags(span.attributes), *_tags(dict(_own_tags(span)))],
        "logs": [
            {
                "timestamp": event.time_ns // 1000,
                "fields": [*_tags({"event": event.name} if event.name else {}), *_tags(event.attributes)],
            }
            for event in span.events
        ],
        "processID": process,
        "warnings": None,
    }


def _references(span: ReceivedSpan) -> Iterator[Json]:
    if span.parent_span_id is not None:
        yield {"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_span_id}
    for link in span.links:
        yield {"refType": "FOLLOWS_FROM", "traceID": link.trace_id, "spanID": link.span_id}


def _own_tags(span: ReceivedSpan) -> Iterator[tuple[str, object]]:
    """Yield the tags in which Jaeger keeps the fields of OTLP."""
    if span.scope:
        yield "otel.scope.name", span.scope
    if span.scope_version:
        yield "otel.scope.version", span.scope_version
    yield "span.kind", span.kind.name.lower()
    if span.status is not StatusCode.UNSET:
        yield "otel.status_code", span.status.name
    if span.is_error:
        yield "error", True
    if span.status_description:
        yield "otel.status_description", span.status_description
    if span.trace_state:
        yield "w3c.tracestate", span.trace_state


def _tags(attributes: Mapping[str, object]) -> list[Json]:
    return [_tag(key, value) for key, value in attributes.items()]


def _tag(key: str, value: object) -> Json:
    if isinstance(value, bool):
        return {"key": key, "type": "bool", "value": value}
    if isinstance(value, int):
        return {"key": key, "type": "int64", "value": value}
    if isinstance(value, float):
        return {"key": key, "type": "float64", "value": value}
    return {"key": key, "type": "string", "value": shown(value)}
