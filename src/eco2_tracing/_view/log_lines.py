"""Log records of OTLP as the ECS log lines that the terminal shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from eco2_tracing.testing._convert import plain_attributes, plain_value

if TYPE_CHECKING:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from eco2_tracing._console.lines import LogLine

_LONGEST = 16 * 1024
# opentelemetry-proto, logs.proto: the lowest SeverityNumber of each level.
_LEVELS = ((21, "critical"), (17, "error"), (13, "warning"), (9, "info"), (1, "debug"))
_NAMES = {
    "exception.type": "error.type",
    "exception.message": "error.message",
    "exception.stacktrace": "error.stack_trace",
}


def lines_of(logs: ExportLogsServiceRequest) -> list[LogLine]:
    """Return log records as log lines, by time."""
    found: list[tuple[int, LogLine]] = []
    for group in logs.resource_logs:
        service = plain_attributes(group.resource.attributes).get("service.name", "")
        for scoped in group.scope_logs:
            for record in scoped.log_records:
                moment = record.time_unix_nano or record.observed_time_unix_nano
                found.append((moment, _line(record, moment, scoped.scope.name, service)))
    found.sort(key=lambda pair: pair[0])
    return [line for _, line in found]


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
