"""The log records of one configuration. Imported only if log records are exported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs

from eco2_tracing._compat.api import forget_global_logger_provider, global_logger_provider
from eco2_tracing._compat.sdk import console_log_exporter, record_limits
from eco2_tracing._export.logs import build_logs
from eco2_tracing._guard import internal_failure, logger
from eco2_tracing._settings import shown_endpoint
from eco2_tracing.logs._otel import OtelHandler
from eco2_tracing.logs._provider import loggers
from eco2_tracing.logs._root import RootHandler

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource

    from eco2_tracing._export.batch.batcher import Batcher
    from eco2_tracing._export.destinations import Destinations
    from eco2_tracing._settings import Settings
    from eco2_tracing.logs._provider import Put


class ExportedLogs:
    """Exports the records of `logging`, and those of OpenTelemetry's loggers.

    Args:
        settings: The settings.
        resource: Returns the resource of this process.
        destinations: Connections that signals share.
        flush: Flushes every signal within a number of seconds.
    """

    def __init__(
        self,
        settings: Settings,
        resource: Callable[[], Resource],
        destinations: Destinations,
        flush: Callable[[float], bool],
    ) -> None:
        self._settings = settings
        self._resource = resource
        self._flush = flush
        provider = global_logger_provider()
        self.external = None if provider is loggers else provider
        self.batchers: tuple[Batcher, ...] = ()
        self._puts: list[Put] = []
        if self.external is None:
            self._build(settings, destinations)
        self._root = RootHandler(OtelHandler(loggers.get_logger, settings.logrecord_attribute_count_limit))

    def _build(self, settings: Settings, destinations: Destinations) -> None:
        if "otlp" in settings.logs_exporter:
            try:
                batcher = build_logs(settings, destinations)
            except ValueError as error:
                logger.warning(
                    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: %r cannot be used, no log records are sent: %s",
                    shown_endpoint(settings.otlp_logs.endpoint),
                    error,
                )
            else:
                self.batchers = (batcher,)
                self._puts.append(batcher.put)
        if "console" in settings.logs_exporter:
            self._puts.append(partial(_print, console_log_exporter()))

    def install(self) -> None:
        """Export the log records of this process."""
        if self.external is not None:
            kind = type(self.external)
            logger.warning(
                "a logger provider is already installed (%s.%s): it stays in charge of log records, "
                "OTEL_LOGS_EXPORTER is not used",
                kind.__module__,
                kind.__qualname__,
            )
            return
        settings = self._settings
        limits = record_limits(
            settings.logrecord_attribute_count_limit, settings.logrecord_attribute_value_length_limit
        )
        loggers.bind(tuple(self._puts), self._resource, self._flush, limits)
        _logs.set_logger_provider(loggers)
        self._root.install()

    def reassert(self) -> None:
        """Repeat ``install`` where the application has replaced the handlers of the root logger since."""
        if self.external is None:
            self._root.install()

    def uninstall(self) -> None:
        """Undo ``install``."""
        if self.external is not None:
            return
        self._root.uninstall()
        loggers.unbind()
        if global_logger_provider() is loggers:
            try:
                forget_global_logger_provider()
            except AttributeError:  # a version of the API without the private names
                internal_failure("putting the API's logger provider back")


def _print(exporter: Any, record: ReadableLogRecord, _size: int) -> None:
    exporter(out=sys.stdout).export([record])
