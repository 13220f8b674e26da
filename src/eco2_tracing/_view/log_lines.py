"""Log records of OTLP as the ECS log lines that the terminal shows."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from eco2_tracing._view.log_records import LINE_SOURCE
from eco2_tracing.testing._convert import plain_attributes, plain_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

    from eco2_tracing._console.lines import LogLine

_LONGEST = 16 * 1024
# opentelemetry-proto, logs.proto: the lowest SeverityNumber of each level.
_LEVELS = ((21, "critical"), (17, "error"), (13, "warning"), (9, "info"), (1, "debug"))
_NAMES = {
    "exception.type": "error.type",
    "exception.message": "error.message",
    "exception.stacktrace": "error.stack_trace",
}


def lines_of(logs: ExportLogsServiceRequest) -> list[tuple[int, LogLine]]:
    """Return log records as log lines, by time, each with its nanoseconds since the epoch.

    One that was sent and is in a followed file too is there once.
    """
    found: list[tuple[int, LogLine]] = []
    sent: Counter[object] = Counter()
    # Those of files last: they are left out if they were sent.
    for is_of_file, scoped, service in sorted(_scopes(logs), key=lambda scope: scope[0]):
        for record in scoped.log_records:
            moment = record.time_unix_nano or record.observed_time_unix_nano
            line = _line(record, moment, scoped.scope.name, service)
            key = moment // 1_000_000, line["span.id"], line["log.level"], line["message"]
            if is_of_file and sent[key]:
                sent[key] -= 1
                continue
            sent[key] += not is_of_file
            found.append((moment, line))
    found.sort(key=lambda pair: pair[0])
    return found


def _scopes(logs: ExportLogsServiceRequest) -> Iterator[tuple[bool, ScopeLogs, object]]:
    """Yield the scopes, each with its service and whether its records were lines of a file."""
    for group in logs.resource_logs:
        service = plain_attributes(group.resource.attributes).get("service.name", "")
        for scoped in group.scope_logs:
            yield any(pair.key == LINE_SOURCE for pair in scoped.scope.attributes), scoped, service


def _line(record: LogRecord, moment: int, logger: str, service: object) -> LogLine:
    line: LogLine = {
        "@timestamp": datetime.fromtimestamp(moment / 1e9, UTC).isoformat(timespec="microseconds"),
        "log.level": _level(record),
        "message": str(plain_value(record.body) or "")[:_LONGEST],
        "log.logger": logger,
        "service.name": service,
        "trace.id": record.trace_id.hex(),
        "span.id": record.span_id.hex(),
    }
    for key, value in plain_attributes(record.attributes).items():
        name = _NAMES.get(key, key if key not in line else f"labels.{key}")
        line[name] = value[:_LONGEST] if isinstance(value, str) else value
    return line


def _level(record: LogRecord) -> str:
    number = record.severity_number
    return next((name for least, name in _LEVELS if number >= least), record.severity_text.lower())
