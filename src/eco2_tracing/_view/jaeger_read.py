"""The JSON of Jaeger's API as OTLP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

    from eco2_tracing._view.jaeger_write import Json

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUSES = {"OK": 1, "ERROR": 2}
# The tags in which Jaeger keeps the fields of OTLP.
_OWN = frozenset(
    {
        "span.kind", "otel.status_code", "otel.status_description", "otel.scope.name", "otel.scope.version",
        "w3c.tracestate", "internal.span.format",
    }
)  # fmt: skip


def request_of_jaeger(document: Json) -> ExportTraceServiceRequest:
    """Return the traces of a document as an OTLP request.

    Args:
        document: The response of Jaeger's ``/api/traces/<id>``.

    Raises:
        ValueError: It is no such document.
    """
    request = ExportTraceServiceRequest()
    try:
        for trace in _list(document.get("data")):
            _add(request, trace)
    except (AttributeError, KeyError, TypeError, ValueError) as reason:
        raise ValueError(f"not the JSON of Jaeger: {reason!r}") from None
    return request


def _add(request: ExportTraceServiceRequest, trace: Json) -> None:
    scopes: dict[tuple[str, str, str], ScopeSpans] = {}
    processes: Mapping[str, Json] = trace["processes"]  # type: ignore[assignment]  # another type is an AttributeError
    for span in _list(trace.get("spans")):
        process, tags = str(span["processID"]), _list(span.get("tags"))
        own = {str(tag["key"]): str(tag.get("value")) for tag in tags if tag["key"] in _OWN}
        key = (process, own.get("otel.scope.name", ""), own.get("otel.scope.version", ""))
        if key not in scopes:
            group = request.resource_spans.add()
            fields = processes.get(process, {})
            service: Json = {"key": "service.name", "value": fields.get("serviceName", "")}
            _fill(group.resource.attributes.add, [service, *_list(fields.get("tags"))])
            scopes[key] = group.scope_spans.add()
            scopes[key].scope.name, scopes[key].scope.version = key[1:]
        _fill_span(scopes[key].spans.add(), span, tags, own)


def _fill_span(made: Span, span: Json, tags: Iterable[Json], own: Mapping[str, str]) -> None:
    made.trace_id = bytes.fromhex(str(span["traceID"]).zfill(32))
    made.span_id = bytes.fromhex(str(span["spanID"]).zfill(16))
    made.name = str(span.get("operationName", ""))
    made.start_time_unix_nano = int(str(span["startTime"])) * 1000
    made.end_time_unix_nano = made.start_time_unix_nano + int(str(span.get("duration", 0))) * 1000
    made.trace_state = own.get("w3c.tracestate", "")
    made.kind = _KINDS.get(own.get("span.kind", ""), 1)  # type: ignore[assignment]  # the number of the enumeration
    made.status.message = own.get("otel.status_description", "")
    status = own.get("otel.status_code") or ("ERROR" if _is_error(tags) else "")
    made.status.code = _STATUSES.get(status, 0)  # type: ignore[assignment]  # as above
    _fill(made.attributes.add, [tag for tag in tags if tag["key"] not in _OWN and not _is_error([tag])])
    for reference in _list(span.get("references")):
        span_id = bytes.fromhex(str(reference["spanID"]).zfill(16))
        if reference["refType"] == "CHILD_OF" and not made.parent_span_id:
            made.parent_span_id = span_id
        else:
            made.links.add(trace_id=bytes.fromhex(str(reference["traceID"]).zfill(32)), span_id=span_id)
    for log in _list(span.get("logs")):
        event = made.events.add(time_unix_nano=int(str(log["timestamp"])) * 1000)
        fields = _list(log.get("fields"))
        event.name = next((str(one.get("value")) for one in fields if one["key"] == "event"), "")
        _fill(event.attributes.add, [one for one in fields if one["key"] != "event"])


def _is_error(tags: Iterable[Json]) -> bool:
    return any(tag["key"] == "error" and tag.get("value") in (True, "true") for tag in tags)


def _fill(add: Callable[..., KeyValue], tags: Iterable[Json]) -> None:
    for tag in tags:
        value, made = tag.get("value"), add(key=str(tag["key"])).value
        if isinstance(value, bool):
            made.bool_value = value
        elif isinstance(value, int) and tag.get("type") != "float64":
            made.int_value = value
        elif isinstance(value, int | float):
            made.double_value = value
        else:
            made.string_value = str(value)


def _list(value: object) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} in the place of an array")
    return value
