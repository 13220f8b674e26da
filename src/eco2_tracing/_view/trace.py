"""One stored trace: decoded, and as rows for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from eco2_tracing._view.log_lines import lines_of
from eco2_tracing.testing._convert import spans_of_request

if TYPE_CHECKING:
    from eco2_tracing._console.lines import LogLine
    from eco2_tracing.testing import ReceivedSpan


@dataclass(frozen=True)
class StoredTrace:
    """The spans and log records of a trace.

    Attributes:
        trace_id: 32 hex digits.
        request: Its spans, as received.
        logs: Its log records, as received.
    """

    trace_id: str
    request: ExportTraceServiceRequest
    logs: ExportLogsServiceRequest

    @classmethod
    def of_chunks(cls, trace_id: str, chunks: Iterable[tuple[str, bytes]]) -> Self:
        """Return the trace whose stored parts are given, each with its kind: ``traces`` or ``logs``."""
        trace = cls(trace_id, ExportTraceServiceRequest(), ExportLogsServiceRequest())
        for kind, data in chunks:
            (trace.request if kind == "traces" else trace.logs).MergeFromString(data)
        return trace

    @cached_property
    def received(self) -> Sequence[ReceivedSpan]:
        """Every span, in the order of arrival."""
        return spans_of_request(self.request)

    @cached_property
    def spans(self) -> Sequence[ReceivedSpan]:
        """The spans without repetitions, ordered by their start."""
        distinct: dict[object, ReceivedSpan] = {}
        for one in self.received:
            key = (one.span_id, one.parent_span_id, one.kind, one.name, one.start_ns, one.end_ns)
            distinct.setdefault(key, one)
        return sorted(distinct.values(), key=lambda span: (span.start_ns, -span.end_ns))

    @cached_property
    def timed_lines(self) -> Sequence[tuple[int, LogLine]]:
        """The log records as log lines, by time, each with its nanoseconds since the epoch."""
        return lines_of(self.logs)

    @property
    def lines(self) -> Sequence[LogLine]:
        """The log records as log lines, by time."""
        return [line for _, line in self.timed_lines]


def shown(value: object) -> str:
    """Return the value of an attribute as a text: a text as it is, bytes in hex, others as JSON."""
    if isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else orjson.dumps(value, default=bytes.hex).decode()
