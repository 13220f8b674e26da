"""Zipkin v2 JSON as OTLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

_KINDS = {"SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_PEER = {"serviceName": "peer.service", "ipv4": "network.peer.address", "ipv6": "network.peer.address"}


def request_of_zipkin(body: bytes) -> ExportTraceServiceRequest:
    """Return the body of ``POST /api/v2/spans`` as an OTLP request.

    Raises:
        ValueError: The body is no JSON array of Zipkin v2 spans.
    """
    request = ExportTraceServiceRequest()
    scopes: dict[str, ScopeSpans] = {}
    spans = orjson.loads(body.decode("utf-8", "replace"))
    try:
        for span in spans:
            service = str((span.get("localEndpoint") or {}).get("serviceName", ""))
            scope = scopes.get(service)
            if scope is None:
                group = request.resource_spans.add()
                group.resource.attributes.add(key="service.name").value.string_value = service
                scope = scopes[service] = group.scope_spans.add()
                scope.scope.name = "zipkin"
            _fill(scope.spans.add(), span)
    except (AttributeError, KeyError, TypeError, ValueError) as reason:
        raise ValueError(f"not an array of Zipkin v2 spans: {reason!r}") from None
    return request


def _fill(made: Span, span: Mapping[str, object]) -> None:
    made.trace_id = bytes.fromhex(str(span["traceId"]).zfill(32))
    made.span_id = bytes.fromhex(str(span["id"]).zfill(16))
    parent = span.get("parentId")
    if parent:
        made.parent_span_id = bytes.fromhex(str(parent).zfill(16))
    made.name = str(span.get("name") or "")
    made.kind = _KINDS.get(str(span.get("kind")), 1)  # type: ignore[assignment]  # the numbers of the enumeration
    made.start_time_unix_nano = _number(span.get("timestamp")) * 1000
    made.end_time_unix_nano = made.start_time_unix_nano + _number(span.get("duration")) * 1000
    tags = _mapping(span.get("tags"))
    for key, value in tags.items():
        made.attributes.add(key=key).value.string_value = str(value)
    if "error" in tags:  # whatever its value
        made.status.code = 2  # type: ignore[assignment]  # STATUS_CODE_ERROR
        made.status.message = str(tags["error"])
    for key, value in _mapping(span.get("remoteEndpoint")).items():
        if key in _PEER:
            made.attributes.add(key=_PEER[key]).value.string_value = str(value)
        elif key == "port":
            made.attributes.add(key="network.peer.port").value.int_value = _number(value)
    annotations = span.get("annotations")
    for note in annotations if isinstance(annotations, list) else ():
        made.events.add(name=str(note.get("value", "")), time_unix_nano=_number(note.get("timestamp")) * 1000)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int:
    return int(str(value or 0))
