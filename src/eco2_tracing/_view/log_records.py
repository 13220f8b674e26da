"""Lines of JSON logs as log records of OTLP."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

LINE_SOURCE = "eco2_tracing.line_source"
"""The attribute of the scope of records that were lines; its value is their file."""

# Names of ECS first, then those of python-json-logger, structlog and OpenTelemetry's logging instrumentation.
_TRACE = ("trace.id", "trace_id", "traceId", "otelTraceID")
_SPAN = ("span.id", "span_id", "spanId", "otelSpanID")
_TIME = ("@timestamp", "timestamp", "time", "asctime", "ts")
_LEVEL = ("log.level", "level", "levelname", "severity")
_MESSAGE = ("message", "msg", "event")
_LOGGER = ("log.logger", "logger", "logger_name", "name")
_SERVICE = ("service.name", "service_name", "service", "otelServiceName")
_STACK = ("error.stack_trace", "exc_info", "exception", "stack_info")
_EXCEPTIONS = {"error.type": "exception.type", "error.message": "exception.message"}
# What has a place of its own, or is the same on every line.
_LEFT_OUT = frozenset(
    {
        *_TRACE, *_SPAN, *_TIME, *_LEVEL, "ecs.version", "process.pid", "process.thread.name", "service.node.name",
        "service.version", "service.environment", "otelTraceSampled",
    }
)  # fmt: skip
# opentelemetry-proto, logs.proto: the lowest SeverityNumber of each level.
_LEVELS = {
    **dict.fromkeys(("trace", "debug"), 5),
    **dict.fromkeys(("info", "information", "notice"), 9),
    **dict.fromkeys(("warning", "warn"), 13),
    **dict.fromkeys(("error", "err"), 17),
    **dict.fromkeys(("critical", "fatal", "alert", "emergency", "panic"), 21),
}
_UNITS = ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3), (1e20, 1))  # numbers below are in units of so many ns
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RAISED = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?")
_DEEPEST = 5
_MOST_FIELDS = 128
_MOST_INTEGER = 2**63


def request_of_line(line: bytes, source: str, now_ns: int) -> ExportLogsServiceRequest | None:
    """Return a line as a request with one log record; ``None`` if it is no JSON object.

    Args:
        line: The line.
        source: The file that it is from.
        now_ns: The time of a line that has none, in nanoseconds since the epoch.
    """
    try:
        document = orjson.loads(line.decode("utf-8", "replace"))
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    fields = dict(_flat(document))
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    service = group.resource.attributes.add(key="service.name").value
    service.string_value = _taken(fields, _SERVICE)
    scoped = group.scope_logs.add()
    scoped.scope.name = _taken(fields, _LOGGER)
    scoped.scope.attributes.add(key=LINE_SOURCE).value.string_value = source
    level = _first(fields, _LEVEL)
    record = scoped.log_records.add(
        trace_id=_id(_first(fields, _TRACE), 16),
        span_id=_id(_first(fields, _SPAN), 8),
        time_unix_nano=next((at for name in _TIME if (at := _time(fields.get(name)))), now_ns),
        severity_text=level,
        severity_number=_LEVELS.get(level.lower(), 0),
    )
    record.body.string_value = _taken(fields, _MESSAGE)
    for key, value in {**_raised(fields), **_others(fields)}.items():
        made = record.attributes.add(key=key).value
        if isinstance(value, bool):
            made.bool_value = value
        elif isinstance(value, int) and abs(value) < _MOST_INTEGER:
            made.int_value = value
        elif isinstance(value, float):
            made.double_value = value
        else:
            made.string_value = _text(value)
    return request


def _flat(document: Mapping[str, object], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, object]]:
    """Yield the values with dotted names; what is nested deeper stays an object."""
    for key, value in document.items():
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _flat(value, f"{prefix}{key}.", depth + 1)
        else:
            yield prefix + key, value


def _first(fields: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((_text(fields[name]) for name in names if fields.get(name) not in (None, "")), "")


def _taken(fields: dict[str, object], names: tuple[str, ...]) -> str:
    """Remove the first field that is set, and return it."""
    return next((_text(fields.pop(name)) for name in names if fields.get(name) not in (None, "")), "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _id(text: str, size: int) -> bytes:
    """Return an id of hex digits, padded on the left; no bytes if it is none."""
    try:
        found = bytes.fromhex(text.removeprefix("0x").zfill(size * 2))
    except ValueError:
        return b""
    return found if len(found) == size and any(found) else b""


def _time(value: object) -> int:
    """Return nanoseconds since the epoch; 0 without a time."""
    if isinstance(value, int | float) and math.isfinite(value) and value > 0:
        return int(value * next((unit for most, unit in _UNITS if value < most), 0))
    if not isinstance(value, str):
        return 0
    try:
        moment = datetime.fromisoformat(value.replace(",", "."))
        return max((moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000, 0)
    except (ValueError, OverflowError, OSError):
        return 0


def _raised(fields: dict[str, object]) -> dict[str, object]:
    """Return the exception of a line as OpenTelemetry names it; its type is in the last line of a traceback."""
    stack = _taken(fields, _STACK)
    made: dict[str, object] = {"exception.stacktrace": stack} if stack else {}
    if stack and "error.type" not in fields and (found := _RAISED.fullmatch(stack.rstrip().split("\n")[-1])):
        made |= {"exception.type": found[1], "exception.message": found[2] or ""}
    return made


def _others(fields: Mapping[str, object]) -> dict[str, object]:
    others = [(key, value) for key, value in fields.items() if key not in _LEFT_OUT and value is not None]
    return {_EXCEPTIONS.get(key, key): value for key, value in others[:_MOST_FIELDS]}
