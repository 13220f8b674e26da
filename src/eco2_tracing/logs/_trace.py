"""The ids of the current span for the application's own format strings."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from eco2_tracing._guard import attempt_silently
from eco2_tracing.logs._context import context_of, ids_on
from eco2_tracing.logs._records import capture_log_calls

if TYPE_CHECKING:
    from eco2_tracing.logs._exceptions import Ids


class TraceContextFilter(logging.Filter):
    """Sets `trace_id` and `span_id` on each record. Every record passes.

    Add it to a handler: the filter of a logger does not see the records of the loggers below it.
    ``%(trace_id)s`` is 32, ``%(span_id)s`` 16 hexadecimal digits. They are the ids of the log call, even if the
    handler writes later or in another thread.

    Args:
        default: The value of both outside a trace.
    """

    def __init__(self, default: str = "-") -> None:
        super().__init__()
        capture_log_calls()
        self._default = default

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the ids and return True."""
        # Not even a record of another package may lose its line.
        ids = attempt_silently(_ids, record, default=None)
        record.trace_id, record.span_id = ids or (self._default, self._default)
        return True


def _ids(record: logging.LogRecord) -> Ids | None:
    context = context_of(record)
    return context.ids or ids_on(record, context)
