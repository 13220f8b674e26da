"""Zipkin v2 JSON, which the proxies of a mesh send, to received spans.

https://zipkin.io/zipkin-api/zipkin2-api.yaml
"""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode

from eco2_tracing.testing._model import ReceivedEvent, ReceivedSpan

_KINDS = {
    "SERVER": SpanKind.SERVER,
    "CLIENT": SpanKind.CLIENT,
    "PRODUCER": SpanKind.PRODUCER,
    "CONSUMER": SpanKind.CONSUMER,
}


def _span(span: dict[str, Any]) -> ReceivedSpan:
    tags = dict(span.get("tags", {}))
    start_ns = int(span.get("timestamp", 0)) * 1000
    parent = span.get("parentId")
    return ReceivedSpan(
        name=span.get("name", ""),
        kind=_KINDS.get(span.get("kind", ""), SpanKind.INTERNAL),
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
    """The spans of one `POST /api/v2/spans`.

    Raises:
        ValueError: The body is not a JSON array of Zipkin v2 spans.
    """
    try:
        return [_span(span) for span in json.loads(body)]
    except (AttributeError, KeyError, TypeError) as reason:
        raise ValueError(f"not an array of Zipkin v2 spans: {reason!r}") from reason
