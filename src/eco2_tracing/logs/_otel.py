"""Log records of OpenTelemetry, made of the records of `logging`. Imported only if they are exported."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING

import orjson
from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from eco2_tracing._context import otel_context
from eco2_tracing._guard import internal_failure, logger
from eco2_tracing._redaction import printable, truncate
from eco2_tracing._untraced import is_suppressed
from eco2_tracing.logs._context import context_of
from eco2_tracing.logs._formatter import EcsFormatter

if TYPE_CHECKING:
    from opentelemetry.util.types import AnyValue

_OWN = logger.name
_is_emitting: ContextVar[bool] = ContextVar("eco2_emitting_log_record", default=False)
_NO_SPAN = Context({"eco2_no_span": True})  # the API replaces an empty context by the current one
# Fields that the record's own fields, its scope and the resource have.
_ELSEWHERE = frozenset(
    {
        *("@timestamp", "log.level", "message", "ecs.version", "log.logger", "process.pid"),
        *("service.name", "service.version", "service.environment", "service.node.name"),
        *("trace.id", "span.id"),
    }
)
# ECS names that the conventions of OpenTelemetry have other names for.
_RENAMED = {
    "error.type": "exception.type",
    "error.message": "exception.message",
    "error.stack_trace": "exception.stacktrace",
    "process.thread.name": "thread.name",
}
_SEVERITY_TEXTS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_LONGEST_LEVEL = 64


class CleanRecord(LogRecord):
    """A log record whose values are masked and bounded.

    Attributes:
        size: Bytes of the line that it was made of.
    """

    size = 0


class OtelHandler(logging.Handler):
    """Emits each record as a log record of OpenTelemetry, with the fields of the ECS line.

    Records of this library are left out, and those of our own export threads: an export that fails must not cause
    records that are exported. So are records that are logged while another one is emitted: the SDK warns about
    attributes, each time.

    Args:
        get_logger: Returns the logger of OpenTelemetry for a name.
        most_attributes: Attributes of one record.
    """

    def __init__(self, get_logger: Callable[[str], Logger], most_attributes: int) -> None:
        super().__init__()
        self._get_logger = get_logger
        self._most_attributes = most_attributes
        self._ecs = EcsFormatter()
        self._loggers: dict[str, Logger] = {}

    def createLock(self) -> None:  # noqa: N802 - the name of the base class
        """Use no lock: the queue has its own, and a signal handler may log."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Emit one record. Never raises."""
        try:
            name = record.name
            if _is_emitting.get() or name == _OWN or name.startswith("eco2_tracing."):
                return
            if is_suppressed(otel_context.get()):
                return
            found = self._loggers.get(name)
            if found is None:
                if len(self._loggers) >= 1000:  # names that contain data
                    self._loggers.clear()
                found = self._loggers[name] = self._get_logger(name)
            token = _is_emitting.set(True)
            try:
                found.emit(self._converted(record))
            finally:
                _is_emitting.reset(token)
        except Exception:  # noqa: BLE001 - every log call passes here
            internal_failure("exporting a log record")

    def _converted(self, record: logging.LogRecord) -> CleanRecord:
        line = self._ecs.format(record)
        fields: dict[str, AnyValue] = orjson.loads(line)
        attributes = _attributes(record, fields)
        converted = CleanRecord(
            timestamp=int(record.created * 1e9),
            context=_context(record, fields),
            severity_text=_severity_text(record.levelname),
            severity_number=_severity(record.levelno),
            body=fields["message"],
            attributes=dict(islice(attributes.items(), self._most_attributes)),
        )
        converted.size = len(line)
        return converted


def _attributes(record: logging.LogRecord, fields: Mapping[str, AnyValue]) -> dict[str, AnyValue]:
    attributes: dict[str, AnyValue] = {
        "code.file.path": record.pathname,
        "code.function.name": record.funcName or "",
        "code.line.number": record.lineno,
    }
    for name, value in fields.items():
        if name == "labels" and isinstance(value, Mapping):
            attributes.update((f"labels.{label}", item) for label, item in value.items())
        elif name not in _ELSEWHERE:
            attributes[_RENAMED.get(name, name)] = value
    return attributes


def _severity_text(level: object) -> str:
    text = truncate(printable(level), _LONGEST_LEVEL)
    return _SEVERITY_TEXTS.get(text, text)


def _severity(level: object) -> SeverityNumber:
    """Return the severity of a level: each of Python's five is followed by three finer ones, as in the data model."""
    if not isinstance(level, int) or level < logging.DEBUG:
        return SeverityNumber.UNSPECIFIED
    tens = min(level // 10, 5)
    return SeverityNumber(4 * tens + 1 + min(level - 10 * tens, 3))


def _context(record: logging.LogRecord, fields: Mapping[str, AnyValue]) -> Context:
    """Return a context with the ids of the line."""
    trace_id, span_id = fields.get("trace.id"), fields.get("span.id")
    if not isinstance(trace_id, str) or not isinstance(span_id, str):
        return _NO_SPAN
    ids = int(trace_id, 16), int(span_id, 16)
    captured = context_of(record).span_context
    if captured is None or (captured.trace_id, captured.span_id) != ids:
        captured = SpanContext(*ids, is_remote=False, trace_flags=TraceFlags(0))
    return set_span_in_context(NonRecordingSpan(captured), Context())
