"""Received spans of OTLP protobuf, of Zipkin v2 JSON and of the SDK."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, StatusCode

from eco2_tracing.testing._model import ReceivedEvent, ReceivedLink, ReceivedSpan

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span


# opentelemetry-proto, trace.proto: SpanKind and Status.StatusCode.
_KINDS = {
    1: SpanKind.INTERNAL,
    2: SpanKind.SERVER,
    3: SpanKind.CLIENT,
    4: SpanKind.PRODUCER,
    5: SpanKind.CONSUMER,
}
_STATUSES = {1: StatusCode.OK, 2: StatusCode.ERROR}
_ZIPKIN_KINDS = {
    "SERVER": SpanKind.SERVER,
    "CLIENT": SpanKind.CLIENT,
    "PRODUCER": SpanKind.PRODUCER,
    "CONSUMER": SpanKind.CONSUMER,
}


def plain_value(value: AnyValue) -> object:
    """Return a value of OTLP as a plain Python value."""
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return tuple(plain_value(item) for item in value.array_value.values)
    if which == "kvlist_value":
        return plain_attributes(value.kvlist_value.values)
    plain: object = getattr(value, which)
    return plain


def plain_attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    """Return attributes of OTLP as plain Python values."""
    return {pair.key: plain_value(pair.value) for pair in pairs}


def _span(span: Span, resource: dict[str, object], scoped: ScopeSpans) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=_KINDS.get(span.kind, SpanKind.INTERNAL),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() or None,
        attributes=plain_attributes(span.attributes),
        resource=resource,
        status=_STATUSES.get(span.status.code, StatusCode.UNSET),
        status_description=span.status.message,
        events=tuple(
            ReceivedEvent(event.name, event.time_unix_nano, plain_attributes(event.attributes))
            for event in span.events
        ),
        links=tuple(
            ReceivedLink(
                link.trace_id.hex(),
                link.span_id.hex(),
                plain_attributes(link.attributes),
                link.trace_state,
            )
            for link in span.links
        ),
        trace_state=span.trace_state,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        scope=scoped.scope.name,
        scope_version=scoped.scope.version,
        flags=span.flags,
        dropped_attributes=span.dropped_attributes_count,
    )


def spans_of_request(request: ExportTraceServiceRequest) -> list[ReceivedSpan]:
    """The spans of one export request, in order."""
    received: list[ReceivedSpan] = []
    for group in request.resource_spans:
        resource = plain_attributes(group.resource.attributes)
        for scoped in group.scope_spans:
            received.extend(_span(span, resource, scoped) for span in scoped.spans)
    return received


def _span_of_zipkin(span: dict[str, Any]) -> ReceivedSpan:
    tags = dict(span.get("tags", {}))
    start_ns = int(span.get("timestamp", 0)) * 1000
    parent = span.get("parentId")
    return ReceivedSpan(
        name=span.get("name", ""),
        kind=_ZIPKIN_KINDS.get(span.get("kind", ""), SpanKind.INTERNAL),
        trace_id=str(span["traceId"]).lower().zfill(32),
        span_id=str(span["id"]).lower().zfill(16),
        parent_span_id=str(parent).lower().zfill(16) if parent else None,
        attributes=tags,
        resource={"service.name": span.get("localEndpoint", {}).get("serviceName", "")},
        # A tag "error" marks a failure, whatever its value.
        status=StatusCode.ERROR if "error" in tags else StatusCode.UNSET,
        events=tuple(
            ReceivedEvent(note.get("value", ""), int(note.get("timestamp", 0)) * 1000)
            for note in span.get("annotations", ())
        ),
        start_ns=start_ns,
        end_ns=start_ns + int(span.get("duration", 0)) * 1000,
        scope="zipkin",
    )


def spans_of_zipkin(body: bytes) -> list[ReceivedSpan]:
    """The spans of one `POST /api/v2/spans`; `ValueError` if it is not a JSON array of Zipkin v2 spans."""
    try:
        return [_span_of_zipkin(span) for span in json.loads(body)]
    except (AttributeError, KeyError, TypeError) as reason:
        raise ValueError(f"not an array of Zipkin v2 spans: {reason!r}") from reason
