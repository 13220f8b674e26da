"""The ids of the current span, for format strings of the application."""

from __future__ import annotations

import logging

from eco2_tracing.logs._context import context_of, ids_on
from eco2_tracing.logs._records import capture_log_calls


class TraceContextFilter(logging.Filter):
    """Puts `trace_id` and `span_id` on each record, for a format string of your own.

    Put it on a handler: a logger's filter does not see the records of the loggers below it.
    ``%(trace_id)s`` is 32, ``%(span_id)s`` 16 hexadecimal digits. They are those of the log call, also on a handler
    that writes later or in another thread.

    Args:
        default: What stands there outside a trace.
    """

    def __init__(self, default: str = "-") -> None:
        super().__init__()
        capture_log_calls()
        self._default = default

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids; every record passes."""
        try:
            context = context_of(record)
            ids = context.ids or ids_on(record, context)
        except Exception:  # noqa: BLE001 - a record of another package must not lose its line
            ids = None
        record.trace_id, record.span_id = ids or (self._default, self._default)
        return True
