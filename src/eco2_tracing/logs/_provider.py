"""The global logger provider: its loggers stay valid in forked children and after a reconfiguration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs
from opentelemetry.sdk._logs import (
    LoggerProvider as SdkLoggerProvider,
)
from opentelemetry.sdk._logs import (
    LogRecordProcessor,
    ReadableLogRecord,
    ReadWriteLogRecord,
)
from opentelemetry.sdk.resources import Resource

from eco2_tracing._compat.sdk import WithoutForkHook, record_limits, with_limits
from eco2_tracing._context import otel_context
from eco2_tracing._forks import renew_in_child
from eco2_tracing._guard import internal_failure
from eco2_tracing._redaction import LONGEST_TEXT, Budget, truncate
from eco2_tracing._untraced import is_suppressed
from eco2_tracing.logs._json import LONGEST_LINE, escape_surrogates
from eco2_tracing.logs._otel import CleanRecord
from eco2_tracing.logs._shared import shared

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

_NO_RESOURCE = Resource({})
Put = Callable[[ReadableLogRecord, int], None]
"""Queues a log record of so many bytes."""


class _Processor(LogRecordProcessor):
    """Passes masked log records on to the queues of the configuration in force."""

    def __init__(self) -> None:
        self.puts: tuple[Put, ...] = ()
        self.resource: Callable[[], Resource] | None = None
        self.flush: Callable[[float], bool] | None = None

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue one log record. Never waits or raises."""
        try:
            if self.resource is None or is_suppressed(otel_context.get()):
                return
            record = log_record.log_record
            size = record.size if type(record) is CleanRecord else _masked(log_record)
            readable = ReadableLogRecord(
                record, self.resource(), log_record.instrumentation_scope, log_record.limits
            )
            for put in self.puts:
                put(readable, size)
        except Exception:  # noqa: BLE001 - every log call passes here
            internal_failure("queueing a log record")

    def shutdown(self) -> None:
        """Do nothing: `shutdown_tracing` ends the queues."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export everything; return True if all of it arrived in time."""
        return self.flush is None or self.flush(timeout_millis / 1000)


def _masked(log_record: ReadWriteLogRecord) -> int:
    """Mask the values of a record that the application emitted itself; return its size."""
    record, redactor = log_record.log_record, shared.redactor
    budget = Budget(LONGEST_LINE)
    body: Any = redactor.value("message", record.body)
    record.body = escape_surrogates(truncate(body, LONGEST_TEXT)) if isinstance(body, str) else body
    given: Mapping[str, Any] = dict(record.attributes or {})
    attributes: Attributes = redactor.attributes(given, budget) or given  # type: ignore[assignment] # masked values are texts
    record.attributes = attributes
    return len(repr(record.body)) + len(repr(attributes))


class _SdkProvider(WithoutForkHook, SdkLoggerProvider):
    """The SDK's provider. In a child process there is another one, with locks of its own."""


class LoggerProvider(_logs.LoggerProvider):
    """The provider of this process. Its loggers are the SDK's."""

    def __init__(self) -> None:
        self._processor = _Processor()
        self._limits = record_limits(128, None)
        self._make()
        renew_in_child(self)

    def _make(self) -> None:
        # The records get their resource in the processor. Without one the SDK would detect it in a thread pool.
        make = partial(_SdkProvider, _NO_RESOURCE, shutdown_on_exit=False)
        self._sdk: SdkLoggerProvider = with_limits(make, self._limits)
        self._sdk.add_log_record_processor(self._processor)

    def bind(
        self,
        puts: tuple[Put, ...],
        resource: Callable[[], Resource],
        flush: Callable[[float], bool],
        limits: object,
    ) -> None:
        """Queue log records.

        Args:
            puts: Queue a log record.
            resource: Returns the resource of this process.
            flush: Exports everything within a number of seconds.
            limits: Of the attributes of a record.
        """
        processor = self._processor
        processor.puts, processor.resource, processor.flush = puts, resource, flush
        self._limits = limits
        self._make()

    def unbind(self) -> None:
        """Undo ``bind``: log records of the application are dropped."""
        self._processor.resource = self._processor.flush = None
        self._processor.puts = ()

    def get_logger(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> _logs.Logger:
        """Return the logger of an instrumentation scope."""
        return self._sdk.get_logger(name, version, schema_url, attributes)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export everything; return True if all of it arrived in time."""
        return self._processor.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Export everything. The queues end with `shutdown_tracing`."""
        self._processor.force_flush(2_500)

    def after_fork(self) -> None:
        """In a forked child: replace the SDK's provider, whose locks another thread of the parent may have held."""
        self._make()


loggers = LoggerProvider()
"""The loggers of this process. They stay valid after a reconfiguration, because modules keep their loggers."""
