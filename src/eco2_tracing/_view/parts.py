"""Splits requests into parts of one trace each, with what the list of traces shows of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

MOST_NS = 2**63 - 1  # SQLite's largest integer
_LONGEST, _LONGEST_NAME = 512, 256
_BUILD = ("service.name", "service.instance.id", "service.version")
_SERVER, _CONSUMER, _ERROR = 2, 5, 2
_METHOD = ("http.request.method", "http.method")
_STATUS = ("http.response.status_code", "http.status_code", "rpc.grpc.status_code")


@dataclass(slots=True)
class Part:
    """What one request has of one trace.

    Attributes:
        trace_id: 32 hex digits.
        message: The request with the spans or log records of this trace alone.
        rank: 2 if it has a span without parent, 1 if it has a server's, 0 if it has others, -1 if it has none.
        root_start: The start of the first span of that rank, in nanoseconds.
        service: Its service.
        name: Its name.
        status: Its status code, or an empty text.
        route: Method and route of the first span with ``http.route``.
        start: The first start of a span, in nanoseconds.
        end: The last end of a span, in nanoseconds.
        spans: The number of spans.
        errors: The number of spans with the status ERROR.
        logs: The number of log records.
        builds: The first start and the last end of the spans of each service, instance and version.
    """

    trace_id: str
    message: Message
    rank: int = -1
    root_start: int = MOST_NS
    service: str = ""
    name: str = ""
    status: str = ""
    route: str = ""
    start: int = MOST_NS
    end: int = 0
    spans: int = 0
    errors: int = 0
    logs: int = 0
    builds: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)


def split_traces(request: ExportTraceServiceRequest) -> tuple[list[Part], int]:
    """Return the parts, and how many spans have an invalid id."""
    parts: dict[bytes, Part] = {}
    refused = 0
    for group in request.resource_spans:
        build = build_of(_texts(group.resource.attributes, _BUILD))
        for scoped in group.scope_spans:
            scopes: dict[bytes, ScopeSpans] = {}
            for span in scoped.spans:
                trace_id = span.trace_id
                if not _is_id(trace_id, 16) or not _is_id(span.span_id, 8):
                    refused += 1
                    continue
                part = parts.get(trace_id)
                if part is None:
                    part = parts[trace_id] = Part(trace_id.hex(), ExportTraceServiceRequest())
                scope = scopes.get(trace_id)
                if scope is None:
                    made = part.message.resource_spans.add(schema_url=group.schema_url)
                    made.resource.CopyFrom(group.resource)
                    scope = scopes[trace_id] = made.scope_spans.add(schema_url=scoped.schema_url)
                    scope.scope.CopyFrom(scoped.scope)
                scope.spans.append(span)
                _count(part, span, build)
    return list(parts.values()), refused


def build_of(resource: Mapping[str, object]) -> tuple[str, str, str]:
    """Return service, instance and version of a resource, shortened. Without an instance, the version stands for it."""
    service, instance, version = (str(resource.get(key, ""))[:_LONGEST_NAME] for key in _BUILD)
    return service, instance or version, version


def _count(part: Part, span: Span, build: tuple[str, str, str]) -> None:
    start, end = min(span.start_time_unix_nano, MOST_NS), min(span.end_time_unix_nano, MOST_NS)
    first, last = part.builds.get(build, (MOST_NS, 0))
    part.builds[build] = min(first, start), max(last, start, end)
    part.spans += 1
    part.errors += span.status.code == _ERROR
    part.start = min(part.start, start)
    part.end = max(part.end, start, end)
    is_server = span.kind in (_SERVER, _CONSUMER)
    rank = 2 if not span.parent_span_id else int(is_server)
    first = rank > part.rank or (rank == part.rank and start < part.root_start)
    if not first and (part.route or not is_server):
        return
    found = _texts(span.attributes, ("http.route", *_METHOD, *_STATUS)) if rank else {}
    if not part.route and "http.route" in found:
        method = next((found[key] for key in _METHOD if key in found), "")
        part.route = f"{method} {found['http.route']}".strip()
    if first:
        part.rank, part.root_start, part.service, part.name = rank, start, build[0], span.name[:_LONGEST]
        part.status = next((found[key] for key in _STATUS if key in found), "")


def split_logs(request: ExportLogsServiceRequest) -> tuple[list[Part], int]:
    """Return the parts, and how many log records have no trace id."""
    parts: dict[bytes, Part] = {}
    refused = 0
    for group in request.resource_logs:
        for scoped in group.scope_logs:
            scopes: dict[bytes, ScopeLogs] = {}
            for record in scoped.log_records:
                trace_id = record.trace_id
                if not _is_id(trace_id, 16):
                    refused += 1
                    continue
                part = parts.get(trace_id)
                if part is None:
                    part = parts[trace_id] = Part(trace_id.hex(), ExportLogsServiceRequest())
                scope = scopes.get(trace_id)
                if scope is None:
                    made = part.message.resource_logs.add()
                    made.resource.CopyFrom(group.resource)
                    scope = scopes[trace_id] = made.scope_logs.add()
                    scope.scope.CopyFrom(scoped.scope)
                scope.log_records.append(record)
                part.logs += 1
    return list(parts.values()), refused


def _is_id(given: bytes, size: int) -> bool:
    return len(given) == size and any(given)


def _texts(attributes: Iterable[KeyValue], keys: tuple[str, ...]) -> dict[str, str]:
    """Return some attributes as texts."""
    found = {}
    for pair in attributes:
        if pair.key in keys:
            which = pair.value.WhichOneof("value")
            if which in ("string_value", "int_value"):
                found[pair.key] = str(getattr(pair.value, which))[:_LONGEST]
    return found
