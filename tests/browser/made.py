"""Traces that are made span by span and sent as OTLP; times are milliseconds after the begin of the trace."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.request import ProxyHandler, Request, build_opener

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from tests.view.requests import attributes

KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
LEVELS = {"DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17}
Values = Mapping[str, object]
_open = build_opener(ProxyHandler({})).open


@dataclass(frozen=True)
class Log:
    """A log record of a span."""

    service: str
    span: int
    at: float
    message: str
    level: str
    logger: str
    fields: Values


class Made:
    """A trace. Spans have the numbers 1, 2, …, which are their ids too.

    Args:
        trace_id: 32 hex digits; random ones by default.
        seconds_ago: When it began.
        resource: Attributes of the resource of every service.
    """

    def __init__(
        self, trace_id: str | None = None, seconds_ago: float = 1.0, resource: Values | None = None
    ) -> None:
        self.trace_id = trace_id or secrets.token_hex(16)
        self.begin_ns = time.time_ns() - int(seconds_ago * 1e9)
        self._resource = resource or {}
        self._groups: dict[str, ResourceSpans] = {}
        self._logs: list[Log] = []
        self.spans: list[Span] = []

    def ns(self, milliseconds: float) -> int:
        """Return a time as nanoseconds since the epoch."""
        return self.begin_ns + int(milliseconds * 1e6)

    def span(
        self,
        service: str,
        name: str,
        start: float,
        end: float,
        parent: int = 0,
        kind: str = "server",
        error: str = "",
        values: Values | None = None,
        state: str = "",
    ) -> int:
        """Add a span; return its number."""
        made = Span(
            trace_id=bytes.fromhex(self.trace_id),
            span_id=(len(self.spans) + 1).to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            kind=KINDS[kind],
            start_time_unix_nano=self.ns(start),
            end_time_unix_nano=self.ns(end),
            trace_state=state,
        )
        if error:
            made.status.code, made.status.message = 2, error
        attributes(made.attributes.add, values or {})
        group = self._groups.get(service)
        if group is None:
            group = self._groups[service] = ResourceSpans()
            named = {"service.name": service, "host.name": "laptop", **self._resource}
            attributes(group.resource.attributes.add, named)
            group.scope_spans.add().scope.name = "made"
        group.scope_spans[0].spans.append(made)
        self.spans.append(group.scope_spans[0].spans[-1])
        return len(self.spans)

    def event(self, span: int, at: float, name: str, values: Values) -> None:
        """Add an event to a span."""
        made = self.spans[span - 1].events.add(name=name, time_unix_nano=self.ns(at))
        attributes(made.attributes.add, values)

    def exception(self, span: int, at: float, kind: str, message: str, stack: Sequence[str]) -> None:
        """Add an exception with its stack to a span."""
        lines = ["Traceback (most recent call last):", *stack, f"{kind}: {message}"]
        values = {
            "exception.type": kind,
            "exception.message": message,
            "exception.stacktrace": "\n".join(lines),
        }
        self.event(span, at, "exception", values)

    def link(self, span: int, trace_id: str, values: Values | None = None) -> None:
        """Add a link to the first span of another trace."""
        made = self.spans[span - 1].links.add(
            trace_id=bytes.fromhex(trace_id), span_id=(1).to_bytes(8, "big")
        )
        attributes(made.attributes.add, values or {})

    def log(
        self, service: str, span: int, at: float, message: str, level: str = "INFO", **fields: object
    ) -> None:
        """Add a log record of a span; 0 is none."""
        self._logs.append(Log(service, span, at, message, level, f"{service}.app", fields))

    def trace_request(self) -> ExportTraceServiceRequest:
        """Return the spans as a request."""
        return ExportTraceServiceRequest(resource_spans=self._groups.values())

    def log_request(self) -> ExportLogsServiceRequest:
        """Return the log records as a request."""
        made = ExportLogsServiceRequest()
        for log in self._logs:
            group = made.resource_logs.add()
            attributes(group.resource.attributes.add, {"service.name": log.service})
            scope = group.scope_logs.add()
            scope.scope.name = log.logger
            record = scope.log_records.add(
                trace_id=bytes.fromhex(self.trace_id),
                time_unix_nano=self.ns(log.at),
                severity_number=LEVELS[log.level],
                severity_text=log.level,
            )
            if log.span:
                record.span_id = log.span.to_bytes(8, "big")
            record.body.string_value = log.message
            attributes(record.attributes.add, log.fields)
        return made


def post(url: str, body: bytes) -> None:
    """Send a protobuf message."""
    with _open(Request(url, body, {"Content-Type": "application/x-protobuf"}), timeout=60) as answer:
        answer.read()


def send(otlp: str, traces: Iterable[Made], *, with_logs: bool = True) -> None:
    """Send traces and their log records over OTLP/HTTP, as one request each. Jaeger takes no log records."""
    spans, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    for trace in traces:
        spans.MergeFrom(trace.trace_request())
        logs.MergeFrom(trace.log_request())
    post(f"{otlp}/v1/traces", spans.SerializeToString())
    if with_logs and logs.resource_logs:
        post(f"{otlp}/v1/logs", logs.SerializeToString())
